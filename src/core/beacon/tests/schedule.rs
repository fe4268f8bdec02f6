//! Which lines there are, and when.

use rstest::rstest;

use super::harness::*;
use crate::beacon::Channel;
use crate::beacon::channel::MAX_WAITING;
use crate::line::keys::{Event, Metric};
use crate::player::{AdPhase, CloseReason, Event as Told, SeekPhase, SessionEvent, Visit, VisitPhase};
use crate::session::{Entry, Reject};

/// A live stream that opened at 0 and plays from 1000.
fn plays(b: &mut Box) -> &mut Box {
    b.at(0).ok(open("udp://@239.1.1.1:1234")).ok(PLAY);
    b.at(1000).ok(SessionEvent::FirstFrame)
}

#[test]
fn the_grid_runs_on_through_pause_rebuffer_and_seek() {
    let mut b = Box::builtin();
    plays(&mut b);
    b.at(3000).ok(PAUSE);
    b.at(300_000).ok(PLAY);
    b.at(550_000).ok(percent(0));
    b.at(650_000).ok(percent(100));
    b.at(900_500).ok(seek(SeekPhase::Start, 0, 5000));
    b.at(901_500).ok(seek(SeekPhase::End, 0, 5000));
    b.at(1_000_000).ok(STOP);
    assert_eq!(b.course(), "I0 S1 P5 P295 P300 P300 C99");
    assert_eq!(b.values(Metric::PlayerState)[2..], ["PS", "PL", "B", "SK", "E"]);
    assert_eq!(b.values(Metric::SequenceId), ["0", "1", "2", "3", "4", "5", "6"]);
}

#[test]
fn a_daemon_that_gets_no_time_to_run_cuts_lines_where_they_were_due() {
    let (mut punctual, mut late) = (Box::builtin(), Box::builtin());
    for b in [&mut punctual, &mut late] {
        plays(b);
    }
    punctual.at(700_250).ok(PAUSE).at(700_500).ok(STOP);
    late.sleep(700_250).ok(PAUSE).sleep(700_500).ok(STOP);
    assert_eq!(late.wire(), punctual.wire());
    assert_eq!(late.course(), "I0 S1 P5 P295 P300 C99.500");
}

#[test]
fn a_night_asleep_is_told_in_few_lines() {
    const NIGHT: u64 = 8 * 3_600_000;
    let mut b = Box::builtin();
    plays(&mut b).at(7000).ok(PAUSE);
    b.sleep(NIGHT).turn();
    b.at(NIGHT + 1000).ok(STOP);
    assert_eq!(b.course(), "I0 S1 P5 P295 P28200 P300 C0");
    let paused: u64 = b.values(Metric::PauseDuration)[2..].iter().map(|ms| ms.parse::<u64>().unwrap()).sum();
    assert_eq!(paused, NIGHT + 1000 - 7000);
}

#[test]
fn every_state_can_be_seen() {
    // A heartbeat line a second sees whatever lasts longer than that.
    let mut b = Box::new([config_with(Event::Heartbeat, "").tap(|c| c.heartbeat_interval.0 = 1000)]);
    b.at(100).ok(open("http://a.example/a.mp4"));
    b.at(2200).ok(PLAY);
    b.at(3200).ok(percent(5));
    b.at(4200).ok(percent(100)).ok(SessionEvent::FirstFrame);
    b.at(5200).ok(percent(5));
    b.at(6200).ok(percent(100));
    b.at(7200).ok(seek(SeekPhase::Start, 0, 9000));
    b.at(8200).ok(percent(0));
    b.at(9200).ok(percent(100)).ok(seek(SeekPhase::End, 0, 9000));
    b.at(10_200).ok(PAUSE);
    b.at(11_200).ok(PLAY).ok(percent(0));
    b.at(12_200).ok(percent(100)).ok(ad(AdPhase::Load, "1", |_| {}));
    b.at(13_200).ok(ad(AdPhase::Start, "1", |_| {}));
    b.at(14_200).ok(STOP);
    let states: Vec<_> = b.lines[0]
        .iter()
        .filter(|line| matches!(line.event, Event::Heartbeat | Event::Complete))
        .map(|line| value(line, Metric::PlayerState).unwrap())
        .collect();
    assert_eq!(
        states.join(" "),
        "I I C IB PL B PL SK SB PL PS RB AL AP E",
        "one a second from 1100 on, and the end"
    );
}

