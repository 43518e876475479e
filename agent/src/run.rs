//! An agent's process, from its start to its exit status.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Mutex;
use std::thread;

use rustix::process::{Signal, set_parent_process_death_signal, setsid};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::attempt::Attempt;
use crate::bootstrap;
use crate::error::AgentError;
use crate::folder::{AttemptFolder, log_file};
use crate::over::Over;

/// Runs an attempt as its bootstrap says; gives the status to exit with: 0 if the application master knows how the attempt
/// ended.
pub fn agent() -> i32 {
    match begin() {
        Ok(status) => status,
        Err(error) => {
            // Nobody else is to be told yet.
            let _ = writeln!(io::stderr(), "forebay agent: {error}");
            1
        }
    }
}

fn begin() -> Result<i32, AgentError> {
    let of_container = bootstrap::of_container()?;
    let is_container = of_container.is_some();
    if !is_container {
        // First of all, and without grace: the guard ends the worker properly all the same. A container outlives who has
        // started it, when a NodeManager is restarted.
        set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from)?;
        // The application master decides what a Ctrl-C at its terminal means. Fails only where it has seen to that itself. A
        // container is in a session already, whose group the NodeManager ends.
        let _ = setsid();
    }
    let _ = rustix::thread::set_name(c"forebay-agent");
    let bootstrap = of_container.map_or_else(bootstrap::of_stdin, Ok)?;
    let mut folder = AttemptFolder::new(&bootstrap.job_folder, bootstrap.index, bootstrap.number, false);
    if let Some(logs) = bootstrap::log_folder().filter(|_| is_container) {
        folder = folder.with_logs(logs);
    }
    let local = |action| {
        let path = folder.path().to_owned();
        move |source| AgentError::Local { action, path, source }
    };
    folder.create().map_err(local("make"))?;
    log_to(log_file(&folder.log(), folder.log_mode()).map_err(local("log into"))?);
    let over = Over::new()?;
    over.listen(!is_container)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let (quit, quitted) = oneshot::channel::<()>();
    let driver = thread::Builder::new().name("forebay-am".into()).spawn(move || {
        // Ends when the other end is dropped.
        let _ = runtime.block_on(quitted);
    })?;
    let mut attempt = Attempt::new(bootstrap, folder, over.clone());
    let status = attempt.run(&handle);
    drop(quit);
    if driver.join().is_err() {
        tracing::error!("the thread that speaks with the application master broke off");
    }
    // A NodeManager that has sent a signal keeps its own reason for that, which it tells, only where the container's status is the
    // shell's for such an end (`ContainerLaunch.handleContainerExitCode`).
    Ok(over.signal().filter(|_| is_container).map_or(status, |signal| 128 + signal))
}

fn log_to(file: File) {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("FOREBAY_LOG")
        .unwrap_or_else(|_| EnvFilter::new("warn,forebay_agent=info,hdfs_native=error"));
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(Mutex::new(file)).with_ansi(false);
    // Fails only when a logger is there already.
    let _ = log.try_init();
}
