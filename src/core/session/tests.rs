use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::player::{
    Bitrate, Buffering, Counters, Frames, PlayerError, PlayerState, Seek, SeekPhase, SessionEvent as E, Tags,
};

const PEER: Peer = Peer(1);
const OTHER: Peer = Peer(2);

/// Sessions whose time is moved by hand.
#[derive(Default)]
struct Harness {
    sessions: Sessions,
    now: Millis,
}

impl Harness {
    fn at(&mut self, now: u64) -> &mut Self {
        self.now = Millis(now);
        self
    }

    fn tell(&mut self, peer: Peer, session: &str, event: E) -> Result<(), Reject> {
        let message = Message { at: self.now, event: Event::Session(id(session), event) };
        self.sessions.handle_message(self.now, peer, message)
    }

    fn ok(&mut self, event: E) -> &mut Self {
        self.tell(PEER, "a", event).unwrap();
        self
    }

    /// A session that opened at 1000 and has played since 2000.
    fn playing() -> Self {
        let mut this = Self::default();
        this.at(1000).ok(open("udp://239.0.0.1:1234"));
        this.at(2000).ok(E::State(PlayerState::Playing)).ok(E::FirstFrame);
        this
    }

    fn live(&self) -> Snapshot {
        self.sessions.live(self.now).next().expect("a session is open")
    }

    fn closed(&mut self) -> Snapshot {
        self.sessions.poll_snapshot().expect("a session was closed")
    }
}

fn id(text: &str) -> SessionId {
    SessionId::try_new(text).unwrap()
}

fn open(url: &str) -> E {
    E::Open(Open { url: url.into(), proto: "iptv".into(), id: "233".into() })
}

fn percent(percent: u8) -> E {
    E::Buffering(Buffering { percent })
}

fn seek(phase: SeekPhase) -> E {
    E::Seek(Seek { phase, from: Some(0), to: Some(60_000), rate: 1.0 })
}

fn rate(bitrate: u64) -> E {
    E::Bitrate(Bitrate { bitrate, width: None, height: None })
}

fn decoded(decoded: u64, bytes: u64) -> E {
    E::Counters(Counters { video: Frames { decoded, ..Frames::default() }, bytes, ..Counters::default() })
}

const PLAY: E = E::State(PlayerState::Playing);
const PAUSE: E = E::State(PlayerState::Paused);
const STOP: E = E::Close(CloseReason::Stop);

#[test]
fn a_plain_playback() {
    let mut b = Harness::playing();
    b.at(2500).ok(decoded(12, 250_000));
    b.at(12_000).ok(decoded(250, 5_000_000)).ok(STOP);
    let s = b.closed();
    assert_eq!((s.opened, s.first_frame, s.at), (Millis(1000), Some(Millis(2000)), Millis(12_000)));
    assert_eq!(
        (s.totals.join, s.totals.startup, s.totals.playing),
        (Some(Millis(1000)), Millis(1000), Millis(10_000))
    );
    assert_eq!(s.avg_bitrate(), 4_000_000);
    assert_eq!(s.counts.video.decoded, 250);
    assert_eq!(s.closed, Some(CloseReason::Stop));
    assert_eq!((s.totals.rebuffers, s.totals.seeks, s.totals.pauses), (0, 0, 0));
    assert!(b.sessions.poll_snapshot().is_none());
}

#[test]
fn a_failed_start_is_reported_from_its_attempt() {
    let mut b = Harness::default();
    b.at(1000).ok(open("http://x/404"));
    b.at(1200).ok(E::Error(PlayerError {
        code: "http-404".into(),
        message: "Not Found".into(),
        fatal: true,
    }));
    b.ok(E::Close(CloseReason::Error));
    let s = b.closed();
    assert_eq!((s.begin(), s.at, s.first_frame), (Millis(1000), Millis(1200), None));
    assert_eq!((s.totals.startup, s.avg_bitrate()), (Millis(200), 0));
    assert_eq!(s.error.unwrap().code, "http-404");
}

