//! What is uploaded, in pieces, so that little memory is needed.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::pack::{PackError, pack};

/// Bytes in a piece.
const PIECE: usize = 1 << 20;
/// What is kept in memory as a whole.
const SMALL: usize = 2 << 20;
/// Pieces on their way.
const WAITING: usize = 2;

/// Where the bytes of an uploaded file come from. It can be read again when a try has failed.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// As they are.
    Bytes(Bytes),
    /// A local file.
    File(PathBuf),
    /// A local folder, as a `.tar.gz`.
    Folder(PathBuf),
}

impl Source {
    /// All of it, if that is little.
    pub(crate) async fn whole(&self) -> Result<Option<Bytes>, PackError> {
        if let Self::Bytes(bytes) = self {
            return Ok(Some(bytes.clone()));
        }
        let (mut pieces, mut whole) = (self.pieces(), Vec::new());
        while let Some(piece) = pieces.recv().await {
            whole.extend_from_slice(&piece?);
            if whole.len() > SMALL {
                return Ok(None);
            }
        }
        Ok(Some(whole.into()))
    }

    /// Its pieces, read by a thread that ends when nobody wants more. Within tokio.
    pub(crate) fn pieces(&self) -> mpsc::Receiver<Result<Bytes, PackError>> {
        let (sender, receiver) = mpsc::channel(WAITING);
        let source = self.clone();
        tokio::task::spawn_blocking(move || {
            let read = match source {
                Self::Bytes(bytes) => {
                    let mut rest = bytes;
                    while !rest.is_empty() {
                        if sender.blocking_send(Ok(rest.split_to(rest.len().min(PIECE)))).is_err() {
                            return;
                        }
                    }
                    Ok(())
                }
                Self::File(path) => {
                    send_file(&path, &sender).map_err(|source| PackError::Read { path: path.clone(), source })
                }
                Self::Folder(path) => {
                    pack(&path, io::BufWriter::with_capacity(PIECE, Pieces(sender.clone())))
                }
            };
            if let Err(error) = read {
                let _ = sender.blocking_send(Err(error));
            }
        });
        receiver
    }
}

/// What has been read was sent, or is not wanted any more.
fn send_file(path: &PathBuf, to: &mpsc::Sender<Result<Bytes, PackError>>) -> io::Result<()> {
    let mut file = File::open(path)?;
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        Read::by_ref(&mut file).take(PIECE as u64).read_to_end(&mut piece)?;
        if piece.is_empty() || to.blocking_send(Ok(piece.into())).is_err() {
            return Ok(());
        }
    }
}

struct Pieces(mpsc::Sender<Result<Bytes, PackError>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(source: Source) -> Result<Vec<u8>, PackError> {
        let (mut pieces, mut bytes) = (source.pieces(), Vec::new());
        while let Some(piece) = pieces.recv().await {
            bytes.extend_from_slice(&piece?);
        }
        Ok(bytes)
    }

    #[tokio::test]
    async fn what_is_little_comes_whole() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("file");
        for len in [0, 1, PIECE, PIECE + 1, SMALL] {
            std::fs::write(&path, vec![7; len]).unwrap();
            assert!(Source::File(path.clone()).whole().await.unwrap().unwrap() == vec![7; len], "{len}");
        }
        std::fs::write(&path, vec![7; SMALL + 1]).unwrap();
        assert_eq!(Source::File(path.clone()).whole().await.unwrap(), None);
        Source::File(path.join("none")).whole().await.unwrap_err();
    }

    #[tokio::test]
    async fn every_source_gives_all_of_its_bytes() {
        let room = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..3 * PIECE + 7).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let path = room.path().join("file");
        std::fs::write(&path, &bytes).unwrap();
        assert!(all(Source::Bytes(bytes.clone().into())).await.unwrap() == bytes);
        assert!(all(Source::File(path)).await.unwrap() == bytes);
        let packed = all(Source::Folder(room.path().to_owned())).await.unwrap();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&*packed));
        let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
        let mut unpacked = Vec::new();
        entry.read_to_end(&mut unpacked).unwrap();
        assert!(unpacked == bytes);
        let missing = all(Source::File(room.path().join("none"))).await.unwrap_err();
        assert!(missing.to_string().contains("none"), "{missing}");
    }
}
