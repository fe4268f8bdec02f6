//! Every rule by itself, then any stream against the second opinion.

use proptest::prelude::*;
use rstest::rstest;

use super::testing::{Muxer, Packet, count_file, count_fragments, cut, mux, packets_per_pid};
use super::*;

const PID: u16 = 0x100;

fn analyse(bytes: &[u8]) -> Counts {
    let mut analyser = Analyser::default();
    analyser.feed(bytes);
    *analyser.counts()
}

/// Shorthand for a packet with payload.
fn p(counter: u8) -> Packet {
    Packet::new(PID, counter).payload(counter)
}

/// And for one without.
fn a(counter: u8) -> Packet {
    Packet::new(PID, counter).adaptation_only()
}

/// Counts of a stream that begins with packets of another PID, so that sync is had.
fn counts(packets: &[Packet]) -> Counts {
    let mut mux_other = Muxer::new();
    let mut all: Vec<_> = (0..GOOD_PACKETS).map(|_| mux_other.next(0x1ff)).collect();
    all.extend_from_slice(packets);
    let mut counts = analyse(&mux(&all, PACKET));
    counts.packets -= GOOD_PACKETS;
    counts
}

const GOOD_PACKETS: u64 = 5;

#[rstest]
// Rule 1
#[case::flagged_error_is_used_like_any_other(&[p(0), p(1).transport_error(), p(2)], 0, 0, 0)]
#[case::flagged_error_can_show_a_gap(&[p(0), p(2).transport_error(), p(3)], 1, 1, 0)]
// Rule 2
#[case::null_packets_have_no_counter(&[p(0), Packet::new(NULL_PID, 3), Packet::new(NULL_PID, 9), p(1)], 0, 0, 0)]
#[case::reserved_is_discarded(&[p(0), p(9).reserved(), p(1)], 0, 0, 0)]
// Rule 3
#[case::first_is_learnt(&[p(7), p(8)], 0, 0, 0)]
#[case::first_without_payload_is_learnt(&[a(7), p(8)], 0, 0, 0)]
// Rule 4
#[case::indicator_accepts_any(&[p(0), p(9).discontinuity(), p(10)], 0, 0, 0)]
#[case::indicator_accepts_equal(&[p(0), p(0).discontinuity(), p(1)], 0, 0, 0)]
#[case::indicator_without_payload(&[p(0), a(9).discontinuity(), p(10)], 0, 0, 0)]
#[case::indicator_is_learnt_from(&[p(0), p(9).discontinuity(), p(1)], 1, 7, 0)]
// Rule 5
#[case::no_payload_keeps_the_counter(&[p(3), a(3), a(3), a(3), p(4)], 0, 0, 0)]
#[case::no_payload_must_not_increment(&[p(3), a(4), p(5)], 1, 0, 0)]
#[case::no_payload_shows_a_gap(&[p(3), a(6), p(7)], 1, 2, 0)]
// Rule 6
#[case::next(&[p(14), p(15), p(0), p(1)], 0, 0, 0)]
#[case::duplicate(&[p(0), p(0), p(1)], 0, 0, 1)]
#[case::two_duplicates(&[p(0), p(0), p(1), p(1), p(2)], 0, 0, 2)]
#[case::third_copy(&[p(0), p(0), p(0), p(1)], 1, 0, 1)]
#[case::fourth_copy(&[p(0), p(0), p(0), p(0), p(1)], 2, 0, 1)]
#[case::other_bytes(&[p(0), p(0).payload(9), p(1)], 1, 0, 0)]
#[case::other_bytes_then_their_copy(&[p(0), p(0).payload(9), p(0).payload(9), p(1)], 2, 0, 0)]
#[case::other_pcr(&[p(0).pcr(1), p(0).pcr(2), p(1)], 0, 0, 1)]
#[case::pcr_only_in_the_copy(&[p(0), p(0).pcr(2), p(1)], 1, 0, 0)]
#[case::copy_after_no_payload(&[p(0), a(0), p(0), p(1)], 1, 0, 0)]
#[case::copy_after_a_gap(&[p(0), p(5), p(5), p(6)], 1, 4, 1)]
#[case::copy_after_learning(&[p(0), p(9).discontinuity(), p(9), p(10)], 1, 0, 0)]
// Rule 7
#[case::one_lost(&[p(0), p(2)], 1, 1, 0)]
#[case::burst(&[p(0), p(15)], 1, 14, 0)]
#[case::two_gaps(&[p(0), p(2), p(3), p(6)], 2, 3, 0)]
#[case::one_back(&[p(5), p(4), p(5)], 1, 14, 0)]
#[case::sixteen_lost_is_invisible(&[p(0), p(1).payload(9), p(2)], 0, 0, 0)]
fn rules(
    #[case] packets: &[Packet],
    #[case] discontinuities: u64,
    #[case] lost: u64,
    #[case] duplicates: u64,
) {
    let counts = counts(packets);
    assert_eq!(counts.discontinuities, discontinuities);
    assert_eq!(counts.lost_packets, lost);
    assert_eq!(counts.duplicates, duplicates);
    assert_eq!(counts.packets, packets.len() as u64);
}

