//! Runs as a table.

use std::fmt::Write;

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

/// A Markdown table: ratios are to the first contestant, round by round.
pub(crate) fn markdown(results: &Results) -> String {
    let gigabytes = results.bytes as f64 / 1e9;
    let mut text = format!(
        "\n## {}\n\n{:.2} GB, {} rounds, interleaved.\n\n| | GB/s while bytes flow | × | GB/s whole run | × | CPU s/GB | peak memory |\n|---|---|---|---|---|---|---|\n",
        results.group.title,
        gigabytes,
        results.runs[0].len(),
    );
    for (contestant, runs) in results.group.contestants.iter().zip(&results.runs) {
        let rate = |seconds: fn(&Run) -> f64| {
            let [least, median, most] = spread(runs.iter().map(|run| gigabytes / seconds(run)));
            format!("{least:.2} / **{median:.2}** / {most:.2}")
        };
        let ratio = |seconds: fn(&Run) -> f64| {
            spread(results.runs[0].iter().zip(runs).map(|(first, run)| seconds(first) / seconds(run)))[1]
        };
        let [_, cpu, _] = spread(runs.iter().map(|run| run.cpu / gigabytes));
        let peak = runs.iter().filter_map(|run| run.peak).max();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {:.2} | {} | {:.2} | {cpu:.3} | {} |",
            contestant.name,
            rate(|run| run.stream),
            ratio(|run| run.stream),
            rate(|run| run.whole),
            ratio(|run| run.whole),
            peak.map_or("–".into(), |bytes| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))),
        );
    }
    text
}
