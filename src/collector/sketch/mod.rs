//! What sums cannot tell: percentiles and the number of devices, kept as states that merge in any order and in any
//! grouping, as sums do. Pure.
//!
//! | of | kept as | accuracy |
//! |---|---|---|
//! | up to 16 samples | the samples | exact |
//! | more | DDSketch (Masson, Rim, Lee: VLDB 2019) | a percentile is within 1 % of the sample that it stands for |
//! | up to 32 devices | SipHash-1-3 of their names | exact |
//! | more | HyperLogLog of 4096 registers | standard error 1.6 % |
//!
//! Which of the two it is follows from what has gone in and not from the order of it, so that the same samples make the
//! same state. Nothing comes out again: a sample goes in once, when it is final (see [`crate::session`]).

mod devices;
mod samples;

use std::collections::BTreeMap;

use siphasher::sip::SipHasher13;
use thiserror::Error;

use self::devices::Devices;
pub(crate) use self::samples::Samples;

/// What names of devices are hashed with: never changed, the same on all machines.
const HASH_KEYS: (u64, u64) = (0x7374_6265_6163_6f6e, 0x756e_6971_7565_7321);
/// Of a state that is no list any more.
const MANY: u8 = 0x80;
/// The state of devices; those of samples are numbered as [`Kind`] is.
const DEVICES: u8 = 6;

/// What samples are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Video start-up time, in ms: one of each play whose is known.
    Startup = 1,
    /// Video restart time, in ms: one of each seek. Where several are told together their mean stands for each.
    Restart = 2,
    /// Average bit rate of an ended play, in kbit/s.
    Bitrate = 3,
    /// Rebuffering ratio of an ended play, in hundredths of a per cent.
    Rebuffering = 4,
    /// The same without what seeks have caused.
    ConnectionRebuffering = 5,
}

/// What goes into sketches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sample {
    /// A value, so many times.
    Of { kind: Kind, value: u32, count: u32 },
    /// The session's device: it has begun an attempt or ended a play.
    Device,
}

/// Which states are asked for: putting others together as well takes time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct States(u8);

/// States of one place in the roll-ups.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sketches {
    samples: BTreeMap<Kind, Samples>,
    devices: Devices,
}

/// A stored state that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a sketch cannot be read: {0}")]
pub(crate) struct Unreadable(&'static str);

// === impl Kind ===

impl Kind {
    const ALL: [Self; 5] =
        [Self::Startup, Self::Restart, Self::Bitrate, Self::Rebuffering, Self::ConnectionRebuffering];
}

// === impl Sample ===

impl Sample {
    /// A value, so many times; what is below 0 is told as 0.
    pub(crate) fn of(kind: Kind, value: i64, count: i64) -> Self {
        let fit = |number: i64| u32::try_from(number.max(0)).unwrap_or(u32::MAX);
        Self::Of { kind, value: fit(value), count: fit(count) }
    }

    /// Whether it is a value not even once.
    pub(crate) const fn is_nothing(&self) -> bool {
        matches!(self, Self::Of { count: 0, .. })
    }
}

// === impl States ===

impl States {
    /// None of them.
    pub(crate) const NONE: Self = Self(0);
    /// Every one.
    pub(crate) const ALL: Self = Self(u8::MAX);
    /// That of devices.
    pub(crate) const DEVICES: Self = Self(1 << DEVICES);

    /// That of samples of a kind.
    pub(crate) const fn of(kind: Kind) -> Self {
        Self(1 << kind as u8)
    }

    /// Those of both.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

// === impl Sketches ===

impl Sketches {
    /// Takes a sample of a device's session.
    #[cfg(test)]
    pub(crate) fn add(&mut self, sample: Sample, device: &str) {
        self.add_hashed(sample, device_hash(device));
    }

    /// Takes a sample of the session of a device that has this hash, see [`device_hash`].
    pub(crate) fn add_hashed(&mut self, sample: Sample, device: u64) {
        match sample {
            Sample::Of { kind, value, count } => self.samples.entry(kind).or_default().add(value, count),
            Sample::Device => self.devices.add(device),
        }
    }

    /// Takes all that another one holds.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (kind, samples) in &other.samples {
            self.samples.entry(*kind).or_default().merge(samples);
        }
        self.devices.merge(&other.devices);
    }

    /// Samples of a kind; `None` where there are none.
    pub(crate) fn of(&self, kind: Kind) -> Option<&Samples> {
        self.samples.get(&kind)
    }

    /// How many devices there are, about.
    pub(crate) fn devices(&self) -> u64 {
        self.devices.count()
    }

    /// As it is stored: of each state a byte that names it, its length in four bytes (little-endian), and it.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut put = |name: u8, is_many: bool, state: Vec<u8>| {
            bytes.push(if is_many { name | MANY } else { name });
            bytes.extend(u32::try_from(state.len()).unwrap_or(u32::MAX).to_le_bytes());
            bytes.extend(state);
        };
        for (kind, samples) in &self.samples {
            put(*kind as u8, samples.is_many(), samples.encode());
        }
        if self.devices.count() > 0 {
            put(DEVICES, self.devices.is_many(), self.devices.encode());
        }
        bytes
    }

    /// From what [`Sketches::encode`] has given.
    ///
    /// # Errors
    /// Where that is not so.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut all = Self::default();
        all.merge_encoded(bytes, States::ALL)?;
        Ok(all)
    }

    /// Takes some of what another one holds, from what [`Sketches::encode`] has given.
    ///
    /// # Errors
    /// Where that is not so.
    pub(crate) fn merge_encoded(&mut self, mut bytes: &[u8], wanted: States) -> Result<(), Unreadable> {
        while let Some((name, rest)) = bytes.split_first() {
            let (length, rest) = rest.split_first_chunk().ok_or(Unreadable("it is cut off"))?;
            let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
            let (state, rest) = rest.split_at_checked(length).ok_or(Unreadable("it is cut off"))?;
            let is_many = name & MANY != 0;
            let name = name & !MANY;
            if name == DEVICES {
                if wanted.has(States::DEVICES) {
                    self.devices.merge_encoded(is_many, state)?;
                }
            } else {
                let kind = Kind::ALL.into_iter().find(|kind| *kind as u8 == name);
                let kind = kind.ok_or(Unreadable("a newer version has written it"))?;
                if wanted.has(States::of(kind)) {
                    self.samples.entry(kind).or_default().merge_encoded(is_many, state)?;
                }
            }
            bytes = rest;
        }
        Ok(())
    }
}

