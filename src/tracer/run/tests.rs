//! What a run keeps and what it hands on.

use super::*;
use crate::watch::Rtp;

const BAD: Gauges = Gauges { jitter: 90, jitter_max: 900, delay_factor: 5000, media_loss: 50 };
const FAIR: Gauges = Gauges { jitter: 5, jitter_max: 40, delay_factor: 700, media_loss: 2 };
const GOOD: Gauges = Gauges { jitter: 1, jitter_max: 3, delay_factor: 600, media_loss: 0 };

fn id(id: &str) -> SessionId {
    SessionId::try_new(id).unwrap()
}

fn run(rtp: &Arc<Rtp>) -> Run {
    let watch = Watch::alone(Kind::Rtp(Arc::clone(rtp)));
    Run::new(id("1"), glib::WeakRef::new(), String::new(), vec![watch])
}

/// What is told at this time: how many packets, and the gauges.
fn told(run: &mut Run, now: u64) -> (u64, Gauges) {
    let rtp = run.count(Millis(now)).rtp.unwrap_or_default();
    let (jitter, jitter_max) = (rtp.jitter, rtp.jitter_max);
    let (delay_factor, media_loss) = (rtp.delay_factor, rtp.media_loss);
    (rtp.received, Gauges { jitter, jitter_max, delay_factor, media_loss })
}

#[test]
fn the_worst_is_kept_while_a_session_lasts() {
    let rtp = Arc::<Rtp>::default();
    let mut run = run(&rtp);
    rtp.pretend(100, BAD);
    assert_eq!(told(&mut run, 500), (100, BAD));
    rtp.pretend(100, GOOD);
    assert_eq!(told(&mut run, 1000), (200, Gauges { jitter: 1, ..BAD }));
    assert_eq!(told(&mut run, 1500), (200, Gauges { jitter: 1, ..BAD }));
}

#[test]
fn elements_that_play_again_bring_nothing_along() {
    let rtp = Arc::<Rtp>::default();
    rtp.pretend(100, BAD);
    let mut run = run(&rtp);
    rtp.pretend(10, GOOD);
    assert_eq!(told(&mut run, 500), (10, GOOD));
}

#[test]
fn another_stream_brings_nothing_along() {
    let rtp = Arc::<Rtp>::default();
    let mut run = run(&rtp);
    rtp.pretend(100, BAD);
    assert_eq!(told(&mut run, 500), (100, BAD));
    let mut next = run.succeed(id("2"), String::new());
    rtp.pretend(10, GOOD);
    assert_eq!(told(&mut next, 1000), (10, GOOD));
}

#[test]
fn what_a_daemon_has_not_read_is_the_next_ones() {
    let rtp = Arc::<Rtp>::default();
    let mut run = run(&rtp);
    for (at, seen) in [(500, BAD), (1000, FAIR), (1500, GOOD)] {
        rtp.pretend(10, seen);
        told(&mut run, at);
    }
    run.restart(Millis(500));
    assert_eq!(told(&mut run, 2000), (20, Gauges { jitter: 1, ..FAIR }));
    run.restart(Millis(2000));
    rtp.pretend(10, GOOD);
    assert_eq!(told(&mut run, 2500), (10, GOOD));
}

#[test]
fn a_daemon_that_read_nothing_leaves_everything() {
    let rtp = Arc::<Rtp>::default();
    let mut run = run(&rtp);
    rtp.pretend(10, BAD);
    told(&mut run, 500);
    run.restart(Millis(400));
    rtp.pretend(10, GOOD);
    assert_eq!(told(&mut run, 1000), (20, Gauges { jitter: 1, ..BAD }));
}
