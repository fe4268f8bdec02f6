//! A box with two disks that can be killed, cut off from power, filled and broken.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::super::*;

pub(super) const REPORTS: Queue = Queue(0);
pub(super) const LINES: Queue = Queue(1);

/// One directory on a file system that keeps in memory what was not synced, as the kernel does.
#[derive(Debug, Clone, Default)]
pub(super) struct Directory {
    /// By number; a name that was removed may still be what a power cut brings back.
    files: Vec<Contents>,
    live: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
}

#[derive(Debug, Clone, Default)]
struct Contents {
    live: Vec<u8>,
    durable: Vec<u8>,
}

/// The box.
#[derive(Debug, Clone, Default)]
pub(super) struct World {
    pub(super) ram: Directory,
    pub(super) flash: Directory,
    /// The state before each operation, with what the operation is, if it is an append.
    pub(super) history: Option<Vec<Moment>>,
    pub(super) ram_fault: Option<DiskError>,
    pub(super) flash_fault: Option<DiskError>,
    /// So many more operations on flash succeed, then `flash_fault` begins.
    pub(super) flash_fuse: Option<u32>,
    pub(super) flash_free: Option<u64>,
    pub(super) flash_appended: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Moment {
    pub(super) ram: Directory,
    pub(super) flash: Directory,
    pub(super) append: Option<(bool, String, Vec<u8>)>,
}

/// How the box goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crash {
    /// The agent alone.
    Kill,
    /// The power; of what was not synced nothing is left.
    PowerCut,
    /// The power; the names are there, of the unsynced ends nothing.
    PowerCutNames,
    /// The power; of what was not synced half is left.
    PowerCutTorn,
    /// The power; of what was not synced the length is there, but not the bytes.
    PowerCutZeros,
    /// The power, but all was written.
    PowerCutWhole,
}

/// One of a box's disks.
#[derive(Debug, Clone)]
pub(super) struct SimDisk {
    world: Rc<RefCell<World>>,
    is_flash: bool,
}

impl Crash {
    pub(super) const ALL: [Self; 6] = [
        Self::Kill,
        Self::PowerCut,
        Self::PowerCutNames,
        Self::PowerCutTorn,
        Self::PowerCutZeros,
        Self::PowerCutWhole,
    ];
}

impl Directory {
    fn append(&mut self, name: &str, bytes: &[u8]) {
        let next = self.files.len();
        let number = *self.live.entry(name.to_owned()).or_insert(next);
        if number == next {
            self.files.push(Contents::default());
        }
        self.files[number].live.extend_from_slice(bytes);
    }

    fn after(&self, crash: Crash) -> Self {
        let names = match crash {
            Crash::PowerCut => &self.durable,
            _ => &self.live,
        };
        let mut after = Self::default();
        for (name, number) in names {
            let Contents { live, durable } = &self.files[*number];
            let common = live.iter().zip(durable).take_while(|(a, b)| a == b).count();
            let content = match crash {
                Crash::Kill | Crash::PowerCutWhole => live.clone(),
                Crash::PowerCut | Crash::PowerCutNames => durable.clone(),
                Crash::PowerCutTorn => live[..common + (live.len() - common).div_ceil(2)].to_vec(),
                Crash::PowerCutZeros => {
                    let mut content = live.clone();
                    content[common..].fill(0);
                    content
                }
            };
            after.live.insert(name.clone(), after.files.len());
            // A kill leaves what is unsynced unsynced.
            let durable = if crash == Crash::Kill { durable.clone() } else { content.clone() };
            after.files.push(Contents { live: content, durable });
        }
        after.durable = if crash == Crash::Kill {
            let numbers = |number: &usize| self.live.values().position(|live| live == number);
            // A name that a kill left unsynced in its removal is of no further interest.
            self.durable.iter().filter_map(|(name, number)| Some((name.clone(), numbers(number)?))).collect()
        } else {
            after.live.clone()
        };
        after
    }

    pub(super) fn bytes(&self) -> u64 {
        self.live.values().map(|number| self.files[*number].live.len() as u64).sum()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.live.keys().cloned().collect()
    }

    pub(super) fn content_mut(&mut self, name: &str) -> &mut Vec<u8> {
        &mut self.files[self.live[name]].live
    }

    pub(super) fn put(&mut self, name: &str, bytes: &[u8]) {
        self.live.remove(name);
        self.append(name, bytes);
    }
}

impl Moment {
    /// What is left if the box goes down here, or in the middle of the operation.
    pub(super) fn crash(&self, crash: Crash, is_halfway: bool) -> World {
        let (mut ram, mut flash) = (self.ram.clone(), self.flash.clone());
        if let Some((is_flash, name, bytes)) = self.append.as_ref().filter(|_| is_halfway) {
            let directory = if *is_flash { &mut flash } else { &mut ram };
            directory.append(name, &bytes[..bytes.len() / 2]);
        }
        let ram = if crash == Crash::Kill { ram.after(crash) } else { Directory::default() };
        World { ram, flash: flash.after(crash), ..World::default() }
    }
}

impl World {
    fn note(&mut self, append: Option<(bool, String, Vec<u8>)>) {
        let (ram, flash) = (self.ram.clone(), self.flash.clone());
        if let Some(history) = &mut self.history {
            history.push(Moment { ram, flash, append });
        }
    }

    /// Makes the present a moment of the history.
    pub(super) fn sync_point(&mut self) {
        self.note(None);
    }

    fn fault(&mut self, is_flash: bool) -> Option<DiskError> {
        if !is_flash {
            return self.ram_fault.clone();
        }
        match &mut self.flash_fuse {
            Some(0) | None => self.flash_fault.clone(),
            Some(left) => {
                *left -= 1;
                None
            }
        }
    }
}

