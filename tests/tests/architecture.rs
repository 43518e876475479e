//! The architecture page is true: rooms depend only on what it allows, and what it names exists.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn page() -> String {
    std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap()
}

/// Texts between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[derive(Debug)]
struct Room {
    folder: String,
    may_use: BTreeSet<String>,
    /// `None`: any.
    outside: Option<BTreeSet<String>>,
}

/// The table of rooms, by crate.
fn table() -> BTreeMap<String, Room> {
    let page = page();
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let rooms: BTreeMap<_, _> = rows
        .map(|row| {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            let set = |cell: &str| quoted(cell).map(str::to_owned).collect::<BTreeSet<_>>();
            let outside = (cells[4] != "any").then(|| set(cells[4]));
            let folder = cells[1].trim_matches('`').to_owned();
            (cells[2].trim_matches('`').to_owned(), Room { folder, may_use: set(cells[3]), outside })
        })
        .collect();
    assert!(rooms.len() > 5, "the table of rooms was not found");
    rooms
}

/// The workspace's crates: folder and normal or build dependencies.
fn crates() -> BTreeMap<String, (PathBuf, BTreeSet<String>)> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let folder = Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap().to_owned();
            let dependencies = package["dependencies"].as_array().unwrap().iter();
            let uses = dependencies
                .filter(|dependency| dependency["kind"] != "dev")
                .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
                .collect();
            (package["name"].as_str().unwrap().to_owned(), (folder, uses))
        })
        .collect()
}

#[test]
fn rooms_depend_only_on_what_the_table_allows() {
    let (table, crates) = (table(), crates());
    assert_eq!(
        table.keys().collect::<Vec<_>>(),
        crates.keys().collect::<Vec<_>>(),
        "the table lists all crates"
    );
    for (name, (folder, uses)) in &crates {
        let room = &table[name];
        assert_eq!(&root().join(&room.folder), folder, "{name}");
        assert!(
            room.may_use.iter().all(|used| crates.contains_key(used)),
            "{name}: the table allows what is not there"
        );
        for used in uses {
            let allowed = if crates.contains_key(used) { Some(&room.may_use) } else { room.outside.as_ref() };
            assert!(allowed.is_none_or(|allowed| allowed.contains(used)), "{name} may not depend on {used}");
        }
    }
}

#[test]
fn pure_rooms_are_pure() {
    let impure =
        ["std::fs", "std::net", "std::io", "std::time", "std::thread", "std::process", "std::env", "std::os"];
    let mut seen = 0;
    for room in table().values().filter(|room| room.outside.is_some()) {
        for path in rust_files(&root().join(&room.folder).join("src")) {
            let text = std::fs::read_to_string(&path).unwrap();
            for word in impure {
                assert!(!text.contains(word), "{} names {word}", path.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 5, "only {seen} files were looked at");
}

#[test]
fn tests_and_files_that_the_pages_name_exist() {
    let mut tests = 0;
    for page in ["ARCHITECTURE.md", "README.md", "CONTRIBUTING.md"] {
        let text = std::fs::read_to_string(root().join(page)).unwrap();
        let mut file = None;
        for word in quoted(&text) {
            if word.contains('/')
                && !word.contains(' ')
                && !word.contains(['*', ':', '$', '<', '{'])
                && !word.starts_with(['/', '.', '~'])
            {
                let path = root().join(word);
                let made_by_running = ["sample", "target"].iter().any(|made| word.starts_with(made));
                assert!(path.exists() || made_by_running, "{page} names {word}, which is not there");
                file = path.is_file().then_some(path);
            } else if let Some(file) =
                file.as_ref().filter(|file| file.starts_with(root().join("tests/tests")))
                && word.len() > 8
                && word.contains('_')
                && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            {
                let source = std::fs::read_to_string(file).unwrap();
                assert!(
                    source.contains(&format!("fn {word}(")),
                    "{page}: {} has no test {word}",
                    file.display()
                );
                tests += 1;
            }
        }
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap();
            assert!(
                link.starts_with("http") || path.is_empty() || root().join(path).exists(),
                "{page} links to {link}"
            );
        }
    }
    assert!(tests > 20, "only {tests} tests are named");
}

#[test]
fn every_source_file_says_what_it_is_for() {
    let mut files = Vec::new();
    for (folder, _) in crates().into_values() {
        files.extend(["src", "tests"].iter().flat_map(|part| rust_files(&folder.join(part))));
    }
    assert!(files.len() > 50, "only {} files were found", files.len());
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//! "), "{} does not begin by saying what it is for", path.display());
        let lines = text.lines().count();
        assert!(lines <= 600, "{} has {lines} lines: is it still one idea?", path.display());
    }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
