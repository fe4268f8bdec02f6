//! How fast the player's buffer fills, and how much of what filled it has been played.

use crate::time::Millis;

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct Filling {
    /// When bytes were last counted, and how many there were.
    counted: Option<(Millis, u64)>,
    /// In bit/s, between the last two times; `None` before there are two.
    pub(super) bandwidth: Option<u64>,
    /// The most that has been played so far.
    pub(super) bytes_played: u64,
}

// === impl Filling ===

impl Filling {
    /// So many bytes have come until now; what waits in the buffer is `buffer` ms of `bitrate` bit/s.
    pub(super) fn count(&mut self, now: Millis, bytes: u64, buffer: Option<u64>, bitrate: u64) {
        match self.counted {
            Some((since, before)) if now > since => {
                let bits = u128::from(bytes - before.min(bytes)) * 8000;
                let rate = bits / u128::from(now.since(since).0);
                self.bandwidth = Some(u64::try_from(rate).unwrap_or(u64::MAX));
                self.counted = Some((now, bytes));
            }
            Some(_) => {}
            None => self.counted = Some((now, bytes)),
        }
        let waiting = match buffer {
            Some(ms) if bitrate > 0 => u128::from(ms) * u128::from(bitrate) / 8000,
            _ => 0,
        };
        let played = bytes.saturating_sub(u64::try_from(waiting).unwrap_or(u64::MAX));
        self.bytes_played = self.bytes_played.max(played);
    }
}
