//! The analyser of transport streams.

use std::fs::File;
use std::hint::black_box;
use std::io::Write as _;

use stbeacon_core::ts::testing::{Muxer, Packet, mux, pat_section, pmt_section};
use stbeacon_core::ts::{Analyser, Clock, Monitor, PACKET};

use super::Case;

/// Packets of the stream: 15 MB, more than caches keep.
const PACKETS: usize = 80_000;
/// Bytes that a source gives out at once.
const SLICE: usize = 64 * 1024;

/// Programmes, each with a PID for its map, one for its pictures, and some for sound; with the PAT, 40 PIDs.
const PROGRAMMES: u16 = 3;
const SOUNDS: u16 = 11;
const PIDS: u16 = 1 + PROGRAMMES * (2 + SOUNDS);

/// Packets from one PAT to the next: tables, so many of pictures, and so many of each sound. All counters come round
/// in [`PACKETS`], so that the stream can be repeated.
const PERIOD: usize = TABLES + STREAMS;
const TABLES: usize = 1 + PROGRAMMES as usize;
const STREAMS: usize = 996;
const SOUND_PACKETS: usize = 8 * (PROGRAMMES * SOUNDS) as usize;

/// Ticks of 27 MHz a packet: 49 Mbit/s, with which sound of 384 kbit/s comes in time.
const EACH: u64 = 824;

/// Packets of a picture: 25 a second.
const PICTURE: usize = 320;

/// Packets of a PES packet of sound.
const SOUND: usize = 16;

/// A clean stream of 40 PIDs.
pub(crate) fn clean() -> Case {
    let stream = stream();
    let again = stream.clone();
    let mut analyser = Analyser::default();
    Case {
        what: format!("continuity of a clean stream of {PIDS} PIDs, in slices of 64 KiB"),
        unit: "packet",
        units: PACKETS as u64,
        bytes: 188.0,
        work: Box::new(move || {
            analyser.reset();
            black_box(&stream).chunks(SLICE).for_each(|slice| analyser.feed(slice));
            black_box(analyser.counts());
        }),
        peer: "a read of the four header bytes of each packet",
        peer_work: Box::new(move || read_headers(&again)),
    }
}

/// The same by all indicators.
pub(crate) fn full() -> Case {
    let stream = stream();
    let again = stream.clone();
    let mut monitor = Monitor::new(Clock::Pcr);
    Case {
        what: format!("TR 101 290 of a clean stream of {PIDS} PIDs, in slices of 64 KiB"),
        unit: "packet",
        units: PACKETS as u64,
        bytes: 188.0,
        work: Box::new(move || {
            black_box(&stream).chunks(SLICE).for_each(|slice| monitor.feed(slice));
            black_box(monitor.counts());
        }),
        peer: "a read of the four header bytes of each packet",
        peer_work: Box::new(move || read_headers(&again)),
    }
}

