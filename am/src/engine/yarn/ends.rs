//! What YARN says about a container's end, for people: what it means, and what to do.

use forebay_hadoop::yarn::ContainerExitStatus as Status;
use forebay_scheduler::{ClusterEnd, End};

/// Longest piece of YARN's words that is passed on.
const LONGEST: usize = 600;

/// How a container ended, from its exit status and what YARN says to it.
pub(crate) fn end(exit: i32, diagnostics: &str) -> End {
    let said = words(diagnostics);
    let cluster = |what, why: String| End::Cluster { what, why };
    let and = |hint: &str| if said.is_empty() { hint.to_owned() } else { format!("{said}; {hint}") };
    // Processes that end by themselves when the NodeManager asks them to hide its reason behind their own status.
    let status = match exit {
        0.. if diagnostics.contains("beyond the 'PHYSICAL' memory limit") => Status::KILLED_EXCEEDED_PMEM,
        0.. if diagnostics.contains("beyond the 'VIRTUAL' memory limit") => Status::KILLED_EXCEEDED_VMEM,
        exit => Status(exit),
    };
    match status {
        Status::INVALID => cluster(ClusterEnd::NotStarted, said),
        Status::ABORTED if diagnostics.contains("*lost* node") => cluster(ClusterEnd::NodeLost, said),
        Status::ABORTED if diagnostics.contains("expired since it was unused") => {
            cluster(ClusterEnd::NotStarted, and("it was not started in the time that YARN gives"))
        }
        Status::ABORTED | Status::KILLED_BY_APPMASTER => cluster(ClusterEnd::Released, said),
        Status::DISKS_FAILED => cluster(ClusterEnd::DisksFailed, said),
        Status::PREEMPTED => cluster(ClusterEnd::Preempted, said),
        Status::KILLED_EXCEEDED_PMEM => {
            let hint = "give the workers more (--worker-memory) or let it grow (--grow-memory)";
            cluster(
                ClusterEnd::OutOfMemory,
                format!("{}: {hint}", usage(diagnostics, "physical").unwrap_or(said)),
            )
        }
        Status::KILLED_EXCEEDED_VMEM => {
            let hint = "give the workers more (--worker-memory); who runs the cluster may switch this check off \
                        (yarn.nodemanager.vmem-check-enabled)";
            let used = usage(diagnostics, "virtual").unwrap_or(said);
            cluster(ClusterEnd::OutOfVirtualMemory, format!("{used}: {hint}"))
        }
        Status::KILLED_BY_RESOURCEMANAGER | Status::KILLED_AFTER_APP_COMPLETION => {
            cluster(ClusterEnd::KilledByResourceManager, said)
        }
        Status::KILLED_BY_CONTAINER_SCHEDULER => {
            cluster(ClusterEnd::Preempted, and("its node had no room left for it"))
        }
        Status::KILLED_FOR_EXCESS_LOGS => {
            cluster(ClusterEnd::Other(exit), and("it wrote more logs than the cluster allows"))
        }
        _ if let Some(signal) = status.signal() => End::Signal(signal),
        Status(0..) => End::Exit(exit),
        _ => cluster(ClusterEnd::Other(exit), said),
    }
}

/// A container that a NodeManager did not start.
pub(crate) fn not_started(why: &str) -> End {
    End::Cluster { what: ClusterEnd::NotStarted, why: words(why) }
}

/// Of `… Current usage: 1.2 GB of 1.1 GB physical memory used; 3 GB of 2.3 GB virtual memory used. …`: what was used of what.
fn usage(diagnostics: &str, kind: &str) -> Option<String> {
    let (_, usage) = diagnostics.split_once("Current usage: ")?;
    let (usage, _) = usage.split_once(". Killing").unwrap_or((usage, ""));
    let part = usage.split(';').find(|part| part.contains(kind))?;
    let (amounts, _) = part.trim().split_once(&format!(" {kind} memory"))?;
    let (used, of) = amounts.split_once(" of ")?;
    // YARN counts in powers of two, and writes them like the others.
    let amount =
        |text: &str| text.trim().replace(" KB", " KiB").replace(" MB", " MiB").replace(" GB", " GiB");
    Some(format!("it used {} of {} {kind} memory", amount(used), amount(of)))
}

