//! A commit that is broken off before or after each of its changes, on this machine and on a real HDFS, and then finished,
//! undone or lost to another job. Every time the path holds the whole output or none.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use forebay_fixtures::HdfsOptions;
use forebay_store::{Address, Clusters};
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{abort, commit, finish_commit};
use crate::store::{Fuse, Renamed, Store};
use crate::{Attempt, OutputDir, OutputError, State};

const ATTEMPTS: [Attempt; 3] =
    [Attempt { index: 0, number: 1 }, Attempt { index: 1, number: 2 }, Attempt { index: 2, number: 1 }];

/// Where the outputs of a test are: below a folder that is a local one or one of HDFS.
struct Place {
    base: Address,
    clusters: Arc<Clusters>,
}

impl Place {
    fn local(folder: &Path) -> Arc<Self> {
        Arc::new(Self { base: Address::Local(folder.to_owned()), clusters: clusters() })
    }

    fn at(&self, name: &str) -> Address {
        match &self.base {
            Address::Local(path) => Address::Local(path.join(name)),
            Address::Hdfs { authority, path } => {
                Address::Hdfs { authority: authority.clone(), path: format!("{path}/{name}") }
            }
        }
    }

    fn output(&self, name: &str, job: &str) -> OutputDir {
        OutputDir::open(&self.at(name), job, &self.clusters).unwrap()
    }

    fn fused(&self, name: &str, job: &str, fuse: &Fuse) -> OutputDir {
        let OutputDir { store, job } = self.output(name, job);
        OutputDir { store: store.with_fuse(fuse), job }
    }
}

fn clusters() -> Arc<Clusters> {
    Arc::new(Clusters::new(Duration::from_mins(1), Handle::current()))
}

/// What workers left: one folder each, with files, an empty one and an empty folder.
fn worked() -> TempDir {
    let work = tempfile::tempdir().unwrap();
    for attempt in ATTEMPTS {
        let out = work.path().join(attempt.to_string()).join("out");
        std::fs::create_dir_all(out.join("a/empty")).unwrap();
        std::fs::write(out.join("a/file"), format!("of {attempt}")).unwrap();
        std::fs::write(out.join("nothing"), "").unwrap();
    }
    work
}

async fn stage(output: &OutputDir, work: &Path) {
    assert_eq!(output.begin().await.unwrap(), State::Open);
    let mut uploads = JoinSet::new();
    for attempt in ATTEMPTS {
        let (output, work) = (output.clone(), work.join(attempt.to_string()));
        uploads.spawn(async move {
            output.upload(attempt, &work, "out".as_ref(), &CancellationToken::new()).await.unwrap();
        });
    }
    uploads.join_all().await;
}

/// All files and folders below a path that are not staging, with the files' content.
async fn content(store: &Store) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut pending = vec![String::new()];
    store.stat("").await.unwrap()?;
    while let Some(folder) = pending.pop() {
        for entry in store.list(&folder).await.unwrap().unwrap() {
            let path = PathBuf::from(&folder).join(&entry.name).into_os_string().into_string().unwrap();
            if entry.is_folder {
                pending.push(path.clone());
                found.push((path, "folder".to_owned()));
            } else {
                let bytes = store.read(&path).await.unwrap().unwrap();
                found.push((path, String::from_utf8(bytes).unwrap()));
            }
        }
    }
    found.sort();
    Some(found)
}

