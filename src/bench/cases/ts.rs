//! The analyser of transport streams.

use std::hint::black_box;

use stbeacon_core::ts::testing::{Muxer, mux};
use stbeacon_core::ts::{Analyser, PACKET};

use super::Case;

/// PIDs of the stream.
const PIDS: u16 = 40;
/// Its packets: 15 MB, more than caches keep.
const PACKETS: usize = 80_000;
/// Bytes that a source gives out at once.
const SLICE: usize = 64 * 1024;

/// A clean stream of 40 PIDs.
pub(crate) fn clean() -> Case {
    let mut muxer = Muxer::new();
    // Every second packet is the picture's, as in a real multiplex.
    let packets: Vec<_> = (0..PACKETS)
        .zip((0..PIDS).cycle())
        .map(|(n, pid)| muxer.next(if n % 2 == 0 { 0x100 } else { 0x101 + pid }))
        .collect();
    let stream = mux(&packets, PACKET);
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
        peer_work: Box::new(move || {
            let header = |packet: &[u8]| packet.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
            let sum =
                black_box(&again).chunks_exact(PACKET).fold(0_u32, |sum, p| sum.wrapping_add(header(p)));
            black_box(sum);
        }),
    }
}
