//! The arguments of `forebay logs`, `status`, `list`, `attach` and `kill`, which are about jobs that were begun.

use clap::Args;

/// Print what the workers of a job have written
///
/// Standard output and standard error of every attempt are kept in the job's folder; while a job runs on a cluster, its
/// application master passes them on. Without a choice of one, they
/// are printed one after the other, each under its name.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  forebay logs job_20260102_030405_abcd --worker 1
      all that worker 1 has written, by attempt
  forebay logs job_20260102_030405_abcd --worker 1 --attempt 2 --stderr --follow
      what its second attempt writes to standard error, as it comes
  forebay logs application_1700000000000_0007 --follow
      what all workers write that run on the cluster of HADOOP_CONF_DIR")]
pub(crate) struct LogsArgs {
    /// A job's id, its folder, or the id of its application
    #[arg(value_name = "JOB")]
    pub(crate) job: String,

    /// Only this worker, counted from 0
    #[arg(long, value_name = "I")]
    pub(crate) worker: Option<u32>,

    /// Only this attempt of a worker, counted from 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) attempt: Option<u32>,

    /// Only standard output
    #[arg(long)]
    pub(crate) stdout: bool,

    /// Only standard error
    #[arg(long, conflicts_with = "stdout")]
    pub(crate) stderr: bool,

    /// Go on printing until the job ends
    #[arg(long, short)]
    pub(crate) follow: bool,
}

/// Show how a job stands: its workers, what they were fed, and what happened
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  forebay status job_20260102_030405_abcd
  forebay status ./my-job-dir --json
  forebay status application_1700000000000_0007
      a job on the cluster of HADOOP_CONF_DIR, whether it runs or is over")]
pub(crate) struct StatusArgs {
    /// A job's id, its folder, or the id of its application
    #[arg(value_name = "JOB")]
    pub(crate) job: String,

    /// Print it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// List the jobs of this user, the latest first: those of this machine, and with `HADOOP_CONF_DIR` those of its cluster
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Print them as JSON, one a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Follow a job on the cluster until it ends, and exit as it does
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  forebay attach application_1700000000000_0007
      what 'forebay submit' would show; a Ctrl-C ends the following, and the job goes on")]
pub(crate) struct AttachArgs {
    /// The id of the job's application
    #[arg(value_name = "APPLICATION")]
    pub(crate) job: String,

    /// Say nothing but errors
    #[arg(long, short)]
    pub(crate) quiet: bool,

    /// Say it in JSON: one event per line on standard error
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) json: bool,
}

/// End a job, and remove what it has staged
///
/// A job on a cluster is ended by its application master, so that its workers end well; where that does not help, by YARN. A
/// job of this machine is told to stop, as by a signal.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  forebay kill application_1700000000000_0007
  forebay kill job_20260102_030405_abcd")]
pub(crate) struct KillArgs {
    /// A job's id, its folder, or the id of its application
    #[arg(value_name = "JOB")]
    pub(crate) job: String,

    /// Say it in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Command, FromArgMatches};

    fn parse<T: Args + FromArgMatches>(args: &[&str]) -> Result<T, clap::Error> {
        let command = T::augment_args(Command::new("x").no_binary_name(true));
        command.clone().debug_assert();
        T::from_arg_matches(&command.try_get_matches_from(args)?)
    }

    #[test]
    fn what_is_asked_of_logs() {
        let logs: LogsArgs = parse(&["j", "--worker", "0", "--attempt=2", "--stderr", "-f"]).unwrap();
        assert_eq!((&*logs.job, logs.worker, logs.attempt), ("j", Some(0), Some(2)));
        assert_eq!((logs.stdout, logs.stderr, logs.follow), (false, true, true));
        for bad in
            [&[][..], &["j", "--worker", "-1"], &["j", "--attempt", "0"], &["j", "--stdout", "--stderr"]]
        {
            assert!(parse::<LogsArgs>(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_asked_of_status_and_list() {
        let status: StatusArgs = parse(&["j", "--json"]).unwrap();
        assert_eq!((&*status.job, status.json), ("j", true));
        assert!(!parse::<ListArgs>(&[]).unwrap().json);
        assert!(parse::<ListArgs>(&["j"]).is_err());
    }
}
