//! How far an attempt has come: its stream, the units that begin in it, what left the pipe, what was acknowledged.

use serde::{Deserialize, Serialize};

/// A unit handed out, and where to begin in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// `epoch * splits_per_epoch + split`.
    pub unit: u64,
    /// What of it is not to be fed.
    pub skip: Skip,
}

/// What of a unit's own stream (as delivered, line ends added or rewritten) is left out, counted from its beginning.
/// At or beyond its end: all of it; the unit is then fed as one without bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Skip {
    /// Nothing.
    #[default]
    None,
    /// So many records.
    Records(u64),
    /// So many bytes.
    Bytes(u64),
}

/// How much of a unit's own stream was left out, in both measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Skipped {
    /// In bytes.
    pub bytes: u64,
    /// In records; only counted with [`crate::OnRestart::FromAck`].
    pub records: u64,
}

/// Where a unit begins in an attempt's stream. Every unit fed has one, **also a unit without bytes**: a held unit without a
/// begin was never fed and goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// The unit.
    pub unit: u64,
    /// Bytes delivered before it since the attempt's start.
    pub bytes: u64,
    /// Records delivered before it since the attempt's start; only counted with [`crate::OnRestart::FromAck`].
    pub records: u64,
    /// What of the unit was left out.
    pub skipped: Skipped,
}

/// What a worker says it has dealt with since its attempt's start: a lower bound, told late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ack {
    /// So many records.
    Records(u64),
    /// So many bytes.
    Bytes(u64),
}

/// How far an attempt has come. Numbers only grow; what was said before may be said again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Position {
    /// Units that have begun, in the order of their delivery: at least those not said before.
    pub begins: Vec<Begin>,
    /// Bytes written into the pipe since the attempt's start ([`Self::UNKNOWN`]: nobody knows).
    pub delivered: u64,
    /// Records in them; only counted with [`crate::OnRestart::FromAck`].
    pub delivered_records: u64,
    /// Bytes that have left the pipe: delivered minus what is still in it.
    pub consumed: u64,
    /// The last unit begun has been written to its last byte.
    pub whole: bool,
    /// The end of input was given and all was taken.
    pub complete: bool,
    /// The worker's last acknowledgement.
    pub ack: Option<Ack>,
}

impl Position {
    /// A number that nobody knows any more, because the agent died.
    pub const UNKNOWN: u64 = u64::MAX;

    /// The position of an attempt whose agent died, as far as its journal and the worker's acknowledgements say.
    pub fn of_journal(begins: Vec<Begin>, ack: Option<Ack>) -> Self {
        let unknown = Self::UNKNOWN;
        Self {
            begins,
            delivered: unknown,
            delivered_records: unknown,
            consumed: unknown,
            ack,
            ..Self::default()
        }
    }
}
