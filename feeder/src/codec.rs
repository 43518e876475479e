//! Which files are compressed, and how: as their names say, by Hadoop's rule, or where these say nothing, their first bytes.
//!
//! A compressed file is one split, whatever its length. Where only the first bytes tell, nobody has looked at them when
//! splits are made; then the split that begins the file delivers it whole, and the others nothing.

use forebay_decode::Codec;
use forebay_record::Format;

use crate::{Container, PlanError, SourceError};

/// Suffixes of other compressors, whose files are no records and cannot be decoded.
const OTHERS: [&str; 8] = ["lzo", "lzo_deflate", "xz", "lzma", "z", "br", "zip", "7z"];

/// The codec of a file of which decoded records are wanted, as its name has it.
pub(crate) fn by_name(format: &Format, name: &str) -> Option<Codec> {
    match format {
        Format::Lines(_) | Format::TfRecord => suffix(name).and_then(Codec::of_suffix),
        Format::Bytes | Format::Fixed(_) | Format::Sequence(_) | Format::Avro(_) | Format::Tar => None,
    }
}

/// The same by its first bytes, of which only lines are known from all codecs. What these say to be no text at all is refused.
pub(crate) fn by_head(name: &str, format: &Format, head: &[u8]) -> Result<Option<Codec>, SourceError> {
    match format {
        Format::Lines(_) => match Container::of_head(head) {
            Some(container) => Err(SourceError::IsContainer { path: name.to_owned(), container }),
            None => Ok(Codec::of_head(head).or(Codec::begins_with_skippable(head).then_some(Codec::Zstd))),
        },
        Format::Bytes
        | Format::Fixed(_)
        | Format::Sequence(_)
        | Format::Avro(_)
        | Format::Tar
        | Format::TfRecord => Ok(None),
    }
}

/// Refuses a file whose name says that no records can be had of it.
pub(crate) fn check(format: &Format, name: &str, len: u64) -> Result<(), PlanError> {
    if let (0, Some(container)) = (len, Container::of_format(format)) {
        return Err(PlanError::EmptyContainer { path: name.to_owned(), container });
    }
    let Some(suffix) = suffix(name) else { return Ok(()) };
    let refused = |why| Err(PlanError::Compressed { path: name.to_owned(), suffix: suffix.to_owned(), why });
    let is_other = OTHERS.iter().any(|other| other.eq_ignore_ascii_case(suffix));
    match (format, Codec::of_suffix(suffix)) {
        (Format::Lines(_) | Format::TfRecord, Some(codec)) if len == 0 && !codec.may_be_empty() => {
            Err(PlanError::NothingToDecode { path: name.to_owned(), codec })
        }
        (Format::Fixed(_) | Format::Tar, Some(_)) => {
            refused("compressed files are decoded into lines and TFRecords only")
        }
        (Format::Lines(_) | Format::Fixed(_) | Format::TfRecord | Format::Tar, None) if is_other => {
            refused("such files cannot be decoded")
        }
        _ => Ok(()),
    }
}

/// What a name ends in, behind the last dot.
pub(crate) fn suffix(name: &str) -> Option<&str> {
    let (stem, suffix) = name.rsplit_once('.')?;
    (!stem.is_empty()).then_some(suffix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_record::{Fields, Framing, SequenceRecords, Terminator};

    const LINES: Format = Format::Lines(Terminator::Any);

    #[test]
    fn names_say_how_a_file_is_compressed() {
        assert_eq!(by_name(&LINES, "part-00000.GZ"), Some(Codec::Gzip));
        assert_eq!(by_name(&LINES, "a.txt.bz2"), Some(Codec::Bzip2));
        assert_eq!(by_name(&LINES, "a.gz.txt"), None);
        assert_eq!(by_name(&LINES, "gz"), None);
        assert_eq!(by_name(&Format::Bytes, "a.gz"), None, "bytes are handed over as they are");
    }

    #[test]
    fn what_cannot_be_decoded_is_refused() {
        assert!(matches!(check(&LINES, "a.xz", 1), Err(PlanError::Compressed { .. })));
        assert!(matches!(check(&LINES, "a.gz", 0), Err(PlanError::NothingToDecode { .. })));
        assert!(check(&LINES, "a.snappy", 0).is_ok(), "nothing in Hadoop's block form is nothing");
        assert!(check(&LINES, "a.gz", 1).is_ok() && check(&LINES, "zip", 1).is_ok());
        assert!(check(&Format::Bytes, "a.xz", 0).is_ok());
        assert!(matches!(check(&Format::Tar, "a.tar.gz", 1), Err(PlanError::Compressed { .. })));
        let records = SequenceRecords { fields: Fields::Value, framing: Framing::Raw };
        for format in [Format::Sequence(records), Format::Avro(Framing::Raw), Format::Tar] {
            assert!(matches!(check(&format, "a", 0), Err(PlanError::EmptyContainer { .. })));
        }
        assert!(check(&Format::Sequence(records), "a.gz", 1).is_ok(), "names say nothing of SequenceFiles");
    }

    #[test]
    fn a_file_of_records_is_no_text() {
        let by_head = |head| by_head("a", &LINES, head);
        assert!(matches!(by_head(b"SEQ\x06\x19org.a"), Err(SourceError::IsContainer { .. })));
        assert!(matches!(by_head(b"Obj\x01\x04\x14avro"), Err(SourceError::IsContainer { .. })));
        assert!(matches!(by_head(b"Obj 1"), Ok(None)));
        assert!(matches!(by_head(b"SEQ\n"), Ok(None)) && matches!(by_head(b"SEQ"), Ok(None)));
    }
}
