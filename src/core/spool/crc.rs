//! CRC-32 as in Ethernet, gzip and PNG: polynomial 0x04c11db7, bits reflected, all ones before and after.

const TABLE: [u32; 256] = table();

/// A sum that grows with the bytes it is given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crc32(u32);

// === impl Crc32 ===

impl Crc32 {
    pub(super) const fn new() -> Self {
        Self(u32::MAX)
    }

    pub(super) fn add(self, bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(self.0, |crc, byte| {
            let [low, ..] = crc.to_le_bytes();
            let at = usize::from(low ^ byte);
            TABLE.get(at).copied().unwrap_or(0) ^ (crc >> 8)
        }))
    }

    pub(super) const fn sum(self) -> u32 {
        !self.0
    }
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let (mut at, mut byte) = (0, 0_u32);
    while at < table.len() {
        let (mut crc, mut bit) = (byte, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
            bit += 1;
        }
        #[expect(clippy::indexing_slicing, reason = "below its length, and at build time")]
        {
            table[at] = crc;
        }
        at += 1;
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::check_value(b"123456789", 0xcbf4_3926)]
    #[case::nothing(b"", 0)]
    #[case::a(b"a", 0xe8b7_be43)]
    #[case::pangram(b"The quick brown fox jumps over the lazy dog", 0x414f_a339)]
    #[case::zeros(&[0; 32], 0x190a_55ad)]
    #[case::ones(&[0xff; 32], 0xff6c_ab0b)]
    fn known_vectors(#[case] bytes: &[u8], #[case] crc: u32) {
        assert_eq!(Crc32::new().add(bytes).sum(), crc);
        let (head, tail) = bytes.split_at(bytes.len() / 2);
        assert_eq!(Crc32::new().add(head).add(tail).sum(), crc);
    }
}
