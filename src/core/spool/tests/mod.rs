//! The spool on disks that are killed, cut off, filled and broken; time is moved by hand.

mod crash;
mod flips;
mod model;
mod sim;

use rstest::rstest;

use self::sim::{LINES, REPORTS, SimDisk, World, at, clock, config, new, open, read_all, roomy, texts};
use super::*;
use crate::time::WallAnchor;

fn io() -> DiskError {
    DiskError::Io("Input/output error (os error 5)".to_owned())
}

fn push_all(spool: &mut Spool<SimDisk>, now: Millis, queue: Queue, texts: &[&str]) -> Vec<RecordId> {
    texts.iter().map(|text| spool.push(now, queue, text.as_bytes())).collect()
}

fn ids(records: &[Record]) -> Vec<RecordId> {
    records.iter().map(|record| record.id).collect()
}

#[test]
fn what_is_taken_is_read_in_order_and_gone_when_done() {
    let (world, mut spool) = new();
    let reports = push_all(&mut spool, at(1), REPORTS, &["a", "b", "c", "d"]);
    push_all(&mut spool, at(1), LINES, &["x"]);
    assert_eq!(texts(&mut spool, at(2), REPORTS), ["a", "b", "c", "d"]);
    let middle = spool.read_next(at(2), REPORTS, Some(reports[0]), 2, usize::MAX);
    assert_eq!(ids(&middle), reports[1..3]);
    spool.done(at(2), &[reports[1], reports[1], reports[2]], Done::Delivered);
    assert_eq!(texts(&mut spool, at(2), REPORTS), ["a", "d"]);
    spool.done(at(3), &[reports[0]], Done::Dropped(DropReason::Refused));
    spool.done(at(3), &[reports[3], reports[3]], Done::Delivered);
    let counts = spool.counts(REPORTS);
    assert_eq!((counts.pushed, counts.delivered, counts.dropped.refused), (4, 3, 1));
    assert_eq!(spool.depth(at(3), REPORTS), Depth::default());
    assert_eq!(texts(&mut spool, at(3), LINES), ["x"]);
    assert_eq!(world.borrow().flash.bytes(), 0, "while the server answers nothing is written to flash");
    assert_eq!(spool.flash_written(), 0);
}

#[test]
fn a_record_that_is_longer_than_allowed_is_still_one_record() {
    let (_, mut spool) = new();
    push_all(&mut spool, at(1), REPORTS, &["long enough", "b"]);
    assert_eq!(spool.read_next(at(1), REPORTS, None, 10, 3).len(), 1);
    assert_eq!(spool.read_next(at(1), REPORTS, None, 10, 12).len(), 2);
    assert_eq!(spool.read_next(at(1), REPORTS, None, 0, 12), []);
}

#[test]
fn a_kill_loses_nothing_and_what_was_done_stays_done() {
    let (world, mut spool) = new();
    let reports = push_all(&mut spool, at(1), REPORTS, &["a", "b", "c"]);
    spool.done(at(2), &reports[..1], Done::Delivered);
    drop(spool);
    let (mut spool, recovery) = open(&world, at(3), roomy());
    assert_eq!(recovery, Recovery { records: 2, ..Recovery::default() });
    assert_eq!(texts(&mut spool, at(4), REPORTS), ["b", "c"]);
    let next = spool.push(at(4), REPORTS, b"d");
    assert!(next > reports[2], "numbers go on");
    assert_eq!(texts(&mut spool, at(4), REPORTS), ["b", "c", "d"]);
}

#[test]
fn numbers_are_not_given_twice_in_one_boot_even_if_nothing_is_left() {
    let (world, mut spool) = new();
    let ids = push_all(&mut spool, at(1), REPORTS, &["a", "b"]);
    spool.done(at(1), &ids, Done::Delivered);
    *world.borrow_mut() = World::default();
    let (mut spool, _) = open(&world, at(2), roomy());
    assert!(spool.push(at(2), REPORTS, b"c") > ids[1]);
}

