//! Every moment at which a box can go down, and what it finds when it comes up again.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use proptest::prelude::*;

use super::super::*;
use super::sim::{Crash, LINES, REPORTS, SimDisk, World, at, clock, config, open, read_all, roomy};

/// What was done, and before which operation it was finished.
#[derive(Debug, Default)]
struct Log {
    /// Payloads, and from which moment on they must be there.
    pushed: BTreeMap<RecordId, (usize, Vec<u8>)>,
    /// From which moment on a record survives a power cut.
    durable: BTreeMap<RecordId, usize>,
    /// From which moment on a record may be missing: what has to do with it has begun.
    released: BTreeMap<RecordId, usize>,
    /// Cells, with the moments from which on and until which they must have the value.
    cells: Vec<(String, Vec<u8>, usize)>,
}

#[derive(Debug, Clone)]
enum Step {
    Push(Queue, usize),
    /// So many of the oldest, or one in the middle, are done.
    Done(Queue, usize, bool),
    Trouble(Queue),
    Recovered(Queue),
    Wait(u64),
    Stop,
    Reopen,
    Cell(u8, u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let queue = prop::sample::select(vec![REPORTS, LINES]);
    let step = prop_oneof![
        8 => (queue.clone(), 0..1_500_usize).prop_map(|(queue, len)| Step::Push(queue, len)),
        3 => (queue.clone(), 1..6_usize, any::<bool>()).prop_map(|(queue, n, middle)| Step::Done(queue, n, middle)),
        2 => queue.clone().prop_map(Step::Trouble),
        1 => queue.prop_map(Step::Recovered),
        3 => (1..400_u64).prop_map(Step::Wait),
        1 => Just(Step::Stop),
        2 => Just(Step::Reopen),
        2 => (0..3_u8, any::<u8>()).prop_map(|(key, value)| Step::Cell(key, value)),
    ];
    prop::collection::vec(step, 1..40)
}

/// Small segments, so that a short history fills several.
fn limits() -> Limits {
    Limits { max_bytes: 200_000, ram_bytes: 100_000, ..roomy() }
}

fn ops(world: &Rc<RefCell<World>>) -> usize {
    world.borrow().history.as_ref().map_or(0, Vec::len)
}

fn note_durable(spool: &Spool<SimDisk>, world: &Rc<RefCell<World>>, log: &mut Log) {
    for queue in [REPORTS, LINES] {
        let Some(through) = spool.durable_through(queue) else { continue };
        for id in log.pushed.keys().filter(|id| id.queue == queue && **id <= through) {
            log.durable.entry(*id).or_insert_with(|| ops(world));
        }
    }
}

/// Runs a history, and gives every moment of it.
fn run(steps: &[Step]) -> (Vec<super::sim::Moment>, Log) {
    let world = Rc::new(RefCell::new(World { history: Some(Vec::new()), ..World::default() }));
    let mut log = Log::default();
    let mut now = at(0);
    let mut spool = open(&world, now, limits()).0;
    for (number, step) in steps.iter().enumerate() {
        now = now + Millis(1);
        match step {
            Step::Push(queue, len) => {
                let payload = format!("{number}:{}", "x".repeat(*len)).into_bytes();
                let id = spool.push(now, *queue, &payload);
                log.pushed.insert(id, (ops(&world), payload));
            }
            Step::Done(queue, count, is_middle) => {
                let skip = usize::from(*is_middle) * 2;
                let all = read_all(&mut spool, now, *queue);
                let ids: Vec<_> = all.iter().skip(skip).take(*count).map(|record| record.id).collect();
                for id in &ids {
                    log.released.entry(*id).or_insert_with(|| ops(&world));
                }
                spool.done(now, &ids, Done::Delivered);
            }
            Step::Trouble(queue) => spool.trouble(now, *queue),
            Step::Recovered(queue) => spool.recovered(*queue),
            Step::Wait(secs) => {
                now = now + at(*secs);
                spool.handle_timeout(now);
            }
            Step::Stop => assert_eq!(spool.handle_stop(now), 0),
            Step::Reopen => {
                drop(spool);
                spool = open(&world, now, limits()).0;
            }
            Step::Cell(key, value) => {
                let key = format!("session/{key}");
                spool.set_cell(now, &key, &[*value; 20]);
                log.cells.push((key, vec![*value; 20], ops(&world)));
            }
        }
        assert_eq!(spool.poll_dropped(), None, "there is room for everything");
        note_durable(&spool, &world, &mut log);
    }
    drop(spool);
    let mut end = ops(&world);
    let moments = world.borrow_mut().history.take().unwrap();
    end = end.max(moments.len());
    assert_eq!(end, moments.len());
    (moments, log)
}

/// Brings the box up after a crash at one moment, and compares with what was promised.
fn check(log: &Log, moment: usize, crash: Crash, world: World) -> Result<usize, TestCaseError> {
    let is_kill = crash == Crash::Kill;
    let world = Rc::new(RefCell::new(world));
    let now = if is_kill { at(100_000) } else { at(5) };
    let boot = if is_kill { 1 } else { 2 };
    let (mut spool, _) = Spool::open(SimDisk::both(&world), config(limits()), clock(now, boot));
    let mut found = BTreeSet::new();
    for queue in [REPORTS, LINES] {
        let records = read_all(&mut spool, now, queue);
        let ids: Vec<_> = records.iter().map(|record| record.id.seq).collect();
        prop_assert!(
            ids.is_sorted_by(|a, b| a < b),
            "in order, each once: {:?}, {:?} at {}",
            ids,
            crash,
            moment
        );
        for record in records {
            let Some((_, payload)) = log.pushed.get(&record.id) else {
                // The one that was being taken when the box went down.
                continue;
            };
            prop_assert_eq!(&record.payload, payload, "{:?} is as it was taken", record.id);
            found.insert(record.id);
        }
    }
    for (id, (pushed, _)) in &log.pushed {
        let promised = if is_kill { Some(*pushed) } else { log.durable.get(id).copied() };
        let is_promised = promised.is_some_and(|from| from <= moment);
        let is_released = log.released.get(id).is_some_and(|from| *from <= moment);
        prop_assert!(
            !is_promised || is_released || found.contains(id),
            "{:?} is lost, {:?} at {}",
            id,
            crash,
            moment
        );
    }
    if is_kill {
        let mut cells = BTreeMap::new();
        for (key, value, from) in log.cells.iter().filter(|(.., from)| *from <= moment) {
            cells.insert(key.clone(), (value.clone(), *from));
        }
        let there: BTreeMap<_, _> = spool.cells().map(|cell| (cell.key, cell.payload)).collect();
        for (key, (value, _)) in &cells {
            let value_now = there.get(key);
            let newer =
                log.cells.iter().any(|(k, v, from)| k == key && *from > moment && Some(v) == value_now);
            prop_assert!(value_now == Some(value) || newer, "the last value of {}", key);
        }
    }
    // And it works: what is taken now is there after the next kill.
    let id = spool.push(now, REPORTS, b"new");
    drop(spool);
    let (mut spool, _) = Spool::open(SimDisk::both(&world), config(limits()), clock(now + Millis(1), boot));
    let last = read_all(&mut spool, now, REPORTS).pop();
    prop_assert_eq!(last.map(|record| (record.id, record.payload)), Some((id, b"new".to_vec())));
    Ok(found.len())
}

fn check_all(steps: &[Step]) -> Result<(usize, usize), TestCaseError> {
    let (moments, log) = run(steps);
    let (mut opened, mut found) = (0, 0);
    for (number, moment) in moments.iter().enumerate() {
        for crash in Crash::ALL {
            for is_halfway in [false, true] {
                if is_halfway && moment.append.is_none() {
                    continue;
                }
                opened += 1;
                found += check(&log, number, crash, moment.crash(crash, is_halfway))?;
            }
        }
    }
    Ok((opened, found))
}

#[test]
fn a_scripted_history_survives_a_crash_at_every_moment() {
    let mut steps = Vec::new();
    for round in 0..4 {
        steps.extend((0..12).map(|n| Step::Push(if n % 3 == 0 { LINES } else { REPORTS }, n * 90)));
        steps.extend([Step::Cell(round, 7), Step::Done(REPORTS, 2, true), Step::Trouble(REPORTS)]);
        steps.extend([Step::Wait(61), Step::Push(REPORTS, 300), Step::Wait(601), Step::Reopen]);
        steps.extend([Step::Push(LINES, 10), Step::Done(LINES, 3, false), Step::Done(REPORTS, 5, false)]);
        steps.extend([Step::Cell(round, 8), Step::Stop, Step::Push(REPORTS, 20), Step::Reopen]);
        steps.push(Step::Recovered(REPORTS));
    }
    let (opened, found) = check_all(&steps).unwrap();
    assert!(opened > 1_500, "{opened} crashes");
    assert!(found > 10 * opened, "{found} records found in {opened} crashes");
}

/// A kill in the middle of a move leaves records on both disks, on flash perhaps not synced. What the next start
/// then calls safe must be safe.
#[test]
fn a_power_cut_after_a_kill_in_the_middle_of_a_move_loses_nothing() {
    let steps = [Step::Push(REPORTS, 100), Step::Push(REPORTS, 200), Step::Trouble(REPORTS), Step::Wait(61)];
    let (moments, log) = run(&steps);
    let mut checked = 0;
    for (number, moment) in moments.iter().enumerate() {
        for is_halfway in [false, true] {
            let world = World { history: Some(Vec::new()), ..moment.crash(Crash::Kill, is_halfway) };
            let world = Rc::new(RefCell::new(world));
            let (spool, _) = open(&world, at(100), limits());
            let mut safe = Log::default();
            safe.pushed.extend(log.pushed.iter().map(|(id, (_, payload))| (*id, (0, payload.clone()))));
            note_durable(&spool, &world, &mut safe);
            safe.durable.values_mut().for_each(|from| *from = 0);
            spool.into_disks();
            world.borrow_mut().sync_point();
            let last = world.borrow_mut().history.take().unwrap().pop().unwrap();
            for crash in Crash::ALL.into_iter().filter(|crash| *crash != Crash::Kill) {
                check(&safe, number, crash, last.crash(crash, false)).unwrap();
                checked += safe.durable.len();
            }
        }
    }
    assert!(checked > 0, "some were safe");
}

/// A segment whose first record is done is moved, and the box is killed when a part of it is on flash.
#[test]
fn a_kill_in_the_middle_of_a_move_keeps_the_order() {
    let pushes = [0, 0, 16, 300].map(|len| Step::Push(LINES, len));
    let steps: Vec<_> = pushes.into_iter().chain([Step::Done(LINES, 1, false), Step::Stop]).collect();
    check_all(&steps).unwrap();
}

#[test]
fn what_is_done_in_the_middle_of_a_segment_on_flash_stays_in_order() {
    let push = |len| Step::Push(REPORTS, len);
    let mut steps = vec![Step::Stop];
    steps.extend([574, 502, 919, 933, 943].map(push));
    steps.extend([Step::Done(REPORTS, 3, true), push(143)]);
    check_all(&steps).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_history_survives_a_crash_at_every_moment(steps in steps()) {
        check_all(&steps)?;
    }
}