#[test]
fn what_is_flagged_is_counted() {
    let counts = counts(&[
        p(0).transport_error(),
        p(1).scrambled(),
        p(2).scrambled().transport_error(),
        Packet::new(NULL_PID, 0).transport_error(),
    ]);
    assert_eq!(counts.transport_errors, 3);
    assert_eq!(counts.scrambled, 2);
    assert_eq!(counts.null_packets, 1);
}

#[test]
fn two_hundred_flagged_packets_are_no_gaps() {
    let packets: Vec<_> = (0..200).map(|counter| p(counter).transport_error()).collect();
    assert_eq!(counts(&packets).discontinuities, 0);
    assert_eq!(counts(&packets).transport_errors, 200);
}

#[test]
fn pids_are_counted_by_themselves() {
    let mut muxer = Muxer::new();
    let packets: Vec<_> = (0..8_000_u16).chain(0..8_000).map(|pid| muxer.next(pid)).collect();
    let counts = analyse(&mux(&packets, PACKET));
    assert_eq!((counts.packets, counts.discontinuities), (16_000, 0));
}

fn stream(packets: usize) -> Vec<Packet> {
    let mut muxer = Muxer::new();
    (0..packets)
        .map(|n| match n % 10 {
            0 => muxer.next(0),
            5 => muxer.adaptation_only(PID),
            1 | 4 | 8 => muxer.next(PID + 1),
            _ => muxer.next(PID),
        })
        .collect()
}

#[rstest]
fn any_packet_size_cut_anywhere(
    #[values(188, 192, 204)] stride: usize,
    #[values(1, 7, 187, 188, 189, 1316)] cut: usize,
) {
    let bytes = mux(&stream(60), stride);
    let mut analyser = Analyser::default();
    for piece in bytes.chunks(cut) {
        analyser.feed(piece);
    }
    assert!(analyser.in_sync());
    assert_eq!(*analyser.counts(), Counts { packets: 60, ..Counts::default() });
}

#[rstest]
#[case::in_front(0, 1, 60, 0, 0, 0)]
// One packet seen where none is, one more before sync is lost; then all are found again.
#[case::between(20, 100, 60, 2, 1, 0)]
fn garbage(
    #[case] at: usize,
    #[case] length: usize,
    #[case] packets: u64,
    #[case] byte_errors: u64,
    #[case] losses: u64,
    #[case] discontinuities: u64,
) {
    let mut bytes = mux(&stream(60), PACKET);
    bytes.splice(at * PACKET..at * PACKET, vec![0; length]);
    let counts = analyse(&bytes);
    let expected = Counts {
        packets,
        sync_byte_errors: byte_errors,
        sync_losses: losses,
        discontinuities,
        ..Counts::default()
    };
    assert_eq!(counts, expected);
}

#[test]
fn one_wrong_sync_byte_is_no_loss_of_sync() {
    let mut packets = stream(60);
    packets[22] = packets[22].bad_sync();
    let counts = analyse(&mux(&packets, PACKET));
    assert_eq!((counts.sync_byte_errors, counts.sync_losses), (1, 0));
    assert_eq!((counts.packets, counts.discontinuities, counts.lost_packets), (59, 1, 1));
}

