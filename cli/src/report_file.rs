//! `--report FILE`: checked before anything is fed, written whole or not at all.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::NamedTempFile;

use crate::talk::Failure;

/// A report to be written.
pub(crate) struct ReportFile {
    path: PathBuf,
    target: Target,
}

enum Target {
    /// Renamed into place when it is complete.
    Staged(NamedTempFile),
    /// A pipe, terminal or device that was there already.
    Stream(File),
}

impl ReportFile {
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        let open = || -> io::Result<Target> {
            if path.metadata().is_ok_and(|meta| !meta.is_file()) {
                return File::options().write(true).open(path).map(Target::Stream);
            }
            let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            tempfile::Builder::new()
                .prefix(".forebay-report-")
                .permissions(Permissions::from_mode(0o666))
                .tempfile_in(folder)
                .map(Target::Staged)
        };
        let target = open().map_err(|e| Self::failed(path, &e))?;
        Ok(Self { path: path.to_owned(), target })
    }

    pub(crate) fn write(self, report: &impl Serialize) -> Result<(), Failure> {
        let Self { path, target } = self;
        let save = || -> io::Result<()> {
            let mut text = serde_json::to_vec_pretty(report)?;
            text.push(b'\n');
            match target {
                Target::Stream(mut stream) => stream.write_all(&text),
                Target::Staged(mut staged) => {
                    staged.write_all(&text)?;
                    staged.persist(&path).map(drop).map_err(|e| e.error)
                }
            }
        };
        save().map_err(|e| Self::failed(&path, &e))
    }

    fn failed(path: &Path, error: &io::Error) -> Failure {
        Failure::failed(format!("cannot write the report {}: {error}", path.display()))
    }
}
