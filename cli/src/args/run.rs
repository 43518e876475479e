//! `forebay run`'s arguments.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::JobArgs;

const EXAMPLES: &str = "\
Examples:
  forebay run --workers 4 --input logs/ --files train.py -- python3 train.py
      four workers share the lines of all files below logs/; one that dies is started again
  forebay run --input hdfs:///data --output hdfs:///model --files train.sh -- ./train.sh
      what a worker leaves in ./output/ appears in hdfs:///model/<worker>/ when all went well
  forebay run --input in/ --output out --output-mode stream -- tr a-z A-Z
      what the workers print appears as out/part-NNNNN
  forebay run --print-job --workers 4 --input logs/ -- wc -l > job.toml
  forebay run job.toml --workers 8
      keeps a job as a file; an option replaces what the file says of the same name

Each worker runs in a folder of its own, with the --files in it, and gets FOREBAY_JOB_ID,
FOREBAY_ROLE, FOREBAY_RANK, FOREBAY_WORLD_SIZE, FOREBAY_LOCAL_RANK, FOREBAY_ATTEMPT, FOREBAY_ACK
and INDEX. Which worker gets which records, and in which order, is not specified.

On standard error a worker may say 'reporter progress:0.42', 'reporter:status:TEXT' and
'reporter:counter:GROUP,COUNTER,AMOUNT', and acknowledge what it has dealt with since its attempt
began: 'reporter ack:records=N' or 'reporter ack:bytes=N'. Without 'reporter ', acknowledgements
may also be written into what FOREBAY_ACK names.

A job file is TOML with the same names:
  input = [\"logs/\"]
  workers = 4
  env = { SEED = \"7\" }
  command = [\"wc\", \"-l\"]

Relative paths are seen from the folder in which forebay runs.";

const EXIT_CODES: &str = "\
Exit status:
  0        the job went well, and its output is complete
  1        it failed, and its output is untouched, or finished by --resume if a commit
           broke off; what and why is on standard error
  2        wrong use
  128+n    ended by signal n";

/// Run a job on this machine: workers share an input, and output appears whole or not at all
#[derive(Debug, Args)]
#[command(
    override_usage = "forebay run [OPTIONS] --input <PATH> -- COMMAND...\n       forebay run [OPTIONS] JOB.toml\n       \
                      forebay run --resume <JOBDIR> [--workers <N>]",
    after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}")
)]
pub(crate) struct RunArgs {
    /// Go on with a job whose run was ended, from its ledger in this folder, with as many workers or with --workers
    #[arg(long, value_name = "JOBDIR", value_hint = ValueHint::DirPath, conflicts_with_all = ["file", "command", "print_job"])]
    pub(crate) resume: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) job: JobArgs,
}
