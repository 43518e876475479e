//! Whatever is given: a file says what its job says, and no text makes a reader panic.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use forebay_job::{Channel, Draft, Job, Report, ReportError, ReportScanner, SETTINGS, parse_report_line};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

/// A value of one setting, or of none.
type Given = Option<(&'static str, Vec<String>)>;

fn one(name: &'static str, texts: impl Strategy<Value = String>) -> impl Strategy<Value = Given> {
    of(texts.prop_map(move |text| (name, vec![text])))
}

fn word(name: &'static str, words: &'static [&'static str]) -> impl Strategy<Value = Given> {
    one(name, select(words).prop_map(str::to_owned))
}

/// Paths with all that has a meaning in them, most of them right.
fn path(pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
    vec(select(pieces), 0..5).prop_map(|pieces| format!("p{}", pieces.concat()))
}

const IN_GLOBS: &[&str] = &[
    "a",
    "/b",
    "é",
    " ",
    "\n",
    ".",
    "#x",
    "#y",
    "\\,",
    ",c",
    "{a,b}",
    "{a\\,{b,c}}",
    "\\{",
    "\\\\d",
    "\\}",
    "}",
    "*",
];
const IN_FILES: &[&str] = &["a", "/b", "é", " ", ".", "#x", "\\,", ",c", "\\\\d", "{", "}", "/", "\\"];
const IN_OUTPUTS: &[&str] = &["a", "/b", "é", " ", ".", "#x", "#y/z", ",", "\\", "/../c"];

/// Outputs at different places.
fn apart(outputs: &[String]) -> Vec<String> {
    outputs.iter().enumerate().map(|(i, output)| format!("/{i}{output}")).collect()
}

/// Settings of which most make a job.
fn settings() -> impl Strategy<Value = Vec<Given>> {
    let people = (
        one("name", "[a-z \"'é]{1,9}"),
        vec("[ -~é\n\t]{1,8}", 1..4).prop_map(|words| Some(("command", words))),
        one("workers", (1..9_u32).prop_map(|n| n.to_string())),
        one("worker-memory", (1_u64 << 20..1 << 50).prop_map(|n| n.to_string())),
        one("worker-cores", (1..9_u32).prop_map(|n| n.to_string())),
        of(vec("[A-Z_][A-Z0-9_]{2,5}=[ -~é\n=]{0,8}", 0..3).prop_map(|env| ("env", env))),
        of(vec(path(IN_FILES), 0..3).prop_map(|files| ("files", files))),
    );
    let records = (
        vec(path(IN_GLOBS), 1..4).prop_map(|inputs| Some(("input", inputs))),
        one("delimiter", r"[a-c|,]{1,3}|\\x[0-9a-f]{2}|\\n\\n"),
        word("line-ending", &["keep", "lf"]),
        one("split-size", "[1-9][0-9]{0,3}[KMGT]?"),
        one("epochs", (1..i64::MAX).prop_map(|n| n.to_string())),
        word("no-verify", &["true", "false"]),
        one("hdfs-timeout", (1..86400_u64).prop_map(|n| n.to_string())),
        one("cache-dir", "/[a-c /]{0,6}"),
        one("cache-size", (64_u64 << 20..1 << 50).prop_map(|n| n.to_string())),
    );
    let ends = (
        of(vec(path(IN_OUTPUTS), 0..3)
            .prop_map(|outputs| apart(&outputs))
            .prop_map(|outputs| ("output", outputs))),
        one("max-restarts", any::<u32>().prop_map(|n| n.to_string())),
        word("early-exit", &["fail", "ok"]),
        word("on-restart", &["replay-all", "from-ack"]),
        word("keep-folder", &["true", "false"]),
        one("job-timeout", "[1-9][0-9]{0,3}[smhd]"),
        one("job-dir", r"[/a-c. é\n]{1,8}"),
    );
    let cluster = (
        one("queue", "[a-z. ]{1,9}"),
        one("priority", (0..100_u32).prop_map(|n| n.to_string())),
        one("node-label", "[a-zA-Z0-9][a-z_-]{0,5}"),
        one("am-memory", (64_u64 << 20..1 << 40).prop_map(|n| n.to_string())),
        of(vec("[a-z ]{0,3}[a-z](,[a-z])?", 0..4).prop_map(|tags| ("tags", tags))),
        of(vec("[a-c/]{1,3}x\\.(tgz|ZIP|tar\\.gz)(#[d-f,]{1,2})?", 0..2)
            .prop_map(|paths| ("archives", paths))),
        of(vec("(hdfs:/[a-c/]{0,3}|hdfs://n:1/|)g(#[h-j]{1,2})?", 0..2)
            .prop_map(|paths| ("cache-file", paths))),
        one("wait-timeout", "[1-9][0-9]{0,3}[smhd]"),
        word("grow-memory", &["true", "false"]),
    );
    (people, records, ends, cluster).prop_map(|(p, r, e, c)| {
        vec![
            p.0, p.1, p.2, p.3, p.4, p.5, p.6, r.0, r.1, r.2, r.3, r.4, r.5, r.6, r.7, r.8, e.0, e.1, e.2,
            e.3, e.4, e.5, e.6, c.0, c.1, c.2, c.3, c.4, c.5, c.6, c.7, c.8,
        ]
    })
}

fn draft(settings: &[Given]) -> Draft {
    let mut draft = Draft::default();
    for (name, values) in settings.iter().flatten() {
        draft.set(SETTINGS.iter().find(|setting| setting.name == *name).unwrap(), values.clone());
    }
    draft
}

#[test]
fn a_file_says_what_a_job_of_sequence_files_says() {
    let records = "format = 'sequencefile'\nframing = 'length'\nsequencefile = 'key-value'\n";
    let job = Job::from_toml(&format!("input = ['a']\ncommand = ['c']\n{records}")).unwrap();
    let text = job.to_toml();
    for line in records.lines() {
        assert!(text.replace('"', "'").contains(line), "{text}");
    }
    assert_eq!(Job::from_toml(&text).unwrap(), job);
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 1_000_000, ..ProptestConfig::default() })]

    #[test]
    fn a_file_says_what_its_job_says(settings in settings()) {
        let job = draft(&settings).build();
        prop_assume!(job.is_ok());
        let job = job.unwrap();
        let file = job.to_toml();
        prop_assert_eq!(&Job::from_toml(&file).unwrap(), &job, "{}", file);
        let json = serde_json::to_string(&job).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Job>(&json).unwrap(), &job);
        if let Ok(job) = job.clone().on_cluster("n:1", "/user/a, b#c", "/home") {
            prop_assert_eq!(&Job::from_toml(&job.to_toml()).unwrap(), &job);
            prop_assert!(job.inputs.iter().all(|input| input.path.starts_with("hdfs://n:1/")));
        }
        if let Ok(job) = job.at("/home/a, b#{c") {
            prop_assert_eq!(&Job::from_toml(&job.to_toml()).unwrap(), &job);
        }
    }

    #[test]
    fn no_text_makes_the_file_reader_panic(text in r#"([a-z-]{1,8}|input|workers|env|=|"[^"]{0,5}"|[\[\]{}#.,]|\n| |[0-9]+|.)*"#) {
        let _ = Job::from_toml(&text);
    }

    #[test]
    fn no_line_makes_the_report_reader_panic(line in vec(any::<u8>(), 0..200), head in select(vec![
        "", "reporter progress:", "reporter:counter:", "reporter ack:records=", "report:progress", "reporter:status:",
    ])) {
        let _ = parse_report_line(&[head.as_bytes(), &line].concat());
    }

    #[test]
    fn chunks_make_no_difference(
        lines in vec(r"(reporter (progress:[01x]|ack:(records|bytes)=[0-9]{0,3})|report|reporter|re|é|x)*[\r\n]{1,2}", 0..20),
        cuts in vec(1..20_usize, 1..10),
    ) {
        let text = lines.concat().into_bytes();
        let expected: Vec<_> = text.split(|b| b"\r\n".contains(b)).filter_map(parse_report_line).collect();
        prop_assert_eq!(&scanned([&text[..]]), &expected);
        let (mut chunks, mut rest) = (Vec::new(), &text[..]);
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (chunk, behind) = rest.split_at(rest.len().min(*cut));
            chunks.push(chunk);
            rest = behind;
        }
        prop_assert_eq!(&scanned(chunks), &expected);
    }
}

fn scanned<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Result<Report, ReportError>> {
    let (mut scanner, mut found) = (ReportScanner::new(Channel::Stderr), Vec::new());
    for chunk in chunks {
        scanner.push(chunk, |report| found.push(report));
    }
    scanner.finish(|report| found.push(report));
    found
}
