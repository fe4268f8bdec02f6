//! One of the three disks, and how it is doing.

use super::disk::{Disk, DiskError, MemoryDisk};
use super::segment::Place;
use crate::time::Millis;

/// The three disks.
#[derive(Debug)]
pub(super) struct Tiers<D> {
    pub(super) flash: Tier<D>,
    pub(super) ram: Tier<D>,
    pub(super) memory: Tier<MemoryDisk>,
}

#[derive(Debug)]
pub(super) struct Tier<D> {
    disk: D,
    health: Health,
}

/// How a disk is doing.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Bytes of its segments.
    pub(super) used: u64,
    /// Bytes of what was set aside, and the files.
    pub(super) bad: u64,
    pub(super) bad_files: Vec<(String, u64)>,
    /// Files that were to be removed because making them failed, which failed too.
    pub(super) strays: Vec<String>,
    /// Bytes of segments that are done and cannot be removed. They do not count towards the cap: nothing that
    /// could be dropped for them would make room.
    pub(super) stuck: u64,
    /// What is wrong since it last worked.
    pub(super) fault: Option<DiskError>,
    /// Not written before.
    pub(super) retry_at: Millis,
    /// What is on it is not known, so nothing may be added.
    pub(super) unknown: bool,
}

// === impl Tiers ===

impl<D: Disk> Tiers<D> {
    pub(super) fn new(flash: D, ram: D) -> Self {
        Self { flash: Tier::new(flash), ram: Tier::new(ram), memory: Tier::new(MemoryDisk::default()) }
    }

    pub(super) fn disk(&mut self, place: Place) -> &mut dyn Disk {
        match place {
            Place::Flash => &mut self.flash.disk,
            Place::Ram => &mut self.ram.disk,
            Place::Memory => &mut self.memory.disk,
        }
    }

    pub(super) const fn health(&self, place: Place) -> &Health {
        match place {
            Place::Flash => &self.flash.health,
            Place::Ram => &self.ram.health,
            Place::Memory => &self.memory.health,
        }
    }

    pub(super) const fn health_mut(&mut self, place: Place) -> &mut Health {
        match place {
            Place::Flash => &mut self.flash.health,
            Place::Ram => &mut self.ram.health,
            Place::Memory => &mut self.memory.health,
        }
    }

    /// Removes the files that are there by mistake. What is in them is in another file too.
    pub(super) fn remove_strays(&mut self, place: Place) -> Result<(), DiskError> {
        while let Some(name) = self.health(place).strays.last().cloned() {
            match self.disk(place).remove(&name) {
                Ok(()) | Err(DiskError::Missing) => {}
                Err(error) => return Err(error),
            }
            self.health_mut(place).strays.pop();
        }
        Ok(())
    }

    /// Bytes of everything that counts towards the cap.
    pub(super) const fn used(&self) -> u64 {
        let (flash, ram) = (&self.flash.health, &self.ram.health);
        flash.used + flash.bad + ram.used + ram.bad + self.memory.health.used
    }

    pub(super) fn into_disks(self) -> (D, D) {
        (self.flash.disk, self.ram.disk)
    }
}

// === impl Tier ===

impl<D> Tier<D> {
    fn new(disk: D) -> Self {
        Self { disk, health: Health::default() }
    }
}

// === impl Health ===

impl Health {
    /// Whether it is worth trying to write.
    pub(super) fn may_write(&self, now: Millis) -> bool {
        !self.unknown && (self.fault.is_none() || self.retry_at <= now)
    }
}
