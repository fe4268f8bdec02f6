//! Bit rates: which were played, when, for how long.

use crate::line::config::RateClasses;
use crate::line::encode::Pen;
use crate::player::SwitchReason;
use crate::session::Head;

/// How many stints one line lists; further ones are put together in the last, as of an unknown rate.
const MAX_STINTS: usize = 128;
/// How many rates are told apart in one line, or counted in an attempt; further ones count as unknown.
const MAX_RATES: usize = 64;

/// Time played at bit rates.
#[derive(Debug, Clone)]
pub(super) struct Stints {
    classes: RateClasses,
    current: Current,
    /// How many stints each rate has had in the attempt.
    seen: Vec<(u64, u64)>,
    /// The highest rate that was played in the attempt.
    pub(super) max: u64,
    /// Of this line.
    list: Vec<Stint>,
    /// Whether the last of `list` is the current one.
    listed: bool,
    /// Of this line, ascending; 0 is the unknown rate.
    pub(super) times: Vec<(u64, u64)>,
    pub(super) class_times: Vec<u64>,
    /// Of the whole attempt.
    class_totals: Vec<u64>,
    /// Σ bit/s × ms.
    pub(super) weighted: u128,
    /// Σ ms.
    pub(super) rated: u64,
    pub(super) up: Switches,
    pub(super) down: Switches,
    pub(super) took: u64,
}

/// Switches in one direction.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Switches {
    pub(super) count: u64,
    pub(super) reasons: [u64; 4],
}

/// The rate that plays now.
#[derive(Debug, Clone, Copy)]
struct Current {
    rate: u64,
    /// Where it was switched to; what plays from the beginning was not switched to.
    head: Option<Head>,
    reasons: Option<[bool; 4]>,
    /// Which stint at this rate it is; 0 while it has not played at all.
    number: u64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Stint {
    rate: u64,
    head: Head,
    pub(super) played: u64,
    reasons: Option<[bool; 4]>,
    number: u64,
}

impl Stints {
    pub(super) fn new(classes: RateClasses) -> Self {
        let class_times = vec![0; classes.len()];
        Self {
            classes,
            current: Current { rate: 0, head: None, reasons: None, number: 0 },
            seen: Vec::new(),
            max: 0,
            list: Vec::new(),
            listed: false,
            times: Vec::new(),
            class_totals: class_times.clone(),
            class_times,
            weighted: 0,
            rated: 0,
            up: Switches::default(),
            down: Switches::default(),
            took: 0,
        }
    }

    /// Another attempt of the same session: what was is forgotten, what plays still plays.
    pub(super) fn restart(&mut self) {
        let current = Current { number: 0, reasons: None, head: None, ..self.current };
        *self = Self { current, ..Self::new(self.classes.clone()) };
    }

    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.listed = false;
        self.times.clear();
        self.class_times.fill(0);
        (self.weighted, self.rated, self.took) = (0, 0, 0);
        (self.up, self.down) = (Switches::default(), Switches::default());
    }

    /// Another rate plays from here on; 0 is unknown.
    pub(super) fn switch(
        &mut self,
        from: u64,
        to: u64,
        head: Head,
        reasons: &[SwitchReason],
        took: Option<u64>,
    ) {
        let given = |reason| reasons.contains(&reason);
        let digits =
            [SwitchReason::Bandwidth, SwitchReason::Frames, SwitchReason::Buffer, SwitchReason::Other]
                .map(given);
        let reasons = (!reasons.is_empty()).then_some(digits);
        self.begin(Current { rate: to, head: Some(head), reasons, number: 0 });
        if from > 0 && to > 0 {
            let switches = if to > from { &mut self.up } else { &mut self.down };
            switches.count = switches.count.saturating_add(1);
            for (count, given) in switches.reasons.iter_mut().zip(digits) {
                *count = count.saturating_add(u64::from(given));
            }
            self.took = self.took.saturating_add(took.unwrap_or_default());
        }
    }

