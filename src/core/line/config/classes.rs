//! Classes of bit rates, for `fk`.

/// The classes of a configuration, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateClasses {
    classes: Vec<RateClass>,
}

/// One class of bit rates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateClass {
    key: Box<str>,
    holds: Holds,
}

/// Which bit rates a class holds; bounds in bit/s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// The unknown one.
    Unknown,
    /// Known ones from the first bound up to below the second.
    Range(Option<u64>, Option<u64>),
    /// All, the unknown one too.
    Any,
}

// === impl RateClasses ===

impl RateClasses {
    pub(super) const fn new(classes: Vec<RateClass>) -> Self {
        Self { classes }
    }

    /// The names, in the order in which `fk` lists them.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        self.classes.iter().map(RateClass::key)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// Which class a bit rate in bit/s belongs to, as an index into [`RateClasses::keys`]: the first one that holds
    /// it. `rate` is `None` where it is not known; the answer is where no class holds it.
    #[must_use]
    pub fn class_of(&self, rate: Option<u64>) -> Option<usize> {
        self.classes.iter().position(|class| class.holds.contains(rate))
    }
}

impl Default for RateClasses {
    /// `U` unknown, `S` below 1.5, `Q` below 2.5, `D` from 2.5 Mbit/s.
    fn default() -> Self {
        let class = |key: &str, holds| RateClass::new(key, holds);
        Self::new(vec![
            class("U", Holds::Unknown),
            class("S", Holds::Range(None, Some(1_500_000))),
            class("Q", Holds::Range(Some(1_500_000), Some(2_500_000))),
            class("D", Holds::Range(Some(2_500_000), None)),
        ])
    }
}

// === impl RateClass ===

impl RateClass {
    pub(super) fn new(key: &str, holds: Holds) -> Self {
        Self { key: key.into(), holds }
    }

    /// Its name.
    #[must_use]
    pub const fn key(&self) -> &str {
        &self.key
    }
}

// === impl Holds ===

impl Holds {
    /// Reads `min:1500;max:2500`, in kbit/s; nothing at all means any rate.
    pub(super) fn read(text: &str) -> Option<Self> {
        if text.trim().is_empty() {
            return Some(Self::Any);
        }
        let (mut min, mut max) = (None, None);
        for bound in text.split(';').map(str::trim).filter(|bound| !bound.is_empty()) {
            let (name, kbit) = bound.split_once(':')?;
            let bits = kbit.trim().parse::<u32>().ok().map(|kbit| u64::from(kbit) * 1000)?;
            let place = if name.trim().eq_ignore_ascii_case("min") {
                &mut min
            } else if name.trim().eq_ignore_ascii_case("max") {
                &mut max
            } else {
                return None;
            };
            if place.replace(bits).is_some() {
                return None;
            }
        }
        match (min, max) {
            (None, None) => None,
            (Some(min), Some(max)) if min >= max => None,
            _ => Some(Self::Range(min, max)),
        }
    }

    fn contains(self, rate: Option<u64>) -> bool {
        match (self, rate) {
            (Self::Any, _) | (Self::Unknown, None) => true,
            (Self::Range(min, max), Some(rate)) => {
                min.is_none_or(|min| rate >= min) && max.is_none_or(|max| rate < max)
            }
            (Self::Unknown, Some(_)) | (Self::Range(..), None) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(None, "U")]
    #[case(Some(0), "S")]
    #[case(Some(1_499_999), "S")]
    #[case(Some(1_500_000), "Q")]
    #[case(Some(2_499_999), "Q")]
    #[case(Some(2_500_000), "D")]
    #[case(Some(u64::MAX), "D")]
    fn default_classes(#[case] rate: Option<u64>, #[case] key: &str) {
        let classes = RateClasses::default();
        assert_eq!(classes.keys().nth(classes.class_of(rate).unwrap()), Some(key));
    }

    #[rstest]
    #[case("max:1500", Some(Holds::Range(None, Some(1_500_000))))]
    #[case(" min : 1500 ; max : 2500 ; ", Some(Holds::Range(Some(1_500_000), Some(2_500_000))))]
    #[case("", Some(Holds::Any))]
    #[case(";", None)]
    #[case("min", None)]
    #[case("min:x", None)]
    #[case("min:-1", None)]
    #[case("mid:1", None)]
    #[case("min:1;min:2", None)]
    #[case("min:2;max:2", None)]
    fn rules(#[case] text: &str, #[case] holds: Option<Holds>) {
        assert_eq!(Holds::read(text), holds);
    }
}
