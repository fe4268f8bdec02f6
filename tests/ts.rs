//! Transport streams, seen from outside: what is in one, and one with packets cut out or damaged.
//!
//! Written from the standards alone (H.222.0, H.264, 13818-2, 11172-3, 13818-7, A/52), and not from the code
//! under test, so that it can be the judge of it.

use std::collections::BTreeMap;

/// Bytes of a packet.
pub const PACKET: usize = 188;

/// PID of null packets.
const NULL_PID: u16 = 0x1fff;

/// An elementary stream that the first programme of a transport stream has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    /// Where it is.
    pub pid: u16,
    /// What it is.
    pub kind: Kind,
}

/// What an elementary stream holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `stream_type` 0x1b.
    H264,
    /// 0x01, 0x02.
    Mpeg2,
    /// 0x03, 0x04.
    MpegAudio,
    /// 0x0f.
    Aac,
    /// 0x81.
    Ac3,
    /// Anything else.
    Other(u8),
}

/// One packet.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a>(&'a [u8]);

// === impl Packet ===

impl<'a> Packet<'a> {
    fn byte(self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or_default()
    }

    /// Packet identifier.
    #[must_use]
    pub fn pid(self) -> u16 {
        u16::from_be_bytes([self.byte(1) & 0x1f, self.byte(2)])
    }

    /// Whether a PES packet or section starts in it.
    #[must_use]
    pub fn starts_unit(self) -> bool {
        self.byte(1) & 0x40 != 0
    }

    /// Continuity counter.
    #[must_use]
    pub fn counter(self) -> u8 {
        self.byte(3) & 0x0f
    }

    fn has_adaptation(self) -> bool {
        self.byte(3) & 0x20 != 0
    }

    fn has_payload(self) -> bool {
        self.byte(3) & 0x10 != 0
    }

    fn is_discontinuity(self) -> bool {
        self.has_adaptation() && self.byte(4) > 0 && self.byte(5) & 0x80 != 0
    }

    fn is_random_access(self) -> bool {
        self.has_adaptation() && self.byte(4) > 0 && self.byte(5) & 0x40 != 0
    }

    fn payload_offset(self) -> usize {
        4 + if self.has_adaptation() { 1 + usize::from(self.byte(4)) } else { 0 }
    }

    /// What it carries.
    #[must_use]
    pub fn payload(self) -> &'a [u8] {
        if self.has_payload() { self.0.get(self.payload_offset()..).unwrap_or_default() } else { &[] }
    }

    /// Identical but for the PCR, as H.222.0 §2.4.3.3 allows duplicates to be.
    fn is_duplicate_of(self, other: Packet<'_>) -> bool {
        let has_pcr = self.has_adaptation() && self.byte(4) > 6 && self.byte(5) & 0x10 != 0;
        self.0.iter().zip(other.0).enumerate().all(|(at, (a, b))| a == b || has_pcr && (6..12).contains(&at))
    }
}

/// The packets of a stream of 188-byte packets.
pub fn packets(ts: &[u8]) -> impl Iterator<Item = Packet<'_>> {
    ts.chunks_exact(PACKET).map(Packet)
}

/// The elementary streams that the first programme map lists.
#[must_use]
pub fn streams(ts: &[u8]) -> Vec<Stream> {
    let Some(pmt) = section(ts, tables_pid(ts)) else { return Vec::new() };
    let end = (3 + usize::from(word(pmt, 1) & 0x0fff)).saturating_sub(4);
    let mut at = 12 + usize::from(word(pmt, 10) & 0x0fff);
    let mut found = Vec::new();
    while at + 5 <= end {
        let kind = match pmt.get(at).copied().unwrap_or_default() {
            0x1b => Kind::H264,
            0x01 | 0x02 => Kind::Mpeg2,
            0x03 | 0x04 => Kind::MpegAudio,
            0x0f => Kind::Aac,
            0x81 => Kind::Ac3,
            other => Kind::Other(other),
        };
        found.push(Stream { pid: word(pmt, at + 1) & 0x1fff, kind });
        at += 5 + usize::from(word(pmt, at + 3) & 0x0fff);
    }
    found
}

/// The PID of the first programme's map; PID 0 where there is none.
fn tables_pid(ts: &[u8]) -> u16 {
    section(ts, 0).map_or(0, |pat| word(pat, 10) & 0x1fff)
}

