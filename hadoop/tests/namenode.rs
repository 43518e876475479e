//! The NameNode's client against real NameNodes and DataNodes.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::time::{Duration, Instant};

use common::{blocking, conf_of, namenode};
use forebay_fixtures::{Hdfs, HdfsOptions};
use forebay_hadoop::Configuration;
use forebay_hadoop::ipc::{IpcError, Login, Reason};
use forebay_hadoop::namenode::{Error, FileKind, NameNode, StorageType};
use hdfs_native::WriteOptions;

const KIB: u64 = 1024;

/// Two DataNodes, two replicas, block tokens.
fn two() -> Hdfs {
    Hdfs::start(&HdfsOptions {
        datanodes: 2,
        hdfs_properties: vec![("dfs.block.access.token.enable".into(), "true".into())],
        ..HdfsOptions::default()
    })
    .unwrap()
}

#[test]
fn locations_of_files_whole_and_in_part() {
    let hdfs = two();
    let text = vec![b'x'; 250 * 1024];
    hdfs.write("/d/several", text, Some(100 * KIB)).unwrap();
    hdfs.write("/d/empty", Vec::new(), None).unwrap();
    let client = namenode(&hdfs);

    blocking(async {
        let all = client.block_locations("/d/several", 0, u64::MAX >> 1).await.unwrap();
        assert_eq!(all.file_len, 250 * KIB);
        assert!(!all.under_construction && all.last_block_complete);
        assert!(all.encryption.is_none() && all.erasure_coding.is_none());
        let offsets: Vec<_> = all.blocks.iter().map(|b| (b.offset, b.block.len)).collect();
        assert_eq!(offsets, [(0, 100 * KIB), (100 * KIB, 100 * KIB), (200 * KIB, 50 * KIB)]);
        assert_eq!(all.last_block.as_ref().unwrap().block, all.blocks[2].block);
        let ports: Vec<u16> =
            (0..2).map(|i| hdfs.datanode_address(i).rsplit(':').next().unwrap().parse().unwrap()).collect();
        for block in &all.blocks {
            assert!(block.block.pool.starts_with("BP-") && block.block.id > 0 && block.block.generation > 0);
            assert!(block.block.to_string().contains(":blk_"));
            let mut found: Vec<_> = block.replicas.iter().map(|replica| replica.xfer_port).collect();
            found.sort_unstable();
            let mut wanted = ports.clone();
            wanted.sort_unstable();
            assert_eq!(found, wanted);
            for replica in &block.replicas {
                assert_eq!((replica.ip.as_str(), replica.hostname.as_str()), ("127.0.0.1", "127.0.0.1"));
                assert_eq!(
                    (replica.storage_type, replica.cached, replica.index),
                    (StorageType::Disk, false, None)
                );
                assert!(replica.storage_id.starts_with("DS-") && !replica.uuid.is_empty());
                assert_eq!(replica.rack, "/default-rack");
            }
            assert!(!block.corrupt && !block.token.is_empty());
            assert_eq!(block.token.kind, "HDFS_BLOCK_TOKEN");
        }

        let middle = client.block_locations("/d/several", 150 * KIB, 1).await.unwrap();
        assert_eq!(middle.blocks.len(), 1);
        assert_eq!(middle.blocks[0].block, all.blocks[1].block);
        let behind = client.block_locations("/d/several", 250 * KIB, 10).await.unwrap();
        assert!(behind.blocks.is_empty() && behind.last_block.is_some());
        let empty = client.block_locations("/d/empty", 0, 1).await.unwrap();
        assert!(empty.blocks.is_empty() && empty.last_block.is_none() && empty.file_len == 0);
    });
}

#[test]
fn paths_their_status_and_refusals() {
    let hdfs = Hdfs::start(&HdfsOptions {
        hdfs_properties: vec![("dfs.ls.limit".into(), "2".into())],
        ..HdfsOptions::default()
    })
    .unwrap();
    for name in ["a", "b", "c", "ä"] {
        hdfs.write(&format!("/d/{name}"), &b"12345"[..], None).unwrap();
    }
    blocking(async {
        let client = namenode(&hdfs);
        let status = client.file_info("/d/a").await.unwrap().unwrap();
        assert_eq!((status.name.as_str(), status.kind, status.len), ("", FileKind::File, 5));
        assert_eq!((status.replication, status.block_size), (1, 128 << 20));
        assert!(status.modified > 1_600_000_000_000 && status.id > 0);
        assert_eq!(status.permission, 0o644);
        assert!(client.file_info("/d").await.unwrap().unwrap().is_dir());
        assert_eq!(client.file_info("/gone").await.unwrap(), None);

        let names = |list: Vec<_>| {
            list.into_iter().map(|s: forebay_hadoop::namenode::FileStatus| s.name).collect::<Vec<_>>()
        };
        assert_eq!(names(client.list("/d").await.unwrap().unwrap()), ["ä", "a", "b", "c"], "in pages of two");
        assert_eq!(names(client.list("/d/a").await.unwrap().unwrap()), [""]);
        assert_eq!(client.list("/gone").await.unwrap(), None);

        let missing = client.block_locations("/gone", 0, 1).await.unwrap_err();
        assert!(missing.is_file_not_found());
        assert_eq!(missing.remote().unwrap().message, "File does not exist: /gone");
        let folder = client.block_locations("/d", 0, 1).await.unwrap_err();
        assert_eq!(folder.remote().unwrap().message, "Path is not a file: /d");
        let relative = client.file_info("d").await.unwrap_err();
        assert!(!relative.to_string().contains("\tat "), "no Java stack: {relative}");
    });
}

