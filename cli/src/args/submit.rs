//! `forebay submit`'s arguments.

use clap::Args;

use super::JobArgs;

const EXAMPLES: &str = "\
Examples:
  forebay submit --workers 4 --input /data/logs --files train.py -- python3 train.py
      four workers on the cluster share the lines of all files below hdfs:///data/logs
  forebay submit job.toml --queue ml --output models/today
      a job that 'forebay run' has run, in a queue; output goes to /user/<user>/models/today
  forebay submit --dry-run job.toml
      what would be fed, where it lies, which containers are asked for, what is uploaded
  id=$(forebay submit --detach job.toml); forebay attach $id
      submits, and follows later, from any machine that has the configuration
  forebay kill $id

It needs HADOOP_CONF_DIR, with the cluster's core-site.xml, hdfs-site.xml and yarn-site.xml, and
nothing installed on the cluster: it ships itself.

Inputs and outputs are on HDFS: a path without a scheme is on the default file system (fs.defaultFS),
a relative one below /user/<user>. What is shipped (--files, --archives) is on this machine; a folder
travels as an archive, and links in it must lead to somewhere inside.

Each worker's container has the memory of --worker-memory (1G if nothing is said) and 128M more for
what feeds it. The job's folder is /user/<user>/.forebay/jobs/<application id>, this user's alone, and
is kept. When --json is not given, lines or a display tell how it goes; a Ctrl-C ends the
following, and the job goes on.";

const EXIT_CODES: &str = "\
Exit status:
  0        the job went well, and its output is complete (--detach: it was submitted)
  1        it failed, was killed, or could not be submitted; what and why is on standard error
  2        wrong use
  126/127  the workers' COMMAND cannot be run / was not found
  128+n    ended by signal n, while the job goes on if it was submitted";

/// Run a job on a YARN cluster, and follow it
#[derive(Debug, Args)]
#[command(
    override_usage = "forebay submit [OPTIONS] --input <PATH> -- COMMAND...\n       forebay submit [OPTIONS] JOB.toml",
    after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}")
)]
pub(crate) struct SubmitArgs {
    /// Do not follow the job: print its application's id on standard output when YARN has it
    #[arg(long)]
    pub(crate) detach: bool,

    /// Say what would be submitted, and submit nothing: splits, where they lie, containers, uploads
    #[arg(long, conflicts_with_all = ["detach", "print_job"])]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) job: JobArgs,
}
