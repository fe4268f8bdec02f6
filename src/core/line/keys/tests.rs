//! The table against what is published, against itself, and against the files made from it.

use std::collections::HashSet;

use rstest::rstest;

use super::*;

/// The keys of the published table of playing parameters.
const PLAYING: &str = "m n o p q u v w x y z da db dc dd de df dg dh di dj dk dl dm dn do dp dq dr dt du dv dw dx dy dz \
    ea eb ec ed ee ef eg eh ei ej ek el em fb fd fe ff fg fh fi fj fk fl rs gb gc gd ge gf ss ia rst so";
/// The keys of the other lines.
const OTHERS: &str = "a b c d e f g h i k aa ab ac ad ae ag ah ai aj ak al am an ao ap aq as at au av aw ax ay az ba bb \
    ca cg cl cm cn en es et ft os pd pr pu sa sc sh ta tb td te tf tt tx ty tz va vb vd ve vf vg vh vi vj vk vl vm \
    vn vo vp vq xa za zb r s t ds";

#[test]
fn every_key_is_there() {
    for key in PLAYING.split_whitespace().chain(OTHERS.split_whitespace()) {
        let metric = Metric::from_key(key).unwrap_or_else(|| panic!("{key} is missing"));
        assert_eq!(metric.key(), key);
    }
}

#[test]
fn a_playing_line_carries_every_playing_key() {
    for key in PLAYING.split_whitespace() {
        assert!(Metric::from_key(key).unwrap().events().contains(Event::Playing), "{key}");
    }
}

#[test]
fn keys_and_names_are_unique_and_found() {
    let mut keys = HashSet::new();
    let mut names = HashSet::new();
    for metric in Metric::ALL.iter().copied() {
        assert!(keys.insert(metric.key()), "{metric}");
        assert!(names.insert(metric.name().to_lowercase()), "{metric}");
        assert_eq!(Metric::from_key(metric.key()), Some(metric));
        assert_eq!(Metric::from_name(metric.name()), Some(metric));
        assert_eq!(Metric::from_name(&metric.name().to_uppercase()), Some(metric));
        assert!(metric.key().bytes().all(|b| b.is_ascii_lowercase()) && metric.key().len() <= 3, "{metric}");
        assert!(metric.about().ends_with('.'), "{metric}");
    }
    assert_eq!(keys.len(), Metric::COUNT);
}

#[rstest]
#[case::example_wins("eh", "bucketRebufferCounts")]
#[case::not_both("ef", "bucketForwardSeeks")]
#[case::alias("c", "sessionId")]
#[case::alias("d", "clientId")]
#[case::printed_otherwise("fk", "bitRateBuckettimes")]
fn names_that_are_written_in_two_ways(#[case] key: &str, #[case] name: &str) {
    assert_eq!(Metric::from_name(name), Metric::from_key(key));
}

#[rstest]
#[case("")]
#[case("A")]
#[case("zz")]
#[case("rsx")]
#[case("_cd_1000")]
#[case("é")]
fn no_such_key(#[case] key: &str) {
    assert_eq!(Metric::from_key(key), None);
}

#[test]
fn events_by_code() {
    for event in Event::ALL {
        assert_eq!(Event::from_code(event.code()), Some(event));
    }
    assert_eq!(Event::from_code("X"), None);
    assert_eq!(Metric::RebufferSession.events().to_string(), "P C E");
    assert_eq!(Metric::EventCode.events().to_string(), "all");
    assert_eq!(Metric::PartNumber.events().to_string(), "-");
}

#[test]
fn list_for_a_terminal() {
    let text = text();
    assert_eq!(text.lines().count(), Metric::COUNT + 1);
    let row = text.lines().find(|line| line.starts_with("da ")).unwrap();
    insta::assert_snapshot!(row, @"da   rebufferTime                     integer                  ms     P C E    +    Time spent in such interruptions.");
}

/// The files that are made from the table; `stbeacon line keys --markdown` and `--roff` make them anew.
#[rstest]
#[case::markdown(markdown(), include_str!("KEYS.md"))]
#[case::manual_page(roff(), include_str!("../../../../packaging/man/stbeacon-line.7"))]
fn files_have_not_drifted(#[case] made: String, #[case] kept: &str) {
    let differing = made.lines().zip(kept.lines()).find(|(made, kept)| made != kept);
    assert_eq!(differing, None, "make the file anew: stbeacon line keys --markdown, --roff");
    assert_eq!(made.len(), kept.len(), "make the file anew: stbeacon line keys --markdown, --roff");
}
