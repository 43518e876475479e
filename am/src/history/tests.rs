//! A job's history on a real HDFS: whose word is the last.

use std::time::Duration;

use forebay_fixtures::{Hdfs, HdfsOptions};
use forebay_store::Clusters;
use tokio::runtime::{Handle, Runtime};

use super::*;
use crate::checkpoint::HdfsCheckpoint;

/// Longer than anything takes on a busy machine.
const PATIENT: Duration = Duration::from_mins(3);

async fn kept(history: &History, name: &str) -> String {
    let kept = history.remote.read(name).await.unwrap().unwrap_or_default();
    String::from_utf8(kept.to_vec()).unwrap()
}

#[test]
fn an_application_master_writes_nothing_over_its_successors_history() {
    let hdfs = Hdfs::start(&HdfsOptions::default()).unwrap();
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("job");
    let (folder, _) = JobFolder::create("j", Some(&path)).unwrap();
    fs::write(folder.events_file(), "first\n").unwrap();
    Runtime::new().unwrap().block_on(async {
        let clusters = Clusters::new(PATIENT, Handle::current());
        let authority = hdfs.uri().trim_start_matches("hdfs://").to_owned();
        let history = History::new(Remote::new(clusters.cluster(Some(&authority)).unwrap(), "/job"));
        let keep = async |attempt| {
            let (ledger, _) = HdfsCheckpoint::open(history.ledger(), attempt).await.unwrap();
            history.keep(&folder, ledger.successor())
        };
        let first = keep(1).await;
        first.states().send_replace("one".into());
        let deadline = Instant::now() + PATIENT;
        while kept(&history, STATE).await != "one" || kept(&history, EVENTS_FILE).await != "first\n" {
            assert!(Instant::now() < deadline, "nothing is kept");
            sleep(Duration::from_millis(100)).await;
        }
        let second = keep(2).await;
        fs::write(folder.events_file(), "first, and more\n").unwrap();
        first.finish(Some("one, late".into())).await;
        assert_eq!([kept(&history, STATE).await, kept(&history, EVENTS_FILE).await], ["one", "first\n"]);
        // It ends, and the job goes on.
        let Keeper { states, finish, task } = second;
        states.send_replace("two".into());
        drop(finish);
        task.await.unwrap();
        assert_eq!(kept(&history, STATE).await, "one");
        let third = keep(3).await;
        third.states().send_replace("three".into());
        third.finish(None).await;
        let all = [kept(&history, STATE).await, kept(&history, EVENTS_FILE).await];
        assert_eq!(all, ["three", "first, and more\n"]);
    });
}
