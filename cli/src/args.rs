//! The command line.

mod feed;
mod follow;
mod guard;
mod job;
mod run;
mod submit;

use clap::builder::Styles;
use clap::builder::styling::{AnsiColor, Effects};
use clap::{Parser, Subcommand};

pub(crate) use feed::FeedArgs;
pub(crate) use follow::{AttachArgs, KillArgs, ListArgs, LogsArgs, StatusArgs};
pub(crate) use guard::GuardFlags;
pub(crate) use job::JobArgs;
pub(crate) use run::RunArgs;
pub(crate) use submit::SubmitArgs;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().effects(Effects::BOLD))
    .usage(AnsiColor::Green.on_default().effects(Effects::BOLD))
    .literal(AnsiColor::Cyan.on_default().effects(Effects::BOLD));

/// Feeds training workers from HDFS and local files, as fast as the machine allows.
#[derive(Debug, Parser)]
#[command(name = "forebay", version, styles = STYLES, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Feed(Box<FeedArgs>),
    Run(Box<RunArgs>),
    Submit(Box<SubmitArgs>),
    Attach(AttachArgs),
    Kill(KillArgs),
    Status(StatusArgs),
    Logs(LogsArgs),
    List(ListArgs),
    /// One attempt of a worker; started by the application master
    #[command(hide = true)]
    Agent,
    /// The application master of one job; started by YARN
    #[command(hide = true)]
    Am,
    Guard(GuardFlags),
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  forebay completions bash > ~/.local/share/bash-completion/completions/forebay"
    )]
    Completions {
        shell: clap_complete::Shell,
    },
}

const EXIT_CODES: &str = "\
Exit status:
  0        all went well (with COMMAND: the command's own status)
  1        something failed; what and why is on standard error
  2        wrong use
  126/127  COMMAND cannot be run / was not found
  128+n    ended by signal n, or COMMAND was";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        super::Cli::command().debug_assert();
    }
}
