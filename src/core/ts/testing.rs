//! For tests: transport packets made to order, packets cut out of a file, and a second opinion on what the
//! [`Analyser`](super::Analyser) counts.
//!
//! The second opinion is deliberately simple: it has the whole file, keeps every packet, and shares no code with
//! the analyser.

#![allow(
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a test may panic; it has the whole file"
)]

use std::collections::{BTreeMap, BTreeSet};

use super::{NULL_PID, PACKET};

/// One transport packet, to be made to order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet([u8; PACKET]);

/// Makes packets with right counters.
#[derive(Debug, Clone, Default)]
pub struct Muxer {
    counters: BTreeMap<u16, u8>,
    made: u8,
}

/// What should be counted in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// For each PID but that of null packets.
    pub pids: BTreeMap<u16, ExpectedPid>,
    /// Packets with a right sync byte, null packets included.
    pub packets: u64,
    /// How often sync was lost.
    pub sync_losses: u64,
    /// Packets with a wrong sync byte.
    pub sync_byte_errors: u64,
}

/// What should be counted of one PID.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExpectedPid {
    /// Its packets.
    pub packets: u64,
    /// Continuity errors.
    pub discontinuities: u64,
    /// Estimate of the packets lost in those.
    pub lost_packets: u64,
    /// Jumps at the first packet of a fragment.
    pub fragment_jumps: u64,
    /// Legal duplicates.
    pub duplicates: u64,
}

// === impl Packet ===

impl Packet {
    /// A packet with payload and nothing else.
    #[must_use]
    pub fn new(pid: u16, counter: u8) -> Self {
        let mut bytes = [0xaa; PACKET];
        bytes[0] = 0x47;
        bytes[1..3].copy_from_slice(&(pid & 0x1fff).to_be_bytes());
        bytes[3] = 0x10 | (counter & 0x0f);
        Self(bytes)
    }

    /// With that payload, the same in every byte.
    #[must_use]
    pub fn payload(mut self, byte: u8) -> Self {
        self.0[20..].fill(byte);
        self
    }

    /// Without payload: nothing but an adaptation field.
    #[must_use]
    pub fn adaptation_only(mut self) -> Self {
        self.0[3] = (self.0[3] & !0x10) | 0x20;
        self.0[4] = 183;
        self.0[5] = 0;
        self.0[6..].fill(0xff);
        self
    }

    /// With `adaptation_field_control` '00', which decoders discard.
    #[must_use]
    pub fn reserved(mut self) -> Self {
        self.0[3] &= !0x30;
        self
    }

    /// With `discontinuity_indicator`.
    #[must_use]
    pub fn discontinuity(self) -> Self {
        let mut with = self.with_adaptation();
        with.0[5] |= 0x80;
        with
    }

    /// With a PCR.
    #[must_use]
    pub fn pcr(self, base: u32) -> Self {
        let mut with = self.with_adaptation();
        with.0[5] |= 0x10;
        with.0[6..10].copy_from_slice(&base.to_be_bytes());
        with.0[10..12].copy_from_slice(&[0x7e, 0]);
        with
    }

    /// With `transport_error_indicator`.
    #[must_use]
    pub fn transport_error(mut self) -> Self {
        self.0[1] |= 0x80;
        self
    }

    /// With `transport_scrambling_control` '10'.
    #[must_use]
    pub fn scrambled(mut self) -> Self {
        self.0[3] |= 0x80;
        self
    }

    /// With a wrong sync byte.
    #[must_use]
    pub fn bad_sync(mut self) -> Self {
        self.0[0] = 0x48;
        self
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; PACKET] {
        &self.0
    }

    fn with_adaptation(mut self) -> Self {
        if self.0[3] & 0x20 == 0 {
            self.0[3] |= 0x20;
            // Room for a PCR, before the payload.
            self.0[4] = 15;
            self.0[5] = 0;
            self.0[6..20].fill(0xff);
        }
        self
    }
}

// === impl Muxer ===

impl Muxer {
    /// All counters at 0.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next packet of a PID, different from the one before.
    pub fn next(&mut self, pid: u16) -> Packet {
        let counter = self.counters.entry(pid).or_default();
        let packet = Packet::new(pid, *counter).payload(self.made);
        *counter = counter.wrapping_add(1) & 0x0f;
        self.made = self.made.wrapping_add(1);
        packet
    }

    /// A packet of a PID without payload: its counter stays.
    pub fn adaptation_only(&mut self, pid: u16) -> Packet {
        let next = self.counters.get(&pid).copied().unwrap_or_default();
        Packet::new(pid, next.wrapping_sub(1)).adaptation_only()
    }
}

/// The bytes of packets, at a stride of 188, 192 or 204.
#[must_use]
pub fn mux<'a>(packets: impl IntoIterator<Item = &'a Packet>, stride: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for packet in packets {
        bytes.extend_from_slice(if stride == 192 { &[0, 1, 2, 3] } else { &[] });
        bytes.extend_from_slice(packet.bytes());
        bytes.extend_from_slice(if stride == 204 { &[0xee; 16] } else { &[] });
    }
    bytes
}

/// The PID of a packet.
#[must_use]
pub fn pid(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[1] & 0x1f, packet[2]])
}

