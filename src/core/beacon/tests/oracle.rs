//! A second opinion: the whole history is kept, and every line is counted from scratch, as the table of playing
//! parameters says. Nothing is shared with the engine but the player's messages and the clock.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::harness::*;
use super::history::{DURATION, Step, cases, steps};
use crate::line::config::Config;
use crate::line::decode;
use crate::line::keys::{Event, Metric};
use crate::player::{
    AdPhase, Counters, Event as Told, Message, PlayerState, Seek, SeekPhase, SessionEvent, SessionId,
    SwitchReason,
};
use crate::time::Millis;

/// A stretch of time in which nothing was told.
#[derive(Debug, Clone)]
struct Stretch {
    from: u64,
    to: u64,
    state: &'static str,
    rate: u64,
    /// In µs.
    head: (i64, i64),
    /// Play-back rate in thousandths.
    pace: i64,
    /// Where the event that it belongs to began, in µs.
    anchor: i64,
    pause: Option<usize>,
    stall: Option<usize>,
    loading: bool,
    held: bool,
    gauges: Gauges,
}

#[derive(Debug, Clone, Default)]
struct Gauges {
    fps: Option<f64>,
    buffer: Option<u64>,
    throughput: Option<u64>,
    delay: Option<f64>,
}

#[derive(Debug, Clone)]
struct Pause {
    at: u64,
    head: i64,
    /// Which event it was.
    told: usize,
    end: Option<End>,
}

/// When something ended, where the playhead was then, and which event it was.
#[derive(Debug, Clone, Copy)]
struct End {
    at: u64,
    head: i64,
    told: usize,
}

#[derive(Debug, Clone)]
struct Sought {
    at: u64,
    from: i64,
    to: i64,
    /// When, and where it really came to.
    end: Option<End>,
}

#[derive(Debug, Clone)]
struct Stall {
    at: u64,
    head: i64,
    resume: bool,
    end: Option<u64>,
}

#[derive(Debug, Clone)]
struct Switch {
    at: u64,
    from: u64,
    to: u64,
    head: i64,
    reasons: Vec<SwitchReason>,
    took: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    Seek,
    Stall(Option<usize>),
}

/// Everything that happened.
#[derive(Debug, Default)]
struct History {
    opened: u64,
    closed: u64,
    joined: Option<u64>,
    stretches: Vec<Stretch>,
    pauses: Vec<Pause>,
    seeks: Vec<Sought>,
    stalls: Vec<Stall>,
    switches: Vec<Switch>,
    /// When each ad began, and how long the content had been paused before.
    ads: Vec<(u64, u64)>,
    shares: Vec<u64>,
    /// Dropped frames and bytes so far, whenever they were told.
    counted: Vec<(u64, u64, u64)>,
}

