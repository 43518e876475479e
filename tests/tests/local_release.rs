//! What is shipped runs anywhere: on old systems, without symbols, with nothing beside it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use forebay_tests::said;
use object::Endianness;
use object::elf::{DT_NEEDED, FileHeader64, SHT_DYNSYM, SHT_SYMTAB};
use object::read::elf::{Dyn, FileHeader, SectionHeader};

/// The oldest glibc that a release runs with.
const GLIBC: [u32; 2] = [2, 17];
/// What glibc itself brings.
const LIBRARIES: [&str; 6] = ["ld-linux", "libc.so", "libdl.so", "libm.so", "libpthread.so", "librt.so"];

/// What of a binary concerns the machines that it can run on.
#[derive(Debug, Default)]
struct Binary {
    /// Versions of its libraries' symbols that it asks for (`GLIBC_2.17`), each with its symbols.
    versions: BTreeMap<String, Vec<String>>,
    /// Sections that only a debugger needs.
    for_debuggers: Vec<String>,
    /// Libraries it is linked with.
    libraries: Vec<String>,
}

impl Binary {
    fn read(path: &Path) -> Self {
        let data = &*fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let header = FileHeader64::<Endianness>::parse(data).unwrap();
        let endian = header.endian().unwrap();
        let sections = header.sections(endian, data).unwrap();
        let mut binary = Self::default();
        for section in sections.iter() {
            let name = text(sections.section_name(endian, section).unwrap());
            if section.sh_type(endian) == SHT_SYMTAB || name.contains("debug") {
                binary.for_debuggers.push(name);
            }
        }

        // Versions may be asked for without a symbol, as `GLIBC_ABI_DT_RELR` is.
        let (mut needed, link) = sections.gnu_verneed(endian, data).unwrap().unwrap();
        let strings = sections.strings(endian, data, link).unwrap();
        while let Some((_, mut versions)) = needed.next().unwrap() {
            while let Some(version) = versions.next().unwrap() {
                binary.versions.entry(text(version.name(endian, strings).unwrap())).or_default();
            }
        }
        let versions = sections.versions(endian, data).unwrap().unwrap();
        let symbols = sections.symbols(endian, data, SHT_DYNSYM).unwrap();
        for (index, symbol) in symbols.enumerate() {
            let version = versions.version_index(endian, index).index();
            if let Some(version) = versions.version(version).unwrap() {
                let name = text(symbols.symbol_name(endian, symbol).unwrap());
                binary.versions.entry(text(version.name())).or_default().push(name);
            }
        }

        let (entries, link) = sections.dynamic(endian, data).unwrap().unwrap();
        let strings = sections.strings(endian, data, link).unwrap();
        let libraries = entries.iter().filter(|entry| entry.tag(endian) == DT_NEEDED);
        binary.libraries = libraries.map(|entry| text(entry.string(endian, strings).unwrap())).collect();
        binary
    }

    /// Why it must not be shipped.
    fn faults(&self) -> Vec<String> {
        let is_new = |(name, _): &(&String, _)| match name.strip_prefix("GLIBC_") {
            // What is no number (`PRIVATE`) is asked of the very glibc that was there.
            Some(n) => {
                n.split('.').map(|n| n.parse().unwrap_or(u32::MAX)).collect::<Vec<_>>() > GLIBC.to_vec()
            }
            None => false,
        };
        let new = self.versions.iter().filter(is_new);
        let new = new.map(|(name, symbols)| format!("{name} is needed: {}", symbols.join(" ")));
        let for_debuggers = self.for_debuggers.iter().map(|name| format!("{name} is not stripped"));
        let is_foreign = |name: &&String| !LIBRARIES.iter().any(|ours| name.starts_with(ours));
        let foreign = self.libraries.iter().filter(is_foreign).map(|name| format!("{name} is needed"));
        new.chain(for_debuggers).chain(foreign).collect()
    }
}

fn release() -> PathBuf {
    let target = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned();
    std::env::var_os("FOREBAY_RELEASE").map_or_else(|| target.join("dist/forebay"), PathBuf::from)
}

#[test]
#[ignore = "reads what ./release has built"]
fn a_release_needs_no_newer_glibc_no_other_library_and_is_stripped() {
    let binary = Binary::read(&release());
    let symbols: Vec<_> = binary.versions.values().flatten().collect();
    assert!(symbols.len() > 100, "not all was read: {binary:?}");
    assert!(binary.libraries.iter().any(|name| name == "libc.so.6"), "not all was read: {binary:?}");
    let faults = binary.faults();
    assert!(faults.is_empty(), "{}:\n{}", release().display(), faults.join("\n"));
}

#[test]
#[ignore = "runs what ./release has built"]
fn a_release_feeds_a_worker() {
    let room = tempfile::tempdir().unwrap();
    let lines = "a line\n".repeat(100_000);
    fs::write(room.path().join("in"), &lines).unwrap();
    let mut feed = Command::new(release());
    feed.args(["feed", "in", "--split-size", "64K", "--", "sh", "-c", "cat > got"]).current_dir(room.path());
    let output = feed.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(fs::read_to_string(room.path().join("got")).unwrap() == lines, "other bytes than stored");
}

/// So that the first of these tests can fail.
#[test]
fn a_development_build_is_no_release() {
    let binary = Binary::read(&forebay_tests::bin("forebay"));
    let faults = binary.faults();
    assert!(faults.contains(&".symtab is not stripped".to_owned()), "{faults:?}");
    assert!(faults.contains(&"libgcc_s.so.1 is needed".to_owned()), "{faults:?}");
    let symbols: Vec<_> = binary.versions.values().flatten().collect();
    assert!(symbols.len() > 100, "{binary:?}");
}
