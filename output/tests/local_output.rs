//! Output to folders of this machine: what workers may leave there, what may go wrong, and what is seen of it.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use forebay_output::{Attempt, OutputDir, OutputError, Staged, State, StreamTarget, commit, finish_commit};
use rustix::fs::{CWD, RenameFlags, mkfifoat, renameat_with};
use support::{FIRST, files, go, local, role, role_command, runtime};
use tempfile::TempDir;

/// Puts something into an output folder that tries to reach another folder.
type Make = fn(&Path, &Path);

/// A worker's folder with `out` in it, and an output path that is not there yet.
struct Case {
    folder: TempDir,
}

impl Case {
    fn new() -> Self {
        let case = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir_all(case.out()).unwrap();
        case
    }

    fn work(&self) -> std::path::PathBuf {
        self.folder.path().join("work")
    }

    fn out(&self) -> std::path::PathBuf {
        self.work().join("out")
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("a/b/result")
    }

    async fn upload(&self) -> Result<Staged, OutputError> {
        let output = local(&self.path());
        output.begin().await?;
        output.upload(FIRST, &self.work(), "out".as_ref(), &go()).await
    }

    async fn upload_and_commit(&self) -> Result<Staged, OutputError> {
        let staged = self.upload().await?;
        commit(&[local(&self.path())], &[FIRST]).await?;
        Ok(staged)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_workers_left_appears_at_the_commit_and_not_before() {
    let case = Case::new();
    fs::create_dir_all(case.out().join("empty/er")).unwrap();
    fs::write(case.out().join("model"), vec![7; 3 << 20]).unwrap();
    fs::write(case.out().join("run.sh"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(case.out().join("run.sh"), Permissions::from_mode(0o755)).unwrap();
    let odd = OsStr::from_bytes(b"\xff\n name");
    fs::write(case.out().join(odd), "x").unwrap();
    let staged = case.upload().await.unwrap();
    assert_eq!((staged.tally.files, staged.tally.folders, staged.tally.bytes), (3, 2, (3 << 20) + 11));
    let names =
        || fs::read_dir(case.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    assert_eq!(names(), ["_temporary"], "nothing is visible before the commit");
    let private = fs::metadata(case.path().join("_temporary/job")).unwrap().permissions().mode();
    assert_eq!(private & 0o777, 0o700);
    let output = local(&case.path());
    assert_eq!(output.staged(FIRST).await.unwrap(), Some(staged));
    commit(&[output], &[FIRST]).await.unwrap();
    let mut seen = names();
    seen.sort();
    assert_eq!(seen, ["0", "_SUCCESS"]);
    let result = case.path().join("0");
    assert_eq!(fs::read(result.join("model")).unwrap(), vec![7; 3 << 20]);
    assert_eq!(fs::read(result.join(odd)).unwrap(), b"x");
    assert!(result.join("empty/er").is_dir());
    let mode = |name: &str| fs::metadata(result.join(name)).unwrap().permissions().mode();
    assert_eq!((mode("run.sh") & 0o100, mode("model") & 0o100), (0o100, 0));
    assert_eq!(mode("") & 0o700, 0o700);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_the_folder_has_an_empty_part_that_says_so() {
    let case = Case::new();
    fs::remove_dir(case.out()).unwrap();
    let staged = case.upload_and_commit().await.unwrap();
    assert!(staged.absent && staged.tally.files == 0);
    assert!(case.path().join("0").is_dir());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempts_part_replaces_what_was_staged_of_it_and_can_be_discarded() {
    let case = Case::new();
    fs::write(case.out().join("old"), "").unwrap();
    case.upload().await.unwrap();
    fs::rename(case.out().join("old"), case.out().join("new")).unwrap();
    case.upload().await.unwrap();
    let output = local(&case.path());
    let second = Attempt { index: 0, number: 2 };
    output.upload(second, &case.work(), "out".as_ref(), &go()).await.unwrap();
    output.discard(FIRST).await.unwrap();
    output.discard(FIRST).await.unwrap();
    assert_eq!(output.staged(FIRST).await.unwrap(), None);
    let staging = case.path().join("_temporary/job");
    assert!(!staging.join("0.1").exists() && staging.join("0.2/new").exists());
    // What is not staged cannot be committed, and after the refusal nothing stays.
    let error = commit(std::slice::from_ref(&output), &[FIRST]).await.unwrap_err();
    assert!(error.to_string().contains("attempt 0.1 is not staged"), "{error}");
    assert!(!case.path().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn links_within_the_folder_are_what_they_point_to() {
    let case = Case::new();
    let out = case.out();
    fs::create_dir_all(out.join("step-3/more")).unwrap();
    fs::write(out.join("step-3/weights"), "w").unwrap();
    symlink("step-3", out.join("latest")).unwrap();
    symlink("../weights", out.join("step-3/more/up")).unwrap();
    symlink("latest/more/../weights", out.join("by-name")).unwrap();
    let staged = case.upload_and_commit().await.unwrap();
    assert_eq!((staged.tally.files, staged.tally.folders), (5, 4));
    let seen = files(&case.path().join("0"));
    let names: Vec<_> = seen.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["by-name", "latest/more/up", "latest/weights", "step-3/more/up", "step-3/weights"]);
    assert!(seen.iter().all(|(_, bytes)| bytes == b"w"));
    assert!(!case.path().join("0/latest").is_symlink());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leads_out_of_the_folder_and_nothing_hangs() {
    let secret = tempfile::tempdir().unwrap();
    fs::write(secret.path().join("secret"), "secret").unwrap();
    let cases: [(&str, &str, Make); 10] = [
        ("absolute", "absolute path", |out, secret| symlink(secret, out.join("l")).unwrap()),
        ("etc", "absolute path", |out, _| symlink("/etc/passwd", out.join("l")).unwrap()),
        ("up", "out of the output folder", |out, _| symlink("../../x", out.join("l")).unwrap()),
        ("by another", "absolute path", |out, secret| {
            symlink(secret, out.join("l")).unwrap();
            fs::create_dir(out.join("d")).unwrap();
            symlink("../l/secret", out.join("d/m")).unwrap();
        }),
        ("nowhere", "does not exist", |out, _| symlink("nothing", out.join("l")).unwrap()),
        ("itself", "too many links", |out, _| symlink("l", out.join("l")).unwrap()),
        ("loop", "leads back", |out, _| {
            fs::create_dir(out.join("d")).unwrap();
            symlink("..", out.join("d/l")).unwrap();
        }),
        ("fifo", "a FIFO", |out, _| mkfifoat(CWD, out.join("f"), 0o600.into()).unwrap()),
        ("fifo by link", "a FIFO", |out, _| {
            // Walked after the link.
            fs::create_dir(out.join("d")).unwrap();
            mkfifoat(CWD, out.join("d/f"), 0o600.into()).unwrap();
            symlink("d/f", out.join("l")).unwrap();
        }),
        ("socket", "a socket", |out, _| drop(UnixListener::bind(out.join("s")).unwrap())),
    ];
    for (name, wanted, make) in cases {
        let case = Case::new();
        make(&case.out(), secret.path());
        let error = case.upload().await.unwrap_err().to_string();
        assert!(error.contains(wanted) && error.contains("work/out/"), "{name}: {error}");
        assert!(files(&case.path()).iter().all(|(_, bytes)| bytes != b"secret"), "{name}");
    }
    // The folder itself.
    let case = Case::new();
    fs::remove_dir(case.out()).unwrap();
    symlink(secret.path(), case.out()).unwrap();
    let error = case.upload().await.unwrap_err().to_string();
    assert!(error.contains("it is no folder"), "{error}");
    let output = local(&case.path());
    for folder in ["../work", "/etc", "out/../../.."] {
        let error = output.upload(FIRST, &case.work(), folder.as_ref(), &go()).await.unwrap_err();
        assert!(matches!(error, OutputError::WorkerFolder { .. }), "{error}");
    }
}

/// Ends the other thread also when the test fails.
struct SetOnDrop<'f>(&'f AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn what_is_swapped_in_during_the_upload_leads_nowhere() {
    let secret = tempfile::tempdir().unwrap();
    fs::create_dir(secret.path().join("d")).unwrap();
    fs::write(secret.path().join("d/f"), "secret").unwrap();
    let case = Case::new();
    fs::create_dir_all(case.out().join("x/d")).unwrap();
    fs::write(case.out().join("x/d/f"), "mine").unwrap();
    symlink(secret.path(), case.work().join("swap")).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let (a, b) = (case.out().join("x"), case.work().join("swap"));
                renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE).unwrap();
            }
        });
        let (mut whole, mut refused) = (0, 0);
        let _done = SetOnDrop(&done);
        runtime().block_on(async {
            let deadline = Instant::now() + Duration::from_mins(1);
            while (whole < 20 || refused < 20) && Instant::now() < deadline {
                match case.upload().await {
                    Ok(_) => whole += 1,
                    Err(OutputError::Link { .. } | OutputError::Local { .. }) => refused += 1,
                    Err(error) => panic!("{error}"),
                }
                let staged = files(&case.path());
                assert!(staged.iter().all(|(_, bytes)| bytes != b"secret"), "{staged:?}");
            }
        });
        assert!(refused > 0, "{whole} whole, none refused");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_holds_something_is_refused_at_the_start_and_at_the_commit() {
    let case = Case::new();
    fs::create_dir_all(case.path().join("_temporary/another")).unwrap();
    fs::create_dir_all(case.path().join("_saved")).unwrap();
    assert_eq!(local(&case.path()).begin().await.unwrap(), State::Open);
    for name in ["0", ".hidden", "_SUCCESS"] {
        fs::write(case.path().join(name), "").unwrap();
        let error = case.upload().await.unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("a/b/result"), "{error}");
        fs::remove_file(case.path().join(name)).unwrap();
    }
    case.upload().await.unwrap();
    fs::write(case.path().join("late"), "theirs").unwrap();
    let error = commit(&[local(&case.path())], &[FIRST]).await.unwrap_err().to_string();
    assert!(error.contains("late"), "{error}");
    assert_eq!(files(&case.path()), [("late".to_owned(), b"theirs".to_vec())]);
    assert!(!case.path().join("_temporary/job").exists() && case.path().join("_temporary/another").exists());
    // A file where the folder should be, or above it.
    let file = case.folder.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = local(&path).begin().await.unwrap_err();
        assert!(matches!(error, OutputError::NotAFolder { .. }), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_in_the_staging_is_not_committed() {
    let case = Case::new();
    fs::write(case.out().join("f"), "whole").unwrap();
    case.upload().await.unwrap();
    fs::write(case.path().join("_temporary/job/0.1/f"), "cut").unwrap();
    let error = commit(&[local(&case.path())], &[FIRST]).await.unwrap_err().to_string();
    assert!(error.contains("3 bytes") && error.contains("5 bytes"), "{error}");
    assert!(!case.path().exists(), "an aborted job leaves the path as it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_called_off_between_bytes() {
    let case = Case::new();
    // Sparse: more than can be copied before the test's end.
    fs::File::create(case.out().join("big")).unwrap().set_len(1 << 40).unwrap();
    let output = local(&case.path());
    output.begin().await.unwrap();
    let (cancel, work, copied) = (go(), case.work(), case.path().join("_temporary/job/0.1/big"));
    let token = cancel.clone();
    let upload = tokio::spawn(async move { output.upload(FIRST, &work, "out".as_ref(), &token).await });
    while !copied.exists() {
        tokio::task::yield_now().await;
    }
    cancel.cancel();
    assert!(matches!(upload.await.unwrap(), Err(OutputError::Cancelled)));
    local(&case.path()).discard(FIRST).await.unwrap();
    assert!(!copied.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workers_standard_output_becomes_its_part() {
    let case = Case::new();
    let output = local(&case.path());
    output.begin().await.unwrap();
    for index in [0, 41] {
        let attempt = Attempt { index, number: 1 };
        let StreamTarget::Local(stream) = output.stream(attempt).await.unwrap() else { panic!("not local") };
        let printed =
            Command::new("echo").arg(index.to_string()).stdout(stream.open().unwrap()).status().unwrap();
        assert!(printed.success());
        assert_eq!(stream.finish().await.unwrap().tally.files, 1);
    }
    commit(&[output], &[FIRST, Attempt { index: 41, number: 1 }]).await.unwrap();
    let seen: Vec<_> = files(&case.path()).into_iter().map(|(name, _)| name).collect();
    assert_eq!(seen, ["_SUCCESS", "part-00000", "part-00041"]);
    assert_eq!(fs::read(case.path().join("part-00041")).unwrap(), b"41\n");
}

#[test]
fn a_full_disk_under_the_staging_is_an_error_that_says_where_and_what_to_do() {
    const TEST: &str = "a_full_disk_under_the_staging_is_an_error_that_says_where_and_what_to_do";
    if let Some(folder) = role() {
        // In a name space of its own, where the output path is a disk of 1 MiB.
        let result = runtime().block_on(async {
            let folder = Path::new(&folder);
            let output = local(&folder.join("disk/result"));
            output.begin().await.unwrap();
            let error = output.upload(FIRST, &folder.join("work"), "out".as_ref(), &go()).await.unwrap_err();
            output.abort().await.unwrap();
            assert_eq!(files(&folder.join("disk")), []);
            error.to_string()
        });
        println!("said: {result}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("work/out")).unwrap();
    fs::create_dir(folder.path().join("disk")).unwrap();
    fs::write(folder.path().join("work/out/big"), vec![1; 4 << 20]).unwrap();
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    let program = std::env::current_exe().unwrap();
    command
        .args(["--mount", "sh", "-ec", "mount -t tmpfs -o size=1m none \"$0\"; exec \"$@\""])
        .arg(folder.path().join("disk"))
        .arg(program)
        .args(["--exact", TEST, "--nocapture"])
        .env("FOREBAY_TEST_ROLE", folder.path());
    let output = command.output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    for word in ["disk/result/_temporary/job/0.1/big", "No space left", "free some space"] {
        assert!(text.contains(word), "no '{word}' in {text}");
    }
}

#[test]
fn staging_is_not_put_behind_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let (path, elsewhere) = (folder.path().join("result"), folder.path().join("elsewhere"));
    fs::create_dir(&path).unwrap();
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, path.join("_temporary")).unwrap();
    let begun = runtime().block_on(async { local(&path).begin().await });
    assert!(matches!(begun, Err(OutputError::NotAFolder { .. })), "{begun:?}");
    assert_eq!(fs::read_dir(elsewhere).unwrap().count(), 0);
}

#[test]
fn a_commit_killed_at_any_time_is_finished_or_undone() {
    const TEST: &str = "a_commit_killed_at_any_time_is_finished_or_undone";
    const WORKERS: u32 = 12;
    let attempts: Vec<_> = (0..WORKERS).map(|index| Attempt { index, number: 1 }).collect();
    if let Some(path) = role() {
        println!("ready");
        std::io::stdout().flush().unwrap();
        runtime().block_on(async { commit(&[local(Path::new(&path))], &attempts).await }).unwrap();
        return;
    }
    let case = Case::new();
    fs::write(case.out().join("f"), "x").unwrap();
    let stage = async |path: &Path| {
        let output = local(path);
        output.begin().await.unwrap();
        for attempt in &attempts {
            output.upload(*attempt, &case.work(), "out".as_ref(), &go()).await.unwrap();
        }
        output
    };
    let runtime = runtime();
    let mut longest = Duration::from_millis(1);
    for round in 0..40u32 {
        let path = case.folder.path().join(format!("result{round}"));
        let output: OutputDir = runtime.block_on(stage(&path));
        let mut command = role_command(TEST, path.to_str().unwrap());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("ready") {
            line.clear();
            assert!(std::io::BufRead::read_line(&mut stdout, &mut line).unwrap() > 0);
        }
        let begin = Instant::now();
        if round == 0 {
            // How long one takes, so that the others are killed all over it.
            assert!(child.wait().unwrap().success());
            longest = begin.elapsed();
        } else {
            std::thread::sleep(longest * round / 40);
            child.kill().unwrap();
            child.wait().unwrap();
        }
        runtime.block_on(async {
            if round % 2 == 1 {
                match output.abort().await {
                    Ok(()) => {
                        assert!(!path.exists(), "{round}");
                        return;
                    }
                    Err(OutputError::Done { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            if finish_commit(std::slice::from_ref(&output)).await.unwrap() == State::Open {
                commit(&[output], &attempts).await.unwrap();
            }
            assert_eq!(files(&path).len(), WORKERS as usize + 1, "{round}");
            assert!(!path.join("_temporary").exists(), "{round}");
        });
    }
}