/// The ways to look at a stream in memory, the last one a bare read of its headers.
#[expect(clippy::type_complexity, reason = "a list of names and functions")]
pub(crate) fn ways() -> [(&'static str, fn(&[u8])); 3] {
    [
        ("continuity", |stream| {
            let mut analyser = Analyser::default();
            stream.chunks(SLICE).for_each(|slice| analyser.feed(slice));
            black_box(analyser.counts());
        }),
        ("TR 101 290", |stream| {
            let mut monitor = Monitor::new(Clock::Pcr);
            stream.chunks(SLICE).for_each(|slice| monitor.feed(slice));
            black_box(monitor.counts());
        }),
        ("a read of the four header bytes of each", read_headers),
    ]
}

/// Writes such a stream, of so many bytes at least.
pub(crate) fn write_mux(file: &str, bytes: u64) -> Result<(), String> {
    let mut out = File::create(file).map_err(|e| format!("{file}: {e}"))?;
    let (mut multiplex, mut written) = (Multiplex::new(), 0);
    while written < bytes {
        let piece = multiplex.piece();
        out.write_all(&piece).map_err(|e| format!("{file}: {e}"))?;
        written += piece.len() as u64;
    }
    Ok(())
}

fn stream() -> Vec<u8> {
    Multiplex::new().piece()
}

/// Three programmes of MPEG-2 pictures and MPEG-1 sound that any demultiplexer takes: the pictures are small and grey,
/// and carry as much user data as it takes to be of 12 Mbit/s; the sound is noise.
struct Multiplex {
    muxer: Muxer,
    made: usize,
    pictures: Vec<Stream>,
    sounds: Vec<Stream>,
}

struct Stream {
    pid: u16,
    /// Packets so far.
    sent: usize,
}

/// What every picture begins with (ISO/IEC 13818-2 §6.2.2, §6.2.3): a sequence header (16 × 16, 25 a second) and its
/// extension, a group of pictures, an intra picture and its extension, and the beginning of user data.
const PICTURE_HEAD: [u8; 51] = [
    0, 0, 1, 0xb3, 0x01, 0x00, 0x10, 0x13, 0x1d, 0x4c, 0x23, 0x80, // sequence header
    0, 0, 1, 0xb5, 0x14, 0x8a, 0x00, 0x01, 0x00, 0x00, // sequence extension
    0, 0, 1, 0xb8, 0x00, 0x08, 0x00, 0x40, // group of pictures
    0, 0, 1, 0x00, 0x00, 0x0f, 0xff, 0xf8, // picture
    0, 0, 1, 0xb5, 0x8f, 0xff, 0xf3, 0x41, 0x80, // picture coding extension
    0, 0, 1, 0xb2, // user data
];

/// And what it ends with: its one slice, of one grey macroblock.
const PICTURE_TAIL: [u8; 9] = [0, 0, 1, 0x01, 0x13, 0x94, 0xa5, 0x22, 0x20];

/// What every frame of sound begins with (ISO/IEC 11172-3): layer II, 384 kbit/s, 48 kHz, stereo.
const SOUND_HEAD: [u8; 4] = [0xff, 0xfd, 0xe4, 0x00];
const SOUND_FRAME: usize = 1152;

/// A PES header with a PTS, as [`Packet::pes`] makes it.
const PES_HEAD: usize = 14;

#[expect(
    clippy::indexing_slicing,
    reason = "a remainder is less than its divisor, and a packet has its size"
)]
impl Multiplex {
    fn new() -> Self {
        let of = |pid| Stream { pid, sent: 0 };
        let sounds = (0..PROGRAMMES).flat_map(sound_pids).map(of).collect();
        let pictures = (0..PROGRAMMES).map(picture_pid).map(of).collect();
        Self { muxer: Muxer::new(), made: 0, pictures, sounds }
    }

    /// The next packets.
    fn piece(&mut self) -> Vec<u8> {
        let packets: Vec<_> = (0..PACKETS).map(|_| self.next()).collect();
        mux(&packets, PACKET)
    }

    fn next(&mut self) -> Packet {
        let (clock, slot) = (self.made as u64 * EACH, self.made % PERIOD);
        self.made += 1;
        let Some(stream) = slot.checked_sub(TABLES) else { return self.table(slot) };
        // Sound is spread evenly between the pictures.
        let sounds = |streams: usize| streams * SOUND_PACKETS / STREAMS;
        let before = sounds(stream);
        if sounds(stream + 1) > before {
            self.sound(before % self.sounds.len(), clock)
        } else {
            self.picture(stream - before, clock)
        }
    }

    fn table(&mut self, slot: usize) -> Packet {
        let Some(programme) = slot.checked_sub(1).and_then(|index| (0..PROGRAMMES).nth(index)) else {
            let maps: Vec<_> = (0..PROGRAMMES).map(|programme| (programme + 1, map_pid(programme))).collect();
            return self.muxer.next(0).section(&pat_section(0, &maps));
        };
        let pictures = picture_pid(programme);
        let mut streams = vec![(0x02, pictures)];
        streams.extend(sound_pids(programme).map(|pid| (0x03, pid)));
        self.muxer.next(map_pid(programme)).section(&pmt_section(programme + 1, pictures, &streams))
    }

