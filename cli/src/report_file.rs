//! `--report FILE`: checked before anything is fed, written whole or not at all, never over anything that is
//! being read or written.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::fstat;
use rustix::stdio::{stderr, stdout};
use serde::Serialize;
use tempfile::NamedTempFile;

use crate::talk::Failure;

/// Where a report is to go.
pub(crate) struct ReportFile {
    /// As the user wrote it.
    shown: PathBuf,
    /// Where it leads.
    path: PathBuf,
    /// The file is open as our standard output or standard error: it is added to, not replaced.
    is_ours: bool,
}

/// A report that can be written.
pub(crate) struct StagedReport {
    shown: PathBuf,
    path: PathBuf,
    target: Target,
}

enum Target {
    /// Renamed into place when it is complete.
    Staged(NamedTempFile),
    /// A pipe, terminal or device that was there already, or a file that is also an output of ours.
    Stream(File),
}

impl ReportFile {
    /// `feeds_stdout`: bytes are fed to standard output, which then is no place for a report.
    pub(crate) fn new(shown: &Path, feeds_stdout: bool) -> Result<Self, Failure> {
        let shown = shown.to_owned();
        // Through links: what is replaced is the file, not the link to it.
        let path = fs::canonicalize(&shown).unwrap_or_else(|_| shown.clone());
        let identity = path.metadata().ok().map(|meta| (meta.dev(), meta.ino()));
        let is = |stat: rustix::fs::Stat| identity == Some((stat.st_dev, stat.st_ino));
        let (is_stdout, is_stderr) = (fstat(stdout()).is_ok_and(is), fstat(stderr()).is_ok_and(is));
        if is_stdout && feeds_stdout && path.is_file() {
            let path = shown.display();
            return Err(Failure::failed(format!(
                "{path} is standard output; write the report to another file"
            )));
        }
        Ok(Self { shown, path, is_ours: is_stdout || is_stderr })
    }

    /// As the user wrote it.
    pub(crate) fn shown(&self) -> &Path {
        &self.shown
    }

    /// Nothing is lost by writing it: there is no such file, or it is an earlier report.
    pub(crate) fn is_new_or_report(&self) -> bool {
        if !self.path.is_file() {
            return true;
        }
        let earlier = File::open(&self.path)
            .ok()
            .and_then(|file| serde_json::from_reader::<_, serde_json::Value>(io::BufReader::new(file)).ok());
        earlier.is_some_and(|value| value.get("outcome").is_some())
    }

    /// Makes sure that it can be written.
    pub(crate) fn stage(self) -> Result<StagedReport, Failure> {
        let Self { shown, path, is_ours } = self;
        let open = || -> io::Result<Target> {
            if is_ours || path.metadata().is_ok_and(|meta| !meta.is_file()) {
                return File::options().append(true).open(&path).map(Target::Stream);
            }
            let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            tempfile::Builder::new()
                .prefix(".forebay-report-")
                .permissions(Permissions::from_mode(0o666))
                .tempfile_in(folder)
                .map(Target::Staged)
        };
        match open() {
            Ok(target) => Ok(StagedReport { shown, path, target }),
            Err(error) => Err(cannot_write(&shown, &error)),
        }
    }
}

impl StagedReport {
    pub(crate) fn write(self, report: &impl Serialize) -> Result<(), Failure> {
        let Self { shown, path, target } = self;
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
        save().map_err(|e| cannot_write(&shown, &e))
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    // The name of the file being staged, which the library adds, would only confuse.
    let reason = io::Error::from(error.kind());
    Failure::failed(format!("cannot write the report {}: {reason}", path.display()))
}
