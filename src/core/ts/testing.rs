//! For tests: transport packets made to order, packets cut out of a file, and a second opinion on what the
//! [`Analyser`](super::Analyser) counts.
//!
//! The second opinion is deliberately simple: it has the whole file, keeps every packet, and shares no code with
//! the analyser.

#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a test may panic; it has the whole file"
)]

use std::collections::{BTreeMap, BTreeSet};

use super::{Indicators, NULL_PID, PACKET};

mod oracle;

pub use self::oracle::judge_file;

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

    /// With a PCR, in ticks of 27 MHz, modulo what one can hold.
    #[must_use]
    pub fn clock(self, ticks: u64) -> Self {
        let (base, rest) = (ticks / 300 % (1 << 33), ticks % 300);
        let mut with = self.with_adaptation();
        with.0[5] |= 0x10;
        with.0[6..12].copy_from_slice(&((base << 15) | 0x7e00 | rest).to_be_bytes()[2..]);
        with
    }

    /// A section from its beginning on, or as much of it as there is room for, behind a pointer to it.
    #[must_use]
    pub fn section(self, section: &[u8]) -> Self {
        self.section_from(Some(0), section)
    }

    /// What goes on of a section (`starts` is `None`); or so many bytes of another one, then one that begins here.
    /// Filled up with stuffing.
    #[must_use]
    pub fn section_from(mut self, starts: Option<u8>, bytes: &[u8]) -> Self {
        let from = self.payload_from();
        self.0[from..].fill(0xff);
        let mut at = from;
        if let Some(pointer) = starts {
            self.0[1] |= 0x40;
            self.0[at] = pointer;
            at += 1;
        }
        let length = bytes.len().min(PACKET - at);
        self.0[at..at + length].copy_from_slice(&bytes[..length]);
        self
    }

    /// With the beginning of a PES packet of pictures that has this PTS, in ticks of 90 kHz.
    #[must_use]
    pub fn pes(mut self, pts: u64) -> Self {
        let byte = |shift: u32| u8::try_from(pts >> shift & 0xff).unwrap_or_default();
        let head = [0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 5];
        let stamp = [0x21 | byte(29) & 0x0e, byte(22), byte(14) | 1, byte(7), byte(0) << 1 | 1];
        let from = self.payload_from();
        self.0[1] |= 0x40;
        self.0[from..from + 9].copy_from_slice(&head);
        self.0[from + 9..from + 14].copy_from_slice(&stamp);
        self
    }

    /// Its payload: what is behind its header and its adaptation field.
    #[must_use]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let from = self.payload_from();
        &mut self.0[from..]
    }

    /// With another byte there than before.
    #[must_use]
    pub fn corrupt(mut self, at: usize) -> Self {
        self.0[at] ^= 0x55;
        self
    }

    fn payload_from(&self) -> usize {
        if self.0[3] & 0x20 == 0 { 4 } else { 5 + usize::from(self.0[4]) }
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

/// A whole section: its table, what stands where programme and stream numbers do, its version, its body.
#[must_use]
pub fn section(table: u8, number: u16, version: u8, body: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(body.len() + 9).unwrap_or(u16::MAX).to_be_bytes();
    let mut section = vec![table, 0xb0 | high & 0x0f, low];
    section.extend(number.to_be_bytes());
    section.extend([0xc1 | version << 1, 0, 0]);
    section.extend_from_slice(body);
    let crc = crc_bit_by_bit(&section);
    section.extend(crc.to_be_bytes());
    section
}

/// A section of the programme association table: programmes and the PIDs of their maps.
#[must_use]
pub fn pat_section(version: u8, programmes: &[(u16, u16)]) -> Vec<u8> {
    let entry =
        |(programme, pid): &(u16, u16)| [programme.to_be_bytes(), (0xe000 | pid).to_be_bytes()].concat();
    section(0, 1, version, &programmes.iter().flat_map(entry).collect::<Vec<_>>())
}

/// A programme's map: the PID of its clock, and types and PIDs of its streams.
#[must_use]
pub fn pmt_section(programme: u16, clock: u16, streams: &[(u8, u16)]) -> Vec<u8> {
    let mut body = (0xe000 | clock).to_be_bytes().to_vec();
    body.extend([0xf0, 0]);
    for (stream_type, pid) in streams {
        body.push(*stream_type);
        body.extend((0xe000 | pid).to_be_bytes());
        body.extend([0xf0, 0]);
    }
    section(2, programme, 0, &body)
}

/// CRC-32/MPEG-2, as H.222.0 annex A draws it: one bit after the other.
fn crc_bit_by_bit(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for bit in bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)) {
        let out = crc >> 31 != u32::from(bit);
        crc = (crc << 1) ^ if out { 0x04c1_1db7 } else { 0 };
    }
    crc
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

/// What a packet is, by its counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Fine,
    Duplicate,
    /// With the estimate of how many are missing.
    Gap(u64),
    FragmentJump,
    /// Its counter means nothing.
    Ignored,
}

fn count_pid(packets: Vec<(usize, Vec<u8>)>) -> ExpectedPid {
    let mut count = ExpectedPid { packets: packets.len() as u64, ..ExpectedPid::default() };
    for (_, class) in classify(packets) {
        match class {
            Class::Duplicate => count.duplicates += 1,
            Class::FragmentJump => count.fragment_jumps += 1,
            Class::Gap(lost) => {
                count.discontinuities += 1;
                count.lost_packets += lost;
            }
            Class::Fine | Class::Ignored => {}
        }
    }
    count
}

/// Packets of any PIDs, each with the number of its fragment.
fn classify(packets: Vec<(usize, Vec<u8>)>) -> Vec<(Vec<u8>, Class)> {
    // Of each PID, the last packet that counts, and whether its counter is that of the one before, and so not one to
    // be repeated.
    let mut last = BTreeMap::<u16, (usize, bool)>::new();
    let mut classes = Vec::new();
    for (here, (fragment, packet)) in packets.iter().enumerate() {
        if pid(packet) == NULL_PID || packet[3] & 0x30 == 0 {
            classes.push(Class::Ignored);
            continue;
        }
        let has_payload = packet[3] & 0x10 != 0;
        let is_flagged = packet[3] & 0x20 != 0 && packet[4] != 0 && packet[5] & 0x80 != 0;
        let Some((before, repeats)) = last.get(&pid(packet)).copied().filter(|_| !is_flagged) else {
            last.insert(pid(packet), (here, false));
            classes.push(Class::Fine);
            continue;
        };
        let (fragment_before, before) = &packets[before];
        let step = (16 + (packet[3] & 15) - (before[3] & 15)) % 16;
        let copy = has_payload && step == 0 && !repeats && without_pcr(before) == without_pcr(packet);
        let right = if has_payload { step == 1 } else { step == 0 };
        let mut repeats = has_payload && step == 0;
        classes.push(if copy {
            Class::Duplicate
        } else if right {
            Class::Fine
        } else if fragment != fragment_before {
            repeats = false;
            Class::FragmentJump
        } else {
            Class::Gap(if step == 0 { 0 } else { u64::from(step) - 1 })
        });
        last.insert(pid(packet), (here, repeats));
    }
    packets.into_iter().map(|(_, packet)| packet).zip(classes).collect()
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
