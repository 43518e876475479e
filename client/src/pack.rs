//! A user's folder as an archive that NodeManagers unpack: they know files and archives only.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};

/// A folder that cannot be shipped.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Something cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A link to somewhere outside.
    #[error(
        "{} is a link to {}, outside of the folder that is shipped; give that a --files of its own, or put a copy in its place",
        path.display(),
        target.display()
    )]
    Outside {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// A link to a folder that it lies in.
    #[error("{} is a link to a folder that it lies in; without an end it cannot be shipped", path.display())]
    Endless {
        /// The link.
        path: PathBuf,
    },
    /// A FIFO, socket or device.
    #[error("{} is neither file nor folder, and cannot be shipped", path.display())]
    Special {
        /// What.
        path: PathBuf,
    },
    /// It changed while it was read.
    #[error("{} was changed while it was being shipped; submit when nobody writes to it", path.display())]
    Changed {
        /// What.
        path: PathBuf,
    },
    /// Whoever takes the archive does not any more.
    #[error("the archive cannot be written: {0}")]
    Write(io::Error),
}

fn unread(path: &Path) -> impl FnOnce(io::Error) -> PackError + use<> {
    let path = path.to_owned();
    move |source| PackError::Read { path, source }
}

/// Writes what is in `folder` to `to`, as a `.tar.gz`. Links are followed, and must lead to somewhere inside.
pub(crate) fn pack(folder: &Path, to: impl Write) -> Result<(), PackError> {
    let root = fs::canonicalize(folder).map_err(unread(folder))?;
    let mut archive = Builder::new(GzEncoder::new(to, Compression::fast()));
    let mut parents = vec![root.clone()];
    add_folder(&mut archive, &root, Path::new(""), &root, &mut parents)?;
    let end = || archive.into_inner()?.finish()?.flush();
    end().map_err(PackError::Write)
}

/// Bytes of all files in a folder, as [`pack`] would find them; what it would refuse is refused here.
pub(crate) fn measure(folder: &Path) -> Result<u64, PackError> {
    struct Counter(u64);
    impl Sink for Counter {
        fn folder(&mut self, _: &Path, _: &Metadata) -> Result<(), PackError> {
            Ok(())
        }
        fn file(&mut self, path: &Path, _: &Path, facts: &Metadata) -> Result<(), PackError> {
            // Unreadable is said now, not in the middle of the upload.
            File::open(path).map_err(unread(path))?;
            self.0 += facts.len();
            Ok(())
        }
    }
    let root = fs::canonicalize(folder).map_err(unread(folder))?;
    let mut counter = Counter(0);
    let mut parents = vec![root.clone()];
    add_folder(&mut counter, &root, Path::new(""), &root, &mut parents)?;
    Ok(counter.0)
}

/// What is done with what is found.
trait Sink {
    fn folder(&mut self, name: &Path, facts: &Metadata) -> Result<(), PackError>;
    fn file(&mut self, path: &Path, name: &Path, facts: &Metadata) -> Result<(), PackError>;
}

/// `path` is what is found as `name` within `root`; `parents` are the folders on the way to it, without links.
fn add_folder(
    to: &mut impl Sink,
    path: &Path,
    name: &Path,
    root: &Path,
    parents: &mut Vec<PathBuf>,
) -> Result<(), PackError> {
    let entries = fs::read_dir(path).map_err(unread(path))?;
    let entries = entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<Vec<_>, _>>();
    let mut entries = entries.map_err(unread(path))?;
    // The same folder makes the same archive.
    entries.sort_unstable();
    for entry in entries {
        let (shown, name) = (path.join(&entry), name.join(&entry));
        let is_link = shown.symlink_metadata().map_err(unread(&shown))?.is_symlink();
        let real = if is_link { fs::canonicalize(&shown).map_err(unread(&shown))? } else { shown.clone() };
        if !real.starts_with(root) {
            return Err(PackError::Outside { path: shown, target: real });
        }
        let facts = real.metadata().map_err(unread(&shown))?;
        if facts.is_dir() {
            if parents.contains(&real) {
                return Err(PackError::Endless { path: shown });
            }
            to.folder(&name, &facts)?;
            parents.push(real.clone());
            add_folder(to, &real, &name, root, parents)?;
            parents.pop();
        } else if facts.is_file() {
            to.file(&real, &name, &facts)?;
        } else {
            return Err(PackError::Special { path: shown });
        }
    }
    Ok(())
}

fn header(facts: &Metadata, kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(facts.permissions().mode() & 0o777);
    header.set_mtime(facts.mtime().try_into().unwrap_or(0));
    header
}

impl<W: Write> Sink for Builder<W> {
    fn folder(&mut self, name: &Path, facts: &Metadata) -> Result<(), PackError> {
        let mut header = header(facts, EntryType::Directory, 0);
        self.append_data(&mut header, name, io::empty()).map_err(PackError::Write)
    }