#[test]
fn trouble_moves_records_to_flash_and_then_in_batches() {
    let (world, mut spool) = new();
    push_all(&mut spool, at(1), REPORTS, &["a", "b"]);
    push_all(&mut spool, at(1), LINES, &["x"]);
    spool.trouble(at(10), REPORTS);
    spool.trouble(at(40), REPORTS);
    assert_eq!(spool.poll_timeout(), Some(at(70)));
    spool.handle_timeout(at(69));
    assert_eq!(spool.flash_written(), 0);
    spool.handle_timeout(at(70));
    let depth = spool.depth(at(71), REPORTS);
    assert_eq!((depth.records, depth.flash_records, depth.age), (2, 2, Some(at(70))));
    assert_eq!(spool.depth(at(71), LINES).flash_records, 0, "the other queue has no trouble");
    assert_eq!(spool.flash_written(), world.borrow().flash_appended);

    let written = spool.flash_written();
    spool.push(at(80), REPORTS, b"c");
    spool.handle_timeout(at(80));
    assert_eq!(spool.flash_written(), written, "not for one record");
    assert_eq!(spool.poll_timeout(), Some(at(670)));
    spool.handle_timeout(at(670));
    assert_eq!(spool.depth(at(670), REPORTS).flash_records, 3);
    let files = world.borrow().flash.names().len();
    assert_eq!(files, 1, "appended to the segment that is there");
    for _ in 0..60 {
        spool.push(at(680), REPORTS, &[b'r'; 300]);
    }
    assert!(spool.depth(at(680), REPORTS).flash_records > 40, "or when there are enough of them");

    spool.recovered(REPORTS);
    let written = spool.flash_written();
    let all = read_all(&mut spool, at(700), REPORTS);
    assert_eq!(all.len(), 63);
    spool.done(at(700), &ids(&all), Done::Delivered);
    spool.push(at(701), REPORTS, b"after");
    spool.handle_timeout(at(5_000));
    assert_eq!(spool.flash_written(), written, "the server answers again");
    assert_eq!(world.borrow().flash.bytes(), 0, "a segment that is drained is removed");
    assert_eq!(texts(&mut spool, at(702), REPORTS), ["after"]);
}

#[test]
fn a_stop_moves_all_to_flash_and_a_power_cut_then_loses_nothing() {
    let (world, mut spool) = new();
    push_all(&mut spool, at(1), REPORTS, &["a", "b"]);
    push_all(&mut spool, at(1), LINES, &["x"]);
    assert_eq!(spool.handle_stop(at(2)), 0);
    assert_eq!(spool.durable_through(LINES).map(|id| id.queue), Some(LINES));
    drop(spool);
    let flash = world.borrow().flash.clone();
    *world.borrow_mut() = World { flash, ..World::default() };
    let (mut spool, recovery) = Spool::open(SimDisk::both(&world), config(roomy()), clock(at(0), 2));
    assert_eq!(recovery.records, 3);
    assert_eq!(texts(&mut spool, at(1), REPORTS), ["a", "b"]);
    assert_eq!(texts(&mut spool, at(1), LINES), ["x"]);
}

#[test]
fn cells_survive_a_kill_with_their_last_value() {
    let (world, mut spool) = new();
    for count in 0..2_000 {
        assert!(spool.set_cell(at(count), "session/1", format!("{count}").as_bytes()));
    }
    spool.set_cell(at(5), "session/2", b"two");
    spool.set_cell(at(5), "session/3", b"three");
    spool.clear_cell(at(6), "session/2");
    spool.clear_cell(at(6), "no such");
    assert!(world.borrow().ram.bytes() < 40_000, "it is written anew now and then");
    assert_eq!(world.borrow().flash.bytes(), 0);
    drop(spool);
    let (spool, recovery) = open(&world, at(2_000), roomy());
    let cells: Vec<_> = recovery.cells.iter().map(|cell| (cell.key.as_str(), &cell.payload[..])).collect();
    assert_eq!(cells, [("session/1", b"1999".as_slice()), ("session/3", b"three")]);
    assert_eq!(recovery.cells[0].stamp.at, at(1_999));
    assert_eq!(spool.cells().collect::<Vec<_>>(), recovery.cells);
}

#[test]
fn one_that_is_killed_again_and_again_keeps_its_room() {
    let (world, mut spool) = new();
    let mut waiting = Vec::new();
    for life in 0..1_000 {
        let now = at(life);
        for session in 0..4 {
            let key = format!("session/{life}-{session}");
            assert!(spool.set_cell(now, &key, &[b'x'; 600]));
            let record = spool.push(now, REPORTS, key.as_bytes());
            spool.clear_cell(now, &key);
            // The last one waits every now and then, so that others in its segment are done and it is not.
            if session == 3 && life % 500 == 0 {
                waiting.push(key);
            } else {
                spool.done(now, &[record], Done::Delivered);
            }
        }
        drop(spool);
        let recovery;
        (spool, recovery) = open(&world, now, roomy());
        assert_eq!(
            recovery,
            Recovery { records: waiting.len() as u64, ..Recovery::default() },
            "life {life}"
        );
    }
    assert_eq!(texts(&mut spool, at(1_000), REPORTS), waiting);
    assert!(world.borrow().ram.bytes() < 128 << 10, "{} bytes", world.borrow().ram.bytes());
    assert_eq!(world.borrow().flash.bytes(), 0);
}

