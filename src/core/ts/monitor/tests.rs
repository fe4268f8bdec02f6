//! Each indicator by faults put in one by one, then any faults against the second opinion.

use proptest::prelude::*;
use rstest::rstest;

use super::super::testing::{Muxer, Packet, judge_file, mux, pat_section, pmt_section, section};
use super::super::{Medium, NULL_PID, PACKET, StreamKind};
use super::*;

pub(super) const VIDEO: u16 = 0x100;
pub(super) const AUDIO: u16 = 0x101;
pub(super) const MAP: u16 = 0x20;
const CAT: u16 = 1;
/// Ticks from one packet to the next: 4 ms, 376 kbit/s.
pub(super) const EACH: u64 = 4 * 27_000;
/// 12 s.
pub(super) const PACKETS: usize = 3_000;

/// What is done to packets of a clean stream, from one on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    /// All of a PID's are missing.
    Drop(u16),
    /// They are replaced by null packets.
    Null(u16),
    /// All are missing.
    DropAll,
    Duplicate,
    Flag,
    Scramble(u16),
    /// A bit of the payload is wrong.
    Corrupt(u16),
    Announce,
    /// Clocks are so many ticks off.
    Shift(i64),
    BadSync,
    Garbage(usize),
    /// Sections are another table's.
    Table(u16, u8),
}

/// From which packet on, and for how many.
pub(super) type Faults<'f> = &'f [(usize, usize, Fault)];

/// A packet, or what is between two.
enum Piece {
    Packet(Packet),
    Garbage(usize),
}

/// What is sent with the `n`-th packet of a clean stream.
fn clean(muxer: &mut Muxer, n: usize, table: impl Fn(u16) -> Option<u8>) -> (u16, Packet) {
    let clock = 1_000 * 27_000 + n as u64 * EACH;
    let other: Vec<_> =
        [(0x1b, VIDEO), (0x0f, AUDIO)].into_iter().chain((0..50).map(|n| (6, 0x300 + n))).collect();
    let retold = |pid: u16, mut table_section: Vec<u8>| {
        if let Some(table) = table(pid) {
            table_section = section(table, 1, 0, &[7; 20]);
        }
        table_section
    };
    let pid = match n % 25 {
        0 => 0,
        1 | 2 => MAP,
        3 => CAT,
        n if n % 3 == 0 => AUDIO,
        _ => VIDEO,
    };
    let packet = muxer.next(pid);
    let packet = match (pid, n % 25) {
        (0, _) => packet.section(&retold(0, pat_section(0, &[(1, MAP)]))),
        // 250 bytes of streams do not go into one packet.
        (MAP, 1) => packet.section(&retold(MAP, pmt_section(1, VIDEO, &other))),
        (MAP, _) => packet
            .section_from(None, retold(MAP, pmt_section(1, VIDEO, &other)).get(183..).unwrap_or_default()),
        (CAT, _) => packet.section(&retold(CAT, section(1, 0xffff, 0, &[]))),
        (VIDEO, 4 | 14) => packet.clock(clock),
        (_, 5 | 7 | 9) => packet.pes(clock / 300),
        _ => packet,
    };
    (pid, packet)
}

/// The stream, with faults.
pub(super) fn stream(packets: usize, faults: Faults<'_>) -> Vec<u8> {
    let mut muxer = Muxer::new();
    let mut pieces = Vec::new();
    for n in 0..packets {
        let here = || {
            faults.iter().filter(|(from, count, _)| (*from..from + count).contains(&n)).map(|(_, _, f)| *f)
        };
        let (pid, mut packet) = clean(&mut muxer, n, |of| {
            here().find_map(|fault| match fault {
                Fault::Table(pid, table) if pid == of => Some(table),
                _ => None,
            })
        });
        let mut times = 1;
        for fault in here() {
            match fault {
                Fault::Drop(of) => times *= usize::from(pid != of),
                Fault::Null(of) if of == pid => packet = Packet::new(NULL_PID, 0),
                Fault::DropAll => times = 0,
                Fault::Duplicate => times *= 2,
                Fault::Flag => packet = packet.transport_error(),
                Fault::Scramble(of) if of == pid => packet = packet.scrambled(),
                Fault::Corrupt(of) if of == pid => packet = packet.corrupt(14),
                Fault::Announce if pid == VIDEO => packet = packet.discontinuity(),
                Fault::Shift(ticks) if packet.bytes()[3] & 0x20 != 0 => {
                    let clock = 1_000 * 27_000 + n as u64 * EACH;
                    packet = packet.clock(clock.checked_add_signed(ticks).unwrap());
                }
                Fault::BadSync => packet = packet.bad_sync(),
                Fault::Garbage(bytes) => pieces.push(Piece::Garbage(bytes)),
                _ => {}
            }
        }
        (0..times).for_each(|_| pieces.push(Piece::Packet(packet)));
    }
    let mut bytes = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Packet(packet) => bytes.extend_from_slice(&mux(&[packet], PACKET)),
            Piece::Garbage(length) => bytes.extend(vec![0x11; length]),
        }
    }
    bytes
}

