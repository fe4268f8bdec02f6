//! The full analysis: tables, clocks and the indicators of ETSI TR 101 290.

mod clock;
mod indicators;
mod judge;
mod pids;

use std::time::Duration;

use self::judge::Judge;
use super::continuity::Continuity;
use super::framing::{Framer, Take};
use super::pcr::HZ;
use super::{Counts, PACKET};

pub use self::indicators::Indicators;
pub use self::pids::{PidReport, Role};

/// What intervals between tables, clock references and time stamps are measured on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The stream's own programme clock references: for streams that are read faster than they play. Between two
    /// references time is interpolated by the packets' numbers. Time stands still while there is no reference.
    Pcr,
    /// When bytes arrived, as [`Monitor::arrive`] is told.
    Arrival,
}

/// Counts what goes by in a transport stream, reads its tables, and judges by TR 101 290.
///
/// An [`Analyser`](super::Analyser) counts the continuity of a stream the same way, at less cost.
#[derive(Debug)]
pub struct Monitor {
    framer: Framer,
    continuity: Continuity,
    counts: Counts,
    judge: Judge,
}

// === impl Monitor ===

impl Monitor {
    /// Knows nothing of the stream yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            framer: Framer::new(),
            continuity: Continuity::new(),
            counts: Counts::default(),
            judge: Judge::new(clock),
        }
    }

    /// Takes the next bytes of the stream, however many.
    pub fn feed(&mut self, bytes: &[u8]) {
        const MOST: usize = 1 << 30;
        let Self { framer, continuity, counts, judge } = self;
        for bytes in bytes.chunks(MOST) {
            framer.feed(
                bytes,
                Judging { continuity: &mut *continuity, counts: &mut *counts, judge: &mut *judge, bytes },
            );
            continuity.keep(bytes);
        }
        counts.packets = framer.packets();
        counts.sync_losses = framer.losses();
        counts.sync_byte_errors = framer.byte_errors();
    }

    /// It is `at` now, on any clock that runs evenly: what is fed next has arrived now. To be called while nothing
    /// arrives, too. Means nothing with [`Clock::Pcr`].
    pub fn arrive(&mut self, at: Duration) {
        let ticks = at.as_nanos() * u128::from(HZ) / 1_000_000_000;
        self.judge.arrive(u64::try_from(ticks).unwrap_or(u64::MAX));
    }

    /// What was counted so far.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Errors so far.
    #[must_use]
    pub const fn indicators(&self) -> Indicators {
        Indicators {
            ts_sync_loss: self.counts.sync_losses,
            sync_byte_error: self.counts.sync_byte_errors,
            continuity_count_error: self.counts.discontinuities,
            transport_error: self.counts.transport_errors,
            ..self.judge.indicators
        }
    }

    /// Whether packets are being found.
    #[must_use]
    pub const fn in_sync(&self) -> bool {
        self.framer.in_sync()
    }

    /// From one sync byte to the next: 188, 192 or 204; `None` while not in sync.
    #[must_use]
    pub const fn stride(&self) -> Option<usize> {
        self.framer.stride()
    }

    /// Bits of transport packets a second, by the stream's clock references; `None` while there are not two.
    #[must_use]
    pub fn bitrate(&self) -> Option<u64> {
        self.judge.timeline.bitrate()
    }

    /// How long the stream has been, by its clock references.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.judge.timeline.duration()
    }

    /// All PIDs that were seen or are named by a table, in their order.
    #[must_use]
    pub fn pids(&self) -> Vec<PidReport> {
        self.judge.report()
    }
}

/// Takes the packets of `bytes`.
struct Judging<'a> {
    continuity: &'a mut Continuity,
    counts: &'a mut Counts,
    judge: &'a mut Judge,
    bytes: &'a [u8],
}

impl Take for Judging<'_> {
    #[inline(always)]
    fn take(&mut self, packet: &[u8; PACKET], at: Option<u32>) {
        let seen = self.continuity.packet(packet, at, self.bytes, self.counts);
        self.judge.packet(packet, seen);
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod witness;
