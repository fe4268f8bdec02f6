//! Sections of tables (H.222.0 §2.4.4): put together from packets, and their checksum.

/// The longest section there is: 12 bits of length, and what is before it.
const LONGEST: usize = 3 + 0x0fff;

/// Puts the sections of one PID together. What it keeps is one section at most.
#[derive(Debug, Clone, Default)]
pub(super) struct Assembler {
    /// Of the section that has begun; empty if none has.
    begun: Vec<u8>,
}

// === impl Assembler ===

impl Assembler {
    /// Something is missing: what has begun cannot be finished.
    pub(super) fn abandon(&mut self) {
        self.begun.clear();
    }

    /// Takes the payload of the next packet; gives each section that is whole with it to `take`.
    pub(super) fn payload(&mut self, payload: &[u8], starts: bool, mut take: impl FnMut(&[u8])) {
        if !starts {
            if !self.begun.is_empty() {
                self.extend(payload, &mut take);
                // Behind the end of a section there is stuffing alone, where none starts.
            }
            return;
        }
        let Some((pointer, rest)) = payload.split_first() else { return self.abandon() };
        let Some((end, mut rest)) = rest.split_at_checked(usize::from(*pointer)) else {
            return self.abandon();
        };
        if !self.begun.is_empty() {
            self.extend(end, &mut take);
        }
        self.abandon();
        // Stuffing is 0xff, which is no table.
        while rest.first().is_some_and(|table| *table != 0xff) {
            rest = self.extend(rest, &mut take);
        }
    }

    /// Takes as much as belongs to the section; gives what is behind it.
    fn extend<'p>(&mut self, bytes: &'p [u8], take: &mut impl FnMut(&[u8])) -> &'p [u8] {
        let mut rest = bytes;
        // Three bytes tell the length.
        for wanted in [3, LONGEST] {
            let whole = length(&self.begun).unwrap_or(wanted).min(wanted);
            let missing = whole.saturating_sub(self.begun.len()).min(rest.len());
            let (head, behind) = rest.split_at(missing);
            self.begun.extend_from_slice(head);
            rest = behind;
        }
        if length(&self.begun).is_some_and(|length| self.begun.len() >= length) {
            take(&self.begun);
            self.begun.clear();
        }
        rest
    }
}

/// How long a section is, by its first bytes.
fn length(section: &[u8]) -> Option<usize> {
    let [_, high, low, ..] = *section else { return None };
    Some(3 + usize::from(u16::from_be_bytes([high & 0x0f, low])))
}

/// Whether a section has a checksum, and whether that is right.
pub(super) fn checksum(section: &[u8]) -> Option<bool> {
    const TIME_OFFSET: u8 = 0x73;
    let [table, flags, ..] = *section else { return None };
    // The time offset table alone has one without having the long header (EN 300 468 §5.2.6).
    (flags & 0x80 != 0 || table == TIME_OFFSET).then(|| crc(section) == 0)
}

/// CRC-32/MPEG-2 (H.222.0 annex A); of a section with its own at the end it is 0.
#[must_use]
pub(super) fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        let nibble = |at: u32| NIBBLES.get(at as usize).copied().unwrap_or_default();
        let step = |crc: u32, bits: u32| (crc << 4) ^ nibble((crc >> 28) ^ bits);
        step(step(crc, u32::from(byte >> 4)), u32::from(byte & 0x0f))
    })
}

/// What half a byte does, by the polynomial 0x04c1_1db7: 64 bytes of table, where whole bytes take 1024.
const NIBBLES: [u32; 16] = [
    0x0000_0000,
    0x04c1_1db7,
    0x0982_3b6e,
    0x0d43_26d9,
    0x1304_76dc,
    0x17c5_6b6b,
    0x1a86_4db2,
    0x1e47_5005,
    0x2608_edb8,
    0x22c9_f00f,
    0x2f8a_d6d6,
    0x2b4b_cb61,
    0x350c_9b64,
    0x31cd_86d3,
    0x3c8e_a00a,
    0x384f_bdbd,
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_checksum_is_the_catalogues() {
        // The check value of CRC-32/MPEG-2 in the catalogue of parametrised CRC algorithms.
        assert_eq!(crc(b"123456789"), 0x0376_e6e7);
    }

    fn section(table: u8, length: usize) -> Vec<u8> {
        let [high, low] = u16::try_from(length).unwrap().to_be_bytes();
        let mut section = vec![table, 0xb0 | high, low];
        section.extend((0..=u8::MAX).cycle().take(length));
        section
    }

    #[test]
    fn a_length_that_no_packet_keeps_is_waited_for_within_bounds() {
        let mut assembler = Assembler::default();
        let mut taken = Vec::new();
        for packet in 0..40 {
            let payload =
                if packet == 0 { [&[0, 7, 0xff, 0xff][..], &[1; 180]].concat() } else { vec![2; 184] };
            assembler.payload(&payload, packet == 0, |section| taken.push(section.len()));
            assert!(assembler.begun.len() <= LONGEST);
        }
        assert_eq!(taken, [LONGEST]);
    }

    #[test]
    fn what_is_torn_is_abandoned() {
        let mut assembler = Assembler::default();
        let whole = section(2, 300);
        let mut taken = 0;
        assembler.payload(&[&[0][..], &whole[..183]].concat(), true, |_| taken += 1);
        assembler.abandon();
        assembler.payload(&whole[183..], false, |_| taken += 1);
        assembler.payload(&[200, 1, 2], true, |_| taken += 1);
        assembler.payload(&[], true, |_| taken += 1);
        assert_eq!(taken, 0);
    }

    proptest! {
        /// Sections of any length, packed as tightly as they may be, come out as they went in.
        #[test]
        fn sections_come_out_as_they_went_in(lengths in prop::collection::vec(1..1_200_usize, 1..12), room in 8..184_usize) {
            let sections: Vec<_> = lengths.iter().map(|length| section(2, *length)).collect();
            let stream: Vec<u8> = sections.concat();
            let mut starts: Vec<usize> = Vec::new();
            let mut at = 0;
            for section in &sections {
                starts.push(at);
                at += section.len();
            }
            let (mut assembler, mut taken, mut from) = (Assembler::default(), Vec::new(), 0);
            while from < stream.len() {
                let to = (from + room).min(stream.len());
                let start = starts.iter().find(|start| (from..to).contains(*start));
                let mut payload = Vec::new();
                if let Some(start) = start {
                    payload.push(u8::try_from(start - from).unwrap());
                }
                payload.extend_from_slice(&stream[from..to]);
                payload.resize(room + usize::from(start.is_some()), 0xff);
                assembler.payload(&payload, start.is_some(), |section| taken.push(section.to_vec()));
                from = to;
            }
            prop_assert_eq!(taken, sections);
        }

        #[test]
        fn any_bytes_are_survived(payloads in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..184), any::<bool>()), 0..50)) {
            let mut assembler = Assembler::default();
            for (payload, starts) in &payloads {
                assembler.payload(payload, *starts, |section| {
                    assert_eq!(length(section), Some(section.len()));
                    _ = checksum(section);
                });
            }
        }
    }
}
