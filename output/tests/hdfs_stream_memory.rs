//! What a stream to HDFS keeps in memory. Alone in its process, because the memory of all of it is looked at.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::fs;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use forebay_fixtures::{Hdfs, HdfsOptions};
use forebay_output::StreamTarget;
use support::{FIRST, go, output, runtime};
use tokio::io::{AsyncRead, ReadBuf};

const PIECES: usize = 40_000;
const PIECE: &[u8] = b"a worker that writes line by line\n";

/// Gives one small piece at each read, as the pipe of a worker that flushes its lines.
struct Lines(usize);

impl AsyncRead for Lines {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(left) = self.0.checked_sub(1) {
            self.0 = left;
            room.put_slice(PIECE);
        }
        Poll::Ready(Ok(()))
    }
}

/// Most that this process has ever had in memory, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_worker_that_writes_line_by_line_costs_little_memory() {
    let hdfs = Hdfs::start(&HdfsOptions::default()).unwrap();
    let runtime = runtime();
    runtime.block_on(async {
        let out = output(format!("{}/out", hdfs.uri()), "job", Duration::from_mins(2));
        out.begin().await.unwrap();
        let StreamTarget::Hdfs(mut stream) = out.stream(FIRST).await.unwrap() else { panic!("not HDFS") };
        let before = peak();
        stream.copy_from(&mut Lines(PIECES), &go()).await.unwrap();
        let grown = peak() - before;
        assert!(grown < 32 << 10, "{grown} KiB for {} KiB of lines", (PIECES * PIECE.len()) >> 10);
        stream.finish().await.unwrap();
    });
}
