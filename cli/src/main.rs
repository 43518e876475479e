//! The `forebay` command: arguments in, exit codes out. All work is done in the libraries below.

mod args;
mod attach;
mod exit;
mod feed;
mod job;
mod kernel;
mod kill;
mod log;
mod logs;
mod progress;
mod report_file;
mod run;
mod signals;
mod status;
mod submit;
mod talk;
mod words;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory, Parser};
use forebay_agent::GuardArgs;
use forebay_feeder::Stop;

use crate::args::{Cli, Command, GuardFlags};
use crate::exit::Exit;
use crate::talk::{Failure, Talk};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Clap prints help and version on stdout with status 0, wrong use on stderr with status 2.
        Err(error) if !error.use_stderr() || !wants_json() => error.exit(),
        Err(error) => {
            Talk::Json.fail(&Failure::usage(error.to_string()));
            return Exit::USAGE.into();
        }
    };
    if !matches!(cli.command, Command::Agent | Command::Guard(_)) {
        log::init(wants_json());
    }
    match cli.command {
        Command::Feed(args) => feed::run(&args).into(),
        Command::Run(args) => run::run(&args).into(),
        Command::Submit(args) => submit::run(&args).into(),
        Command::Attach(args) => attach::run(&args).into(),
        Command::Kill(args) => kill::run(&args).into(),
        Command::Status(args) => status::status(&args).into(),
        Command::Logs(args) => logs::run(&args).into(),
        Command::List(args) => status::list(&args).into(),
        Command::Agent => Exit(forebay_agent::agent()).into(),
        Command::Am => Exit(am()).into(),
        Command::Guard(flags) => Exit(guard(flags)).into(),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "forebay", &mut script);
            match std::io::stdout().write_all(&script) {
                Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                    Talk::Plain.fail(&Failure::failed(format!("cannot write to standard output: {error}")));
                    ExitCode::FAILURE
                }
                _ => ExitCode::SUCCESS,
            }
        }
    }
}

/// An application master's signals end it, and leave the job to its next attempt.
fn am() -> i32 {
    let stop = Stop::new().and_then(|stop| signals::stop_on_signals(&stop).map(|()| stop));
    match stop {
        Ok(stop) => forebay_am::yarn::run(&Arc::new(stop)),
        Err(error) => {
            Talk::Plain.fail(&Failure::failed(format!("cannot listen to signals: {error}")));
            Exit::FAILURE.0
        }
    }
}

fn guard(flags: GuardFlags) -> i32 {
    let GuardFlags { exec, attempt, lock, command } = flags;
    match (exec, attempt.zip(lock)) {
        (Some(parent), _) => forebay_agent::become_worker(parent, &command),
        (None, Some((attempt, lock))) => forebay_agent::guard(&GuardArgs { attempt, lock, command }),
        (None, None) => Exit::USAGE.0,
    }
}

/// Whether `--json` stands among the options.
fn wants_json() -> bool {
    std::env::args_os().take_while(|arg| arg != "--").any(|arg| arg == "--json")
}