fn judge(stream: &[u8]) -> Indicators {
    let mut monitor = Monitor::new(Clock::Pcr);
    monitor.feed(stream);
    monitor.indicators()
}

const NONE: Indicators = Indicators {
    ts_sync_loss: 0,
    sync_byte_error: 0,
    pat_error_2: 0,
    continuity_count_error: 0,
    pmt_error_2: 0,
    pid_error: 0,
    transport_error: 0,
    crc_error: 0,
    pcr_repetition_error: 0,
    pcr_discontinuity_indicator_error: 0,
    pcr_accuracy_error: 0,
    pts_error: 0,
    cat_error: 0,
};

#[rstest]
#[case::clean(&[], NONE)]
#[case::one_packet_lost(&[(100, 1, Fault::DropAll)], Indicators { continuity_count_error: 1, ..NONE })]
// 20 PATs are 2 s; the counter goes on by 20, so one gap.
#[case::no_pat(&[(500, 500, Fault::Drop(0))], Indicators { pat_error_2: 1, continuity_count_error: 1, ..NONE })]
#[case::never_a_pat(&[(0, 3_000, Fault::Drop(0))], Indicators { pat_error_2: 1, ..NONE })]
#[case::four_pats_missing_are_exactly_half_a_second(&[(500, 100, Fault::Drop(0))], Indicators { continuity_count_error: 1, ..NONE })]
#[case::five_are_more(&[(500, 125, Fault::Drop(0))], Indicators { pat_error_2: 1, continuity_count_error: 1, ..NONE })]
#[case::another_table_for_the_pat(&[(500, 50, Fault::Table(0, 0x42))], Indicators { pat_error_2: 2, ..NONE })]
#[case::a_scrambled_pat(&[(500, 25, Fault::Scramble(0))], Indicators { pat_error_2: 1, ..NONE })]
#[case::no_pmt(&[(500, 250, Fault::Drop(MAP))], Indicators { pmt_error_2: 1, continuity_count_error: 1, ..NONE })]
#[case::never_a_pmt(&[(0, 3_000, Fault::Drop(MAP))], Indicators { pmt_error_2: 1, ..NONE })]
// Both of its packets.
#[case::a_scrambled_pmt(&[(500, 25, Fault::Scramble(MAP))], Indicators { pmt_error_2: 2, ..NONE })]
#[case::sound_away_for_6_s(&[(500, 1_500, Fault::Drop(AUDIO))], Indicators { pid_error: 1, pts_error: 1, continuity_count_error: 1, ..NONE })]
#[case::sound_away_for_4_s(&[(500, 1_000, Fault::Drop(AUDIO))], Indicators { pts_error: 1, continuity_count_error: 1, ..NONE })]
#[case::flagged(&[(500, 3, Fault::Flag)], Indicators { transport_error: 3, ..NONE })]
#[case::a_wrong_section(&[(500, 1, Fault::Corrupt(0))], Indicators { crc_error: 1, ..NONE })]
// Both packets of a map: one section.
#[case::a_wrong_long_section(&[(500, 25, Fault::Corrupt(MAP))], Indicators { crc_error: 1, ..NONE })]
// One of ten PCRs, and one of fifteen: 40 ms and 60 ms between them.
#[case::a_clock_missing_for_exactly_100_ms(&[(514, 1, Fault::DropAll)], Indicators { continuity_count_error: 1, ..NONE })]
#[case::a_clock_missing_for_200_ms(&[(500, 50, Fault::Drop(VIDEO))], Indicators { pcr_repetition_error: 1, pcr_discontinuity_indicator_error: 1, continuity_count_error: 1, ..NONE })]
#[case::a_jump(&[(1_000, 2_000, Fault::Shift(5 * 27_000_000))], Indicators { pcr_discontinuity_indicator_error: 1, ..NONE })]
#[case::a_jump_back(&[(1_000, 2_000, Fault::Shift(-27_000_000 / 2))], Indicators { pcr_discontinuity_indicator_error: 1, ..NONE })]
#[case::one_clock_a_microsecond_off(&[(1_004, 1, Fault::Shift(27))], Indicators { pcr_accuracy_error: 1, ..NONE })]
#[case::one_clock_half_of_that(&[(1_004, 1, Fault::Shift(13))], NONE)]
#[case::no_cat_but_nothing_scrambled(&[(0, 3_000, Fault::Drop(CAT))], NONE)]
#[case::no_cat(&[(0, 3_000, Fault::Drop(CAT)), (1_000, 100, Fault::Scramble(AUDIO))], Indicators { cat_error: 1, ..NONE })]
#[case::a_cat(&[(1_000, 100, Fault::Scramble(AUDIO))], NONE)]
#[case::another_table_for_the_cat(&[(500, 50, Fault::Table(CAT, 0x42))], Indicators { cat_error: 2, ..NONE })]
#[case::wrong_sync(&[(500, 1, Fault::BadSync)], Indicators { sync_byte_error: 1, continuity_count_error: 1, ..NONE })]
#[case::lost_sync(&[(503, 1, Fault::Garbage(100))], Indicators { sync_byte_error: 2, ts_sync_loss: 1, ..NONE })]
fn every_fault_has_its_indicator(#[case] faults: Faults<'_>, #[case] expected: Indicators) {
    let stream = stream(PACKETS, faults);
    assert_eq!(judge(&stream), expected);
    let second = Indicators { pcr_accuracy_error: expected.pcr_accuracy_error, ..judge_file(&stream) };
    assert_eq!(second, expected, "the second opinion");
}

