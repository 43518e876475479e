//! Values of options: sizes, formats, delimiters.

use std::num::NonZeroU64;

use forebay_record::Delimiter;

/// What `--format` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FormatName {
    Lines,
    Bytes,
    Fixed(NonZeroU64),
}

const FORMATS: [&str; 4] = ["auto", "lines", "bytes", "fixed:N"];

pub(crate) fn format(text: &str) -> Result<FormatName, String> {
    match text {
        // Later formats are told apart by name and first bytes; of today's, only lines need no word from the user.
        "auto" | "lines" => Ok(FormatName::Lines),
        "bytes" => Ok(FormatName::Bytes),
        _ => match text.strip_prefix("fixed:") {
            Some(n) => nonzero_size(n).map(FormatName::Fixed).map_err(|e| format!("the record length: {e}")),
            None => Err(unknown_format(text)),
        },
    }
}

fn unknown_format(text: &str) -> String {
    let known = FORMATS.join(", ");
    let alike = |name: &&&str| strsim::damerau_levenshtein(text, name) <= 2.max(name.len() / 3);
    let nearest = FORMATS.iter().min_by_key(|name| strsim::damerau_levenshtein(text, name)).filter(alike);
    match nearest {
        Some(name) => format!("there is no such format; did you mean '{name}'? (known: {known})"),
        None => format!("there is no such format (known: {known})"),
    }
}

/// A size in bytes: a number, or a number and K, M, G or T (1024ⁿ).
pub(crate) fn size(text: &str) -> Result<u64, String> {
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

pub(crate) fn nonzero_size(text: &str) -> Result<NonZeroU64, String> {
    NonZeroU64::new(size(text)?).ok_or_else(|| "it must be at least 1".to_owned())
}

pub(crate) fn delimiter(text: &str) -> Result<Delimiter, String> {
    Delimiter::new(&unescape(text)?).map_err(|e| e.to_string())
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
    fn formats() {
        assert_eq!(format("auto"), Ok(FormatName::Lines));
        assert_eq!(format("fixed:4K"), Ok(FormatName::Fixed(NonZeroU64::new(4096).unwrap())));
        assert!(format("fixed:0").is_err() && format("fixed:").is_err() && format("fixed:x").is_err());
        assert!(format("line").unwrap_err().contains("'lines'"));
        assert!(format("fixed").unwrap_err().contains("'fixed:N'"));
        assert!(!format("tfrecord").unwrap_err().contains("did you mean"));
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
