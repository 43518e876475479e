//! INT, TERM, HUP and QUIT become the stop event.

use std::io;

use forebay_feeder::Stop;
use rustix::process::Signal;
use rustix::termios::tcgetpgrp;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::{flag, low_level::pipe};

/// From now on these signals raise `stop` instead of ending the process.
pub(crate) fn stop_on_signals(stop: &Stop) -> io::Result<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] {
        // In this order: who is woken by the second finds the cause set by the first.
        flag::register_usize(signal, stop.cause_cell(), usize::try_from(signal).unwrap_or(1))?;
        pipe::register(signal, stop.trigger()?)?;
    }
    Ok(())
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
