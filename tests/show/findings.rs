//! What was done in a play-back, beside what lines say of it.

use std::fmt;
use std::time::Duration;

use stbeacon_core::line::keys::Metric;
use stbeacon_core::line::value::{Seek, Typed};

use super::Performance;
use crate::{ReceivedLine, Said};

/// The grain of the samplers, in ms: no time is known better from outside.
const GRAIN: u64 = 500;

/// One thing that was done, and what was reported of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub what: &'static str,
    /// By the account of those who did it.
    pub done: String,
    /// By the account of the lines.
    pub reported: String,
    /// Whether the two agree.
    pub right: bool,
}

/// What the player waited for its buffer, as (from, to).
#[derive(Debug, Default)]
struct Rebuffers {
    /// It played before.
    certain: Vec<(u64, u64)>,
    /// It was about to play, or began to for a moment before it paused to wait: nobody can tell whether that was a
    /// picture that stopped, or one that was late.
    doubtful: Vec<(u64, u64)>,
}

// === impl Rebuffers ===

impl Rebuffers {
    fn count(&self, reported: u64) -> Finding {
        let (least, more) = (self.certain.len(), self.doubtful.len());
        let done = if more == 0 { least.to_string() } else { format!("{least} to {}", least + more) };
        let right = (least..=least + more).contains(&usize_of(reported));
        Finding { what: "rebuffers (z)", done, reported: reported.to_string(), right }
    }

    fn time(&self, reported: u64) -> Finding {
        let least = total(&self.certain);
        let most = least + total(&self.doubtful);
        Finding {
            what: "rebuffering, ms (da)",
            done: if most == least { least.to_string() } else { format!("{least} to {most}") },
            reported: reported.to_string(),
            right: (least.saturating_sub(GRAIN)..=most + GRAIN).contains(&reported),
        }
    }

    /// Where they began, in ms since the attempt at `opened`: each certain one is to be told, and none that was not.
    fn places(&self, opened: u64, reported: &[u64]) -> Finding {
        let since = |spans: &[(u64, u64)]| -> Vec<u64> {
            spans.iter().map(|(from, _)| from.saturating_sub(opened)).collect()
        };
        let (mut certain, mut doubtful) = (since(&self.certain), since(&self.doubtful));
        let done = if doubtful.is_empty() {
            list(&certain)
        } else {
            format!("{}, perhaps {}", list(&certain), list(&doubtful))
        };
        // Each that is told takes away the one that it tells of.
        let mut take = |told: u64| {
            [&mut certain, &mut doubtful].into_iter().any(|left| {
                let found = left.iter().position(|done| done.abs_diff(told) <= GRAIN);
                found.map(|at| left.remove(at)).is_some()
            })
        };
        let right = reported.iter().all(|told| take(*told)) && certain.is_empty();
        Finding { what: "rebuffer began, s (rs)", done, reported: list(reported), right }
    }
}

// === impl Performance ===

impl Performance {
    /// What was done beside what was reported.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let pauses = self.between("pause", "resume");
        let seeks = self.seeks();
        let rebuffers = self.rebuffers();
        // The first picture is there once the player is ready to play, even if it waits for more then.
        let is_ready = |said: &&Said| said.what == "paused" || said.what == "playing";
        let joined = self.said.iter().find(is_ready).map_or(0, |said| said.at);
        let startup = joined.saturating_sub(self.opened());
        let sum = |metric| self.lines.iter().filter_map(|line| line.integer(metric)).sum::<u64>();
        let last = |metric| self.lines.last().and_then(|line| line.integer(metric)).unwrap_or(0);
        let start_line = self.lines.get(1).and_then(|line| line.integer(Metric::StartupTime)).unwrap_or(0);
        let codes: String = self
            .lines
            .iter()
            .filter_map(|line| line.read().ok()?.event())
            .map(|event| event.code())
            .collect();
        let order: Vec<_> = self.lines.iter().map(|line| line.integer(Metric::SequenceId)).collect();
        let dense = (0..order.len()).map(|number| u64::try_from(number).ok()).collect::<Vec<_>>();
        let ups = self.changes(|from, to| from < to);
        let downs = self.changes(|from, to| from > to);

