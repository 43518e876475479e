//! A job's settings as flags: made from the list that the job file's keys come from.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, ValueHint, value_parser};
use forebay_job::{Draft, Kind, SETTINGS, Setting};

use crate::talk::Failure;

/// What every command takes that begins a job.
#[derive(Debug, Args)]
pub(crate) struct JobArgs {
    /// A job file; options given here go before what it says
    #[arg(value_name = "JOB.toml", value_hint = ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,

    /// The program that each worker runs, and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,

    /// Print the job as a job file, and run nothing
    #[arg(long)]
    pub(crate) print_job: bool,

    /// Say nothing but errors
    #[arg(long, short)]
    pub(crate) quiet: bool,

    /// Say it in JSON: one event per line on standard error
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) settings: JobFlags,
}

/// The settings that were given as flags.
#[derive(Debug, Default)]
pub(crate) struct JobFlags {
    given: Vec<(&'static Setting, Vec<OsString>)>,
}

impl JobFlags {
    /// What the flags, and the words behind `--`, say of a job.
    pub(crate) fn draft(&self, command: &[OsString]) -> Result<Draft, Failure> {
        let mut draft = Draft::default();
        for (setting, values) in &self.given {
            draft.set(setting, texts(&format!("--{}", setting.name), values)?);
        }
        if let Some(setting) = SETTINGS.iter().find(|setting| setting.kind == Kind::Command)
            && !command.is_empty()
        {
            draft.set(setting, texts(setting.value_name, command)?);
        }
        Ok(draft)
    }
}

/// A job is kept as text, so what it is made of must be text.
fn texts(name: &str, values: &[OsString]) -> Result<Vec<String>, Failure> {
    let text = |value: &OsString| {
        value.clone().into_string().map_err(|value| {
            Failure::usage(format!(
                "{name} '{}' is not UTF-8, and a job is kept as text; rename it, or use a link with another name",
                value.display()
            ))
        })
    };
    values.iter().map(text).collect()
}

fn flag(setting: &'static Setting) -> Arg {
    let arg = Arg::new(setting.name).long(setting.name).value_name(setting.value_name).help(setting.help);
    let arg = arg.help_heading(setting.heading).default_value(setting.default);
    let arg = match setting.value_name {
        "DIR" => arg.value_hint(ValueHint::DirPath),
        name if name.starts_with("PATH") => arg.value_hint(ValueHint::AnyPath),
        _ => arg,
    };
    match setting.kind {
        Kind::Switch => {
            let arg = arg.num_args(0..=1).require_equals(true).default_missing_value("true");
            arg.value_parser(["true", "false"]).hide_possible_values(true)
        }
        Kind::Choice(words) => arg.value_parser(PossibleValuesParser::new(words)),
        Kind::List | Kind::Pairs => arg.action(ArgAction::Append).value_parser(value_parser!(OsString)),
        Kind::Text | Kind::Number | Kind::Size | Kind::Command => arg.value_parser(value_parser!(OsString)),
    }
}

/// Those that have a flag.
fn flags() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(|setting| setting.kind != Kind::Command)
}

impl Args for JobFlags {
    fn augment_args(command: Command) -> Command {
        command.args(flags().map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for JobFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        let given = flags().filter(|flag| matches.value_source(flag.name) == Some(ValueSource::CommandLine));
        self.given = given
            .map(|flag| {
                (flag, matches.get_raw(flag.name).into_iter().flatten().map(OsString::from).collect())
            })
            .collect();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use forebay_job::Job;

    #[test]
    fn a_job_waits_for_hdfs_as_long_as_a_feed() {
        let job = Job::from_toml("input = ['a']\ncommand = ['c']").unwrap();
        assert_eq!(job.hdfs_timeout, forebay_feeder::DEFAULT_HDFS_TIMEOUT);
    }
}
