//! The list of settings: for each its name, its help, how it is read and how it is written. Flags, keys of the
//! file, and help are made from it.

mod readers;

use crate::choice::{EarlyExit, Framing, InputMode, LineEnding, OnRestart, OutputMode, SequenceFields};
use crate::job::Job;
use crate::paths::{InputPath, LinkedFile, Output};
use crate::values::{self, FormatName};

pub(crate) use readers::Wrong;
use readers::{
    MOST, am_memory, command, env, folder, label, many, memory, name, one, seconds, small, switch, tags,
    unless, word,
};

/// What a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A whole number; in a file without quotes.
    Number,
    /// A number of bytes; in a file a number, or a text with a unit.
    Size,
    /// True or false; as a flag it needs no value.
    Switch,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Any number of texts; as a flag one each time.
    List,
    /// As [`Kind::List`]; in a file also a table of texts.
    Pairs,
    /// A program and its arguments; the words behind `--`.
    Command,
}

/// A setting of a job.
#[derive(Debug)]
pub struct Setting {
    /// Its name, as key and, with `--` in front, as flag.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What its value is called in help.
    pub value_name: &'static str,
    /// What it is when nothing is said; `None` where that is not one value.
    pub default: Option<&'static str>,
    /// The heading under which help shows it.
    pub heading: &'static str,
    /// What it does, for help.
    pub help: &'static str,
    pub(crate) read: fn(&mut Job, &[String]) -> Result<(), Wrong>,
    /// What differs from the default, as texts that `read` takes.
    pub(crate) write: fn(&Job) -> Vec<String>,
}

impl Setting {
    /// Whether it says how a job runs on a cluster, and means nothing on one machine.
    pub fn is_for_clusters(&self) -> bool {
        self.heading == CLUSTER
    }
}

/// The setting of this name.
pub(crate) fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

const JOB: &str = "Job";
const INPUT: &str = "Input";
const RECORDS: &str = "Records (of streamed input)";
const OUTPUT: &str = "Output";
const WORKERS: &str = "Workers";
const FAILURE: &str = "Failure";
const CLUSTER: &str = "Cluster (of forebay submit)";