    pub(super) fn play(&mut self, rate: u64, head: Head, ms: u64) {
        if rate != self.current.rate {
            // Told by a player that was known before: the switch itself went by unseen.
            self.begin(Current { rate, head: None, reasons: None, number: 0 });
        }
        if self.current.number == 0 {
            self.current.number = self.count_stint(rate);
            self.max = self.max.max(rate);
        }
        let head = *self.current.head.get_or_insert(head);
        if !self.listed {
            self.listed = true;
            if self.list.len() < MAX_STINTS {
                let Current { rate, reasons, number, .. } = self.current;
                self.list.push(Stint { rate, head, played: 0, reasons, number });
            } else if let Some(last) = self.list.last_mut() {
                *last = Stint { rate: 0, reasons: None, ..*last };
            }
        }
        if let Some(stint) = self.list.last_mut() {
            stint.played = stint.played.saturating_add(ms);
        }
        add_to(&mut self.times, rate, ms);
        let known = Some(rate).filter(|rate| *rate > 0);
        if let Some(class) = self.classes.class_of(known) {
            for times in [&mut self.class_times, &mut self.class_totals] {
                if let Some(time) = times.get_mut(class) {
                    *time = time.saturating_add(ms);
                }
            }
        }
        if rate > 0 {
            self.weighted = self.weighted.saturating_add(u128::from(rate) * u128::from(ms));
            self.rated = self.rated.saturating_add(ms);
        }
    }

    fn begin(&mut self, current: Current) {
        self.current = current;
        self.listed = false;
    }

    fn count_stint(&mut self, rate: u64) -> u64 {
        if let Some((_, count)) = self.seen.iter_mut().find(|(seen, _)| *seen == rate) {
            *count = count.saturating_add(1);
            return *count;
        }
        if self.seen.len() < MAX_RATES {
            self.seen.push((rate, 1));
        }
        1
    }

    /// Time played in each class in the whole attempt, in ms.
    pub(super) fn class_totals(&self) -> &[u64] {
        &self.class_totals
    }

    /// `fi`
    #[inline(never)]
    pub(super) fn write_session<'p>(&self, out: Pen<'p>) -> Pen<'p> {
        out.list(|mut out| {
            for Stint { rate, head, played, reasons, number } in &self.list {
                out = push_rate(*rate, out).number_and(head.ms(), b':').number_and(*played, b':');
                if let Some(reasons) = reasons {
                    out = out.marks(reasons.map(|given| b'0' + u8::from(given)));
                }
                out = out.marks(*b":").number_and(*number, b',');
            }
            out
        })
    }

    /// `fj`
    #[inline(never)]
    pub(super) fn write_times<'p>(&self, out: Pen<'p>) -> Pen<'p> {
        out.list(|out| {
            self.times.iter().fold(out, |out, (rate, ms)| push_rate(*rate, out).number_and(*ms, b','))
        })
    }

    /// `fk`
    #[inline(never)]
    pub(super) fn write_classes<'p>(&self, out: Pen<'p>) -> Pen<'p> {
        out.list(|mut out| {
            for (key, ms) in self.classes.keys().zip(&self.class_times) {
                out = out.text(key).marks(*b":").number_and(*ms, b',');
            }
            out
        })
    }

    /// `fl`
    #[inline(never)]
    pub(super) fn write_weighted<'p>(&self, out: Pen<'p>) -> Pen<'p> {
        if self.rated == 0 {
            return out;
        }
        out.wide(self.weighted).marks(*b":").number(self.rated)
    }
}

impl Switches {
    /// `fg` and `fh`
    #[inline(never)]
    pub(super) fn write_reasons<'p>(&self, out: Pen<'p>) -> Pen<'p> {
        out.list(|out| self.reasons.iter().fold(out, |out, count| out.number_and(*count, b',')))
    }
}

/// A rate, and the colon behind it.
fn push_rate(rate: u64, out: Pen<'_>) -> Pen<'_> {
    if rate == 0 { out.marks(*b"-:") } else { out.number_and(rate, b':') }
}

/// Adds to a sorted list of sums; one more rate than there is room for counts as unknown.
fn add_to(times: &mut Vec<(u64, u64)>, rate: u64, ms: u64) {
    let rate = match times.binary_search_by_key(&rate, |time| time.0) {
        Err(_) if times.len() >= MAX_RATES => 0,
        _ => rate,
    };
    match times.binary_search_by_key(&rate, |time| time.0) {
        Ok(index) => {
            if let Some((_, time)) = times.get_mut(index) {
                *time = time.saturating_add(ms);
            }
        }
        Err(index) => times.insert(index, (rate, ms)),
    }
}
