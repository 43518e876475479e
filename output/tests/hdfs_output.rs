//! Output to a real HDFS: uploads, streams and commits, and what happens to them when it goes away.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use forebay_fixtures::{Hdfs, HdfsOptions};
use forebay_output::{Attempt, HdfsStream, OutputDir, State, StreamTarget, commit, finish_commit};
use support::{FIRST, go, output, runtime};
use tempfile::TempDir;

const MIB: usize = 1 << 20;
/// Longer than a NameNode needs to start on a busy machine.
const PATIENT: Duration = Duration::from_mins(2);

fn start(block_size: usize) -> Hdfs {
    Hdfs::start(&HdfsOptions { block_size: block_size as u64, ..HdfsOptions::default() }).unwrap()
}

fn at(hdfs: &Hdfs, path: &str, timeout: Duration) -> OutputDir {
    output(format!("{}{path}", hdfs.uri()), "job", timeout)
}

/// A worker's folder with these files in `out`.
fn worked(files: &[(&str, Vec<u8>)]) -> TempDir {
    let work = tempfile::tempdir().unwrap();
    fs::create_dir(work.path().join("out")).unwrap();
    for (name, bytes) in files {
        let path = work.path().join("out").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    work
}

/// Bytes that tell every position from every other.
fn numbered(len: usize) -> Vec<u8> {
    (0u64..).flat_map(|n| format!("{n:015}\n").into_bytes()).take(len).collect()
}

/// Hadoop's own words on a command of its shell.
fn shell(hdfs: &Hdfs, args: &[&str]) -> String {
    let output = hdfs.java("org.apache.hadoop.fs.FsShell", args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Paths below a folder, as Hadoop lists them.
fn listed(hdfs: &Hdfs, path: &str) -> Vec<String> {
    let text = shell(hdfs, &["-ls", "-R", "-C", path]);
    let mut paths: Vec<_> = text.lines().map(|line| line[path.len()..].to_owned()).collect();
    paths.sort();
    paths
}

#[test]
fn a_folder_and_a_stream_appear_on_hdfs_whole_and_not_before() {
    let hdfs = start(MIB);
    // Several blocks, an empty file, an empty folder, names that are text.
    let model = numbered(3 * MIB + 17);
    let work = worked(&[("a/model", model.clone()), ("empty", vec![]), ("a/\u{fc} %20", b"x".to_vec())]);
    fs::create_dir(work.path().join("out/nothing")).unwrap();
    runtime().block_on(async {
        let (one, two) = (at(&hdfs, "/up/load", PATIENT), at(&hdfs, "/stream", PATIENT));
        for output in [&one, &two] {
            assert_eq!(output.begin().await.unwrap(), State::Open);
        }
        let staged = one.upload(FIRST, work.path(), "out".as_ref(), &go()).await.unwrap();
        assert_eq!((staged.tally.files, staged.tally.folders), (3, 2));
        let StreamTarget::Hdfs(mut stream) = two.stream(FIRST).await.unwrap() else { panic!("not HDFS") };
        stream.copy_from(&mut &*model, &go()).await.unwrap();
        stream.finish().await.unwrap();
        for path in ["/up/load", "/stream"] {
            assert!(listed(&hdfs, path).iter().all(|name| name.starts_with("/_temporary")), "{path}");
        }
        commit(&[one, two], &[FIRST]).await.unwrap();
    });
    let wanted = ["/0", "/0/a", "/0/a/model", "/0/a/\u{fc} %20", "/0/empty", "/0/nothing", "/_SUCCESS"];
    assert_eq!(listed(&hdfs, "/up/load"), wanted);
    assert_eq!(listed(&hdfs, "/stream"), ["/_SUCCESS", "/part-00000"]);
    assert!(hdfs.read("/up/load/0/a/model").unwrap() == model);
    assert!(hdfs.read("/stream/part-00000").unwrap() == model);
    let facts = shell(&hdfs, &["-ls", "-d", "/up", "/up/load", "/up/load/0", "/up/load/0/a/model"]);
    let facts: Vec<_> = facts.lines().map(|line| &line[..10]).collect();
    assert_eq!(facts, ["drwxr-xr-x", "drwxr-xr-x", "drwxr-xr-x", "-rw-r--r--"]);
}

#[test]
fn what_hdfs_cannot_take_is_refused_and_named() {
    let hdfs = start(MIB);
    hdfs.write("/full/old", "theirs", None).unwrap();
    hdfs.write("/file", "", None).unwrap();
    shell(&hdfs, &["-chmod", "755", "/"]);
    runtime().block_on(async {
        for (path, word) in [("/full", "it holds old"), ("/file", "no folder"), ("/file/below", "no folder")]
        {
            let error = at(&hdfs, path, PATIENT).begin().await.unwrap_err().to_string();
            assert!(error.contains(word) && error.contains(path), "{path}: {error}");
        }
        let output = at(&hdfs, "/out", PATIENT);
        output.begin().await.unwrap();
        for (name, why) in [(&b"a\xffb"[..], "not UTF-8"), (b"10:30", "no colon")] {
            let work = worked(&[]);
            fs::write(work.path().join("out").join(OsStr::from_bytes(name)), "").unwrap();
            let error =
                output.upload(FIRST, work.path(), "out".as_ref(), &go()).await.unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("choose another name"), "{error}");
        }
        output.abort().await.unwrap();
    });
    assert_eq!(listed(&hdfs, "/"), ["file", "full", "full/old"]);
    // A quota is HDFS's full disk. What it says is passed on, at once.
    hdfs.mkdirs("/small").unwrap();
    let admin = "org.apache.hadoop.hdfs.tools.DFSAdmin";
    let work = worked(&[("big", numbered(2 * MIB))]);
    assert!(hdfs.java(admin, ["-setSpaceQuota", "2m", "/small"]).output().unwrap().status.success());
    let error = runtime().block_on(async {
        let output = at(&hdfs, "/small/out", PATIENT);
        output.begin().await.unwrap();
        output.upload(FIRST, work.path(), "out".as_ref(), &go()).await.unwrap_err().to_string()
    });
    assert!(error.contains("quota") && error.contains("/small/out/_temporary/job/0.1/big"), "{error}");
}

#[test]
fn a_user_without_permission_is_told_at_once() {
    const TEST: &str = "a_user_without_permission_is_told_at_once";
    if let Some(uri) = support::role() {
        let begin = Instant::now();
        let error = runtime().block_on(async { output(uri, "job", PATIENT).begin().await.unwrap_err() });
        println!("said: {error}");
        assert!(begin.elapsed() < PATIENT / 2);
        return;
    }
    let hdfs = start(MIB);
    hdfs.mkdirs("/mine").unwrap();
    let mut command = support::role_command(TEST, &format!("{}/mine/out", hdfs.uri()));
    let output = command.env("HADOOP_USER_NAME", "stranger").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("/mine/out/_temporary") && text.contains("Permission denied"), "{text}");
    assert!(!text.contains("\tat "), "{text}");
}

/// Starts the NameNode again on another thread, a little later.
fn restart_later<'s>(scope: &'s thread::Scope<'s, '_>, hdfs: &'s Hdfs, after: Duration) {
    scope.spawn(move || {
        thread::sleep(after);
        hdfs.namenode().start().unwrap();
    });
}

