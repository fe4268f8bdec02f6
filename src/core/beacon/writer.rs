//! Lines as they leave a channel: written, held until they are taken, and their room used again.

use std::cell::Cell;
use std::collections::VecDeque;

use super::attempt::{Attempt, Draft, VisitDraft};
use super::identity::Identity;
use super::visit::Visit;
use crate::line::encode::{Encoder, Sent};
use crate::line::keys::Event;
use crate::player::SessionId;
use crate::time::Millis;

/// Writes the lines of a channel.
#[derive(Debug)]
pub(super) struct Writer {
    identity: Identity,
    encoder: Encoder,
    out: VecDeque<Line>,
    spare: Spare,
    /// See [`Writer::cut`].
    cut: u64,
}

/// One line, or one part of a split line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The session it is about; lines of one session leave in the order in which they are given out. `None` for
    /// the line of a visit.
    pub session: Option<SessionId>,
    /// Which line.
    pub event: Event,
    /// When.
    pub at: Millis,
    /// All that stands behind the `?` of its address.
    pub text: String,
}

/// Room of lines that were given back.
#[derive(Debug, Default)]
struct Spare(Vec<String>);

// === impl Writer ===

impl Writer {
    pub(super) fn new(identity: Identity) -> Self {
        Self { identity, encoder: Encoder::new(), out: VecDeque::new(), spare: Spare::default(), cut: 0 }
    }

    /// How many values were cut or left out because a line has no room for them.
    pub(super) const fn cut(&self) -> u64 {
        self.cut
    }

    /// The oldest line that was not taken.
    pub(super) fn poll_line(&mut self) -> Option<Line> {
        self.out.pop_front()
    }

    /// Takes back a line that has been looked at: its room is used for another one.
    pub(super) fn give_back(&mut self, line: Line) {
        self.spare.put(line.text);
    }

    /// Writes a line of an attempt, as it is at `at`, and notes in it what is told.
    pub(super) fn write(
        &mut self,
        id: &SessionId,
        attempt: &mut Attempt,
        visit: &str,
        event: Event,
        at: Millis,
        reason: &str,
    ) {
        let (mut sent, mut kept) = (attempt.sent, std::mem::take(&mut attempt.kept));
        let draft = Draft {
            event,
            at,
            identity: &self.identity,
            attempt,
            visit,
            reason,
            asked_ads: Cell::new(false),
            asked_visit: Cell::new(false),
        };
        let encoded = self.encoder.encode_next(&attempt.config, event, &draft, &mut sent, &mut kept);
        let (asked_ads, asked_visit) = (draft.asked_ads.get(), draft.asked_visit.get());
        attempt.kept = kept;
        let Some(encoded) = encoded else { return };
        self.cut = self.cut.saturating_add((encoded.truncated + encoded.left_out) as u64);
        for part in encoded.parts() {
            let session = Some(id.clone());
            self.out.push_back(Line { session, event, at, text: self.spare.take(part) });
        }
        attempt.sent = sent;
        attempt.opens_visit &= !asked_visit;
        match event {
            Event::Heartbeat => {
                attempt.beat_sequence += 1;
                attempt.beat = at;
                return;
            }
            Event::Playing | Event::Complete | Event::Error => attempt.figures.next_line(at),
            Event::PlayStart if asked_ads => attempt.figures.ads_told(),
            _ => {}
        }
        attempt.figures.line = at;
        attempt.sequence += 1;
    }

    /// Writes the line of a visit that is over.
    pub(super) fn write_visit(&mut self, visit: &Visit, at: Millis) {
        let draft = VisitDraft { at, identity: &self.identity, visit };
        let mut sent = Sent::default();
        let Some(encoded) = self.encoder.encode(&visit.config, Event::Visit, &draft, &mut sent) else {
            return;
        };
        for part in encoded.parts() {
            let text = self.spare.take(part);
            self.out.push_back(Line { session: None, event: Event::Visit, at, text });
        }
    }
}

// === impl Spare ===

impl Spare {
    /// As many as lie ready: one for each part of a line that is split.
    const MOST: usize = 4;

    fn take(&mut self, text: &str) -> String {
        let mut taken = self.0.pop().unwrap_or_default();
        taken.clear();
        taken.push_str(text);
        taken
    }

    fn put(&mut self, text: String) {
        if self.0.len() < Self::MOST {
            self.0.push(text);
        }
    }
}
