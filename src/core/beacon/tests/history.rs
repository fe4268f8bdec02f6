//! Random histories of a session: what viewers, networks and careless players come up with.

use proptest::prelude::*;

use super::harness::*;
use crate::player::{
    AdPhase, AdStatus, Buffering, Counters, Frames, Measures, Seek, SeekPhase, SessionEvent, Share,
    SwitchReason, Window,
};

/// Something told, after a while, and some time after it happened.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) after: u64,
    pub(super) late: u64,
    pub(super) event: SessionEvent,
}

/// How many cases a test runs: as many as asked for by `PROPTEST_CASES`, else `usual`.
pub(super) fn cases(usual: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: asked.unwrap_or(usual), ..ProptestConfig::default() }
}

pub(super) fn steps(late: u64) -> impl Strategy<Value = Vec<Step>> {
    let step = (gap(), 0..=late, event()).prop_map(|(after, late, event)| Step { after, late, event });
    prop::collection::vec(step, 0..40)
}

fn gap() -> impl Strategy<Value = u64> {
    // The limits that the engine knows, to the millisecond: half a second, the grid of samples and of lines.
    let limits = prop::sample::select(vec![400, 450, 500, 501, 1000, 10_000, 30_000, 30_001]);
    prop_oneof![3 => 0..30_u64, 6 => 30..3000_u64, 2 => 3000..45_000_u64, 3 => limits]
}

fn event() -> impl Strategy<Value = SessionEvent> {
    prop_oneof![
        4 => Just(PLAY),
        2 => Just(PAUSE),
        3 => Just(SessionEvent::FirstFrame),
        6 => prop_oneof![Just(0), Just(50), Just(100), Just(100)]
            .prop_map(|percent| SessionEvent::Buffering(Buffering { percent })),
        3 => seek_event(SeekPhase::Start),
        4 => seek_event(SeekPhase::End),
        4 => prop::sample::select(vec![0, 800_000, 1_499_999, 1_500_000, 2_400_000, 6_000_000]).prop_map(rate),
        2 => prop::collection::vec(
            prop::sample::select(vec![
                SwitchReason::Bandwidth,
                SwitchReason::Frames,
                SwitchReason::Buffer,
                SwitchReason::Other,
            ]),
            0..3,
        )
        .prop_map(|reasons| switching(&reasons)),
        4 => (0..50_u64, 0..1_000_000_u64, prop::option::of(0..600_u64), prop::option::of(0..5000_u64)).prop_map(
            |(dropped, bytes, fps, buffer)| SessionEvent::Counters(Counters {
                video: Frames { dropped, ..Frames::default() },
                bytes,
                fps: fps.map(|fps| f64::from(u32::try_from(fps).unwrap()) / 10.0),
                buffer,
                duration: Some(DURATION),
                ..Counters::default()
            })
        ),
        2 => (0..3_u8, 0..3_u8).prop_map(|(phase, id)| {
            let phase = [AdPhase::Load, AdPhase::Start, AdPhase::End][usize::from(phase)];
            let status = (phase == AdPhase::End).then_some(AdStatus::Skipped);
            ad(phase, ["", "1", "2"][usize::from(id)], |ad| ad.status = status)
        }),
        1 => any::<bool>().prop_map(|on| SessionEvent::Window(Window { full_screen: Some(on), ..Window::default() })),
        1 => Just(SessionEvent::Share(Share { key: "fbs".into() })),
        1 => (1..9_000_000_u64, 0..20_u32).prop_map(|(throughput, delay)| SessionEvent::Measures(Measures {
            throughput: Some(throughput),
            live_delay: Some(f64::from(delay) / 8.0),
            encoded_fps: Some(25.0),
            ..Measures::default()
        })),
    ]
}

/// Ten minutes in ms.
pub(super) const DURATION: u64 = 600_000;

fn seek_event(phase: SeekPhase) -> impl Strategy<Value = SessionEvent> {
    let rate = prop::sample::select(vec![1.0, 1.0, 1.0, 2.0, -4.0, 0.5]);
    let position =
        || prop_oneof![3 => 0..DURATION, 1 => prop::sample::select(vec![0, 30_000, 60_000, 599_999])];
    (position(), position(), rate).prop_map(move |(from, to, rate)| {
        SessionEvent::Seek(Seek { phase, from: Some(from), to: Some(to), rate })
    })
}
