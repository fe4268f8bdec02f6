//! What holds between lines and the session they tell of, whatever happens.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use proptest::prelude::*;

use super::harness::*;
use super::history::{DURATION, Step, cases, steps};
use crate::beacon::Line;
use crate::line::config::{Config, LogType};
use crate::line::decode;
use crate::line::keys::{Event, Kind, Metric};
use crate::line::value::Typed;
use crate::player::{Counters, Event as Told, Message, SessionEvent, SessionId};
use crate::session::Snapshot;
use crate::time::Millis;

/// Lines every ten seconds, with the keys that the built-in configuration leaves out.
fn often() -> Config {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    CONFIG.get_or_init(make_often).clone()
}

fn make_often() -> Config {
    let text = crate::line::config::builtin_text().replace("\"300\" secondary", "\"10\" secondary");
    let text =
        text.replacen("<data key=\"x\"", "<data key=\"ds\" name=\"fullScreenClockTime\"/><data key=\"x\"", 1);
    Config::parse(&text).unwrap().config
}

/// The same with figures that count from the start.
fn often_cumulative() -> Config {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    let make = || often().tap(|config| config.log_type = LogType::Cumulative);
    CONFIG.get_or_init(make).clone()
}

/// Lives through a history; gives the session's own account of it.
fn live(b: &mut Box, history: Vec<Step>) -> Snapshot {
    b.at(1000).ok(open("http://a.example/film.mp4"));
    for Step { after, late, event } in history {
        let now = b.now.0 + after;
        b.at(now);
        let at = Millis(now - late.min(now));
        let event = Told::Session(SessionId::try_new("a").unwrap(), event);
        // What makes no sense is refused, and must leave no trace.
        let _ = b.sessions.handle_message(Millis(now), PLAYER, Message { at, event });
        b.turn();
    }
    b.at(b.now.0 + 777).ok(STOP);
    b.sessions.poll_snapshot().expect("the session has ended")
}

/// A line, read once.
struct Read {
    event: Event,
    text: String,
    values: BTreeMap<Metric, Typed>,
}

impl Read {
    fn new(line: &Line) -> Self {
        let read = decode::Line::read(&line.text).unwrap_or_else(|e| panic!("{}: {e}", line.text));
        let known = Metric::ALL.iter().filter_map(|metric| Some((*metric, read.field(*metric)?.typed()?)));
        let values = known
            .map(|(metric, typed)| (metric, typed.unwrap_or_else(|e| panic!("{metric}: {e}: {}", line.text))))
            .collect();
        Self { event: line.event, text: line.text.clone(), values }
    }

    fn all(b: &Box) -> Vec<Self> {
        b.lines[0].iter().map(Self::new).collect()
    }

    fn amount(&self, metric: Metric) -> u128 {
        amount(self.values.get(&metric))
    }

    fn text(&self, metric: Metric) -> Option<String> {
        self.values.get(&metric).map(ToString::to_string)
    }
}

/// What adds up, of one value; a missing one is nothing.
fn amount(value: Option<&Typed>) -> u128 {
    let sum = |numbers: &mut dyn Iterator<Item = u64>| u128::from(numbers.sum::<u64>());
    match value {
        None => 0,
        Some(Typed::Integer(number)) => u128::try_from(*number).unwrap(),
        Some(Typed::Stints(list)) => sum(&mut list.iter().map(|stint| stint.played)),
        Some(Typed::RateTimes(list)) => sum(&mut list.iter().map(|time| time.played)),
        Some(Typed::ClassTimes(list)) => sum(&mut list.iter().map(|time| time.played)),
        Some(Typed::Rebuffers(list)) => sum(&mut list.rebuffers.iter().map(|rebuffer| rebuffer.duration)),
        Some(Typed::Buckets(list)) => {
            sum(&mut list.iter().map(|bucket| bucket.value.to_string().parse::<u64>().unwrap()))
        }
        Some(Typed::Shares(list)) => sum(&mut list.iter().map(|share| share.count)),
        Some(Typed::WeightedRate(rate)) => rate.rate_times_ms,
        Some(other) => panic!("no amount in {other:?}"),
    }
}

