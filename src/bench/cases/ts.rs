//! The analyser of transport streams.

use std::fs::File;
use std::hint::black_box;
use std::io::Write as _;

use stbeacon_core::ts::testing::{Muxer, mux, pat_section, pmt_section};
use stbeacon_core::ts::{Analyser, Clock, Monitor, PACKET};

use super::Case;

/// PIDs of the stream.
const PIDS: u16 = 40;
/// Its packets: 15 MB, more than caches keep.
const PACKETS: usize = 80_000;
/// Bytes that a source gives out at once.
const SLICE: usize = 64 * 1024;

/// Packets between clock references, tables and PES packets: of 50 Mbit/s, every 30 ms.
const BETWEEN: usize = 1_000;

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
    let (mut muxer, mut written, mut from) = (Muxer::new(), 0, 0);
    while written < bytes {
        let piece = piece(&mut muxer, from);
        out.write_all(&piece).map_err(|e| format!("{file}: {e}"))?;
        written += piece.len() as u64;
        from += PACKETS;
    }
    Ok(())
}

fn stream() -> Vec<u8> {
    piece(&mut Muxer::new(), 0)
}

/// A programme of pictures and sound, the tables that name it, and 38 other PIDs: the packets from `from` on.
fn piece(muxer: &mut Muxer, from: usize) -> Vec<u8> {
    const VIDEO: u16 = 0x100;
    let (pat, pmt) = (pat_section(0, &[(1, 0x20)]), pmt_section(1, VIDEO, &[(0x1b, VIDEO), (0x0f, 0x101)]));
    let mut packets = Vec::with_capacity(PACKETS);
    let mut pids = (0..PIDS - 2).cycle();
    for n in from..from + PACKETS {
        // 30 ms each, and the same number of counters each time around.
        let clock = (n / BETWEEN) as u64 * 27_000 * 30;
        packets.push(match n % BETWEEN {
            0 => muxer.next(0).section(&pat),
            1 => muxer.next(0x20).section(&pmt),
            2 => muxer.next(VIDEO).clock(clock),
            3 => muxer.next(VIDEO).pes(clock / 300),
            4 => muxer.next(0x101).pes(clock / 300),
            // Every second packet is the picture's, as in a real multiplex.
            even if even % 2 == 0 => muxer.next(VIDEO),
            _ => muxer.next(0x101 + pids.next().unwrap_or_default()),
        });
    }
    mux(&packets, PACKET)
}

fn read_headers(stream: &[u8]) {
    let header = |packet: &[u8]| packet.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    let sum = black_box(stream).chunks_exact(PACKET).fold(0_u32, |sum, p| sum.wrapping_add(header(p)));
    black_box(sum);
}
