//! With `--input-mode download`: a worker's files, fetched to `./<alias>/<name>` before it starts.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use forebay_protocol::v1;
use forebay_store::{Address, Clusters, fetch};
use tokio::task::JoinSet;

use crate::am::{Am, wait};
use crate::error::Failure;
use crate::folder::{AttemptFolder, is_entry, subfolder};
use crate::over::Cause;
use crate::stage::cancelled_with;
use crate::told::Told;

/// Files fetched at the same time.
const AT_ONCE: usize = 4;
/// Longest file name in bytes.
const LONGEST_NAME: usize = 255;

/// A file, and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    address: String,
    len: u64,
    alias: String,
    name: String,
}

/// Fetches all files into the worker's folder. What an earlier attempt has whole is moved over.
pub(crate) fn download(
    am: &Am,
    files: &[v1::StaticFile],
    number: u32,
    folder: &AttemptFolder,
    clusters: &Arc<Clusters>,
    told: &Told,
) -> Result<(), Cause> {
    told.doing("downloading");
    let wanted = wanted(files)?;
    for file in &wanted {
        subfolder(folder.work(), &file.alias)
            .map_err(|error| Failure::new(format!("cannot make the folder '{}': {error}", file.alias)))?;
    }
    let earlier: Vec<_> = folder.earlier(number).map(|attempt| attempt.work().to_owned()).collect();
    let cancel = cancelled_with(am);
    let (work, clusters, told, over) =
        (folder.work().to_owned(), Arc::clone(clusters), told.clone(), am.over.clone());
    wait(&am.handle, async move {
        let count = wanted.len();
        let bytes: u64 = wanted.iter().map(|file| file.len).sum();
        let (mut running, mut done, mut done_bytes) = (JoinSet::new(), 0_usize, 0);
        let mut left = wanted.into_iter();
        loop {
            told.say(format!("{done} of {count} files downloaded, {done_bytes} of {bytes} bytes"));
            while running.len() < AT_ONCE
                && let Some(file) = left.next()
            {
                let (clusters, cancel) = (Arc::clone(&clusters), cancel.clone());
                let to = work.join(&file.alias).join(&file.name);
                let before: Vec<_> =
                    earlier.iter().map(|work| work.join(&file.alias).join(&file.name)).collect();
                running.spawn(async move {
                    let address = Address::parse(file.address.as_ref()).map_err(Failure::new)?;
                    take_over(&before, &to, file.len);
                    fetch(&clusters, &address, file.len, &to, &cancel).await.map_err(Failure::new)?;
                    Ok::<_, Failure>(file.len)
                });
            }
            match running.join_next().await {
                None => return Ok(()),
                Some(fetched) => {
                    let fetched = fetched.map_err(Failure::new).and_then(|fetched| fetched);
                    // Called off, it fails too; the cause is then the one that called.
                    let recalled = |failure| over.cause().cloned().unwrap_or(Cause::Failed(failure));
                    done_bytes += fetched.map_err(recalled)?;
                    done += 1;
                }
            }
        }
    })?
}

/// Moves a file of an earlier attempt to its place, if it may be the one. Whether it is, `fetch` looks.
fn take_over(before: &[PathBuf], to: &Path, len: u64) {
    if fs::symlink_metadata(to).is_ok() {
        return;
    }
    let fits =
        |path: &&PathBuf| fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() == len);
    if let Some(found) = before.iter().find(fits) {
        // Otherwise it is fetched again.
        let _ = fs::rename(found, to);
    }
}

/// Where each file goes: by its own name, and where two of an alias have the same, the later ones by another, the same one
/// in every attempt.
fn wanted(files: &[v1::StaticFile]) -> Result<Vec<Wanted>, Failure> {
    let (mut wanted, mut used) = (Vec::with_capacity(files.len()), HashSet::new());
    for v1::StaticFile { file, alias, .. } in files {
        let v1::File { address, len, .. } = file.clone().unwrap_or_default();
        let name = address.rsplit('/').next().unwrap_or_default().to_owned();
        if !is_entry(alias) || !is_entry(&name) {
            let why = format!(
                "cannot download {address} to ./{alias}/{name}: this leads out of the worker's folder"
            );
            return Err(Failure::fatal(why));
        }
        used.insert((alias.clone(), name.clone()));
        wanted.push(Wanted { address, len, alias: alias.clone(), name });
    }
    // Names that files have of their own are not given to others.
    let mut taken = HashSet::new();
    for file in &mut wanted {
        if taken.insert((file.alias.clone(), file.name.clone())) {
            continue;
        }
        let mut n = 2_u64;
        let name = loop {
            let name = numbered(&file.name, n);
            if !used.contains(&(file.alias.clone(), name.clone())) {
                break name;
            }
            n += 1;
        };
        used.insert((file.alias.clone(), name.clone()));
        file.name = name;
    }
    Ok(wanted)
}

/// `a.csv` becomes `a-2.csv`.
fn numbered(name: &str, n: u64) -> String {
    // A name may begin with a dot.
    let dot = name.char_indices().skip(1).find(|(_, c)| *c == '.').map_or(name.len(), |(at, _)| at);
    let (stem, suffix) = name.split_at(dot);
    let number = format!("-{n}");
    let mut stem = stem.to_owned();
    while stem.len() + number.len() + suffix.len() > LONGEST_NAME && stem.pop().is_some() {}
    format!("{stem}{number}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(files: &[(&str, &str)]) -> Result<Vec<String>, Failure> {
        let files: Vec<_> = files
            .iter()
            .map(|(alias, address)| v1::StaticFile {
                unit: 0,
                file: Some(v1::File { address: (*address).into(), ..Default::default() }),
                alias: (*alias).into(),
            })
            .collect();
        Ok(wanted(&files)?.into_iter().map(|file| format!("{}/{}", file.alias, file.name)).collect())
    }

    #[test]
    fn equal_names_are_kept_apart() {
        let files = [
            ("a", "/x/part-0"),
            ("a", "hdfs://n:1/y/part-0"),
            ("b", "/x/part-0"),
            ("a", "/z/part-0"),
            ("a", "/z/part-0-2"),
            ("a", "/x/t.tar.gz"),
            ("a", "/y/t.tar.gz"),
            ("a", "/x/.hidden"),
            ("a", "/y/.hidden"),
        ];
        let expected = [
            "a/part-0",
            "a/part-0-3",
            "b/part-0",
            "a/part-0-4",
            "a/part-0-2",
            "a/t.tar.gz",
            "a/t-2.tar.gz",
            "a/.hidden",
            "a/.hidden-2",
        ];
        assert_eq!(names(&files).unwrap(), expected);
        let long = format!("/x/{}", "é".repeat(127));
        let long = names(&[("a", &long), ("a", &long)]).unwrap();
        assert!(long[0] != long[1] && long[1].len() <= 2 + LONGEST_NAME, "{long:?}");
    }

    #[test]
    fn nothing_is_downloaded_elsewhere() {
        for (alias, address) in
            [("..", "/x"), ("a/b", "/x"), ("", "/x"), ("a", "/x/.."), ("a", "/x/"), ("/a", "/x")]
        {
            assert!(names(&[(alias, address)]).unwrap_err().fatal, "{alias} {address}");
        }
    }
}
