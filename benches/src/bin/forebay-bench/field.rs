//! Who takes part: the machine's limit, Forebay, and the peers, each as the command that a user would give.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use forebay_benches::PIPE_SIZE;
use forebay_fixtures::Hdfs;

use crate::contest::{Contestant, Feeding, Group};

/// All contestants' ids, by which `--only` selects.
pub(crate) const IDS: [&str; 29] = [
    "local/splice",
    "local/feed",
    "local/cat",
    "tfrecord/lines",
    "tfrecord/small",
    "tfrecord/large",
    "gzip/zcat",
    "gzip/feed",
    "zstd/zstd",
    "zstd/feed",
    "bzip2/bzip2",
    "bzip2/feed",
    "hdfs/splice",
    "hdfs/feed",
    "hdfs/feed-no-verify",
    "hdfs/cat-blocks",
    "hdfs/socket",
    "hdfs/feed-network",
    "hdfs/feed-network-no-verify",
    "hdfs/feed-cache",
    "hdfs/feed-local",
    "hdfs/hdfs-native",
    "hdfs/dfs-cat",
    "hdfs/dfs-cat-network",
    "hdfs/java-arrays",
    "hdfs/java-zero-copy",
    "hdfs/java-arrays-network",
    "slow/none",
    "slow/one-of-three",
];

/// Where HDFS has the input.
pub(crate) const PATH: &str = "/bench.txt";

const FEED: [&str; 2] = ["feed", "-q"];
/// More than any input has.
const CACHE_SIZE: &str = "1T";
/// How often the input is fed until all of it is in the cache.
const MOST_FILLS: u32 = 50;

/// Contestants over a local file.
pub(crate) fn local(bins: &Path, file: &Path, cold: bool) -> Group {
    let mut splice = Command::new(bins.join("bare-splice"));
    splice.arg(file).arg("--");
    let mut feed = Command::new(bins.join("forebay"));
    feed.args(FEED).arg(file).arg("--");
    let mut cat = Command::new("cat");
    cat.arg(file);
    Group {
        title: if cold { "Local file, page cache empty" } else { "Local file, warm" },
        cold,
        contestants: vec![
            contestant("local/splice", "bare splice loop, 1 MiB pipe", Feeding::Starts, splice),
            contestant("local/feed", "forebay feed", Feeding::Starts, feed),
            contestant("local/cat", "cat, a pipe", Feeding::Writes { pipe: None }, cat),
        ],
    }
}

/// Contestants over lines and over TFRecord files of the same length, with short and with long records.
pub(crate) fn tfrecords(bins: &Path, [lines, small, large]: [&Path; 3], cold: bool) -> Group {
    let feed = |file: &Path, format: &str| {
        let mut feed = Command::new(bins.join("forebay"));
        feed.args(FEED).arg(file).args(["--format", format, "--"]);
        feed
    };
    Group {
        title: if cold {
            "TFRecords of a local file, page cache empty"
        } else {
            "TFRecords of a local file, warm"
        },
        cold,
        contestants: vec![
            contestant("tfrecord/lines", "forebay feed, lines", Feeding::Starts, feed(lines, "lines")),
            contestant(
                "tfrecord/small",
                "forebay feed, records of 1 KiB",
                Feeding::Starts,
                feed(small, "tfrecord"),
            ),
            contestant(
                "tfrecord/large",
                "forebay feed, records of 100 KiB",
                Feeding::Starts,
                feed(large, "tfrecord"),
            ),
        ],
    }
}

/// A format, and the tool that users have for it.
pub(crate) struct Compressor {
    /// Its group, as the beginning of an id.
    pub(crate) group: &'static str,
    /// The program, which compresses with `-c`.
    pub(crate) name: &'static str,
    /// The suffix of its files.
    pub(crate) suffix: &'static str,
    title: &'static str,
    /// The tool's id, its name in the table, and the command that reads.
    reader: (&'static str, &'static str, &'static [&'static str]),
    feed: &'static str,
}

/// The formats whose readers are compared.
pub(crate) const COMPRESSORS: [Compressor; 3] = [
    Compressor {
        group: "gzip/",
        name: "gzip",
        suffix: "gz",
        title: "Lines of a gzip file",
        reader: ("gzip/zcat", "zcat, a pipe", &["zcat"]),
        feed: "gzip/feed",
    },
    Compressor {
        group: "zstd/",
        name: "zstd",
        suffix: "zst",
        title: "Lines of a zstd file",
        reader: ("zstd/zstd", "zstd -dc, a pipe", &["zstd", "-q", "-dc"]),
        feed: "zstd/feed",
    },
    Compressor {
        group: "bzip2/",
        name: "bzip2",
        suffix: "bz2",
        title: "Lines of a bzip2 file",
        reader: ("bzip2/bzip2", "bzip2 -dc, a pipe", &["bzip2", "-dc"]),
        feed: "bzip2/feed",
    },
];