impl History {
    fn of(opened: u64, closed: u64, events: &[(u64, SessionEvent)]) -> Self {
        let mut h = Self { opened, closed, ..Self::default() };
        let (mut asked, mut started, mut data, mut seeking) = (None, false, false, false);
        let (mut wait, mut held, mut hidden) = (None, false, false);
        let (mut loading, mut playing): (Option<String>, Option<String>) = (None, None);
        let (mut head, mut pace, mut rate) = (0_i64, 1000_i64, 0_u64);
        let (mut since_resume, mut decided): (Option<u64>, Option<(u64, Vec<SwitchReason>)>) = (None, None);
        let mut gauges = Gauges::default();
        let (mut dropped, mut bytes, mut last) = (0, 0, (0, 0));
        let mut now = opened;
        let end = [(closed, SessionEvent::Close(crate::player::CloseReason::Stop))];
        for (told, (at, event)) in events.iter().chain(&end).enumerate() {
            let ad = loading.is_some() || playing.is_some();
            let state = match (&wait, asked) {
                _ if playing.is_some() => "AP",
                _ if ad => "AL",
                (_, Some(PlayerState::Paused)) if h.joined.is_some() => {
                    if held {
                        "AL"
                    } else {
                        "PS"
                    }
                }
                _ if !started && (data || h.joined.is_some()) => "IB",
                _ if !started => {
                    if asked.is_some() {
                        "C"
                    } else {
                        "I"
                    }
                }
                (Some(_), _) if seeking => "SB",
                _ if seeking => "SK",
                (Some(Wait::Seek), _) => "SB",
                (Some(Wait::Stall(id)), _) => {
                    let resume = id.is_some_and(|id: usize| h.stalls[id].resume);
                    if resume { "RB" } else { "B" }
                }
                (None, _) => "PL",
            };
            if *at > now {
                let elapsed = i64::try_from(at - now).unwrap();
                let after = if state == "PL" { (head + elapsed * pace).max(0) } else { head };
                let pause = (state == "PS").then(|| h.pauses.iter().rposition(|p| p.end.is_none())).flatten();
                let stall = match wait {
                    Some(Wait::Stall(id)) if state.ends_with('B') && state != "IB" => id,
                    _ => None,
                };
                let anchor = match (state, pause, stall) {
                    (_, Some(pause), _) => h.pauses[pause].head,
                    ("B" | "RB", _, Some(stall)) => h.stalls[stall].head,
                    ("SK" | "SB", ..) => h.seeks.last().map_or(head, |seek| seek.from),
                    _ => head,
                };
                h.stretches.push(Stretch {
                    from: now,
                    to: *at,
                    state,
                    rate,
                    head: (head, after),
                    pace,
                    anchor,
                    pause,
                    stall,
                    loading: state == "AL" && ad,
                    held: held && matches!(state, "AL" | "AP"),
                    gauges: gauges.clone(),
                });
                head = after;
                if state == "PL" {
                    since_resume = since_resume.map(|since| since + (at - now)).filter(|since| *since <= 500);
                }
                now = *at;
            }

            let end_pause = |h: &mut Self| {
                let open = h.pauses.iter_mut().find(|pause| pause.end.is_none())?;
                open.end = Some(End { at: now, head, told });
                Some(now - open.at)
            };
            match event {
                SessionEvent::State(PlayerState::Paused) => {
                    let again = asked == Some(PlayerState::Paused) && !held;
                    asked = Some(PlayerState::Paused);
                    if ad {
                        held = true;
                    } else if !again && h.joined.is_some() {
                        held = false;
                        h.pauses.push(Pause { at: now, head, told, end: None });
                    }
                }
                SessionEvent::State(PlayerState::Playing) => {
                    if asked == Some(PlayerState::Paused) && started && !held {
                        since_resume = Some(0);
                    }
                    asked = Some(PlayerState::Playing);
                    held = false;
                    end_pause(&mut h);
                }
                SessionEvent::FirstFrame if ad => hidden |= h.joined.is_none(),
                SessionEvent::FirstFrame => h.joined = h.joined.or(Some(now)),
                SessionEvent::Buffering(buffering) => {
                    data = true;
                    if buffering.percent == 100 {
                        if let Some(Wait::Stall(Some(id))) = wait {
                            h.stalls[id].end = Some(now);
                        }
                        wait = None;
                    } else if wait.is_none() {
                        wait = Some(if seeking { Wait::Seek } else { Wait::Stall(None) });
                    }
                }
                SessionEvent::Seek(Seek { phase, to, rate, .. }) => {
                    #[expect(clippy::cast_possible_truncation, reason = "a few thousand")]
                    let thousandths = (rate * 1000.0) as i64;
                    pace = thousandths;
                    let to = i64::try_from(to.unwrap()).unwrap() * 1000;
                    let open = h.seeks.iter_mut().find(|seek| seek.end.is_none());
                    if *phase == SeekPhase::Start {
                        if let Some(open) = open {
                            head = open.to;
                            open.end = Some(End { at: now, head, told });
                        }
                        if let Some(Wait::Stall(id)) = wait {
                            if let Some(id) = id {
                                h.stalls[id].end = Some(now);
                            }
                            wait = Some(Wait::Seek);
                        }
                        h.seeks.push(Sought { at: now, from: head, to, end: None });
                    } else if let Some(open) = open {
                        head = to;
                        open.end = Some(End { at: now, head, told });
                    }
                    seeking = *phase == SeekPhase::Start;
                }
                SessionEvent::Bitrate(bitrate) => {
                    if bitrate.bitrate != rate {
                        let (at, reasons) = decided.take().unwrap_or((now, Vec::new()));
                        h.switches.push(Switch {
                            at: now,
                            from: rate,
                            to: bitrate.bitrate,
                            head,
                            reasons,
                            took: now - at,
                        });
                    }
                    rate = bitrate.bitrate;
                }
                SessionEvent::Switching(switching) => decided = Some((now, switching.reasons.clone())),
                SessionEvent::Counters(counters) => {
                    // A total that falls belongs to another element, which counts from zero.
                    let grown = |new: u64, last: u64| if new >= last { new - last } else { new };
                    dropped += grown(counters.video.dropped, last.0);
                    bytes += grown(counters.bytes, last.1);
                    last = (counters.video.dropped, counters.bytes);
                    data |= bytes > 0;
                    h.counted.push((now, dropped, bytes));
                    (gauges.fps, gauges.buffer) = (counters.fps, counters.buffer);
                }
                SessionEvent::Measures(measures) => {
                    (gauges.throughput, gauges.delay) = (measures.throughput, measures.live_delay);
                }
                SessionEvent::Share(_) => h.shares.push(now),
                SessionEvent::Ad(told) => {
                    let mut before = 0;
                    if told.phase != AdPhase::End && asked == Some(PlayerState::Paused) {
                        before = end_pause(&mut h).unwrap_or(0);
                        held = true;
                    }
                    match told.phase {
                        AdPhase::Load => {
                            h.ads.push((now, before));
                            loading = Some(told.id.clone());
                        }
                        AdPhase::Start => {
                            if loading.is_none() {
                                h.ads.push((now, before));
                            }
                            let known = loading.take().unwrap_or_default();
                            playing = Some(if told.id.is_empty() { known } else { told.id.clone() });
                        }
                        AdPhase::End => {
                            let is = |known: &Option<String>| {
                                known.as_ref().is_some_and(|known| told.id.is_empty() || *known == told.id)
                            };
                            if is(&playing) { playing = None } else { loading = None }
                        }
                    }
                    if hidden && loading.is_none() && playing.is_none() {
                        h.joined = Some(now);
                        hidden = false;
                    }
                }
                _ => {}
            }
            started |= h.joined.is_some() && asked == Some(PlayerState::Playing) && wait.is_none();
            let rebuffers = started
                && !seeking
                && loading.is_none()
                && playing.is_none()
                && !(asked == Some(PlayerState::Paused) && h.joined.is_some());
            if rebuffers && wait == Some(Wait::Stall(None)) {
                wait = Some(Wait::Stall(Some(h.stalls.len())));
                h.stalls.push(Stall { at: now, head, resume: since_resume.is_some(), end: None });
            }
        }
        h
    }