        let mut findings = vec![
            Finding {
                what: "lines",
                done: "I S P… C".to_owned(),
                right: codes.starts_with("ISP") && codes.ends_with("PC") && order == dense,
                reported: codes,
            },
            near("start-up, ms (ap)", startup, start_line, GRAIN),
            same("pauses (dd)", pauses.len(), sum(Metric::PauseCount)),
            near("paused, ms (de)", total(&pauses), sum(Metric::PauseDuration), GRAIN),
            same("seeks (dg)", seeks.len(), sum(Metric::SeekCount)),
            near("seeking, ms (dh)", self.seek_time(), sum(Metric::SeekTime), GRAIN * 2),
            rebuffers.count(sum(Metric::RebufferCount)),
            rebuffers.time(sum(Metric::RebufferTime)),
            near("playing, ms (x)", self.play_time(), sum(Metric::PlayClockTime), GRAIN * 2),
            same("lines of a visit", 1, u64::try_from(self.visits.len()).unwrap_or(0)),
            same(
                "playing, ms (x = tx)",
                usize_of(sum(Metric::PlayClockTime)),
                last(Metric::TotalPlayClockTime),
            ),
            between("switches up (fd)", 1, ups, sum(Metric::TransitionUpSwitchCount)),
            between("switches down (fe)", 1, downs, sum(Metric::TransitionDownSwitchCount)),
        ];
        findings.extend(self.seek_places(&seeks));
        findings.push(self.rebuffer_place(&rebuffers));
        findings.push(self.rates_played());
        findings
    }

    /// When the attempt began, on `CLOCK_BOOTTIME` in ms.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.said.first().map_or(0, |said| said.at)
    }

    /// Times from one thing said to another, as (from, to).
    fn between(&self, from: &str, to: &str) -> Vec<(u64, u64)> {
        let mut open = None;
        let mut spans = Vec::new();
        for said in &self.said {
            if said.what == from {
                open = Some(said.at);
            } else if said.what == to {
                spans.extend(open.take().map(|from| (from, said.at)));
            }
        }
        spans
    }

    /// The seeks, as (from, to) in ms of the stream.
    fn seeks(&self) -> Vec<(u64, u64)> {
        let seeks = self.said.iter().filter(|said| said.what == "seek");
        seeks.filter_map(|said| Some((said.position?, said.to?))).collect()
    }

    /// What the player waited for its buffer while it would have played: not at the start, not for a seek.
    fn rebuffers(&self) -> Rebuffers {
        let before = |at: u64| {
            let before = self.said.iter().rev().skip_while(|said| said.at >= at);
            before.map(|said| said.what.as_str()).find(|what| *what != "where" && *what != "paused")
        };
        let plays = |at: u64| self.said.iter().find(|said| said.at >= at && said.what == "playing");
        let mut rebuffers = Rebuffers::default();
        for (from, to) in self.between("filling", "filled") {
            // It takes the player a moment to play on.
            let span = (from, plays(to).map_or(to, |said| said.at));
            if before(from) == Some("playing") {
                rebuffers.certain.push(span);
            } else if before(from) == Some("resume") || plays(from).is_some_and(|said| said.at < to) {
                rebuffers.doubtful.push(span);
            }
        }
        rebuffers
    }

    fn seek_time(&self) -> u64 {
        let ends = |at: u64| self.said.iter().find(|said| said.at > at && said.what == "playing");
        let seeks = self.said.iter().filter(|said| said.what == "seek");
        seeks.filter_map(|seek| Some(ends(seek.at)?.at - seek.at)).sum()
    }

    fn play_time(&self) -> u64 {
        let mut since = None;
        let mut played = 0;
        for said in &self.said {
            match said.what.as_str() {
                "playing" => since = since.or(Some(said.at)),
                "pause" | "seek" | "filling" | "end" => {
                    played += since.take().map_or(0, |since: u64| said.at - since);
                }
                _ => {}
            }
        }
        played
    }

    fn changes(&self, is: impl Fn(u32, u32) -> bool) -> u64 {
        let rates: Vec<u32> =
            self.renditions.iter().filter_map(|name| name.strip_prefix('r')?.parse().ok()).collect();
        let changes = rates.iter().zip(rates.iter().skip(1)).filter(|(from, to)| is(**from, **to));
        u64::try_from(changes.count()).unwrap_or(u64::MAX)
    }

    fn typed(&self, metric: Metric) -> impl Iterator<Item = (u64, Typed)> + '_ {
        let since = |line: &ReceivedLine| {
            let dx = line.read().ok()?.value(Metric::LogInterval)?.parse::<f64>().ok()?;
            let before = Duration::try_from_secs_f64(dx).ok()?.as_millis();
            line.integer(Metric::CurrentClockTime)?.checked_sub(u64::try_from(before).ok()?)
        };
        self.lines.iter().filter_map(move |line| {
            let typed = line.read().ok()?.field(metric)?.typed()?.ok()?;
            Some((since(line).unwrap_or(0), typed))
        })
    }

    fn seek_places(&self, done: &[(u64, u64)]) -> Vec<Finding> {
        let ms = |Seek { from, to }: Seek| (from.to_f64() * 1000.0, to.to_f64() * 1000.0);
        let reported: Vec<_> = self
            .typed(Metric::SeekIntervals)
            .filter_map(|(_, typed)| if let Typed::Seeks(seeks) = typed { Some(seeks) } else { None })
            .flatten()
            .map(ms)
            .collect();
        let place = |index: usize, &(from, to): &(u64, u64)| {
            let told = reported.get(index).copied().unwrap_or((-1.0, -1.0));
            let near =
                |done: u64, told: f64| (told - Duration::from_millis(done).as_secs_f64() * 1000.0).abs();
            Finding {
                what: "seek, s (di)",
                done: format!("{:.1}-{:.1}", seconds(from), seconds(to)),
                reported: format!("{:.1}-{:.1}", told.0 / 1000.0, told.1 / 1000.0),
                right: near(from, told.0) <= 500.0 && near(to, told.1) <= 500.0,
            }
        };
        done.iter().enumerate().map(|(index, seek)| place(index, seek)).collect()
    }

    fn rebuffer_place(&self, done: &Rebuffers) -> Finding {
        let mut reported = Vec::new();
        for (line_before, typed) in self.typed(Metric::RebufferSession) {
            let Typed::Rebuffers(told) = typed else { continue };
            // One that began before the line is only continued by it.
            let new = told.rebuffers.iter().skip(usize::from(told.continued));
            reported.extend(new.map(|rebuffer| line_before + rebuffer.start));
        }
        done.places(self.opened(), &reported)
    }

    fn rates_played(&self) -> Finding {
        let mut reported: Vec<u64> = self
            .typed(Metric::TransitionStreamTimes)
            .filter_map(|(_, typed)| if let Typed::RateTimes(times) = typed { Some(times) } else { None })
            .flatten()
            .filter_map(|time| time.rate)
            .collect();
        reported.sort_unstable();
        reported.dedup();
        let nominal: Vec<u64> = self.rates.iter().map(|rate| u64::from(*rate)).collect();
        let known = reported.iter().filter(|rate| nominal.contains(rate)).count();
        let list = |rates: &[u64]| {
            rates.iter().map(|rate| format!("{}k", rate / 1000)).collect::<Vec<_>>().join(" ")
        };
        Finding {
            what: "bit rates played (fj)",
            done: format!("of {}", list(&nominal)),
            // Before the first change a player does not tell which rendition it is: that rate is measured.
            right: known >= 2 && reported.len() <= known + 1,
            reported: list(&reported),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, done, reported, right } = self;
        write!(f, "{what}: done {done}, reported {reported}{}", if *right { "" } else { " (wrong)" })
    }
}

