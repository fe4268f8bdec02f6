use proptest::prelude::*;
use rstest::rstest;

use super::*;

const WHOLE: &str = r#"
# A box of ours.
[[element]]   # decoders
name = "acmevdec*"
role = 'decoder'
medium = "video"
decoded = "frames-decoded" # a property
dropped = "vendor-stats.late"
failed = "none"
buffered = "queued"
buffered_unit = "us"

[[element]]
name = "acmedemux"
role = "demuxer"
hidden = true
bytes = "bytes-in"
"#;

fn field(property: &str, field: &str) -> Source {
    Source::Field { property: property.into(), field: field.into() }
}

#[test]
fn a_file_is_read_whole() {
    let table = Table::parse(WHOLE).unwrap();
    let decoder = Rule {
        name: "acmevdec*".into(),
        role: Role::Decoder,
        medium: Some(Medium::Video),
        decoded: Some(Source::Property("frames-decoded".into())),
        rendered: None,
        dropped: Some(field("vendor-stats", "late")),
        failed: Some(Source::None),
        bytes: None,
        buffered: Some(Source::Property("queued".into())),
        buffered_unit: Unit::Microseconds,
        hidden: false,
    };
    let demuxer = Rule {
        name: "acmedemux".into(),
        role: Role::Demuxer,
        medium: None,
        decoded: None,
        dropped: None,
        failed: None,
        bytes: Some(Source::Property("bytes-in".into())),
        buffered: None,
        buffered_unit: Unit::Nanoseconds,
        hidden: true,
        ..decoder.clone()
    };
    assert_eq!(table.rules().collect::<Vec<_>>(), [&decoder, &demuxer]);
    assert_eq!(table.rule("acmevdec-hevc"), Some(&decoder));
    assert_eq!(table.rule("acmeadec"), None);
    insta::assert_snapshot!(decoder, @"acmevdec*: decoder of video, decoded from frames-decoded, dropped from vendor-stats.late, failed from nowhere, buffered from queued in us");
    insta::assert_snapshot!(demuxer, @"acmedemux: demuxer, bytes from bytes-in, its bytes hidden");
}

#[test]
fn a_files_rows_come_before_the_built_in_ones() {
    let builtin = Table::builtin();
    assert_eq!(builtin.rule("westerossink").map(|rule| rule.role), Some(Role::Sink));
    assert_eq!(builtin.rule("queue2").map(|rule| rule.role), Some(Role::Queue));
    assert_eq!(builtin.rule("queue3"), None);
    let own = Table::parse("[[element]]\nname = \"westeros*\"\nrole = \"none\"\n").unwrap();
    let both = own.then(builtin);
    assert_eq!(both.rule("westerossink").map(|rule| rule.role), Some(Role::None));
    assert_eq!(both.rule("queue").map(|rule| rule.role), Some(Role::Queue));
}

#[test]
fn the_built_in_table_is_right() {
    assert_eq!(Table::parse(BUILTIN).unwrap(), Table::builtin());
    assert_eq!(Table::parse("").unwrap(), Table::default());
}

/// A row that is right but for the lines given.
fn row(lines: &str) -> String {
    format!("[[element]]\nname = \"a\"\nrole = \"sink\"\n{lines}")
}

