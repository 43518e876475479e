//! CRC32C of what is delivered, for `--report-checksums`.

use crc_fast::{CrcAlgorithm, Digest};

/// A running CRC32C (Castagnoli), the checksum HDFS keeps of its data.
pub(crate) struct Crc32c(Digest);

impl Crc32c {
    pub(crate) fn new() -> Self {
        Self(Digest::new(CrcAlgorithm::Crc32Iscsi))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn value(&self) -> u32 {
        u32::try_from(self.0.finalize()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn check_value() {
        let mut crc = super::Crc32c::new();
        crc.update(b"12345");
        crc.update(b"6789");
        assert_eq!(crc.value(), 0xE306_9283, "the algorithm's published check value");
    }
}
