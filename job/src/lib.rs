//! What a user says of a job, and what the job's workers say of themselves.
//!
//! A [`Job`] comes from flags, from a TOML file, or from both: each of [`SETTINGS`] has one definition, from which
//! the flags, the file's keys, their checks and the help are made. A [`Draft`] holds what was given and where; it
//! becomes a job when all of it makes sense together.
//!
//! Workers report progress, counters and acknowledgements as lines of text: [`ReportScanner`] finds them.
//!
//! Pure: no I/O, no clock.

mod checks;
mod choice;
mod draft;
mod error;
mod file;
mod job;
mod names;
mod paths;
mod places;
mod report;
mod scanner;
mod settings;
pub mod values;

pub use choice::{EarlyExit, Framing, InputMode, LineEnding, OnRestart, OutputMode, SequenceFields};
pub use draft::Draft;
pub use error::{JobError, Origin};
pub use job::Job;
pub use paths::{DEFAULT_ALIAS, DEFAULT_DIR, InputPath, LinkedFile, Output};
pub use report::{Ack, Report, ReportError, parse_ack_line, parse_report_line};
pub use scanner::{Channel, ReportScanner};
pub use settings::{Kind, SETTINGS, Setting};
