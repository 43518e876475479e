//! What the figures were taken on, so that nobody compares them with another machine's.

use std::fmt;

use forebay_fixtures::artifacts::HADOOP_VERSION;
use serde::Serialize;

/// Machine and versions.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    cpu: String,
    cores: usize,
    memory_bytes: u64,
    kernel: String,
    hadoop: &'static str,
    forebay: &'static str,
    /// Seconds since 1970.
    taken_at: u64,
}

impl Machine {
    pub(crate) fn look() -> Self {
        let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        // x86 has names; on ARM only numbers are told.
        let cpu = value(&cpus, "model name").or_else(|| value(&cpus, "CPU part")).unwrap_or("unknown");
        let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kib = value(&memory, "MemTotal").and_then(|text| text.strip_suffix(" kB")?.trim().parse().ok());
        let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self {
            cpu: cpu.to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: kib.unwrap_or(0u64) << 10,
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            hadoop: HADOOP_VERSION,
            forebay: env!("CARGO_PKG_VERSION"),
            taken_at: since_1970.map_or(0, |passed| passed.as_secs()),
        }
    }
}

/// The value of a `name : value` line.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu, cores, memory_bytes, kernel, hadoop, forebay, .. } = self;
        let gib = *memory_bytes as f64 / f64::from(1 << 30);
        write!(f, "{cpu}, {cores} cores for this process, {gib:.0} GiB; Linux {kernel}; ")?;
        write!(f, "Hadoop {hadoop}; Forebay {forebay}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_whole_name() {
        let text = "model\t\t: 17\nmodel name\t: A CPU @ 3: GHz\n";
        assert_eq!(value(text, "model name"), Some("A CPU @ 3: GHz"));
        assert_eq!(value(text, "name"), None);
        assert!(Machine::look().cores > 0);
    }
}