#[test]
fn start_up_buffering_is_no_rebuffer() {
    let mut b = Harness::default();
    b.at(0).ok(open("http://x/a.m3u8"));
    b.at(100).ok(E::FirstFrame).ok(percent(10));
    b.at(600).ok(PLAY);
    assert_eq!(b.live().phase, Phase::Startup);
    b.at(900).ok(percent(100));
    assert_eq!(b.live().phase, Phase::Playing);
    b.at(1900).ok(STOP);
    let s = b.closed();
    assert_eq!((s.totals.startup, s.totals.playing, s.totals.rebuffers), (Millis(900), Millis(1000), 0));
    assert_eq!(s.totals.join, Some(Millis(100)));
}

#[test]
fn a_rebuffer_is_counted_once_however_often_it_is_told() {
    let mut b = Harness::playing();
    for (at, level) in [(3000, 90), (3100, 10), (3500, 10), (4000, 99), (4500, 100), (4600, 100)] {
        b.at(at).ok(percent(level));
    }
    b.at(5000).ok(STOP);
    let t = b.closed().totals;
    assert_eq!((t.rebuffers, t.rebuffering, t.playing), (1, Millis(1500), Millis(1500)));
}

#[test]
fn a_pause_in_a_rebuffer_does_not_make_it_two() {
    let mut b = Harness::playing();
    b.at(3000).ok(percent(0));
    b.at(3100).ok(PAUSE);
    b.at(3600).ok(PLAY);
    b.at(3700).ok(percent(100));
    b.at(3800).ok(STOP);
    let t = b.closed().totals;
    assert_eq!((t.rebuffers, t.rebuffering, t.paused, t.pauses), (1, Millis(200), Millis(500), 1));
}

#[test]
fn what_a_seek_empties_is_no_rebuffer() {
    let mut b = Harness::playing();
    b.at(3000).ok(seek(SeekPhase::Start)).ok(percent(0));
    b.at(3400).ok(seek(SeekPhase::End));
    b.at(3900).ok(percent(100));
    b.at(4000).ok(STOP);
    let t = b.closed().totals;
    assert_eq!((t.seeks, t.seeking, t.rebuffers, t.playing), (1, Millis(900), 0, Millis(1100)));
}

#[test]
fn a_seek_out_of_a_rebuffer_ends_it() {
    let mut b = Harness::playing();
    b.at(3000).ok(percent(0));
    b.at(3300).ok(seek(SeekPhase::Start));
    b.at(3500).ok(seek(SeekPhase::End)).ok(percent(100));
    b.at(3600).ok(STOP);
    let t = b.closed().totals;
    assert_eq!((t.rebuffers, t.rebuffering, t.seeking), (1, Millis(300), Millis(200)));
}

#[test]
fn a_seek_storm_counts_each_seek_and_its_time_once() {
    let mut b = Harness::playing();
    for at in (3000..4000).step_by(10) {
        b.at(at).ok(seek(SeekPhase::Start));
    }
    b.at(4500).ok(seek(SeekPhase::End)).ok(seek(SeekPhase::End));
    b.at(5000).ok(STOP);
    let t = b.closed().totals;
    assert_eq!((t.seeks, t.seeking, t.playing), (100, Millis(1500), Millis(1500)));
}

#[test]
fn hours_of_pause_are_pause() {
    const HOURS: u64 = 7 * 3_600_000;
    let mut b = Harness::playing();
    b.at(3000).ok(decoded(25, 500_000)).ok(PAUSE).ok(PAUSE);
    b.at(3000 + HOURS).ok(PLAY);
    b.at(4000 + HOURS).ok(STOP);
    let s = b.closed();
    assert_eq!((s.totals.paused, s.totals.playing, s.totals.pauses), (Millis(HOURS), Millis(2000), 1));
    assert_eq!(s.avg_bitrate(), 2_000_000);
}

#[test]
fn bit_rates_are_weighed_by_the_time_they_played() {
    let mut b = Harness::playing();
    b.ok(rate(1_000_000));
    b.at(5000).ok(rate(4_000_000));
    b.at(5500).ok(PAUSE);
    b.at(9000).ok(PLAY).ok(rate(1_000_000));
    b.at(9500).ok(rate(1_000_000));
    b.at(10_000).ok(STOP);
    let t = b.closed().totals;
    assert_eq!((t.switches_up, t.switches_down), (1, 1));
    assert_eq!(
        t.rates,
        [
            RateTime { bitrate: 1_000_000, played: Millis(4000) },
            RateTime { bitrate: 4_000_000, played: Millis(500) }
        ]
    );
    assert_eq!(t.avg_nominal_bitrate(), (4_000_000 + 2_000_000) * 1000 / 4500);
}

