//! Runs as a table for people, and as JSON for machines.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::contest::{Results, Run};

/// Minimum, median and maximum.
fn spread(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    if n == 0 {
        [f64::NAN; 3]
    } else {
        [sorted[0], f64::midpoint(sorted[(n - 1) / 2], sorted[n / 2]), sorted[n - 1]]
    }
}

/// What is told of a contestant: each the spread over its runs.
struct Figures {
    /// GB/s from the first byte to the last, and of the whole run.
    rates: [[f64; 3]; 2],
    /// Medians of the ratios to the first contestant, round by round.
    ratios: [f64; 2],
    cpu_per_gb: [f64; 3],
    first_byte_ms: [f64; 3],
    whole_seconds: [f64; 3],
    peak: Option<u64>,
}

impl Figures {
    fn of(runs: &[Run], first: &[Run], bytes: u64) -> Self {
        let gigabytes = bytes as f64 / 1e9;
        let each = |value: &dyn Fn(&Run) -> f64| spread(runs.iter().map(value));
        let ratio = |seconds: fn(&Run) -> f64| {
            spread(first.iter().zip(runs).map(|(first, run)| seconds(first) / seconds(run)))[1]
        };
        Self {
            rates: [each(&|run| gigabytes / run.stream), each(&|run| gigabytes / run.whole)],
            ratios: [ratio(|run| run.stream), ratio(|run| run.whole)],
            cpu_per_gb: each(&|run| run.cpu / gigabytes),
            first_byte_ms: each(&|run| run.first_byte * 1e3),
            whole_seconds: each(&|run| run.whole),
            peak: runs.iter().filter_map(|run| run.peak).max(),
        }
    }
}

const HEAD: &str = "\
| | GB/s first → last byte | × | GB/s whole run | × | CPU s/GB | VmHWM | exec → first byte | exec → end |
|---|---|---|---|---|---|---|---|---|
";

/// A Markdown table of minima, **medians** and maxima; CPU and times are medians, memory is the most of all runs.
pub(crate) fn markdown(results: &Results) -> String {
    let mut text = format!(
        "\n## {}\n\n{:.2} GB, {} rounds, interleaved, every other one in the opposite order.\n\n{HEAD}",
        results.group.title,
        results.bytes as f64 / 1e9,
        results.runs.first().map_or(0, Vec::len),
    );
    for (contestant, runs) in results.group.contestants.iter().zip(&results.runs) {
        let Figures { rates, ratios, cpu_per_gb, first_byte_ms, whole_seconds, peak } =
            Figures::of(runs, &results.runs[0], results.bytes);
        let rate = |[least, median, most]: [f64; 3]| format!("{least:.2} / **{median:.2}** / {most:.2}");
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {:.2} | {} | {:.2} | {:.3} | {} | {:.0} ms | {:.2} s |",
            contestant.name,
            rate(rates[0]),
            ratios[0],
            rate(rates[1]),
            ratios[1],
            cpu_per_gb[1],
            peak.map_or("–".into(), |bytes| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))),
            first_byte_ms[1],
            whole_seconds[1],
        );
    }
    text
}

/// The same with every single run.
pub(crate) fn json(results: &Results) -> Value {
    let contestants = results.group.contestants.iter().zip(&results.runs).map(|(contestant, runs)| {
        let figures = Figures::of(runs, &results.runs[0], results.bytes);
        let spread = |[min, median, max]: [f64; 3]| json!({ "min": min, "median": median, "max": max });
        json!({
            "id": contestant.id,
            "name": contestant.name,
            "gb_per_s_stream": spread(figures.rates[0]),
            "gb_per_s_whole": spread(figures.rates[1]),
            "ratio_stream": figures.ratios[0],
            "ratio_whole": figures.ratios[1],
            "cpu_s_per_gb": spread(figures.cpu_per_gb),
            "first_byte_ms": spread(figures.first_byte_ms),
            "whole_s": spread(figures.whole_seconds),
            "peak_memory_bytes": figures.peak,
            "runs": runs,
        })
    });
    json!({
        "title": results.group.title,
        "cold": results.group.cold,
        "bytes": results.bytes,
        "contestants": contestants.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_ratios() {
        let run = |stream: f64| Run { first_byte: 0.5, stream, whole: stream + 1.0, cpu: 3.0, peak: Some(7) };
        let figures =
            Figures::of(&[run(2.0), run(8.0), run(4.0)], &[run(1.0), run(2.0), run(2.0)], 4_000_000_000);
        assert_eq!(figures.rates[0].map(f64::to_bits), [0.5, 1.0, 2.0].map(f64::to_bits));
        assert_eq!(figures.ratios[0].to_bits(), 0.5f64.to_bits());
        assert_eq!(figures.cpu_per_gb[1].to_bits(), 0.75f64.to_bits());
        assert_eq!(figures.peak, Some(7));
    }
}