#[test]
fn permissions_hold_for_the_user_that_was_named() {
    let hdfs = Hdfs::start(&HdfsOptions::default()).unwrap();
    hdfs.write("/secret/file", &b"x"[..], None).unwrap();
    let native = hdfs_native::ClientBuilder::new().with_url(hdfs.uri()).build().unwrap();
    blocking(async {
        native.set_permission("/secret", 0o700).await.unwrap();
        let conf = conf_of(&hdfs);
        let stranger = Login::from_conf(&conf).unwrap().as_user("stranger");
        let client = NameNode::connect_as(&conf, "", stranger).unwrap();
        let error = client.block_locations("/secret/file", 0, 1).await.unwrap_err();
        assert!(error.is_access_denied(), "{error}");
        assert!(error.remote().unwrap().message.contains("user=stranger"), "{error}");
        // The connection lives on after an exception.
        assert!(client.file_info("/secret").await.unwrap().unwrap().is_dir());
    });
}

#[test]
fn a_file_being_written_is_under_construction() {
    let hdfs = two();
    let native = hdfs_native::ClientBuilder::new()
        .with_url(hdfs.uri())
        .with_config_dir(hdfs.conf_dir().display().to_string())
        .build()
        .unwrap();
    blocking(async {
        let options = WriteOptions { block_size: Some(100 * KIB), ..WriteOptions::default() };
        let mut writer = native.create("/growing", &options).await.unwrap();
        Box::pin(writer.write_bytes(vec![b'x'; 150 * 1024].into())).await.unwrap();
        let client = namenode(&hdfs);
        let begin = Instant::now();
        let seen = loop {
            let seen = client.block_locations("/growing", 0, 1 << 40).await.unwrap();
            assert!(seen.under_construction);
            if seen.last_block.as_ref().is_some_and(|last| last.offset == 100 * KIB) {
                break seen;
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "the second block never began: {seen:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert!(!seen.last_block_complete);
        assert_eq!(seen.file_len, 100 * KIB, "only finished blocks count");
        Box::pin(writer.close()).await.unwrap();
        let done = client.block_locations("/growing", 0, 1 << 40).await.unwrap();
        assert!(!done.under_construction && done.last_block_complete);
        assert_eq!(done.file_len, 150 * KIB);
    });
}

#[test]
fn bad_replicas_are_reported() {
    let hdfs = two();
    hdfs.write("/bad", &b"some bytes"[..], None).unwrap();
    blocking(async {
        let client = namenode(&hdfs);
        let whole = client.block_locations("/bad", 0, 1).await.unwrap().blocks.remove(0);
        assert_eq!(whole.replicas.len(), 2);
        let uuid = whole.replicas[0].uuid.clone();
        client.report_bad_blocks(&[whole.with_replicas(|replica| replica.uuid == uuid)]).await.unwrap();
        // The NameNode no longer names it, and has it made anew.
        let seen = client.block_locations("/bad", 0, 1).await.unwrap().blocks.remove(0);
        assert!(!seen.corrupt);
        assert!(seen.replicas.iter().all(|replica| replica.uuid != uuid), "{seen:?}");
    });
}

#[test]
fn the_only_replica_reported_bad_is_listed_as_corrupt() {
    let hdfs = Hdfs::start(&HdfsOptions::default()).unwrap();
    hdfs.write("/bad", &b"some bytes"[..], None).unwrap();
    blocking(async {
        let client = namenode(&hdfs);
        let whole = client.block_locations("/bad", 0, 1).await.unwrap().blocks.remove(0);
        assert!(whole.token.is_empty(), "no block tokens here");
        client.report_bad_blocks(std::slice::from_ref(&whole)).await.unwrap();
        let seen = client.block_locations("/bad", 0, 1).await.unwrap().blocks.remove(0);
        assert!(seen.corrupt && seen.replicas.len() == 1, "{seen:?}");
    });
}

#[test]
fn many_calls_at_once_share_a_connection() {
    let hdfs = Hdfs::start(&HdfsOptions::default()).unwrap();
    for i in 0..20 {
        hdfs.write(&format!("/f{i}"), vec![b'x'; i], None).unwrap();
    }
    blocking(async {
        let client = namenode(&hdfs);
        let calls: Vec<_> = (0..1000)
            .map(|i| {
                let client = client.clone();
                tokio::spawn(async move { client.file_info(&format!("/f{}", i % 25)).await.unwrap() })
            })
            .collect();
        for (i, call) in calls.into_iter().enumerate() {
            let len = call.await.unwrap().map(|status| status.len);
            assert_eq!(len, (i % 25 < 20).then_some(i as u64 % 25), "call {i} got its own answer");
        }
    });
    let port = hdfs.uri().rsplit(':').next().unwrap().to_owned();
    assert!(connections_to(port.parse().unwrap()) <= 2, "ours, and the fixture's own client's");
}

/// Established connections of this process's user to a local port.
fn connections_to(port: u16) -> usize {
    let own: std::collections::HashSet<String> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row[2].ends_with(&format!(":{port:04X}")) && row[3] == "01" && own.contains(row[9]))
        .count()
}

#[test]
fn a_namenode_that_was_restarted_is_reached_again() {
    let hdfs = Hdfs::start(&HdfsOptions::default()).unwrap();
    hdfs.write("/f", &b"x"[..], None).unwrap();
    blocking(async {
        let client = namenode(&hdfs).with_deadline(Duration::from_mins(1));
        assert!(client.file_info("/f").await.unwrap().is_some());
        hdfs.namenode().kill();
        hdfs.namenode().start().unwrap();
        // Called while it starts: refused, then perhaps in safe mode, then answered.
        let begin = Instant::now();
        loop {
            let seen = client.block_locations("/f", 0, 1).await.unwrap();
            assert_eq!(seen.blocks.len(), 1);
            // With so few blocks the NameNode leaves safe mode before any DataNode has told of its replicas.
            if !seen.blocks[0].replicas.is_empty() {
                break;
            }
            assert!(!seen.blocks[0].corrupt && begin.elapsed() < Duration::from_mins(1), "{seen:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
}

#[test]
fn a_namenode_that_is_down_or_silent_is_given_up_in_time() {
    let hdfs = Hdfs::start(&HdfsOptions::default()).unwrap();
    blocking(async {
        let client = namenode(&hdfs).with_deadline(Duration::from_secs(3));
        assert!(client.file_info("/").await.unwrap().is_some());
        let mut stopped = None;
        for (silent, wanted) in [(true, "no answer within"), (false, "Connection refused")] {
            if silent {
                stopped = Some(hdfs.namenode().stop());
            } else {
                drop(stopped.take());
                hdfs.namenode().kill();
            }
            let begin = Instant::now();
            let error = client.file_info("/").await.unwrap_err();
            assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
            let Error::Ipc(IpcError::GaveUp { reason, tried, .. }) = &error else { panic!("{error}") };
            assert!(matches!(reason, Reason::Deadline(_)));
            assert_eq!(tried.len(), 1);
            assert_eq!(format!("hdfs://{}", tried[0].server), hdfs.uri());
            assert!(error.to_string().contains(wanted), "{error}");
        }
    });
}

#[test]
fn what_was_tried_is_listed() {
    blocking(async {
        let mut conf = Configuration::empty();
        let closed = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let web = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let web_address = web.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            use std::io::Write;
            while let Ok((mut stream, _)) = web.accept() {
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            }
        });
        conf.set("dfs.ha.namenodes.ns", "a,b,c");
        conf.set("dfs.namenode.rpc-address.ns.a", closed());
        conf.set("dfs.namenode.rpc-address.ns.b", "no-such-host.invalid:1");
        conf.set("dfs.namenode.rpc-address.ns.c", &web_address);
        let client = NameNode::connect(&conf, "ns").unwrap().with_deadline(Duration::from_secs(2));
        let error = client.file_info("/").await.expect_err("there is no NameNode");
        let Error::Ipc(ipc) = &error else { panic!("{error}") };
        assert_eq!(ipc.tried().len(), 3, "{error}");
        let text = error.to_string();
        for part in [
            "getFileInfo at ns",
            "Connection refused",
            "no-such-host.invalid:1",
            "cannot be resolved",
            "web port",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(ipc.tried()[0].attempts > 1, "{text}");
        assert_eq!(ipc.tried()[2].attempts, 1, "a web server is not asked again: {text}");
    });
}
