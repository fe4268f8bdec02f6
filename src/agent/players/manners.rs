//! What a player may do, and how often it is complained about.

use std::collections::BTreeMap;

use stbeacon_core::time::Millis;

/// How many players may be connected at once.
pub(crate) const MAX_PLAYERS: usize = 64;

/// How many of them may belong to one user, so that no user but root's can take the places of all others.
pub(crate) const MAX_OF_USER: usize = 48;

/// How many may be one process: a player has one for itself, a browser perhaps one for each tab.
pub(crate) const MAX_OF_PROCESS: usize = 8;

/// How many datagrams a second are read of one process on average. A player that sends more waits: its socket
/// fills up.
const RATE: u64 = 500;

/// What an `open` counts for: each ends in a report, and a player that opens without end must not push the
/// others' reports out of the queue.
const OPEN_COST: u64 = 100;

/// How many may come at once, such as all that a player re-sends after a reconnect.
const BURST: i64 = 1000;

/// The same in thousandths.
const FULL: i64 = BURST * 1000;

/// A connection that sends more malformed datagrams than this within [`WINDOW`] is closed.
pub(crate) const MAX_MALFORMED: u32 = 30;
const WINDOW: Millis = Millis::from_secs(60);

/// How often the log complains about one process.
const COMPLAINT_PERIOD: Millis = Millis::from_secs(60);

/// Of how many processes the last complaint is remembered.
const MAX_REMEMBERED: usize = 256;

/// Limits the rate of one process: a bucket of [`BURST`] that fills by [`RATE`] a second.
#[derive(Debug)]
pub(super) struct Throttle {
    /// In thousandths of a datagram; may be overdrawn by what cost more than one.
    credit: i64,
    at: Millis,
}

/// Who is connected: how many of each process and user, and at which rate each process may speak.
#[derive(Debug, Default)]
pub(super) struct Guests {
    processes: BTreeMap<i32, Process>,
    users: BTreeMap<u32, usize>,
}

#[derive(Debug)]
struct Process {
    connections: usize,
    throttle: Throttle,
}

/// Why a player is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    All,
    User,
    Process,
}

/// Counts the malformed datagrams of one connection.
#[derive(Debug, Default)]
pub(super) struct Conduct {
    since: Millis,
    malformed: u32,
}

/// When each process was last complained about.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    last: BTreeMap<i32, Millis>,
}

// === impl Throttle ===

impl Throttle {
    const fn new(now: Millis) -> Self {
        Self { credit: FULL, at: now }
    }

    /// Whether it is as good as new.
    fn is_full(&self, now: Millis) -> bool {
        let earned = now.since(self.at).0.saturating_mul(RATE);
        self.credit.saturating_add_unsigned(earned) >= FULL
    }

    /// Takes one datagram that counts for so many; how long to wait before the next, zero mostly.
    fn take(&mut self, now: Millis, cost: u64) -> Millis {
        // `RATE` datagrams a second are `RATE` thousandths of one a millisecond.
        let earned = now.since(self.at).0.saturating_mul(RATE);
        self.at = self.at.max(now);
        let filled = self.credit.saturating_add_unsigned(earned).min(FULL);
        self.credit = filled.saturating_sub_unsigned(cost.saturating_mul(1000));
        let missing = u64::try_from(1000_i64.saturating_sub(self.credit)).unwrap_or(0);
        Millis(missing.div_ceil(RATE))
    }
}

// === impl Guests ===

impl Guests {
    /// Lets one in, or says why not.
    pub(super) fn enter(&mut self, now: Millis, pid: i32, uid: u32) -> Result<(), Full> {
        self.processes.retain(|_, process| process.connections > 0 || !process.throttle.is_full(now));
        let of_user = self.users.get(&uid).copied().unwrap_or(0);
        let of_process = self.processes.get(&pid).map_or(0, |process| process.connections);
        if self.users.values().sum::<usize>() >= MAX_PLAYERS {
            return Err(Full::All);
        }
        if of_user >= MAX_OF_USER {
            return Err(Full::User);
        }
        if of_process >= MAX_OF_PROCESS {
            return Err(Full::Process);
        }
        let fresh = || Process { connections: 0, throttle: Throttle::new(now) };
        self.processes.entry(pid).or_insert_with(fresh).connections += 1;
        self.users.insert(uid, of_user + 1);
        Ok(())
    }

    pub(super) fn leave(&mut self, pid: i32, uid: u32) {
        // It stays known until its bucket is full: to come again is no way to a new one.
        if let Some(process) = self.processes.get_mut(&pid) {
            process.connections = process.connections.saturating_sub(1);
        }
        if let Some(of_user) = self.users.get_mut(&uid) {
            *of_user = of_user.saturating_sub(1);
            if *of_user == 0 {
                self.users.remove(&uid);
            }
        }
    }

    /// A process has sent a datagram; how long it has to wait before its next is read. `opens` a session or not.
    pub(super) fn take(&mut self, now: Millis, pid: i32, opens: bool) -> Millis {
        let cost = if opens { OPEN_COST } else { 1 };
        self.processes.get_mut(&pid).map_or(Millis(0), |process| process.throttle.take(now, cost))
    }
}

// === impl Full ===

