//! Listing rules on real folders.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;

fn tree() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for path in ["b", "a/2", "a/10", "a/_logs/x", "a/.hidden", "_SUCCESS", "c[1]", "d/e/f", "d/g"] {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }
    fs::create_dir(root.path().join("empty")).unwrap();
    root
}

fn names(root: &tempfile::TempDir, pattern: &str) -> Result<Vec<String>, PlanError> {
    let path = root.path().join(pattern);
    let found = expand(&LocalNamespace, &path, pattern)?;
    Ok(found
        .into_iter()
        .map(|(p, _)| p.strip_prefix(root.path()).unwrap().to_str().unwrap().to_owned())
        .collect())
}

#[test]
fn folders_by_name_without_hidden_names() {
    let root = tree();
    assert_eq!(names(&root, "").unwrap(), ["a/10", "a/2", "b", "c[1]", "d/e/f", "d/g"]);
    assert_eq!(names(&root, "a/").unwrap(), ["a/10", "a/2"]);
    assert_eq!(names(&root, "a/_logs/x").unwrap(), ["a/_logs/x"], "written out in full");
}

#[test]
fn globs() {
    let root = tree();
    assert_eq!(names(&root, "*").unwrap(), ["a/10", "a/2", "b", "c[1]", "d/e/f", "d/g"]);
    assert_eq!(names(&root, "*/?").unwrap(), ["a/2", "d/e/f", "d/g"]);
    assert_eq!(names(&root, "{d/e,a}/*").unwrap(), ["a/10", "a/2", "d/e/f"]);
    assert_eq!(names(&root, "{b,b,?}").unwrap().iter().filter(|n| *n == "b").count(), 1);
    assert_eq!(names(&root, "c[1]").unwrap(), ["c[1]"], "a file of that very name comes first");
    assert_eq!(names(&root, r"c\[1\]").unwrap(), ["c[1]"]);
    assert_eq!(names(&root, "_*").unwrap(), ["_SUCCESS"], "asked for");
}

#[test]
fn nothing_to_feed_is_an_error() {
    let root = tree();
    assert!(matches!(names(&root, "nope"), Err(PlanError::NoMatch { .. })));
    assert!(matches!(names(&root, "b/x"), Err(PlanError::NoMatch { .. })));
    assert!(matches!(names(&root, "z*"), Err(PlanError::NoMatch { .. })));
    assert!(matches!(names(&root, "empty"), Err(PlanError::NoFiles { .. })));
    assert!(matches!(names(&root, "[z"), Err(PlanError::Pattern { .. })));
}

#[test]
fn links_and_special_files() {
    let root = tree();
    symlink("../a", root.path().join("d/link")).unwrap();
    assert_eq!(names(&root, "d").unwrap(), ["d/e/f", "d/g", "d/link/10", "d/link/2"]);
    symlink("..", root.path().join("d/up")).unwrap();
    assert!(matches!(names(&root, "d"), Err(PlanError::Loop { .. })));
    fs::remove_file(root.path().join("d/up")).unwrap();
    symlink("nowhere", root.path().join("d/dangling")).unwrap();
    assert!(matches!(names(&root, "d"), Err(PlanError::Local { .. })));
    rustix::fs::mkfifoat(rustix::fs::CWD, root.path().join("pipe"), 0o600.into()).unwrap();
    assert!(matches!(names(&root, "pipe"), Err(PlanError::NotAFile { kind: "FIFO", .. })));
}
