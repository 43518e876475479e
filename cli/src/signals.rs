//! Signals that would end us become the stop event: our sudden death would look like an end of input.

use std::io;

use forebay_feeder::Stop;
use rustix::process::Signal;
use rustix::termios::tcgetpgrp;
use signal_hook::consts::{
    SIGALRM, SIGHUP, SIGINT, SIGIO, SIGPROF, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGVTALRM, SIGXCPU, SIGXFSZ,
};
use signal_hook::{flag, low_level::pipe};

/// All signals that end a process which does not care, but for those that tell of a crash and SIGKILL.
const ENDING: [i32; 12] = [
    SIGALRM, SIGHUP, SIGINT, SIGIO, SIGPROF, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGVTALRM, SIGXCPU, SIGXFSZ,
];

/// From now on these signals raise `stop` instead of ending the process, except those that our caller has set
/// to be ignored (`nohup`).
pub(crate) fn stop_on_signals(stop: &Stop) -> io::Result<()> {
    let ignored = ignored();
    for signal in ENDING.into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0) {
        // In this order: who is woken by the second finds the cause set by the first.
        flag::register_usize(signal, stop.cause_cell(), usize::try_from(signal).unwrap_or(1))?;
        pipe::register(signal, stop.trigger()?)?;
    }
    Ok(())
}

/// The mask of signals that this process ignores, from `/proc/self/status`; bit 0 is signal 1.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// The signal that stopped us.
pub(crate) fn cause(stop: &Stop) -> Option<i32> {
    stop.cause().and_then(|n| i32::try_from(n).ok())
}

/// What to send to the worker after this signal came to us. A Ctrl-C at the terminal reaches the whole
/// foreground group: the worker has heard it, and a second one would disturb its cleaning up.
pub(crate) fn for_worker(signal: i32) -> Option<Signal> {
    let heard = signal == SIGINT
        && std::fs::File::open("/dev/tty")
            .ok()
            .and_then(|tty| tcgetpgrp(tty).ok())
            .is_some_and(|group| group == rustix::process::getpgrp());
    if heard {
        return None;
    }
    Some(if signal == SIGINT { Signal::INT } else { Signal::TERM })
}