#[test]
fn duplicates_are_no_errors_and_clocks_in_them_none_either() {
    let stream = stream(PACKETS, &[(500, 30, Fault::Duplicate)]);
    let mut monitor = Monitor::new(Clock::Pcr);
    monitor.feed(&stream);
    assert_eq!(monitor.counts().duplicates, 30);
    let Indicators { pcr_accuracy_error, .. } = monitor.indicators();
    assert_eq!(monitor.indicators(), Indicators { pcr_accuracy_error, ..NONE });
}

#[test]
fn an_announced_jump_is_none() {
    let faults = [(1_000, 2_000, Fault::Shift(5 * 27_000_000)), (1_000, 8, Fault::Announce)];
    let found = judge(&stream(PACKETS, &faults));
    assert_eq!(found.pcr_discontinuity_indicator_error, 0);
}

#[test]
fn pids_and_rate_are_told() {
    let mut monitor = Monitor::new(Clock::Pcr);
    monitor.feed(&stream(PACKETS, &[(1_000, 100, Fault::Scramble(AUDIO)), (2_000, 1, Fault::DropAll)]));
    assert_eq!(monitor.bitrate().map(|rate| rate / 1_000), Some(375), "one of 3000 packets is missing");
    assert_eq!(monitor.duration().as_millis(), 11_940, "from the first reference to the last");
    assert_eq!(monitor.stride(), Some(188));
    let pids = monitor.pids();
    assert_eq!(pids.len(), 5 + 50, "those that are named only, too");
    let find = |pid: u16| *pids.iter().find(|report| report.pid == pid).unwrap();
    assert_eq!(find(0).role, Role::Pat);
    assert_eq!((find(0).packets, find(0).discontinuities), (119, 1));
    assert_eq!(find(MAP).role, Role::Pmt { programme: 1 });
    let Role::Stream { programme: 1, kind } = find(VIDEO).role else { panic!("{:?}", find(VIDEO)) };
    assert_eq!((kind.name, find(VIDEO).has_pcr, find(AUDIO).has_pcr), ("H.264", true, false));
    assert_eq!((find(AUDIO).scrambled, find(0x300).packets), (28, 0));
    let packets: u64 = pids.iter().map(|report| report.packets).sum();
    assert_eq!(packets, monitor.counts().packets);
}

