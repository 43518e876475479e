//! The ledger on a real HDFS: what is durable, and who may write.

use std::time::Duration;

use forebay_fixtures::{Hdfs, HdfsOptions};
use forebay_scheduler::Attempt;
use forebay_store::Clusters;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::watch;

use super::super::Checkpoint;
use super::*;

/// Longer than a DataNode needs to start on a busy machine.
const PATIENT: Duration = Duration::from_mins(3);

fn record(number: u32) -> LedgerRecord {
    LedgerRecord::Started { attempt: Attempt { index: 0, number } }
}

fn records(numbers: std::ops::RangeInclusive<u32>) -> Vec<LedgerRecord> {
    numbers.map(record).collect()
}

fn start(datanodes: usize) -> (Hdfs, Runtime) {
    let hdfs = Hdfs::start(&HdfsOptions { datanodes, ..HdfsOptions::default() }).unwrap();
    (hdfs, Runtime::new().unwrap())
}

/// To be called in a runtime.
fn folder(hdfs: &Hdfs, path: &str) -> Remote {
    let clusters = Clusters::new(PATIENT, Handle::current());
    let authority = hdfs.uri().trim_start_matches("hdfs://").to_owned();
    Remote::new(clusters.cluster(Some(&authority)).unwrap(), path)
}

async fn open(folder: &Remote, attempt: u32) -> (Checkpoint, Vec<LedgerRecord>) {
    let (ledger, records) = HdfsCheckpoint::open(folder.clone(), attempt).await.unwrap();
    (Checkpoint::Hdfs(Box::new(ledger)), records)
}

async fn append(ledger: &mut Checkpoint, numbers: std::ops::RangeInclusive<u32>) -> Result<(), AmError> {
    for record in records(numbers) {
        ledger.push(&record)?;
    }
    ledger.sync().await
}

#[test]
fn a_new_attempt_reads_all_and_one_that_lives_on_is_told() {
    let (hdfs, runtime) = start(1);
    runtime.block_on(async {
        let folder = folder(&hdfs, "/home/ledger");
        let (mut first, read) = open(&folder, 1).await;
        assert_eq!(read, []);
        append(&mut first, 1..=2).await.unwrap();
        append(&mut first, 3..=3).await.unwrap();
        // Taken, and never made durable: nobody reads it.
        first.push(&record(99)).unwrap();
        let (mut second, read) = open(&folder, 2).await;
        assert_eq!(read, records(1..=3));
        append(&mut second, 4..=5).await.unwrap();
        let error = first.sync().await.unwrap_err();
        assert!(matches!(error, AmError::Superseded { by: 2 }), "{error}");
        append(&mut second, 6..=6).await.unwrap();
        // An attempt that died before it had made a file leaves a gap.
        let (mut fourth, read) = open(&folder, 4).await;
        assert_eq!(read, records(1..=6));
        append(&mut fourth, 7..=7).await.unwrap();
        assert!(matches!(append(&mut second, 98..=98).await, Err(AmError::Superseded { by: 4 })));
        assert!(matches!(HdfsCheckpoint::open(folder.clone(), 3).await, Err(AmError::Superseded { by: 4 })));
        assert_eq!(open(&folder, 5).await.1, records(1..=7));
    });
}

#[test]
fn one_that_the_resource_manager_does_not_answer_looks_for_its_successor() {
    let (hdfs, runtime) = start(1);
    runtime.block_on(async {
        let folder = folder(&hdfs, "/ledger");
        let (first, _) = HdfsCheckpoint::open(folder.clone(), 1).await.unwrap();
        first.successor().look().await.unwrap();
        let (second, _) = HdfsCheckpoint::open(folder.clone(), 2).await.unwrap();
        second.successor().look().await.unwrap();
        let (silence, is_silent) = watch::channel(false);
        let mut superseded = Box::pin(first.successor().wait(is_silent));
        tokio::select! {
            biased;
            error = &mut superseded => panic!("the ResourceManager would have told: {error}"),
            () = std::future::ready(()) => {}
        }
        silence.send_replace(true);
        assert!(matches!(superseded.await, AmError::Superseded { by: 2 }));
    });
}

#[test]
fn the_torn_last_line_of_an_attempt_is_left_out() {
    let (hdfs, runtime) = start(1);
    runtime.block_on(async {
        let folder = folder(&hdfs, "/ledger");
        let (ledger, _) = HdfsCheckpoint::open(folder.clone(), 1).await.unwrap();
        let mut ledger = Checkpoint::Hdfs(Box::new(ledger));
        append(&mut ledger, 1..=1).await.unwrap();
        let Checkpoint::Hdfs(hdfs) = &mut ledger else { panic!() };
        hdfs.pending.extend_from_slice(b"{\"record\":\"sta");
        ledger.sync().await.unwrap();
        let (mut second, read) = open(&folder, 2).await;
        assert_eq!(read, records(1..=1));
        append(&mut second, 2..=2).await.unwrap();
        let (mut third, read) = open(&folder, 3).await;
        assert_eq!(read, records(1..=2));
        let Checkpoint::Hdfs(hdfs) = &mut third else { panic!() };
        hdfs.pending.extend_from_slice(b"{\"record\":\"sta\n");
        third.sync().await.unwrap();
        let error = HdfsCheckpoint::open(folder.clone(), 4).await.unwrap_err();
        assert!(error.to_string().contains("line 3"), "{error}");
    });
}

#[test]
fn records_outlive_datanodes() {
    let (hdfs, runtime) = start(2);
    runtime.block_on(async {
        let folder = folder(&hdfs, "/ledger");
        let (mut ledger, _) = open(&folder, 1).await;
        append(&mut ledger, 1..=100).await.unwrap();
        hdfs.datanode(0).kill();
        for number in 101..=110 {
            append(&mut ledger, number..=number).await.unwrap();
        }
        // Now nobody has a place for another record, until one is back.
        hdfs.datanode(1).kill();
        ledger.push(&record(111)).unwrap();
        let synced = tokio::spawn(async move {
            ledger.sync().await.unwrap();
            ledger
        });
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(!synced.is_finished(), "a record without a DataNode cannot be durable");
        tokio::task::block_in_place(|| {
            hdfs.datanode(0).start().unwrap();
            hdfs.datanode(1).start().unwrap();
        });
        let mut ledger = synced.await.unwrap();
        append(&mut ledger, 112..=112).await.unwrap();
        let Checkpoint::Hdfs(written) = &ledger else { panic!() };
        assert!(written.segment > 0, "no writer goes on after all its DataNodes have died");
        assert_eq!(open(&folder, 2).await.1, records(1..=112));
    });
}
