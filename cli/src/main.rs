//! The `forebay` command: arguments in, exit codes out. All work is done in the libraries below.

mod args;
mod exit;
mod feed;
mod kernel;
mod progress;
mod report_file;
mod signals;
mod talk;
mod values;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::args::{Cli, Command};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Clap prints help and version on stdout with status 0, wrong use on stderr with status 2.
        Err(error) => error.exit(),
    };
    init_log();
    match cli.command {
        Command::Feed(args) => feed::run(&args).into(),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "forebay", &mut std::io::stdout());
            ExitCode::SUCCESS
        }
    }
}

/// Logs go to standard error; `FOREBAY_LOG` says which (`debug`, `forebay_feeder=trace`, …).
fn init_log() {
    use tracing_subscriber::EnvFilter;
    let filter =
        EnvFilter::try_from_env("FOREBAY_LOG").unwrap_or_else(|_| EnvFilter::new("warn,hdfs_native=error"));
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // Fails only when a logger is there already.
    let _ = log.try_init();
}
