//! Headers of tar archives: old ones, POSIX's and GNU's, and the extended ones that tell more of the entry behind them.

use super::TarReason;

/// Bytes of a header. All contents are filled up to a multiple of it.
pub(super) const LEN: usize = 512;
pub(super) const BLOCK: u64 = LEN as u64;

/// What an entry is, as far as that matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    /// A link, a folder, a device: without content.
    Dataless,
    /// Anything else, which has content like a file.
    Other,
    /// Attributes of the next entry.
    Attributes,
    /// Attributes of all that follow.
    GlobalAttributes,
    /// GNU's: the next entry's name.
    LongName,
    /// GNU's: what the next entry links to.
    LongLink,
}

impl Kind {
    /// Whether it is no entry but tells something of others.
    pub(super) fn is_about_another(self) -> bool {
        !matches!(self, Self::File | Self::Dataless | Self::Other)
    }
}

/// A header.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) kind: Kind,
    /// Bytes of the content.
    pub(super) size: u64,
    pub(super) path: Vec<u8>,
}

/// What extended headers have told of the next entry.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Extended {
    /// There was one.
    pub(super) any: bool,
    pub(super) path: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
}

impl Extended {
    /// GNU's name, which attributes overrule.
    pub(super) fn name(&mut self, name: &[u8]) {
        self.path.get_or_insert_with(|| name.to_vec());
    }
}

impl Header {
    pub(super) fn parse(block: &[u8; LEN]) -> Result<Self, TarReason> {
        let told = octal(&block[148..156]).ok_or(TarReason::Checksum)?;
        let sum = |value: fn(u8) -> i64| {
            let of = |(at, &byte): (usize, &u8)| value(if (148..156).contains(&at) { b' ' } else { byte });
            block.iter().enumerate().map(of).sum::<i64>()
        };
        // Some old writers took bytes for numbers with a sign.
        if ![sum(i64::from), sum(|byte| byte.cast_signed().into())].contains(&told.cast_signed()) {
            return Err(TarReason::Checksum);
        }
        let size = number(&block[124..136]).ok_or(TarReason::Damaged("an entry of an impossible size"))?;
        let name = until_nul(&block[..100]);
        let is_posix = &block[257..263] == b"ustar\0";
        let prefix = if is_posix { until_nul(&block[345..500]) } else { &[] };
        let path = if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() };
        let kind = match block[156] {
            0 if path.ends_with(b"/") => Kind::Dataless,
            0 | b'0' | b'7' => Kind::File,
            b'1'..=b'6' => Kind::Dataless,
            b'x' | b'X' => Kind::Attributes,
            b'g' => Kind::GlobalAttributes,
            b'L' => Kind::LongName,
            b'K' => Kind::LongLink,
            b'S' => return Err(TarReason::Unsupported("a sparse file")),
            b'M' => return Err(TarReason::Unsupported("an entry that began in another archive")),
            _ => Kind::Other,
        };
        Ok(Self { kind, size, path })
    }
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Octal digits, with spaces before them, and spaces or NULs behind; nothing is 0.
fn octal(field: &[u8]) -> Option<u64> {
    let text = until_nul(field).trim_ascii();
    text.iter().try_fold(0_u64, |number, &digit| match digit {
        b'0'..=b'7' => number.checked_mul(8)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

/// Octal digits, or where the first bit is set, as GNU does it, a number of which the highest byte is the first.
fn number(field: &[u8]) -> Option<u64> {
    match field.split_first() {
        Some((&first @ 0x80.., rest)) => {
            let first = u64::from(first & 0x7f);
            // The bit next to it is the sign.
            rest.iter().try_fold(first, |number, &byte| number.checked_mul(256)?.checked_add(byte.into()))
        }
        _ => octal(field),
    }
}

/// Reads the attributes of an extended header of POSIX's: `LENGTH NAME=VALUE` and a line end each, the length counting all of that.
pub(super) fn attributes(mut bytes: &[u8], extended: &mut Extended) -> Result<(), TarReason> {
    const DAMAGED: TarReason = TarReason::Damaged("an extended header that is none");
    let decimal = |digits: &[u8]| str::from_utf8(digits).ok()?.parse::<u64>().ok();
    // Some writers fill it up with NULs.
    while !bytes.is_empty() && bytes[0] != 0 {
        let space = bytes.iter().take(20).position(|&byte| byte == b' ').ok_or(DAMAGED)?;
        let len = decimal(&bytes[..space]).and_then(|len| usize::try_from(len).ok()).ok_or(DAMAGED)?;
        let (record, rest) = bytes.split_at_checked(len).ok_or(DAMAGED)?;
        let record = record.get(space + 1..).and_then(|record| record.strip_suffix(b"\n")).ok_or(DAMAGED)?;
        let equals = record.iter().position(|&byte| byte == b'=').ok_or(DAMAGED)?;
        let (name, value) = (&record[..equals], &record[equals + 1..]);
        match name {
            // Without a value it takes back what was said before.
            b"path" => extended.path = (!value.is_empty()).then(|| value.to_vec()),
            b"size" if value.is_empty() => extended.size = None,
            b"size" => extended.size = Some(decimal(value).ok_or(DAMAGED)?),
            _ if name.starts_with(b"GNU.sparse.") => return Err(TarReason::Unsupported("a sparse file")),
            _ => {}
        }
        bytes = rest;
    }
    Ok(())
}

/// The name that stands behind GNU's header.
pub(super) fn long_name(bytes: &[u8]) -> &[u8] {
    until_nul(bytes)
}

/// The key of the sample that a file belongs to: its path to the first dot of its last part.
pub(super) fn sample(path: &[u8]) -> &[u8] {
    let base = path.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
    let dot = path[base..].iter().position(|&byte| byte == b'.');
    dot.map_or(path, |dot| &path[..base + dot])
}
