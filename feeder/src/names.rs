//! What files' names say of their format, where nobody else has.

use forebay_decode::Codec;
use forebay_record::Format;

use crate::PlanError;
use crate::codec::suffix;

/// The format that all these names say; `None` where they say nothing of it. Some that do and some that do not, or that say
/// different ones, are refused: one feed has one format.
pub(crate) fn format(names: impl Iterator<Item = String>) -> Result<Option<Format>, PlanError> {
    let (mut with, mut without) = (None, None);
    for name in names {
        let place = if is_tfrecord(&name) { &mut with } else { &mut without };
        place.get_or_insert(name);
    }
    match (with, without) {
        (Some(path), Some(other)) => Err(PlanError::Mixed { path, other }),
        (with, _) => Ok(with.map(|_| Format::TfRecord)),
    }
}

/// `x.tfrecord`, `x.tfrecords`, `x.tfrecord-00000-of-00004`; each may be compressed.
fn is_tfrecord(name: &str) -> bool {
    let name = name.rsplit_once('/').map_or(name, |(_, name)| name);
    let Some(mut last) = suffix(name) else { return false };
    if Codec::of_suffix(last).is_some() {
        let Some(inner) = suffix(&name[..name.len() - last.len() - 1]) else { return false };
        last = inner;
    }
    let last = last.to_ascii_lowercase();
    let Some(rest) = last.strip_prefix("tfrecord") else { return false };
    let rest = rest.strip_prefix('s').unwrap_or(rest);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let shard = || rest.strip_prefix('-')?.split_once("-of-");
    rest.is_empty() || shard().is_some_and(|(which, of)| digits(which) && digits(of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_that_files_hold_tfrecords() {
        for name in [
            "a.tfrecord",
            "/data/a.b/train.TFRecords",
            "hdfs://nn/x.tfrecord-00001-of-00010",
            "x.tfrecords-0-of-1",
            "x.tfrecord.gz",
            "x.tfrecord-00001-of-00010.gz",
        ] {
            assert!(is_tfrecord(name), "{name}");
        }
        for name in [
            "tfrecord",
            ".tfrecord",
            "a.tfrecord/part-00000",
            "a.tfrecordx",
            "a.tfrecord-of-1",
            "a.tfrecord-1-of-",
            "a.gz",
            "gz",
            "a.tfrecord.txt",
        ] {
            assert!(!is_tfrecord(name), "{name}");
        }
    }

    #[test]
    fn one_feed_has_one_format() {
        let all = |names: &[&str]| format(names.iter().map(|&name| name.to_owned()));
        assert!(matches!(all(&["a.tfrecord", "b.tfrecords"]), Ok(Some(Format::TfRecord))));
        assert!(matches!(all(&["a.txt", "b"]), Ok(None)));
        assert!(matches!(all(&[]), Ok(None)));
        let Err(PlanError::Mixed { path, other }) = all(&["a.txt", "b.tfrecord", "c"]) else { panic!() };
        assert_eq!((&*path, &*other), ("b.tfrecord", "a.txt"));
    }
}