#[test]
fn time_with_more_rates_than_are_kept_apart_still_counts_in_the_average() {
    let mut b = Harness::playing();
    for n in 0..100_u64 {
        b.at(2000 + n * 10).ok(rate(1000 + n));
    }
    b.at(3000).ok(STOP);
    let t = b.closed().totals;
    assert_eq!((t.rates.len(), t.rated), (32, Millis(1000)));
    assert_eq!(t.rate_time, (0..100_u64).map(|n| (1000 + n) * 10).sum::<u64>());
}

#[test]
fn a_replaced_decoder_does_not_take_its_frames_along() {
    let mut b = Harness::playing();
    b.at(3000).ok(decoded(25, 1000));
    b.at(3500).ok(decoded(5, 1200));
    b.at(4000).ok(decoded(20, 1400)).ok(STOP);
    let c = b.closed().counts;
    assert_eq!((c.video.decoded, c.bytes), (45, 1400));
}

#[test]
fn another_url_without_a_stop_is_another_session() {
    let mut b = Harness::playing();
    b.at(3000).ok(decoded(25, 1000)).ok(open("udp://239.0.0.2:1234"));
    b.at(3100).ok(PLAY).ok(E::FirstFrame).ok(decoded(2, 80));
    b.at(4000).ok(STOP);
    let (first, second) = (b.closed(), b.closed());
    assert_eq!((first.closed, first.counts.video.decoded), (Some(CloseReason::Replaced), 25));
    assert_eq!((second.open.url.as_str(), second.counts.video.decoded), ("udp://239.0.0.2:1234", 2));
    assert_eq!((second.opened, second.totals.join), (Millis(3000), Some(Millis(100))));
}

#[test]
fn the_same_url_told_again_changes_nothing() {
    let mut b = Harness::playing();
    b.at(3000).ok(open("udp://239.0.0.1:1234"));
    assert_eq!(b.live().opened, Millis(1000));
    assert!(b.sessions.poll_snapshot().is_none());
}

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let mut b = Harness::default();
    assert_eq!(b.tell(PEER, "a", STOP), Err(Reject::NotOpen));
    b.at(1000).ok(open("x"));
    let before = b.live();
    assert_eq!(b.tell(OTHER, "a", STOP), Err(Reject::Foreign));
    assert_eq!(b.tell(OTHER, "a", open("y")), Err(Reject::Foreign));
    assert_eq!(b.tell(PEER, "a", percent(101)), Err(Reject::OutOfRange("percent")));
    assert_eq!(b.tell(PEER, "a", E::Close(CloseReason::PlayerGone)), Err(Reject::Reason));
    let fps = Counters { fps: Some(f64::NAN), ..Counters::default() };
    assert_eq!(b.tell(PEER, "a", E::Counters(fps)), Err(Reject::OutOfRange("fps")));
    assert_eq!(b.live(), before);
    assert!(b.sessions.poll_snapshot().is_none());
}

#[test]
fn one_connection_cannot_open_without_end() {
    let mut b = Harness::default();
    for n in 0..MAX_SESSIONS_PER_PEER {
        b.tell(PEER, &format!("s{n}"), open("x")).unwrap();
    }
    assert_eq!(b.tell(PEER, "one more", open("x")), Err(Reject::TooMany));
    b.tell(OTHER, "one more", open("x")).unwrap();
}

#[test]
fn a_killed_player_ends_its_own_sessions_alone() {
    let mut b = Harness::playing();
    b.tell(PEER, "b", open("second pipeline")).unwrap();
    b.tell(OTHER, "c", open("other player")).unwrap();
    b.at(5000);
    b.sessions.handle_disconnect(Millis(5000), PEER);
    let ended = [b.closed(), b.closed()].map(|s| (s.id.to_string(), s.closed, s.at));
    let gone = Some(CloseReason::PlayerGone);
    assert_eq!(ended, [("a".to_owned(), gone, Millis(5000)), ("b".to_owned(), gone, Millis(5000))]);
    assert!(b.sessions.poll_snapshot().is_none());
    assert_eq!(b.live().id.as_str(), "c");
}