/// The first section on a PID, from its table id on; none of ours is longer than a packet.
fn section(ts: &[u8], pid: u16) -> Option<&[u8]> {
    let start = packets(ts).find(|p| p.pid() == pid && p.starts_unit())?;
    let payload = start.payload();
    payload.get(1 + usize::from(*payload.first()?)..)
}

fn word(section: &[u8], at: usize) -> u16 {
    let bytes = section.get(at..at + 2).and_then(|b| <[u8; 2]>::try_from(b).ok());
    u16::from_be_bytes(bytes.unwrap_or_default())
}

/// How many frames (pictures, access units of sound) a stream holds.
#[must_use]
pub fn frames(ts: &[u8], stream: Stream) -> u64 {
    let es = elementary(ts, stream.pid);
    match stream.kind {
        // A picture has one slice that starts at its first macroblock; PAFF is not made here.
        Kind::H264 => count(&start_codes(&es), |code| {
            matches!(code.first().map(|b| b & 0x1f), Some(1 | 5))
                && code.get(1).is_some_and(|b| b & 0x80 != 0)
        }),
        Kind::Mpeg2 => count(&start_codes(&es), |code| code.first() == Some(&0)),
        Kind::MpegAudio => chain(&es, mpeg_audio_frame),
        Kind::Aac => chain(&es, adts_frame),
        Kind::Ac3 => chain(&es, ac3_frame),
        Kind::Other(_) => 0,
    }
}

/// The stream without the `which`-th packets (from 0) of a PID that carry payload.
#[must_use]
pub fn cut(ts: &[u8], pid: u16, which: &[usize]) -> Vec<u8> {
    let mut seen = 0;
    let keep = |packet: &Packet<'_>| {
        if packet.pid() != pid || !packet.has_payload() {
            return true;
        }
        seen += 1;
        !which.contains(&(seen - 1))
    };
    packets(ts).filter(keep).flat_map(|p| p.0.iter().copied()).collect()
}

/// The stream with the heads of the payloads of the `which`-th packets of a PID overwritten, those that start
/// a PES packet left out of the counting: the packets are all there, what they carry is not.
#[must_use]
pub fn damage(ts: &[u8], pid: u16, which: &[usize]) -> Vec<u8> {
    let mut out = ts.to_vec();
    let mut seen = 0;
    for packet in out.chunks_exact_mut(PACKET) {
        let view = Packet(packet);
        if view.pid() != pid || !view.has_payload() || view.starts_unit() {
            continue;
        }
        let from = view.payload_offset();
        if which.contains(&seen) {
            packet.iter_mut().skip(from).take(48).for_each(|b| *b = 0xff);
        }
        seen += 1;
    }
    out
}

/// The stream with the slice headers of the `units`-th pictures (from 0) of an H.264 PID overwritten: each still
/// arrives as one access unit, and none of them can be decoded.
#[must_use]
pub fn damage_pictures(ts: &[u8], pid: u16, units: &[usize]) -> Vec<u8> {
    let mut out = ts.to_vec();
    let mut seen = 0;
    for packet in out.chunks_exact_mut(PACKET) {
        let view = Packet(packet);
        if view.pid() != pid || !view.has_payload() || !view.starts_unit() {
            continue;
        }
        seen += 1;
        let is_slice = |w: &[u8]| matches!(w, [0, 0, 1, nal] if matches!(nal & 0x1f, 1 | 5));
        let slice = packet.windows(4).position(is_slice);
        if let Some(slice) = slice.filter(|_| units.contains(&(seen - 1))) {
            packet.iter_mut().skip(slice + 4).take(40).for_each(|b| *b = 0xff);
        }
    }
    out
}

