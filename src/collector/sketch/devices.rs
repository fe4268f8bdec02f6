//! Devices: their hashes while they are few, and then registers of a HyperLogLog.

use std::hash::BuildHasherDefault;

use hyperloglockless::HyperLogLog;
use siphasher::sip::SipHasher13;

use super::Unreadable;
use super::samples::whole;

/// Most devices that are kept one by one.
const FEW: usize = 32;
/// 2 to the power of this many registers.
const PRECISION: u8 = 12;
pub(super) const REGISTERS: usize = 1 << PRECISION;

/// Devices.
#[derive(Debug, Clone, Default)]
pub(super) struct Devices {
    /// Hashes of their names, in order; empty where there are many.
    few: Vec<u64>,
    // Hashes are made here: its own hasher is never used.
    many: Option<Box<HyperLogLog<BuildHasherDefault<SipHasher13>>>>,
}

// === impl Devices ===

impl Devices {
    pub(super) fn add(&mut self, hash: u64) {
        let place = self.few.binary_search(&hash);
        match place {
            Ok(_) => {}
            Err(place) if self.many.is_none() && self.few.len() < FEW => self.few.insert(place, hash),
            Err(_) => self.as_many().insert_hash(hash),
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        if self.few.is_empty() && self.many.is_none() {
            return self.clone_from(other);
        }
        other.few.iter().for_each(|hash| self.add(*hash));
        if let Some(other) = &other.many {
            // All have the same number of registers, so they always merge.
            self.as_many().union(other).unwrap_or_default();
        }
    }

    /// The same, no list any more.
    fn as_many(&mut self) -> &mut HyperLogLog<BuildHasherDefault<SipHasher13>> {
        let few = std::mem::take(&mut self.few);
        let empty = || Box::new(HyperLogLog::with_hasher(PRECISION, BuildHasherDefault::default()));
        let many = self.many.get_or_insert_with(empty);
        few.into_iter().for_each(|hash| many.insert_hash(hash));
        many
    }

    /// How many there are, about.
    pub(super) fn count(&self) -> u64 {
        self.many.as_ref().map_or(self.few.len() as u64, |many| whole(many.raw_count().round()))
    }

    /// Of registers those that are not 0, each with its place in two bytes (little-endian), while that is shorter than all of
    /// them. Either length tells which it is: all of them do not divide by three.
    pub(super) fn encode(&self) -> Vec<u8> {
        let Some(many) = &self.many else {
            return self.few.iter().flat_map(|hash| hash.to_le_bytes()).collect();
        };
        let registers = many.parts().0;
        let set = (0_u16..).zip(registers).filter(|(_, register)| **register != 0);
        let set: Vec<u8> = set
            .flat_map(|(place, register)| {
                let [low, high] = place.to_le_bytes();
                [low, high, *register]
            })
            .collect();
        if set.len() < REGISTERS { set } else { registers.to_vec() }
    }

    /// Whether it is no list any more.
    pub(super) const fn is_many(&self) -> bool {
        self.many.is_some()
    }

    /// Takes all of another one, from what [`Devices::encode`] has given.
    pub(super) fn merge_encoded(&mut self, is_many: bool, bytes: &[u8]) -> Result<(), Unreadable> {
        if !is_many {
            return bytes.chunks(8).try_for_each(|hash| {
                let hash = hash.try_into().map_err(|_| Unreadable("it is no list of devices"))?;
                self.add(u64::from_le_bytes(hash));
                Ok(())
            });
        }
        let no_registers = Unreadable("it is no HyperLogLog");
        let many = self.as_many();
        let registers = many.parts().0;
        // Most are no larger than what is there, and then nothing is to be done.
        let mut larger = Vec::new();
        if bytes.len() == REGISTERS {
            let all = (0..).zip(bytes.iter().zip(registers));
            larger.extend(all.filter(|(_, (new, old))| new > old).map(|(place, (new, _))| (place, *new)));
        } else {
            let mut known = [false; REGISTERS];
            for three in bytes.chunks(3) {
                let [low, high, register] = three.try_into().map_err(|_| no_registers)?;
                let place = u16::from_le_bytes([low, high]);
                let known = known.get_mut(usize::from(place)).filter(|known| !**known).ok_or(no_registers)?;
                *known = true;
                if registers.get(usize::from(place)).is_some_and(|old| register > *old) {
                    larger.push((place, register));
                }
            }
        }
        larger.into_iter().try_for_each(|(place, register)| {
            many.insert_hash(hash_of(place, register).ok_or(no_registers)?);
            Ok(())
        })
    }
}

/// A hash that sets a register to a number: its first bits are the register's place, and the number is that of the zeros at
/// its end, and one. `None` where no hash does.
fn hash_of(place: u16, register: u8) -> Option<u64> {
    let bits = 64 - u32::from(PRECISION);
    let zeros = u32::from(register).checked_sub(1)?;
    let hash = u64::from(place) << bits | if zeros < bits { 1 << zeros } else { 0 };
    (hash.trailing_zeros() == zeros).then_some(hash)
}
