//! The rate of a transport stream that arrives in packets, as its clock tells it.

/// Ticks of the system clock a second (H.222.0 §2.4.2.1).
const CLOCK: u64 = 27_000_000;

/// PCRs begin anew after so many ticks.
const CLOCK_WRAP: u64 = (1 << 33) * 300;

/// One reading takes at least so long: a shorter one would be coarse.
const LEAST: u64 = CLOCK;

/// A step between two PCRs that is longer is no step of one clock.
const LONGEST: u64 = CLOCK;

/// Bytes of a transport packet.
const PACKET: usize = 188;

/// Measures the rate between PCRs of one PID.
#[derive(Debug, Clone, Default)]
pub struct Rate {
    pid: Option<u16>,
    /// The PCR that this reading began with, and the newest one.
    first: u64,
    last: Option<u64>,
    /// Bytes since the first.
    bytes: u64,
    /// Bytes of the last datagram.
    datagram: u64,
    rate: Option<u64>,
}

impl Rate {
    /// So many datagrams are missing; they are taken for as long as the last one was.
    pub const fn miss(&mut self, datagrams: u64) {
        if self.last.is_some() {
            self.bytes = self.bytes.saturating_add(datagrams.saturating_mul(self.datagram));
        }
    }

    /// The rate in bit/s, once a second of the stream was seen whole.
    #[must_use]
    pub const fn bits_per_second(&self) -> Option<u64> {
        self.rate
    }

    /// Takes the transport packets of the next datagram; anything else in it is left out, and so should be what came
    /// twice or late.
    pub fn feed(&mut self, payload: &[u8]) {
        self.datagram = payload.len() as u64;
        for packet in payload.chunks_exact(PACKET) {
            if let Some((pid, pcr)) = clock(packet) {
                if *self.pid.get_or_insert(pid) == pid {
                    self.tick(pcr);
                }
            }
            if self.last.is_some() {
                self.bytes += PACKET as u64;
            }
        }
    }

    fn tick(&mut self, pcr: u64) {
        let since = |from: u64| (pcr + CLOCK_WRAP - from) % CLOCK_WRAP;
        match self.last {
            Some(last) if since(last) <= LONGEST => self.last = Some(pcr),
            _ => return self.begin(pcr),
        }
        let ticks = since(self.first);
        if ticks >= LEAST {
            let bits = u128::from(self.bytes) * 8 * u128::from(CLOCK);
            self.rate = bits.checked_div(ticks.into()).and_then(|rate| u64::try_from(rate).ok());
            self.begin(pcr);
        }
    }

    const fn begin(&mut self, pcr: u64) {
        self.first = pcr;
        self.last = Some(pcr);
        self.bytes = 0;
    }
}

/// A packet's PID and PCR in ticks of 27 MHz, if it has one (H.222.0 §2.4.3.4).
fn clock(packet: &[u8]) -> Option<(u16, u64)> {
    let [0x47, high, low, control, length, flags, b0, b1, b2, b3, b4, b5, ..] = packet else { return None };
    if control & 0x20 == 0 || *length < 7 || flags & 0x10 == 0 {
        return None;
    }
    let base = u64::from(u32::from_be_bytes([*b0, *b1, *b2, *b3])) << 1 | u64::from(b4 >> 7);
    let extension = u64::from(b4 & 1) << 8 | u64::from(*b5);
    Some((u16::from_be_bytes([high & 0x1f, *low]), base * 300 + extension))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// Seven packets of a PID, the first with this PCR.
    fn datagram(pcr: u64) -> Vec<u8> {
        let mut bytes = vec![0xff; PACKET * 7];
        for packet in bytes.chunks_exact_mut(PACKET) {
            packet[..4].copy_from_slice(&[0x47, 0x01, 0x00, 0x10]);
        }
        let (base, extension) = (pcr % CLOCK_WRAP / 300, pcr % 300);
        bytes[3] = 0x30;
        bytes[4..6].copy_from_slice(&[7, 0x10]);
        bytes[6..10].copy_from_slice(&u32::try_from(base >> 1).unwrap().to_be_bytes());
        bytes[10] = u8::try_from((base & 1) << 7 | 0x7e | extension >> 8).unwrap();
        bytes[11] = u8::try_from(extension & 0xff).unwrap();
        bytes
    }

    /// A datagram of 10 528 bits every `ticks`, of which some are lost.
    fn rate(start: u64, ticks: u64, count: u64, lost: &[u64]) -> Option<u64> {
        let mut rate = Rate::default();
        for number in 0..count {
            if lost.contains(&number) {
                rate.miss(1);
            } else {
                rate.feed(&datagram(start + number * ticks));
            }
        }
        rate.bits_per_second()
    }

    #[rstest]
    #[case::even(0, 27_000, 1100, &[], Some(10_528_000))]
    #[case::over_the_wrap(CLOCK_WRAP - 27_000 * 500, 27_000, 1100, &[], Some(10_528_000))]
    #[case::slow(0, 270_000, 110, &[], Some(1_052_800))]
    #[case::too_short(0, 27_000, 1000, &[], None)]
    #[case::losses(0, 27_000, 1100, &[100, 101, 300, 700], Some(10_528_000))]
    #[case::another_clock(0, CLOCK + 1, 100, &[], None)]
    fn rates(
        #[case] start: u64,
        #[case] ticks: u64,
        #[case] count: u64,
        #[case] lost: &[u64],
        #[case] expected: Option<u64>,
    ) {
        assert_eq!(rate(start, ticks, count, lost), expected);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 0..20)) {
            let mut rate = Rate::default();
            for mut payload in payloads {
                if let Some(first) = payload.first_mut() {
                    *first = 0x47;
                }
                rate.feed(&payload);
            }
        }
    }
}