impl SimDisk {
    pub(super) fn both(world: &Rc<RefCell<World>>) -> Disks<Self> {
        let disk = |is_flash| Self { world: Rc::clone(world), is_flash };
        Disks { ram: disk(false), flash: disk(true) }
    }

    fn change<T>(
        &self,
        append: Option<(&str, &[u8])>,
        change: impl FnOnce(&mut Directory) -> Result<T, DiskError>,
    ) -> Result<T, DiskError> {
        let mut world = self.world.borrow_mut();
        if world.history.is_some() {
            world.note(append.map(|(name, bytes)| (self.is_flash, name.to_owned(), bytes.to_vec())));
        }
        if let Some(fault) = world.fault(self.is_flash) {
            if let Some((name, bytes)) = append.filter(|_| !matches!(fault, DiskError::ReadOnly(_))) {
                // As the kernel does: a part is written, then there is no more room.
                let directory = if self.is_flash { &mut world.flash } else { &mut world.ram };
                directory.append(name, &bytes[..bytes.len() / 3]);
            }
            return Err(fault);
        }
        if let Some((_, bytes)) = append.filter(|_| self.is_flash) {
            world.flash_appended += bytes.len() as u64;
        }
        change(if self.is_flash { &mut world.flash } else { &mut world.ram })
    }
}

impl Disk for SimDisk {
    fn list(&mut self) -> Result<Vec<(String, u64)>, DiskError> {
        let world = self.world.borrow();
        let directory = if self.is_flash { &world.flash } else { &world.ram };
        let entries = directory.live.iter();
        Ok(entries.map(|(name, number)| (name.clone(), directory.files[*number].live.len() as u64)).collect())
    }

    fn read(&mut self, file: &str, into: &mut Vec<u8>) -> Result<(), DiskError> {
        let world = self.world.borrow();
        let directory = if self.is_flash { &world.flash } else { &world.ram };
        let number = directory.live.get(file).ok_or(DiskError::Missing)?;
        into.clear();
        into.extend_from_slice(&directory.files[*number].live);
        Ok(())
    }

    fn append(&mut self, file: &str, bytes: &[u8]) -> Result<(), DiskError> {
        self.change(Some((file, bytes)), |directory| {
            directory.append(file, bytes);
            Ok(())
        })
    }

    fn sync(&mut self, file: &str) -> Result<(), DiskError> {
        self.change(None, |directory| {
            let number = *directory.live.get(file).ok_or(DiskError::Missing)?;
            let contents = &mut directory.files[number];
            contents.durable.clone_from(&contents.live);
            Ok(())
        })
    }

    fn sync_dir(&mut self) -> Result<(), DiskError> {
        self.change(None, |directory| {
            directory.durable.clone_from(&directory.live);
            Ok(())
        })
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.change(None, |directory| {
            let number = directory.live.remove(from).ok_or(DiskError::Missing)?;
            directory.live.insert(to.to_owned(), number);
            Ok(())
        })
    }

    fn remove(&mut self, file: &str) -> Result<(), DiskError> {
        self.change(None, |directory| directory.live.remove(file).map(drop).ok_or(DiskError::Missing))
    }

    fn truncate(&mut self, file: &str, len: u64) -> Result<(), DiskError> {
        self.change(None, |directory| {
            let number = *directory.live.get(file).ok_or(DiskError::Missing)?;
            directory.files[number].live.truncate(usize::try_from(len).unwrap());
            Ok(())
        })
    }

    fn free(&mut self) -> Result<u64, DiskError> {
        let world = self.world.borrow();
        let used = if self.is_flash { world.flash.bytes() } else { 0 };
        Ok(world.flash_free.map_or(u64::MAX, |free| free.saturating_sub(used)))
    }
}

pub(super) fn config(limits: Limits) -> Config {
    Config { limits, policy: Policy::default(), shares: vec![(REPORTS, 2), (LINES, 1)] }
}

pub(super) fn roomy() -> Limits {
    Limits { keep_free: 0, ..Limits::default() }
}

pub(super) fn at(secs: u64) -> Millis {
    Millis::from_secs(secs)
}

pub(super) const fn clock(now: Millis, boot: u64) -> Clock {
    Clock { now, boot: BootId(boot), wall: None }
}

/// Opens a spool on a box, in its first boot.
pub(super) fn open(world: &Rc<RefCell<World>>, now: Millis, limits: Limits) -> (Spool<SimDisk>, Recovery) {
    Spool::open(SimDisk::both(world), config(limits), clock(now, 1))
}

pub(super) fn new() -> (Rc<RefCell<World>>, Spool<SimDisk>) {
    let world = Rc::new(RefCell::new(World::default()));
    let (spool, recovery) = open(&world, at(0), roomy());
    assert_eq!(recovery, Recovery::default());
    (world, spool)
}

/// All that waits in a queue, read a few at a time.
pub(super) fn read_all(spool: &mut Spool<SimDisk>, now: Millis, queue: Queue) -> Vec<Record> {
    let mut all: Vec<Record> = Vec::new();
    loop {
        let next = spool.read_next(now, queue, all.last().map(|record| record.id), 7, 2_000);
        if next.is_empty() {
            return all;
        }
        all.extend(next);
    }
}

pub(super) fn texts(spool: &mut Spool<SimDisk>, now: Millis, queue: Queue) -> Vec<String> {
    let records = read_all(spool, now, queue);
    records.into_iter().map(|record| String::from_utf8(record.payload).unwrap()).collect()
}
