//! Values of options: sizes, durations, formats, delimiters. Each reader's error says what the value must be.

use core::fmt;
use core::num::NonZeroU64;
use core::time::Duration;

use forebay_record::{Delimiter, Fields, Format, SequenceRecords, Terminator};

use crate::choice::{Framing, LineEnding, SequenceFields};
use crate::names;

/// What `--format` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FormatName {
    /// What files' names say: TFRecords, or else text lines; of these, files whose names do not say that they are compressed
    /// may do so by their first bytes.
    #[default]
    Auto,
    /// Text lines.
    Lines,
    /// No records: splits as they are.
    Bytes,
    /// Records of this many bytes.
    Fixed(NonZeroU64),
    /// Records of Hadoop's SequenceFiles.
    SequenceFile,
    /// TFRecords.
    TfRecord,
    /// Records of Avro's object container files.
    Avro,
    /// Tar archives of samples.
    Tar,
}

impl fmt::Display for FormatName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Lines => f.write_str("lines"),
            Self::Bytes => f.write_str("bytes"),
            Self::Fixed(n) => write!(f, "fixed:{n}"),
            Self::SequenceFile => f.write_str("sequencefile"),
            Self::TfRecord => f.write_str("tfrecord"),
            Self::Avro => f.write_str("avro"),
            Self::Tar => f.write_str("tar"),
        }
    }
}

const FORMATS: [&str; 8] = ["auto", "lines", "bytes", "fixed:N", "tfrecord", "sequencefile", "avro", "tar"];

/// A record format: `auto`, `lines`, `bytes`, `fixed:N`, `tfrecord`, `sequencefile`, `avro` or `tar`.
pub fn format(text: &str) -> Result<FormatName, String> {
    match text {
        "auto" => Ok(FormatName::Auto),
        "lines" => Ok(FormatName::Lines),
        "bytes" => Ok(FormatName::Bytes),
        "sequencefile" => Ok(FormatName::SequenceFile),
        "tfrecord" => Ok(FormatName::TfRecord),
        "avro" => Ok(FormatName::Avro),
        "tar" => Ok(FormatName::Tar),
        _ => match text.strip_prefix("fixed:") {
            Some(n) => nonzero_size(n).map(FormatName::Fixed).map_err(|e| format!("the record length: {e}")),
            None => Err(names::unknown("format", text, &FORMATS)),
        },
    }
}

/// What is said of records, besides the format's name.
#[derive(Debug, Clone, Copy)]
pub struct RecordOptions<'a> {
    /// What ends a line, if not any line ending.
    pub delimiter: Option<&'a Delimiter>,
    /// How delivered lines end.
    pub line_ending: LineEnding,
    /// How delivered records are set apart.
    pub framing: Framing,
    /// What of a SequenceFile's records is delivered.
    pub sequencefile: SequenceFields,
}

/// An option that has no meaning with the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misplaced {
    /// `delimiter`
    Delimiter,
    /// `line-ending lf`
    LineEnding,
    /// `framing length`
    Framing,
    /// `sequencefile key-value`
    SequenceFile,
}

impl Misplaced {
    /// The setting's name, and the word that has no meaning, if it is one of some.
    pub fn setting(self) -> (&'static str, &'static str) {
        match self {
            Self::Delimiter => ("delimiter", ""),
            Self::LineEnding => ("line-ending", " lf"),
            Self::Framing => ("framing", " length"),
            Self::SequenceFile => ("sequencefile", " key-value"),
        }
    }

    /// What to say of it, under the name and beside the format that the user has given.
    pub fn message(self, option: &str, format: &str) -> String {
        let what = match self {
            Self::Delimiter | Self::LineEnding => "lines",
            Self::Framing => "records of SequenceFiles and Avro files",
            Self::SequenceFile => "records of SequenceFiles",
        };
        format!("{option} is for {what}; it has no meaning with {format}")
    }
}