fn total(spans: &[(u64, u64)]) -> u64 {
    spans.iter().map(|(from, to)| to - from).sum()
}

fn same(what: &'static str, done: usize, reported: u64) -> Finding {
    let right = usize_of(reported) == done;
    Finding { what, done: done.to_string(), reported: reported.to_string(), right }
}

fn near(what: &'static str, done: u64, reported: u64, grain: u64) -> Finding {
    let right = done.abs_diff(reported) <= grain;
    Finding { what, done: done.to_string(), reported: reported.to_string(), right }
}

/// Not every rendition that was fetched is shown: a seek may throw it away.
fn between(what: &'static str, least: u64, most: u64, reported: u64) -> Finding {
    let right = (least..=most).contains(&reported);
    Finding { what, done: format!("{least} to {most}"), reported: reported.to_string(), right }
}

fn usize_of(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Times in ms, told in seconds.
fn list(times: &[u64]) -> String {
    times.iter().map(|at| format!("{:.1}", seconds(*at))).collect::<Vec<_>>().join(" ")
}

fn seconds(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn performance(said: &[(u64, &str)]) -> Performance {
        let said =
            said.iter().map(|&(at, what)| Said { at, what: what.to_owned(), position: None, to: None });
        Performance {
            said: said.collect(),
            network: Vec::new(),
            lines: Vec::new(),
            visits: Vec::new(),
            renditions: Vec::new(),
            rates: Vec::new(),
        }
    }

    /// Which waiting is a rebuffer, which may be one, and which is none.
    #[rstest]
    #[case::at_the_start(&[(0, "open"), (10, "filling"), (900, "filled"), (901, "playing")], &[], &[])]
    #[case::in_the_midst(
        &[(0, "open"), (10, "playing"), (5_000, "filling"), (5_002, "paused"), (7_000, "filled"), (7_009, "playing")],
        &[(5_000, 7_009)],
        &[]
    )]
    #[case::for_a_seek(&[(0, "playing"), (900, "seek"), (901, "filling"), (950, "filled"), (951, "playing")], &[], &[])]
    #[case::as_it_plays_on(
        &[
            (0, "playing"), (800, "pause"), (802, "paused"), (2_800, "resume"), (2_806, "filling"), (2_808, "playing"),
            (2_811, "paused"), (2_816, "filled"), (2_823, "playing"),
        ],
        &[],
        &[(2_806, 2_823)]
    )]
    #[case::it_began_for_a_moment(
        &[(0, "open"), (10, "filling"), (12, "playing"), (14, "paused"), (20, "filled"), (21, "playing")],
        &[],
        &[(10, 21)]
    )]
    fn rebuffers_are_told_from_other_waiting(
        #[case] said: &[(u64, &str)],
        #[case] certain: &[(u64, u64)],
        #[case] doubtful: &[(u64, u64)],
    ) {
        let rebuffers = performance(said).rebuffers();
        assert_eq!((&*rebuffers.certain, &*rebuffers.doubtful), (certain, doubtful));
    }

    #[rstest]
    #[case::right(&[11_600, 19_600], true)]
    #[case::without_the_doubtful_one(&[19_600], true)]
    #[case::without_the_certain_one(&[11_600], false)]
    #[case::twice(&[19_600, 19_600], false)]
    #[case::invented(&[5_000, 19_600], false)]
    #[case::elsewhere(&[19_000], false)]
    fn each_place_is_told_once(#[case] reported: &[u64], #[case] right: bool) {
        let rebuffers = Rebuffers { certain: vec![(20_000, 22_000)], doubtful: vec![(12_000, 12_017)] };
        let finding = rebuffers.places(400, reported);
        assert_eq!(finding.right, right, "{finding}");
        if right {
            assert!(rebuffers.count(u64::try_from(reported.len()).unwrap()).right);
        }
    }
}
