//! What the tests of outputs share.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "test support, of which each binary uses its part"
)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use forebay_output::{Attempt, OutputDir};
use forebay_store::{Address, Clusters};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// The first attempt of the first worker.
pub const FIRST: Attempt = Attempt { index: 0, number: 1 };

pub fn output(address: impl AsRef<OsStr>, job: &str, timeout: Duration) -> OutputDir {
    let clusters = Clusters::new(timeout, Handle::current());
    OutputDir::open(&Address::parse(address.as_ref()).unwrap(), job, &clusters).unwrap()
}

pub fn local(path: &Path) -> OutputDir {
    output(path, "job", Duration::from_secs(1))
}

pub fn go() -> CancellationToken {
    CancellationToken::new()
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().unwrap()
}

/// All files below a folder: relative path and content.
pub fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(at) = pending.pop() {
        for entry in fs::read_dir(&at).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else {
                let relative = path.strip_prefix(folder).unwrap().as_os_str().as_bytes();
                found.push((String::from_utf8_lossy(relative).into_owned(), fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// A command that runs one test of this binary in another role.
pub fn role_command(test: &str, role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env("FOREBAY_TEST_ROLE", role);
    command
}

/// The role of this process, if it is not the test itself.
pub fn role() -> Option<String> {
    std::env::var("FOREBAY_TEST_ROLE").ok()
}
