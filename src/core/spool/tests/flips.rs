//! Bytes that are not what was written.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use proptest::prelude::*;

use super::super::*;
use super::sim::{LINES, REPORTS, SimDisk, World, at, clock, config, read_all, roomy};

/// A box with records and cells on both disks, and what is in them.
fn filled() -> (World, BTreeMap<RecordId, Vec<u8>>) {
    let world = Rc::new(RefCell::new(World::default()));
    let limits = Limits { max_bytes: 200_000, ..roomy() };
    let (mut spool, _) = Spool::open(SimDisk::both(&world), config(limits), clock(at(0), 1));
    let mut records = BTreeMap::new();
    for number in 0..60_usize {
        let queue = if number % 4 == 0 { LINES } else { REPORTS };
        let payload = format!("{{\"number\":{number},\"text\":\"{}\"}}", "x".repeat(number * 3)).into_bytes();
        records.insert(spool.push(at(1), queue, &payload), payload);
        if number == 40 {
            spool.handle_stop(at(2));
            spool.is_stopping = false;
        }
    }
    spool.set_cell(at(3), "session/1", b"totals");
    let second = *records.keys().nth(1).unwrap();
    spool.done(at(3), &[second], Done::Delivered);
    drop(spool);
    records.remove(&second);
    let world = world.borrow().clone();
    (world, records)
}

/// Opens what is left, and gives how many of the records are there; none may have changed, and it must work.
fn survivors(
    world: World,
    records: &BTreeMap<RecordId, Vec<u8>>,
    gone: usize,
) -> Result<usize, TestCaseError> {
    let world = Rc::new(RefCell::new(world));
    let (mut spool, recovery) = Spool::open(SimDisk::both(&world), config(roomy()), clock(at(10), 1));
    let mut found = 0;
    for queue in [REPORTS, LINES] {
        for record in read_all(&mut spool, at(10), queue) {
            match records.get(&record.id) {
                Some(payload) => {
                    prop_assert_eq!(payload, &record.payload);
                    found += 1;
                }
                None => prop_assert_eq!(gone, 0, "{:?} was done, or never was", record.id),
            }
        }
    }
    for cell in &recovery.cells {
        prop_assert_eq!((cell.key.as_str(), &cell.payload[..]), ("session/1", b"totals".as_slice()));
    }
    let id = spool.push(at(11), REPORTS, b"new");
    let last = read_all(&mut spool, at(11), REPORTS).pop().unwrap();
    prop_assert_eq!((last.id, last.payload), (id, b"new".to_vec()));
    drop(spool);
    let (mut spool, again) = Spool::open(SimDisk::both(&world), config(roomy()), clock(at(12), 1));
    prop_assert_eq!((again.quarantined, again.torn, again.corrupt), (0, 0, 0), "once is enough");
    let all = read_all(&mut spool, at(12), REPORTS).len() + read_all(&mut spool, at(12), LINES).len();
    prop_assert!(all > found);
    Ok(found)
}

/// The files of both disks that hold something.
fn files(world: &World) -> Vec<(bool, String)> {
    let flash = world.flash.names().into_iter().map(|name| (true, name));
    flash.chain(world.ram.names().into_iter().map(|name| (false, name))).collect()
}

#[test]
fn without_damage_all_is_there() {
    let (world, records) = filled();
    assert_eq!(files(&world).len(), 5, "two queues on two disks, and the journal");
    assert_eq!(survivors(world, &records, 1).unwrap(), records.len());
}

proptest! {
    #[test]
    fn a_flipped_bit_costs_one_record_at_most(file in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let (mut world, records) = filled();
        let (is_flash, name) = files(&world)[file.index(5)].clone();
        let directory = if is_flash { &mut world.flash } else { &mut world.ram };
        let content = directory.content_mut(&name);
        let at = at.index(content.len());
        content[at] ^= 1 << bit;
        // If the journal is hit, what was done may come back.
        let gone = usize::from(name.ends_with(".seg"));
        prop_assert!(survivors(world, &records, gone)? + gone >= records.len());
    }

    #[test]
    fn any_damage_is_survived(
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..5_u8, any::<[u8; 4]>()), 1..6),
    ) {
        let (mut world, records) = filled();
        for (file, at, kind, bytes) in hits {
            let (is_flash, name) = files(&world)[file.index(5)].clone();
            let directory = if is_flash { &mut world.flash } else { &mut world.ram };
            let content = directory.content_mut(&name);
            if content.is_empty() {
                continue;
            }
            let at = at.index(content.len());
            match kind {
                0 => content.truncate(at),
                1 => content[at..].fill(0),
                2 => drop(content.splice(at..at, bytes)),
                3 => drop(content.drain(..at)),
                _ => content[at..].iter_mut().zip(bytes).for_each(|(old, new)| *old = new),
            }
        }
        survivors(world, &records, 0)?;
    }
}
