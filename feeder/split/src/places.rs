//! Which hosts have how much of a split.

use std::sync::Arc;

use crate::Split;

/// A stretch of a file, usually a block, and its replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// First byte.
    pub start: u64,
    /// Behind the last byte.
    pub end: u64,
    /// Its replicas, in the order in which the storage system names them.
    pub replicas: Vec<Replica>,
}

/// Where one replica of a stretch is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// The host's name.
    pub host: Arc<str>,
    /// Where it serves data, `ip:port`: a host may run several servers.
    pub address: Arc<str>,
    /// What it is stored on, in the storage system's words, for example `SSD`.
    pub storage: Arc<str>,
}

/// How much of a split a host has on one kind of storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostShare {
    /// The host's name.
    pub host: Arc<str>,
    /// What these bytes are stored on.
    pub storage: Arc<str>,
    /// How many bytes of the split. What several servers of one host have counts once.
    pub bytes: u64,
}

/// The hosts that have parts of a split, the one with most of it first; equals stay in the order of `stretches`, which
/// are those of the split's file.
///
/// The bytes are those of the split, `[start, end)`; the records that it delivers may reach a little beyond.
pub fn hosts(stretches: &[Stretch], split: &Split) -> Vec<HostShare> {
    let mut shares: Vec<HostShare> = Vec::new();
    for stretch in stretches {
        let bytes = stretch.end.min(split.end).saturating_sub(stretch.start.max(split.start));
        if bytes == 0 {
            continue;
        }
        for (i, replica) in stretch.replicas.iter().enumerate() {
            if stretch.replicas[..i].iter().any(|other| other.host == replica.host) {
                continue;
            }
            let same =
                |share: &&mut HostShare| share.host == replica.host && share.storage == replica.storage;
            match shares.iter_mut().find(same) {
                Some(share) => share.bytes += bytes,
                None => shares.push(HostShare {
                    host: Arc::clone(&replica.host),
                    storage: Arc::clone(&replica.storage),
                    bytes,
                }),
            }
        }
    }
    shares.sort_by_key(|share| std::cmp::Reverse(share.bytes));
    shares
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn replica(host: &str, address: &str, storage: &str) -> Replica {
        Replica { host: host.into(), address: address.into(), storage: storage.into() }
    }

    fn split(start: u64, end: u64) -> Split {
        Split { file: 0, ordinal: 0, start, end }
    }

    #[test]
    fn the_host_with_most_bytes_comes_first() {
        let a = replica("a", "1:1", "DISK");
        let (b, b_too) = (replica("b", "2:1", "SSD"), replica("b", "2:2", "DISK"));
        let stretches = [
            Stretch { start: 0, end: 10, replicas: vec![a.clone()] },
            Stretch { start: 10, end: 30, replicas: vec![a, b, b_too] },
        ];
        let told = |split| {
            hosts(&stretches, &split)
                .into_iter()
                .map(|share| (share.host.to_string(), share.storage.to_string(), share.bytes))
                .collect::<Vec<_>>()
        };
        let of = |host: &str, storage: &str, bytes| (host.to_owned(), storage.to_owned(), bytes);
        assert_eq!(told(split(5, 20)), [of("a", "DISK", 15), of("b", "SSD", 10)]);
        assert_eq!(told(split(0, 10)), [of("a", "DISK", 10)]);
        assert_eq!(told(split(30, 40)), []);
    }

    proptest! {
        #[test]
        fn a_host_that_has_all_has_all_of_every_split(
            cuts in prop::collection::vec(1u64..50, 1..10),
            start in 0u64..400,
            len in 1u64..100,
        ) {
            let mut at = 0;
            let stretches: Vec<_> = cuts.iter().enumerate().map(|(i, len)| {
                let own = format!("h{i}");
                let replicas = vec![replica(&own, "1:1", "DISK"), replica("all", "2:2", "DISK")];
                at += len;
                Stretch { start: at - len, end: at, replicas }
            }).collect();
            let split = split(start.min(at - 1), (start.min(at - 1) + len).min(at));
            let shares = hosts(&stretches, &split);
            let all = shares.iter().find(|share| &*share.host == "all").unwrap();
            prop_assert_eq!(all.bytes, split.end - split.start);
            let others: u64 = shares.iter().filter(|share| &*share.host != "all").map(|share| share.bytes).sum();
            prop_assert_eq!(others, all.bytes);
            prop_assert!(shares.windows(2).all(|pair| pair[0].bytes >= pair[1].bytes));
        }
    }
}
