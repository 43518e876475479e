//! DataNodes that are read from and written to: who is asked, over which connection, and what the answer says.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use forebay_hadoop::Token;
use forebay_hadoop::namenode::{Block, Replica};
use forebay_hadoop::transfer::{self, BaseHeaderProto, BlockOpResponseProto, Opcode, Status};
use forebay_shortcircuit::{Connection, Connections, Deadline, Fault as SocketFault};

use crate::packet::{Layout, Packets};
use crate::wire::{CachingStrategyProto, ClientOperationHeaderProto, OpReadBlockProto};
use crate::{Fault, ReadError, Settings, Stream};

/// Reads from DataNodes, over connections that are used again, and writes to them. May be used from several threads.
#[derive(Debug)]
pub struct DataNodes {
    pub(crate) settings: Settings,
    connections: Arc<Connections<String>>,
}

impl DataNodes {
    /// Connects to nobody yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, connections: Arc::default() }
    }

    /// Where a replica's DataNode is reached: `HOST:PORT`.
    pub fn address(&self, replica: &Replica) -> String {
        let host = if self.settings.use_hostname { &replica.hostname } else { &replica.ip };
        if host.contains(':') {
            format!("[{host}]:{}", replica.xfer_port)
        } else {
            format!("{host}:{}", replica.xfer_port)
        }
    }

    /// Asks the DataNode at `address` for `[start, end)` of a block, of which there must be a byte. Blocks for at most
    /// `patience`, beside the time that the system takes to look a name up.
    pub fn open(
        &self,
        address: &str,
        (block, token): (&Block, &Token),
        range: Range<u64>,
        patience: Duration,
    ) -> Result<Stream, ReadError> {
        self.open_with(true, address, (block, token), range, patience)
    }

    /// Like [`open`](Self::open), but asks for no checksums: the bytes are what the DataNode's disk gives.
    pub fn open_unchecked(
        &self,
        address: &str,
        (block, token): (&Block, &Token),
        range: Range<u64>,
        patience: Duration,
    ) -> Result<Stream, ReadError> {
        self.open_with(false, address, (block, token), range, patience)
    }

    fn open_with(
        &self,
        checksums: bool,
        address: &str,
        (block, token): (&Block, &Token),
        range: Range<u64>,
        patience: Duration,
    ) -> Result<Stream, ReadError> {
        let deadline = Deadline::after(patience);
        self.ask(checksums, address, (block, token), &range, deadline).map_err(|fault| ReadError {
            block: block.to_string(),
            host: address.to_owned(),
            at: range.start,
            fault,
        })
    }

    fn ask(
        &self,
        checksums: bool,
        address: &str,
        named: (&Block, &Token),
        range: &Range<u64>,
        deadline: Deadline,
    ) -> Result<Stream, Fault> {
        if let Some(connection) = self.connections.take(address) {
            match self.ask_on(connection, checksums, address, named, range, deadline) {
                // The DataNode has closed it as idle in the meantime.
                Err(Fault::Exchange(SocketFault::Closed)) => {}
                outcome => return outcome,
            }
        }
        self.ask_on(connect(address, deadline)?, checksums, address, named, range, deadline)
    }

    pub(crate) fn ask_on(
        &self,
        connection: Connection,
        checksums: bool,
        address: &str,
        (block, token): (&Block, &Token),
        range: &Range<u64>,
        deadline: Deadline,
    ) -> Result<Stream, Fault> {
        let Settings { drop_behind, readahead, .. } = self.settings;
        let strategy = CachingStrategyProto {
            drop_behind,
            readahead: readahead.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        };
        let request = OpReadBlockProto {
            header: ClientOperationHeaderProto {
                base: BaseHeaderProto::new(block, token),
                client_name: self.settings.client_name.clone(),
            },
            offset: range.start,
            len: range.end - range.start,
            send_checksums: Some(checksums),
            caching_strategy: Some(strategy),
        };
        connection.send(&transfer::request(Opcode::ReadBlock, &request), deadline)?;
        let reply: BlockOpResponseProto = connection.receive(deadline)?;
        let message = || transfer::words(reply.message.as_deref());
        match Status::of(reply.status) {
            Status::Success => {}
            Status::AccessToken => return Err(Fault::Token(message())),
            status => return Err(Fault::Refused { status, message: message() }),
        }
        let info = reply.read_op_checksum_info.ok_or_else(|| {
            SocketFault::Malformed("it grants a block and does not say with which checksums".to_owned())
        })?;
        match Packets::announced(&info, range.start, range.end)? {
            Layout::Known(packets) => {
                let home = (Arc::clone(&self.connections), address.to_owned());
                Ok(Stream::new(connection, home, block.to_string(), range.clone(), packets))
            }
            Layout::Unsupported(why) => Err(Fault::Unsupported(why)),
        }
    }
}

/// A new connection. Its socket makes nobody wait.
fn connect(address: &str, deadline: Deadline) -> Result<Connection, Fault> {
    let addresses: Vec<SocketAddr> = address.to_socket_addrs().map_err(Fault::Connect)?.collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        let left = deadline.left()?;
        match TcpStream::connect_timeout(&address, left).and_then(prepare) {
            Ok(socket) => return Ok(Connection::of(socket)),
            Err(error) => last = error,
        }
    }
    Err(Fault::Connect(last))
}

fn prepare(stream: TcpStream) -> io::Result<OwnedFd> {
    stream.set_nodelay(true)?;
    // For `splice`, which knows no other way; all else here asks not to wait anyway.
    stream.set_nonblocking(true)?;
    Ok(stream.into())
}
