//! Rebuffers: `rs`, and what depends on how long one has lasted.

use crate::line::encode::Pen;
use crate::time::Millis;

/// How many rebuffers one line lists; the time of further ones is put to the last.
const MAX_STALLS: usize = 128;
/// A rebuffer longer than this is told as [`IDLE`].
const LONG: u64 = 30_000;
/// What `rst` says.
pub(super) const IDLE: &str = "Connection.Idle";

/// The rebuffers of an attempt.
#[derive(Debug, Clone, Default)]
pub(super) struct Stalls {
    current: Option<Stall>,
    /// When the last one ended.
    last_end: Option<Millis>,
    /// The longest of the attempt, in ms.
    pub(super) longest: u64,
    /// Of this line.
    pub(super) list: Vec<Listed>,
    /// T2 of this line.
    gap: Option<u64>,
    /// Whether one that is part of this line has lasted long.
    pub(super) idle: bool,
}

/// The one that lasts.
#[derive(Debug, Clone, Copy)]
struct Stall {
    began: Millis,
    total: u64,
    /// Whether the last of `list` is this one.
    listed: bool,
    /// Whether an earlier line told of it.
    told: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listed {
    began: Millis,
    pub(super) ms: u64,
    continued: bool,
}

impl Stalls {
    pub(super) fn begin(&mut self, at: Millis) {
        self.end(at);
        let mut stall = Stall { began: at, total: 0, listed: false, told: false };
        self.list(&mut stall);
        self.current = Some(stall);
    }

    pub(super) fn spend(&mut self, from: Millis, ms: u64) {
        let mut stall =
            self.current.take().unwrap_or(Stall { began: from, total: 0, listed: false, told: false });
        self.list(&mut stall);
        stall.total = stall.total.saturating_add(ms);
        self.longest = self.longest.max(stall.total);
        self.idle |= stall.total > LONG;
        if let Some(listed) = self.list.last_mut() {
            listed.ms = listed.ms.saturating_add(ms);
        }
        self.current = Some(stall);
    }

    pub(super) fn end(&mut self, at: Millis) {
        if self.current.take().is_some() {
            self.last_end = Some(at);
        }
    }

    /// How long the one that lasts has lasted, in ms.
    pub(super) fn lasting(&self) -> Option<u64> {
        self.current.map(|stall| stall.total)
    }

    /// Another attempt begins; one that lasts goes on in it.
    pub(super) fn restart(&mut self) {
        let current = self.current.map(|stall| Stall { listed: false, told: true, ..stall });
        *self = Self { current, ..Self::default() };
    }

    pub(super) fn next_line(&mut self) {
        self.list.clear();
        self.gap = None;
        self.idle = false;
        if let Some(stall) = &mut self.current {
            stall.told |= std::mem::take(&mut stall.listed);
        }
    }

    fn list(&mut self, stall: &mut Stall) {
        if std::mem::replace(&mut stall.listed, true) {
            return;
        }
        if self.list.is_empty() {
            let gap = |end: Millis| if stall.told { 0 } else { stall.began.since(end).0 };
            self.gap = if stall.told { Some(0) } else { self.last_end.map(gap) };
        }
        if self.list.len() < MAX_STALLS {
            self.list.push(Listed { began: stall.began, ms: 0, continued: stall.told });
        }
    }

    /// `T1:T2;START:DURATION;…`, starts after `line`.
    #[inline(never)]
    pub(super) fn write<'p>(&self, line: Millis, out: Pen<'p>) -> Pen<'p> {
        let Some(first) = self.list.first() else { return out };
        let out = out.marks(if first.continued { *b"1:" } else { *b"0:" });
        let mut out = match self.gap {
            Some(gap) => out.number_and(gap, b';'),
            None => out.marks(*b"-1;"),
        };
        for Listed { began, ms, continued } in &self.list {
            let start = if *continued { 0 } else { began.since(line).0 };
            out = out.number_and(start, b':').number_and(*ms, b';');
        }
        out
    }
}