fn whole(job: &str) -> Vec<(String, String)> {
    let mut wanted = vec![("_SUCCESS".to_owned(), format!(r#"{{"version":1,"job":"{job}"}}"#))];
    for attempt in ATTEMPTS {
        let index = attempt.index;
        wanted.push((format!("{index}"), "folder".into()));
        wanted.push((format!("{index}/a"), "folder".into()));
        wanted.push((format!("{index}/a/empty"), "folder".into()));
        wanted.push((format!("{index}/a/file"), format!("of {attempt}")));
        wanted.push((format!("{index}/nothing"), String::new()));
    }
    wanted.sort();
    wanted
}

/// As many looks as are tried at the same time: on HDFS, closing a file is mostly waiting.
const AT_ONCE: i64 = 16;
/// Before and after each change.
const ALL: i64 = 1;
/// Before each change alone: to those that come later, an answer that is lost with the asker is the same as one that came.
const BEFORE: i64 = 2;

/// Breaks a commit to two paths off at each change, and lets `then` go on; ends when a commit has come to its end.
async fn break_everywhere<F: Future<Output = ()> + Send + 'static>(
    place: &Arc<Place>,
    stride: i64,
    then: fn(String, [OutputDir; 2]) -> F,
) {
    let work = Arc::new(worked());
    let mut looks = 0;
    loop {
        let mut batch = JoinSet::new();
        for _ in 0..AT_ONCE {
            let (place, work) = (Arc::clone(place), Arc::clone(&work));
            batch.spawn(async move { break_off(&place, work.path(), looks, then).await });
            looks += stride;
        }
        if batch.join_all().await.contains(&true) {
            assert!(looks > 60, "fewer than {looks} looks are too few for a commit");
            return;
        }
    }
}

/// Whether the commit came to its end before the fuse blew.
async fn break_off<F: Future<Output = ()>>(
    place: &Place,
    work: &Path,
    looks: i64,
    then: fn(String, [OutputDir; 2]) -> F,
) -> bool {
    let (one, two) = (format!("{looks}/one"), format!("{looks}/two"));
    let whole = [place.output(&one, "job"), place.output(&two, "job")];
    for output in &whole {
        stage(output, work).await;
    }
    let fuse = Fuse::new(looks);
    let broken = [place.fused(&one, "job", &fuse), place.fused(&two, "job", &fuse)];
    let done = commit(&broken, &ATTEMPTS).await;
    assert_eq!(done.is_err(), fuse.is_blown(), "{looks}: {done:?}");
    then(format!("after {looks}"), whole).await;
    done.is_ok()
}

async fn finished(context: String, outputs: [OutputDir; 2]) {
    for output in &outputs {
        output.begin().await.unwrap();
    }
    if finish_commit(&outputs).await.unwrap() == State::Open {
        for output in &outputs {
            assert!(
                content(&output.store).await.unwrap().iter().all(|(path, _)| path.starts_with("_temporary"))
            );
        }
        commit(&outputs, &ATTEMPTS).await.unwrap();
    }
    for output in &outputs {
        assert_eq!(content(&output.store).await.unwrap(), whole("job"), "{context}");
        assert_eq!(output.state().await.unwrap(), State::Committed);
    }
    // Once more, and nothing changes.
    commit(&outputs, &ATTEMPTS).await.unwrap();
    assert_eq!(content(&outputs[0].store).await.unwrap(), whole("job"), "{context}");
}

async fn aborted(context: String, outputs: [OutputDir; 2]) {
    let wanted = match abort(&outputs).await {
        Ok(()) => None,
        // What was declared a success stays one, in all paths.
        Err(OutputError::Done { .. }) => {
            finish_commit(&outputs).await.unwrap();
            Some(whole("job"))
        }
        Err(error) => panic!("{context}: {error}"),
    };
    for output in &outputs {
        assert_eq!(content(&output.store).await, wanted, "{context}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_commit_broken_off_anywhere_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    break_everywhere(&Place::local(folder.path()), ALL, finished).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_commit_broken_off_anywhere_is_undone() {
    let folder = tempfile::tempdir().unwrap();
    break_everywhere(&Place::local(folder.path()), ALL, aborted).await;
}

/// Finishing and undoing are broken off, too, and taken up again.
#[tokio::test(flavor = "multi_thread")]
async fn going_on_may_be_broken_off_again() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::local(folder.path());
    let work = worked();
    for undo in [false, true] {
        for (first, second) in [(17, 5), (25, 9), (25, 1), (31, 13), (31, 4), (40, 3), (55, 7), (60, 2)] {
            let name = format!("{undo}-{first}-{second}");
            let output = place.output(&name, "job");
            stage(&output, work.path()).await;
            let broken = place.fused(&name, "job", &Fuse::new(first));
            let _ = commit(std::slice::from_ref(&broken), &ATTEMPTS).await;
            let again = place.fused(&name, "job", &Fuse::new(second));
            let _ = if undo { again.abort().await } else { commit(&[again], &ATTEMPTS).await };
            let ending = if undo {
                output.abort().await
            } else {
                commit(std::slice::from_ref(&output), &ATTEMPTS).await
            };
            match ending {
                Ok(()) if undo => {
                    let left = content(&output.store).await.unwrap_or_default();
                    assert_eq!(left, [], "{name}");
                }
                Ok(()) | Err(OutputError::Done { .. }) => {
                    finish_commit(std::slice::from_ref(&output)).await.unwrap();
                    assert_eq!(content(&output.store).await.unwrap(), whole("job"), "{name}");
                }
                Err(error) => panic!("{name}: {error}"),
            }
        }
    }
}

/// Another job comes after one that was broken off at any point: it wins and the first one loses, or the other way round.
async fn another_job_comes(context: String, outputs: [OutputDir; 2]) {
    let work = worked();
    let [first, _] = &outputs;
    let second = OutputDir { store: first.store.clone(), job: "other".into() };
    let won = async {
        second.begin().await?;
        stage(&second, work.path()).await;
        commit(std::slice::from_ref(&second), &ATTEMPTS).await
    };
    let (winner, error) = match won.await {
        Ok(()) => ("other", commit(&outputs, &ATTEMPTS).await.unwrap_err()),
        Err(error) => {
            commit(&outputs, &ATTEMPTS).await.unwrap();
            ("job", error)
        }
    };
    assert!(error.to_string().contains(winner), "{context}: {error}");
    assert_eq!(content(&first.store).await.unwrap(), whole(winner), "{context}");
    if winner == "other" {
        // In its other path the loser has left nothing either.
        assert_eq!(content(&outputs[1].store).await, None, "{context}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_comes_after_a_broken_commit_wins_whole_or_loses() {
    let folder = tempfile::tempdir().unwrap();
    break_everywhere(&Place::local(folder.path()), ALL, another_job_comes).await;
}

/// What makes a claim exclusive.
async fn renames_replace_nothing(place: &Place) {
    let store = place.output("renames", "job").store;
    store.make_folder("full", false).await.unwrap();
    store.make_folder("empty", false).await.unwrap();
    for (name, content) in [("full/f", "in full"), ("a", "of a"), ("b", "of b")] {
        store.write(name, content.into()).await.unwrap();
    }
    for (from, to, wanted) in [
        ("a", "b", Renamed::Exists),
        ("a", "empty", Renamed::Exists),
        ("full", "empty", Renamed::Exists),
        ("full", "a", Renamed::Exists),
        ("none", "new", Renamed::NoSource),
        ("a", "full/a", Renamed::Done),
        ("full", "moved", Renamed::Done),
    ] {
        assert_eq!(store.rename(from, to).await.unwrap(), wanted, "{from} to {to}");
    }
    let text = |path: &str, content: &str| (path.to_owned(), content.to_owned());
    let wanted = [
        text("b", "of b"),
        text("empty", "folder"),
        text("moved", "folder"),
        text("moved/a", "of a"),
        text("moved/f", "in full"),
    ];
    assert_eq!(content(&store).await.unwrap(), wanted);
}

#[tokio::test]
async fn local_renames_replace_nothing() {
    let folder = tempfile::tempdir().unwrap();
    renames_replace_nothing(&Place::local(folder.path())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_jobs_that_race_for_a_path_one_wins_and_the_others_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    race(&Place::local(folder.path()), 20).await;
}

async fn race(place: &Place, rounds: usize) {
    let work = worked();
    for round in 0..rounds {
        let name = format!("race{round}");
        let jobs = ["a", "b", "c", "d"];
        let mut racers = Vec::new();
        for job in jobs {
            let output = place.output(&name, job);
            stage(&output, work.path()).await;
            racers.push(async move { commit(&[output], &ATTEMPTS).await });
        }
        // All are staged before the first begins.
        let racers: Vec<_> = racers.into_iter().map(tokio::spawn).collect();
        let (mut winners, mut errors) = (Vec::new(), Vec::new());
        for (racer, job) in racers.into_iter().zip(jobs) {
            match racer.await.unwrap() {
                Ok(()) => winners.push(job),
                Err(error) => errors.push(error.to_string()),
            }
        }
        let [winner] = winners[..] else { panic!("{winners:?} won: {errors:?}") };
        // Who was claiming when the winner looked has lost to another loser at worst; one of them is named.
        assert!(
            errors.iter().all(|error| jobs.iter().any(|job| error.contains(&format!(" {job}")))),
            "{errors:?}"
        );
        assert_eq!(content(&place.output(&name, winner).store).await.unwrap(), whole(winner));
    }
}

#[test]
fn hdfs_commits_broken_off_anywhere_are_finished_undone_or_lost() {
    let hdfs = forebay_fixtures::Hdfs::start(&HdfsOptions::default()).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let at = |name: &str| {
            let base = Address::parse(OsStr::new(&format!("{}/{name}", hdfs.uri()))).unwrap();
            Arc::new(Place { base, clusters: clusters() })
        };
        renames_replace_nothing(&at("renames")).await;
        break_everywhere(&at("finished"), BEFORE, finished).await;
        break_everywhere(&at("undone"), BEFORE, aborted).await;
        break_everywhere(&at("lost"), BEFORE, another_job_comes).await;
        race(&at("race"), 5).await;
    });
}