/// The stream cut before each key frame of `video`, as a packager for HLS cuts it: every fragment starts with the
/// programme tables, holds whole PES packets, and counts continuity from zero.
#[must_use]
pub fn fragments(ts: &[u8], video: u16) -> Vec<Vec<u8>> {
    let tables: Vec<_> = [0, tables_pid(ts)]
        .into_iter()
        .filter_map(|pid| packets(ts).find(|p| p.pid() == pid && p.starts_unit()))
        .collect();
    let mut fragments: Vec<Vec<Packet<'_>>> = Vec::new();
    // The fragment that each PID's current PES packet went to.
    let mut home: BTreeMap<u16, usize> = BTreeMap::new();
    for packet in packets(ts) {
        let is_table = tables.iter().any(|table| table.pid() == packet.pid());
        if packet.pid() == video && packet.starts_unit() && packet.is_random_access() {
            fragments.push(tables.clone());
        }
        let Some(newest) = fragments.len().checked_sub(1) else { continue };
        let at = home.entry(packet.pid()).or_insert(newest);
        if packet.starts_unit() {
            *at = newest;
        }
        if let Some(fragment) = fragments.get_mut(*at).filter(|_| !is_table) {
            fragment.push(packet);
        }
    }
    fragments.iter().map(|fragment| renumbered(fragment)).collect()
}

fn renumbered(fragment: &[Packet<'_>]) -> Vec<u8> {
    let mut next: BTreeMap<u16, u8> = BTreeMap::new();
    let mut out = Vec::with_capacity(fragment.len() * PACKET);
    for packet in fragment {
        let next = next.entry(packet.pid()).or_default();
        // Without payload the counter stands still.
        let counter = if packet.has_payload() { *next } else { next.wrapping_sub(1) & 0x0f };
        *next = counter.wrapping_add(1) & 0x0f;
        let head = packet.byte(3) & 0xf0 | counter;
        out.extend(packet.0.iter().enumerate().map(|(at, byte)| if at == 3 { head } else { *byte }));
    }
    out
}

/// How many packets with payload a PID has.
#[must_use]
pub fn payload_packets(ts: &[u8], pid: u16) -> usize {
    packets(ts).filter(|p| p.pid() == pid && p.has_payload()).count()
}

/// Continuity-counter errors of the whole stream, by the rules of H.222.0 §2.4.3.3: one for each gap.
#[must_use]
pub fn continuity_errors(ts: &[u8]) -> u64 {
    struct Last<'a> {
        packet: Packet<'a>,
        copies: u32,
    }
    let mut last: BTreeMap<u16, Last<'_>> = BTreeMap::new();
    let mut errors = 0;
    for packet in packets(ts) {
        if packet.pid() == NULL_PID || (!packet.has_payload() && !packet.has_adaptation()) {
            continue;
        }
        let mut copies = 0;
        if let Some(known) = last.get(&packet.pid()).filter(|_| !packet.is_discontinuity()) {
            let step = packet.counter().wrapping_sub(known.packet.counter()) & 0x0f;
            let fine = match (packet.has_payload(), step) {
                (false, step) => step == 0,
                (true, 1) => true,
                (true, 0) => {
                    copies = known.copies + 1;
                    // After a packet without payload the counter stands still without being a copy.
                    copies == 1 && packet.is_duplicate_of(known.packet)
                }
                (true, _) => false,
            };
            errors += u64::from(!fine);
            if !packet.has_payload() {
                // Its counter is the one of the last payload; a duplicate is looked for beyond it.
                if fine {
                    continue;
                }
            }
        }
        last.insert(packet.pid(), Last { packet, copies });
    }
    errors
}

fn elementary(ts: &[u8], pid: u16) -> Vec<u8> {
    let mut es = Vec::new();
    let mut started = false;
    for packet in packets(ts).filter(|p| p.pid() == pid) {
        let payload = packet.payload();
        if packet.starts_unit() {
            started = true;
            // PES: 6 bytes head, 2 of flags, then the length of the rest of the header.
            let header = 9 + payload.get(8).copied().map_or(0, usize::from);
            es.extend_from_slice(payload.get(header..).unwrap_or_default());
        } else if started {
            es.extend_from_slice(payload);
        }
    }
    es
}

/// What follows each 00 00 01.
fn start_codes(es: &[u8]) -> Vec<&[u8]> {
    (3..es.len()).filter(|&at| es.get(at - 3..at) == Some(&[0, 0, 1])).filter_map(|at| es.get(at..)).collect()
}

fn count(codes: &[&[u8]], which: impl Fn(&[u8]) -> bool) -> u64 {
    codes.iter().map(|code| u64::from(which(code))).sum()
}

/// Counts frames that each tell their own length.
fn chain(es: &[u8], length: impl Fn(&[u8]) -> Option<usize>) -> u64 {
    let mut rest = es;
    let mut frames = 0;
    while let Some(next) = length(rest).filter(|&n| n > 0).and_then(|n| rest.get(n..)) {
        frames += 1;
        rest = next;
    }
    frames
}

