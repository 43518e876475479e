//! What a feed did, for people (`Display`) and for machines (`Serialize`).

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::{CacheFigures, Plan, RemoteReads, Snapshot};

/// How a feed ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// All of the share was handed over, and read as far as one can see.
    Complete,
    /// The reader stopped before the end.
    EarlyExit {
        /// Bytes left in the pipe that were handed over but not read.
        unread_bytes: u64,
        /// Splits, over all epochs, whose last byte was not handed over.
        splits_left: u64,
    },
    /// It was asked to stop.
    Stopped {
        /// The signal, if one asked.
        signal: Option<i32>,
    },
    /// It failed.
    Failed {
        /// Why.
        error: String,
    },
}

/// One delivered split, with `--report-checksums`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SplitReport {
    /// The file's path or address.
    pub file: String,
    /// Index of the split among all splits of the inputs.
    pub split: u64,
    /// The split's first byte.
    pub start: u64,
    /// Behind its last byte.
    pub end: u64,
    /// First byte of its first record.
    pub records_start: u64,
    /// Behind the last byte of its last record.
    pub records_end: u64,
    /// Bytes delivered, with what was added or rewritten at line ends.
    pub delivered: u64,
    /// CRC32C of the bytes delivered, in hexadecimal.
    pub crc32c: String,
}

/// A feed's report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The record format.
    pub format: String,
    /// The share, `I/N`.
    pub shard: String,
    /// Passes over the share that were asked for.
    pub epochs: u64,
    /// Files of the inputs.
    pub files: usize,
    /// Splits of the share, per epoch.
    pub splits: u64,
    /// Splits of all shares, per epoch.
    pub splits_of_all_shares: u64,
    /// Bytes of the share's splits, per epoch.
    pub planned_bytes: u64,
    /// Bytes, seconds, waits, verdict.
    #[serde(flatten)]
    pub figures: Snapshot,
    /// Bytes from HDFS replicas of this host, handed over without the network.
    pub local_bytes: u64,
    /// Bytes of these that were compared with HDFS's checksums.
    pub local_bytes_verified: u64,
    /// Bytes from HDFS over the network, by the reason why not from a replica of this host.
    pub remote_bytes: BTreeMap<&'static str, u64>,
    /// How these came.
    pub remote_reads: RemoteReads,
    /// What came from the block cache and went into it, if there is one.
    pub cache: Option<CacheFigures>,
    /// Highest resident memory of this process, in bytes (`VmHWM`).
    pub peak_memory_bytes: u64,
    /// The pipe's size, if the output is a pipe.
    pub pipe_size: Option<usize>,
    /// The worker's exit status as a shell would tell it, if there was a worker.
    pub worker_status: Option<i32>,
    /// What was done in another way than intended, and why.
    pub notes: Vec<String>,
    /// Per split, where checksums were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub split_checksums: Vec<SplitReport>,
}

impl Report {
    /// A report of a feed of `plan`; the caller fills in what only it knows.
    pub fn new(plan: &Plan, epochs: u64, outcome: Outcome, figures: Snapshot) -> Self {
        Self {
            outcome,
            format: plan.format().name(),
            shard: plan.shard().to_string(),
            epochs,
            files: plan.files(),
            splits: plan.splits(),
            splits_of_all_shares: plan.total_splits(),
            planned_bytes: plan.bytes(),
            figures,
            local_bytes: 0,
            local_bytes_verified: 0,
            remote_bytes: BTreeMap::new(),
            remote_reads: RemoteReads::default(),
            cache: None,
            peak_memory_bytes: peak_memory(),
            pipe_size: None,
            worker_status: None,
            notes: Vec::new(),
            split_checksums: Vec::new(),
        }
    }
}

