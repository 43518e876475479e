//! Paths as users write them: `PATH[,PATH...][#alias]`, `PATH[#dir]`, `PATH[#name]`.
//!
//! What follows the last `#` is the alias, folder or name. A comma inside `{…}` belongs to a glob; anywhere else a
//! path's own comma is written `\,`.

use crate::names;
use crate::places::unknown_scheme;

/// The alias of an input that was given none.
pub const DEFAULT_ALIAS: &str = "input";
/// The folder of an output that was given none.
pub const DEFAULT_DIR: &str = "output";

/// A file, folder or glob to feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputPath {
    /// As written: a local path, `file://` or `hdfs://`.
    pub path: String,
    /// The folder in which it is found when it is downloaded, and its key in lists: a single path component.
    pub alias: String,
}

/// Where results go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// A local path, `file://` or `hdfs://`.
    pub path: String,
    /// What is uploaded: a path relative to the worker's folder, without `..`. Without a meaning when standard
    /// output is streamed.
    pub dir: String,
}

/// A file, folder or archive linked into the workers' folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedFile {
    /// Where it is.
    pub path: String,
    /// What the workers find it as: a single path component.
    pub name: String,
}

impl InputPath {
    /// Reads one `--input`.
    pub(crate) fn read(text: &str) -> Result<Vec<Self>, String> {
        let (paths, alias) = tail(text, DEFAULT_ALIAS);
        names::component("the alias", alias)?;
        if alias.starts_with('.') {
            return Err(format!(
                "the alias '{alias}' may not begin with a dot: a hidden folder is easily missed"
            ));
        }
        let paths = split(paths, true)?;
        Ok(paths.into_iter().map(|path| Self { path, alias: alias.to_owned() }).collect())
    }

    /// Writes it as [`Self::read`] reads it.
    pub(crate) fn write(&self) -> String {
        with_tail(escape(&self.path, true), &self.alias, DEFAULT_ALIAS)
    }
}

impl Output {
    /// Reads one `--output`.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let (path, dir) = tail(text, DEFAULT_DIR);
        usable(path)?;
        if let Some(scheme) = unknown_scheme(path, &["file", "hdfs"]) {
            return Err(format!("{scheme}: is not known; an output is a local path, file:// or hdfs://"));
        }
        names::relative("the folder", dir)?;
        Ok(Self { path: path.to_owned(), dir: dir.to_owned() })
    }

    /// Writes it as [`Self::read`] reads it.
    pub(crate) fn write(&self) -> String {
        with_tail(self.path.clone(), &self.dir, DEFAULT_DIR)
    }
}

/// What NodeManagers unpack, by its name (`FSDownload.unpack`).
const ARCHIVES: [&str; 5] = [".tar", ".tar.gz", ".tgz", ".zip", ".jar"];

/// Where a linked file is.
#[derive(Clone, Copy)]
enum Kept {
    Here,
    OnHdfs,
}

impl LinkedFile {
    /// Reads one `--files`.
    pub(crate) fn read(text: &str) -> Result<Vec<Self>, String> {
        split(text, false)?.into_iter().map(|item| Self::read_one(&item, Kept::Here)).collect()
    }

    /// Reads one `--archives`.
    pub(crate) fn read_archive(text: &str) -> Result<Vec<Self>, String> {
        Self::read(text)?.into_iter().map(Self::packed).collect()
    }

    /// Reads one `--cache-file`.
    pub(crate) fn read_stored(text: &str) -> Result<Vec<Self>, String> {
        split(text, false)?.into_iter().map(|item| Self::read_one(&item, Kept::OnHdfs)).collect()
    }

    /// Reads one `--cache-archive`.
    pub(crate) fn read_stored_archive(text: &str) -> Result<Vec<Self>, String> {
        Self::read_stored(text)?.into_iter().map(Self::packed).collect()
    }

    /// NodeManagers go by the name, and would take another file for one that needs no unpacking.
    fn packed(self) -> Result<Self, String> {
        let name = base_name(&self.path).to_ascii_lowercase();
        if ARCHIVES.iter().any(|suffix| name.ends_with(suffix)) {
            return Ok(self);
        }
        let known = ARCHIVES.join(", ");
        Err(format!("'{}' is no archive that YARN unpacks; its name must end in one of {known}", self.path))
    }

    fn read_one(item: &str, kept: Kept) -> Result<Self, String> {
        let (path, name) = tail(item, "");
        usable(path)?;
        match (kept, unknown_scheme(path, &[]), unknown_scheme(path, &["hdfs"])) {
            (Kept::Here, Some(scheme), _) => {
                return Err(format!(
                    "{scheme}: is not known here; what is linked or shipped is a local path, --input downloads others"
                ));
            }
            (Kept::OnHdfs, _, Some(scheme)) => {
                return Err(format!(
                    "{scheme}: is not known here; a cached file is on HDFS; --files ships local ones"
                ));
            }
            _ => {}
        }
        if let Some(rest) = path.strip_prefix("hdfs://")
            && rest.split_once('/').is_none_or(|(_, below)| below.trim_matches('/').is_empty())
        {
            return Err(format!("the path in '{path}' is empty; name a file of that file system"));
        }
        let name = if item.contains('#') { name } else { base_name(path) };
        names::component("the name in the worker's folder", name)
            .map_err(|why| format!("{why} (PATH#NAME gives another)"))?;
        Ok(Self { path: path.to_owned(), name: name.to_owned() })
    }

