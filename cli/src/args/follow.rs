//! The arguments of `forebay logs`, `forebay status` and `forebay list`, which look at jobs.

use clap::Args;

/// Print what the workers of a job have written
///
/// Standard output and standard error of every attempt are kept in the job's folder. Without a choice of one, they
/// are printed one after the other, each under its name.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  forebay logs job_20260102_030405_abcd --worker 1
      all that worker 1 has written, by attempt
  forebay logs job_20260102_030405_abcd --worker 1 --attempt 2 --stderr --follow
      what its second attempt writes to standard error, as it comes")]
pub(crate) struct LogsArgs {
    /// A job's id, or its folder
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
  forebay status ./my-job-dir --json")]
pub(crate) struct StatusArgs {
    /// A job's id, or its folder
    #[arg(value_name = "JOB")]
    pub(crate) job: String,

    /// Print it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// List the jobs of this user on this machine, the latest first
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Print them as JSON, one a line
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
