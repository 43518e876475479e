//! Connections that a DataNode keeps open after it has answered, so that the next request needs neither a connect here
//! nor a thread there.
//!
//! A DataNode waits for a further request for `dfs.datanode.socket.reuse.keepalive` (4 s) and then closes; which it has done is
//! seen before a connection is used again. It may also close in the very moment of the request: then the reply is
//! [`Fault::Closed`](crate::Fault::Closed), and the caller asks once more, on a connection of its own.

use std::borrow::Borrow;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::socket::Connection;

/// For how long an idle connection is of use: somewhat less than the DataNode keeps it.
const IDLE: Duration = Duration::from_secs(3);
/// Idle connections kept at most, to all DataNodes together: one descriptor each, and one thread of a DataNode.
const MOST: usize = 8;

/// Idle connections by where they lead to, the last used one at the end.
#[derive(Debug)]
pub struct Connections<K> {
    idle: Mutex<Vec<Idle<K>>>,
}

#[derive(Debug)]
struct Idle<K> {
    to: K,
    connection: Connection,
    since: Instant,
}

impl<K> Default for Connections<K> {
    fn default() -> Self {
        Self { idle: Mutex::default() }
    }
}

impl<K> Connections<K> {
    /// An idle connection to there that the other side has not closed.
    pub fn take<Q: PartialEq + ?Sized>(&self, to: &Q) -> Option<Connection>
    where
        K: Borrow<Q>,
    {
        loop {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.retain(|idle| idle.since.elapsed() < IDLE);
            let at = idle.iter().rposition(|idle| idle.to.borrow() == to)?;
            let connection = idle.remove(at).connection;
            drop(idle);
            if connection.is_open() {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection on which a request was answered to the end.
    pub fn put(&self, to: impl Into<K>, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|idle| idle.since.elapsed() < IDLE);
        if idle.len() >= MOST {
            idle.remove(0);
        }
        idle.push(Idle { to: to.into(), connection, since: Instant::now() });
    }

    /// Closes all of them.
    pub fn clear(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::socket::Deadline;

    /// A connection and its other end.
    fn pair(listener: &UnixListener, path: &Path) -> (Connection, UnixStream) {
        let connection = Connection::open(path, Deadline::after(Duration::from_secs(5))).unwrap();
        (connection, listener.accept().unwrap().0)
    }

    #[test]
    fn what_the_other_side_has_closed_is_not_given() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dn");
        let listener = UnixListener::bind(&path).unwrap();
        let connections = Connections::<PathBuf>::default();
        assert!(connections.take(path.as_path()).is_none());
        let (first, _first_end) = pair(&listener, &path);
        let (second, second_end) = pair(&listener, &path);
        connections.put(path.as_path(), first);
        connections.put(path.as_path(), second);
        assert!(connections.take(Path::new("/elsewhere")).is_none());
        drop(second_end);
        assert!(connections.take(path.as_path()).is_some(), "the open one");
        assert!(connections.take(path.as_path()).is_none());
    }

    #[test]
    fn only_so_many_are_kept_the_last_used_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dn");
        let listener = UnixListener::bind(&path).unwrap();
        let connections = Connections::<PathBuf>::default();
        let ends: Vec<_> = (0..MOST + 2)
            .map(|_| {
                let (connection, end) = pair(&listener, &path);
                connections.put(path.as_path(), connection);
                end
            })
            .collect();
        assert_eq!(std::iter::from_fn(|| connections.take(path.as_path())).count(), MOST);
        drop(ends);
    }
}
