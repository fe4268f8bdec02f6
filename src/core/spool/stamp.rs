//! When a record was taken, across reboots and before the calendar is known.

use std::collections::BTreeMap;
use std::fmt;

use crate::time::{Millis, WallAnchor};

/// In ms: two readings of one calendar differ by less.
const SAME_CALENDAR: u64 = 500;

/// One boot of the box: the first half of the kernel's random `boot_id`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootId(pub u64);

/// When a record was taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stamp {
    /// In which boot.
    pub boot: BootId,
    /// On that boot's monotonic clock.
    pub at: Millis,
    /// UNIX time in ms; `None` if the calendar was not known then.
    pub unix_ms: Option<u64>,
}

/// What is known of the time: this boot's clock, and where the boots before it lie on it.
#[derive(Debug, Clone)]
pub(super) struct Boots {
    this: BootId,
    wall: Option<WallAnchor>,
    /// What to add to a former boot's clock to have this boot's, in ms; always so much that it is past.
    shifts: BTreeMap<BootId, i64>,
}

// === impl Boots ===

impl Boots {
    pub(super) const fn new(this: BootId, wall: Option<WallAnchor>) -> Self {
        Self { this, wall, shifts: BTreeMap::new() }
    }

    pub(super) fn set_wall(&mut self, wall: Option<WallAnchor>) {
        self.wall = wall;
    }

    /// Takes the former boots, the newest first, each with the latest time of it that is known. Each is taken to
    /// have ended when the next began: the least that can have passed.
    pub(super) fn set_former(&mut self, newest_first: impl Iterator<Item = (BootId, Millis)>) {
        let mut end = 0_i64;
        for (boot, latest) in newest_first.filter(|(boot, _)| *boot != self.this) {
            end = end.saturating_sub(signed(latest.0));
            self.shifts.insert(boot, end);
        }
    }

    pub(super) fn stamp(&self, now: Millis) -> Stamp {
        let unix_ms = self.wall.map(|anchor| unix_ms(&anchor, now));
        Stamp { boot: self.this, at: now, unix_ms }
    }

    /// The point on this boot's clock; negative for what was before it.
    pub(super) fn place(&self, stamp: &Stamp) -> i64 {
        let at = signed(stamp.at.0);
        if stamp.boot == self.this {
            return at;
        }
        match (stamp.unix_ms, self.wall) {
            (Some(then), Some(anchor)) => {
                let ago = signed(anchor.unix_ms).saturating_sub(signed(then));
                signed(anchor.at.0).saturating_sub(ago).min(0)
            }
            _ => at.saturating_add(self.shifts.get(&stamp.boot).copied().unwrap_or(0)).min(0),
        }
    }

    /// How long ago it was.
    pub(super) fn age(&self, now: Millis, stamp: &Stamp) -> Millis {
        let age = signed(now.0).saturating_sub(self.place(stamp));
        Millis(u64::try_from(age).unwrap_or(0))
    }

    /// When its age will be `age`.
    pub(super) fn due(&self, stamp: &Stamp, age: Millis) -> Millis {
        Millis(u64::try_from(self.place(stamp).saturating_add(signed(age.0))).unwrap_or(0))
    }

    /// The calendar of a record's own clock.
    pub(super) fn anchor(&self, stamp: &Stamp) -> Option<WallAnchor> {
        let then = stamp.unix_ms.map(|unix_ms| WallAnchor { at: stamp.at, unix_ms });
        if stamp.boot == self.this {
            let here = self.wall?;
            // Unless the calendar was set since, what was known then: a record that is read again after a restart
            // then has the same times to the millisecond.
            let is_near =
                |then: &WallAnchor| unix_ms(&here, stamp.at).abs_diff(then.unix_ms) <= SAME_CALENDAR;
            return then.filter(is_near).or(Some(here));
        }
        if let Some(unix_ms) = stamp.unix_ms {
            return Some(WallAnchor { at: stamp.at, unix_ms });
        }
        let here = self.wall?;
        let ago = signed(here.at.0).saturating_sub(self.place(stamp));
        let unix_ms = here.unix_ms.saturating_sub(u64::try_from(ago).unwrap_or(0));
        Some(WallAnchor { at: stamp.at, unix_ms })
    }
}

// === impl BootId ===

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unix_ms(anchor: &WallAnchor, at: Millis) -> u64 {
    if at >= anchor.at {
        anchor.unix_ms.saturating_add(at.since(anchor.at).0)
    } else {
        anchor.unix_ms.saturating_sub(anchor.at.since(at).0)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const HERE: BootId = BootId(1);
    const BEFORE: BootId = BootId(2);
    const LONG_BEFORE: BootId = BootId(3);
    const NOON: WallAnchor = WallAnchor { at: Millis(1_000), unix_ms: 1_700_000_000_000 };

    fn stamp(boot: BootId, at: u64, unix_ms: Option<u64>) -> Stamp {
        Stamp { boot, at: Millis(at), unix_ms }
    }

    #[rstest]
    #[case::this_boot(stamp(HERE, 400, None), 600)]
    #[case::this_boot_whatever_the_calendar_said(stamp(HERE, 400, Some(5)), 600)]
    #[case::last_boot_ended_when_this_began(stamp(BEFORE, 90_000, None), 1_000)]
    #[case::last_boot_earlier(stamp(BEFORE, 80_000, None), 11_000)]
    #[case::the_one_before_that(stamp(LONG_BEFORE, 5_000, None), 91_000)]
    #[case::by_the_calendar(stamp(BEFORE, 90_000, Some(1_699_999_940_000)), 60_000)]
    #[case::by_a_calendar_ahead(stamp(BEFORE, 90_000, Some(1_800_000_000_000)), 1_000)]
    #[case::unknown_boot(stamp(BootId(9), 3, None), 1_000)]
    fn ages(#[case] stamp: Stamp, #[case] age: u64) {
        let mut boots = Boots::new(HERE, Some(NOON));
        boots.set_former([(BEFORE, Millis(90_000)), (LONG_BEFORE, Millis(5_000))].into_iter());
        assert_eq!(boots.age(Millis(1_000), &stamp), Millis(age));
        assert_eq!(boots.age(boots.due(&stamp, Millis(200_000)), &stamp), Millis(200_000));
    }

    #[rstest]
    #[case::this_boot(stamp(HERE, 400, Some(7)), 400, 1_699_999_999_400)]
    #[case::known_then(stamp(BEFORE, 90_000, Some(1_600_000_000_000)), 89_000, 1_599_999_999_000)]
    #[case::as_if_it_had_ended_at_boot(stamp(BEFORE, 90_000, None), 90_000, 1_699_999_999_000)]
    #[case::and_before(stamp(BEFORE, 80_000, None), 79_000, 1_699_999_988_000)]
    fn calendars(#[case] stamp: Stamp, #[case] at: u64, #[case] unix: u64) {
        let mut boots = Boots::new(HERE, Some(NOON));
        boots.set_former([(BEFORE, Millis(90_000))].into_iter());
        assert_eq!(unix_ms(&boots.anchor(&stamp).unwrap(), Millis(at)), unix);
    }

    #[test]
    fn no_calendar_no_anchor() {
        let boots = Boots::new(HERE, None);
        assert_eq!(boots.anchor(&stamp(HERE, 1, Some(1))), None);
        assert_eq!(boots.anchor(&stamp(BEFORE, 1, None)), None);
        assert_eq!(boots.stamp(Millis(7)), stamp(HERE, 7, None));
    }
}