#[test]
fn heartbeat_lines_are_numbered_apart_and_reset_nothing() {
    let mut b = Box::new([config_with(Event::Heartbeat, "").tap(|c| c.heartbeat_interval.0 = 2000)]);
    plays(&mut b).at(7500).ok(STOP);
    let seen: Vec<_> = b.lines[0]
        .iter()
        .map(|line| {
            let value = |metric| value(line, metric).unwrap_or_default();
            format!("{}{}:{}", line.event.code(), value(Metric::SequenceId), value(Metric::PlayClockTime))
        })
        .collect();
    assert_eq!(seen, ["I0:", "S1:", "H0:1000", "H1:3000", "P2:5000", "H2:0", "C3:1500"]);
}

#[rstest]
#[case::just_short(600_999, "I0 S1 P5 P295 P300 C1.999")]
#[case::long_enough(603_000, "I0 S1 P5 P295 P300 P2 E0")]
fn a_rebuffer_without_end_ends_the_attempt(#[case] until: u64, #[case] course: &str) {
    let mut b = Box::builtin();
    plays(&mut b).at(3000).ok(percent(0));
    b.at(until + 2000).ok(percent(100));
    b.at(until + 2000).ok(STOP);
    assert_eq!(b.course(), course);
    if course.ends_with("E0") {
        assert_eq!(b.lines[0].last().unwrap().at.0, 603_000);
        assert_eq!(b.values(Metric::ErrorCode).last().unwrap(), "Error.Continous.Rebuffer");
        assert_eq!(b.values(Metric::RebufferStatus)[3], "Connection.Idle");
    }
}

#[rstest]
#[case::at_the_limit(600_000, "600000")]
#[case::beyond(600_001, "0")]
fn a_start_up_without_end_counts_as_none(#[case] took: u64, #[case] startup: &str) {
    let mut b = Box::builtin();
    b.at(0).ok(open("http://a.example/a.mp4")).ok(PLAY);
    b.at(took).ok(SessionEvent::FirstFrame).ok(STOP);
    assert_eq!(b.values(Metric::StartupTime)[1], startup);
}

#[rstest]
#[case::at_once(0, "1")]
#[case::within_half_a_second(500, "1")]
#[case::later(501, "0")]
fn a_rebuffer_right_after_a_pause_comes_from_resuming(#[case] after: u64, #[case] resumes: &str) {
    let mut b = Box::builtin();
    plays(&mut b).at(2000).ok(PAUSE);
    b.at(3000).ok(PLAY);
    b.at(3000 + after).ok(percent(0));
    b.at(5000).ok(percent(100)).ok(STOP);
    assert_eq!(b.values(Metric::RebufferCount)[2], "1");
    assert_eq!(b.values(Metric::ResumeBufferCount)[2], resumes);
}

#[rstest]
#[case::that_began_in_the_pause(PAUSE, percent(0), "1")]
#[case::that_was_there_before(percent(0), PAUSE, "0")]
fn a_rebuffer_about_a_pause(#[case] first: SessionEvent, #[case] then: SessionEvent, #[case] resumes: &str) {
    let mut b = Box::builtin();
    plays(&mut b).at(2000).ok(first);
    b.at(2500).ok(then);
    b.at(3000).ok(PLAY);
    b.at(4000).ok(percent(100)).ok(STOP);
    assert_eq!(b.values(Metric::RebufferCount)[2], "1");
    assert_eq!(b.values(Metric::ResumeBufferCount)[2], resumes);
}

#[test]
fn sessions_side_by_side_keep_their_own_books() {
    let mut b = Box::builtin();
    plays(&mut b).at(1500);
    b.session("b", open("http://a.example/b.mp4")).unwrap();
    b.session("b", PLAY).unwrap();
    b.at(2000).session("b", SessionEvent::FirstFrame).unwrap();
    b.at(4000).ok(percent(0));
    b.at(8000).session("b", STOP).unwrap();
    b.ok(STOP);
    let of = |name: &str| -> Vec<_> {
        let lines =
            b.lines[0].iter().filter(|line| line.session.as_ref().is_some_and(|id| id.as_str() == name));
        lines
            .map(|line| format!("{}{}", line.event.code(), value(line, Metric::SequenceId).unwrap()))
            .collect()
    };
    assert_eq!(of("a"), ["I0", "S1", "P2", "C3"]);
    assert_eq!(of("b"), ["I0", "S1", "P2", "C3"]);
    let rebuffers: Vec<_> =
        b.lines[0].iter().filter_map(|line| value(line, Metric::TotalRebufferCount)).collect();
    assert_eq!(rebuffers, ["0", "1"]);
}

