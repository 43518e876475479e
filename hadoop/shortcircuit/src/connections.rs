//! Connections that a DataNode keeps open after it has answered, so that the next request needs neither a connect here
//! nor a thread there.
//!
//! A DataNode waits for a further request for `dfs.datanode.socket.reuse.keepalive` (4 s) and then closes; which it has done is
//! seen before a connection is used again. It may also close in the very moment of the request: then the reply is
//! [`Fault::Closed`](crate::Fault::Closed), and the caller asks once more, on a connection of its own.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::socket::Connection;

/// For how long an idle connection is of use: somewhat less than the DataNode keeps it.
const IDLE: Duration = Duration::from_secs(3);
/// Idle connections kept at most, to all DataNodes of this host together: one descriptor each, and one thread of the DataNode.
const MOST: usize = 8;

/// Idle connections, the last used one at the end.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    path: PathBuf,
    connection: Connection,
    since: Instant,
}

impl Connections {
    /// An idle connection to this socket that the other side has not closed.
    pub(crate) fn take(&self, path: &Path) -> Option<Connection> {
        loop {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.retain(|idle| idle.since.elapsed() < IDLE);
            let at = idle.iter().rposition(|idle| idle.path == path)?;
            let connection = idle.remove(at).connection;
            drop(idle);
            if connection.is_open() {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection on which a request was answered to the end.
    pub(crate) fn put(&self, path: &Path, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|idle| idle.since.elapsed() < IDLE);
        if idle.len() >= MOST {
            idle.remove(0);
        }
        idle.push(Idle { path: path.to_owned(), connection, since: Instant::now() });
    }

    /// Closes all of them.
    pub(crate) fn clear(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

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
        let connections = Connections::default();
        assert!(connections.take(&path).is_none());
        let (first, _first_end) = pair(&listener, &path);
        let (second, second_end) = pair(&listener, &path);
        connections.put(&path, first);
        connections.put(&path, second);
        assert!(connections.take(Path::new("/elsewhere")).is_none());
        drop(second_end);
        assert!(connections.take(&path).is_some(), "the open one");
        assert!(connections.take(&path).is_none());
    }

    #[test]
    fn only_so_many_are_kept_the_last_used_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dn");
        let listener = UnixListener::bind(&path).unwrap();
        let connections = Connections::default();
        let ends: Vec<_> = (0..MOST + 2)
            .map(|_| {
                let (connection, end) = pair(&listener, &path);
                connections.put(&path, connection);
                end
            })
            .collect();
        assert_eq!(std::iter::from_fn(|| connections.take(&path)).count(), MOST);
        drop(ends);
    }
}
