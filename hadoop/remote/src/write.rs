//! A block that is in memory, through the pipeline of the DataNodes that are to have it (`WRITE_BLOCK`).
//!
//! The first DataNode is asked, and asks the next one, and so on; then the packets go to the first one, and for each of them comes
//! what all of them have made of it. After the last packet the DataNodes close the connection. Runs on tokio: whoever is no longer
//! wanted is dropped.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::time::Duration;

use forebay_hadoop::namenode::LocatedBlock;
use forebay_hadoop::transfer::{
    self, BaseHeaderProto, BlockOpResponseProto, ChecksumProto, LONGEST_REPLY, Opcode, Status,
};
use forebay_shortcircuit::{ChecksumType, Fault as SocketFault};
use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::TcpStream;

use crate::outgoing::{BlockForm, Outgoing};
use crate::wire::{CREATE, ClientOperationHeaderProto, OpWriteBlockProto, PipelineAckProto};
use crate::{DataNodes, Fault, WriteError};

/// Bytes that are sent at once.
const PIECE: usize = 128 << 10;
/// Acknowledgements that are received at once.
const ANSWERS: usize = 1 << 10;

/// What is wrong, and with which of the pipeline's DataNodes.
type Blame = (usize, Fault);

impl DataNodes {
    /// Writes a new block, all of it. When this returns, all of its DataNodes have it on their disks. `holder` is the name by which
    /// the file is held. No wait is longer than [`Settings::silence`](crate::Settings::silence).
    pub async fn write(
        &self,
        located: &LocatedBlock,
        holder: &str,
        form: &BlockForm,
        data: &[u8],
    ) -> Result<(), WriteError> {
        let pipeline: Vec<_> = located.replicas.iter().map(|replica| self.address(replica)).collect();
        self.send(located, &pipeline, holder, form, data).await.map_err(|(replica, fault)| WriteError {
            block: located.block.to_string(),
            host: pipeline.get(replica).cloned().unwrap_or_default(),
            replica,
            fault,
        })
    }

    async fn send(
        &self,
        located: &LocatedBlock,
        pipeline: &[String],
        holder: &str,
        form: &BlockForm,
        data: &[u8],
    ) -> Result<(), Blame> {
        let silence = self.settings.silence;
        let first = pipeline.first().map_or("", String::as_str);
        let socket = connect(first, silence).await.map_err(|fault| (0, fault))?;
        let request = transfer::request(Opcode::WriteBlock, &request(located, holder, form));
        exchange(socket, &request, located, pipeline, *form, data, silence).await
    }
}

fn request(located: &LocatedBlock, holder: &str, form: &BlockForm) -> OpWriteBlockProto {
    let block = &located.block;
    let replicas = &located.replicas;
    let behind = replicas.get(1..).unwrap_or_default();
    let kind = match form.sums.checksum {
        ChecksumType::Null => 0,
        ChecksumType::Crc32 => 1,
        ChecksumType::Crc32c => 2,
    };
    OpWriteBlockProto {
        header: ClientOperationHeaderProto {
            base: BaseHeaderProto::new(block, &located.token),
            client_name: holder.to_owned(),
        },
        targets: behind.iter().map(Into::into).collect(),
        stage: CREATE,
        pipeline_size: u32::try_from(replicas.len()).unwrap_or(u32::MAX),
        min_bytes_rcvd: block.len,
        max_bytes_rcvd: block.len,
        latest_generation_stamp: block.generation,
        requested_checksum: ChecksumProto { kind, bytes_per_checksum: form.sums.bytes_per_checksum },
        storage_type: replicas.first().map(|replica| replica.storage_type.number()),
        target_storage_types: behind.iter().map(|replica| replica.storage_type.number()).collect(),
        storage_id: replicas.first().map(|replica| replica.storage_id.clone()),
        target_storage_ids: behind.iter().map(|replica| replica.storage_id.clone()).collect(),
    }
}