#[test]
fn stopping_the_daemon_closes_every_session() {
    let mut b = Harness::playing();
    b.tell(OTHER, "b", open("x")).unwrap();
    b.sessions.handle_stop(Millis(9000));
    let reasons = [b.closed().closed, b.closed().closed];
    assert_eq!(reasons, [Some(CloseReason::AgentStop); 2]);
    assert_eq!(b.sessions.live(Millis(9000)).count(), 0);
}

fn slept(from: u64, to: u64) -> Sleep {
    Sleep { from: Millis(from), to: Millis(to) }
}

#[test]
fn a_long_sleep_ends_every_session_where_it_began() {
    let mut b = Harness::playing();
    b.tell(OTHER, "b", open("x")).unwrap();
    b.at(5000).ok(decoded(75, 700_000));
    b.sessions.handle_sleep(&slept(5400, 8 * 3_600_000));
    let ended = [b.closed(), b.closed()];
    assert_eq!(ended.each_ref().map(|s| s.closed), [Some(CloseReason::Suspended); 2]);
    assert_eq!((ended[0].at, ended[0].totals.playing), (Millis(5400), Millis(3400)));
    assert!(b.sessions.is_empty());

    // It plays on, as the same player would tell a new daemon: from zero.
    b.at(8 * 3_600_000 + 100).ok(open("udp://239.0.0.1:1234")).ok(PLAY).ok(decoded(75, 700_000));
    b.at(8 * 3_600_000 + 2100).ok(decoded(125, 1_000_000)).ok(STOP);
    let s = b.closed();
    assert_eq!((s.begin(), s.counts.video.decoded, s.counts.bytes), (Millis(28_800_100), 50, 300_000));
    assert_eq!(s.totals.playing, Millis(2000));
}

#[rstest]
#[case::played(&[], (3000, 20_000, 0, 0), 1)]
#[case::waited(&[percent(0)], (0, 20_000, 3000, 0), 1)]
#[case::was_seeking(&[seek(SeekPhase::Start)], (0, 20_000, 0, 3000), 1)]
#[case::had_paused(&[PAUSE], (0, 23_000, 0, 0), 1)]
fn through_a_short_sleep_a_session_pauses(
    #[case] doing: &[E],
    #[case] spent: (u64, u64, u64, u64),
    #[case] pauses: u64,
) {
    let mut b = Harness::playing();
    b.at(2000);
    for event in doing {
        b.ok(event.clone());
    }
    b.sessions.handle_sleep(&slept(4000, 24_000));
    b.at(25_000).ok(STOP);
    let t = b.closed().totals;
    let times = (t.playing, t.paused, t.rebuffering, t.seeking);
    let (playing, paused, rebuffering, seeking) = spent;
    assert_eq!(times, (Millis(playing), Millis(paused), Millis(rebuffering), Millis(seeking)));
    assert_eq!(t.pauses, pauses);
}

#[rstest]
#[case::short(1000)]
#[case::long(600_000)]
fn what_was_opened_after_a_sleep_is_left_alone(#[case] length: u64) {
    let mut b = Harness::default();
    b.at(700_000).ok(open("x")).ok(PLAY).ok(E::FirstFrame);
    // Nobody has looked for a while.
    b.sessions.handle_sleep(&slept(5000, 5000 + length));
    b.at(701_000).ok(STOP);
    let s = b.closed();
    assert_eq!((s.closed, s.totals.playing, s.totals.pauses), (Some(CloseReason::Stop), Millis(1000), 0));
}

#[test]
fn what_had_not_begun_when_the_box_slept_a_moment_is_still_beginning() {
    let mut b = Harness::default();
    b.at(1000).ok(open("x")).ok(PLAY);
    b.sessions.handle_sleep(&slept(2000, 4000));
    b.at(5000).ok(E::FirstFrame).ok(STOP);
    let t = b.closed().totals;
    assert_eq!((t.join, t.startup, t.pauses), (Some(Millis(4000)), Millis(4000), 0));
}