    /// The `index`-th packet of pictures since the last tables.
    fn picture(&mut self, index: usize, clock: u64) -> Packet {
        let (filler, programmes) = (self.filler(), self.pictures.len());
        let Stream { pid, sent } = &mut self.pictures[index % programmes];
        let part = *sent % PICTURE;
        *sent += 1;
        let mut packet = self.muxer.next(*pid);
        if index < programmes {
            packet = packet.clock(clock);
        }
        packet.payload_mut().fill(filler);
        if part == 0 {
            packet = packet.pes(presented(clock));
            packet.payload_mut()[PES_HEAD..][..PICTURE_HEAD.len()].copy_from_slice(&PICTURE_HEAD);
        } else if part == PICTURE - 1 {
            let payload = packet.payload_mut();
            let from = payload.len() - PICTURE_TAIL.len();
            payload[from..].copy_from_slice(&PICTURE_TAIL);
        }
        packet
    }

    fn sound(&mut self, which: usize, clock: u64) -> Packet {
        const PAYLOAD: usize = PACKET - 4;
        const BYTES: usize = SOUND * PAYLOAD - PES_HEAD;
        let filler = self.filler();
        let Stream { pid, sent } = &mut self.sounds[which];
        let (pes, part) = (*sent / SOUND, *sent % SOUND);
        *sent += 1;
        let mut packet = self.muxer.next(*pid);
        let (mut from, mut position) = (0, pes * BYTES + (part * PAYLOAD).saturating_sub(PES_HEAD));
        if part == 0 {
            packet = packet.pes(presented(clock));
            let payload = packet.payload_mut();
            payload[3] = 0xc0;
            // Its length is told, as it must be of all but pictures: with three bytes of flags and five of the PTS.
            let length = u16::try_from(BYTES + 8).unwrap_or_default();
            payload[4..6].copy_from_slice(&length.to_be_bytes());
            from = PES_HEAD;
        }
        for byte in &mut packet.payload_mut()[from..] {
            *byte = SOUND_HEAD.get(position % SOUND_FRAME).copied().unwrap_or(filler);
            position += 1;
        }
        packet
    }

    /// Differs from packet to packet, and looks like the beginning of nothing.
    fn filler(&self) -> u8 {
        0x80 | self.made.to_le_bytes()[0] & 0x3f
    }
}

const fn map_pid(programme: u16) -> u16 {
    0x20 + programme
}

const fn picture_pid(programme: u16) -> u16 {
    0x100 * (programme + 1)
}

fn sound_pids(programme: u16) -> impl Iterator<Item = u16> {
    (1..=SOUNDS).map(move |sound| picture_pid(programme) + sound)
}

/// A PTS half a second ahead of the clock.
const fn presented(clock: u64) -> u64 {
    clock / 300 + 45_000
}

fn read_headers(stream: &[u8]) {
    let header = |packet: &[u8]| packet.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    let sum = black_box(stream).chunks_exact(PACKET).fold(0_u32, |sum, p| sum.wrapping_add(header(p)));
    black_box(sum);
}

#[cfg(test)]
mod tests {
    use stbeacon_core::ts::Indicators;

    use super::*;

    #[test]
    fn the_stream_is_clean_and_goes_on_from_piece_to_piece() {
        let (mut multiplex, mut monitor, mut analyser) =
            (Multiplex::new(), Monitor::new(Clock::Pcr), Analyser::default());
        for _ in 0..3 {
            monitor.feed(&multiplex.piece());
            analyser.feed(&stream());
        }
        assert_eq!(monitor.indicators(), Indicators::default());
        assert_eq!(monitor.pids().len(), usize::from(PIDS));
        assert_eq!(analyser.counts().packets, 3 * PACKETS as u64);
        assert_eq!(analyser.counts().discontinuities, 0, "the same piece again is no gap");
    }
}
