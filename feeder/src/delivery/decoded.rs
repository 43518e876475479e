//! Ranges that are decoded: what they decode to is treated like the bytes of a plain file.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use forebay_decode::{AvroSchema, DecodeError, Decoder};
use forebay_record::{AvroHeader, BOM, Counter, Format, Terminator, TfRecordError, TfRecordStream};

use super::Delivery;
use super::decoding::{Broken, Decoding};
use crate::SourceError;
use crate::sink::Halt;
use crate::source::Coding;

/// What is known of the decoded stream of the range in hand.
pub(super) struct Unpacked {
    coding: Coding,
    /// The stream's first bytes, as long as they may become a byte order mark; `None` behind them, and where there are no lines.
    mark: Option<Vec<u8>>,
    has_records: bool,
    /// Knows what a custom delimiter lacks at the end.
    ending: Option<Counter>,
    /// Sees where the stream holds no TFRecords, if it has to.
    tfrecords: Option<TfRecordStream>,
}

/// The schema of the Avro files that were fed.
pub(super) struct KnownSchema {
    /// The first of them.
    path: String,
    /// The last one's header.
    header: Arc<AvroHeader>,
    schema: Arc<AvroSchema>,
}

impl Unpacked {
    fn new(coding: Coding, format: &Format) -> Self {
        let is_delimited = matches!(format, Format::Lines(Terminator::Delimiter(_)));
        let ending = Counter::new(format).filter(|_| is_delimited);
        let mark = matches!(format, Format::Lines(_)).then(Vec::new);
        let tfrecords = (*format == Format::TfRecord).then(TfRecordStream::default);
        Self { coding, mark, has_records: false, ending, tfrecords }
    }

    /// Whether there was anything but a byte order mark.
    pub(super) fn has_records(&self) -> bool {
        self.has_records
    }

    /// What ends the last record, for a custom delimiter.
    pub(super) fn missing(&self) -> Vec<u8> {
        self.ending.as_ref().map_or_else(Vec::new, Counter::missing)
    }

    /// Takes the next bytes. What is to be passed on of those that were held back, and of these.
    fn pass<'b>(&mut self, bytes: &'b [u8]) -> (Vec<u8>, &'b [u8]) {
        let Some(mark) = &mut self.mark else { return (Vec::new(), bytes) };
        let n = (BOM.len() - mark.len()).min(bytes.len());
        mark.extend_from_slice(&bytes[..n]);
        if BOM.starts_with(mark) && mark.len() < BOM.len() {
            return (Vec::new(), &[]);
        }
        let mark = self.mark.take().unwrap_or_default();
        (if mark == BOM { Vec::new() } else { mark }, &bytes[n..])
    }

    fn note(&mut self, bytes: &[u8]) -> Result<(), TfRecordError> {
        self.has_records |= !bytes.is_empty();
        if let Some(ending) = &mut self.ending {
            ending.advance(bytes, u64::MAX);
        }
        self.tfrecords.as_mut().map_or(Ok(()), |tfrecords| tfrecords.advance(bytes))
    }

    /// The stream has ended.
    fn finish(&self) -> Result<(), TfRecordError> {
        self.tfrecords.as_ref().map_or(Ok(()), TfRecordStream::finish)
    }
}

