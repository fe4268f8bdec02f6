//! A fleet of boxes that reboots together, or that finds the server back after an outage: how many come at once.
//!
//! Time is moved by hand; the random numbers are seeded, so each run prints the same figures.

#![allow(clippy::expect_used, clippy::unwrap_used)]

use stbeacon_core::provisioning::SpoolLimits;
use stbeacon_core::stb::{Measured, Network};
use stbeacon_core::time::{Millis, WallAnchor};
use stbeacon_core::uplink::{Accumulator, Delivery, DeliveryPolicy, HoldLimits, Outcome};

const BOXES: usize = 10_000;

const ACCUM: Millis = Millis::from_secs(300);

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

/// A box that measures something at once and then every ten minutes.
struct Agent {
    accumulator: Accumulator,
    delivery: Delivery,
    measured: Millis,
}

impl Agent {
    fn booted(at: Millis, random: &mut Random) -> Self {
        let mut accumulator = Accumulator::new(HoldLimits::default());
        accumulator.set_period(at, Some(ACCUM), random.next());
        let delivery = Delivery::new(DeliveryPolicy::within(&SpoolLimits::default()));
        Self { accumulator, delivery, measured: at }
    }

    /// When it next does something.
    fn due(&self) -> Millis {
        let timers = [self.accumulator.poll_timeout(), self.delivery.poll_timeout(), Some(self.measured)];
        timers.into_iter().flatten().min().unwrap()
    }

    /// Does what is due; when it posts, the server answers so. Gives whether it posted.
    fn turn(&mut self, now: Millis, is_up: bool, random: &mut Random) -> bool {
        let anchor = WallAnchor { at: Millis(0), unix_ms: 1_800_000_000_000 };
        if self.measured <= now {
            self.measured = now + Millis::from_secs(600);
            self.accumulator.push(Measured::Network { at: now, network: Network::default() });
        }
        if let Some(batch) = self.accumulator.poll_batch(now, Some(&anchor)) {
            self.delivery.push(now, batch);
        }
        let Some(request) = self.delivery.poll_request(now) else { return false };
        let outcome =
            if is_up { Outcome::Status { code: 200, retry_after: None } } else { Outcome::Unreachable };
        self.delivery.handle_outcome(now, request.id, outcome, random.next());
        true
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

/// All boxes up to `until`; gives when each post came.
fn run(
    fleet: &mut [Agent],
    until: Millis,
    random: &mut Random,
    is_up: impl Fn(Millis) -> bool,
) -> Vec<Millis> {
    let mut posts = Vec::new();
    for agent in fleet {
        while agent.due() <= until {
            let now = agent.due();
            if agent.turn(now, is_up(now), random) {
                posts.push(now);
            }
        }
    }
    posts
}

#[test]
fn first_posts_after_a_reboot_are_spread() {
    let mut random = Random(1);
    // A power cut: they are all up again within the same few seconds.
    let mut fleet: Vec<_> =
        (0..BOXES).map(|_| Agent::booted(Millis(random.next() % 3_000), &mut random)).collect();
    let mut first = Load::default();
    for agent in &mut fleet {
        let posts = run(std::slice::from_mut(agent), Millis::from_secs(700), &mut random, |_| true);
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
    let mut fleet: Vec<_> = (0..BOXES).map(|_| Agent::booted(Millis(0), &mut random)).collect();
    // Long enough that every box waits as long as it ever does between two attempts.
    let back = Millis::from_secs(45 * 60);
    let mut retries = Load::default();
    for agent in &mut fleet {
        run(std::slice::from_mut(agent), back, &mut random, |_| false);
        let posts =
            run(std::slice::from_mut(agent), back + Millis::from_secs(700), &mut random, |now| now > back);
        let first = posts.first().expect("no box waits longer than the longest backoff");
        retries.count(back, *first);
        assert!(agent.delivery.len() < 30, "what had gathered is sent: {}", agent.delivery.len());
    }
    let ratio = retries.peak_to_mean();
    println!(
        "first posts after an outage: {ratio:.2} times the mean in the busiest 10 s of {} s",
        retries.0.len()
    );
    assert!(ratio <= 2.0, "{ratio}");
}