/// Contestants over a compressed local file.
pub(crate) fn compressed(bins: &Path, file: &Path, tool: &Compressor, cold: bool) -> Group {
    let (id, name, words) = tool.reader;
    let mut reader = Command::new(words[0]);
    reader.args(&words[1..]).arg(file);
    let mut feed = Command::new(bins.join("forebay"));
    feed.args(FEED).arg(file).arg("--");
    Group {
        title: tool.title,
        cold,
        contestants: vec![
            contestant(id, name, Feeding::Writes { pipe: None }, reader),
            contestant(tool.feed, "forebay feed", Feeding::Starts, feed),
        ],
    }
}

/// Contestants over the same file on an HDFS of this host, and over `file`, which is what it was made from. `network_only` has its
/// configuration without short-circuit; `cache` has all of it.
pub(crate) fn on_hdfs(
    bins: &Path,
    hdfs: &Hdfs,
    (file, network_only, cache): (&Path, &Path, &Path),
    cold: bool,
) -> std::io::Result<Group> {
    let uri = format!("{}{PATH}", hdfs.uri());
    let blocks = block_files(&hdfs.data_dir(0))?;
    let mut splice = Command::new(bins.join("bare-splice"));
    splice.args(&blocks).arg("--");
    let mut cat = Command::new("cat");
    cat.args(&blocks);
    let mut socket = Command::new(bins.join("bare-socket"));
    socket.args(&blocks).arg("--");
    let feed = |flags: &[&str], conf: &Path| {
        let mut feed = Command::new(bins.join("forebay"));
        feed.args(FEED).arg(&uri).args(flags).arg("--").env("HADOOP_CONF_DIR", conf);
        feed
    };
    let folder = cache.to_string_lossy();
    let cached = feed(&["--cache-dir", &folder, "--cache-size", CACHE_SIZE], network_only);
    let mut local = Command::new(bins.join("forebay"));
    local.args(FEED).arg(file).arg("--");
    let mut native = Command::new(bins.join("plain-hdfs-native"));
    native.args([&hdfs.uri(), PATH]).env("HADOOP_CONF_DIR", hdfs.conf_dir());
    let dfs_cat = |short_circuit: bool| {
        let set = format!("dfs.client.read.shortcircuit={short_circuit}");
        hdfs.plain_java("org.apache.hadoop.fs.FsShell", ["-D", set.as_str(), "-cat", PATH])
    };
    let java = |way: &str, short_circuit: bool| {
        hdfs.plain_java("WarmCat", [way, &uri, if short_circuit { "true" } else { "false" }])
    };
    let pipe = Feeding::Writes { pipe: None };
    let warm = Feeding::WritesWhenWarm { pipe: Some(PIPE_SIZE) };
    Ok(Group {
        title: if cold { "HDFS on this host, page cache empty" } else { "HDFS on this host, warm" },
        cold,
        contestants: vec![
            contestant("hdfs/splice", "bare splice of the block files, 1 MiB pipe", Feeding::Starts, splice),
            contestant("hdfs/feed", "forebay feed", Feeding::Starts, feed(&[], hdfs.conf_dir())),
            contestant(
                "hdfs/feed-no-verify",
                "forebay feed --no-verify",
                Feeding::Starts,
                feed(&["--no-verify"], hdfs.conf_dir()),
            ),
            contestant("hdfs/cat-blocks", "cat of the block files", pipe, cat),
            contestant(
                "hdfs/socket",
                "bare splice of the same bytes from a TCP socket, 1 MiB pipe ²",
                Feeding::Starts,
                socket,
            ),
            contestant(
                "hdfs/feed-network",
                "forebay feed, short-circuit off",
                Feeding::Starts,
                feed(&[], network_only),
            ),
            contestant(
                "hdfs/feed-network-no-verify",
                "forebay feed --no-verify, short-circuit off",
                Feeding::Starts,
                feed(&["--no-verify"], network_only),
            ),
            contestant(
                "hdfs/feed-cache",
                "forebay feed, short-circuit off, all of it in the block cache",
                Feeding::Starts,
                cached,
            ),
            contestant(
                "hdfs/feed-local",
                "forebay feed of a local file with the same bytes",
                Feeding::Starts,
                local,
            ),
            contestant("hdfs/hdfs-native", "plain hdfs-native loop, 1 MiB pipe", Feeding::Starts, native),
            contestant("hdfs/dfs-cat", "hdfs dfs -cat, short-circuit", pipe, dfs_cat(true)),
            contestant("hdfs/dfs-cat-network", "hdfs dfs -cat, TCP", pipe, dfs_cat(false)),
            contestant(
                "hdfs/java-arrays",
                "Java client, warm JVM, byte arrays, short-circuit, 1 MiB pipe ¹",
                warm,
                java("arrays", true),
            ),
            contestant(
                "hdfs/java-zero-copy",
                "Java client, warm JVM, zero-copy API (unchecked), 1 MiB pipe ¹",
                warm,
                java("zero-copy", true),
            ),
            contestant(
                "hdfs/java-arrays-network",
                "Java client, warm JVM, byte arrays, TCP, 1 MiB pipe ¹",
                warm,
                java("arrays", false),
            ),
        ],
    })
}