#[test]
fn views_and_sessions_with_rebuffer_are_told_once() {
    let mut b = Box::builtin();
    plays(&mut b);
    b.at(2000).ok(percent(0));
    b.at(2499).ok(percent(100));
    b.at(20_000).ok(percent(0));
    b.at(20_500).ok(percent(100));
    b.at(700_000).ok(STOP);
    assert_eq!(b.values(Metric::IsView), ["-", "-", "-", "1", "-", "-"]);
    assert_eq!(b.values(Metric::IsSessionWithRebuffer), ["-", "-", "-", "1", "-", "-"]);
}

#[test]
fn cumulative_figures_count_from_the_start() {
    let mut b = Box::new([config("logType=\"cumulative\"")]);
    plays(&mut b).at(2000).ok(PAUSE);
    b.at(2500).ok(PLAY);
    b.at(310_000).ok(STOP);
    assert_eq!(b.values(Metric::LogType)[0], "C");
    assert_eq!(b.values(Metric::PlayClockTime)[2..], ["4500", "299500", "308500"]);
    assert_eq!(b.values(Metric::PauseCount)[2..], ["1", "1", "1"]);
    assert_eq!(b.values(Metric::LogInterval)[2..], ["5", "295", "9"]);
}

#[test]
fn channels_do_not_disturb_each_other() {
    let often = config("logInterval=\"10\" secondaryLogTime=\"1\"");
    let mut both = Box::new([config(""), often.clone()]);
    let mut alone = Box::new([often]);
    for b in [&mut both, &mut alone] {
        plays(b).at(4000).ok(percent(0));
        b.at(9000).ok(percent(100));
        b.at(15_000).ok(STOP);
    }
    let figures = |lines: &[crate::beacon::Line], metric| {
        lines.iter().map(|line| value(line, metric)).collect::<Vec<_>>()
    };
    for metric in [Metric::PlayClockTime, Metric::RebufferSession, Metric::LogInterval] {
        assert_eq!(figures(&both.lines[1], metric), figures(&alone.lines[0], metric));
    }
    assert_eq!(both.course(), "I0 S1 P5 C9");
}

#[test]
fn what_happens_before_the_configuration_is_there_is_told_once_it_is() {
    let mut b = Box::new([]);
    b.add(Channel::new(identity()));
    plays(&mut b).at(20_000).ok(PAUSE);
    assert_eq!(b.course(), "");
    let mut random = 0;
    b.channels[0].set_config(config(""), &mut || {
        random += 1;
        random
    });
    b.at(21_000).ok(STOP);
    assert_eq!(b.course(), "I0 S1 P5 C15");
}

/// Whole attempts are given up, and counted; those that begin afterwards are told.
#[test]
fn what_waits_for_the_configuration_is_bounded() {
    let mut b = Box::new([]);
    b.add(Channel::new(identity()));
    plays(&mut b);
    let mut turns = 0;
    while b.channels[0].lost() == 0 {
        turns += 1;
        assert!(turns <= MAX_WAITING, "nothing is ever given up");
        b.at(10_000 + turns as u64 * 20).ok(PAUSE);
        b.at(10_010 + turns as u64 * 20).ok(PLAY);
    }
    assert_eq!(b.channels[0].lost(), MAX_WAITING as u64);
    b.ok(STOP).ok(open("http://a.example/next.mp4"));
    b.channels[0].set_config(config(""), &mut || 7);
    b.turn();
    assert_eq!(b.course(), "I0");
    assert_eq!(b.channels[0].lost(), MAX_WAITING as u64);
    let most = MAX_WAITING.next_power_of_two() * size_of::<Entry>();
    assert!(most <= 1_450_000, "it takes {most} bytes at most");
}

#[test]
fn a_channel_that_is_switched_off_says_nothing() {
    let mut b = Box::new([config("").tap(|c| c.is_active = false)]);
    plays(&mut b).at(20_000).ok(STOP);
    b.gone();
    assert_eq!(b.course(), "");
}

