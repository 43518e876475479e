//! The last steps of a process that becomes the worker.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal, setpgid};

use super::channel::{Become, Channel, NotStarted, reason};

/// Becomes `command`, which then dies with the process `parent`. Comes back only when that is not possible, with the
/// status to exit with.
///
/// Standard input is a socket over which the worker's own one comes, and a failure goes; what the guard sees of
/// a command that runs is that the channel closes.
pub fn become_worker(parent: u32, command: &[OsString]) -> i32 {
    let Ok(channel) = Channel::stdin() else { return 1 };
    let Err(error) = become_it(&channel, parent, command);
    let status = if error.kind() == ErrorKind::NotFound { 127 } else { 126 };
    let name = command.first().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let reason = reason(&format!("cannot start {name}: {error}{}", advice(status)));
    let _ = channel.send(&NotStarted { status, reason }, &[]);
    status
}

fn become_it(channel: &Channel, parent: u32, command: &[OsString]) -> io::Result<Infallible> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // Only now: had the parent died before, nobody would tell.
    if getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs()) != Some(parent) {
        return Err(io::Error::other("its guard has died"));
    }
    let (Become { keeps_group }, mut descriptors) =
        channel.receive()?.ok_or_else(|| io::Error::other("its guard has gone"))?;
    if !keeps_group {
        // A worker that signals its group (`kill 0`) means its own processes. In a container, the NodeManager means all.
        setpgid(None::<Pid>, None::<Pid>)?;
    }
    let stdin = descriptors.pop().ok_or_else(|| io::Error::other("its guard sent no input"))?;
    rustix::stdio::dup2_stdin(&stdin)?;
    drop(stdin);
    let (program, args) = command.split_first().ok_or(ErrorKind::InvalidInput)?;
    Err(Command::new(program).args(args).exec())
}

fn advice(status: i32) -> &'static str {
    if status == 127 { "; check its name, and that PATH or --files brings it to the worker" } else { "" }
}