/// A file of 188-byte packets without some of a PID's packets; `indices` count that PID's packets from 0.
#[must_use]
pub fn cut(file: &[u8], from: u16, indices: &[usize]) -> Vec<u8> {
    let indices: BTreeSet<_> = indices.iter().collect();
    let mut seen = 0;
    let mut kept = Vec::with_capacity(file.len());
    for packet in file.chunks(PACKET) {
        let of_pid = packet.len() == PACKET && pid(packet) == from;
        if !(of_pid && indices.contains(&seen)) {
            kept.extend_from_slice(packet);
        }
        seen += usize::from(of_pid);
    }
    kept
}

/// How many packets of each PID there are in a file of 188-byte packets.
#[must_use]
pub fn packets_per_pid(file: &[u8]) -> BTreeMap<u16, usize> {
    let mut pids = BTreeMap::new();
    for packet in file.chunks_exact(PACKET) {
        *pids.entry(pid(packet)).or_default() += 1;
    }
    pids
}

/// What should be counted in a file.
#[must_use]
pub fn count_file(file: &[u8]) -> Expected {
    count_fragments(&[file])
}

/// What should be counted in a stream of fragments, with [`segment_reset`](super::Policy::segment_reset).
#[must_use]
pub fn count_fragments(fragments: &[&[u8]]) -> Expected {
    let mut expected = Expected::default();
    let mut by_pid = BTreeMap::<u16, Vec<(usize, Vec<u8>)>>::new();
    for (fragment, bytes) in fragments.iter().enumerate() {
        for packet in find_packets(bytes, &mut expected) {
            expected.packets += 1;
            if pid(&packet) != NULL_PID {
                by_pid.entry(pid(&packet)).or_default().push((fragment, packet));
            }
        }
    }
    expected.pids = by_pid.into_iter().map(|(pid, packets)| (pid, count_pid(packets))).collect();
    expected
}

impl Expected {
    /// The sum over all PIDs.
    #[must_use]
    pub fn sum(&self, of: impl Fn(&ExpectedPid) -> u64) -> u64 {
        self.pids.values().map(of).sum()
    }

    /// Continuity errors of all PIDs.
    #[must_use]
    pub fn discontinuities(&self) -> u64 {
        self.sum(|pid| pid.discontinuities)
    }

    /// Estimate of the packets lost, of all PIDs.
    #[must_use]
    pub fn lost_packets(&self) -> u64 {
        self.sum(|pid| pid.lost_packets)
    }
}

fn count_pid(packets: Vec<(usize, Vec<u8>)>) -> ExpectedPid {
    let mut count = ExpectedPid { packets: packets.len() as u64, ..ExpectedPid::default() };
    let used: Vec<_> = packets.into_iter().filter(|(_, packet)| packet[3] & 0x30 != 0).collect();
    // Whether a packet's counter is that of the one before, and so not one to be repeated.
    let mut repeats = vec![false; used.len()];
    for here in 1..used.len() {
        let ((fragment_before, before), (fragment, packet)) = (&used[here - 1], &used[here]);
        let has_payload = packet[3] & 0x10 != 0;
        if packet[3] & 0x20 != 0 && packet[4] != 0 && packet[5] & 0x80 != 0 {
            continue;
        }
        let step = (16 + (packet[3] & 15) - (before[3] & 15)) % 16;
        let copy =
            has_payload && step == 0 && !repeats[here - 1] && without_pcr(before) == without_pcr(packet);
        let right = if has_payload { step == 1 } else { step == 0 };
        repeats[here] = has_payload && step == 0;
        if copy {
            count.duplicates += 1;
        } else if right {
        } else if fragment != fragment_before {
            count.fragment_jumps += 1;
            repeats[here] = false;
        } else {
            count.discontinuities += 1;
            count.lost_packets += if step == 0 { 0 } else { u64::from(step) - 1 };
        }
    }
    count
}

fn without_pcr(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    if packet[3] & 0x20 != 0 && packet[4] >= 7 && packet[5] & 0x10 != 0 {
        packet[6..12].fill(0);
    }
    packet
}

fn find_packets(bytes: &[u8], expected: &mut Expected) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    let mut from = 0;
    while let Some((mut at, stride)) = find_sync(bytes, from) {
        let mut wrong = None;
        from = bytes.len();
        while at + PACKET <= bytes.len() {
            if bytes[at] == 0x47 {
                packets.push(bytes[at..at + PACKET].to_vec());
                wrong = None;
            } else {
                expected.sync_byte_errors += 1;
                if let Some(first_wrong) = wrong {
                    expected.sync_losses += 1;
                    from = first_wrong;
                    break;
                }
                wrong = Some(at);
            }
            at += stride;
        }
    }
    packets
}

/// The first of five sync bytes, and the stride between them.
fn find_sync(bytes: &[u8], from: usize) -> Option<(usize, usize)> {
    for at in from..bytes.len() {
        for stride in [188, 192, 204] {
            let run = (0..5).take_while(|packet| bytes.get(at + packet * stride) == Some(&0x47)).count();
            if run == 5 {
                return Some((at, stride));
            }
            // The end came before the answer.
            if run > 0 && at + run * stride >= bytes.len() {
                return None;
            }
        }
    }
    None
}
