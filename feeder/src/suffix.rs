//! Names that say "compressed": refused for record formats until their codecs exist.

/// The suffixes of Hadoop's codecs and of other common compressors.
const COMPRESSED: &[&str] = &[
    "gz",
    "gzip",
    "bz2",
    "zst",
    "snappy",
    "lz4",
    "deflate",
    "lzo",
    "lzo_deflate",
    "xz",
    "lzma",
    "z",
    "br",
    "zip",
];

/// The compression suffix that a file's name ends in.
pub(crate) fn compressed(name: &str) -> Option<&'static str> {
    let (stem, suffix) = name.rsplit_once('.')?;
    let suffix = suffix.to_ascii_lowercase();
    COMPRESSED.iter().find(|known| !stem.is_empty() && **known == suffix).copied()
}

#[cfg(test)]
mod tests {
    use super::compressed;

    #[test]
    fn suffixes() {
        assert_eq!(compressed("part-00000.GZ"), Some("gz"));
        assert_eq!(compressed("a.txt.bz2"), Some("bz2"));
        assert_eq!(compressed("gz"), None);
        assert_eq!(compressed("a.gz.txt"), None);
    }
}