#[test]
fn cells_are_bounded() {
    let (_, mut spool) = new();
    let big = vec![0; 200 << 10];
    assert!(spool.set_cell(at(1), "one", &big));
    assert!(!spool.set_cell(at(1), "two", &big));
    assert!(spool.set_cell(at(1), "one", &big), "a value does not count beside the one it replaces");
    assert!(!spool.set_cell(at(1), &"k".repeat(70_000), b""));
    assert_eq!(spool.cells().count(), 1);
}

#[test]
fn age_goes_on_across_a_reboot() {
    let world = std::rc::Rc::new(std::cell::RefCell::new(World::default()));
    let limits = Limits { max_age: at(1_000), ..roomy() };
    let (mut spool, _) = open(&world, at(0), limits);
    spool.push(at(100), REPORTS, b"old");
    spool.push(at(600), REPORTS, b"new");
    spool.handle_stop(at(700));
    drop(spool);
    let flash = world.borrow().flash.clone();
    *world.borrow_mut() = World { flash, ..World::default() };
    // No calendar: as if the last boot had ended when the last record was taken.
    let (mut spool, _) = Spool::open(SimDisk::both(&world), config(limits), clock(at(10), 2));
    assert_eq!(spool.poll_timeout(), Some(at(500)));
    spool.handle_timeout(at(499));
    assert_eq!(texts(&mut spool, at(499), REPORTS), ["old", "new"]);
    spool.handle_timeout(at(500));
    assert_eq!(texts(&mut spool, at(500), REPORTS), ["new"]);
    assert_eq!(spool.counts(REPORTS).dropped.aged, 1);
    let dropped = spool.poll_dropped().unwrap();
    assert_eq!((dropped.records, dropped.reason), (1, DropReason::Aged));
    assert_eq!(spool.poll_timeout(), Some(at(1_000)));
}

#[test]
fn times_of_a_former_boot_are_told_by_the_calendar_of_then_or_of_now() {
    let world = std::rc::Rc::new(std::cell::RefCell::new(World::default()));
    let (mut spool, _) = open(&world, at(0), roomy());
    spool.push(at(100), REPORTS, b"no calendar yet");
    spool.set_calendar(Some(WallAnchor { at: at(200), unix_ms: 1_700_000_000_000 }));
    spool.push(at(300), REPORTS, b"calendar");
    spool.handle_stop(at(300));
    drop(spool);
    let (mut spool, _) = Spool::open(SimDisk::both(&world), config(roomy()), clock(at(10), 2));
    let records = read_all(&mut spool, at(10), REPORTS);
    assert_eq!(spool.anchor(&records[0].stamp), None);
    let anchor = spool.anchor(&records[1].stamp).unwrap();
    assert_eq!(anchor.unix_secs(at(290)), 1_700_000_090);
    spool.set_calendar(Some(WallAnchor { at: at(20), unix_ms: 1_800_000_000_000 }));
    let anchor = spool.anchor(&records[0].stamp).unwrap();
    assert_eq!(anchor.unix_secs(at(100)), 1_800_000_000 - 20 - 200);
}

