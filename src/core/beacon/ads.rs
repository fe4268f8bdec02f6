//! Ads since the last line: `gb`, and the sums around it.

use super::text::{field, push_some};
use crate::line::encode::Pen;
use crate::session::AdRecord;

/// How many ads one line lists; the sums go on beyond.
const MAX_ADS: usize = 64;

#[derive(Debug, Clone, Default)]
pub(super) struct Ads {
    /// Those that ended, in the order of their ends.
    ended: Vec<Ended>,
    pub(super) line: Sums,
    pub(super) total: Sums,
}

/// One that ended: nothing of it changes any more.
#[derive(Debug, Clone)]
struct Ended {
    id: Box<str>,
    kind: u8,
    /// Where it began, and for how long it loaded and played, in ms.
    times: [u64; 3],
    /// How much of it was played, in quarters; `None` where it did not begin.
    quarters: Option<u64>,
    status: u8,
    /// In ms.
    duration: Option<u64>,
    /// What it is about, from the colon on that is in front of its title.
    about: Box<str>,
}

/// Times in ms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sums {
    /// Those that began.
    pub(super) count: u64,
    pub(super) play: u64,
    pub(super) startup: u64,
    /// Those that did not play to their end.
    pub(super) abandoned: u64,
}

impl Ads {
    pub(super) fn begin(&mut self, paused_before: u64) {
        self.both(|sums| {
            sums.count = sums.count.saturating_add(1);
            sums.startup = sums.startup.saturating_add(paused_before);
        });
    }

    pub(super) fn spend_loading(&mut self, ms: u64) {
        self.both(|sums| sums.startup = sums.startup.saturating_add(ms));
    }

    pub(super) fn spend_playing(&mut self, ms: u64) {
        self.both(|sums| sums.play = sums.play.saturating_add(ms));
    }

    pub(super) fn end(&mut self, record: &AdRecord) {
        let abandoned = u64::from(record.status.code() != 0 || !record.started);
        self.both(|sums| sums.abandoned = sums.abandoned.saturating_add(abandoned));
        if self.ended.len() < MAX_ADS {
            self.ended.push(Ended::new(record));
        }
    }

    pub(super) fn restart(&mut self) {
        *self = Self::default();
    }

    pub(super) fn next_line(&mut self) {
        self.line = Sums::default();
        self.ended.clear();
    }

    /// What ended is told; the sums still wait for a line that carries them.
    pub(super) fn told(&mut self) {
        self.ended.clear();
    }

    fn both(&mut self, change: impl Fn(&mut Sums)) {
        change(&mut self.line);
        change(&mut self.total);
    }

    /// Fifteen fields an ad.
    #[inline(never)]
    pub(super) fn write_session<'p>(&self, out: Pen<'p>) -> Pen<'p> {
        out.list(|out| self.ended.iter().fold(out, |out, ended| ended.write(out)))
    }
}

impl Ended {
    fn new(record: &AdRecord) -> Self {
        let AdRecord { ad, kind, head, startup, played, status, .. } = record;
        let texts = [&ad.title, &ad.category, &ad.partner, &ad.server, &ad.daypart, &ad.industry, &ad.event];
        let about: String = texts
            .into_iter()
            .flat_map(|text| [":".into(), field(text.as_deref().unwrap_or_default())])
            .collect();
        Self {
            id: field(&ad.id).into(),
            kind: kind.code(),
            times: [head.ms(), startup.0, played.0],
            quarters: u64::try_from(record.play_bucket()).ok(),
            status: status.code(),
            duration: ad.duration,
            about: about.into(),
        }
    }

    /// The fifteen fields, and a comma behind them.
    fn write<'p>(&self, out: Pen<'p>) -> Pen<'p> {
        let out = out.text(&self.id).marks(*b":").number_and(self.kind.into(), b':');
        let out = self.times.iter().fold(out, |out, time| out.number_and(*time, b':'));
        let out = match self.quarters {
            Some(quarters) => out.number_and(quarters, b':'),
            None => out.marks(*b"-1:"),
        };
        let out = push_some(self.duration, out.number_and(self.status.into(), b':'));
        out.text(&self.about).marks(*b",")
    }
}
