//! What the viewer did: pauses and seeks, with where and when.

use super::text::{Comma, push, push_seconds};
use crate::line::encode::Text;
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
    pub(super) fn write_pauses(&self, out: &mut Text) {
        let mut comma = Comma::default();
        let open = self.pause.filter(|pause| pause.ms > 0).map(|pause| (pause.head, pause.ms));
        for (head, ms) in self.pauses.iter().copied().chain(open) {
            push_seconds(head.ms(), comma.before(out));
            out.push(':');
            push(ms, out);
        }
    }

    /// `di`
    pub(super) fn write_seeks(&self, out: &mut Text) {
        let mut comma = Comma::default();
        for (from, to) in &self.seeks {
            push_seconds(from.ms(), comma.before(out));
            out.push('-');
            push_seconds(to.ms(), out);
        }
    }

    /// `dj`
    pub(super) fn write_actions(&self, out: &mut Text) {
        let mut comma = Comma::default();
        for Action { head, clock, kind } in &self.actions {
            comma.before(out).push_str(match kind {
                Kind::Pause => "P(",
                Kind::Resume => "R(",
                Kind::Seek { .. } => "S(",
            });
            push_seconds(head.ms(), out);
            out.push(':');
            push(*clock, out);
            if let Kind::Seek { to, end } = kind {
                out.push('-');
                push_seconds(to.ms(), out);
                out.push(':');
                push(*end, out);
            }
            out.push(')');
        }
    }
}
