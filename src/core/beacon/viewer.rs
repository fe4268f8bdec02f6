//! What the viewer did: pauses and seeks, with where and when.

use crate::line::encode::Pen;
use crate::session::Head;

/// How many pauses, seeks or actions one line lists; the sums go on beyond.
const MAX_LISTED: usize = 128;

/// Pauses and seeks since the last line.
#[derive(Debug, Clone, Default)]
pub(super) struct Viewer {
    pause: Option<Pause>,
    pauses: Vec<(Head, u64)>,
    seeks: Vec<(Head, Head)>,
    /// In the order of their beginnings.
    actions: Vec<Action>,
}

#[derive(Debug, Clone, Copy)]
struct Pause {
    head: Head,
    /// Its time in this line.
    ms: u64,
    /// Whether an earlier line told of it.
    told: bool,
}

#[derive(Debug, Clone, Copy)]
struct Action {
    head: Head,
    /// On `w`'s base, in ms.
    clock: u64,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Pause,
    Resume,
    Seek { to: Head, end: u64 },
}

impl Viewer {
    pub(super) fn pause(&mut self, head: Head, clock: u64) {
        self.end_pause();
        self.pause = Some(Pause { head, ms: 0, told: false });
        self.act(Action { head, clock, kind: Kind::Pause });
    }

    pub(super) fn spend_pause(&mut self, ms: u64) {
        if let Some(pause) = &mut self.pause {
            pause.ms = pause.ms.saturating_add(ms);
        }
    }

    pub(super) fn resume(&mut self, head: Head, clock: u64) {
        self.end_pause();
        self.act(Action { head, clock, kind: Kind::Resume });
    }

    pub(super) fn seek(&mut self, from: Head, to: Head, clock: u64, end: u64) {
        if self.seeks.len() < MAX_LISTED {
            self.seeks.push((from, to));
        }
        self.act(Action { head: from, clock, kind: Kind::Seek { to, end } });
    }

    /// Another attempt begins: what was before it is not its own.
    pub(super) fn restart(&mut self) {
        *self =
            Self { pause: self.pause.map(|pause| Pause { ms: 0, told: true, ..pause }), ..Self::default() };
    }

    pub(super) fn next_line(&mut self) {
        self.pauses.clear();
        self.seeks.clear();
        self.actions.clear();
        if let Some(pause) = &mut self.pause {
            (pause.told, pause.ms) = (true, 0);
        }
    }

    fn end_pause(&mut self) {
        let Some(Pause { head, ms, told }) = self.pause.take() else { return };
        if (ms > 0 || !told) && self.pauses.len() < MAX_LISTED {
            self.pauses.push((head, ms));
        }
    }

    fn act(&mut self, action: Action) {
        if self.actions.len() < MAX_LISTED {
            // A seek is known when it ends, and may have begun before what is listed already.
            let at = self.actions.partition_point(|known| known.clock <= action.clock);
            self.actions.insert(at, action);
        }
    }

    /// `df`
    #[inline(never)]
    pub(super) fn write_pauses<'p>(&self, out: Pen<'p>) -> Pen<'p> {
        let open = self.pause.filter(|pause| pause.ms > 0).map(|pause| (pause.head, pause.ms));
        out.list(|mut out| {
            for (head, ms) in self.pauses.iter().copied().chain(open) {
                out = out.seconds_and(head.ms(), b':').number_and(ms, b',');
            }
            out
        })
    }

    /// `di`
    #[inline(never)]
    pub(super) fn write_seeks<'p>(&self, out: Pen<'p>) -> Pen<'p> {
        out.list(|mut out| {
            for (from, to) in &self.seeks {
                out = out.seconds_and(from.ms(), b'-').seconds_and(to.ms(), b',');
            }
            out
        })
    }

    /// `dj`
    #[inline(never)]
    pub(super) fn write_actions<'p>(&self, out: Pen<'p>) -> Pen<'p> {
        out.list(|mut out| {
            for Action { head, clock, kind } in &self.actions {
                out = out.marks(match kind {
                    Kind::Pause => *b"P(",
                    Kind::Resume => *b"R(",
                    Kind::Seek { .. } => *b"S(",
                });
                out = out.seconds_and(head.ms(), b':');
                out = match kind {
                    Kind::Pause | Kind::Resume => out.number(*clock),
                    Kind::Seek { to, end } => {
                        out.number_and(*clock, b'-').seconds_and(to.ms(), b':').number(*end)
                    }
                };
                out = out.marks(*b"),");
            }
            out
        })
    }
}