impl Delivery<'_> {
    /// Takes a range in hand whose bytes, from `at` in the file on, are to be decoded.
    pub(super) fn begin_decoding(&mut self, coding: Coding, at: u64) -> Result<(), Halt> {
        let decoder = match &coding {
            Coding::Codec(codec) => Decoder::new(*codec),
            Coding::Sequence(header, records) => {
                Decoder::of_sequence(header, *records, at).map_err(|source| self.unreadable(source))?
            }
            Coding::Avro(header, framing) => {
                let schema = self.schema(header)?;
                Decoder::of_avro(header, schema, *framing, at).map_err(|source| self.unreadable(source))?
            }
        };
        self.unpacked = Some(Unpacked::new(coding, self.format));
        self.with_decoding(|decoding, _| decoding.begin(decoder))
    }

    /// The schema of an Avro file, which has to be that of those before.
    fn schema(&mut self, header: &Arc<AvroHeader>) -> Result<Arc<AvroSchema>, Halt> {
        if let Some(known) = &self.schema
            && known.header.schema == header.schema
        {
            return Ok(Arc::clone(&known.schema));
        }
        let schema = AvroSchema::parse(&header.schema).map_err(|source| self.unreadable(source))?;
        let path = self.file_name();
        let path = match self.schema.take() {
            Some(known) if !known.schema.is_like(&schema) => {
                return Err(Halt::Input(SourceError::Schemas { path, other: known.path }));
            }
            Some(known) => known.path,
            None => path,
        };
        let schema = Arc::new(schema);
        let header = Arc::clone(header);
        self.schema = Some(KnownSchema { path, header, schema: Arc::clone(&schema) });
        Ok(schema)
    }

    fn unreadable(&self, source: DecodeError) -> Halt {
        Halt::Input(SourceError::of_container(self.file_name(), self.format, source))
    }

    /// Bytes of it as they are stored.
    pub(super) fn decode(&mut self, bytes: &[u8]) -> Result<(), Halt> {
        self.meter.encoded.fetch_add(bytes.len() as u64, Relaxed);
        self.with_decoding(|decoding, delivery| {
            decoding.decode(bytes, delivery.watch, |bytes| delivery.unpack(bytes))
        })
    }

    /// All of it was read: delivers what is still to come, and fails if it is not whole. What it has decoded to, if it was
    /// decoded.
    pub(super) fn end_decoding(&mut self) -> Result<Option<Unpacked>, Halt> {
        if self.unpacked.is_none() {
            return Ok(None);
        }
        self.with_decoding(|decoding, delivery| {
            decoding.finish(delivery.watch, |bytes| delivery.unpack(bytes))
        })?;
        let short = self.unpacked.as_mut().and_then(|unpacked| unpacked.mark.take()).unwrap_or_default();
        self.unpacked_bytes(&short)?;
        let ended = self.unpacked.as_ref().map_or(Ok(()), Unpacked::finish);
        ended.map_err(|source| self.no_tfrecords(source))?;
        Ok(self.unpacked.take())
    }

    /// Bytes that it has decoded to.
    fn unpack(&mut self, bytes: &[u8]) -> Result<(), Halt> {
        self.meter.decoded.fetch_add(bytes.len() as u64, Relaxed);
        let Some(unpacked) = &mut self.unpacked else { return Ok(()) };
        let (held, bytes) = unpacked.pass(bytes);
        self.unpacked_bytes(&held)?;
        self.unpacked_bytes(bytes)
    }

    fn unpacked_bytes(&mut self, bytes: &[u8]) -> Result<(), Halt> {
        let noted = self.unpacked.as_mut().map_or(Ok(()), |unpacked| unpacked.note(bytes));
        noted.map_err(|source| self.no_tfrecords(source))?;
        let before = self.meter.delivered.load(Relaxed);
        let result = self.plain(bytes);
        let delivered = self.meter.delivered.load(Relaxed) - before;
        self.meter.delivered_decoded.fetch_add(delivered, Relaxed);
        result
    }

    fn no_tfrecords(&self, source: TfRecordError) -> Halt {
        Halt::Input(SourceError::DecodesToNoTfRecords { path: self.file_name(), source })
    }

    fn with_decoding(
        &mut self,
        run: impl FnOnce(&mut Decoding, &mut Self) -> Result<(), Broken>,
    ) -> Result<(), Halt> {
        let mut decoding = match self.decoding.take() {
            Some(decoding) => decoding,
            None => Decoding::start()
                .map_err(|source| Halt::Input(SourceError::NoDecoder { path: self.file_name(), source }))?,
        };
        let result = run(&mut decoding, self);
        self.decoding = Some(decoding);
        result.map_err(|broken| match (broken, &self.unpacked) {
            (Broken::Halted(halt), _) => halt,
            (Broken::Failed(source), Some(Unpacked { coding: Coding::Codec(codec), .. })) => {
                Halt::Input(SourceError::Undecodable { path: self.file_name(), codec: *codec, source })
            }
            (
                Broken::Failed(source),
                Some(Unpacked { coding: Coding::Sequence(..) | Coding::Avro(..), .. }),
            ) => self.unreadable(source),
            (Broken::Failed(_) | Broken::Gone, _) => {
                Halt::Input(SourceError::DecoderGone { path: self.file_name() })
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is passed on of a stream that comes in pieces.
    fn passed(stream: &[u8], piece: usize) -> Vec<u8> {
        let coding = Coding::Codec(forebay_decode::Codec::Gzip);
        let mut unpacked = Unpacked::new(coding, &Format::Lines(Terminator::Any));
        let mut all = Vec::new();
        for piece in stream.chunks(piece) {
            let (held, rest) = unpacked.pass(piece);
            all.extend(held);
            all.extend_from_slice(rest);
        }
        all.extend(unpacked.mark.unwrap_or_default());
        all
    }

    #[test]
    fn a_byte_order_mark_is_left_out_however_the_stream_comes() {
        for piece in [1, 2, 3, 100] {
            assert_eq!(passed(b"\xEF\xBB\xBFab", piece), b"ab");
            assert_eq!(passed(b"\xEF\xBB", piece), b"\xEF\xBB");
            assert_eq!(passed(b"\xEF\xBBa", piece), b"\xEF\xBBa");
            assert_eq!(passed(b"\xEF\xBB\xBF\xEF\xBB\xBF", piece), b"\xEF\xBB\xBF");
            assert_eq!(passed(b"", piece), b"");
        }
    }
}