#[test]
fn less_than_five_packets_are_no_stream() {
    assert_eq!(analyse(&mux(&stream(4), PACKET)), Counts::default());
    assert_eq!(analyse(&[0x47; 100]), Counts::default());
}

#[test]
fn a_reset_learns_anew() {
    let packets = stream(60);
    let mut analyser = Analyser::default();
    analyser.feed(&mux(&packets[..25], PACKET));
    analyser.feed(&mux(&packets[25..26], PACKET)[..100]);
    analyser.reset();
    analyser.feed(&mux(&packets[33..], PACKET));
    assert_eq!(*analyser.counts(), Counts { packets: 52, ..Counts::default() });
}

#[rstest]
#[case::as_policy_says(true, 0, 3)]
#[case::not_looked_at(false, 3, 0)]
fn jumps_at_a_fragment_are_counted_apart(
    #[case] segment_reset: bool,
    #[case] discontinuities: u64,
    #[case] fragment_jumps: u64,
) {
    let mut analyser = Analyser::new(Policy { segment_reset });
    for fragment in [&stream(53)[..], &stream(60)[7..]] {
        analyser.segment_start();
        analyser.feed(&mux(fragment, PACKET));
    }
    let counts = analyser.counts();
    assert_eq!((counts.discontinuities, counts.fragment_jumps), (discontinuities, fragment_jumps));
}

#[test]
fn a_jump_within_a_fragment_is_none_at_its_start() {
    let packets = stream(60);
    let mut analyser = Analyser::new(Policy { segment_reset: true });
    analyser.segment_start();
    analyser.feed(&mux(&packets[..20], PACKET));
    analyser.segment_start();
    analyser.feed(&cut(&mux(&packets[20..], PACKET), PID, &[4]));
    assert_eq!((analyser.counts().discontinuities, analyser.counts().fragment_jumps), (1, 0));
}

#[test]
fn cutting_packets_out_of_a_file() {
    let file = mux(&stream(100), PACKET);
    assert_eq!(packets_per_pid(&file)[&PID], 60);
    // Without payload, a packet takes no counter: the 3rd of each 6 of this PID.
    let cut = cut(&file, PID, &[10, 11, 13, 20, 59]);
    assert_eq!(cut.len(), file.len() - 5 * PACKET);
    let counts = analyse(&cut);
    let expected = count_file(&cut);
    assert_eq!(counts.discontinuities, expected.discontinuities());
    assert_eq!(counts.lost_packets, expected.lost_packets());
    assert_eq!(expected.pids[&PID].discontinuities, expected.discontinuities());
    assert!(counts.discontinuities >= 2);
}

#[test]
fn may_be_used_on_any_thread() {
    const fn is_send<T: Send>() {}
    is_send::<Analyser>();
}

/// One packet, and what happens to it.
#[derive(Debug, Clone)]
enum Step {
    Send(u16),
    AdaptationOnly(u16),
    Lose(u16, u8),
    Repeat(u8),
    RepeatWithPcr(u8),
    Change(u8),
    Flag(u16, u8),
    Any(u16, u8, u8),
    Garbage(Vec<u8>),
    BadSync(u16),
    Fragment,
}

fn step() -> impl Strategy<Value = Step> {
    let pid = prop_oneof![Just(0_u16), Just(PID), Just(PID + 1), Just(NULL_PID)];
    prop_oneof![
        20 => pid.clone().prop_map(Step::Send),
        4 => pid.clone().prop_map(Step::AdaptationOnly),
        2 => (pid.clone(), 1..20_u8).prop_map(|(pid, lost)| Step::Lose(pid, lost)),
        3 => (1..4_u8).prop_map(Step::Repeat),
        2 => (1..4_u8).prop_map(Step::RepeatWithPcr),
        2 => any::<u8>().prop_map(Step::Change),
        2 => (pid.clone(), 0..5_u8).prop_map(|(pid, flag)| Step::Flag(pid, flag)),
        1 => (pid.clone(), any::<u8>(), any::<u8>()).prop_map(|(pid, a, b)| Step::Any(pid, a, b)),
        1 => prop::collection::vec(prop_oneof![Just(0x47_u8), any::<u8>()], 0..400).prop_map(Step::Garbage),
        1 => pid.prop_map(Step::BadSync),
        1 => Just(Step::Fragment),
    ]
}