#[test]
fn intervals_are_measured_on_arrival_too() {
    let bytes = stream(PACKETS, &[]);
    let mut monitor = Monitor::new(Clock::Arrival);
    let mut now = Duration::from_secs(77);
    // Ten packets in each datagram, when they are due; then nothing for 6 s, and on.
    for (n, datagram) in bytes.chunks(10 * PACKET).enumerate() {
        now += Duration::from_millis(if n == 150 { 6_000 } else { 40 });
        monitor.arrive(now);
        monitor.feed(datagram);
    }
    let expected = Indicators {
        pat_error_2: 1,
        pmt_error_2: 1,
        pid_error: 2,
        pcr_repetition_error: 1,
        pts_error: 2,
        ..NONE
    };
    assert_eq!(monitor.indicators(), expected);
    monitor.arrive(now + Duration::from_secs(1));
    assert_eq!(monitor.indicators().pat_error_2, 2, "silence is told while it lasts");
    monitor.arrive(now + Duration::from_secs(4));
    assert_eq!(monitor.indicators().pat_error_2, 2, "once");
}

#[test]
fn tables_may_change() {
    let mut muxer = Muxer::new();
    let mut packets = Vec::new();
    for n in 0..20_u8 {
        let map = if n < 10 { 0x20 } else { 0x21 };
        let streams = if n < 5 { [(0x1b, VIDEO)] } else { [(0x02, AUDIO)] };
        packets.push(muxer.next(0).section(&pat_section(n / 10, &[(1, map)])));
        packets.push(muxer.next(map).section(&pmt_section(1, VIDEO, &streams)));
        packets.push(muxer.next(0x20));
    }
    let mut monitor = Monitor::new(Clock::Pcr);
    monitor.feed(&mux(&packets, PACKET));
    let roles: Vec<_> = monitor.pids().iter().map(|report| (report.pid, report.role)).collect();
    let kind = StreamKind { stream_type: 2, medium: Medium::Video, name: "MPEG-2 video" };
    let expected = [
        (0, Role::Pat),
        (0x20, Role::Unknown),
        (0x21, Role::Pmt { programme: 1 }),
        (VIDEO, Role::Unknown),
        (AUDIO, Role::Stream { programme: 1, kind }),
    ];
    assert_eq!(roles, expected);
    assert_eq!(monitor.indicators(), NONE);
}

fn fault() -> impl Strategy<Value = Fault> {
    let pid = || prop::sample::select(vec![0, CAT, MAP, VIDEO, AUDIO]);
    prop_oneof![
        pid().prop_map(Fault::Drop),
        Just(Fault::DropAll),
        Just(Fault::Duplicate),
        Just(Fault::Flag),
        pid().prop_map(Fault::Scramble),
        pid().prop_map(Fault::Corrupt),
        Just(Fault::Announce),
        (-20_000_000..200_000_000_i64).prop_map(Fault::Shift),
        Just(Fault::BadSync),
        (1..400_usize).prop_map(Fault::Garbage),
        (prop::sample::select(vec![0, CAT, MAP]), 0x40..0x44_u8)
            .prop_map(|(pid, table)| Fault::Table(pid, table)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn equals_the_second_opinion(
        faults in prop::collection::vec((0..PACKETS, prop_oneof![1..4_usize, 1..60_usize, 100..1_500_usize], fault()), 0..6),
        cuts in prop::collection::vec(prop_oneof![1..20_usize, 100..2_000_usize, 10_000..60_000_usize], 1..20),
    ) {
        let stream = stream(PACKETS, &faults);
        let mut monitor = Monitor::new(Clock::Pcr);
        let (mut cuts, mut rest) = (cuts.iter().cycle(), &stream[..]);
        while !rest.is_empty() {
            let (piece, more) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            monitor.feed(piece);
            rest = more;
        }
        let found = Indicators { pcr_accuracy_error: 0, ..monitor.indicators() };
        prop_assert_eq!(found, judge_file(&stream));
        let mut continuity = super::super::Analyser::default();
        continuity.feed(&stream);
        prop_assert_eq!(continuity.counts(), monitor.counts());
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(prop_oneof![Just(0x47_u8), any::<u8>()], 0..4_000)) {
        _ = judge(&bytes);
    }
}