/// `VmHWM` of this process, in bytes; 0 where `/proc` does not tell.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse().ok());
    kib.unwrap_or(0u64) << 10
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = &self.figures;
        let done = match &self.outcome {
            Outcome::Complete => "fed",
            Outcome::EarlyExit { .. } => "the reader stopped reading; fed",
            Outcome::Stopped { .. } => "stopped; fed",
            Outcome::Failed { .. } => "failed; fed",
        };
        write!(
            f,
            "{done} {} in {:.2} s ({:.2} GB/s): {} of {} from {}",
            bytes(figures.bytes),
            figures.seconds,
            figures.gb_per_s,
            figures.splits_done,
            count(self.splits.saturating_mul(self.epochs), "split"),
            count(self.files as u64, "file"),
        )?;
        if self.shard != "0/1" {
            write!(f, ", share {}", self.shard)?;
        }
        if self.epochs != 1 {
            write!(f, ", {} epochs", self.epochs)?;
        }
        if let Outcome::EarlyExit { unread_bytes, splits_left } = self.outcome {
            write!(
                f,
                "\nleft: {} in the pipe, {} not fed to the end",
                bytes(unread_bytes),
                count(splits_left, "split")
            )?;
        }
        if let (Some(verdict), Some(waited), Some(error)) =
            (figures.verdict, figures.worker_waited_s, figures.worker_waited_error_s)
        {
            write!(
                f,
                "\n{}: the worker waited {waited:.2} s (±{error:.2}) for data, the feed waited {:.2} s for the worker",
                verdict.as_str(),
                figures.feed_waited_s,
            )?;
        }
        write!(
            f,
            "\npeak memory {}, {} copied in user space",
            bytes(self.peak_memory_bytes),
            bytes(figures.bytes_copied)
        )?;
        if figures.encoded_bytes > 0 {
            let (from, to) = (bytes(figures.encoded_bytes), bytes(figures.decoded_bytes));
            write!(f, "\ndecoded: {from} to {to}")?;
        }
        if self.local_bytes > 0 || !self.remote_bytes.is_empty() {
            write!(f, "\nfrom HDFS: {} from replicas of this host", bytes(self.local_bytes))?;
            for (reason, n) in &self.remote_bytes {
                write!(f, ", {} over the network ({reason})", bytes(*n))?;
            }
            if self.remote_reads.unverified_bytes > 0 {
                write!(f, ", {} without checksums", bytes(self.remote_reads.unverified_bytes))?;
            }
            if self.remote_reads.resumed > 0 {
                write!(f, ", {} broke off and went on", count(self.remote_reads.resumed, "read"))?;
            }
            let hedged = self.remote_reads.hedged;
            if hedged.tried > 0 {
                let late = count(hedged.tried, "late read");
                write!(f, ", {late} asked for at another replica, too ({} came from there)", hedged.won)?;
            }
            for (host, n) in &self.remote_reads.slow {
                write!(
                    f,
                    "\nremote reads from {host} are slow: left {} for another replica",
                    count(*n, "time")
                )?;
            }
        }
        if let Some(cache) = &self.cache {
            write!(
                f,
                "\nblock cache: {} from it, {} stored",
                bytes(cache.hit_bytes),
                bytes(cache.stored_bytes)
            )?;
            for (n, what) in [(cache.skipped_bytes, "not stored in time"), (cache.evicted_bytes, "evicted")] {
                if n > 0 {
                    write!(f, ", {} {what}", bytes(n))?;
                }
            }
            if cache.bad_entries > 0 {
                let entries = if cache.bad_entries == 1 { "entry" } else { "entries" };
                write!(f, ", {} bad {entries} dropped", cache.bad_entries)?;
            }
        }
        for note in &self.notes {
            write!(f, "\nnote: {note}")?;
        }
        Ok(())
    }
}

/// A count with its noun.
fn count(n: u64, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// A size for people, in the units that sizes are given in (1024ⁿ).
fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (n as f64, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{n} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(u64::MAX), "16777216.0 TiB");
        assert!(peak_memory() > 0);
    }
}
