//! Pieces of an attempt's logs for the application master, as it asks for them.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::Duration;

use forebay_protocol::{Agent, LOGS, LONGEST_PIECE, v1};
use futures_util::stream::unfold;
use rustix::fs::OFlags;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tonic::Status;

use crate::am::Am;
use crate::folder::AttemptFolder;
use crate::standing::Standing;

/// Between two tries to be asked.
const AGAIN: Duration = Duration::from_secs(5);

/// Answers for as long as the agent lives, whichever AM asks.
pub(crate) async fn serve(am: Am, folder: AttemptFolder, standing: Standing) {
    loop {
        let Some((client, generation)) = am.link.client() else { return };
        let ended = answer(client, am.attempt, &folder, &standing).await;
        tracing::info!(?ended, "the application master asks for no logs any more");
        tokio::select! {
            () = am.link.renewed(generation) => {}
            () = sleep(AGAIN) => {}
        }
    }
}

/// Answers until the AM wants no more.
async fn answer(
    mut client: Agent,
    attempt: v1::Attempt,
    folder: &AttemptFolder,
    standing: &Standing,
) -> Result<(), Status> {
    let (sender, receiver) = mpsc::channel(1);
    let first = v1::LogData { attempt: Some(attempt), ..Default::default() };
    let gone = |_| Status::cancelled("nobody listens");
    sender.send(first).await.map_err(gone)?;
    let answers =
        unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|data| (data, receiver)) });
    let mut asked = client.logs(answers).await?.into_inner();
    while let Some(wanted) = asked.message().await? {
        let id = wanted.id;
        // Before it is looked at: what is there then is all.
        let over = wanted.name != LOGS[2] && standing.is_worker_gone();
        let path = path(folder, &wanted.name);
        let piece = tokio::task::spawn_blocking(move || piece(path, wanted.offset, wanted.max));
        let data = match piece.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(piece) => v1::LogData { id, over, ..piece },
            Err(error) => v1::LogData { id, over, error: Some(error.to_string()), ..Default::default() },
        };
        sender.send(data).await.map_err(gone)?;
    }
    Ok(())
}

/// Where a log is.
pub(crate) fn path(folder: &AttemptFolder, name: &str) -> Option<PathBuf> {
    match LOGS.iter().position(|log| *log == name)? {
        0 => Some(folder.stdout()),
        1 => Some(folder.stderr()),
        _ => Some(folder.log()),
    }
}

/// Opens a log, which the worker may have replaced by anything.
pub(crate) fn open(path: &std::path::Path) -> io::Result<Option<File>> {
    let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed();
    let file = match File::options().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if file.metadata()?.is_file() { Ok(Some(file)) } else { Err(io::Error::other("it is no regular file")) }
}

fn piece(path: Option<PathBuf>, offset: i64, max: u32) -> io::Result<v1::LogData> {
    let path = path.ok_or_else(|| io::Error::other("there is no log of this name"))?;
    let Some(file) = open(&path)? else { return Ok(v1::LogData::default()) };
    let len = file.metadata()?.len();
    let offset = u64::try_from(offset).unwrap_or_else(|_| len.saturating_sub(offset.unsigned_abs()));
    let most = usize::try_from(max).unwrap_or(LONGEST_PIECE).min(LONGEST_PIECE);
    let mut data = vec![0; most.min(usize::try_from(len.saturating_sub(offset)).unwrap_or(most))];
    let mut read = 0;
    while read < data.len() {
        match file.read_at(&mut data[read..], offset + read as u64) {
            Ok(0) => break,
            Ok(n) => read += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    data.truncate(read);
    Ok(v1::LogData { offset, data, len, ..Default::default() })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn pieces_are_what_was_asked_for() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("stdout");
        let get = |offset, max| piece(Some(path.clone()), offset, max).map(|p| (p.offset, p.data, p.len));
        assert_eq!(get(5, 9).unwrap(), (0, Vec::new(), 0), "not there yet");
        fs::write(&path, "0123456789").unwrap();
        assert_eq!(get(2, 3).unwrap(), (2, b"234".to_vec(), 10));
        assert_eq!(get(-3, 9).unwrap(), (7, b"789".to_vec(), 10));
        assert_eq!(get(-99, 2).unwrap(), (0, b"01".to_vec(), 10));
        assert_eq!(get(99, 2).unwrap(), (99, Vec::new(), 10));
        assert_eq!(get(i64::MIN, u32::MAX).unwrap().1.len(), 10);
        fs::write(&path, vec![0; LONGEST_PIECE + 1]).unwrap();
        assert_eq!(get(0, u32::MAX).unwrap().1.len(), LONGEST_PIECE);
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        get(0, 9).unwrap_err();
        fs::remove_file(&path).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
        get(0, 9).unwrap_err();
        assert!(piece(None, 0, 9).is_err());
    }
}
