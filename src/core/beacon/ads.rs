//! Ads since the last line: `gb`, and the sums around it.

use super::text::{Comma, push, push_fields, push_some};
use crate::line::encode::Text;
use crate::line::value::push_field;
use crate::session::AdRecord;

/// How many ads one line lists; the sums go on beyond.
const MAX_ADS: usize = 64;

#[derive(Debug, Clone, Default)]
pub(super) struct Ads {
    /// Those that ended, in the order of their ends.
    ended: Vec<AdRecord>,
    pub(super) line: Sums,
    pub(super) total: Sums,
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
            self.ended.push(record.clone());
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
    pub(super) fn write_session(&self, out: &mut Text) {
        let mut comma = Comma::default();
        for record in &self.ended {
            let ad = &record.ad;
            push_field(&ad.id, comma.before(out));
            out.push(':');
            let kind = u64::from(record.kind.code());
            push_fields([kind, record.head.ms(), record.startup.0, record.played.0], out);
            out.push(':');
            match u64::try_from(record.play_bucket()) {
                Ok(bucket) => push(bucket, out),
                Err(_) => out.push_str("-1"),
            }
            out.push(':');
            push(record.status.code().into(), out);
            out.push(':');
            push_some(ad.duration, out);
            for text in
                [&ad.title, &ad.category, &ad.partner, &ad.server, &ad.daypart, &ad.industry, &ad.event]
            {
                out.push(':');
                push_field(text.as_deref().unwrap_or_default(), out);
            }
        }
    }
}