#[rstest]
#[case::no_row("name = \"a\"", "1: name: stands before the first row; put [[element]] above it")]
#[case::other_table("[element]", "1: [element] is no table of this file; each row begins with [[element]]")]
#[case::no_line(
    "[[element]]\nname: a",
    "2: a line is KEY = \"TEXT\", KEY = true, KEY = false, [[element]] or a # comment"
)]
#[case::unknown(&row("colour = \"red\""), "4: colour: is no key of a row; there are name, role, medium, decoded, rendered, dropped, failed, bytes, hidden, buffered, buffered_unit")]
#[case::twice(&row("dropped = \"a\"\ndropped = \"b\""), "5: dropped: stands twice in a row, first in line 4; take one out")]
#[case::number(&row("dropped = 7"), "4: dropped: 7 is neither true, false nor text; put texts in quotes")]
#[case::nothing(&row("dropped ="), "4: dropped: has no value; write KEY = \"TEXT\"")]
#[case::open(&row("dropped = \"late"), "4: dropped: the text has no end; put a \" behind it, on the same line")]
#[case::open_literal(&row("dropped = 'late"), "4: dropped: the text has no end; put a ' behind it, on the same line")]
#[case::escape(&row("dropped = \"l\\u0041\""), "4: dropped: only \\\" and \\\\ are known after a backslash")]
#[case::behind(&row("dropped = \"late\" \"er\""), "4: dropped: \"\\\"er\\\"\" stands behind the value; only a # comment may")]
#[case::flag_for_text(&row("dropped = true"), "4: dropped: true is no text; put it in quotes")]
#[case::not_hers(&row("hidden = true"), "4: hidden: a sink has none; it is a key of demuxer")]
#[case::not_a_source(&row("dropped = \"stats.dropped.late\""), "4: dropped: \"stats.dropped.late\" is neither a property (\"frames-decoded\") nor a field of one (\"stats.dropped\"), nor \"qos\" or \"none\"")]
#[case::no_qos(&row("failed = \"qos\""), "4: failed: QoS messages do not tell this; only dropped and rendered may be \"qos\"")]
#[case::no_medium(&row("medium = \"text\""), "4: medium: \"text\" is none of \"video\", \"audio\"")]
#[case::unit_alone(&row("buffered_unit = \"ms\""), "1: buffered_unit: says the unit of nothing; add buffered, or take it out")]
#[case::no_role(
    "[[element]]\nname = \"a\"",
    "1: role: is missing in this row; add what it is: role = \"decoder\""
)]
#[case::no_name(
    "[[element]]\nrole = \"none\"",
    "1: name: is missing in this row; add the element's factory name: name = \"acmevdec\""
)]
#[case::queue_of_nothing(
    "[[element]]\nname = \"a\"\nrole = \"queue\"",
    "1: buffered: is missing: a queue has nothing else to tell; add buffered = \"PROPERTY\""
)]
#[case::bad_name(
    "[[element]]\nname = \"a b\"\nrole = \"none\"",
    "2: name: \"a b\" cannot be a factory's name; gst-inspect-1.0 lists them, and * and ? may stand in one"
)]
#[case::flag_as_text(
    "[[element]]\nname = \"a\"\nrole = \"demuxer\"\nhidden = \"yes\"",
    "4: hidden: \"yes\" is text; write true or false, without quotes"
)]
fn what_is_wrong_is_told_with_its_line_and_a_remedy(#[case] text: &str, #[case] expected: &str) {
    let problems = Table::parse(text).unwrap_err();
    let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
    // A row without a right header has more to complain of.
    assert!(told.contains(&expected.to_owned()), "{told:#?}");
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let problems =
        Table::parse(&row("colour = \"red\"\nfailed = 3\n[[element]]\nrole = \"pump\"")).unwrap_err();
    let lines: Vec<_> = problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [4, 5, 6, 7], "{problems:#?}");
}

#[test]
fn a_file_of_any_length_is_not_taken() {
    let rows = row("").repeat(MAX_ROWS);
    assert_eq!(Table::parse(&rows).unwrap().rules().count(), MAX_ROWS);
    assert_eq!(Table::parse(&(rows + &row(""))).unwrap_err().len(), 1);
    assert_eq!(Table::parse(&"#".repeat(MAX_BYTES + 1)).unwrap_err().len(), 1);
}

#[rstest]
#[case("queue", "queue", true)]
#[case("queue", "queue2", false)]
#[case("queue?", "queue2", true)]
#[case("queue?", "queue", false)]
#[case("*", "", true)]
#[case("acme*dec", "acmevideodec", true)]
#[case("acme*dec", "acmevideodecoder", false)]
#[case("*dec*dec", "adecbdecdec", true)]
#[case("a*b*c", "abbbbbbb", false)]
fn names_match(#[case] pattern: &str, #[case] name: &str, #[case] expected: bool) {
    assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected);
}

proptest! {
    /// Against a naive matcher.
    #[test]
    fn globs_are_globs(pattern in "[ab*?]{0,8}", name in "[ab]{0,10}") {
        fn naive(pattern: &[u8], name: &[u8]) -> bool {
            match pattern {
                [] => name.is_empty(),
                [b'*', rest @ ..] => (0..=name.len()).any(|skip| naive(rest, &name[skip..])),
                [p, rest @ ..] => name.split_first().is_some_and(|(n, more)| (*p == b'?' || p == n) && naive(rest, more)),
            }
        }
        prop_assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), naive(pattern.as_bytes(), name.as_bytes()));
    }

    #[test]
    fn any_text_is_survived(text in "(?s)(\\[\\[element\\]\\]|name|role|=|\"|'|#|\n|\\\\| |true|sink|.){0,60}") {
        if let Err(problems) = Table::parse(&text) {
            prop_assert!(!problems.is_empty());
            let lines = text.lines().count().max(1);
            prop_assert!(problems.iter().all(|problem| (1..=lines).contains(&problem.line)));
        }
    }
}
