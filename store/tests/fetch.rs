//! Files fetched from a folder of this machine and from a real HDFS: whole, once, or a clear error.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use forebay_fixtures::{Hdfs, HdfsOptions};
use forebay_store::{Address, Clusters, FetchError, Fetched, fetch};
use rustix::fs::{CWD, mkfifoat};
use tokio::runtime::{Handle, Runtime};
use tokio_util::sync::CancellationToken;

const MIB: usize = 1 << 20;

async fn get(from: &str, len: usize, to: &Path, timeout: Duration) -> Result<Fetched, FetchError> {
    let clusters = Clusters::new(timeout, Handle::current());
    let address = Address::parse(OsStr::new(from)).unwrap();
    fetch(&clusters, &address, len as u64, to, &CancellationToken::new()).await
}

/// Names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn numbered(len: usize) -> Vec<u8> {
    (0u64..).flat_map(|n| format!("{n:015}\n").into_bytes()).take(len).collect()
}

/// What holds for either kind of address. `rewrite` puts other bytes of the same length there.
async fn is_fetched_once(from: &str, bytes: &[u8], rewrite: impl AsyncFn()) {
    let folder = tempfile::tempdir().unwrap();
    let (to, patient) = (folder.path().join("alias/deep/name"), Duration::from_mins(2));
    let again = async || get(from, bytes.len(), &to, patient).await;
    assert_eq!(again().await.unwrap(), Fetched::Copied);
    assert!(fs::read(&to).unwrap() == bytes);
    assert_eq!(again().await.unwrap(), Fetched::Kept);
    // Cut, changed, or changed at its source, it is fetched again.
    File::options().write(true).open(&to).unwrap().set_len(1).unwrap();
    assert_eq!(again().await.unwrap(), Fetched::Copied);
    fs::write(&to, vec![0; bytes.len()]).unwrap();
    assert_eq!(again().await.unwrap(), Fetched::Copied);
    rewrite().await;
    assert_eq!(again().await.unwrap(), Fetched::Copied);
    assert!(fs::read(&to).unwrap() != bytes);
    assert_eq!(names(to.parent().unwrap()), ["name"]);
    let error = get(from, bytes.len() + 1, &to.with_file_name("other"), patient).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains(from) && text.contains("when the job was planned"), "{text}");
    assert_eq!(names(to.parent().unwrap()), ["name"], "what failed leaves nothing");
    let long = to.with_file_name("n".repeat(255));
    assert_eq!(get(from, bytes.len(), &long, patient).await.unwrap(), Fetched::Copied);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_file_is_fetched_once() {
    let folder = tempfile::tempdir().unwrap();
    let (path, bytes) = (folder.path().join("from"), numbered(3 * MIB + 5));
    fs::write(&path, &bytes).unwrap();
    let text = path.to_str().unwrap();
    is_fetched_once(text, &bytes, async || fs::write(&path, vec![1; bytes.len()]).unwrap()).await;
    // What cannot be fetched is named, and nothing hangs.
    let fifo = folder.path().join("fifo");
    mkfifoat(CWD, &fifo, 0o600.into()).unwrap();
    for (from, word) in
        [(&*fifo, "no regular file"), (folder.path(), "no regular file"), (Path::new("/no/such"), "No such")]
    {
        let text = from.to_str().unwrap();
        let error =
            get(text, 0, &folder.path().join("to"), Duration::from_secs(1)).await.unwrap_err().to_string();
        assert!(error.contains(text) && error.contains(word), "{error}");
    }
    let (cancel, clusters) =
        (CancellationToken::new(), Clusters::new(Duration::from_secs(1), Handle::current()));
    cancel.cancel();
    let to = folder.path().join("called-off/to");
    let called = fetch(&clusters, &Address::Local(path.clone()), bytes.len() as u64, &to, &cancel).await;
    assert!(matches!(called, Err(FetchError::Cancelled { .. })), "{called:?}");
    assert!(names(to.parent().unwrap()).is_empty());
}

#[test]
fn hdfs_files_are_fetched_once_and_through_a_restart() {
    let options = HdfsOptions { block_size: MIB as u64, ..HdfsOptions::default() };
    let hdfs = Hdfs::start(&options).unwrap();
    let (bytes, other) = (numbered(5 * MIB + 3), vec![1; 5 * MIB + 3]);
    hdfs.write("/in/file", bytes.clone(), None).unwrap();
    hdfs.write("/empty", "", None).unwrap();
    let runtime = Runtime::new().unwrap();
    let uri = |path: &str| format!("{}{path}", hdfs.uri());
    runtime.block_on(is_fetched_once(&uri("/in/file"), &bytes, async || {
        // The fixture's client has a runtime of its own.
        tokio::task::block_in_place(|| {
            std::thread::scope(|scope| {
                scope.spawn(|| hdfs.write("/in/file", other.clone(), None).unwrap());
            });
        });
    }));
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("to");
    let patient = Duration::from_mins(2);
    assert_eq!(runtime.block_on(get(&uri("/empty"), 0, &to, patient)).unwrap(), Fetched::Copied);
    let error = runtime.block_on(get(&uri("/in"), 0, &to, patient)).unwrap_err().to_string();
    assert!(error.contains("no regular file"), "{error}");
    // While the only DataNode and the NameNode are away, it waits.
    hdfs.namenode().kill();
    hdfs.datanode(0).kill();
    std::thread::scope(|scope| {
        let fetching = scope.spawn(|| runtime.block_on(get(&uri("/in/file"), other.len(), &to, patient)));
        hdfs.namenode().start().unwrap();
        hdfs.datanode(0).start().unwrap();
        assert_eq!(fetching.join().unwrap().unwrap(), Fetched::Copied);
    });
    assert!(fs::read(&to).unwrap() == other);
    // And not for ever.
    hdfs.namenode().kill();
    let error =
        runtime.block_on(get(&uri("/in/file"), 1, &to, Duration::from_secs(1))).unwrap_err().to_string();
    assert!(error.contains("gave up after") && error.contains("/in/file"), "{error}");
}