/// All settings, in the order of help and files.
pub static SETTINGS: &[Setting] = &[
    Setting {
        name: "name",
        kind: Kind::Text,
        value_name: "NAME",
        default: None,
        heading: JOB,
        help: "The job's name, for people. Default: the command's",
        read: |job, texts| one(&mut job.name, texts, name),
        write: |job| unless(&String::new(), &job.name, String::clone),
    },
    Setting {
        name: "command",
        kind: Kind::Command,
        value_name: "COMMAND",
        default: None,
        heading: JOB,
        help: "The program that each worker runs, and its arguments",
        read: |job, texts| match texts.first() {
            Some(program) if program.is_empty() => {
                Err(Wrong { value: String::new(), why: "the program's name is empty".into() })
            }
            _ => many(&mut job.command, texts, command),
        },
        write: |job| job.command.clone(),
    },
    Setting {
        name: "workers",
        kind: Kind::Number,
        value_name: "N",
        default: Some("1"),
        heading: WORKERS,
        help: "How many workers share the input",
        read: |job, texts| one(&mut job.workers, texts, |text| small(text, 1, 10_000)),
        write: |job| unless(&1, &job.workers, u32::to_string),
    },
    Setting {
        name: "worker-memory",
        kind: Kind::Size,
        value_name: "SIZE",
        default: None,
        heading: WORKERS,
        help: "Memory of each worker (512M, 1.5G; K M G T are 1024ⁿ). On a cluster 1G if nothing is said; there 128M are \
               asked for in addition, for what feeds it",
        read: |job, texts| one(&mut job.worker_memory, texts, memory),
        write: |job| job.worker_memory.map(values::show_size).into_iter().collect(),
    },
    Setting {
        name: "worker-cores",
        kind: Kind::Number,
        value_name: "N",
        default: None,
        heading: WORKERS,
        help: "Cores of each worker",
        read: |job, texts| one(&mut job.worker_cores, texts, |text| small(text, 1, 10_000).map(Some)),
        write: |job| job.worker_cores.map(|cores| cores.to_string()).into_iter().collect(),
    },
    Setting {
        name: "worker-gpus",
        kind: Kind::Number,
        value_name: "N",
        default: Some("0"),
        heading: WORKERS,
        help: "GPUs of each worker; on one machine more than 0 is refused, because workers are not placed on its GPUs",
        read: |job, texts| one(&mut job.worker_gpus, texts, |text| small(text, 0, 10_000)),
        write: |job| unless(&0, &job.worker_gpus, u32::to_string),
    },
    Setting {
        name: "env",
        kind: Kind::Pairs,
        value_name: "NAME=VALUE",
        default: None,
        heading: WORKERS,
        help: "A variable for the workers; may be given several times",
        read: env,
        write: |job| job.env.iter().map(|(key, value)| format!("{key}={value}")).collect(),
    },
    Setting {
        name: "files",
        kind: Kind::List,
        value_name: "PATH[#NAME][,...]",
        default: None,
        heading: WORKERS,
        help: "Local files or folders to link into each worker's folder, by their own name or as NAME; may be given \
               several times",
        read: |job, texts| many(&mut job.files, texts, LinkedFile::read),
        write: |job| job.files.iter().map(LinkedFile::write).collect(),
    },
    Setting {
        name: "input",
        kind: Kind::List,
        value_name: "PATH[,PATH...][#ALIAS]",
        default: None,
        heading: INPUT,
        help: "Files, folders or globs to feed, as in 'forebay feed'; may be given several times. A comma of a path's \
               own is written \\,. ALIAS names the folder of downloads and the key of lists; default: input",
        read: |job, texts| many(&mut job.inputs, texts, InputPath::read),
        write: |job| job.inputs.iter().map(InputPath::write).collect(),
    },
    Setting {
        name: "input-mode",
        kind: Kind::Choice(InputMode::WORDS),
        value_name: "MODE",
        default: Some("stream"),
        heading: INPUT,
        help: "Records on standard input (stream), files in ./ALIAS/ (download), or their names in the variable \
               INPUT_FILE_LIST (list)",
        read: |job, texts| one(&mut job.input_mode, texts, word),
        write: |job| unless(&InputMode::Stream, &job.input_mode, InputMode::to_string),
    },
    Setting {
        name: "no-verify",
        kind: Kind::Switch,
        value_name: "BOOL",
        default: None,
        heading: INPUT,
        help: "Do not compare blocks of HDFS with their checksums, but for those in --cache-dir, which is not filled then",
        read: |job, texts| one(&mut job.verify, texts, switch).map(|()| job.verify = !job.verify),
        write: |job| unless(&true, &job.verify, |verify| (!verify).to_string()),
    },
    Setting {
        name: "hdfs-timeout",
        kind: Kind::Number,
        value_name: "SECONDS",
        default: Some("30"),
        heading: INPUT,
        help: "Seconds to go on trying when HDFS does not answer",
        read: |job, texts| one(&mut job.hdfs_timeout, texts, seconds),
        write: |job| unless(&Job::blank().hdfs_timeout, &job.hdfs_timeout, |time| time.as_secs().to_string()),
    },
    Setting {
        name: "cache-dir",
        kind: Kind::Text,
        value_name: "DIR",
        default: None,
        heading: INPUT,
        help: "Keep HDFS blocks that come over the network in this folder of each host, an absolute path, and read them from \
               there when they are wanted again; jobs of one user share it. Needs --cache-size",
        read: |job, texts| one(&mut job.cache_dir, texts, |text| values::cache_folder(text).map(Some)),
        write: |job| job.cache_dir.clone().into_iter().collect(),
    },
    Setting {
        name: "cache-size",
        kind: Kind::Size,
        value_name: "SIZE",
        default: None,
        heading: INPUT,
        help: "Bytes that the folder of --cache-dir takes at most (K M G T are 1024ⁿ); what was not used for longest goes first",
        read: |job, texts| one(&mut job.cache_size, texts, |text| values::cache_size(text).map(Some)),
        write: |job| job.cache_size.map(values::show_size).into_iter().collect(),
    },
    Setting {
        name: "format",
        kind: Kind::Text,
        value_name: "FORMAT",
        default: Some("auto"),
        heading: RECORDS,
        help: "Records: lines (of compressed files, too, by their names), bytes (no records: splits as they are), fixed:N \
               (N bytes each), tfrecord, sequencefile (Hadoop's SequenceFiles), avro (its container files), tar (archives of samples), or auto: \
               tfrecord where all names say so, else lines, of files that only their first bytes say to be compressed, too",
        read: |job, texts| one(&mut job.format, texts, values::format),
        write: |job| unless(&FormatName::Auto, &job.format, FormatName::to_string),
    },
    Setting {
        name: "delimiter",
        kind: Kind::Text,
        value_name: "TEXT",
        default: None,
        heading: RECORDS,
        help: "End lines at this text only; \\n \\r \\t \\0 \\\\ \\xNN are understood. Default: \\n, \\r\\n and \\r, \
               as in Hadoop",
        read: |job, texts| one(&mut job.delimiter, texts, |text| values::delimiter(text).map(Some)),
        write: |job| job.delimiter.as_ref().map(values::show_delimiter).into_iter().collect(),
    },
    Setting {
        name: "line-ending",
        kind: Kind::Choice(LineEnding::WORDS),
        value_name: "ENDING",
        default: Some("keep"),
        heading: RECORDS,
        help: "How delivered lines end: as stored, or always with \\n",
        read: |job, texts| one(&mut job.line_ending, texts, word),
        write: |job| unless(&LineEnding::Keep, &job.line_ending, LineEnding::to_string),
    },
    Setting {
        name: "framing",
        kind: Kind::Choice(Framing::WORDS),
        value_name: "FRAMING",
        default: Some("raw"),
        heading: RECORDS,
        help: "How records are set apart: those of SequenceFiles as lines (only text and numbers), of Avro files by their \
               schema alone (raw), or each key and value, or record, behind its length (length: four bytes, the lowest first)",
        read: |job, texts| one(&mut job.framing, texts, word),
        write: |job| unless(&Framing::Raw, &job.framing, Framing::to_string),
    },
    Setting {
        name: "sequencefile",
        kind: Kind::Choice(SequenceFields::WORDS),
        value_name: "FIELDS",
        default: Some("value"),
        heading: RECORDS,
        help: "What of a SequenceFile's records is delivered: values, or keys and values, with a tab between them where \
               they are lines",
        read: |job, texts| one(&mut job.sequencefile, texts, word),
        write: |job| unless(&SequenceFields::Value, &job.sequencefile, SequenceFields::to_string),
    },
    Setting {
        name: "split-size",
        kind: Kind::Size,
        value_name: "SIZE",
        default: None,
        heading: RECORDS,
        help: "Bytes per split (K M G T are 1024ⁿ). Default: the HDFS block; 128M for local files",
        read: |job, texts| one(&mut job.split_size, texts, |text| values::nonzero_size(text).map(Some)),
        write: |job| job.split_size.map(|size| values::show_size(size.get())).into_iter().collect(),
    },
    Setting {
        name: "epochs",
        kind: Kind::Number,
        value_name: "N",
        default: Some("1"),
        heading: RECORDS,
        help: "Feed everything N times",
        read: |job, texts| one(&mut job.epochs, texts, |text| values::number(text, 1, MOST)),
        write: |job| unless(&1, &job.epochs, u64::to_string),
    },
    Setting {
        name: "output",
        kind: Kind::List,
        value_name: "PATH[#DIR]",
        default: None,
        heading: OUTPUT,
        help: "Put each worker's ./DIR (default: output) to PATH/<worker>/, or with --output-mode stream its standard \
               output to PATH/part-NNNNN. PATH, local or on HDFS, must be new or empty, and is filled only when the \
               whole job has gone well. May be given several times",
        read: |job, texts| {
            many(&mut job.outputs, texts, |text| Output::read(text).map(|output| vec![output]))
        },
        write: |job| job.outputs.iter().map(Output::write).collect(),
    },
    Setting {
        name: "output-mode",
        kind: Kind::Choice(OutputMode::WORDS),
        value_name: "MODE",
        default: Some("upload"),
        heading: OUTPUT,
        help: "What of a worker is output: a folder when it has ended (upload), or its standard output (stream)",
        read: |job, texts| one(&mut job.output_mode, texts, word),
        write: |job| unless(&OutputMode::Upload, &job.output_mode, OutputMode::to_string),
    },
    Setting {
        name: "max-restarts",
        kind: Kind::Number,
        value_name: "N",
        default: Some("3"),
        heading: FAILURE,
        help: "How often each worker that dies is started again",
        read: |job, texts| one(&mut job.max_restarts, texts, |text| small(text, 0, u32::MAX)),
        write: |job| unless(&Job::blank().max_restarts, &job.max_restarts, u32::to_string),
    },
    Setting {
        name: "on-restart",
        kind: Kind::Choice(OnRestart::WORDS),
        value_name: "HOW",
        default: Some("replay-all"),
        heading: FAILURE,
        help: "Feed again all that a dead worker had got, and discard its output (replay-all), or only what it had \
               not acknowledged, the rest being its own responsibility (from-ack). from-ack with --output needs \
               --keep-folder, because what was made of acknowledged records lies in the worker's folder",
        read: |job, texts| one(&mut job.on_restart, texts, word),
        write: |job| unless(&OnRestart::ReplayAll, &job.on_restart, OnRestart::to_string),
    },
    Setting {
        name: "keep-folder",
        kind: Kind::Switch,
        value_name: "BOOL",
        default: None,
        heading: FAILURE,
        help: "Give a restarted worker the folder of its predecessor, with all that lies in it. Not on a cluster, where \
               each attempt has a container of its own",
        read: |job, texts| one(&mut job.keep_folder, texts, switch),
        write: |job| unless(&false, &job.keep_folder, bool::to_string),
    },
    Setting {
        name: "early-exit",
        kind: Kind::Choice(EarlyExit::WORDS),
        value_name: "VERDICT",
        default: Some("fail"),
        heading: FAILURE,
        help: "When a worker exits with 0 in the middle of a split, or all have and splits remain: fail the job, or \
               call it read as far as it was (ok)",
        read: |job, texts| one(&mut job.early_exit, texts, word),
        write: |job| unless(&EarlyExit::Fail, &job.early_exit, EarlyExit::to_string),
    },
    Setting {
        name: "job-timeout",
        kind: Kind::Text,
        value_name: "TIME",
        default: None,
        heading: FAILURE,
        help: "End the job when it takes longer (90s, 15m, 2h, 1d)",
        read: |job, texts| one(&mut job.job_timeout, texts, |text| values::duration(text).map(Some)),
        write: |job| job.job_timeout.map(values::show_duration).into_iter().collect(),
    },
    Setting {
        name: "job-dir",
        kind: Kind::Text,
        value_name: "DIR",
        default: None,
        heading: JOB,
        help: "Where the job keeps its logs and its ledger. Default: ~/.forebay/jobs/<job id>",
        read: |job, texts| one(&mut job.job_dir, texts, folder),
        write: |job| job.job_dir.clone().into_iter().collect(),
    },
    Setting {
        name: "queue",
        kind: Kind::Text,
        value_name: "QUEUE",
        default: None,
        heading: CLUSTER,
        help: "The queue to submit to. Default: 'default', in whose place the cluster's rules may put another",
        read: |job, texts| one(&mut job.queue, texts, |text| name(text).map(Some)),
        write: |job| job.queue.clone().into_iter().collect(),
    },
    Setting {
        name: "priority",
        kind: Kind::Number,
        value_name: "N",
        default: None,
        heading: CLUSTER,
        help: "The job's priority within its queue; higher is sooner",
        read: |job, texts| {
            one(&mut job.priority, texts, |text| small(text, 0, i32::MAX.unsigned_abs()).map(Some))
        },
        write: |job| job.priority.map(|priority| priority.to_string()).into_iter().collect(),
    },
    Setting {
        name: "node-label",
        kind: Kind::Text,
        value_name: "LABEL",
        default: None,
        heading: CLUSTER,
        help: "Run on nodes with this label only",
        read: |job, texts| one(&mut job.node_label, texts, |text| label(text).map(Some)),
        write: |job| job.node_label.clone().into_iter().collect(),
    },
    Setting {
        name: "am-memory",
        kind: Kind::Size,
        value_name: "SIZE",
        default: Some("256M"),
        heading: CLUSTER,
        help: "Memory of the application master's container",
        read: |job, texts| one(&mut job.am_memory, texts, am_memory),
        write: |job| unless(&Job::blank().am_memory, &job.am_memory, |bytes| values::show_size(*bytes)),
    },
    Setting {
        name: "am-cores",
        kind: Kind::Number,
        value_name: "N",
        default: Some("1"),
        heading: CLUSTER,
        help: "Cores of the application master's container",
        read: |job, texts| one(&mut job.am_cores, texts, |text| small(text, 1, 10_000)),
        write: |job| unless(&1, &job.am_cores, u32::to_string),
    },
    Setting {
        name: "max-attempts",
        kind: Kind::Number,
        value_name: "N",
        default: None,
        heading: CLUSTER,
        help: "How often the application master is started at most, within the cluster's limit, which is also the \
               default; the workers feed on meanwhile",
        read: |job, texts| one(&mut job.max_attempts, texts, |text| small(text, 1, 1000).map(Some)),
        write: |job| job.max_attempts.map(|attempts| attempts.to_string()).into_iter().collect(),
    },
    Setting {
        name: "archives",
        kind: Kind::List,
        value_name: "PATH[#NAME][,...]",
        default: None,
        heading: CLUSTER,
        help: "Local archives (.tar, .tar.gz, .tgz, .zip, .jar) to ship, unpacked into a folder NAME (default: the \
               archive's name) of each worker's folder; may be given several times",
        read: |job, texts| many(&mut job.archives, texts, LinkedFile::read_archive),
        write: |job| job.archives.iter().map(LinkedFile::write).collect(),
    },
    Setting {
        name: "cache-file",
        kind: Kind::List,
        value_name: "HDFS[#NAME][,...]",
        default: None,
        heading: CLUSTER,
        help: "Files on HDFS to link into each worker's folder; each node fetches them once. May be given several \
               times",
        read: |job, texts| many(&mut job.cache_files, texts, LinkedFile::read_stored),
        write: |job| job.cache_files.iter().map(LinkedFile::write).collect(),
    },
    Setting {
        name: "cache-archive",
        kind: Kind::List,
        value_name: "HDFS[#NAME][,...]",
        default: None,
        heading: CLUSTER,
        help: "As --cache-file, unpacked into a folder as with --archives",
        read: |job, texts| many(&mut job.cache_archives, texts, LinkedFile::read_stored_archive),
        write: |job| job.cache_archives.iter().map(LinkedFile::write).collect(),
    },
    Setting {
        name: "tags",
        kind: Kind::List,
        value_name: "TAG[,...]",
        default: None,
        heading: CLUSTER,
        help: "Tags of the application, by which YARN's own tools can find it; 10 at most",
        read: tags,
        write: |job| job.tags.clone(),
    },
    Setting {
        name: "wait-timeout",
        kind: Kind::Text,
        value_name: "TIME",
        default: Some("15m"),
        heading: CLUSTER,
        help: "How long the application master waits until all workers have containers (90s, 15m, 2h, 1d); then the \
               job fails and says what was missing",
        read: |job, texts| one(&mut job.wait_timeout, texts, values::duration),
        write: |job| {
            unless(&Job::blank().wait_timeout, &job.wait_timeout, |time| values::show_duration(*time))
        },
    },
    Setting {
        name: "grow-memory",
        kind: Kind::Switch,
        value_name: "BOOL",
        default: None,
        heading: CLUSTER,
        help: "Start a worker that was ended for using too much memory with more of it",
        read: |job, texts| one(&mut job.grow_memory, texts, switch),
        write: |job| unless(&false, &job.grow_memory, bool::to_string),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stated_defaults_are_the_defaults() {
        for setting in SETTINGS {
            let mut job = Job::blank();
            if let Some(default) = setting.default {
                (setting.read)(&mut job, &[default.to_owned()]).unwrap();
            }
            assert_eq!(job, Job::blank(), "{}", setting.name);
            assert_eq!((setting.write)(&job), Vec::<String>::new(), "{}", setting.name);
        }
    }

    #[test]
    fn names_are_distinct_and_kebab_case() {
        let mut names: Vec<_> = SETTINGS.iter().map(|setting| setting.name).collect();
        assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SETTINGS.len());
    }
}