    /// When lines are due: start, playing lines, end.
    fn lines(&self, first: u64, interval: u64) -> Vec<u64> {
        let Some(joined) = self.joined else { return vec![self.closed] };
        let grid = (1..).map(|n| joined + n * interval);
        let mut due: Vec<_> = std::iter::once(joined + first)
            .chain(grid.skip_while(|at| *at <= joined + first))
            .take_while(|at| *at <= self.closed)
            .collect();
        due.push(self.closed);
        due
    }

    /// Every stretch, cut to what lies between two lines.
    fn between(&self, a: u64, b: u64) -> Vec<Stretch> {
        let cut = |stretch: &Stretch| {
            let mut part = stretch.clone();
            (part.from, part.to) = (part.from.max(a), part.to.min(b));
            if part.from >= part.to {
                return None;
            }
            let head = |at: u64| {
                let moved = i64::try_from(at - stretch.from).unwrap() * stretch.pace;
                if stretch.state == "PL" { (stretch.head.0 + moved).max(0) } else { stretch.head.0 }
            };
            part.head = (head(part.from), head(part.to));
            Some(part)
        };
        self.stretches.iter().filter_map(cut).collect()
    }

    /// Length of all that was played up to `at`, each part once, in µs.
    fn covered(&self, at: u64) -> i64 {
        let played = self.between(0, at).into_iter().filter(|stretch| stretch.state == "PL");
        let mut parts: Vec<_> = played.map(|Stretch { head: (a, b), .. }| (a.min(b), a.max(b))).collect();
        parts.sort_unstable();
        let (mut sum, mut upto) = (0, 0);
        for (a, b) in parts {
            sum += (b - a.max(upto)).max(0);
            upto = upto.max(b);
        }
        sum
    }

