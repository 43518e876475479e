//! Jobs by flags and by file: both say the same, and what is wrong is named with the place and the way out, before
//! anything starts.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::process::{Command, Output};

use forebay_tests::{forebay, said};
use support::{Room, code, run};

/// `forebay run --print-job` with these arguments, in this room.
fn print_job<I: IntoIterator<Item: AsRef<OsStr>>>(room: &Room, args: I) -> Output {
    let mut command: Command = forebay(["run", "--print-job"]);
    run(command.args(args).current_dir(room.path("")))
}

fn printed<I: IntoIterator<Item: AsRef<OsStr>>>(room: &Room, args: I) -> String {
    let output = print_job(room, args);
    assert_eq!(code(&output), 0, "{output:?}");
    assert_eq!(said(&output), "");
    String::from_utf8(output.stdout).unwrap()
}

/// Checks that this is wrong use, and said in these words.
fn refused<I: IntoIterator<Item: AsRef<OsStr>>>(room: &Room, args: I, words: &[&str]) {
    let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
    let output = print_job(room, &args);
    assert_eq!(code(&output), 2, "{args:?}: {output:?}");
    assert_eq!(output.stdout, b"", "{args:?}");
    // Long lines of options are wrapped by the parser of the command line.
    let said = said(&output);
    for word in words {
        assert!(said.contains(word), "{args:?} does not say {word:?}: {said}");
    }
}

/// A job with everything that is not the default.
const EVERYTHING: [&str; 52] = [
    "--name",
    "a \"job\"",
    "--workers",
    "3",
    "--worker-memory",
    "1.5G",
    "--worker-cores",
    "2",
    "--worker-gpus",
    "0",
    "--input",
    "a,b#x",
    "--input",
    "hdfs:///d/{1,2}/*",
    "--format",
    "lines",
    "--delimiter",
    r"|\n\x00",
    "--line-ending",
    "lf",
    "--split-size",
    "3M",
    "--epochs",
    "2",
    "--no-verify",
    "--hdfs-timeout",
    "7",
    "--cache-dir",
    "/var/cache/blocks",
    "--cache-size",
    "1536M",
    "--output",
    "out#model/a",
    "--output",
    "hdfs://n:1/o",
    "--env",
    "A=b=c",
    "--env",
    "E=",
    "--files",
    r"x.py,y\,z#w",
    "--max-restarts",
    "0",
    "--on-restart=from-ack",
    "--keep-folder",
    "--early-exit=ok",
    "--job-timeout=90m",
    "--job-dir",
    "jobs",
    "--",
    "./train",
    "é\n'\"\\",
];

#[test]
fn a_printed_job_says_the_same_as_its_flags() {
    let room = Room::new();
    let file = printed(&room, EVERYTHING);
    for line in [
        "name = 'a \"job\"'",
        "workers = 3",
        "worker-memory = \"1536M\"",
        r#"input = ["a#x", "b#x", "hdfs:///d/{1,2}/*"]"#,
        r"delimiter = '|\n\x00'",
        "format = 'lines'",
        "no-verify = true",
        "cache-dir = \"/var/cache/blocks\"",
        "cache-size = \"1536M\"",
        r#"output = ["out#model/a", "hdfs://n:1/o"]"#,
        r#"env = ["A=b=c", "E="]"#,
        r"files = ['x.py', 'y\,z#w']",
        "max-restarts = 0",
        "on-restart = \"from-ack\"",
        "job-timeout = \"90m\"",
    ] {
        assert!(
            file.lines().any(|found| found.replace('\'', "\"") == line.replace('\'', "\"")),
            "{line} in {file}"
        );
    }
    assert!(!file.contains("worker-gpus"), "defaults are left out: {file}");
    room.file("job.toml", &file);
    assert_eq!(printed(&room, ["job.toml"]), file);
}