impl std::fmt::Display for Full {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => write!(f, "{MAX_PLAYERS} players are connected already"),
            Self::User => write!(f, "{MAX_OF_USER} players of this user are connected already"),
            Self::Process => write!(f, "it is connected {MAX_OF_PROCESS} times already"),
        }
    }
}

// === impl Conduct ===

impl Conduct {
    /// Takes note of a malformed datagram; whether the connection may stay.
    pub(super) fn malformed(&mut self, now: Millis) -> bool {
        if now.since(self.since) >= WINDOW {
            *self = Self { since: now, malformed: 0 };
        }
        self.malformed = self.malformed.saturating_add(1);
        self.malformed <= MAX_MALFORMED
    }
}

// === impl Complaints ===

impl Complaints {
    /// Whether to complain about this process now; at most once a minute.
    pub(crate) fn due(&mut self, now: Millis, pid: i32) -> bool {
        if self.last.get(&pid).is_some_and(|last| now.since(*last) < COMPLAINT_PERIOD) {
            return false;
        }
        if self.last.len() >= MAX_REMEMBERED {
            self.last.retain(|_, last| now.since(*last) < COMPLAINT_PERIOD);
        }
        // With so many bad processes at once none of the new ones is worth a line.
        if self.last.len() >= MAX_REMEMBERED {
            return false;
        }
        self.last.insert(pid, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let mut throttle = Throttle::new(Millis(0));
        for _ in 0..BURST - 1 {
            assert_eq!(throttle.take(Millis(0), 1), Millis(0));
        }
        let mut now = Millis(0);
        for _ in 0..RATE {
            now = now + throttle.take(now, 1);
        }
        assert!((900..=1100).contains(&now.0), "{now}");
        // Idle time earns no more than a burst.
        let later = now + Millis::from_secs(3600);
        let free = (0..2 * BURST).take_while(|_| throttle.take(later, 1) == Millis(0)).count();
        assert_eq!(i64::try_from(free).unwrap(), BURST - 1);
    }

    #[test]
    fn sessions_are_opened_at_a_rate_of_their_own() {
        let mut guests = Guests::default();
        guests.enter(Millis(0), 7, 0).unwrap();
        let mut now = Millis(0);
        for _ in 0..10 + 50 {
            now = now + guests.take(now, 7, true);
        }
        // Five a second after the first ten.
        assert!((9_000..=10_500).contains(&now.0), "{now}");
    }

    /// Several connections are one process still.
    #[test]
    fn connections_of_a_process_share_its_rate() {
        let mut guests = Guests::default();
        for _ in 0..MAX_OF_PROCESS {
            guests.enter(Millis(0), 7, 0).unwrap();
        }
        assert_eq!(guests.enter(Millis(0), 7, 0), Err(Full::Process));
        guests.enter(Millis(0), 8, 0).unwrap();
        for _ in 0..BURST {
            guests.take(Millis(0), 7, false);
        }
        assert!(guests.take(Millis(0), 7, false) > Millis(0));
        assert_eq!(guests.take(Millis(0), 8, false), Millis(0));
        // Nor does it help to come again.
        (0..MAX_OF_PROCESS).for_each(|_| guests.leave(7, 0));
        guests.enter(Millis(0), 7, 0).unwrap();
        assert!(guests.take(Millis(0), 7, false) > Millis(0));
        guests.leave(7, 0);
        guests.enter(Millis::from_secs(10), 9, 0).unwrap();
        assert_eq!(
            guests.processes.keys().collect::<Vec<_>>(),
            [&8, &9],
            "what is as good as new is forgotten"
        );
    }

    #[test]
    fn no_user_takes_all_places() {
        let mut guests = Guests::default();
        let mut enter = |uid, pids: std::ops::Range<i32>| {
            pids.map(|pid| guests.enter(Millis(0), pid, uid)).find_map(Result::err)
        };
        assert_eq!(enter(1000, 0..100), Some(Full::User));
        assert_eq!(enter(1001, 100..100 + 16), None);
        assert_eq!(enter(1001, 200..201), Some(Full::All));
        (0..200).for_each(|pid| guests.leave(pid, if pid < 100 { 1000 } else { 1001 }));
        assert!(guests.users.is_empty(), "{guests:?}");
    }

    #[test]
    fn repeated_malformed_datagrams_end_a_connection_and_rare_ones_do_not() {
        let mut conduct = Conduct::default();
        for minute in 0..10 {
            for second in 0..MAX_MALFORMED {
                assert!(conduct.malformed(Millis::from_secs(60 * minute + u64::from(second))));
            }
        }
        assert!(!conduct.malformed(Millis::from_secs(60 * 9 + 59)));
    }

    #[test]
    fn one_complaint_a_minute_for_each_process() {
        let mut complaints = Complaints::default();
        assert!(complaints.due(Millis(0), 1));
        assert!(complaints.due(Millis(0), 2));
        assert!(!complaints.due(Millis(59_999), 1));
        assert!(complaints.due(Millis(60_000), 1));
    }

    #[test]
    fn memory_of_complaints_is_bounded() {
        let mut complaints = Complaints::default();
        let complained = (0..10_000).filter(|pid| complaints.due(Millis(0), *pid)).count();
        assert_eq!(complained, MAX_REMEMBERED);
        assert!(complaints.due(Millis(60_000), 1));
        assert!(complaints.last.len() <= MAX_REMEMBERED);
    }
}