/// What YARN says, without Java's stacks, its dump of processes, the ends of the container's logs, which may hold what is
/// not for all who may see the job, and what only repeats the exit status.
fn words(diagnostics: &str) -> String {
    // `Last 4096 bytes of stderr :`
    let is_log = |line: &str| line.starts_with("Last ") && line.contains(" bytes of ");
    let lines = diagnostics.lines().map(|line| without_time(line.trim()));
    let lines = lines.take_while(|line| !line.starts_with("Dump of the process-tree") && !is_log(line));
    let lines = lines.filter(|line| {
        !line.is_empty()
            && !line.starts_with("at ")
            && !line.starts_with("... ")
            && !line.starts_with("For more detailed output")
    });
    let mut text = lines.collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// A line without the `[2026-01-02 03:04:05.678]` before what the NodeManager says.
fn without_time(line: &str) -> &str {
    match line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((time, rest)) if time.starts_with(|c: char| c.is_ascii_digit()) => rest.trim(),
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(exit: i32, diagnostics: &str) -> String {
        end(exit, diagnostics).to_string()
    }

    #[test]
    fn memory_is_told_in_amounts_and_with_a_way_out() {
        let killed = "[2026-01-02 03:04:05.678]Container [pid=77,containerID=container_1_0001_01_000002] is running 12345678B \
             beyond the 'PHYSICAL' memory limit. Current usage: 1.2 GB of 1.1 GB physical memory used; 2.9 GB of 2.3 GB \
             virtual memory used. Killing container.\nDump of the process-tree for container_1 :\n\t|- PID CMD\n\t|- 77 a b\n\
             \n[2026-01-02 03:04:05.700]Container killed on request. Exit code is 143\n";
        let text = said(-104, killed);
        assert!(
            text.contains(
                "it used 1.2 GiB of 1.1 GiB physical memory: give the workers more (--worker-memory)"
            ),
            "{text}"
        );
        assert!(text.contains("--grow-memory") && !text.contains("PID"), "{text}");
        assert_eq!(end(1, killed), end(-104, killed));
        let text = said(-103, killed);
        assert!(text.contains("it used 2.9 GiB of 2.3 GiB virtual memory"), "{text}");
        // Other words than those that are known.
        assert!(said(-104, "too much").contains("too much: give"));
    }

    #[test]
    fn what_the_cluster_does_is_told_from_what_the_worker_does() {
        let what = |exit, diagnostics| match end(exit, diagnostics) {
            End::Cluster { what, .. } => what,
            other => panic!("{exit}: {other:?}"),
        };
        assert_eq!(what(-100, "Container released on a *lost* node"), ClusterEnd::NodeLost);
        assert_eq!(what(-100, "Container released by application"), ClusterEnd::Released);
        assert_eq!(what(-100, "Container expired since it was unused"), ClusterEnd::NotStarted);
        assert_eq!(what(-101, ""), ClusterEnd::DisksFailed);
        assert_eq!(what(-102, ""), ClusterEnd::Preempted);
        assert_eq!(what(-1000, "x"), ClusterEnd::NotStarted);
        assert_eq!(what(-106, ""), ClusterEnd::KilledByResourceManager);
        assert_eq!(what(-4711, ""), ClusterEnd::Other(-4711));
        assert_eq!(end(0, ""), End::Exit(0));
        assert_eq!(end(3, ""), End::Exit(3));
        assert_eq!(end(137, ""), End::Signal(9));
    }

    #[test]
    fn javas_stacks_are_left_out() {
        let text = "[2026-01-02 03:04:05.678]Resource hdfs://h/x changed on src filesystem - expected: 1, was: 2\n\
                    java.io.IOException: changed\n\tat a.B.c(B.java:1)\n\t... 3 more\n";
        assert_eq!(
            words(text),
            "Resource hdfs://h/x changed on src filesystem - expected: 1, was: 2 java.io.IOException: changed"
        );
        assert!(words(&"ä".repeat(5000)).chars().count() <= LONGEST + 1);
    }

    #[test]
    fn what_a_container_wrote_is_left_out() {
        let text = "[2026-01-02 03:04:05.678]Exception from container-launch.\nExit code: 1\n\n\
                    [2026-01-02 03:04:05.679]Container exited with a non-zero exit code 1. Error file: prelaunch.err.\n\
                    Last 4096 bytes of prelaunch.err :\nthe password is x\nLast 4096 bytes of stderr :\nand so on\n\n";
        let said = "Exception from container-launch. Exit code: 1 Container exited with a non-zero exit code 1. \
                    Error file: prelaunch.err.";
        assert_eq!(words(text), said);
        assert_eq!(words("[2026-01-02 03:04:05.679]Last 4096 bytes of stderr :\nsecret"), "");
    }
}