#[test]
fn a_restarted_daemon_goes_on_where_the_old_one_was() {
    let mut old = Harness::playing();
    old.ok(rate(2_000_000));
    old.at(3000).ok(percent(0));
    old.at(3500).ok(percent(100));
    old.at(4000).ok(decoded(50, 500_000));
    let known = old.live();

    let mut new = Harness::default();
    new.at(1000).ok(open("udp://239.0.0.1:1234"));
    new.at(4200).ok(E::Resume(known.totals)).ok(PLAY).ok(decoded(55, 550_000));
    new.at(6200).ok(decoded(105, 1_050_000)).ok(STOP);
    let s = new.closed();
    assert_eq!((s.opened, s.first_frame), (Millis(1000), Some(Millis(2000))));
    // 3200 ms between the open and the resume passed before the old totals were known; they replace it.
    assert_eq!((s.totals.startup, s.totals.playing), (Millis(1000), Millis(1500 + 2000)));
    assert_eq!((s.totals.rebuffers, s.totals.rebuffering), (1, Millis(500)));
    assert_eq!((s.counts.video.decoded, s.counts.bytes), (105, 1_050_000));
}

#[test]
fn a_session_reported_already_is_not_reported_twice() {
    let mut b = Harness::playing();
    b.at(4000).ok(decoded(50, 500_000));
    let known = b.live();
    b.sessions.handle_disconnect(Millis(4000), PEER);
    assert_eq!(b.closed().counts.video.decoded, 50);

    // The same player comes back on a new connection.
    b.at(4100);
    for event in [open("udp://239.0.0.1:1234"), E::Resume(known.totals), PLAY, decoded(52, 520_000)] {
        b.tell(OTHER, "a", event).unwrap();
    }
    b.at(5100);
    b.tell(OTHER, "a", decoded(77, 770_000)).unwrap();
    b.tell(OTHER, "a", STOP).unwrap();
    let s = b.closed();
    assert_eq!((s.counts.video.decoded, s.counts.bytes), (25, 250_000));
    assert_eq!((s.begin(), s.totals.playing), (Millis(4100), Millis(1000)));
}

#[test]
fn reports_in_mid_play_are_cumulative_and_pause_with_the_picture() {
    let mut b = Harness::default();
    b.sessions.set_report_period(Millis(0), Some(Millis(30_000)));
    b.at(1000).ok(open("x"));
    b.at(2000).ok(PLAY).ok(E::FirstFrame);
    assert_eq!(b.sessions.poll_timeout(), Some(Millis(31_000)));
    b.at(31_000).ok(decoded(700, 1));
    b.sessions.handle_timeout(Millis(30_999));
    assert!(b.sessions.poll_snapshot().is_none());
    b.sessions.handle_timeout(Millis(31_000));
    let running = b.closed();
    assert_eq!(
        (running.closed, running.totals.playing, running.counts.video.decoded),
        (None, Millis(29_000), 700)
    );

    b.at(40_000).ok(PAUSE);
    b.sessions.handle_timeout(Millis(61_000));
    assert!(b.sessions.poll_snapshot().is_none(), "nothing new to say while paused");
    b.at(70_000).ok(PLAY);
    b.sessions.handle_timeout(Millis(91_000));
    assert_eq!(b.closed().begin(), running.begin());

    b.sessions.set_report_period(Millis(91_000), None);
    assert_eq!(b.sessions.poll_timeout(), None);
}

#[rstest]
#[case::fatal_is_kept([true, false], 0)]
#[case::fatal_replaces([false, true], 1)]
#[case::the_later_of_equals([false, false], 1)]
fn the_gravest_error_is_told(#[case] fatal: [bool; 2], #[case] told: usize) {
    let mut b = Harness::playing();
    for (n, fatal) in fatal.into_iter().enumerate() {
        b.ok(E::Error(PlayerError { code: n.to_string(), message: String::new(), fatal }));
    }
    let s = b.live();
    assert_eq!((s.error.unwrap().code, s.errors), (told.to_string(), 2));
}

#[test]
fn later_tags_replace_only_what_they_name() {
    let mut b = Harness::playing();
    b.ok(E::Tags(Tags { title: Some("a".into()), video_codec: Some("H.264".into()), ..Tags::default() }));
    b.ok(E::Tags(Tags { title: Some("b".into()), ..Tags::default() }));
    let tags = b.live().tags;
    assert_eq!((tags.title.as_deref(), tags.video_codec.as_deref()), (Some("b"), Some("H.264")));
}

