//! The program starts. That its package has a test makes `cargo test --workspace` build it, for the tests of all others.

use std::process::Command;

#[test]
fn it_tells_its_version() {
    let output = Command::new(env!("CARGO_BIN_EXE_forebay")).arg("--version").output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.trim(), format!("forebay {}", env!("CARGO_PKG_VERSION")));
}