#[test]
fn an_upload_waits_for_a_namenode_that_goes_away() {
    let hdfs = start(MIB);
    let big = numbered(24 * MIB);
    let files: Vec<_> = (0..4).map(|i| (format!("f{i}"), big.clone())).collect();
    let files: Vec<_> = files.iter().map(|(name, bytes)| (&**name, bytes.clone())).collect();
    let work = worked(&files);
    let runtime = runtime();
    let output = runtime.block_on(async { at(&hdfs, "/out", PATIENT) });
    runtime.block_on(output.begin()).unwrap();
    thread::scope(|scope| {
        let uploading = scope.spawn(|| {
            runtime.block_on(output.upload(FIRST, work.path(), "out".as_ref(), &go())).unwrap();
        });
        while runtime.block_on(output.state()).is_ok() && hdfs.read("/out/_temporary/job/0.1/f0").is_err() {
            thread::yield_now();
        }
        hdfs.namenode().kill();
        restart_later(scope, &hdfs, Duration::from_secs(1));
        uploading.join().unwrap();
    });
    runtime.block_on(commit(&[output], &[FIRST])).unwrap();
    for (name, bytes) in files {
        assert!(hdfs.read(&format!("/out/0/{name}")).unwrap() == bytes, "{name}");
    }
}

#[test]
fn a_stream_goes_on_where_it_was_after_namenode_and_datanode_were_away() {
    let hdfs = start(4 * MIB);
    let bytes = numbered(40 * MIB);
    let runtime = runtime();
    let output = runtime.block_on(async { at(&hdfs, "/out", PATIENT) });
    runtime.block_on(output.begin()).unwrap();
    let StreamTarget::Hdfs(mut stream) = runtime.block_on(output.stream(FIRST)).unwrap() else {
        panic!("not HDFS")
    };
    let write = |stream: &mut HdfsStream, from: usize, to: usize| {
        for chunk in bytes[from..to].chunks(MIB) {
            runtime.block_on(stream.write(Bytes::copy_from_slice(chunk))).unwrap();
        }
    };
    write(&mut stream, 0, 19 * MIB);
    hdfs.namenode().kill();
    thread::scope(|scope| {
        restart_later(scope, &hdfs, Duration::from_secs(1));
        write(&mut stream, 19 * MIB, 30 * MIB);
    });
    // The only DataNode: there is no other to write to until it is back.
    hdfs.datanode(0).kill();
    hdfs.datanode(0).start().unwrap();
    write(&mut stream, 30 * MIB, 40 * MIB);
    runtime.block_on(stream.finish()).unwrap();
    runtime.block_on(commit(&[output], &[FIRST])).unwrap();
    assert!(hdfs.read("/out/part-00000").unwrap() == bytes);
}