#[test]
fn a_channel_can_be_switched_off_and_on_again() {
    let mut b = Box::builtin();
    plays(&mut b).at(9000);
    b.channels[0].set_config(config("").tap(|c| c.is_active = false), &mut || 7);
    b.at(700_000).ok(PAUSE);
    assert_eq!(b.course(), "I0 S1 P5");
    b.channels[0].set_config(config(""), &mut || 8);
    b.at(701_000).ok(PLAY).ok(STOP).ok(open("http://a.example/a.mp4"));
    assert_eq!(b.course(), "I0 S1 P5 I0");
}

#[test]
fn a_new_configuration_is_for_new_attempts() {
    let mut b = Box::builtin();
    plays(&mut b).at(9000);
    b.channels[0].set_config(config("secondaryLogTime=\"2\""), &mut || 7);
    b.at(306_500).ok(open("http://a.example/a.mp4"));
    b.at(307_000).ok(PLAY).ok(SessionEvent::FirstFrame);
    b.at(310_000).ok(STOP);
    assert_eq!(b.course(), "I0 S1 P5 P295 C5.500 I0 S0.500 P2 C1");
}

#[test]
fn a_visit_ends_with_its_connection() {
    let mut b = Box::builtin();
    plays(&mut b).at(9000).ok(STOP);
    b.at(10_000).ok(open("http://a.example/none.m3u8"));
    b.at(11_000).gone();
    assert_eq!(b.course(), "I0 S1 P5 C3 I0 E1 V");
    let visit = b.lines[0].last().unwrap();
    let told = [
        Metric::VisitAttempts,
        Metric::VisitPlays,
        Metric::VisitViews,
        Metric::VisitErrors,
        Metric::VisitStartupErrors,
        Metric::VisitPlayClockTime,
        Metric::VisitInterval,
        Metric::IsVisitEnd,
    ];
    assert_eq!(
        told.map(|metric| value(visit, metric).unwrap()),
        ["2", "1", "1", "1", "1", "8000", "11000", "1"]
    );
    assert_eq!(b.values(Metric::IsVisitStart), ["-", "1", "-", "-", "-", "-", "-"]);
    let ids = b.values(Metric::VisitId);
    assert!(ids.iter().all(|id| *id == ids[0]));
}

#[test]
fn a_visit_ends_an_hour_after_its_last_attempt() {
    let mut b = Box::builtin();
    plays(&mut b).at(9000).ok(STOP);
    b.at(3_600_000);
    b.session("b", open("http://a.example/a.mp4")).unwrap();
    b.session("b", STOP).unwrap();
    b.at(8_000_000);
    b.session("c", open("http://a.example/a.mp4")).unwrap();
    assert_eq!(b.course(), "I0 S1 P5 C3 I0 E0 V I0");
    assert_eq!(b.lines[0][6].at.0, 7_200_000);
}

#[test]
fn an_application_may_name_its_visits() {
    let mut b = Box::builtin();
    let visit = |phase, id: Option<&str>| Told::Visit(Visit { phase, id: id.map(str::to_owned) });
    b.tell(visit(VisitPhase::Start, Some("6f1c"))).unwrap();
    plays(&mut b).at(2000).ok(STOP);
    b.tell(visit(VisitPhase::End, None)).unwrap();
    b.ok(open("http://a.example/a.mp4"));
    assert_eq!(b.course(), "I0 S1 C1 V I0");
    let ids = b.values(Metric::VisitId);
    assert!(ids[..4].iter().all(|id| id == "6f1c") && ids[4] != "6f1c");
}

#[test]
fn nonsense_leaves_no_trace_in_lines() {
    let (mut plain, mut pestered) = (Box::builtin(), Box::builtin());
    for b in [&mut plain, &mut pestered] {
        plays(b).at(20_000);
    }
    assert_eq!(pestered.session("a", ad(AdPhase::End, "x", |_| {})), Err(Reject::NoAd));
    assert_eq!(pestered.session("a", percent(200)), Err(Reject::OutOfRange("percent")));
    assert_eq!(pestered.session("a", SessionEvent::Close(CloseReason::AgentStop)), Err(Reject::Reason));
    for b in [&mut plain, &mut pestered] {
        b.at(30_000).ok(STOP);
    }
    assert_eq!(plain.wire(), pestered.wire());
}
