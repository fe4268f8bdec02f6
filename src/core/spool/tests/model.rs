//! The spool against a list.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use proptest::prelude::*;

use super::super::*;
use super::sim::{LINES, REPORTS, SimDisk, World, at, clock, config, open, read_all};

/// What waits, and what became of the rest.
#[derive(Debug, Default)]
struct Model {
    waiting: BTreeMap<Queue, VecDeque<(RecordId, Millis, Vec<u8>)>>,
    counts: BTreeMap<Queue, Counts>,
    /// All that ever was pushed.
    all: BTreeMap<RecordId, (Millis, Vec<u8>)>,
    /// A disk has failed.
    strayed: bool,
}

#[derive(Debug, Clone)]
enum Step {
    Push(Queue, usize, u8),
    Read(Queue, usize),
    Done(Queue, usize, usize, bool),
    Trouble(Queue),
    Recovered(Queue),
    Wait(u64),
    Stop,
    Kill,
    Flash(Option<Trouble>),
    Ram(bool),
    FlashFails { after: u32 },
}

#[derive(Debug, Clone, Copy)]
enum Trouble {
    Full,
    Broken,
    ReadOnly,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let queue = prop::sample::select(vec![REPORTS, LINES]);
    let trouble = prop::sample::select(vec![Trouble::Full, Trouble::Broken, Trouble::ReadOnly]);
    let step = prop_oneof![
        12 => (queue.clone(), 0..3_000_usize, 1..12_u8).prop_map(|(q, len, times)| Step::Push(q, len, times)),
        3 => (queue.clone(), 0..9_usize).prop_map(|(q, skip)| Step::Read(q, skip)),
        4 => (queue.clone(), 0..9_usize, 0..20_usize, any::<bool>())
            .prop_map(|(q, skip, take, twice)| Step::Done(q, skip, take, twice)),
        2 => queue.clone().prop_map(Step::Trouble),
        1 => queue.prop_map(Step::Recovered),
        4 => (1..900_u64).prop_map(Step::Wait),
        1 => Just(Step::Stop),
        1 => Just(Step::Kill),
        1 => prop::option::of(trouble).prop_map(Step::Flash),
        1 => any::<bool>().prop_map(Step::Ram),
        1 => (0..12_u32).prop_map(|after| Step::FlashFails { after }),
    ];
    prop::collection::vec(step, 1..80)
}

fn limits() -> Limits {
    Limits {
        max_bytes: 120_000,
        max_records: 150,
        ram_bytes: 50_000,
        memory_bytes: 20_000,
        max_age: at(3_000),
        keep_free: 0,
    }
}

impl Model {
    fn push(&mut self, now: Millis, id: RecordId, payload: Vec<u8>) {
        self.all.insert(id, (now, payload.clone()));
        self.waiting.entry(id.queue).or_default().push_back((id, now, payload));
        self.counts.entry(id.queue).or_default().pushed += 1;
    }

    /// Takes what the spool says it has dropped; it must have been there, and must have been the oldest on its
    /// disk.
    fn dropped(&mut self, now: Millis, dropped: Dropped) {
        let waiting = self.waiting.entry(dropped.queue).or_default();
        let is_hit = |id: &RecordId| (dropped.first..=dropped.last).contains(&id.seq);
        let hit = waiting.iter().filter(|(id, ..)| is_hit(id)).count();
        assert_eq!(hit as u64, dropped.records, "{dropped:?}");
        if matches!(dropped.reason, DropReason::Aged) {
            assert!(waiting.iter().take(hit).all(|(id, ..)| is_hit(id)), "the oldest: {dropped:?}");
            assert!(waiting.iter().take(hit).all(|(_, then, _)| *then + limits().max_age <= now));
        }
        assert_ne!(dropped.reason, DropReason::Corrupt);
        waiting.retain(|(id, ..)| !is_hit(id));
        self.counts.entry(dropped.queue).or_default().dropped.add(dropped.reason, dropped.records);
    }

    /// After a kill nothing is missing. What a disk that failed would not remove may have come back.
    fn reopened(&mut self, queue: Queue, records: &[Record]) {
        let waiting = self.waiting.entry(queue).or_default();
        let is_there = |id: &RecordId| records.iter().any(|record| record.id == *id);
        let lost: Vec<_> = waiting.iter().map(|(id, ..)| *id).filter(|id| !is_there(id)).collect();
        assert_eq!(lost, [], "nothing is lost");
        if self.strayed {
            let known = records.iter().filter_map(|record| {
                self.all.get(&record.id).map(|(then, payload)| (record.id, *then, payload.clone()))
            });
            *waiting = known.collect();
        }
    }

