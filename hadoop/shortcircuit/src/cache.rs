//! Replicas kept open: so many, the longest unused goes first.

use std::collections::HashMap;
use std::sync::Arc;

use crate::Block;

/// What the cache must know of a replica.
pub(crate) trait Cached {
    fn block(&self) -> &Block;
    fn is_valid(&self) -> bool;
}

impl Cached for crate::Replica {
    fn block(&self) -> &Block {
        self.block()
    }

    fn is_valid(&self) -> bool {
        self.is_valid()
    }
}

/// A replica's place: a host may run several DataNodes, and each has its own replica of a block.
type Key = (u16, String, i64);

/// A bounded cache, least recently used first out.
#[derive(Debug)]
pub(crate) struct Cache<R> {
    limit: usize,
    entries: HashMap<Key, Entry<R>>,
    uses: u64,
}

#[derive(Debug)]
struct Entry<R> {
    replica: Arc<R>,
    used: u64,
}

impl<R: Cached> Cache<R> {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, entries: HashMap::new(), uses: 0 }
    }

    /// The replica of this very generation, if it is still valid and was opened for as many bytes. One that is not is
    /// forgotten; it is given back too, to be dropped without the lock.
    pub(crate) fn get(&mut self, port: u16, block: &Block) -> Hit<R> {
        let key = key(port, block);
        let Some(entry) = self.entries.get_mut(&key) else { return Hit::None };
        let had = entry.replica.block();
        if had.generation == block.generation && had.len >= block.len && entry.replica.is_valid() {
            self.uses += 1;
            entry.used = self.uses;
            return Hit::Valid(Arc::clone(&entry.replica));
        }
        self.entries.remove(&key).map_or(Hit::None, |entry| Hit::Void { _replica: entry.replica })
    }

    /// Keeps a replica; returns what had to go for it.
    #[must_use]
    pub(crate) fn put(&mut self, port: u16, replica: &Arc<R>) -> Vec<Arc<R>> {
        if self.limit == 0 {
            return Vec::new();
        }
        self.uses += 1;
        let entry = Entry { replica: Arc::clone(replica), used: self.uses };
        let mut gone: Vec<_> = self.entries.insert(key(port, replica.block()), entry).into_iter().collect();
        while self.entries.len() > self.limit {
            // A walk over some hundred entries, beside an exchange with a DataNode.
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| key.clone());
            gone.extend(oldest.and_then(|key| self.entries.remove(&key)));
        }
        gone.into_iter().map(|entry| entry.replica).collect()
    }

    /// Forgets a block's replica.
    pub(crate) fn remove(&mut self, port: u16, block: &Block) -> Option<Arc<R>> {
        self.entries.remove(&key(port, block)).map(|entry| entry.replica)
    }
}

/// What the cache has.
#[derive(Debug)]
pub(crate) enum Hit<R> {
    Valid(Arc<R>),
    Void { _replica: Arc<R> },
    None,
}

fn key(port: u16, block: &Block) -> Key {
    (port, block.pool.clone(), block.id)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[derive(Debug)]
    struct Fake(Block, AtomicBool);

    impl Cached for Fake {
        fn block(&self) -> &Block {
            &self.0
        }

        fn is_valid(&self) -> bool {
            self.1.load(Ordering::SeqCst)
        }
    }

    fn block(id: i64) -> Block {
        Block { pool: "BP-1".to_owned(), id, generation: 7, len: 10 }
    }

    fn replica(block: Block) -> Arc<Fake> {
        Arc::new(Fake(block, AtomicBool::new(true)))
    }

    fn has(cache: &mut Cache<Fake>, block: &Block) -> bool {
        matches!(cache.get(1, block), Hit::Valid(_))
    }

    #[test]
    fn the_longest_unused_goes_first() {
        let mut cache = Cache::new(2);
        assert!(cache.put(1, &replica(block(1))).is_empty());
        assert!(cache.put(1, &replica(block(2))).is_empty());
        assert!(has(&mut cache, &block(1)));
        assert_eq!(cache.put(1, &replica(block(3)))[0].0.id, 2);
        assert!(has(&mut cache, &block(1)) && !has(&mut cache, &block(2)) && has(&mut cache, &block(3)));
    }

    #[test]
    fn only_the_very_block_is_a_hit() {
        let mut cache = Cache::new(9);
        let fill = |cache: &mut Cache<Fake>| {
            let one = replica(block(1));
            let _ = cache.put(1, &one);
            one
        };
        fill(&mut cache);
        assert!(has(&mut cache, &Block { len: 5, ..block(1) }), "a shorter wish is held by it");
        assert!(!has(&mut cache, &Block { pool: "BP-2".to_owned(), ..block(1) }));
        assert!(matches!(cache.get(2, &block(1)), Hit::None), "another DataNode's replica");
        assert!(matches!(cache.get(1, &Block { generation: 8, ..block(1) }), Hit::Void { .. }));
        assert!(!has(&mut cache, &block(1)), "a void one is forgotten");
        fill(&mut cache);
        assert!(!has(&mut cache, &Block { len: 11, ..block(1) }), "it has grown");
        let one = fill(&mut cache);
        one.1.store(false, Ordering::SeqCst);
        assert!(!has(&mut cache, &block(1)), "the DataNode has invalidated it");
    }

    #[test]
    fn none_may_be_kept() {
        let mut cache = Cache::new(0);
        assert!(cache.put(1, &replica(block(1))).is_empty());
        assert!(!has(&mut cache, &block(1)));
    }
}
