//! Transport streams, cut anywhere.

use std::time::Duration;

use stbeacon_core::ts::testing::{count_file, count_fragments};
use stbeacon_core::ts::{Analyser, Clock, Counts, Monitor, PACKET, Policy};

/// The first byte says what the rest is:
/// bit 0 a stream as it is, or the beginnings of packets in eight bytes each, which are filled up;
/// bit 1 whether it comes in fragments; bits 2 and 3 the stride of filled-up packets.
/// The next three are the lengths of the pieces that it comes in.
///
/// # Panics
/// Where something does not hold.
pub fn check(data: &[u8]) {
    let [how, pieces @ ..] = data else { return };
    let [a, b, c, rest @ ..] = pieces else { return };
    let stream = if how & 1 == 0 { rest.to_vec() } else { filled(rest, how >> 2 & 3) };
    let lengths = [a, b, c].map(|length| usize::from(*length) * 3 + 1);

    let mut whole = Analyser::default();
    whole.feed(&stream);
    let mut pieces = Analyser::default();
    let mut rest = &stream[..];
    for length in lengths.iter().cycle() {
        let (piece, left) = rest.split_at((*length).min(rest.len()));
        pieces.feed(piece);
        rest = left;
        if rest.is_empty() {
            break;
        }
    }
    assert_eq!(whole.counts(), pieces.counts(), "however it is cut");
    assert_eq!(whole.in_sync(), pieces.in_sync());
    sound(whole.counts());

    let expected = count_file(&stream);
    let counts = whole.counts();
    assert_eq!(counts.packets, expected.packets);
    assert_eq!(counts.sync_losses, expected.sync_losses);
    assert_eq!(counts.sync_byte_errors, expected.sync_byte_errors);
    assert_eq!(counts.discontinuities, expected.discontinuities());
    assert_eq!(counts.lost_packets, expected.lost_packets());
    assert_eq!(counts.duplicates, expected.sum(|pid| pid.duplicates));

    if how & 2 != 0 {
        let middle = stream.len() / 2 / PACKET * PACKET;
        let fragments = [&stream[..middle], &stream[middle..]];
        let mut analyser = Analyser::new(Policy { segment_reset: true });
        for fragment in fragments {
            analyser.segment_start();
            analyser.feed(fragment);
        }
        let (counts, expected) = (analyser.counts(), count_fragments(&fragments));
        assert_eq!(counts.packets, expected.packets);
        assert_eq!(counts.discontinuities, expected.discontinuities());
        assert_eq!(counts.fragment_jumps, expected.sum(|pid| pid.fragment_jumps));
        sound(counts);
    }

    judge(&stream, &lengths);

    let before = *whole.counts();
    whole.reset();
    whole.feed(&stream);
    sound(whole.counts());
    assert!(whole.counts().packets >= before.packets, "what was counted stays");
}

/// The full analysis: the same however it is cut, with the same continuity, and about no more PIDs than there are.
fn judge(stream: &[u8], lengths: &[usize]) {
    let mut whole = Monitor::new(Clock::Pcr);
    whole.feed(stream);
    let (mut pieces, mut arriving) = (Monitor::new(Clock::Pcr), Monitor::new(Clock::Arrival));
    let (mut rest, mut lengths) = (stream, lengths.iter().cycle().zip(0_u64..));
    while let Some((length, n)) = lengths.next().filter(|_| !rest.is_empty()) {
        let (piece, left) = rest.split_at((*length).min(rest.len()));
        pieces.feed(piece);
        arriving.arrive(Duration::from_millis(n * *length as u64));
        arriving.feed(piece);
        rest = left;
    }
    assert_eq!(whole.counts(), pieces.counts());
    assert_eq!(whole.indicators(), pieces.indicators());
    assert_eq!(whole.pids(), pieces.pids());
    assert_eq!((whole.bitrate(), whole.duration()), (pieces.bitrate(), pieces.duration()));
    assert_eq!(whole.counts(), arriving.counts());
    let mut continuity = Analyser::default();
    continuity.feed(stream);
    assert_eq!(continuity.counts(), whole.counts());
    let pids = whole.pids();
    assert!(pids.len() <= 8192 && pids.windows(2).all(|pair| pair[0].pid < pair[1].pid));
    assert_eq!(pids.iter().map(|pid| pid.packets).sum::<u64>(), whole.counts().packets);
    assert_eq!(pids.iter().map(|pid| pid.discontinuities).sum::<u64>(), whole.counts().discontinuities);
}

fn sound(counts: &Counts) {
    assert!(counts.null_packets <= counts.packets);
    assert!(counts.discontinuities + counts.duplicates + counts.fragment_jumps <= counts.packets);
    assert!(counts.lost_packets <= counts.discontinuities * 14);
    assert!(counts.transport_errors <= counts.packets && counts.scrambled <= counts.packets);
    assert!(counts.sync_losses <= counts.sync_byte_errors);
}

/// Packets from eight bytes each: most inputs would never come to five sync bytes in a row.
fn filled(headers: &[u8], stride: u8) -> Vec<u8> {
    let (before, behind) = [(0, 0), (4, 0), (0, 16), (0, 0)][usize::from(stride)];
    let mut stream = Vec::new();
    for header in headers.chunks(8) {
        stream.extend_from_slice(&[0; 4][..before]);
        let packet = stream.len();
        stream.extend_from_slice(header);
        stream.resize(packet + PACKET, 0xaa);
        // Few wrong ones among the right: each byte but a few is a sync byte.
        if header[0] < 0xf0 {
            stream[packet] = 0x47;
        }
        stream.resize(packet + PACKET + behind, 0xee);
    }
    stream
}