#[test]
fn a_commit_that_loses_its_namenode_says_so_and_is_finished_when_it_is_back() {
    const WORKERS: u32 = 40;
    let hdfs = start(MIB);
    let work = worked(&[("f", b"of a worker".to_vec())]);
    let attempts: Vec<_> = (0..WORKERS).map(|index| Attempt { index, number: 1 }).collect();
    let runtime = runtime();
    let stage = |path: &str, timeout| {
        runtime.block_on(async {
            let output = at(&hdfs, path, timeout);
            output.begin().await.unwrap();
            let mut uploads = tokio::task::JoinSet::new();
            for &attempt in &attempts {
                let (output, work) = (output.clone(), work.path().to_owned());
                uploads.spawn(async move {
                    output.upload(attempt, &work, "out".as_ref(), &go()).await.unwrap();
                });
            }
            uploads.join_all().await;
            output
        })
    };
    let whole = |path: &str| {
        let paths = listed(&hdfs, path);
        assert_eq!(paths.len(), 2 * WORKERS as usize + 1, "{paths:?}");
        assert!(!paths.iter().any(|path| path.contains("_temporary")), "{paths:?}");
    };
    // Given up in time, with the reason; the next one finishes it.
    let output = stage("/given-up", Duration::from_secs(3));
    thread::scope(|scope| {
        let committing = scope.spawn(|| runtime.block_on(commit(std::slice::from_ref(&output), &attempts)));
        wait_for(&hdfs, "/given-up/_temporary/_commit");
        hdfs.namenode().kill();
        let done = committing.join().unwrap();
        // It may have been quicker than the kill.
        if let Err(error) = done {
            let text = error.to_string();
            assert!(text.contains("gave up after") && text.contains("/given-up"), "{text}");
        }
    });
    hdfs.namenode().start().unwrap();
    hdfs.wait_ready().unwrap();
    let ended = runtime.block_on(finish_commit(&[at_again(&runtime, &hdfs, "/given-up")])).unwrap();
    assert_eq!(ended, State::Committed);
    whole("/given-up");
    // Waited for.
    let output = stage("/waited-for", PATIENT);
    thread::scope(|scope| {
        let committing = scope.spawn(|| runtime.block_on(commit(std::slice::from_ref(&output), &attempts)));
        wait_for(&hdfs, "/waited-for/_temporary/_commit");
        hdfs.namenode().kill();
        restart_later(scope, &hdfs, Duration::from_secs(1));
        committing.join().unwrap().unwrap();
    });
    hdfs.wait_ready().unwrap();
    whole("/waited-for");
    // A NameNode in safe mode answers, but not to this.
    let output = stage("/safe", PATIENT);
    let admin = |mode: &str| {
        let output =
            hdfs.java("org.apache.hadoop.hdfs.tools.DFSAdmin", ["-safemode", mode]).output().unwrap();
        assert!(output.status.success());
    };
    admin("enter");
    thread::scope(|scope| {
        let committing = scope.spawn(|| runtime.block_on(commit(std::slice::from_ref(&output), &attempts)));
        admin("leave");
        committing.join().unwrap().unwrap();
    });
    whole("/safe");
}

fn at_again(runtime: &tokio::runtime::Runtime, hdfs: &Hdfs, path: &str) -> OutputDir {
    runtime.block_on(async { at(hdfs, path, PATIENT) })
}

/// Waits until a file is there.
fn wait_for(hdfs: &Hdfs, path: &str) {
    let deadline = Instant::now() + PATIENT;
    while hdfs.read(path).is_err() {
        assert!(Instant::now() < deadline, "{path} has not come");
        thread::yield_now();
    }
}