fn any_event() -> impl Strategy<Value = E> {
    prop_oneof![
        Just(PLAY),
        Just(PAUSE),
        Just(E::FirstFrame),
        (0..=100_u8).prop_map(percent),
        Just(seek(SeekPhase::Start)),
        Just(seek(SeekPhase::End)),
        (0..9_u64).prop_map(|n| rate(n * 500_000)),
        (0..1000_u64, 0..1_000_000_u64).prop_map(|(frames, bytes)| decoded(frames, bytes)),
    ]
}

proptest! {
    /// Every millisecond of a session is in exactly one phase, whatever happens and in whatever order it is told.
    #[test]
    fn phases_add_up(events in prop::collection::vec((0..5000_i64, any_event()), 0..60)) {
        let mut b = Harness::default();
        b.at(10_000).ok(open("x"));
        let mut now = 10_000;
        let mut last = 10_000;
        for (step, event) in events {
            // Now and then a message is late: its time lies before the one told last.
            let at = now + step - 500;
            now = now.max(at);
            let message = Message {
                at: Millis(u64::try_from(at).unwrap()),
                event: Event::Session(id("a"), event),
            };
            b.sessions.handle_message(Millis(u64::try_from(now).unwrap()), PEER, message).unwrap();
            last = last.max(at);
        }
        b.at(u64::try_from(last).unwrap()).ok(STOP);
        let s = b.closed();
        let t = &s.totals;
        let sum = t.startup + t.playing + t.paused + t.rebuffering + t.seeking;
        prop_assert_eq!(sum, s.at.since(s.opened));
        prop_assert!(s.begin() <= s.at);
        prop_assert!(t.rated <= t.playing);
        prop_assert!(t.rebuffers > 0 || t.rebuffering == Millis(0));
        let apart: u64 = t.rates.iter().map(|r| r.bitrate * r.played.0).sum();
        prop_assert_eq!(apart, t.rate_time);
    }

    /// A long sleep ends a session with the figures of one that was stopped where it began; a short one adds to it a
    /// pause of its length, and nothing else.
    #[test]
    fn a_sleep_adds_nothing_that_was_not_played(
        before in prop::collection::vec((0..5000_u64, any_event()), 0..20),
        after in 0..10_000_u64,
        length in 1_000..80_000_u64,
    ) {
        let mut b = [Harness::playing(), Harness::playing()];
        let mut now = 2000;
        for (step, event) in before {
            now += step;
            for b in &mut b {
                b.at(now).ok(event.clone());
            }
        }
        let [mut slept, mut awake] = b;
        let sleep = Sleep { from: Millis(now), to: Millis(now + length) };
        slept.sessions.handle_sleep(&sleep);
        if sleep.is_long() {
            let (slept, awake) = (slept.closed(), awake.at(now).ok(STOP).closed());
            prop_assert_eq!(slept.closed, Some(CloseReason::Suspended));
            prop_assert_eq!(Snapshot { closed: awake.closed, ..slept }, awake);
            return Ok(());
        }
        let was_paused = awake.live().phase == Phase::Paused;
        let mut slept = slept.at(now + length + after).ok(STOP).closed();
        let awake = awake.at(now + after).ok(STOP).closed();
        slept.totals.paused = slept.totals.paused - Millis(length);
        slept.totals.pauses -= u64::from(!was_paused);
        prop_assert_eq!(slept.totals, awake.totals);
        prop_assert_eq!(slept.at - awake.at, Millis(length));
    }

    /// A daemon restarted at any point comes to the same end as one that ran through.
    #[test]
    fn resuming_changes_nothing(
        before in prop::collection::vec((0..5000_u64, any_event()), 0..20),
        played in 0..10_000_u64,
    ) {
        let mut b = Harness::playing();
        let mut now = 2000;
        for (step, event) in before {
            now += step;
            b.at(now).ok(event);
        }
        b.ok(percent(100)).ok(seek(SeekPhase::End)).ok(PLAY).ok(decoded(5, 5));
        let known = b.live();
        let mut resumed = Harness::default();
        resumed.at(1000).ok(open("udp://239.0.0.1:1234"));
        resumed.at(now).ok(E::Resume(known.totals)).ok(PLAY);
        now += played;
        let (through, resumed) = (b.at(now).ok(STOP).closed(), resumed.at(now).ok(STOP).closed());
        prop_assert_eq!(through.totals, resumed.totals);
        prop_assert_eq!(through.first_frame, resumed.first_frame);
    }
}