    fn done(&mut self, ids: &[RecordId]) {
        for id in ids {
            let waiting = self.waiting.entry(id.queue).or_default();
            if let Some(index) = waiting.iter().position(|(known, ..)| known == id) {
                waiting.remove(index);
                self.counts.entry(id.queue).or_default().delivered += 1;
            }
        }
    }
}

fn follow(spool: &mut Spool<SimDisk>, model: &mut Model, now: Millis) {
    while let Some(dropped) = spool.poll_dropped() {
        model.dropped(now, dropped);
    }
}

fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let world = Rc::new(RefCell::new(World::default()));
    let mut now = at(0);
    let mut spool = open(&world, now, limits()).0;
    let mut model = Model::default();
    let mut number = 0_u64;
    for step in steps {
        now = now + Millis(1);
        match step {
            Step::Push(queue, len, times) => {
                for _ in 0..times {
                    number += 1;
                    let payload = format!("{number} {}", "p".repeat(len)).into_bytes();
                    let before = [REPORTS, LINES].map(|queue| spool.depth(now, queue));
                    let id = spool.push(now, queue, &payload);
                    model.push(now, id, payload);
                    follow(&mut spool, &mut model, now);
                    for (other, before) in [REPORTS, LINES].into_iter().zip(before) {
                        let after = spool.depth(now, other);
                        let faulty =
                            [Place::Flash, Place::Ram].iter().any(|place| spool.fault(*place).is_some());
                        let has_records =
                            after.records >= before.records.min(spool.config.record_share(other));
                        let has_bytes = after.bytes >= before.bytes.min(spool.config.byte_share(other));
                        prop_assert!(
                            other == queue || faulty || has_records || has_bytes,
                            "a queue was pushed below its share of both"
                        );
                    }
                }
            }
            Step::Read(queue, skip) => {
                let waiting = model.waiting.entry(queue).or_default();
                let after = waiting.get(skip).map(|(id, ..)| *id);
                let records = spool.read_next(now, queue, after, 5, usize::MAX);
                let expected =
                    waiting.iter().filter(|(id, ..)| after.is_none_or(|after| *id > after)).take(5);
                prop_assert!(records.iter().map(|record| record.id).eq(expected.map(|(id, ..)| *id)));
            }
            Step::Done(queue, skip, take, twice) => {
                let waiting = model.waiting.entry(queue).or_default();
                let ids: Vec<_> = waiting.iter().skip(skip).take(take).map(|(id, ..)| *id).collect();
                model.done(&ids);
                spool.done(now, &ids, Done::Delivered);
                if twice {
                    spool.done(now, &ids, Done::Dropped(DropReason::Refused));
                }
            }
            Step::Trouble(queue) => spool.trouble(now, queue),
            Step::Recovered(queue) => spool.recovered(queue),
            Step::Wait(secs) => {
                let until = now + at(secs);
                let mut turns = 0;
                while let Some(due) = spool.poll_timeout().filter(|due| *due <= until) {
                    now = now.max(due);
                    spool.handle_timeout(now);
                    follow(&mut spool, &mut model, now);
                    let next = spool.poll_timeout();
                    prop_assert!(next.is_none_or(|next| next > now), "a timer must not fire for nothing");
                    turns += 1;
                    prop_assert!(turns < 400);
                }
                now = until;
            }
            Step::Stop => {
                let left = spool.handle_stop(now);
                let volatile = [REPORTS, LINES].iter().map(|queue| {
                    let depth = spool.depth(now, *queue);
                    depth.records - depth.flash_records
                });
                prop_assert_eq!(volatile.sum::<u64>(), left);
                spool.is_stopping = false;
            }
            // What was in memory only would be lost, so not then.
            Step::Kill if spool.used(Place::Memory) == 0 => {
                let (flash, ram) = (world.borrow().flash_fault.clone(), world.borrow().ram_fault.clone());
                world.borrow_mut().flash_fault = None;
                world.borrow_mut().ram_fault = None;
                spool.handle_timeout(now + at(60));
                follow(&mut spool, &mut model, now + at(60));
                now = now + at(60);
                drop(spool);
                let (new, recovery) = Spool::open(SimDisk::both(&world), config(limits()), clock(now, 1));
                prop_assert_eq!((recovery.quarantined, recovery.corrupt), (0, 0));
                spool = new;
                model.counts.clear();
                if model.strayed {
                    // What came back may be too old, or too much.
                    while let Some(dropped) = spool.poll_dropped() {
                        let waiting = model.waiting.entry(dropped.queue).or_default();
                        waiting.retain(|(id, ..)| !(dropped.first..=dropped.last).contains(&id.seq));
                    }
                    model.counts = spool.queues().map(|queue| (queue, spool.counts(queue))).collect();
                }
                for queue in [REPORTS, LINES] {
                    let records = read_all(&mut spool, now, queue);
                    model.reopened(queue, &records);
                }
                world.borrow_mut().flash_fault = flash;
                world.borrow_mut().ram_fault = ram;
            }
            Step::Kill => {}
            Step::Flash(trouble) => {
                world.borrow_mut().flash_fault = trouble.map(|trouble| match trouble {
                    Trouble::Full => DiskError::NoSpace,
                    Trouble::Broken => DiskError::Io("broken".to_owned()),
                    Trouble::ReadOnly => DiskError::ReadOnly("read-only".to_owned()),
                });
                world.borrow_mut().flash_fuse = None;
                model.strayed |= trouble.is_some();
            }
            Step::Ram(works) => {
                model.strayed |= !works;
                world.borrow_mut().ram_fault = (!works).then_some(DiskError::NoSpace);
            }
            Step::FlashFails { after } => {
                model.strayed = true;
                world.borrow_mut().flash_fault = Some(DiskError::Io("worn out".to_owned()));
                world.borrow_mut().flash_fuse = Some(after);
            }
        }
        follow(&mut spool, &mut model, now);
        let mut total = 0;
        for queue in [REPORTS, LINES] {
            let records = read_all(&mut spool, now, queue);
            let waiting = model.waiting.entry(queue).or_default();
            let got = records.iter().map(|record| (record.id, record.stamp.at, &record.payload));
            prop_assert!(got.eq(waiting.iter().map(|(id, then, payload)| (*id, *then, payload))));
            prop_assert_eq!(spool.depth(now, queue).records, waiting.len() as u64);
            prop_assert_eq!(spool.counts(queue), model.counts.get(&queue).copied().unwrap_or_default());
            total += waiting.len();
        }
        prop_assert!(total as u64 <= limits().max_records);
        let used = [Place::Flash, Place::Ram, Place::Memory].map(|place| spool.used(place));
        prop_assert!(used[1] <= limits().ram_bytes && used[2] <= limits().memory_bytes, "{:?}", used);
        if spool.fault(Place::Flash).is_none() && spool.fault(Place::Ram).is_none() {
            prop_assert!(used.iter().sum::<u64>() <= limits().max_bytes, "{:?}", used);
            let stray = world.borrow().flash_fuse.is_some() || world.borrow().flash_fault.is_some();
            prop_assert!(stray || world.borrow().flash.bytes() <= used[0]);
        }
        let (written, appended) = (spool.flash_written(), world.borrow().flash_appended);
        prop_assert!(written <= appended, "no byte is counted that was not written");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_spool_is_a_list_with_caps(steps in steps()) {
        run(steps)?;
    }
}