#[rstest]
#[case::full(DiskError::NoSpace)]
#[case::broken(io())]
#[case::read_only(DiskError::ReadOnly("Read-only file system (os error 30)".to_owned()))]
fn without_flash_it_runs_on_in_ram_and_says_so_once(#[case] fault: DiskError) {
    let (world, mut spool) = new();
    world.borrow_mut().flash_fault = Some(fault.clone());
    push_all(&mut spool, at(1), REPORTS, &["a", "b"]);
    spool.trouble(at(1), REPORTS);
    for now in [61, 100, 1_000] {
        spool.handle_timeout(at(now));
        assert!(spool.poll_timeout().unwrap() > at(now), "a timer must not fire for nothing");
    }
    assert_eq!(spool.poll_event(), Some(Event::Fault { place: Place::Flash, error: fault.clone() }));
    assert_eq!(spool.poll_event(), None);
    assert_eq!(spool.fault(Place::Flash), Some(&fault));
    assert_eq!(texts(&mut spool, at(1_001), REPORTS), ["a", "b"]);
    assert_eq!(spool.handle_stop(at(1_001)), 2);
    spool.is_stopping = false;

    for _ in 0..4_000 {
        spool.push(at(1_002), REPORTS, &[b'r'; 400]);
    }
    assert!(world.borrow().ram.bytes() <= 1 << 20);
    let counts = spool.counts(REPORTS);
    assert_eq!(counts.dropped, Drops { no_space: counts.dropped.total(), ..Drops::default() });
    assert_eq!(spool.depth(at(1_002), REPORTS).records + counts.dropped.total(), counts.pushed);
    assert!(spool.depth(at(1_002), REPORTS).records > 2_200);

    world.borrow_mut().flash_fault = None;
    spool.handle_timeout(at(1_040));
    assert_eq!(spool.poll_event(), Some(Event::FaultOver { place: Place::Flash }));
    assert_eq!(spool.fault(Place::Flash), None);
    let depth = spool.depth(at(1_040), REPORTS);
    assert_eq!(depth.records, depth.flash_records);
    let all = read_all(&mut spool, at(1_041), REPORTS);
    assert_eq!(all.len() as u64, depth.records);
    assert!(all.windows(2).all(|pair| pair[0].id < pair[1].id));
}

#[test]
fn without_ram_it_runs_on_in_memory_and_says_so_once() {
    let (world, mut spool) = new();
    spool.push(at(1), REPORTS, b"a");
    world.borrow_mut().ram_fault = Some(DiskError::NoSpace);
    for text in [b"b", b"c"] {
        spool.push(at(2), REPORTS, text);
    }
    spool.set_cell(at(2), "session/1", b"1");
    assert_eq!(spool.poll_event(), Some(Event::Fault { place: Place::Ram, error: DiskError::NoSpace }));
    assert_eq!(spool.poll_event(), None);
    assert_eq!(texts(&mut spool, at(3), REPORTS), ["a", "b", "c"]);
    for _ in 0..2_000 {
        spool.push(at(3), LINES, &[b'l'; 400]);
    }
    assert!(spool.used(Place::Memory) <= 256 << 10, "{}", spool.used(Place::Memory));
    assert_eq!(spool.counts(LINES).dropped.total(), 0, "flash is there");

    world.borrow_mut().ram_fault = None;
    assert_eq!(spool.poll_timeout().map(|due| due <= at(33)), Some(true));
    spool.handle_timeout(at(33));
    assert_eq!(spool.poll_event(), Some(Event::FaultOver { place: Place::Ram }));
    assert_eq!(spool.used(Place::Memory), 0);
    spool.push(at(34), REPORTS, b"d");
    drop(spool);
    let (mut spool, recovery) = open(&world, at(40), roomy());
    assert_eq!(texts(&mut spool, at(40), REPORTS), ["a", "b", "c", "d"]);
    assert_eq!(recovery.cells.len(), 1);
}

#[test]
fn without_any_disk_memory_is_bounded_and_the_newest_is_kept() {
    let (world, mut spool) = new();
    world.borrow_mut().ram_fault = Some(io());
    world.borrow_mut().flash_fault = Some(io());
    for number in 0..2_000 {
        spool.push(at(1), REPORTS, format!("{number:0400}").as_bytes());
    }
    assert!(spool.used(Place::Memory) <= 256 << 10);
    let left = texts(&mut spool, at(2), REPORTS);
    assert!(left.len() > 500);
    let newest = (2_000 - left.len()..2_000).map(|number| format!("{number:0400}"));
    assert!(left.iter().eq(newest.collect::<Vec<_>>().iter()));
    assert_eq!(spool.counts(REPORTS).dropped.no_space, 2_000 - left.len() as u64);
}