/// How many times slower than without a slow one the slow DataNode is.
const TIMES_SLOWER: u128 = 20;

/// A feed from three DataNodes behind relays, without and with a slow one among them.
pub(crate) fn with_a_slow_datanode(
    bins: &Path,
    hdfs: &Rc<Hdfs>,
    network_only: &Path,
    bytes: u64,
) -> std::io::Result<Group> {
    let feed = || {
        let mut feed = Command::new(bins.join("forebay"));
        feed.args(FEED).arg(format!("{}{PATH}", hdfs.uri())).arg("--").env("HADOOP_CONF_DIR", network_only);
        feed
    };
    // The first time warms, the second one is measured.
    let mut took = Duration::ZERO;
    for _ in 0..2 {
        let begin = Instant::now();
        let status = feed().arg("cat").stdin(Stdio::null()).stdout(Stdio::null()).status()?;
        if !status.success() {
            return Err(std::io::Error::other(format!("a feed from three DataNodes failed: {status}")));
        }
        took = begin.elapsed();
    }
    let limit = u128::from(bytes) * 1_000_000_000 / took.as_nanos().max(1) / TIMES_SLOWER;
    let limit = u64::try_from(limit).unwrap_or(u64::MAX).max(1);
    let limited = |limit: Option<u64>| -> Option<Box<dyn Fn()>> {
        let hdfs = Rc::clone(hdfs);
        Some(Box::new(move || hdfs.relay(0).limit(limit)))
    };
    let contestant = |id, name, limit| Contestant {
        prepare: limited(limit),
        ..contestant(id, name, Feeding::Starts, feed())
    };
    Ok(Group {
        title: "Three DataNodes behind relays, warm",
        cold: false,
        contestants: vec![
            contestant("slow/none", "forebay feed, short-circuit off", None),
            contestant("slow/one-of-three", "the same, one of the DataNodes 20 × slower", Some(limit)),
        ],
    })
}

/// Feeds until all comes from the cache: what comes faster than it is written is kept the next time.
pub(crate) fn fill_cache(
    bins: &Path,
    hdfs: &Hdfs,
    (network_only, cache): (&Path, &Path),
    bytes: u64,
) -> Result<(), Box<dyn Error>> {
    let report = network_only.join("report");
    for _ in 0..MOST_FILLS {
        let mut feed = Command::new(bins.join("forebay"));
        feed.args(FEED).arg(format!("{}{PATH}", hdfs.uri())).env("HADOOP_CONF_DIR", network_only);
        feed.arg("--cache-dir").arg(cache).args(["--cache-size", CACHE_SIZE, "--report"]).arg(&report);
        let status = feed.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
        let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&report)?)?;
        if !status.success() {
            return Err(format!("the block cache is not filled: {report}").into());
        }
        if report["cache"]["hit_bytes"] == bytes {
            return Ok(());
        }
    }
    Err("the input is never all in the block cache".into())
}

fn contestant(id: &'static str, name: &'static str, feeding: Feeding, command: Command) -> Contestant {
    Contestant { id, name, feeding, command, prepare: None }
}

/// Whether `--only` words, of which each is an id or the beginning of some up to a `/`, select a contestant.
pub(crate) fn selected(only: &[String], id: &str) -> bool {
    only.is_empty() || only.iter().any(|word| id == word || id.split('/').next() == Some(word))
}

/// Files below a folder whose names are those of blocks, in the order of the blocks' numbers.
fn block_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let number =
                path.file_name().and_then(|name| name.to_str()?.strip_prefix("blk_")?.parse::<u64>().ok());
            if path.is_dir() {
                folders.push(path);
            } else if let Some(number) = number {
                files.push((number, path));
            }
        }
    }
    files.sort();
    Ok(files.into_iter().map(|(_, path)| path).collect())
}

/// A configuration like the cluster's, with short-circuit reads off.
pub(crate) fn without_short_circuit(hdfs: &Hdfs, folder: &Path) -> std::io::Result<()> {
    for name in ["core-site.xml", "hdfs-site.xml"] {
        let text = std::fs::read_to_string(hdfs.conf_dir().join(name))?;
        let off = "<property><name>dfs.client.read.shortcircuit</name><value>false</value></property></configuration>";
        std::fs::write(folder.join(name), text.replace("</configuration>", off))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_ids_select() {
        let only = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(selected(&[], "hdfs/feed"));
        assert!(selected(&only(&["hdfs"]), "hdfs/feed"));
        assert!(selected(&only(&["local", "hdfs/feed"]), "hdfs/feed"));
        assert!(!selected(&only(&["local", "hdfs/feed"]), "hdfs/feed-network"));
    }

    #[test]
    fn blocks_come_in_the_order_of_their_numbers() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["blk_9", "sub/blk_10", "blk_9_1001.meta", "sub/VERSION"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let found = block_files(folder.path()).unwrap();
        assert_eq!(found, ["blk_9", "sub/blk_10"].map(|name| folder.path().join(name)));
    }
}
