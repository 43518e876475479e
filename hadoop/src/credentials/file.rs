//! Token files (`Credentials.writeTokenStorageToStream`): `HDTS`, a version, then Writables (0) or a message (1).

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bytes::{Buf, BufMut, Bytes};
use prost::Message;

use super::proto::{CredentialsKvProto, CredentialsProto};
use super::writable::{get_counted, get_length, get_text, put_counted, put_vlong};
use super::{Credentials, CredentialsError, Secret, Token, put};

const MAGIC: &[u8] = b"HDTS";
/// No token file is larger; a file named by mistake must not fill the memory.
const MAX_LEN: u64 = 64 << 20;

/// How a token file is written. Hadoop reads both; `hdfs fetchdt` and YARN write the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FileVersion {
    /// Version 0, which every Hadoop reads.
    #[default]
    Writable,
    /// Version 1, a protobuf message, since Hadoop 3.
    Protobuf,
}

impl Credentials {
    /// Reads a token file.
    pub fn read_file(path: &Path) -> Result<Self, CredentialsError> {
        let failed = |e: std::io::Error| file_error("read", path, &e);
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(MAX_LEN + 1).read_to_end(&mut bytes).map_err(failed)?;
        let credentials = if bytes.len() as u64 > MAX_LEN {
            Err(CredentialsError::Damaged("it is far too long"))
        } else {
            Self::decode(bytes.into())
        };
        credentials.map_err(|e| CredentialsError::In { path: path.to_owned(), source: Box::new(e) })
    }

    /// Writes a token file that only its owner may read; one that is there is replaced in one step.
    pub fn write_file(&self, path: &Path, version: FileVersion) -> Result<(), CredentialsError> {
        let new = beside(path);
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)
            .and_then(|mut file| file.write_all(&self.encode(version)).and_then(|()| file.sync_all()))
            .and_then(|()| std::fs::rename(&new, path));
        written.map_err(|e| {
            // Best effort: what matters is said by the error.
            let _ = std::fs::remove_file(&new);
            file_error("write", path, &e)
        })
    }

    /// Reads a token file's bytes, as they also travel in YARN's messages.
    pub fn decode(mut bytes: Bytes) -> Result<Self, CredentialsError> {
        if !bytes.starts_with(MAGIC) {
            return Err(CredentialsError::NoTokenFile);
        }
        bytes.advance(MAGIC.len());
        match bytes.try_get_u8() {
            Ok(0) => decode_writable(&mut bytes),
            Ok(1) => decode_message(bytes),
            Ok(version) => Err(CredentialsError::Version(version)),
            Err(_) => Err(CredentialsError::Damaged("it ends too early")),
        }
    }

    /// A token file's bytes.
    pub fn encode(&self, version: FileVersion) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        match version {
            FileVersion::Writable => {
                bytes.put_u8(0);
                encode_writable(self, &mut bytes);
            }
            FileVersion::Protobuf => {
                bytes.put_u8(1);
                bytes.extend_from_slice(&message(self).encode_length_delimited_to_vec());
            }
        }
        bytes
    }
}

fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.new", std::process::id()))
}

fn file_error(action: &'static str, path: &Path, error: &std::io::Error) -> CredentialsError {
    CredentialsError::File { action, path: path.to_owned(), message: error.to_string() }
}

fn encode_writable(credentials: &Credentials, into: &mut Vec<u8>) {
    put_count(into, credentials.tokens.len());
    for (alias, token) in &credentials.tokens {
        put_counted(into, alias.as_bytes());
        put_counted(into, &token.identifier);
        put_counted(into, token.password.expose());
        put_counted(into, token.kind.as_bytes());
        put_counted(into, token.service.as_bytes());
    }
    put_count(into, credentials.secrets.len());
    for (alias, secret) in &credentials.secrets {
        put_counted(into, alias.as_bytes());
        put_counted(into, secret.expose());
    }
}

fn put_count(into: &mut Vec<u8>, count: usize) {
    put_vlong(into, i64::try_from(count).unwrap_or(i64::MAX));
}

fn decode_writable(bytes: &mut Bytes) -> Result<Credentials, CredentialsError> {
    let mut credentials = Credentials::new();
    for _ in 0..get_length(bytes)? {
        let alias = get_text(bytes)?;
        let token = Token {
            identifier: get_counted(bytes)?,
            password: Secret::new(get_counted(bytes)?),
            kind: get_text(bytes)?,
            service: get_text(bytes)?,
        };
        put(&mut credentials.tokens, alias, token);
    }
    for _ in 0..get_length(bytes)? {
        let alias = get_text(bytes)?;
        put(&mut credentials.secrets, alias, Secret::new(get_counted(bytes)?));
    }
    Ok(credentials)
}

