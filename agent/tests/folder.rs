//! What a worker finds in its folder, and where what it makes goes.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use forebay_output::{Attempt, OutputDir, Staged};
use forebay_protocol::v1;
use forebay_store::{Address, Clusters};
use support::{Played, file, text};
use tokio::runtime::Runtime;

fn static_file(am: &Played, name: &str, content: &[u8], alias: &str, unit: u64) -> v1::StaticFile {
    let path = am.path(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    v1::StaticFile { unit, file: Some(file(&path, 1 << 20)), alias: alias.into() }
}

#[test]
fn files_are_downloaded_before_the_worker_starts_and_kept_apart() {
    let am = Played::sh(
        "cat a/data a/data-2 b/data > all; readlink /proc/self/fd/0 > stdin",
        "input-mode = 'download'",
    );
    let big = text(5_000_000);
    am.script().files = vec![
        static_file(&am, "x/data", b"one\n", "a", 3),
        static_file(&am, "y/data", b"two\n", "a", 4),
        static_file(&am, "z/data", &big, "b", 7),
    ];
    assert_eq!(am.agent(1).status(), Some(0));
    let work = am.folder(0, 1).work().to_owned();
    assert!(fs::read(work.join("all")).unwrap() == [b"one\ntwo\n", &big[..]].concat());
    assert_eq!(fs::read_to_string(work.join("stdin")).unwrap(), "/dev/null\n");
    let position = am.script().exited.clone().unwrap().position.unwrap();
    assert!(position.complete && position.whole);
    assert_eq!(position.begins.iter().map(|begin| begin.unit).collect::<Vec<_>>(), [3, 4, 7]);
}

#[test]
fn what_an_earlier_attempt_has_whole_is_not_fetched_again() {
    let am = Played::sh("exit 1", "input-mode = 'download'");
    am.script().files =
        vec![static_file(&am, "x/same", b"one\n", "a", 0), static_file(&am, "x/changed", b"two\n", "a", 1)];
    assert_eq!(am.agent(1).status(), Some(0));
    let place = |number, name: &str| am.folder(0, number).work().join("a").join(name);
    let inode = |path: &std::path::Path| fs::metadata(path).unwrap().ino();
    let same = inode(&place(1, "same"));
    // As the worker may have left it.
    fs::write(place(1, "changed"), "TWO\n").unwrap();
    assert_eq!(am.agent(2).status(), Some(0));
    assert_eq!(inode(&place(2, "same")), same);
    assert!(!place(1, "same").exists());
    assert_eq!(fs::read_to_string(place(2, "changed")).unwrap(), "two\n");
    assert_eq!(am.agent(3).status(), Some(0));
    assert_eq!(inode(&place(3, "same")), same);
}

#[test]
fn a_download_that_fails_fails_the_attempt() {
    let am = Played::sh("touch ../../../../ran", "input-mode = 'download'");
    am.script().files = vec![static_file(&am, "x/gone", b"one\n", "a", 0)];
    fs::remove_file(am.path("x/gone")).unwrap();
    assert_eq!(am.agent(1).status(), Some(1));
    let failed = am.script().failed.clone().unwrap();
    assert!(failed.reason.contains("x/gone") && failed.position.is_none(), "{failed:?}");
    assert!(!am.path("ran").exists());
}

#[test]
fn a_wire_that_leads_out_of_the_folder_is_refused() {
    let am = Played::sh("touch ../../../../ran", "input-mode = 'download'");
    for alias in ["..", "/tmp", "a/../.."] {
        am.script().files = vec![static_file(&am, "x/data", b"one\n", alias, 0)];
        let number = u32::try_from(am.script().registered).unwrap() + 1;
        assert_eq!(am.agent(number).status(), Some(1));
        assert!(am.script().failed.take().unwrap().fatal, "{alias}");
    }
    assert!(!am.path("ran").exists());
}

#[test]
fn lists_name_the_files_of_each_alias() {
    let am = Played::sh("printf %s \"$INPUT_FILE_LIST\" > list", "input-mode = 'list'");
    let address = |address: &str| v1::File { address: address.into(), ..Default::default() };
    let named =
        |alias: &str, file: &str| v1::StaticFile { unit: 0, file: Some(address(file)), alias: alias.into() };
    am.script().files = vec![named("a", "hdfs://n:1/x"), named("b", "/y"), named("a", "/z")];
    assert_eq!(am.agent(1).status(), Some(0));
    let list = fs::read_to_string(am.folder(0, 1).work().join("list")).unwrap();
    assert_eq!(list, r#"{"a":["hdfs://n:1/x","/z"],"b":["/y"]}"#);

    let many = (0..20_000).map(|n| named("a", &format!("/a/file/{n:06}")));
    am.script().files = many.collect();
    assert_eq!(am.agent(2).status(), Some(0));
    let work = am.folder(0, 2).work().to_owned();
    assert_eq!(fs::read_to_string(work.join("list")).unwrap(), "");
    let list = fs::read_to_string(work.join("inputFileList.txt")).unwrap();
    assert!(list.starts_with(r#"{"a":["/a/file/000000","#) && list.ends_with("\"/a/file/019999\"]}\n"));
}

#[test]
fn the_jobs_files_are_linked_and_a_job_that_leads_elsewhere_is_refused() {
    let am = Played::sh("cat code/main other > all", "");
    fs::create_dir(am.path("code")).unwrap();
    fs::write(am.path("code/main"), "main\n").unwrap();
    fs::write(am.path("data"), "data\n").unwrap();
    let links = |code: &str| {
        format!("files = ['{}', '{}{code}']\n", am.path("code").display(), am.path("data").display())
    };
    let job = am.script().job.clone();
    am.script().job = job.clone() + &links("#other");
    assert_eq!(am.agent(1).status(), Some(0));
    assert_eq!(fs::read_to_string(am.folder(0, 1).work().join("all")).unwrap(), "main\ndata\n");
    am.script().job = job.clone() + &links("#..");
    assert_eq!(am.agent(2).status(), Some(1));
    let failed = am.script().failed.take().unwrap();
    assert!(failed.fatal && failed.reason.contains(".."), "{failed:?}");
    fs::remove_file(am.path("data")).unwrap();
    am.script().job = job + &links("#other");
    assert_eq!(am.agent(3).status(), Some(1));
    assert!(am.script().failed.take().unwrap().reason.contains("data"));
}

#[test]
fn a_kept_folder_is_the_next_attempts_too() {
    let am = Played::sh(
        "cat state >> seen; echo $FOREBAY_ATTEMPT > state; [ $FOREBAY_ATTEMPT = 2 ]",
        "on-restart = 'from-ack'\nkeep-folder = true",
    );
    assert_eq!(am.agent(1).status(), Some(0));
    assert_eq!(am.agent(2).status(), Some(0));
    assert_eq!(am.script().exited.clone().unwrap().status, 0);
    assert_eq!(fs::read_to_string(am.path("workers/0/work/seen")).unwrap(), "1\n");
}

/// An output path of the played job, begun as the application master does.
fn output(am: &Played, runtime: &Runtime) -> OutputDir {
    let clusters = Clusters::new(Duration::from_secs(10), runtime.handle().clone());
    let address = Address::parse(am.path("out").as_os_str()).unwrap();
    let output = OutputDir::open(&address, "job_20200101_000000_abcd", &clusters).unwrap();
    runtime.block_on(output.begin()).unwrap();
    output
}

fn staged(am: &Played) -> Staged {
    let manifests = am.script().staged.clone().unwrap().manifests;
    assert_eq!((manifests.len(), manifests[0].output), (1, 0));
    serde_json::from_slice(&manifests[0].manifest).unwrap()
}

#[test]
fn a_folder_of_the_worker_is_staged() {
    let runtime = Runtime::new().unwrap();
    let am =
        Played::sh("echo one > model/part; mkdir model/sub; echo two > model/sub/x; echo no > elsewhere", "");
    am.output(am.path("out").to_str().unwrap(), "#model");
    let output = output(&am, &runtime);
    assert_eq!(am.agent(1).status(), Some(0));
    let attempt = Attempt { index: 0, number: 1 };
    assert_eq!(runtime.block_on(output.staged(attempt)).unwrap(), Some(staged(&am)));
    let room = am.path("out/_temporary/job_20200101_000000_abcd/0.1");
    assert_eq!(fs::read_to_string(room.join("sub/x")).unwrap(), "two\n");
    assert_eq!(fs::read_dir(room).unwrap().count(), 2);
}

#[test]
fn output_that_cannot_be_staged_fails_the_attempt() {
    let runtime = Runtime::new().unwrap();
    let am = Played::sh("cat; ln -s /etc/passwd model/part", "");
    am.output(am.path("out").to_str().unwrap(), "#model");
    output(&am, &runtime);
    assert_eq!(am.agent(1).status(), Some(1));
    let failed = am.script().failed.clone().unwrap();
    assert!(failed.reason.contains("model/part") && failed.position.unwrap().complete, "{}", failed.reason);
    assert!(am.script().staged.is_none());
}

#[test]
fn a_streamed_output_is_the_workers_standard_output() {
    let runtime = Runtime::new().unwrap();
    let am = Played::sh("cat", "output-mode = 'stream'");
    am.output(am.path("out").to_str().unwrap(), "");
    output(&am, &runtime);
    let content = text(3_000_000);
    am.script().splits = am.splits("data", &content, 1 << 20, 0).into();
    assert_eq!(am.agent(1).status(), Some(0));
    let part = am.path("out/_temporary/job_20200101_000000_abcd/0.1/part-00000");
    assert!(fs::read(part).unwrap() == content);
    assert_eq!(staged(&am).tally.bytes, content.len() as u64);
}

#[test]
fn a_streamed_output_is_kept_when_the_worker_opens_it_by_name() {
    let runtime = Runtime::new().unwrap();
    let am = Played::sh(
        "while IFS= read -r line; do echo \"$line\" > /dev/stdout; done",
        "output-mode = 'stream'",
    );
    am.output(am.path("out").to_str().unwrap(), "");
    output(&am, &runtime);
    let content = text(3_000);
    am.script().splits = am.splits("data", &content, 1 << 20, 0).into();
    assert_eq!(am.agent(1).status(), Some(0));
    let part = am.path("out/_temporary/job_20200101_000000_abcd/0.1/part-00000");
    assert!(fs::read(part).unwrap() == content);
}