/// Everything that is said on one connection.
pub(crate) async fn exchange(
    socket: impl AsyncRead + AsyncWrite,
    request: &[u8],
    located: &LocatedBlock,
    pipeline: &[String],
    form: BlockForm,
    data: &[u8],
    silence: Duration,
) -> Result<(), Blame> {
    let (from, to) = tokio::io::split(socket);
    let (mut from, mut to) = (BufReader::with_capacity(ANSWERS, from), BufWriter::with_capacity(PIECE, to));
    let asked = async {
        to.write_all(request).await.map_err(broken)?;
        to.flush().await.map_err(broken)
    };
    in_time(silence, asked).await.map_err(|fault| (0, fault.into()))?;
    let reply = in_time(silence, receive(&mut from)).await.map_err(|fault| (0, fault.into()))?;
    granted(&reply, located, pipeline)?;

    let packets = Outgoing::new(form, data);
    let count = packets.total();
    let sending = async {
        for packet in packets {
            in_time(silence, async { to.write_all(&packet).await.map_err(broken) }).await?;
        }
        in_time(silence, async { to.flush().await.map_err(broken) }).await
    };
    let sending = async {
        // What is wrong, and with whom, the acknowledgements tell, or their end.
        let _: Result<(), SocketFault> = sending.await;
        pending::<Infallible>().await
    };
    let acknowledged = async {
        for seqno in 0..count {
            let ack = in_time(silence, receive(&mut from)).await.map_err(|fault| (0, fault.into()))?;
            stored(&ack, seqno, pipeline.len())?;
        }
        Ok(())
    };
    tokio::select! {
        outcome = acknowledged => outcome,
        never = sending => match never {},
    }
}

/// Whether the pipeline is there, and who is to blame if it is not.
fn granted(reply: &BlockOpResponseProto, located: &LocatedBlock, pipeline: &[String]) -> Result<(), Blame> {
    let bad = reply.first_bad_link.as_deref().filter(|link| !link.is_empty());
    // The DataNodes may name each other otherwise than they are reached from here.
    let is_it = |(at, address): &(usize, &String)| {
        let replica = &located.replicas[*at];
        bad.is_some_and(|bad| {
            bad == *address
                || bad == format!("{}:{}", replica.ip, replica.xfer_port)
                || bad == format!("{}:{}", replica.hostname, replica.xfer_port)
        })
    };
    let blamed = pipeline.iter().enumerate().find(is_it).map_or(0, |(at, _)| at);
    let message = || transfer::words(reply.message.as_deref());
    match Status::of(reply.status) {
        Status::Success if bad.is_none() => Ok(()),
        Status::AccessToken => Err((blamed, Fault::Token(message()))),
        status => Err((blamed, Fault::Refused { status, message: message() })),
    }
}

/// Whether all of so many DataNodes have stored a packet, and who is to blame if not.
fn stored(ack: &PipelineAckProto, seqno: i64, datanodes: usize) -> Result<(), Blame> {
    for (at, status) in ack.reply.iter().map(|number| Status::of(*number)).enumerate() {
        if status != Status::Success {
            let message = format!("packet {seqno} was not stored");
            return Err((at.min(datanodes.saturating_sub(1)), Fault::Refused { status, message }));
        }
    }
    if ack.seqno == seqno && ack.reply.len() == datanodes {
        return Ok(());
    }
    let why = format!(
        "packet {seqno} to {datanodes} DataNodes is acknowledged as packet {} by {}",
        ack.seqno,
        ack.reply.len()
    );
    Err((0, SocketFault::Malformed(why).into()))
}

async fn connect(address: &str, silence: Duration) -> Result<TcpStream, Fault> {
    let connecting = async {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in tokio::net::lookup_host(address).await? {
            match TcpStream::connect(address).await {
                Ok(socket) => {
                    socket.set_nodelay(true)?;
                    return Ok(socket);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    };
    match tokio::time::timeout(silence, connecting).await {
        Ok(connected) => connected.map_err(Fault::Connect),
        Err(_) => Err(SocketFault::TimedOut(silence).into()),
    }
}

/// Receives a message with its length before it.
async fn receive<M: Message + Default>(from: &mut (impl AsyncRead + Unpin)) -> Result<M, SocketFault> {
    let mut len = 0u64;
    // Three bytes hold every length that is allowed.
    for shift in [0, 7, 14] {
        let byte = from.read_u8().await.map_err(broken)?;
        len |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 != 0 {
            continue;
        }
        if len > LONGEST_REPLY {
            break;
        }
        let mut bytes = vec![0; usize::try_from(len).map_err(|_| SocketFault::TooLong(len))?];
        from.read_exact(&mut bytes).await.map_err(broken)?;
        return M::decode(&bytes[..]).map_err(|error| SocketFault::Malformed(error.to_string()));
    }
    Err(SocketFault::TooLong(len))
}

/// One step, for so long at most.
async fn in_time<T>(
    silence: Duration,
    step: impl Future<Output = Result<T, SocketFault>>,
) -> Result<T, SocketFault> {
    tokio::time::timeout(silence, step).await.unwrap_or(Err(SocketFault::TimedOut(silence)))
}

fn broken(error: io::Error) -> SocketFault {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            SocketFault::Closed
        }
        _ => SocketFault::Io(error),
    }
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
