//! What the wire says, in the scheduler's words.

use forebay_protocol::v1;
use forebay_scheduler::{Ack, Attempt, Begin, Granted, Position, Skip, Skipped};

pub(crate) fn attempt(message: v1::Attempt) -> Attempt {
    Attempt { index: message.index, number: message.number }
}

pub(crate) fn held(message: v1::Held) -> Granted {
    let skip = match message.skip.and_then(|skip| skip.behind) {
        None => Skip::None,
        Some(v1::skip::Behind::Records(n)) => Skip::Records(n),
        Some(v1::skip::Behind::Bytes(n)) => Skip::Bytes(n),
    };
    Granted { unit: message.unit, skip }
}

pub(crate) fn position(message: v1::Position) -> Position {
    let begin = |begin: v1::Begin| {
        let (at, skipped) = (begin.at.unwrap_or_default(), begin.skipped.unwrap_or_default());
        let skipped = Skipped { bytes: skipped.bytes, records: skipped.records };
        Begin { unit: begin.unit, bytes: at.bytes, records: at.records, skipped }
    };
    let delivered = message.delivered.unwrap_or_default();
    let ack = message.ack.and_then(|ack| ack.ack).map(|ack| match ack {
        v1::ack::Ack::Records(n) => Ack::Records(n),
        v1::ack::Ack::Bytes(n) => Ack::Bytes(n),
    });
    Position {
        begins: message.begins.into_iter().map(begin).collect(),
        delivered: delivered.bytes,
        delivered_records: delivered.records,
        consumed: message.consumed,
        whole: message.whole,
        complete: message.complete,
        ack,
    }
}
