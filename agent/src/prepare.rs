//! What a worker finds in its folder when it starts.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::Path;

use forebay_job::{Job, LinkedFile, OutputMode};
use forebay_protocol::{Bootstrap, Container};

use crate::error::Failure;
use crate::folder::{AttemptFolder, is_entry, share, subfolder};

/// Held as long as the attempt has processes.
pub(crate) type Locks = [File; 2];

/// The job's file whose lock says that there may be workers.
pub(crate) fn workers_lock(bootstrap: &Bootstrap) -> std::path::PathBuf {
    bootstrap.job_folder.join("workers.lock")
}

/// Makes the folders, links the job's files, waits until earlier attempts have left.
pub(crate) fn prepare(bootstrap: &Bootstrap, job: &Job, folder: &AttemptFolder) -> Result<Locks, Failure> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |error| Failure::new(format!("cannot prepare {path}: {error}"))
    };
    for earlier in folder.earlier(bootstrap.number) {
        earlier.wait_until_left().map_err(|error| {
            let path = earlier.path().display();
            Failure::new(format!("processes of the attempt of {path} are still there: {error}"))
        })?;
    }
    folder.create().map_err(failed(folder.path()))?;
    let locks = [workers_lock(bootstrap), folder.lock()].map(|lock| share(&lock).map_err(failed(&lock)));
    let [job_lock, own_lock] = locks;
    folder.furnish().map_err(failed(folder.path()))?;
    let files = match &bootstrap.container {
        None => job.files.clone(),
        // What the job names is on its owner's host, and YARN has brought it here.
        Some(container) => localized(container)?,
    };
    for file in &files {
        link(file, folder.work(), job.keep_folder)?;
    }
    if job.output_mode == OutputMode::Upload {
        for output in &job.outputs {
            subfolder(folder.work(), &output.dir).map_err(failed(&folder.work().join(&output.dir)))?;
        }
    }
    Ok([job_lock?, own_lock?])
}

/// What YARN has put into the container's folder for the worker.
fn localized(container: &Container) -> Result<Vec<LinkedFile>, Failure> {
    let here = std::env::current_dir()
        .map_err(|error| Failure::new(format!("cannot find the container's folder: {error}")))?;
    let file = |name: &String| {
        let path = here.join(name);
        let path = path.into_os_string().into_string();
        let not_text = |path: OsString| {
            Failure::new(format!("the container's folder has a name that is no text: {}", path.display()))
        };
        Ok(LinkedFile { path: path.map_err(not_text)?, name: name.clone() })
    };
    container.links.iter().map(file).collect()
}

/// Links one of the job's files. What lies in a folder that was kept stays as the worker has left it.
fn link(file: &LinkedFile, work: &Path, keeps_folder: bool) -> Result<(), Failure> {
    let LinkedFile { path, name } = file;
    let failed = |why: String| Failure::fatal(format!("cannot link {path} into the worker's folder: {why}"));
    if !is_entry(name) {
        return Err(failed(format!("'{name}' is no single name")));
    }
    fs::metadata(path).map_err(|error| failed(error.to_string()))?;
    match symlink(path, work.join(name)) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && keeps_folder => Ok(()),
        other => other.map_err(|error| failed(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_linked_and_nothing_outside() {
        let room = tempfile::tempdir().unwrap();
        let work = room.path().join("work");
        fs::create_dir(&work).unwrap();
        fs::write(room.path().join("file"), "content").unwrap();
        let file = |name: &str| LinkedFile {
            path: room.path().join("file").to_str().unwrap().into(),
            name: name.into(),
        };
        link(&file("name"), &work, false).unwrap();
        assert_eq!(fs::read_to_string(work.join("name")).unwrap(), "content");
        assert!(link(&file("name"), &work, false).is_err(), "two of one name");
        link(&file("name"), &work, true).unwrap();
        for bad in ["..", "../up", "/etc", ""] {
            assert!(link(&file(bad), &work, true).unwrap_err().fatal, "{bad}");
        }
        let absent = LinkedFile { path: "/no/such/file".into(), name: "x".into() };
        assert!(link(&absent, &work, false).unwrap_err().reason.contains("/no/such/file"));
        assert_eq!(fs::read_dir(room.path()).unwrap().count(), 2);
    }
}