/// What devices are told apart by.
pub(crate) fn device_hash(device: &str) -> u64 {
    let (one, other) = HASH_KEYS;
    SipHasher13::new_with_keys(one, other).hash(device.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::devices::REGISTERS;
    use super::samples::whole;
    use super::*;

    fn sketch(values: &[(u32, u32)], devices: &[u32]) -> Sketches {
        let mut sketches = Sketches::default();
        for (value, count) in values {
            sketches.add(Sample::Of { kind: Kind::Startup, value: *value, count: *count }, "");
        }
        devices.iter().for_each(|device| sketches.add(Sample::Device, &format!("box-{device}")));
        sketches
    }

    #[test]
    fn names_have_the_same_hash_everywhere() {
        let bytes = sketch(&[(1500, 1)], &[7]).encode();
        // Another one would count the boxes of a store twice.
        let expected = "0104000000dc05000006080000001919de70a5dff1f6";
        assert_eq!(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), expected);
    }

    #[test]
    fn few_are_exact() {
        let sketches = sketch(&[(3000, 1), (1000, 2), (2000, 1)], &[1, 2, 1]);
        let samples = sketches.of(Kind::Startup).unwrap();
        assert_eq!(
            (samples.count(), samples.quantile(0.5), samples.quantile(1.0)),
            (4, Some(1000.0), Some(3000.0))
        );
        assert_eq!(samples.shares(&[1000, 2000, 2001]), [0.0, 50.0, 25.0, 25.0]);
        assert_eq!((sketches.devices(), sketches.of(Kind::Restart).is_none()), (2, true));
        assert_eq!(
            (Samples::default().quantile(0.5), Samples::default().shares(&[1])),
            (None, vec![0.0, 0.0])
        );
    }

    #[test]
    fn devices_are_counted_about() {
        let mut sketches = Sketches::default();
        let mut device = 0;
        for count in [1_u32, 32, 33, 100, 1_000, 10_000, 100_000] {
            while device < count {
                device += 1;
                sketches.add(
                    Sample::Device,
                    &format!("00:11:22:33:{:02x}:{:02x}/{device}", device % 256, device / 256 % 256),
                );
            }
            let counted = sketches.devices();
            // Three standard errors.
            let most = u64::from(count) * 49 / 1000;
            assert!(counted.abs_diff(count.into()) <= most, "{counted} of {count}");
        }
    }

    #[test]
    fn many_take_little_room() {
        let devices: Vec<_> = (0..100_000).collect();
        let values: Vec<_> = (0..10_000).map(|number| (number * 7 % 20_000, 1)).collect();
        let (devices, samples) = (sketch(&[], &devices).encode().len(), sketch(&values, &[]).encode().len());
        assert_eq!(devices, 5 + REGISTERS);
        let devices: Vec<_> = (0..100).collect();
        let devices = sketch(&[], &devices).encode().len();
        assert!(devices <= 5 + 300, "{devices} bytes");
        assert!(samples < 2_500, "{samples} bytes");
    }

    #[test]
    fn registers_come_back_as_they_were() {
        for count in [33_u32, 1_000, 1_400, 3_000, 20_000] {
            let sketches = sketch(&[], &(0..count).collect::<Vec<_>>());
            let again = Sketches::decode(&sketches.encode()).unwrap();
            assert_eq!((again.encode(), again.devices()), (sketches.encode(), sketches.devices()), "{count}");
        }
    }

    #[test]
    fn what_is_none_is_told() {
        let whole =
            sketch(&(0..100).map(|value| (value, 1)).collect::<Vec<_>>(), &(0..100).collect::<Vec<_>>())
                .encode();
        for length in 1..whole.len() {
            // A state that is cut off where the next one begins is whole.
            let _ = Sketches::decode(&whole[..length]);
        }
        assert!(Sketches::decode(&whole[..whole.len() - 1]).is_err());
        assert!(Sketches::decode(&[99, 0, 0, 0, 0]).is_err());
        assert!(Sketches::decode(&[1, 3, 0, 0, 0, 1, 2, 3]).is_err());
        // A register beyond the last one, one twice, and one larger than a hash can make it.
        for registers in [&[0, 16, 1][..], &[5, 0, 1, 5, 0, 1], &[5, 0, 66], &[5, 0]] {
            let length = u8::try_from(registers.len()).unwrap();
            let state = [&[DEVICES | MANY, length, 0, 0, 0], registers].concat();
            assert!(Sketches::decode(&state).is_err(), "{registers:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// However samples are divided, stored and put together again, the state is that of all at once.
        #[test]
        fn parts_make_the_whole(
            parts in prop::collection::vec(
                (prop::collection::vec((0_u32..200_000_000, 1_u32..4), 0..20), prop::collection::vec(0_u32..200, 0..40)),
                1..6,
            ),
        ) {
            let mut merged = Sketches::default();
            for (values, devices) in &parts {
                merged.merge(&Sketches::decode(&sketch(values, devices).encode()).unwrap());
            }
            let values: Vec<_> = parts.iter().flat_map(|(values, _)| values.clone()).collect();
            let devices: Vec<_> = parts.iter().flat_map(|(_, devices)| devices.clone()).collect();
            prop_assert_eq!(merged.encode(), sketch(&values, &devices).encode());
            let unique = devices.iter().collect::<BTreeSet<_>>().len() as u64;
            // Three standard errors, and two: of a few dozens three may share a register, once in some thousand cases.
            prop_assert!(merged.devices().abs_diff(unique) <= unique.div_ceil(20) + 2);
        }

        /// A percentile is within 1 % of the sample that it stands for.
        #[test]
        fn percentiles_are_near(mut values in prop::collection::vec(0_u32..200_000_000, 1..400), part in 0.0_f64..=1.0) {
            let sketches = sketch(&values.iter().map(|value| (*value, 1)).collect::<Vec<_>>(), &[]);
            let samples = sketches.of(Kind::Startup).unwrap();
            values.sort_unstable();
            let exact = |part: f64| f64::from(values[usize::try_from(whole(part * (values.len() - 1) as f64)).unwrap()]);
            let told = samples.quantile(part).unwrap();
            prop_assert!((told - exact(part)).abs() <= exact(part) * 0.010_001, "{} for {}", told, exact(part));
            prop_assert_eq!(samples.quantile(1.0), Some(exact(1.0)));
            // Shares add up, and what lies below a border by more than 1 % is told to lie below it.
            let border = 100_000_000;
            let shares = samples.shares(&[border]);
            prop_assert!((shares.iter().sum::<f64>() - 100.0).abs() < 1e-9);
            let below = |limit: f64| values.iter().filter(|value| f64::from(**value) < limit).count() as f64 * 100.0 / values.len() as f64;
            let (least, most) = (below(f64::from(border) * 0.989), below(f64::from(border) * 1.011));
            prop_assert!(least - 1e-9 <= shares[0] && shares[0] <= most + 1e-9, "{} {} {}", least, shares[0], most);
        }
    }
}
