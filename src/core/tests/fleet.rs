//! A fleet of boxes that reboots together, or that finds the server back after an outage: how many come at once.
//!
//! Time is moved by hand; the random numbers are seeded, so each run prints the same figures.

#![allow(clippy::expect_used, clippy::unwrap_used)]

use stbeacon_core::spool::{
    BootId, Clock, Config, Disks, Limits, MemoryDisk, Policy, Queue, RecordId, Spool,
};
use stbeacon_core::stb::{Kept, Measured, Network};
use stbeacon_core::time::{Millis, WallAnchor};
use stbeacon_core::uplink::{Accumulator, Delivery, DeliveryPolicy, Origin, Outcome};

const BOXES: usize = 10_000;

const ACCUM: Millis = Millis::from_secs(300);

const REPORTS: Queue = Queue(0);

const CALENDAR: WallAnchor = WallAnchor { at: Millis(0), unix_ms: 1_800_000_000_000 };

/// SplitMix64 (Steele, Lea and Flood, 2014): small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// When a box was up, and its first random number.
#[derive(Clone, Copy)]
struct Booted {
    at: Millis,
    random: u64,
}

/// A box that measures something at once and then every ten minutes. From the measurement to the post it goes the
/// daemon's way: through the spool.
struct Agent {
    accumulator: Accumulator,
    spool: Spool<MemoryDisk>,
    /// The last record that was read from it.
    read: Option<RecordId>,
    delivery: Delivery,
    measured: Millis,
}

impl Agent {
    fn new(Booted { at, random }: Booted) -> Self {
        let mut accumulator = Accumulator::new();
        accumulator.set_period(at, Some(ACCUM), random);
        let config =
            Config { limits: Limits::default(), policy: Policy::default(), shares: vec![(REPORTS, 1)] };
        let disks = Disks { ram: MemoryDisk::default(), flash: MemoryDisk::default() };
        let clock = Clock { now: at, boot: BootId(1), wall: Some(CALENDAR) };
        let (spool, _) = Spool::open(disks, config, clock);
        let delivery = Delivery::new(DeliveryPolicy::default());
        Self { accumulator, spool, read: None, delivery, measured: at }
    }

    /// When it next does something.
    fn due(&self) -> Millis {
        let timers = [
            self.accumulator.poll_timeout(),
            self.spool.poll_timeout(),
            self.delivery.poll_timeout(),
            Some(self.measured),
        ];
        timers.into_iter().flatten().min().unwrap()
    }

    /// Does what is due; when it posts, the server answers so. Gives whether it posted.
    fn turn(&mut self, now: Millis, is_up: bool, random: &mut Random) -> bool {
        if self.measured <= now {
            self.measured = now + Millis::from_secs(600);
            let measured = Measured::Network { at: now, network: Network::default() };
            self.spool.push(now, REPORTS, &Kept { measured, session: None }.encode());
        }
        self.spool.handle_timeout(now);
        if self.accumulator.poll_release(now, false) {
            self.release(now);
        }
        let Some(request) = self.delivery.poll_request(now) else { return false };
        let outcome =
            if is_up { Outcome::Status { code: 200, retry_after: None } } else { Outcome::Unreachable };
        self.delivery.handle_outcome(now, request.id, outcome, random.next());
        for (id, how) in self.delivery.take_done() {
            self.spool.done(now, &[id], how);
        }
        if is_up {
            self.spool.recovered(REPORTS)
        } else {
            self.spool.trouble(now, REPORTS)
        }
        true
    }

    /// A period is over: what has gathered is to be sent.
    fn release(&mut self, now: Millis) {
        let records = self.spool.read_next(now, REPORTS, self.read, 1_000, usize::MAX);
        let mut batch = Vec::new();
        for record in records {
            self.read = Some(record.id);
            let kept = Kept::decode(&record.payload).unwrap();
            let origin = Origin { boot: record.stamp.boot, id: record.id };
            batch.push((origin, kept.measured.stamp(&CALENDAR)));
        }
        self.delivery.push_spooled(now, batch);
    }
}

/// How many posts there were in each second.
#[derive(Default)]
struct Load(Vec<u64>);

impl Load {
    fn count(&mut self, from: Millis, at: Millis) {
        let second = usize::try_from(at.since(from).0 / 1000).unwrap();
        if self.0.len() <= second {
            self.0.resize(second + 1, 0);
        }
        *self.0.get_mut(second).unwrap() += 1;
    }

    /// Most in any ten seconds, beside the mean over the time in which posts come.
    fn peak_to_mean(&self) -> f64 {
        const WINDOW: usize = 10;
        let sums: Vec<u64> = self.0.chunks(WINDOW).map(|window| window.iter().sum()).collect();
        let peak = sums.iter().copied().max().unwrap_or(0) as f64;
        let mean = sums.iter().sum::<u64>() as f64 / sums.len() as f64;
        peak / mean
    }
}

/// One box up to `until`; gives when each post came.
fn run(agent: &mut Agent, until: Millis, random: &mut Random, is_up: impl Fn(Millis) -> bool) -> Vec<Millis> {
    let mut posts = Vec::new();
    while agent.due() <= until {
        let now = agent.due();
        if agent.turn(now, is_up(now), random) {
            posts.push(now);
        }
    }
    posts
}

#[test]
fn first_posts_after_a_reboot_are_spread() {
    let mut random = Random(1);
    // A power cut: they are all up again within the same few seconds.
    let booted = |_| Booted { at: Millis(random.next() % 3_000), random: random.next() };
    let fleet: Vec<_> = (0..BOXES).map(booted).collect();
    let mut first = Load::default();
    for booted in fleet {
        let posts = run(&mut Agent::new(booted), Millis::from_secs(700), &mut random, |_| true);
        first.count(ACCUM, *posts.first().unwrap());
    }
    let ratio = first.peak_to_mean();
    println!(
        "first posts of {BOXES} boxes: {ratio:.2} times the mean in the busiest 10 s of {} s",
        first.0.len()
    );
    assert!(ratio <= 2.0, "{ratio}");
    assert!(first.0.len() > 250, "spread over one accumulation period: {} s", first.0.len());
}

#[test]
fn retries_after_an_outage_are_spread() {
    let mut random = Random(2);
    let fleet: Vec<_> = (0..BOXES).map(|_| Booted { at: Millis(0), random: random.next() }).collect();
    // Long enough that every box waits as long as it ever does between two attempts.
    let back = Millis::from_secs(45 * 60);
    let mut retries = Load::default();
    for booted in fleet {
        let agent = &mut Agent::new(booted);
        run(agent, back, &mut random, |_| false);
        let posts = run(agent, back + Millis::from_secs(700), &mut random, |now| now > back);
        let first = posts.first().expect("no box waits longer than the longest backoff");
        retries.count(back, *first);
        let waits = agent.spool.depth(back + Millis::from_secs(700), REPORTS).records;
        assert!(waits < 30, "what had gathered is sent: {waits}");
    }
    let ratio = retries.peak_to_mean();
    println!(
        "first posts after an outage: {ratio:.2} times the mean in the busiest 10 s of {} s",
        retries.0.len()
    );
    assert!(ratio <= 2.0, "{ratio}");
}