    /// The line at `b` whose predecessor was at `shown`, with figures since `a`.
    fn line(&self, a: u64, b: u64, shown: u64, is_last: bool) -> BTreeMap<Metric, String> {
        let happened = |at: u64| at >= a && (at < b || (is_last && at <= b));
        let parts = self.between(a, b);
        let time = |states: &[&str]| -> u64 {
            parts.iter().filter(|part| states.contains(&part.state)).map(|part| part.to - part.from).sum()
        };
        let length = |part: &Stretch| part.to - part.from;
        let seconds = |us: i64| format!("{}.{:03}", us / 1_000_000, us / 1000 % 1000);
        let clock = |at: u64| at - self.opened;
        let bucket = |us: i64| (us / (i64::try_from(DURATION).unwrap() * 50)).min(19) + 1;
        let list = |items: Vec<String>| items.join(",");
        let mut out = BTreeMap::new();
        let mut put = |metric, text: String| {
            if !text.is_empty() {
                out.insert(metric, text);
            }
        };

        put(Metric::CurrentClockTime, clock(b).to_string());
        put(Metric::PlayClockTime, time(&["PL"]).to_string());
        put(Metric::PlayStreamTime, (self.covered(b) / 1000 - self.covered(a) / 1000).to_string());
        put(Metric::RebufferTime, time(&["B", "RB"]).to_string());
        put(Metric::ResumeBufferTime, time(&["RB"]).to_string());
        put(Metric::PauseDuration, time(&["PS"]).to_string());
        put(Metric::SeekTime, time(&["SK", "SB"]).to_string());
        put(Metric::AdPlayClockTime, time(&["AP"]).to_string());
        put(Metric::AdPauseTime, parts.iter().filter(|part| part.held).map(length).sum::<u64>().to_string());
        let ads: Vec<_> = self.ads.iter().filter(|ad| happened(ad.0)).collect();
        put(Metric::AdCount, ads.len().to_string());
        let loading: u64 = parts.iter().filter(|part| part.loading).map(length).sum();
        put(Metric::AdStartupTime, (loading + ads.iter().map(|ad| ad.1).sum::<u64>()).to_string());
        let shares = self.shares.iter().filter(|at| happened(**at)).count();
        put(Metric::SocialSharing, if shares > 0 { format!("fbs:{shares}") } else { String::new() });

        // Counts of events, in all and by bucket.
        let buckets = |heads: Vec<i64>| {
            let mut counts = BTreeMap::<i64, u64>::new();
            heads.into_iter().for_each(|head| *counts.entry(bucket(head)).or_default() += 1);
            list(counts.into_iter().map(|(n, count)| format!("{n}:{count}")).collect())
        };
        let times = |states: &[&str]| {
            let mut times = BTreeMap::<i64, u64>::new();
            for part in parts.iter().filter(|part| states.contains(&part.state)) {
                *times.entry(bucket(part.anchor)).or_default() += length(part);
            }
            list(times.into_iter().map(|(n, ms)| format!("{n}:{ms}")).collect())
        };
        let pauses: Vec<_> = self.pauses.iter().filter(|pause| happened(pause.at)).map(|p| p.head).collect();
        let seeks: Vec<_> = self.seeks.iter().filter(|seek| happened(seek.at)).collect();
        let stalls: Vec<_> = self.stalls.iter().filter(|stall| happened(stall.at)).collect();
        let resumes: Vec<_> = stalls.iter().filter(|stall| stall.resume).map(|stall| stall.head).collect();
        put(Metric::PauseCount, pauses.len().to_string());
        put(Metric::SeekCount, seeks.len().to_string());
        put(Metric::RebufferCount, stalls.len().to_string());
        put(Metric::ResumeBufferCount, resumes.len().to_string());
        put(Metric::BucketPauseCounts, buckets(pauses));
        put(Metric::BucketSeeks, buckets(seeks.iter().map(|seek| seek.from).collect()));
        let towards = |forward: bool| {
            let there =
                seeks.iter().filter(|seek| if forward { seek.to > seek.from } else { seek.to < seek.from });
            buckets(there.map(|seek| seek.from).collect())
        };
        put(Metric::BucketForwardSeeks, towards(true));
        put(Metric::BucketBackwardSeeks, towards(false));
        put(Metric::BucketRebufferCounts, buckets(stalls.iter().map(|stall| stall.head).collect()));
        put(Metric::BucketResumeBufferCounts, buckets(resumes));
        put(Metric::BucketPauseTimes, times(&["PS"]));
        put(Metric::BucketSeekTimes, times(&["SK", "SB"]));
        put(Metric::BucketRebufferTimes, times(&["B", "RB"]));
        put(Metric::BucketResumeBufferTimes, times(&["RB"]));
        let width = i64::try_from(DURATION).unwrap() * 50;
        let plays = (1..=20).filter_map(|n| {
            let (low, high) = ((n - 1) * width, if n == 20 { i64::MAX } else { n * width });
            let played: i64 = parts
                .iter()
                .filter(|part| part.state == "PL")
                .map(|part| {
                    (part.head.0.max(part.head.1).min(high) - part.head.0.min(part.head.1).max(low)).max(0)
                })
                .sum();
            let hundredths = (played * 100 + width / 2) / width;
            let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
            (hundredths > 0).then(|| format!("{n}:{}", text.trim_end_matches('0').trim_end_matches('.')))
        });
        put(Metric::BucketPlays, list(plays.collect()));

        // What the viewer did.
        let spent =
            |id: usize| -> u64 { parts.iter().filter(|part| part.pause == Some(id)).map(length).sum() };
        let intervals = self.pauses.iter().enumerate().filter_map(|(id, pause)| {
            let whole = happened(pause.at) && pause.end.is_some_and(|end| happened(end.at));
            (spent(id) > 0 || whole).then(|| format!("{}:{}", seconds(pause.head), spent(id)))
        });
        put(Metric::PauseIntervals, list(intervals.collect()));
        let ended =
            self.seeks.iter().filter_map(|seek| Some((seek, seek.end.filter(|end| happened(end.at))?)));
        let mut jumps = Vec::new();
        let mut actions = Vec::new();
        for (seek, end) in ended {
            jumps.push(format!("{}-{}", seconds(seek.from), seconds(end.head)));
            let (from, to) = (seconds(seek.from), seconds(end.head));
            actions.push((seek.at, end.told, format!("S({from}:{}-{to}:{})", clock(seek.at), clock(end.at))));
        }
        for Pause { at, head, told, end } in &self.pauses {
            if happened(*at) {
                actions.push((*at, *told, format!("P({}:{})", seconds(*head), clock(*at))));
            }
            if let Some(End { at, head, told }) = end.filter(|end| happened(end.at)) {
                actions.push((at, told, format!("R({}:{})", seconds(head), clock(at))));
            }
        }
        put(Metric::SeekIntervals, list(jumps));
        // By where they began; within a millisecond as they were told.
        actions.sort();
        put(Metric::PauseSeekSession, list(actions.into_iter().map(|(.., text)| text).collect()));

        // Bit rates.
        let stints: Vec<Switch> =
            std::iter::once(Switch { at: 0, from: 0, to: 0, head: -1, reasons: Vec::new(), took: 0 })
                .chain(self.switches.iter().cloned())
                .collect();
        let until = |n: usize| stints.get(n + 1).map_or(u64::MAX, |next: &Switch| next.at);
        let played = |from: u64, to: u64| -> u64 {
            self.between(from, to).iter().filter(|part| part.state == "PL").map(length).sum()
        };
        let mut session = Vec::new();
        for (n, stint) in stints.iter().enumerate() {
            let ms = played(stint.at.max(a), until(n).min(b));
            if ms == 0 {
                continue;
            }
            let number = (0..=n)
                .filter(|earlier| {
                    stints[*earlier].to == stint.to && played(stints[*earlier].at, until(*earlier)) > 0
                })
                .count();
            let first = self.stretches.iter().find(|stretch| stretch.state == "PL").unwrap();
            let head = if stint.head < 0 { first.head.0 } else { stint.head };
            let rate = if stint.to > 0 { stint.to.to_string() } else { "-".to_owned() };
            let digit = |reason| if stint.reasons.contains(&reason) { '1' } else { '0' };
            let all =
                [SwitchReason::Bandwidth, SwitchReason::Frames, SwitchReason::Buffer, SwitchReason::Other];
            let reasons: String =
                if stint.reasons.is_empty() { String::new() } else { all.map(digit).iter().collect() };
            session.push(format!("{rate}:{}:{ms}:{reasons}:{number}", head / 1000));
        }
        put(Metric::TransitionStreamTimeSession, list(session));
        let mut rates = BTreeMap::<u64, u64>::new();
        for part in parts.iter().filter(|part| part.state == "PL") {
            *rates.entry(part.rate).or_default() += length(part);
        }
        let named = |rate: u64| if rate > 0 { rate.to_string() } else { "-".to_owned() };
        put(
            Metric::TransitionStreamTimes,
            list(rates.iter().map(|(r, ms)| format!("{}:{ms}", named(*r))).collect()),
        );
        let within = |low: u64, high: u64| -> u64 { rates.range(low..high).map(|(_, ms)| ms).sum() };
        put(
            Metric::BitRateBucketTimes,
            format!(
                "U:{},S:{},Q:{},D:{}",
                within(0, 1),
                within(1, 1_500_000),
                within(1_500_000, 2_500_000),
                within(2_500_000, u64::MAX)
            ),
        );
        let known: u64 = within(1, u64::MAX);
        let weighted: u64 = rates.iter().map(|(rate, ms)| rate * ms).sum();
        put(Metric::AveragedBitRate, if known > 0 { format!("{weighted}:{known}") } else { String::new() });
        let switched: Vec<_> =
            self.switches.iter().filter(|s| happened(s.at) && s.from > 0 && s.to > 0).collect();
        let (up, down): (Vec<&Switch>, Vec<&Switch>) = switched.iter().partition(|s| s.to > s.from);
        put(Metric::TransitionCount, switched.len().to_string());
        put(Metric::TransitionUpSwitchCount, up.len().to_string());
        put(Metric::TransitionDownSwitchCount, down.len().to_string());
        put(Metric::TransitionTime, switched.iter().map(|s| s.took).sum::<u64>().to_string());
        let reasons = |switches: &[&Switch]| {
            let all =
                [SwitchReason::Bandwidth, SwitchReason::Frames, SwitchReason::Buffer, SwitchReason::Other];
            let count = |reason| switches.iter().filter(|switch| switch.reasons.contains(&reason)).count();
            list(all.map(|reason| count(reason).to_string()).to_vec())
        };
        put(Metric::UpSwitchReasonCounts, reasons(&up));
        put(Metric::DownSwitchReasonCounts, reasons(&down));

        // Rebuffers.
        let mut told = Vec::new();
        for (id, stall) in self.stalls.iter().enumerate() {
            let ms: u64 = parts.iter().filter(|part| part.stall == Some(id)).map(length).sum();
            if ms > 0 || happened(stall.at) {
                told.push((id, stall.at < a, stall.at.saturating_sub(shown), ms));
            }
        }
        if let Some((first, continued, ..)) = told.first().copied() {
            let gap = match first {
                _ if continued => "0".to_owned(),
                0 => "-1".to_owned(),
                n => (self.stalls[n].at - self.stalls[n - 1].end.unwrap()).to_string(),
            };
            let items: String = told
                .iter()
                .map(|(_, continued, start, ms)| format!("{}:{ms};", if *continued { 0 } else { *start }))
                .collect();
            put(Metric::RebufferSession, format!("{}:{gap};{items}", u8::from(continued)));
        }
        let lasted = |id: usize| -> u64 {
            self.between(0, b).iter().filter(|part| part.stall == Some(id)).map(length).sum()
        };
        if told.iter().any(|(id, .., ms)| *ms > 0 && lasted(*id) > 30_000) {
            put(Metric::RebufferStatus, "Connection.Idle".to_owned());
        }

        // Counters, and what is sampled every half second.
        let upto = |at: u64, inclusive: bool| {
            let told = self.counted.iter().rfind(|(t, ..)| *t < at || (inclusive && *t == at));
            told.map_or((0, 0), |(_, dropped, bytes)| (*dropped, *bytes))
        };
        let (before, after) = (upto(a, false), upto(b, is_last));
        put(Metric::DroppedFrames, (after.0 - before.0).to_string());
        put(Metric::BytesLoaded, (after.1 - before.1).to_string());
        let samples = |of: &dyn Fn(&Stretch) -> Option<f64>| {
            let (mut sum, mut count) = (0.0, 0);
            for part in &parts {
                let points = (1..).map(|n| self.opened + n * 500);
                for _ in points.skip_while(|at| *at <= part.from).take_while(|at| *at <= part.to) {
                    if let Some(value) = of(part) {
                        (sum, count) = (sum + value, count + 1);
                    }
                }
            }
            let sum = format!("{sum:.4}");
            let sum = sum.trim_end_matches('0').trim_end_matches('.');
            if count > 0 { format!("{sum}:{count}") } else { String::new() }
        };
        #[expect(clippy::cast_precision_loss, reason = "bit rates are far below 2^53")]
        let float = |value: u64| value as f64;
        put(Metric::PlayBackBitRate, samples(&|p| (p.state == "PL" && p.rate > 0).then(|| float(p.rate))));
        put(Metric::AverageFps, samples(&|part| part.gauges.fps.filter(|_| part.state == "PL")));
        put(Metric::BufferTime, samples(&|part| part.gauges.buffer.map(float)));
        put(Metric::AvailableBandwidth, samples(&|part| part.gauges.throughput.map(float)));
        put(Metric::LiveDelay, samples(&|part| part.gauges.delay));
        out
    }
}