#[test]
fn a_move_that_fails_half_way_loses_nothing() {
    let push = |queue, len, times| Step::Push(queue, len, times);
    run(vec![
        push(REPORTS, 0, 1),
        push(REPORTS, 1_978, 1),
        Step::Trouble(LINES),
        Step::Trouble(REPORTS),
        push(LINES, 468, 8),
        Step::Wait(60),
        push(REPORTS, 228, 4),
        Step::FlashFails { after: 2 },
        push(REPORTS, 0, 1),
        push(REPORTS, 28, 9),
        push(REPORTS, 0, 1),
        push(REPORTS, 1_275, 11),
        push(REPORTS, 0, 1),
        Step::Done(LINES, 0, 7, false),
        Step::Kill,
    ])
    .unwrap();
}

#[test]
fn a_long_history_without_faults_is_a_list_too() {
    let mut steps = Vec::new();
    for round in 0..300_usize {
        steps.push(Step::Push(if round % 3 == 0 { LINES } else { REPORTS }, round % 700, 3));
        steps.push(Step::Read(REPORTS, round % 5));
        if round % 7 < 3 {
            steps.push(Step::Done(REPORTS, round % 4, 4, round % 2 == 0));
            steps.push(Step::Done(LINES, 0, 3, false));
        }
        if round % 11 == 0 {
            steps.push(Step::Trouble(REPORTS));
            steps.push(Step::Wait(70));
        }
        if round % 50 == 49 {
            steps.extend([Step::Kill, Step::Recovered(REPORTS)]);
        }
    }
    run(steps).unwrap();
}