fn message(credentials: &Credentials) -> CredentialsProto {
    let tokens = credentials.tokens.iter().map(|(alias, token)| CredentialsKvProto {
        alias: alias.clone(),
        token: Some(token.into()),
        secret: None,
    });
    let secrets = credentials.secrets.iter().map(|(alias, secret)| CredentialsKvProto {
        alias: alias.clone(),
        token: None,
        secret: Some(secret.expose().clone()),
    });
    CredentialsProto { tokens: tokens.collect(), secrets: secrets.collect() }
}

fn decode_message(bytes: Bytes) -> Result<Credentials, CredentialsError> {
    let message = CredentialsProto::decode_length_delimited(bytes)
        .map_err(|_| CredentialsError::Damaged("its message does not decode"))?;
    let mut credentials = Credentials::new();
    for entry in message.tokens {
        let token = entry.token.ok_or(CredentialsError::Damaged("an entry for a token has none"))?;
        put(&mut credentials.tokens, entry.alias, token.into());
    }
    for entry in message.secrets {
        let secret = entry.secret.ok_or(CredentialsError::Damaged("an entry for a secret has none"))?;
        put(&mut credentials.secrets, entry.alias, Secret::new(secret));
    }
    Ok(credentials)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;

    use super::*;

    fn some() -> Credentials {
        let mut credentials = Credentials::new();
        credentials.add_token("", Token::new(vec![1; 13], vec![2; 20], "YARN_AM_RM_TOKEN", ""));
        credentials
            .add_token("b", Token::new(vec![3; 200], vec![0; 20], "HDFS_DELEGATION_TOKEN", "ha-hdfs:ns"));
        credentials.add_secret("ä", &b"s"[..]);
        credentials
    }

    /// The bytes of a file that YARN wrote, but for identifier and password.
    #[test]
    fn the_file_of_an_application_master() {
        let mut bytes = b"HDTS\x00\x01\x00\x0d".to_vec();
        bytes.extend([1; 13]);
        bytes.push(20);
        bytes.extend([2; 20]);
        bytes.extend(b"\x10YARN_AM_RM_TOKEN\x00\x00");
        let credentials = Credentials::decode(bytes.clone().into()).unwrap();
        let token = credentials.of_kind("YARN_AM_RM_TOKEN").next().unwrap();
        assert_eq!((token.identifier.len(), token.password.expose().len()), (13, 20));
        assert_eq!(credentials.encode(FileVersion::Writable), bytes);
        assert_eq!(Credentials::new().encode(FileVersion::Writable), b"HDTS\0\0\0");
    }

    #[test]
    fn files_come_back_and_are_the_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        for version in [FileVersion::Writable, FileVersion::Protobuf, FileVersion::Writable] {
            some().write_file(&path, version).unwrap();
            assert_eq!(Credentials::read_file(&path).unwrap(), some());
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn wrong_files_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        for (bytes, wanted) in [
            (&b""[..], "no token file"),
            (b"HDT", "no token file"),
            (b"HDTS", "ends too early"),
            (b"HDTS\x07", "version 7"),
            (b"HDTS\x00\x01\x8f\xff", "ends too early"),
            (b"HDTS\x00\x88\x7f\xff\xff\xff\xff\xff\xff\xff", "absurd"),
            (b"HDTS\x00\xff", "absurd"),
            (b"HDTS\x01\xff", "does not decode"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let error = Credentials::read_file(&path).unwrap_err().to_string();
            assert!(error.contains(wanted) && error.contains("tokens"), "{error}");
        }
        assert!(Credentials::read_file(&folder.path().join("gone")).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(version in 0..3_u8, bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let file = [b"HDTS", &[version][..], &bytes].concat();
            let _ = Credentials::decode(file.into());
        }

        #[test]
        fn no_damage_makes_it_panic(at in 0..300_usize, byte in any::<u8>(), cut in 0..400_usize, message in any::<bool>()) {
            let version = if message { FileVersion::Protobuf } else { FileVersion::Writable };
            let mut file = some().encode(version);
            let at = at % file.len();
            file[at] = byte;
            file.truncate(cut.max(1));
            let _ = Credentials::decode(file.into());
        }
    }
}