/// The fragments that the steps make.
fn fragments(steps: &[Step], stride: usize) -> Vec<Vec<u8>> {
    let mut muxer = Muxer::new();
    let mut last = muxer.next(PID);
    let mut fragments = vec![Vec::new()];
    for step in steps {
        let mut send = vec![];
        match step {
            Step::Send(pid) => send.push(muxer.next(*pid)),
            Step::AdaptationOnly(pid) => send.push(muxer.adaptation_only(*pid)),
            Step::Lose(pid, lost) => (0..*lost).for_each(|_| _ = muxer.next(*pid)),
            Step::Repeat(times) => (0..*times).for_each(|_| send.push(last)),
            Step::RepeatWithPcr(times) => (0..=*times).for_each(|n| send.push(last.pcr(n.into()))),
            Step::Change(byte) => send.push(last.payload(*byte)),
            Step::Flag(pid, flag) => {
                let packet = muxer.next(*pid);
                send.push(match flag {
                    0 => packet.transport_error(),
                    1 => packet.scrambled(),
                    2 => packet.discontinuity(),
                    3 => packet.reserved(),
                    _ => packet.pcr(7),
                });
            }
            Step::Any(pid, header, field) => {
                let mut packet = *Packet::new(*pid, 0).bytes();
                packet[3] = *header;
                packet[4] = *field;
                packet[5] = field.rotate_left(4);
                fragments.last_mut().unwrap().extend_from_slice(&packet);
                fragments.last_mut().unwrap().extend(vec![0x11; stride - PACKET]);
            }
            Step::Garbage(bytes) => fragments.last_mut().unwrap().extend_from_slice(bytes),
            Step::BadSync(pid) => send.push(muxer.next(*pid).bad_sync()),
            Step::Fragment => fragments.push(Vec::new()),
        }
        last = send.last().copied().unwrap_or(last);
        fragments.last_mut().unwrap().extend(mux(&send, stride));
    }
    fragments
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn equals_the_second_opinion(
        steps in prop::collection::vec(step(), 0..200),
        stride in prop::sample::select(vec![188_usize, 192, 204]),
        cuts in prop::collection::vec(prop_oneof![1..20_usize, 100..2_000_usize], 1..20),
    ) {
        let fragments = fragments(&steps, stride);
        let mut analyser = Analyser::new(Policy { segment_reset: true });
        let mut cuts = cuts.iter().cycle();
        for fragment in &fragments {
            analyser.segment_start();
            let mut rest = &fragment[..];
            while !rest.is_empty() {
                let (piece, more) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                analyser.feed(piece);
                rest = more;
            }
        }
        let slices: Vec<_> = fragments.iter().map(Vec::as_slice).collect();
        let expected = count_fragments(&slices);
        let counts = analyser.counts();
        prop_assert_eq!(counts.packets, expected.packets);
        prop_assert_eq!(counts.sync_byte_errors, expected.sync_byte_errors);
        prop_assert_eq!(counts.sync_losses, expected.sync_losses);
        prop_assert_eq!(counts.discontinuities, expected.discontinuities());
        prop_assert_eq!(counts.lost_packets, expected.lost_packets());
        prop_assert_eq!(counts.fragment_jumps, expected.sum(|pid| pid.fragment_jumps));
        prop_assert_eq!(counts.duplicates, expected.sum(|pid| pid.duplicates));
        let packets = expected.sum(|pid| pid.packets);
        prop_assert_eq!(counts.packets - counts.null_packets, packets);
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(prop_oneof![Just(0x47_u8), any::<u8>()], 0..4_000)) {
        let expected = count_file(&bytes);
        prop_assert_eq!(analyse(&bytes).packets, expected.packets);
    }
}
