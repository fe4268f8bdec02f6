//! Patterns for interface names.

use std::fmt;

/// A pattern for interface names: `*` stands for any characters or none, `?` for exactly one, anything else for
/// itself. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Glob(String);

impl Glob {
    /// A pattern; `None` for an empty one, which would match no interface.
    #[must_use]
    pub fn new(pattern: &str) -> Option<Self> {
        let pattern = pattern.trim();
        (!pattern.is_empty()).then(|| Self(pattern.to_owned()))
    }

    /// The patterns of a list such as `eth*,wlan*`; empty ones are left out.
    #[must_use]
    pub fn list(text: &str) -> Vec<Self> {
        text.split(',').filter_map(Self::new).collect()
    }

    /// Whether the pattern stands for the whole of `name`.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let mut pattern = self.0.chars();
        let mut name = name.chars();
        // Where to go on after the last star: its rest of the pattern, and of the name with one character more
        // given to the star. Only the last star ever needs to be tried again.
        let mut retry = None;
        loop {
            let here = name.clone();
            let matched = match (pattern.next(), name.next()) {
                (Some('*'), _) => {
                    retry = Some((pattern.clone(), here.clone()));
                    name = here;
                    continue;
                }
                (None, None) => return true,
                (Some('?'), Some(_)) => true,
                (Some(expected), Some(found)) => expected == found,
                (_, None) | (None, Some(_)) => false,
            };
            if matched {
                continue;
            }
            let Some((rest, mut longer)) = retry.take() else { return false };
            if longer.next().is_none() {
                return false;
            }
            pattern = rest.clone();
            name = longer.clone();
            retry = Some((rest, longer));
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("eth0", "eth0", true)]
    #[case("eth0", "eth01", false)]
    #[case("eth0", "eth", false)]
    #[case("eth*", "eth0.100", true)]
    #[case("eth*", "eth", true)]
    #[case("eth*", "veth0", false)]
    #[case("*", "", true)]
    #[case("*.100", "eth0.100", true)]
    #[case("*.100", "eth0.100.100", true)]
    #[case("*.100", "eth0.1000", false)]
    #[case("wlan?", "wlan0", true)]
    #[case("wlan?", "wlan", false)]
    #[case("wlan?", "wlan10", false)]
    #[case("*a*b?", "xaxabbc", true)]
    #[case("w?й*", "wлй0", true)]
    #[case("[eth]", "e", false)]
    fn table(#[case] pattern: &str, #[case] name: &str, #[case] matches: bool) {
        assert_eq!(Glob::new(pattern).unwrap().matches(name), matches);
    }

    #[test]
    fn a_list_leaves_out_what_is_empty() {
        let shown: Vec<_> = Glob::list(" eth*, ,wlan?,").iter().map(Glob::to_string).collect();
        assert_eq!(shown, ["eth*", "wlan?"]);
    }

    /// The definition of matching, exponential in time.
    fn oracle(pattern: &[char], name: &[char]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some(('*', rest)) => (0..=name.len()).any(|taken| oracle(rest, &name[taken..])),
            Some(('?', rest)) => !name.is_empty() && oracle(rest, &name[1..]),
            Some((c, rest)) => name.first() == Some(c) && oracle(rest, &name[1..]),
        }
    }

    proptest! {
        #[test]
        fn equals_the_definition(pattern in "[ab*?]{1,8}", name in "[ab]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            let expected = oracle(&chars(&pattern), &chars(&name));
            prop_assert_eq!(Glob::new(&pattern).unwrap().matches(&name), expected);
        }
    }
}
