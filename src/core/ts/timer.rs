//! Things that have to come again and again.

/// Something that must not stay away for longer than a limit: one error each time it does, however long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Timer {
    /// Ticks when it last came, or began to be due.
    last: Option<u64>,
    /// It has been told already that it stays away.
    is_over: bool,
}

// === impl Timer ===

impl Timer {
    /// From now on it has to come, if it had not to already.
    pub(super) fn begin(&mut self, now: u64) {
        self.last.get_or_insert(now);
    }

    /// It came. Gives whether it is an error that it did not come before.
    pub(super) fn came(&mut self, now: u64, limit: u64) -> bool {
        let is_late = self.is_late(now, limit);
        *self = Self { last: Some(now), is_over: false };
        is_late
    }

    /// Gives whether it is an error that it has not come yet: once.
    pub(super) fn is_late(&mut self, now: u64, limit: u64) -> bool {
        let is_over = self.last.is_some_and(|last| now.saturating_sub(last) > limit);
        let is_news = is_over && !self.is_over;
        self.is_over |= is_over;
        is_news
    }
}
