//! What the end-to-end tests share: the built binary, and running it as a user would.
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a broken set-up must fail the test at once"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// The folder of built binaries. They are built here, so that no test runs a stale one; with `FOREBAY_TEST_BINS=built` they are there,
/// as `cargo test --workspace` has made them, whose features would be built once more.
pub fn bin_dir() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        let test = std::env::current_exe().expect("a test has a path");
        let dir = test.ancestors().nth(2).expect("a test lies in target/PROFILE/deps").to_owned();
        if std::env::var_os("FOREBAY_TEST_BINS").is_some_and(|bins| bins == "built") {
            return dir;
        }
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--bins", "-p", "forebay", "-p", "forebay-fixtures"]);
        if dir.ends_with("release") {
            build.arg("--release");
        }
        let status = build.stdin(Stdio::null()).status().expect("cargo can be started");
        assert!(status.success(), "the binaries do not build");
        dir
    })
}

/// A built binary.
pub fn bin(name: &str) -> PathBuf {
    let path = bin_dir().join(name);
    assert!(path.is_file(), "{} was not built", path.display());
    path
}

/// `forebay` with these arguments, nothing on its standard input.
pub fn forebay<I: IntoIterator<Item: AsRef<std::ffi::OsStr>>>(args: I) -> Command {
    let mut command = Command::new(bin("forebay"));
    command.args(args).stdin(Stdio::null()).env_remove("HADOOP_CONF_DIR").env_remove("FOREBAY_LOG");
    command
}

/// Standard error as text.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
