//! Addresses: where a path points, as written.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::AddressError;

/// A file, folder or glob, local or on HDFS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A path of this machine.
    Local(PathBuf),
    /// A path on HDFS.
    Hdfs {
        /// `host:port`, or a configured nameservice; `None` is the default file system (`fs.defaultFS`).
        authority: Option<String>,
        /// Absolute path.
        path: String,
    },
}

impl Address {
    /// Reads an argument: `file://` and `hdfs://` URIs (Java's short forms `file:/x` and `hdfs:/x` too), or a
    /// bare local path. As in Hadoop's `Path`, nothing is percent-decoded.
    pub fn parse(argument: &OsStr) -> Result<Self, AddressError> {
        let bytes = argument.as_bytes();
        if bytes.is_empty() {
            return Err(AddressError::Empty);
        }
        let Some((scheme, rest)) = scheme(bytes) else {
            return Ok(Self::Local(PathBuf::from(argument)));
        };
        let shown = || argument.to_string_lossy().into_owned();
        let (authority, path) = match rest.strip_prefix(b"//") {
            None => (&b""[..], rest),
            Some(rest) => rest.split_at(rest.iter().position(|&b| b == b'/').unwrap_or(rest.len())),
        };
        match scheme {
            b"file" if !matches!(authority, b"" | b"localhost") => {
                Err(AddressError::FileAuthority { address: shown() })
            }
            b"file" if path.is_empty() => Err(AddressError::NoPath { address: shown() }),
            b"file" => Ok(Self::Local(PathBuf::from(OsStr::from_bytes(path)))),
            b"hdfs" => {
                let text = |bytes: &[u8]| {
                    String::from_utf8(bytes.to_vec()).map_err(|_| AddressError::NotUtf8 { address: shown() })
                };
                let authority = match authority {
                    b"" => None,
                    name => Some(text(name)?),
                };
                let path = if path.is_empty() { "/".into() } else { text(path)? };
                Ok(Self::Hdfs { authority, path })
            }
            _ => Err(AddressError::Scheme {
                address: shown(),
                scheme: String::from_utf8_lossy(scheme).into_owned(),
            }),
        }
    }
}

/// A scheme and what follows its colon. A bare `name:x` is a local path; a scheme needs a slash behind.
fn scheme(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = bytes.iter().position(|&b| b == b':')?;
    let (scheme, rest) = (&bytes[..colon], &bytes[colon + 1..]);
    let named = scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|b| b.is_ascii_alphanumeric() || b"+.-".contains(b));
    let known = matches!(scheme, b"file" | b"hdfs") && rest.starts_with(b"/");
    (named && (known || rest.starts_with(b"//"))).then_some((scheme, rest))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => write!(f, "{}", path.display()),
            Self::Hdfs { authority, path } => {
                write!(f, "hdfs://{}{path}", authority.as_deref().unwrap_or(""))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Address, AddressError> {
        Address::parse(OsStr::new(text))
    }

    fn hdfs(authority: Option<&str>, path: &str) -> Address {
        Address::Hdfs { authority: authority.map(Into::into), path: path.into() }
    }

    #[test]
    fn forms() {
        for (text, path) in [
            ("a/b", "a/b"),
            ("/a", "/a"),
            ("file:///a b%20", "/a b%20"),
            ("file:/a", "/a"),
            ("file://localhost/a", "/a"),
            ("a:b", "a:b"),
            ("10:30/x", "10:30/x"),
            ("./hdfs://x", "./hdfs://x"),
        ] {
            assert_eq!(parse(text).unwrap(), Address::Local(path.into()), "{text}");
        }
        assert_eq!(parse("hdfs://nn:8020/a/b").unwrap(), hdfs(Some("nn:8020"), "/a/b"));
        assert_eq!(parse("hdfs:///a").unwrap(), hdfs(None, "/a"));
        assert_eq!(parse("hdfs:/a").unwrap(), hdfs(None, "/a"));
        assert_eq!(parse("hdfs://nn").unwrap(), hdfs(Some("nn"), "/"));
    }

    #[test]
    fn refusals_name_the_address() {
        for bad in ["s3://bucket/key", "file://otherhost/a", "file://", "webhdfs://h/p"] {
            assert!(parse(bad).unwrap_err().to_string().contains(bad), "{bad}");
        }
        assert!(parse("").is_err());
    }
}