    /// Writes it as [`Self::read`] reads it.
    pub(crate) fn write(&self) -> String {
        escape(&with_tail(self.path.clone(), &self.name, base_name(&self.path)), false)
    }
}

fn base_name(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// What stands before the last `#`, and what behind it.
fn tail<'a>(text: &'a str, default: &'a str) -> (&'a str, &'a str) {
    text.rsplit_once('#').unwrap_or((text, default))
}

fn with_tail(text: String, tail: &str, default: &str) -> String {
    if tail == default && !text.contains('#') { text } else { format!("{text}#{tail}") }
}

fn usable(path: &str) -> Result<(), String> {
    if path.is_empty() {
        return Err("a path is empty".into());
    }
    if path.contains('\0') {
        return Err("a path holds a NUL".into());
    }
    Ok(())
}

/// Paths between commas.
fn split(text: &str, globs: bool) -> Result<Vec<String>, String> {
    let (mut paths, mut path, mut depth) = (Vec::new(), String::new(), 0_usize);
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\\' if chars.peek() == Some(&',') && depth == 0 => {
                path.push(',');
                chars.next();
                continue;
            }
            '\\' if globs && matches!(chars.peek(), Some('{' | '}' | '\\')) => {
                path.push(char);
                path.extend(chars.next());
                continue;
            }
            '{' if globs => depth += 1,
            '}' if globs => {
                depth =
                    depth.checked_sub(1).ok_or(r"a } without its {; write \} for the character itself")?;
            }
            ',' if depth == 0 => {
                paths.push(std::mem::take(&mut path));
                continue;
            }
            _ => {}
        }
        path.push(char);
    }
    if depth > 0 {
        return Err(r"a { without its }; write \{ for the character itself".into());
    }
    paths.push(path);
    for path in &paths {
        usable(path)?;
        if path.ends_with('\\') {
            return Err(r"a path ends with \, which would hide the comma that follows".into());
        }
    }
    Ok(paths)
}

/// Writes a path so that [`split`] sees one.
fn escape(path: &str, globs: bool) -> String {
    let (mut written, mut depth) = (String::new(), 0_usize);
    let mut chars = path.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\\' if globs && matches!(chars.peek(), Some('{' | '}' | '\\')) => {
                written.push(char);
                written.extend(chars.next());
                continue;
            }
            '{' if globs => depth += 1,
            '}' if globs => depth = depth.saturating_sub(1),
            ',' if depth == 0 => written.push('\\'),
            _ => {}
        }
        written.push(char);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(text: &str) -> Vec<(String, String)> {
        InputPath::read(text).unwrap().into_iter().map(|input| (input.path, input.alias)).collect()
    }

    #[test]
    fn inputs_are_split_at_commas_outside_globs() {
        for (text, paths, alias) in [
            ("a", &["a"][..], "input"),
            ("a,b#x", &["a", "b"], "x"),
            ("hdfs:///d/{1,2}/*,b", &["hdfs:///d/{1,2}/*", "b"], "input"),
            (r"a\,b,c", &["a,b", "c"], "input"),
            (r"a\{,b", &[r"a\{", "b"], "input"),
            ("a#b#input", &["a#b"], "input"),
            (r"{a\,b,c}", &[r"{a\,b,c}"], "input"),
        ] {
            let read = inputs(text);
            assert_eq!(read.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), paths, "{text}");
            assert!(read.iter().all(|(_, found)| found == alias), "{text}");
        }
        for bad in [
            "", ",", "a,", "a#", "#x", "a#.", "a#..", "a#x/y", "a#/x", "a#.x", "a{", "a}", r"a\", r"a\\,b",
            "a\0",
        ] {
            assert!(InputPath::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn outputs_and_files() {
        let output = |path: &str, dir: &str| Ok(Output { path: path.into(), dir: dir.into() });
        assert_eq!(Output::read("hdfs:///o"), output("hdfs:///o", "output"));
        assert_eq!(Output::read("o#a/b"), output("o", "a/b"));
        assert_eq!(Output::read("o#p#a"), output("o#p", "a"));
        for bad in ["", "#a", "o#", "o#..", "o#/a", "o#a/../b", "o#.", "s3://b/k", "o\0"] {
            assert!(Output::read(bad).is_err(), "{bad}");
        }
        let file = |text: &str| {
            LinkedFile::read(text).map(|files| {
                files
                    .into_iter()
                    .map(|file| format!("{}={}", file.name, file.path))
                    .collect::<Vec<_>>()
                    .join(" ")
            })
        };
        assert_eq!(file("/a/b.py,c/#d"), Ok("b.py=/a/b.py d=c/".into()));
        assert_eq!(file(r"c/,a\,b"), Ok("c=c/ a,b=a,b".into()));
        for bad in ["", "/", "..", "a/..", "a#", "a#x/y", "a#..", "hdfs:///a", "a,,b"] {
            assert!(file(bad).is_err(), "{bad}");
        }
        assert_eq!(LinkedFile::read_archive("a/b.tar.gz#d,C.ZIP").unwrap()[1].name, "C.ZIP");
        assert_eq!(LinkedFile::read_stored("hdfs://n:1/m.bin#m,rel/x").unwrap()[0].name, "m");
        assert!(LinkedFile::read_stored_archive("hdfs:/m.tgz").is_ok());
        assert!(LinkedFile::read_archive("a/b.gz").unwrap_err().contains(".tar.gz"));
        assert!(LinkedFile::read_stored_archive("hdfs:/m.rar").is_err());
        assert!(LinkedFile::read_stored("file:///m").unwrap_err().contains("--files"));
    }
}