#[test]
fn room_is_left_for_others() {
    let world = std::rc::Rc::new(std::cell::RefCell::new(World::default()));
    let limits = Limits { keep_free: 1 << 20, ..Limits::default() };
    let limits = Limits { ram_bytes: 50_000, ..limits };
    let (mut spool, _) = open(&world, at(0), limits);
    world.borrow_mut().flash_free = Some((1 << 20) + 100_000);
    spool.trouble(at(1), REPORTS);
    for number in 0..2_000_u64 {
        spool.push(at(100 + number), REPORTS, format!("{number:0300}").as_bytes());
        assert!(world.borrow().flash.bytes() <= 100_000);
    }
    spool.handle_stop(at(3_000));
    let counts = spool.counts(REPORTS);
    assert!(counts.dropped.no_space > 1_500);
    let left = texts(&mut spool, at(3_000), REPORTS);
    assert_eq!(left.len() as u64 + counts.dropped.no_space, 2_000);
    assert_eq!(left.last().unwrap(), &format!("{:0300}", 1_999));
    assert!(left.len() > 150, "most of what there is room for is used: {}", left.len());
    world.borrow_mut().flash_free = Some(1 << 19);
    spool.push(at(3_001), REPORTS, b"one more");
    assert_eq!(spool.fault(Place::Flash), Some(&DiskError::NoSpace), "others have taken all");
    assert_eq!(spool.counts(REPORTS).dropped.no_space, counts.dropped.no_space, "to drop all would not help");
}

#[test]
fn caps_on_records_are_exact_and_the_oldest_goes() {
    let world = std::rc::Rc::new(std::cell::RefCell::new(World::default()));
    let (mut spool, _) = open(&world, at(0), Limits { max_records: 5, ..roomy() });
    push_all(&mut spool, at(1), REPORTS, &["a", "b", "c", "d", "e", "f", "g"]);
    assert_eq!(texts(&mut spool, at(1), REPORTS), ["c", "d", "e", "f", "g"]);
    let dropped = spool.poll_dropped().unwrap();
    assert_eq!((dropped.records, dropped.reason, spool.poll_dropped()), (2, DropReason::Full, None));
    // Of five records one is the lines' and three are the reports'; the one left over stays with who has it.
    push_all(&mut spool, at(1), LINES, &["u", "v", "w", "x", "y", "z"]);
    assert_eq!(texts(&mut spool, at(1), REPORTS), ["d", "e", "f", "g"]);
    assert_eq!(texts(&mut spool, at(1), LINES), ["z"]);
    drop(spool);
    let (mut spool, recovery) = open(&world, at(2), Limits { max_records: 5, ..roomy() });
    assert_eq!(recovery.records, 5);
    spool.set_limits(at(2), Limits { max_records: 2, ..roomy() });
    assert_eq!(spool.depth(at(2), REPORTS).records + spool.depth(at(2), LINES).records, 2);
}

#[test]
fn a_flood_in_one_queue_leaves_the_other_its_share() {
    let world = std::rc::Rc::new(std::cell::RefCell::new(World::default()));
    let limits = Limits { max_bytes: 300_000, ram_bytes: 50_000, ..roomy() };
    let (mut spool, _) = open(&world, at(0), limits);
    for number in 0..150 {
        spool.push(at(1), REPORTS, format!("{number:0400}").as_bytes());
    }
    let share = spool.config.byte_share(REPORTS);
    assert!(spool.depth(at(1), REPORTS).bytes < share);
    for _ in 0..3_000 {
        spool.push(at(2), LINES, &[b'l'; 400]);
        assert!(spool.used(Place::Flash) + spool.used(Place::Ram) <= 300_000);
    }
    assert_eq!(spool.counts(REPORTS).dropped.total(), 0);
    assert!(spool.depth(at(2), LINES).bytes > 300_000 - 66_000 - 10_000, "it has all that is not used");
    for number in 150..1_000 {
        spool.push(at(3), REPORTS, format!("{number:0400}").as_bytes());
    }
    assert!(spool.depth(at(3), REPORTS).bytes >= share, "and gives it back");
    assert!(spool.depth(at(3), LINES).bytes >= spool.config.byte_share(LINES));
}

#[test]
fn what_is_too_long_is_dropped_and_counted() {
    let (_, mut spool) = new();
    let id = spool.push(at(1), REPORTS, &vec![b'x'; 40_000]);
    assert_eq!(spool.counts(REPORTS).dropped, Drops { too_large: 1, ..Drops::default() });
    let dropped = spool.poll_dropped().unwrap();
    assert_eq!((dropped.first, dropped.last, dropped.reason), (id.seq, id.seq, DropReason::TooLarge));
    assert_eq!(texts(&mut spool, at(1), REPORTS), Vec::<String>::new());
}

#[test]
fn turning_off_gives_all_up() {
    let (world, mut spool) = new();
    push_all(&mut spool, at(1), REPORTS, &["a", "b"]);
    spool.handle_stop(at(1));
    spool.push(at(2), REPORTS, b"c");
    spool.clear(at(2), REPORTS, DropReason::Off);
    assert_eq!(spool.counts(REPORTS).dropped.off, 3);
    assert_eq!(world.borrow().flash.bytes(), 0);
}