/// The format that the record options make together, or the option that has no meaning with it.
pub fn record_format(name: FormatName, options: RecordOptions<'_>) -> Result<Format, Misplaced> {
    let RecordOptions { delimiter, line_ending, framing, sequencefile } = options;
    let is_of_lines = matches!(name, FormatName::Auto | FormatName::Lines);
    let is_sequence = name == FormatName::SequenceFile;
    let misplaced = [
        (Misplaced::Delimiter, !is_of_lines && delimiter.is_some()),
        (Misplaced::LineEnding, !is_of_lines && line_ending == LineEnding::Lf),
        (Misplaced::Framing, !is_sequence && name != FormatName::Avro && framing == Framing::Length),
        (Misplaced::SequenceFile, !is_sequence && sequencefile == SequenceFields::KeyValue),
    ];
    if let Some((option, _)) = misplaced.into_iter().find(|(_, is_misplaced)| *is_misplaced) {
        return Err(option);
    }
    let framing = match framing {
        Framing::Raw => forebay_record::Framing::Raw,
        Framing::Length => forebay_record::Framing::Length,
    };
    Ok(match name {
        FormatName::Auto | FormatName::Lines => {
            Format::Lines(delimiter.cloned().map_or(Terminator::Any, Terminator::Delimiter))
        }
        FormatName::Bytes => Format::Bytes,
        FormatName::Fixed(n) => Format::Fixed(n),
        FormatName::TfRecord => Format::TfRecord,
        FormatName::Avro => Format::Avro(framing),
        FormatName::Tar => Format::Tar,
        FormatName::SequenceFile => Format::Sequence(SequenceRecords {
            fields: match sequencefile {
                SequenceFields::Value => Fields::Value,
                SequenceFields::KeyValue => Fields::KeyValue,
            },
            framing,
        }),
    })
}

/// Whether files' names may say that they are of another format than the one that [`record_format`] gives: nothing was said
/// that means lines.
pub fn is_by_name(name: FormatName, delimiter: Option<&Delimiter>, ending: LineEnding) -> bool {
    name == FormatName::Auto && delimiter.is_none() && ending == LineEnding::Keep
}

/// A size in bytes: a number, or a number and K, M, G or T (1024ⁿ).
pub fn size(text: &str) -> Result<u64, String> {
    let wrong = || "a size is a number of bytes, or a number and K, M, G or T (1024, 1024², …)".to_owned();
    let (digits, shift) = match text.as_bytes().last().map(u8::to_ascii_uppercase) {
        Some(unit @ (b'K' | b'M' | b'G' | b'T')) => {
            let shift = 10 * (b"KMGT".iter().position(|&u| u == unit).unwrap_or(0) + 1);
            (&text[..text.len() - 1], shift)
        }
        _ => (text, 0),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    let number: u64 = digits.parse().map_err(|_| "the number is too large".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "the number is too large".to_owned())
}

/// The least that a block cache takes: a few stretches of blocks, written while others are read.
const LEAST_CACHE: u64 = 64 << 20;

/// How large a block cache may become: a [`size()`] of at least 64 MiB.
pub fn cache_size(text: &str) -> Result<u64, String> {
    match size(text)? {
        bytes if bytes < LEAST_CACHE => Err("a block cache needs at least 64M".to_owned()),
        bytes => Ok(bytes),
    }
}

/// The folder of a block cache: an absolute path, which means the same on every host.
pub fn cache_folder(text: &str) -> Result<String, String> {
    match text {
        _ if text.contains('\0') => Err("the path holds a NUL".to_owned()),
        _ if text.starts_with('/') => Ok(text.to_owned()),
        _ => Err("it must be an absolute path, without ~: it is looked up on each host".to_owned()),
    }
}

/// A [`size()`] above 0.
pub fn nonzero_size(text: &str) -> Result<NonZeroU64, String> {
    NonZeroU64::new(size(text)?).ok_or_else(|| "it must be at least 1".to_owned())
}

/// A delimiter: text in which `\n \r \t \0 \\ \xNN` stand for bytes.
pub fn delimiter(text: &str) -> Result<Delimiter, String> {
    Delimiter::new(&unescape(text)?).map_err(|e| e.to_string())
}

/// A size in bytes of which a decimal fraction may be given (`1.5G`), cut to whole bytes.
pub fn fractional_size(text: &str) -> Result<u64, String> {
    let Some((whole, rest)) = text.split_once('.') else { return size(text) };
    let wrong = || "a size is a number of bytes, or a number and K, M, G or T, as 512M or 1.5G".to_owned();
    let (fraction, unit) = rest.split_at_checked(rest.len().saturating_sub(1)).ok_or_else(wrong)?;
    if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    if !matches!(unit, "K" | "M" | "G" | "T" | "k" | "m" | "g" | "t") {
        return Err(wrong());
    }
    let unit_size = size(&format!("1{unit}"))?;
    let numerator: u64 = fraction.parse().map_err(|_| wrong())?;
    // At most 9 digits of 2⁴⁰: fits.
    let part =
        u128::from(numerator) * u128::from(unit_size) / 10_u128.pow(fraction.len().try_into().unwrap_or(9));
    let whole = size(&format!("{whole}{unit}"))?;
    u64::try_from(part)
        .ok()
        .and_then(|part| whole.checked_add(part))
        .ok_or_else(|| "the number is too large".to_owned())
}

/// A size as short as it can be said exactly.
pub fn show_size(bytes: u64) -> String {
    let fits = |shift: &u32| bytes > 0 && bytes.is_multiple_of(1 << shift);
    match [40, 30, 20, 10].into_iter().find(fits) {
        Some(shift) => format!("{}{}", bytes >> shift, ["K", "M", "G", "T"][shift as usize / 10 - 1]),
        None => bytes.to_string(),
    }
}

/// A number of `least..=most`, in digits alone.
pub fn number(text: &str, least: u64, most: u64) -> Result<u64, String> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = digits.then(|| text.parse::<u64>().ok()).flatten();
    number.filter(|n| (least..=most).contains(n)).ok_or_else(|| match most {
        u64::MAX => format!("it must be a whole number of at least {least}"),
        _ => format!("it must be a whole number from {least} to {most}"),
    })
}