fn check(b: &Box, session: &Snapshot) -> Result<(), TestCaseError> {
    let lines = Read::all(b);
    let told = |metric| lines.iter().map(|line| line.amount(metric)).sum::<u128>();
    let totals = &session.totals;
    let expected: [(Metric, u64); 16] = [
        (Metric::PlayClockTime, totals.playing.0),
        (Metric::RebufferCount, totals.rebuffers),
        (Metric::RebufferTime, totals.rebuffering.0),
        (Metric::PauseCount, totals.pauses),
        (Metric::PauseDuration, totals.paused.0),
        (Metric::SeekCount, totals.seeks),
        (Metric::SeekTime, totals.seeking.0),
        (Metric::TransitionUpSwitchCount, totals.switches_up),
        (Metric::TransitionDownSwitchCount, totals.switches_down),
        (Metric::TransitionCount, totals.switches_up + totals.switches_down),
        (Metric::DroppedFrames, session.counts.video.dropped),
        (Metric::BytesLoaded, session.counts.bytes),
        (Metric::TransitionStreamTimeSession, totals.playing.0),
        (Metric::TransitionStreamTimes, totals.playing.0),
        (Metric::BitRateBucketTimes, totals.playing.0),
        (Metric::RebufferSession, totals.rebuffering.0),
    ];
    for (metric, total) in expected {
        prop_assert_eq!(told(metric), u128::from(total), "{}", metric);
    }
    prop_assert_eq!(told(Metric::AveragedBitRate), u128::from(totals.rate_time));

    // The parts of a line agree with each other.
    for line in &lines {
        for (one, other) in [
            (Metric::BucketPauseCounts, Metric::PauseCount),
            (Metric::BucketPauseTimes, Metric::PauseDuration),
            (Metric::BucketSeeks, Metric::SeekCount),
            (Metric::BucketSeekTimes, Metric::SeekTime),
            (Metric::BucketRebufferCounts, Metric::RebufferCount),
            (Metric::BucketRebufferTimes, Metric::RebufferTime),
            (Metric::BucketResumeBufferCounts, Metric::ResumeBufferCount),
            (Metric::BucketResumeBufferTimes, Metric::ResumeBufferTime),
            (Metric::BucketFullScreenTimes, Metric::FullScreenClockTime),
            (Metric::TransitionStreamTimeSession, Metric::PlayClockTime),
            (Metric::TransitionStreamTimes, Metric::PlayClockTime),
            (Metric::BitRateBucketTimes, Metric::PlayClockTime),
            (Metric::RebufferSession, Metric::RebufferTime),
        ] {
            prop_assert_eq!(line.amount(one), line.amount(other), "{}: {}", one, line.text);
        }
    }

    // The last line's totals are the sums of all lines.
    let last = lines.last().expect("at least two lines");
    for (total, part) in [
        (Metric::TotalPlayClockTime, Metric::PlayClockTime),
        (Metric::TotalPlayStreamTime, Metric::PlayStreamTime),
        (Metric::TotalRebufferTime, Metric::RebufferTime),
        (Metric::TotalRebufferCount, Metric::RebufferCount),
        (Metric::TotalAdPlayClockTime, Metric::AdPlayClockTime),
        (Metric::TotalAdStartCount, Metric::AdCount),
    ] {
        prop_assert_eq!(last.amount(total), told(part), "{}", total);
    }

    // `e` is dense, `g` ends it, and the intervals lead from the first line to the last.
    let mut interval = 0;
    for (n, line) in lines.iter().enumerate() {
        prop_assert_eq!(line.text(Metric::SequenceId), Some(n.to_string()));
        prop_assert_eq!(line.text(Metric::EndOfStream).as_deref() == Some("1"), n + 1 == lines.len());
        let Some(Typed::Decimal(seconds)) = line.values.get(&Metric::LogInterval) else { panic!("no dx") };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few minutes in ms")]
        let ms = (seconds.to_f64() * 1000.0).round() as u64;
        interval += ms;
    }
    prop_assert_eq!(Some(interval.to_string()), last.text(Metric::CurrentClockTime));
    prop_assert!(matches!(last.event, Event::Complete | Event::Error));
    Ok(())
}

/// A value that adds up, in its parts: by class, rate, bucket or service where it has those, else by place. In
/// ten-thousandths.
fn parts(line: &Read, metric: Metric) -> BTreeMap<String, u128> {
    let Some(text) = line.text(metric) else { return BTreeMap::new() };
    let by_place =
        |separator| text.split(separator).enumerate().map(|(n, part)| (n.to_string(), part)).collect();
    let pairs: Vec<(String, &str)> = match metric.kind() {
        Kind::Integer => vec![(String::new(), text.as_str())],
        Kind::SumCount | Kind::WeightedRate => by_place(':'),
        Kind::ReasonCounts => by_place(','),
        Kind::Buckets | Kind::RateTimes | Kind::ClassTimes | Kind::Shares => {
            let pairs = text.split(',').map(|pair| pair.split_once(':').expect("a name and a number"));
            pairs.map(|(name, number)| (name.to_owned(), number)).collect()
        }
        kind => panic!("{metric} adds up and is {kind:?}"),
    };
    let ten_thousandths = |number: &str| {
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        format!("{whole}{fraction:0<4}").parse().expect("a number with four decimals at most")
    };
    let parts = pairs.into_iter().map(|(name, number)| (name, ten_thousandths(number)));
    parts.filter(|(_, number)| *number > 0).collect()
}