#[test]
fn segments_that_cannot_be_removed_do_not_come_back() {
    let (world, mut spool) = new();
    push_all(&mut spool, at(1), REPORTS, &["a", "b"]);
    spool.handle_stop(at(1));
    let all = read_all(&mut spool, at(1), REPORTS);
    world.borrow_mut().flash_fault = Some(io());
    spool.done(at(2), &ids(&all), Done::Delivered);
    assert_eq!(texts(&mut spool, at(2), REPORTS), Vec::<String>::new());
    spool.handle_timeout(at(2));
    drop(spool);
    let (mut spool, _) = open(&world, at(3), roomy());
    assert_eq!(texts(&mut spool, at(3), REPORTS), Vec::<String>::new());
    world.borrow_mut().flash_fault = None;
    let due = spool.poll_timeout().unwrap();
    spool.handle_timeout(due);
    assert_eq!(world.borrow().flash.bytes(), 0);
    assert_eq!(spool.used(Place::Flash), 0);
}

#[test]
fn a_damaged_file_is_set_aside_and_what_is_whole_is_saved() {
    let (world, mut spool) = new();
    push_all(&mut spool, at(1), REPORTS, &["aaaa", "bbbb", "cccc"]);
    spool.handle_stop(at(1));
    drop(spool);
    let name = world.borrow().flash.names()[0].clone();
    let second = 16 + 44 + 41;
    world.borrow_mut().flash.content_mut(&name)[second] ^= 0x40;
    let (mut spool, recovery) = open(&world, at(2), roomy());
    assert_eq!(recovery, Recovery { records: 2, quarantined: 1, corrupt: 1, ..Recovery::default() });
    assert_eq!(spool.counts(REPORTS).dropped.corrupt, 1);
    assert_eq!(texts(&mut spool, at(2), REPORTS), ["aaaa", "cccc"]);
    assert_eq!(world.borrow().flash.names(), [name.clone(), format!("{name}.bad")]);
    drop(spool);
    let (mut spool, recovery) = open(&world, at(3), roomy());
    assert_eq!(recovery, Recovery { records: 2, ..Recovery::default() });
    assert_eq!(texts(&mut spool, at(3), REPORTS), ["aaaa", "cccc"]);
}

#[test]
fn what_is_set_aside_is_bounded_and_makes_room_first() {
    let world = std::rc::Rc::new(std::cell::RefCell::new(World::default()));
    for number in 0..20 {
        let name = format!("00-{number:016x}.seg");
        world.borrow_mut().flash.put(&name, &[0xa5; 3_000]);
    }
    world.borrow_mut().flash.put("00-00000000000000ff.seg", &vec![0; 2 << 20]);
    world.borrow_mut().flash.put("provisioning.xml", b"<provision/>");
    let limits = Limits { max_bytes: 300_000, ram_bytes: 300_000, ..roomy() };
    let (mut spool, recovery) = open(&world, at(1), limits);
    assert_eq!((recovery.quarantined, recovery.records), (21, 0));
    let names = world.borrow().flash.names();
    assert_eq!(names.iter().filter(|name| name.ends_with(".bad")).count(), MAX_BAD_FILES);
    for number in 0..1_000 {
        spool.push(at(2), REPORTS, format!("{number:0400}").as_bytes());
    }
    assert_eq!(world.borrow().flash.names()[..1], ["provisioning.xml"], "what is not ours is left alone");
    assert!(spool.depth(at(2), REPORTS).bytes > 290_000);
}

#[test]
fn a_segment_that_cannot_be_read_does_not_block_the_others() {
    let (world, mut spool) = new();
    for batch in ["a", "b"] {
        spool.push(at(1), REPORTS, batch.repeat(20_000).as_bytes());
    }
    spool.handle_stop(at(1));
    let names = world.borrow().flash.names();
    assert_eq!(names.len(), 2);
    world.borrow_mut().flash.content_mut(&names[0])[100] ^= 1;
    let left = texts(&mut spool, at(2), REPORTS);
    assert_eq!(left, ["b".repeat(20_000)]);
    assert_eq!(spool.counts(REPORTS).dropped.corrupt, 1);
    assert_eq!(spool.poll_dropped().map(|dropped| dropped.reason), Some(DropReason::Corrupt));
    assert!(world.borrow().flash.names().contains(&format!("{}.bad", names[0])));
}
