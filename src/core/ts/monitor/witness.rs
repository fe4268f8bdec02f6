//! An outside witness: the crate `dvb-conformance`, on what it judges by the same rules.
//!
//! It is given packets with their times, so what is missing is replaced by null packets. Left out are:
//!
//! * legal and illegal duplicates that differ: it compares their counters alone;
//! * 2.6: it does not wait for a CAT at all;
//! * 1.3a by the table: it takes any packet on PID 0 for a PAT that has come;
//! * 1.6 on PIDs of neither pictures nor sound, which it judges too;
//! * 2.4, which its version for this compiler does not have.

use std::collections::BTreeMap;

use dvb_conformance::{ConformanceMonitor, Indicator};
use rstest::rstest;

use super::tests::{AUDIO, EACH, Fault, Faults, MAP, PACKETS, VIDEO, stream};
use super::*;
use crate::ts::PACKET;

fn witness(stream: &[u8]) -> BTreeMap<&'static str, u64> {
    let mut monitor = ConformanceMonitor::new();
    let mut found = BTreeMap::new();
    for (packet, n) in stream.chunks(PACKET).zip(0_u64..) {
        for event in monitor.feed(packet, Duration::from_nanos(n * EACH * 1000 / 27)) {
            let is_ours = event.indicator != Indicator::PidError || matches!(event.pid, Some(VIDEO | AUDIO));
            // It judges intervals of service information as well.
            if is_ours && event.indicator != Indicator::SiRepetitionError {
                *found.entry(event.indicator.name()).or_default() += 1;
            }
        }
    }
    found
}

#[rstest]
#[case::clean(&[], &[])]
#[case::lost(&[(100, 1, Fault::Null(VIDEO)), (300, 5, Fault::Null(VIDEO))], &["Continuity_count_error"])]
#[case::duplicates(&[(500, 1, Fault::Duplicate), (700, 1, Fault::Duplicate)], &[])]
#[case::no_pat(&[(500, 500, Fault::Null(0))], &["Continuity_count_error", "PAT_error_2"])]
#[case::never_a_pat(&[(0, PACKETS, Fault::Null(0))], &["PAT_error_2"])]
#[case::a_scrambled_pat(&[(500, 25, Fault::Scramble(0))], &["PAT_error_2"])]
#[case::no_pmt(&[(500, 250, Fault::Null(MAP))], &["Continuity_count_error", "PMT_error_2"])]
#[case::no_sound(&[(500, 1_500, Fault::Null(AUDIO))], &["Continuity_count_error", "PID_error", "PTS_error"])]
#[case::flagged(&[(503, 3, Fault::Flag)], &["Transport_error"])]
#[case::a_wrong_section(&[(500, 25, Fault::Corrupt(MAP)), (700, 1, Fault::Corrupt(0))], &["CRC_error"])]
#[case::clocks_missing(
    &[(500, 50, Fault::Null(VIDEO))],
    &["Continuity_count_error", "PCR_discontinuity_indicator_error", "PCR_repetition_error"]
)]
#[case::a_clock_that_jumps(&[(1_000, 2_000, Fault::Shift(5 * 27_000_000))], &["PCR_discontinuity_indicator_error"])]
#[case::wrong_sync(&[(504, 1, Fault::BadSync)], &["Continuity_count_error", "Sync_byte_error"])]
fn the_witness_says_the_same(#[case] faults: Faults<'_>, #[case] indicators: &[&str]) {
    let stream = stream(PACKETS, faults);
    let mut monitor = Monitor::new(Clock::Pcr);
    monitor.feed(&stream);
    let found = monitor.indicators().named();
    let found: BTreeMap<_, _> =
        found.into_iter().filter(|(.., count)| *count > 0).map(|(_, name, count)| (name, count)).collect();
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), indicators);
    let mut theirs = witness(&stream);
    // A scrambled packet before a CAT is an error of another kind to it, at once; see above.
    theirs.remove("CAT_error");
    assert_eq!(found, theirs);
}
