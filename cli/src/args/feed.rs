//! `forebay feed`'s arguments.

use std::ffi::OsString;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use forebay_job::values::{self, FormatName};
use forebay_job::{Framing, LineEnding, SequenceFields};
use forebay_split::Shard;

use super::EXIT_CODES;

const FEED_EXAMPLES: &str = "\
Examples:
  forebay feed logs/ -- python3 train.py
      feeds the lines of all files below logs/ to the program's standard input
  forebay feed 'hdfs://namenode:8020/data/2026-*/part-*' --shard 0/4 -- ./train
      feeds the first of four shares of some files on HDFS
  forebay feed hdfs:///data --format fixed:4096 --epochs 3 -- ./train
      feeds records of 4096 bytes, three times over, from the default file system
  forebay feed big.txt --split-size 64M --report report.json | wc -l
      feeds its own standard output; the exit status tells whether all was fed

With COMMAND: the command gets FOREBAY_RANK and FOREBAY_WORLD_SIZE (from --shard) and FOREBAY_FORMAT. When a
feed fails, the command and all that it started are ended before they could see an end of input.
Without COMMAND, bytes go to standard output, and only the exit status tells a failed feed from a complete one.";

/// Feed records to a command's standard input, or to standard output
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[command(after_help = format!("{FEED_EXAMPLES}\n\n{EXIT_CODES}"))]
pub(crate) struct FeedArgs {
    /// Files, folders (recursive) or globs: a local path, file://, hdfs://, or hdfs:/// for the configured
    /// default file system. Fed in the order given, the files of a folder by name; names in folders and globs
    /// that begin with _ or . are skipped
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<OsString>,

    /// The program to feed, and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,

    /// Records: lines (of compressed files, too, by their names), bytes (no records: splits as they are), fixed:N
    /// (N bytes each), tfrecord, sequencefile (Hadoop's SequenceFiles), avro (its container files), tar (archives of samples),
    /// or auto: tfrecord where all names say so, else lines, of files that only their first bytes say to be compressed, too
    #[arg(long, value_name = "FORMAT", default_value = "auto", value_parser = values::format)]
    pub(crate) format: FormatName,

    /// End lines at this text only; \n \r \t \0 \\ \xNN are understood. Default: \n, \r\n and \r, as in Hadoop
    #[arg(long, value_name = "TEXT", value_parser = values::delimiter)]
    pub(crate) delimiter: Option<forebay_record::Delimiter>,

    /// How delivered lines end: as stored, or always with \n
    #[arg(long, value_name = "ENDING", default_value = LineEnding::Keep.word(), value_parser = word::<LineEnding>(LineEnding::WORDS))]
    pub(crate) line_ending: LineEnding,

    /// How records are set apart: those of SequenceFiles as lines (only text and numbers), of Avro files by their schema alone
    /// (raw), or each key and value, or record, behind its length (length: four bytes, the lowest first)
    #[arg(long, value_name = "FRAMING", default_value = Framing::Raw.word(), value_parser = word::<Framing>(Framing::WORDS))]
    pub(crate) framing: Framing,

    /// What of a SequenceFile's records is delivered: values, or keys and values, with a tab between them where they
    /// are lines
    #[arg(long, value_name = "FIELDS", default_value = SequenceFields::Value.word(), value_parser = word::<SequenceFields>(SequenceFields::WORDS))]
    pub(crate) sequencefile: SequenceFields,

    /// Bytes per split (K M G T are 1024ⁿ). Default: the HDFS block; 128M for local files
    #[arg(long, value_name = "SIZE", value_parser = values::nonzero_size)]
    pub(crate) split_size: Option<NonZeroU64>,

    /// Feed share I of N: splits are dealt one by one, counted from 0
    #[arg(long, value_name = "I/N", default_value = "0/1")]
    pub(crate) shard: Shard,

    /// Feed everything N times
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) epochs: u64,

    /// Write what happened to FILE, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,

    /// Add a CRC32C of each split's delivered bytes to the report (they then pass through user space)
    #[arg(long)]
    pub(crate) report_checksums: bool,

    /// Do not compare blocks of HDFS with their checksums, but for those in --cache-dir, which is not filled then
    #[arg(long)]
    pub(crate) no_verify: bool,

    /// Seconds to go on trying when HDFS does not answer
    #[arg(long, value_name = "SECONDS", default_value_t = forebay_feeder::DEFAULT_HDFS_TIMEOUT.as_secs(), value_parser = clap::value_parser!(u64).range(1..=86400))]
    pub(crate) hdfs_timeout: u64,

    /// Keep HDFS blocks that come over the network in this folder, and read them from there when they are wanted
    /// again, in later epochs or by other feeds and jobs of yours
    #[arg(long, value_name = "DIR", value_parser = values::cache_folder, requires = "cache_size")]
    pub(crate) cache_dir: Option<String>,

    /// Bytes that the folder of --cache-dir takes at most (K M G T are 1024ⁿ); what was not used for longest goes first
    #[arg(long, value_name = "SIZE", value_parser = values::cache_size, requires = "cache_dir")]
    pub(crate) cache_size: Option<u64>,

    /// Say nothing but errors
    #[arg(long, short)]
    pub(crate) quiet: bool,

    /// Say it in JSON: one event per line on standard error
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) json: bool,
}

/// Shows the words that there are, and takes them.
fn word<T>(words: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err = String> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words).try_map(|word| word.parse::<T>())
}