/// ADTS, 13818-7 §6.2.
fn adts_frame(es: &[u8]) -> Option<usize> {
    let head: [u8; 7] = es.get(..7)?.try_into().ok()?;
    let sync = head[0] == 0xff && head[1] & 0xf6 == 0xf0;
    let length = usize::from(head[3] & 3) << 11 | usize::from(head[4]) << 3 | usize::from(head[5]) >> 5;
    sync.then_some(length)
}

/// MPEG-1 audio layers II and III, 11172-3 §2.4.2.3.
fn mpeg_audio_frame(es: &[u8]) -> Option<usize> {
    const LAYER_2: [usize; 15] = [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384];
    const LAYER_3: [usize; 15] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
    let head: [u8; 4] = es.get(..4)?.try_into().ok()?;
    let rates = match (head[0], head[1] & 0xfe) {
        (0xff, 0xfc) => LAYER_2,
        (0xff, 0xfa) => LAYER_3,
        _ => return None,
    };
    let rate = rates.get(usize::from(head[2] >> 4))? * 1000;
    let sampling = [44_100, 48_000, 32_000].get(usize::from(head[2] >> 2 & 3)).copied()?;
    Some(144 * rate / sampling + usize::from(head[2] >> 1 & 1))
}

/// AC-3 at 48 kHz, A/52 §5.4.1.
fn ac3_frame(es: &[u8]) -> Option<usize> {
    const KBITS: [usize; 19] =
        [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640];
    let head: [u8; 5] = es.get(..5)?.try_into().ok()?;
    let is_48k = head[4] >> 6 == 0;
    let rate = KBITS.get(usize::from(head[4] & 0x3f) / 2)?;
    // 1536 samples are 32 ms.
    (head[0] == 0x0b && head[1] == 0x77 && is_48k).then_some(rate * 4)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn packet(pid: u16, counter: u8, fill: u8) -> Vec<u8> {
        let [high, low] = pid.to_be_bytes();
        let mut packet = vec![0x47, high, low, 0x10 | counter];
        packet.resize(PACKET, fill);
        packet
    }

    fn stream(counters: &[u8]) -> Vec<u8> {
        counters.iter().flat_map(|&c| packet(256, c, c)).collect()
    }

    #[rstest]
    #[case::whole(&[14, 15, 0, 1], 0)]
    #[case::one_gap(&[0, 1, 3, 4], 1)]
    #[case::burst_is_one(&[0, 1, 9, 10], 1)]
    #[case::legal_duplicate(&[0, 1, 1, 2], 0)]
    #[case::triple(&[0, 1, 1, 1, 2], 1)]
    #[case::back(&[5, 6, 4, 5], 1)]
    fn judges_continuity(#[case] counters: &[u8], #[case] errors: u64) {
        assert_eq!(continuity_errors(&stream(counters)), errors);
    }

    #[test]
    fn equal_counter_with_other_bytes_is_an_error() {
        let ts = [packet(256, 1, 0xaa), packet(256, 1, 0xbb)].concat();
        assert_eq!(continuity_errors(&ts), 1);
    }

    #[test]
    fn cuts_only_the_named_packets_of_the_pid() {
        let ts = [packet(256, 0, 0), packet(257, 0, 0), packet(256, 1, 0), packet(256, 2, 0)].concat();
        let cut = cut(&ts, 256, &[1]);
        let left: Vec<_> = packets(&cut).map(|p| (p.pid(), p.counter())).collect();
        assert_eq!(left, [(256, 0), (257, 0), (256, 2)]);
    }

    #[test]
    fn reads_the_length_of_audio_frames() {
        // 48 kHz stereo at 192 kbit/s, layer II: 576 bytes; the same rate of AC-3: 768.
        assert_eq!(mpeg_audio_frame(&[0xff, 0xfd, 0xa4, 0]), Some(576));
        assert_eq!(ac3_frame(&[0x0b, 0x77, 0, 0, 20]), Some(768));
        assert_eq!(adts_frame(&[0xff, 0xf1, 0x4c, 0x80, 0x20, 0x1f, 0xfc]), Some(256));
        assert_eq!(adts_frame(&[0, 0, 0, 0, 0, 0, 0]), None);
    }
}