const UNITS: [(char, u64); 4] = [('d', 86400), ('h', 3600), ('m', 60), ('s', 1)];

/// A duration above 0: a whole number and `s`, `m`, `h` or `d`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "it must be a whole number above 0 and a unit: 90s, 15m, 2h or 1d".to_owned();
    let unit = UNITS.iter().find(|(unit, _)| text.ends_with(*unit)).ok_or_else(wrong)?;
    let number = number(&text[..text.len() - 1], 1, u64::MAX).map_err(|_| wrong())?;
    let seconds = number.checked_mul(unit.1).filter(|&seconds| u32::try_from(seconds).is_ok());
    seconds.map(Duration::from_secs).ok_or_else(|| "it is longer than 100 years".to_owned())
}

/// A duration of whole seconds as [`duration`] reads it.
pub fn show_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (unit, size) = UNITS.into_iter().find(|(_, size)| seconds.is_multiple_of(*size)).unwrap_or(('s', 1));
    format!("{}{unit}", seconds / size)
}

/// A delimiter as [`delimiter`] reads it.
pub fn show_delimiter(delimiter: &Delimiter) -> String {
    let escaped = |byte: &u8| match byte {
        b'\n' => "\\n".to_owned(),
        b'\r' => "\\r".to_owned(),
        b'\t' => "\\t".to_owned(),
        b'\\' => "\\\\".to_owned(),
        b' '..=b'~' => char::from(*byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    };
    delimiter.bytes().iter().map(escaped).collect()
}

fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let escape =
            after.chars().next().ok_or("a lone \\ at the end; write \\\\ for the character itself")?;
        let mut used = escape.len_utf8();
        bytes.push(match escape {
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            '0' => 0,
            '\\' => b'\\',
            'x' => {
                used += 2;
                let digits = after.get(1..3).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
                let digits = digits.ok_or("\\x is followed by two hexadecimal digits")?;
                u8::from_str_radix(digits, 16).map_err(|e| e.to_string())?
            }
            other => {
                return Err(format!("\\{other} is not understood; known are \\n \\r \\t \\0 \\\\ \\xNN"));
            }
        });
        rest = &after[used..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in
            [("0", 0), ("7", 7), ("1K", 1024), ("3m", 3 << 20), ("2G", 2 << 30), ("1T", 1 << 40)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for bad in
            ["", "K", "-1", "+1", "1.5G", "1MB", "1 K", "99999999999999999999", "99999999999T", "1é", "é"]
        {
            assert!(size(bad).is_err(), "{bad}");
        }
        assert!(nonzero_size("0").is_err());
    }

    #[test]
    fn fractions_of_sizes() {
        for (text, bytes) in [("7", 7), ("2G", 2 << 30), ("1.5G", 3 << 29), ("0.5k", 512), ("1.001K", 1025)] {
            assert_eq!(fractional_size(text), Ok(bytes), "{text}");
        }
        for bad in [
            "",
            ".",
            "1.",
            "1.5",
            ".5G",
            "1.G",
            "1.5X",
            "1.5é",
            "1.-5G",
            "1.5.5G",
            "1.1234567890G",
            "99999999.9T",
        ] {
            assert!(fractional_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("2h", 7200), ("1d", 86400)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in
            ["", "s", "0s", "90", "1.5h", "-1s", "1w", "9999999999d", "18446744073709551615d", "é", "1h30m"]
        {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_shown_is_read_again() {
        for bytes in [0, 1, 1023, 1024, 1025, 3 << 20, 5 << 30, 7 << 40, u64::MAX] {
            assert_eq!(size(&show_size(bytes)), Ok(bytes));
        }
        assert_eq!(show_size(128 << 20), "128M");
        for seconds in [1, 59, 60, 3600, 3601, 86400 * 7] {
            let length = Duration::from_secs(seconds);
            assert_eq!(duration(&show_duration(length)), Ok(length));
        }
        let all: Vec<u8> = (0..=255).collect();
        let all = Delimiter::new(&all).unwrap();
        assert_eq!(delimiter(&show_delimiter(&all)), Ok(all));
    }

    #[test]
    fn options_have_no_meaning_elsewhere() {
        use FormatName::{Auto, Avro, Bytes, Lines, SequenceFile, Tar, TfRecord};
        let bar = delimiter("|").unwrap();
        let none = RecordOptions {
            delimiter: None,
            line_ending: LineEnding::Keep,
            framing: Framing::Raw,
            sequencefile: SequenceFields::Value,
        };
        let delimited = RecordOptions { delimiter: Some(&bar), line_ending: LineEnding::Lf, ..none };
        assert!(matches!(record_format(Lines, delimited), Ok(Format::Lines(_))));
        assert_eq!(record_format(Bytes, none), Ok(Format::Bytes));
        assert_eq!(record_format(TfRecord, none), Ok(Format::TfRecord));
        let lf = RecordOptions { line_ending: LineEnding::Lf, ..none };
        for format in [Bytes, SequenceFile, TfRecord, Avro, Tar] {
            assert_eq!(record_format(format, delimited), Err(Misplaced::Delimiter));
            assert_eq!(record_format(format, lf), Err(Misplaced::LineEnding));
        }
        let framed = RecordOptions { framing: Framing::Length, ..none };
        let pairs = RecordOptions { sequencefile: SequenceFields::KeyValue, ..none };
        assert!(matches!(record_format(SequenceFile, framed), Ok(Format::Sequence(_))));
        assert!(matches!(record_format(SequenceFile, pairs), Ok(Format::Sequence(_))));
        assert_eq!(record_format(Avro, framed), Ok(Format::Avro(forebay_record::Framing::Length)));
        assert_eq!(record_format(Avro, pairs), Err(Misplaced::SequenceFile));
        for format in [Auto, Lines, Bytes, TfRecord, Tar] {
            assert_eq!(record_format(format, framed), Err(Misplaced::Framing));
            assert_eq!(record_format(format, pairs), Err(Misplaced::SequenceFile));
        }
        assert!(is_by_name(Auto, None, LineEnding::Keep) && !is_by_name(Lines, None, LineEnding::Keep));
        assert!(!is_by_name(Auto, Some(&bar), LineEnding::Keep));
        assert!(!is_by_name(Auto, None, LineEnding::Lf));
    }

    #[test]
    fn formats() {
        assert_eq!(format("auto"), Ok(FormatName::Auto));
        assert_eq!(format("lines"), Ok(FormatName::Lines));
        assert_eq!(format("fixed:4K"), Ok(FormatName::Fixed(NonZeroU64::new(4096).unwrap())));
        assert!(format("fixed:0").is_err() && format("fixed:").is_err() && format("fixed:x").is_err());
        assert!(format("line").unwrap_err().contains("'lines'"));
        assert!(format("fixed").unwrap_err().contains("'fixed:N'"));
        assert_eq!(format("sequencefile"), Ok(FormatName::SequenceFile));
        assert!(format("sequence").unwrap_err().contains("'sequencefile'"));
        assert_eq!(format("tfrecord"), Ok(FormatName::TfRecord));
        assert_eq!(format("avro"), Ok(FormatName::Avro));
        assert_eq!(format("tar"), Ok(FormatName::Tar));
        assert!(format("tfrecords").unwrap_err().contains("'tfrecord'"));
        assert!(!format("parquet").unwrap_err().contains("did you mean"));
    }

    #[test]
    fn escapes() {
        assert_eq!(unescape(r"a\n\r\t\0\\\x7c|").unwrap(), b"a\n\r\t\0\\||");
        assert_eq!(unescape("é").unwrap(), "é".as_bytes());
        for bad in [r"\", r"\q", r"\x1", r"\xg0", r"\xé1", r"a\é"] {
            assert!(unescape(bad).is_err(), "{bad}");
        }
        assert!(delimiter("").is_err());
    }
}
