//! From an input to files: globs, folders, names that are skipped, and the order.
//!
//! One set of rules for every file system, as Hadoop's `FileInputFormat` has them: folders are read
//! recursively, by name; names found by looking (in a folder, or by a glob) that begin with `_` or `.` are
//! skipped. A path that is written out in full is taken as it is.

mod glob;
mod local;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

pub(crate) use local::LocalNamespace;

use crate::PlanError;

/// What a planner needs of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileFacts {
    /// Length in bytes.
    pub(crate) len: u64,
    /// HDFS block size in bytes; local files have none.
    pub(crate) block_size: Option<u64>,
    /// Device and inode of a local file.
    pub(crate) identity: Option<(u64, u64)>,
}

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File(FileFacts),
    /// With an identity where links can make a folder its own descendant.
    Folder(Option<(u64, u64)>),
    /// A FIFO, socket or device, by its common name.
    Other(&'static str),
}

/// A file system, as far as listing goes.
pub(crate) trait Namespace {
    /// What stands at `path`; `None` if nothing does.
    fn stat(&self, path: &Path) -> Result<Option<Kind>, PlanError>;
    /// The folder's entries whose names are wanted, in any order. The others are not looked at: it does not
    /// matter what they are.
    fn list(
        &self,
        folder: &Path,
        wanted: &dyn Fn(&OsStr) -> bool,
    ) -> Result<Vec<(OsString, Kind)>, PlanError>;
}

/// A file to feed.
pub(crate) type Found = (PathBuf, FileFacts);

/// All files that `path` names, in the order to feed them. `input` is the argument as written, for messages.
pub(crate) fn expand(space: &impl Namespace, path: &Path, input: &str) -> Result<Vec<Found>, PlanError> {
    let roots = match space.stat(path)? {
        Some(kind) => vec![(path.to_owned(), kind)],
        None => match path.to_str().filter(|text| glob::is_pattern(text)) {
            Some(pattern) => matches(space, pattern, input)?,
            None => Vec::new(),
        },
    };
    if roots.is_empty() {
        return Err(PlanError::NoMatch { input: input.to_owned() });
    }
    let mut files = Vec::new();
    for (path, kind) in roots {
        collect(space, path, kind, &mut Vec::new(), &mut files)?;
    }
    if files.is_empty() {
        return Err(PlanError::NoFiles { input: input.to_owned() });
    }
    Ok(files)
}

fn collect(
    space: &impl Namespace,
    path: PathBuf,
    kind: Kind,
    above: &mut Vec<(u64, u64)>,
    files: &mut Vec<Found>,
) -> Result<(), PlanError> {
    match kind {
        Kind::File(facts) => files.push((path, facts)),
        Kind::Other(kind) => return Err(PlanError::NotAFile { path, kind }),
        Kind::Folder(identity) => {
            if identity.is_some_and(|id| above.contains(&id)) {
                return Err(PlanError::Loop { path });
            }
            above.extend(identity);
            for (name, kind) in by_name(space, &path, &|name| !is_hidden(name.as_bytes()))? {
                collect(space, path.join(name), kind, above, files)?;
            }
            above.truncate(above.len() - usize::from(identity.is_some()));
        }
    }
    Ok(())
}

/// A folder's wanted entries, by name.
fn by_name(
    space: &impl Namespace,
    folder: &Path,
    wanted: &dyn Fn(&OsStr) -> bool,
) -> Result<Vec<(OsString, Kind)>, PlanError> {
    let mut entries = space.list(folder, wanted)?;
    entries.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
    Ok(entries)
}

fn is_hidden(name: &[u8]) -> bool {
    matches!(name.first(), Some(b'_' | b'.'))
}

/// What a glob matches, by path and each once.
fn matches(space: &impl Namespace, pattern: &str, input: &str) -> Result<Vec<(PathBuf, Kind)>, PlanError> {
    let wrong = |reason: String| PlanError::Pattern { input: input.to_owned(), reason };
    let mut all = Vec::new();
    for alternative in glob::alternatives(pattern).map_err(wrong)? {
        let mut level = vec![(PathBuf::new(), None)];
        for component in Path::new(&alternative).components() {
            let text = component.as_os_str().to_string_lossy();
            let mut next = Vec::new();
            if matches!(component, Component::Normal(_)) && glob::is_pattern(&text) {
                let matcher = glob::component(&text).map_err(wrong)?;
                // A pattern that itself begins with the character asks for such names.
                let hidden = is_hidden(text.as_bytes());
                for (base, _) in level {
                    let folder = if base.as_os_str().is_empty() { Path::new(".") } else { &base };
                    if !matches!(space.stat(folder)?, Some(Kind::Folder(_))) {
                        continue;
                    }
                    let wanted = |name: &OsStr| {
                        (hidden || !is_hidden(name.as_bytes())) && matcher.is_match(Path::new(name))
                    };
                    let entries = space.list(folder, &wanted)?;
                    next.extend(entries.into_iter().map(|(name, kind)| (base.join(name), Some(kind))));
                }
            } else {
                next.extend(level.into_iter().map(|(base, _)| (base.join(component), None)));
            }
            level = next;
        }
        for (path, kind) in level {
            let kind = if let Some(kind) = kind { Some(kind) } else { space.stat(&path)? };
            all.extend(kind.map(|kind| (path, kind)));
        }
    }
    all.sort_by(|a, b| a.0.as_os_str().as_bytes().cmp(b.0.as_os_str().as_bytes()));
    all.dedup_by(|a, b| a.0 == b.0);
    Ok(all)
}

#[cfg(test)]
mod tests;