/// Time that lines tell of, by key, for figures that need no history beside them.
fn sums(b: &Box, metrics: &[Metric]) -> BTreeMap<&'static str, u128> {
    let lines = Read::all(b);
    let told = |metric| lines.iter().map(|line| line.amount(metric)).sum::<u128>();
    metrics.iter().map(|metric| (metric.key(), told(*metric))).collect()
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn lines_add_up_to_their_session(history in steps(2500)) {
        let mut b = Box::new([often()]);
        let session = live(&mut b, history);
        check(&b, &session)?;
    }
}

proptest! {
    #![proptest_config(cases(128))]

    /// However often lines are cut, they tell the same. (A playhead that is told apart from where it was thought to
    /// be puts right what is not told yet, so none is told here.)
    #[test]
    fn the_number_of_lines_changes_no_sum(mut history in steps(0)) {
        for step in &mut history {
            if let SessionEvent::Seek(seek) = &mut step.event {
                seek.from = None;
            }
        }
        let mut many = Box::new([often()]);
        let mut few = Box::new([config("")]);
        live(&mut many, history.clone());
        live(&mut few, history);
        let metrics = [
            Metric::PlayClockTime, Metric::PlayStreamTime, Metric::RebufferTime, Metric::PauseDuration,
            Metric::SeekTime, Metric::ResumeBufferTime, Metric::AdPlayClockTime, Metric::AdStartupTime,
            Metric::AdPauseTime, Metric::AdCount, Metric::BytesPlayed, Metric::TransitionTime,
            Metric::SocialSharing, Metric::BucketPauseTimes, Metric::AveragedBitRate,
        ];
        prop_assert_eq!(sums(&many, &metrics), sums(&few, &metrics));
    }

    /// What adds up comes to what cumulative lines say at the end, part by part, whatever else is known of it.
    #[test]
    fn every_delta_adds_up_to_what_is_told_of_the_whole(mut history in steps(2500)) {
        // Which parts the stream has is known from the beginning.
        let counters = Counters { duration: Some(DURATION), ..Counters::default() };
        history.insert(0, Step { after: 0, late: 0, event: SessionEvent::Counters(counters) });
        let mut b = Box::new([often(), often_cumulative()]);
        live(&mut b, history);
        let deltas = Read::all(&b);
        let whole = Read::new(b.lines[1].last().expect("a last line"));
        // The interval is from line to line either way.
        let adding = Metric::ALL.iter().copied().filter(|metric| metric.adds_up() && *metric != Metric::LogInterval);
        for metric in adding {
            let mut sums = BTreeMap::<String, u128>::new();
            for (name, number) in deltas.iter().flat_map(|line| parts(line, metric)) {
                *sums.entry(name).or_default() += number;
            }
            let mut told = parts(&whole, metric);
            if metric == Metric::BucketPlays {
                // Each line rounds to hundredths.
                let rounding = 50 * (deltas.len() as u128 + 1);
                for (name, number) in sums {
                    let told = told.remove(&name).unwrap_or_default();
                    prop_assert!(told.abs_diff(number) <= rounding, "{} {}: {}, {}", metric, name, number, told);
                }
                prop_assert!(told.values().all(|rest| *rest <= rounding), "{}: {:?}", metric, told);
            } else {
                prop_assert_eq!(sums, told, "{}", metric);
            }
        }
    }

    /// A history with told positions, jumps included, keeps every law.
    #[test]
    fn told_positions_break_nothing(
        mut history in steps(500),
        positions in prop::collection::vec(0..700_000_u64, 0..20),
    ) {
        for (n, position) in positions.into_iter().enumerate() {
            let counters = Counters { position: Some(position), ..Counters::default() };
            let at = (n * 2).min(history.len());
            history.insert(at, Step { after: 400, late: 0, event: SessionEvent::Counters(counters) });
        }
        let mut b = Box::new([often()]);
        let session = live(&mut b, history);
        check(&b, &session)?;
    }
}