#[test]
fn a_flag_replaces_what_the_file_says() {
    let room = Room::new();
    let file = "# a job\nworkers = 2\ninput = ['a', 'b']\nno-verify = true\ncommand = ['c', 'd']\n\n[env]\nA = '1'\nB = 'x=y'\n";
    room.file("job.toml", file);
    let kept = printed(&room, ["job.toml"]);
    assert_eq!(
        kept,
        "name = \"c\"\ncommand = [\"c\", \"d\"]\nworkers = 2\nenv = [\"A=1\", \"B=x=y\"]\ninput = [\"a\", \"b\"]\nno-verify = true\n"
    );
    let args = ["--workers", "5", "job.toml", "--input", "z", "--no-verify=false", "--env", "C=2", "--", "e"];
    assert_eq!(
        printed(&room, args),
        "name = \"e\"\ncommand = [\"e\"]\nworkers = 5\nenv = [\"C=2\"]\ninput = [\"z\"]\n"
    );
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_name() {
    let room = Room::new();
    for (file, words) in [
        ("input = ['a']\n\nworker = 3\n", ["job.toml: line 3:", "'worker'", "did you mean 'workers'?"]),
        ("inputs = ['a']", ["line 1:", "'inputs'", "did you mean 'input'?"]),
        ("[output-modes]\nx = 1", ["line 1:", "'output-modes'", "did you mean 'output-mode'?"]),
        ("max_restarts = 1", ["line 1:", "'max_restarts'", "did you mean 'max-restarts'?"]),
        ("shard = '0/2'", ["job.toml: line 1:", "no setting", "'shard'"]),
    ] {
        room.file("job.toml", file);
        refused(&room, ["job.toml"], &words);
    }
    let output = run(forebay(["run", "--json", "job.toml"]).current_dir(room.path("")));
    assert_eq!(code(&output), 2);
    let event: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(event["event"], "error");
    assert!(event["message"].as_str().unwrap().contains("'shard'"), "{event}");
}

/// For each setting values that are wrong in a file, and what is said of them.
const WRONG: &[(&str, &[(&str, &str)])] = &[
    ("name", &[("''", "1 to 200 bytes"), ("7", "a text in quotes"), (r#""a\nb""#, "control characters")]),
    (
        "command",
        &[
            ("'wc -l'", "an array of texts: the program and its arguments"),
            ("['']", "the program's name is empty"),
            ("[]", "no command"),
            ("['wc', 1]", "an array with the number 1"),
            (r#"["a\u0000"]"#, "NUL"),
        ],
    ),
    (
        "workers",
        &[("0", "from 1 to 10000"), ("-1", "from 1"), ("'3'", "without quotes"), ("1.5", "the number 1.5")],
    ),
    (
        "worker-memory",
        &[
            ("1024", "say 512M or 1.5G"),
            ("'lots'", "a size is"),
            ("true", "and is true"),
            ("'1.5'", "a size is"),
        ],
    ),
    ("worker-cores", &[("0", "from 1"), ("99999999999999999999", "from 1"), ("[]", "an array")]),
    ("worker-gpus", &[("-1", "from 0"), ("'a'", "without quotes")]),
    ("queue", &[("''", "1 to 200 bytes"), ("1", "in quotes")]),
    ("priority", &[("-1", "from 0"), ("'high'", "without quotes")]),
    ("node-label", &[("'a,b'", "one label alone"), ("'-a'", "begins with a letter"), ("''", "letters")]),
    ("am-memory", &[("'1M'", "at least 64M"), ("true", "and is true")]),
    ("am-cores", &[("0", "from 1")]),
    ("max-attempts", &[("0", "from 1"), ("1001", "to 1000")]),
    ("archives", &[("['a.gz']", ".tar.gz"), ("['a.tgz#..']", "a single name")]),
    ("cache-file", &[("['file:///a']", "on HDFS"), ("['hdfs:///']", "is empty")]),
    ("cache-archive", &[("['hdfs:///a']", ".tar.gz")]),
    ("tags", &[("['a,,b']", "1 to 100"), ("['é']", "ASCII"), ("['a,b,c,d,e', 'f,g,h,i,j,k']", "10 at most")]),
    ("wait-timeout", &[("'5'", "15m"), ("5", "in quotes")]),
    ("grow-memory", &[("1", "true or false")]),
    (
        "env",
        &[
            ("['A']", "NAME=VALUE"),
            ("['1A=b']", "begins with no digit"),
            ("['=b']", "letters"),
            ("['INDEX=1']", "INDEX is set by the job itself"),
            ("['FOREBAY_X=1']", "FOREBAY_X is set by the job itself"),
            ("['A=1', 'A=2']", "A is given twice"),
            ("{ A = 1 }", "a table with the number 1"),
            ("{ 'A=B' = 'c' }", r#"a table with the name "A=B""#),
            ("'A=1'", "an array of texts"),
        ],
    ),
    (
        "files",
        &[
            ("['..']", "must be a single name"),
            ("['a#']", "is empty"),
            ("['hdfs:///a']", "what is linked or shipped is a local path"),
            ("'a'", "an array"),
        ],
    ),
    (
        "input",
        &[
            ("[]", "no input"),
            ("['']", "a path is empty"),
            ("['a,,b']", "a path is empty"),
            ("['a#..']", "a single name"),
            ("['{a']", "without its }"),
            ("'a'", "an array of texts"),
        ],
    ),
    ("input-mode", &[("'steam'", "did you mean 'stream'?"), ("1", "a text in quotes")]),
    ("no-verify", &[("'true'", "without quotes"), ("1", "true or false")]),
    ("hdfs-timeout", &[("0", "from 1 to 86400"), ("'30'", "without quotes")]),
    (
        "cache-dir",
        &[("'c'", "an absolute path"), ("'~/c'", "without ~"), ("''", "absolute"), ("1", "a text in quotes")],
    ),
    ("cache-size", &[("'63M'", "at least 64M"), ("'x'", "a size is"), ("1.5", "a size, as")]),
    (
        "format",
        &[("'line'", "did you mean 'lines'?"), ("'fixed:0'", "at least 1"), ("1", "a text in quotes")],
    ),
    ("delimiter", &[("''", "empty"), (r"'\q'", "not understood"), ("1", "a text in quotes")]),
    ("line-ending", &[("'crlf'", "known: keep, lf"), ("1", "a text in quotes")]),
    ("framing", &[("'lines'", "known: raw, length"), ("1", "a text in quotes")]),
    ("sequencefile", &[("'key'", "known: value, key-value"), ("1", "a text in quotes")]),
    (
        "split-size",
        &[("0", "at least 1"), ("'1.5G'", "a size is"), ("-1", "a size is"), ("1.5", "a size, as")],
    ),
    ("epochs", &[("0", "from 1"), ("'2'", "without quotes")]),
    (
        "output",
        &[
            ("['']", "a path is empty"),
            ("['o#/a']", "may not begin with /"),
            ("['o#a/../b']", "a single name"),
            ("['s3://b']", "s3: is not known"),
            ("'o'", "an array of texts"),
        ],
    ),
    (
        "output-mode",
        &[
            ("'upl'", "known: upload, stream"),
            ("'uplaod'", "did you mean 'upload'?"),
            ("1", "a text in quotes"),
        ],
    ),
    ("max-restarts", &[("-1", "from 0"), ("'1'", "without quotes")]),
    ("on-restart", &[("'replay'", "replay-all, from-ack"), ("1", "a text in quotes")]),
    ("keep-folder", &[("'yes'", "true or false"), ("1", "true or false")]),
    ("early-exit", &[("'no'", "fail, ok"), ("true", "a text in quotes")]),
    ("job-timeout", &[("'90'", "90s, 15m, 2h or 1d"), ("'0s'", "above 0"), ("90", "a text in quotes")]),
    ("job-dir", &[("''", "the path is empty"), ("1979-05-27", "a date or time")]),
];

#[test]
fn each_setting_that_is_wrong_is_named_with_its_line() {
    let room = Room::new();
    for (name, values) in WRONG {
        for (value, word) in *values {
            // Wrong things of one line among right ones.
            let right = [("command", "['c']"), ("input", "['a']")];
            let right = right
                .iter()
                .filter(|(other, _)| other != name)
                .map(|(key, value)| format!("{key} = {value}\n"));
            let file = format!("# one\n{name} = {value}\n{}", right.collect::<String>());
            room.file("job.toml", &file);
            let missing = word.starts_with("no ");
            let place = if missing { String::new() } else { format!("job.toml: line 2: {name}") };
            refused(&room, ["job.toml"], &[&place, word]);
        }
    }
    let help = run(forebay(["run", "--help"]));
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, options) = help.split_once("Job:\n").unwrap();
    let flags = options.lines().filter_map(|line| line.strip_prefix("      --"));
    let flags: BTreeSet<_> = flags.map(|line| line.split([' ', '[']).next().unwrap()).collect();
    let tried: BTreeSet<_> = WRONG.iter().map(|(name, _)| *name).filter(|name| *name != "command").collect();
    assert_eq!(flags, tried, "every setting is tried");
}

#[test]
fn a_wrong_flag_is_named() {
    let room = Room::new();
    for (flags, words) in [
        (&["--workers", "x"][..], ["--workers 'x'", "whole number"]),
        (&["--input", "a#.."], ["--input 'a#..'", "a single name"]),
        (&["--input-mode", "lst"], ["--input-mode", "'list'"]),
        (&["--job-timeout", "5"], ["--job-timeout '5'", "15m"]),
        (&["--worker-gpus", "1"], ["--worker-gpus 1", "not placed on the GPUs"]),
        (&["--no-verify=maybe"], ["--no-verify", "maybe"]),
        (&["--worker", "1"], ["--worker", "--workers"]),
        (&["--env", "INDEX=1"], ["--env 'INDEX=1'", "set by the job"]),
    ] {
        refused(&room, flags.iter().chain(&["--input", "a", "--", "c"]), &words);
    }
    refused(&room, ["--", "c"], &["no input", "--input"]);
    refused(&room, ["--input", "a"], &["no command", "behind --"]);
    refused(&room, ["--input", "a", "--", ""], &["COMMAND ''", "empty"]);
}

#[test]
fn what_only_a_cluster_can_do_is_refused_and_what_it_alone_heeds_is_told() {
    let room = Room::new();
    room.file("in", "a line\n");
    for (key, value) in [
        ("worker-gpus", "1"),
        ("archives", "['a.tgz']"),
        ("cache-file", "['hdfs:///a']"),
        ("cache-archive", "['hdfs:///a.tgz']"),
    ] {
        room.file("job.toml", format!("{key} = {value}\ninput = ['in']\ncommand = ['true']\n"));
        refused(&room, ["job.toml"], &[&format!("job.toml: {key} (line 1)"), "forebay submit"]);
    }
    let cluster = "queue = 'ml'\ngrow-memory = true\ninput = ['in']\ncommand = ['cat']\n";
    room.file("job.toml", cluster);
    let job = run(forebay(["run", "job.toml", "--node-label", "fast"])
        .current_dir(room.path(""))
        .env("HOME", room.path("")));
    let said = said(&job);
    assert_eq!(code(&job), 0, "{said}");
    let note = "without a meaning on one machine: grow-memory (line 2), --node-label, queue (line 1)\n";
    assert_eq!(said.matches("without a meaning").count(), 1, "{said}");
    assert!(said.contains(note), "{said}");
}

#[test]
fn no_name_leaves_the_workers_folder() {
    let room = Room::new();
    for (flag, values) in [
        ("--input", &["a#..", "a#.", "a#/x", "a#x/..", "a#x/y", "a#", "a#.x"][..]),
        ("--output", &["o#..", "o#/x", "o#x/../..", "o#../x", "o#.", "o#x//y", "o#"]),
        ("--files", &["..", ".", "a/..", "f#..", "f#/x", "f#x/y", "f#"]),
    ] {
        for value in values {
            refused(&room, ["--input", "a", flag, value, "--", "c"], &[flag, &format!("'{value}'")]);
        }
    }
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    let room = Room::new();
    let acks = ["--on-restart", "from-ack"];
    for (flags, words) in [
        (&["--format", "bytes", "--delimiter", "x"][..], &["--delimiter is for lines", "--format"][..]),
        (&["--format", "fixed:8", "--line-ending", "lf"], &["--line-ending lf is for lines"]),
        (&["--framing", "length"], &["--framing length is for records of SequenceFiles", "--format auto"]),
        (
            &["--format", "lines", "--sequencefile", "key-value"],
            &["--sequencefile key-value is for records of SequenceFiles"],
        ),
        (&["--input-mode", "list", "--framing", "length"], &["--framing has no meaning"]),
        (&["--input-mode", "list", "--sequencefile", "key-value"], &["--sequencefile has no meaning"]),
        (
            &["--input-mode", "download", "--format", "bytes"],
            &["--format has no meaning with --input-mode download"],
        ),
        (
            &["--input-mode", "list", "--delimiter", "x"],
            &["--delimiter has no meaning with --input-mode list"],
        ),
        (&["--input-mode", "list", "--line-ending", "lf"], &["--line-ending has no meaning"]),
        (&["--input-mode", "list", "--split-size", "1M"], &["--split-size has no meaning"]),
        (
            &["--input-mode", "download", "--epochs", "2"],
            &["--epochs has no meaning with --input-mode download"],
        ),
        (&["--cache-dir", "/c"], &["--cache-dir needs --cache-size"]),
        (&["--cache-size", "1G"], &["--cache-size needs --cache-dir"]),
        (
            &["--input-mode", "list", "--cache-dir", "/c", "--cache-size", "1G"],
            &["--cache-dir has no meaning with --input-mode list"],
        ),
        (&["--input-mode", "download", acks[0], acks[1]], &["--on-restart from-ack has no meaning"]),
        (&["--input-mode", "list", "--early-exit", "ok"], &["--early-exit ok has no meaning"]),
        (&["--input-mode", "list", "--env", "INPUT_FILE_LIST=x"], &["INPUT_FILE_LIST"]),
        (&["--output-mode", "stream"], &["--output-mode stream needs one --output", "there are 0"]),
        (&["--output-mode", "stream", "--output", "o", "--output", "p"], &["there are 2"]),
        (&["--output", "o", acks[0], acks[1]], &["--on-restart from-ack with --output needs --keep-folder"]),
        (
            &["--output", "o", "--output-mode", "stream", acks[0], acks[1], "--keep-folder"],
            &["does not go with --output-mode stream"],
        ),
        (&["--output", "o", "--keep-folder"], &["--keep-folder with --output needs --on-restart from-ack"]),
        (&["--output", "o#a", "--output", "o/#b"], &["the outputs o and o/"]),
        (&["--output", "o#a", "--output", "o/p#b"], &["lie in, one another"]),
        (&["--output", "hdfs:///o#a", "--output", "hdfs:/o/../o/p#b"], &["lie in, one another"]),
    ] {
        refused(&room, flags.iter().chain(&["--input", "a", "--", "c"]), words);
    }
    // Seen from this folder they are the same.
    let here = room.path("").canonicalize().unwrap().join("o#a").into_os_string();
    refused(
        &room,
        [
            "--input=a".as_ref(),
            "--output=o#b".as_ref(),
            OsStr::new("--output"),
            &here,
            "--".as_ref(),
            "c".as_ref(),
        ],
        &["the outputs"],
    );

    let file = "input = ['a']\ncommand = ['c']\nepochs = 2\ninput-mode = 'list'\n";
    room.file("job.toml", file);
    refused(&room, ["job.toml"], &["job.toml: epochs (line 3) has no meaning with input-mode (line 4) list"]);
    refused(&room, ["job.toml", "--input-mode", "download"], &["epochs (line 3)", "--input-mode download"]);
    assert!(printed(&room, ["job.toml", "--input-mode", "stream"]).contains("epochs = 2"));
}

#[test]
fn names_that_meet_in_a_workers_folder_are_refused() {
    let room = Room::new();
    let download = ["--input-mode", "download"];
    for (flags, names) in [
        (&["--files", "x/a", "--files", "y/a"][..], "'a' and 'a'"),
        (&["--files", "x/a,y#a"], "'a' and 'a'"),
        (&["--output", "o#a", "--output", "p#a"], "'a' and 'a'"),
        (&["--output", "o#a", "--output", "p#a/b"], "'a' and 'a/b'"),
        (&["--output", "o#a/b", "--files", "a"], "'a/b' and 'a'"),
        (&["--input", "i#d", "--files", "d", download[0], download[1]], "'d' and 'd'"),
        (&["--output", "o#input/x", download[0], download[1]], "'input' and 'input/x'"),
        (&["--files", "x#inputFileList.txt", "--input-mode", "list"], "inputFileList.txt"),
    ] {
        refused(
            &room,
            flags.iter().chain(&["--input", "a", "--", "c"]),
            &["meet in a worker's folder", names],
        );
    }
    // What does not meet is taken: aliases are no folders when input is streamed, folders of outputs no names when
    // standard output is.
    printed(&room, ["--input", "i#d", "--files", "d", "--", "c"]);
    printed(&room, ["--input", "i", "--output", "o#d", "--output-mode", "stream", "--files", "d", "--", "c"]);
    // The same alias again is the same folder.
    printed(&room, ["--input", "i#d", "--input", "j#d", download[0], download[1], "--", "c"]);
}

#[test]
fn what_is_no_job_file_is_refused() {
    let room = Room::new();
    room.file("latin", b"name = '\xe9'\n");
    room.file("wrong", "input = ['a']\nworkers = = 3\n");
    room.file("twice", "workers = 3\nname = 'a'\nworkers = 4\n");
    room.file("empty", "");
    refused(&room, ["none.toml"], &["cannot read the job file none.toml", "No such file", "behind --"]);
    refused(&room, ["."], &["cannot read the job file ."]);
    refused(&room, ["/dev/zero"], &["/dev/zero is no job file", "1 MiB"]);
    refused(&room, ["latin"], &["latin is no job file", "byte 8"]);
    refused(&room, ["wrong"], &["wrong: line 2:"]);
    refused(&room, ["twice"], &["twice: line 3:", "duplicate"]);
    refused(&room, ["empty"], &["no command"]);
}

#[test]
fn what_is_not_text_is_refused() {
    let room = Room::new();
    let bad = || OsString::from_vec(b"a\xff".to_vec());
    let good = |text: &str| OsString::from(text);
    refused(&room, [good("--input"), bad(), good("--"), good("c")], &["--input 'a\u{fffd}' is not UTF-8"]);
    refused(
        &room,
        [good("--input"), good("a"), good("--"), good("c"), bad()],
        &["COMMAND 'a\u{fffd}' is not UTF-8"],
    );
}

#[test]
fn a_resumed_job_takes_only_another_number_of_workers() {
    let room = Room::new();
    for (args, words) in [
        (&["--resume", "j", "--epochs", "2"][..], &["--epochs cannot be changed", "only --workers can"][..]),
        (&["--resume", "j", "--workers", "0"], &["--workers '0'"]),
        (&["--resume", "j", "--", "c"], &["--resume", "cannot be used with"]),
        (&["--resume", "j", "job.toml"], &["--resume", "cannot be used with"]),
    ] {
        let output = run(forebay(["run"]).args(args).current_dir(room.path("")));
        assert_eq!(code(&output), 2, "{args:?}: {output:?}");
        for word in words {
            assert!(said(&output).contains(word), "{args:?} does not say {word:?}: {}", said(&output));
        }
    }
}