/// Lines every ten seconds, the first after one.
fn often() -> Config {
    config("logInterval=\"10\" secondaryLogTime=\"1\"")
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn the_engine_and_a_recount_from_scratch_agree(history in steps(0)) {
        let mut b = Box::new([often()]);
        let tell = |b: &mut Box, event: SessionEvent| {
            let event = Told::Session(SessionId::try_new("a").unwrap(), event);
            let told = b.sessions.handle_message(b.now, PLAYER, Message { at: b.now, event });
            b.turn();
            told.is_ok()
        };
        b.at(1000).ok(open("http://a.example/film.mp4"));
        let length = SessionEvent::Counters(Counters { duration: Some(DURATION), ..Counters::default() });
        let mut taken = vec![(1000, length.clone())];
        b.ok(length);
        for Step { after, mut event, .. } in history {
            let now = b.now.0 + after;
            b.at(now);
            if let SessionEvent::Seek(seek) = &mut event {
                // Where the playhead is without being told is what is recounted here.
                seek.from = None;
            }
            if tell(&mut b, event.clone()) {
                taken.push((now, event));
            }
        }
        let closed = b.now.0 + 777;
        b.at(closed).ok(STOP);

        let history = History::of(1000, closed, &taken);
        let due = history.lines(1000, 10_000);
        let lines: Vec<_> =
            b.lines[0].iter().filter(|line| !matches!(line.event, Event::Init | Event::PlayStart)).collect();
        let times: Vec<_> = lines.iter().map(|line| line.at).collect();
        prop_assert_eq!(&times, &due.iter().copied().map(Millis).collect::<Vec<_>>());
        let mut since = 1000;
        for (n, (at, line)) in due.iter().zip(&lines).enumerate() {
            let shown = if n == 0 { history.joined.unwrap_or(1000) } else { since };
            let expected = history.line(since, *at, shown, n + 1 == due.len());
            let read = decode::Line::read(&line.text).unwrap();
            for (metric, text) in &expected {
                prop_assert_eq!(read.value(*metric), Some(text.as_str()), "{}: {}", metric, line.text);
            }
            for metric in RECOUNTED.iter().filter(|metric| !expected.contains_key(metric)) {
                prop_assert_eq!(read.value(*metric), None, "{}: {}", metric, line.text);
            }
            since = *at;
        }
    }
}

/// Keys that a line must not have where a recount finds nothing.
const RECOUNTED: [Metric; 22] = [
    Metric::PauseIntervals,
    Metric::SeekIntervals,
    Metric::PauseSeekSession,
    Metric::RebufferSession,
    Metric::RebufferStatus,
    Metric::TransitionStreamTimeSession,
    Metric::TransitionStreamTimes,
    Metric::AveragedBitRate,
    Metric::BucketPlays,
    Metric::BucketPauseCounts,
    Metric::BucketPauseTimes,
    Metric::BucketSeeks,
    Metric::BucketForwardSeeks,
    Metric::BucketBackwardSeeks,
    Metric::BucketSeekTimes,
    Metric::BucketRebufferCounts,
    Metric::BucketRebufferTimes,
    Metric::PlayBackBitRate,
    Metric::AverageFps,
    Metric::BufferTime,
    Metric::AvailableBandwidth,
    Metric::SocialSharing,
];