    fn file(&mut self, path: &Path, name: &Path, facts: &Metadata) -> Result<(), PackError> {
        let mut header = header(facts, EntryType::Regular, facts.len());
        let file = File::open(path).map_err(unread(path))?;
        // No more than the header says, or the archive would be none.
        let mut reader = Reader { file: (&file).take(facts.len()), failed: None };
        let written = self.append_data(&mut header, name, &mut reader);
        if let Some(error) = reader.failed {
            return Err(unread(path)(error));
        }
        written.map_err(PackError::Write)?;
        let is_short = reader.file.limit() > 0;
        let is_longer = (&file).read(&mut [0]).map_err(unread(path))? > 0;
        if is_short || is_longer {
            return Err(PackError::Changed { path: path.to_owned() });
        }
        Ok(())
    }
}

/// Tells an error of the file from one of the archive.
struct Reader<'a> {
    file: io::Take<&'a File>,
    failed: Option<io::Error>,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer).map_err(|error| {
            let said = io::Error::from(error.kind());
            self.failed = Some(error);
            said
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use flate2::read::GzDecoder;
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    fn packed(folder: &Path) -> Result<Vec<(String, String, u32)>, PackError> {
        let mut bytes = Vec::new();
        pack(folder, &mut bytes)?;
        let mut archive = tar::Archive::new(GzDecoder::new(&*bytes));
        let entry = |entry: io::Result<tar::Entry<'_, _>>| {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            (entry.path().unwrap().display().to_string(), text, entry.header().mode().unwrap())
        };
        Ok(archive.entries().unwrap().map(entry).collect())
    }

    #[test]
    fn a_folder_is_packed_with_what_its_links_inside_lead_to() {
        let room = tempfile::tempdir().unwrap();
        let long = "n".repeat(200);
        fs::create_dir_all(room.path().join("b/empty")).unwrap();
        fs::write(room.path().join("b").join(&long), "long").unwrap();
        fs::write(room.path().join("run.sh"), "echo").unwrap();
        fs::set_permissions(room.path().join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("run.sh", room.path().join("a")).unwrap();
        let found = packed(room.path()).unwrap();
        let names: Vec<_> =
            found.iter().map(|(name, text, _)| (name.trim_end_matches('/'), &**text)).collect();
        let long = format!("b/{long}");
        assert_eq!(names, [("a", "echo"), ("b", ""), ("b/empty", ""), (&*long, "long"), ("run.sh", "echo")]);
        assert_eq!(found[0].2, 0o755, "a program stays one");
        assert_eq!(measure(room.path()).unwrap(), 4 + 4 + 4);
    }

    #[test]
    fn a_file_that_is_not_as_long_as_it_was_is_not_shipped() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("log");
        let pack = |before: &str, after: &str| {
            fs::write(&path, before).unwrap();
            let facts = path.metadata().unwrap();
            fs::write(&path, after).unwrap();
            let mut archive = Builder::new(Vec::new());
            Sink::file(&mut archive, &path, Path::new("log"), &facts)
        };
        pack("123", "456").unwrap();
        for after in ["12", "1234"] {
            let error = pack("123", after).unwrap_err();
            assert!(matches!(error, PackError::Changed { .. }), "{after}: {error}");
        }
    }

    #[test]
    fn what_may_not_be_read_is_refused_before_anything_is_sent() {
        let room = tempfile::tempdir().unwrap();
        fs::write(room.path().join("secret"), "s").unwrap();
        fs::set_permissions(room.path().join("secret"), fs::Permissions::from_mode(0o000)).unwrap();
        // The superuser may read everything.
        if File::open(room.path().join("secret")).is_err() {
            assert!(measure(room.path()).unwrap_err().to_string().contains("secret"));
        }
    }

    #[test]
    fn what_leads_outside_or_nowhere_or_is_no_file_is_refused() {
        let refused = |make: &dyn Fn(&Path)| {
            let room = tempfile::tempdir().unwrap();
            let folder = room.path().join("folder");
            fs::create_dir_all(folder.join("in")).unwrap();
            fs::write(room.path().join("secret"), "s").unwrap();
            make(&folder);
            let (packed, measured) = (packed(&folder).unwrap_err(), measure(&folder).unwrap_err());
            assert_eq!(packed.to_string(), measured.to_string());
            packed
        };
        let outside = refused(&|folder| symlink("../../secret", folder.join("in/x")).unwrap());
        assert!(matches!(outside, PackError::Outside { .. }), "{outside}");
        let endless = refused(&|folder| symlink("..", folder.join("in/x")).unwrap());
        assert!(matches!(endless, PackError::Endless { .. }), "{endless}");
        let nowhere = refused(&|folder| symlink("nothing", folder.join("in/x")).unwrap());
        assert!(matches!(nowhere, PackError::Read { .. }), "{nowhere}");
        let fifo = |folder: &Path| {
            mknodat(CWD, folder.join("in/x"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        };
        let special = refused(&fifo);
        assert!(matches!(special, PackError::Special { .. }), "{special}");
    }
}
