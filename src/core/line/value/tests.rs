//! Every kind of value: what published examples look like, what breaks, and that what is written is read again.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use rstest::rstest;

use super::sessions::Field;
use super::*;
use crate::line::keys::Metric;

fn read(key: &str, text: &str) -> Result<Typed, ValueError> {
    Typed::read(Metric::from_key(key).unwrap().kind(), text)
}

/// Published examples and their canonical form.
#[rstest]
#[case("m", "PL", "PL")]
#[case("am", "X", "X")]
#[case("g", "1", "1")]
#[case("v", "-12", "-12")]
#[case("dx", "5.04", "5.04")]
#[case("n", "15000000.5:30", "15000000.5:30")]
#[case("av", "1920*1080", "1920*1080")]
#[case("eb", "1:1,2:1,3:1.56,6:2.3", "1:1,2:1,3:1.56,6:2.3")]
#[case("em", "3:6500, 7:12000, 10:13500", "3:6500,7:12000,10:13500")]
#[case("fg", "2,1,3,0", "2,1,3,0")]
#[case("df", "208.667:1094,195.292:2406,212.958:19360", "208.667:1094,195.292:2406,212.958:19360")]
#[case("di", "06.771-206.771,211.648-362.125", "6.771-206.771,211.648-362.125")]
#[case("di", "1.5:2", "1.5-2")]
#[case(
    "dj",
    "S(206.771:28924-206.771:29924), P(208.667:31893), R(208.833:32987), ",
    "S(206.771:28924-206.771:29924),P(208.667:31893),R(208.833:32987)"
)]
#[case(
    "fi",
    "170800:32000:66749:0011:1,130800:11891:25432:1001:1, 170800:54000:12000:0011:2",
    "170800:32000:66749:0011:1,130800:11891:25432:1001:1,170800:54000:12000:0011:2"
)]
#[case("fi", "-:0:5000::1", "-:0:5000::1")]
#[case("fj", "130800:11891, 170800:78749", "130800:11891,170800:78749")]
#[case("fk", "U:0,S:9197,Q:0,D:21023", "U:0,S:9197,Q:0,D:21023")]
#[case("fl", "340282366920938463463374607431768211455:7", "340282366920938463463374607431768211455:7")]
#[case("rs", "0:5230;6024:3100;10201:4012;", "0:5230;6024:3100;10201:4012;")]
#[case("rs", "1:0;0:12", "1:0;0:12;")]
#[case("rs", "0:-1;10:20", "0:-1;10:20;")]
#[case("so", "fbs:1,fbl:1,tws:1", "fbs:1,fbl:1,tws:1")]
#[case(
    "gb",
    "ad7:0:0:812:15000:4:0:15000:Cars~ fast:auto:p1:ads.example:prime:motor:",
    "ad7:0:0:812:15000:4:0:15000:Cars~ fast:auto:p1:ads.example:prime:motor:"
)]
#[case("gb", "x:::::-1:::::::::", "x:::::-1:::::::::")]
#[case(
    "ss",
    "100:20:5:6000:3:a.example:b.example:2001~db8~~1:1",
    "100:20:5:6000:3:a.example:b.example:2001~db8~~1:1"
)]
fn examples(#[case] key: &str, #[case] text: &str, #[case] canonical: &str) {
    let typed = read(key, text).unwrap();
    assert_eq!(typed.to_string(), canonical);
    assert_eq!(read(key, canonical), Ok(typed));
}

#[rstest]
#[case("m", "XX", "at byte 0 of the value: expected one of the codes of this key, found 'X'")]
#[case("g", "2", "at byte 0 of the value: expected 0 or 1, found '2'")]
#[case("g", "10", "at byte 1 of the value: expected the end, found '0'")]
#[case("u", "", "at byte 0 of the value: expected a whole number, found its end")]
#[case("u", "1.5", "at byte 1 of the value: expected the end, found '.'")]
#[case("u", "9223372036854775808", "at byte 0 of the value: expected a whole number, found '9'")]
#[case("dx", "1.", "at byte 0 of the value: expected a number, found '1'")]
#[case("n", "12", "at byte 2 of the value: expected a colon and the number of samples, found its end")]
#[case("n", "12:", "at byte 3 of the value: expected the number of samples, found its end")]
#[case("av", "1920x1080", "at byte 4 of the value: expected * and a height, found 'x'")]
#[case("ec", "0:1", "at byte 0 of the value: expected the number of a bucket, from 1, found '0'")]
#[case("ec", "1:1;2:2", "at byte 3 of the value: expected a comma or the end, found ';'")]
#[case("fg", "1,2,3", "at byte 5 of the value: expected a comma and the next of four counts, found its end")]
#[case("fg", "1,2,3,4,5", "at byte 7 of the value: expected the end, found ','")]
#[case(
    "df",
    "1.5",
    "at byte 3 of the value: expected a colon and the length of the pause in ms, found its end"
)]
#[case(
    "di",
    "1.5",
    "at byte 3 of the value: expected a hyphen and the position sought, in seconds, found its end"
)]
#[case("dj", "Q(1:2)", "at byte 0 of the value: expected P (pause), R (resume) or S (seek), found 'Q'")]
#[case("dj", "S(1:2)", "at byte 5 of the value: expected a hyphen and where the seek went, found ')'")]
#[case("fi", "1:2:3:01:1", "at byte 8 of the value: expected four 0 or 1, one for each reason, found ':'")]
#[case(
    "fj",
    "x:1",
    "at byte 0 of the value: expected a bit rate in bit/s, or - where it is unknown, found 'x'"
)]
#[case("fk", ":1", "at byte 0 of the value: expected the name of a class, found ':'")]
#[case("fl", "1.5:2", "at byte 1 of the value: expected a colon and the time played in ms, found '.'")]
#[case(
    "rs",
    "2:0;",
    "at byte 0 of the value: expected 0 or 1, whether the first rebuffer is continued, found '2'"
)]
#[case("rs", "0:0;5:é", "at byte 6 of the value: expected the length of the rebuffer in ms, found 'é'")]
#[case("gb", "x:3", "at byte 2 of the value: expected 0 to 2, or nothing, found '3'")]
#[case(
    "gb",
    "x:1:2:3:4:5:0:::::::::",
    "at byte 10 of the value: expected -1 to 4, how much of the ad was played, found '5'"
)]
#[case("gb", "x:1:2:3:4", "at byte 9 of the value: expected a colon and the next field, found its end")]
#[case("ss", "1:2:3:4:7:a:b:c:0", "at byte 8 of the value: expected 0 to 6, or nothing, found '7'")]
#[case("so", "fb", "at byte 2 of the value: expected a colon and a number, found its end")]
fn faults(#[case] key: &str, #[case] text: &str, #[case] message: &str) {
    assert_eq!(read(key, text).unwrap_err().to_string(), message);
}

#[test]
fn averages() {
    assert_eq!(SumCount { sum: Decimal::from_integer(9), count: 2 }.average(), Some(4.5));
    assert_eq!(SumCount::default().average(), None);
    assert_eq!(WeightedRate { rate_times_ms: 3_000_000, ms: 2 }.average(), Some(1_500_000));
    assert_eq!(WeightedRate::default().average(), None);
}

#[test]
fn json_names_every_field() {
    let json = |key, text| serde_json::to_string(&read(key, text).unwrap()).unwrap();
    insta::assert_snapshot!(json("m", "IB"), @r#"{"code":"IB","meaning":"initial buffering"}"#);
    insta::assert_snapshot!(json("rs", "0:-1;6024:3100;"), @r#"{"continued":false,"since_last":-1,"rebuffers":[{"start":6024,"duration":3100}]}"#);
    insta::assert_snapshot!(json("dj", "P(1.5:2),S(3:4-5:6)"), @r#"[{"pause":{"position":1.5,"clock":2}},{"seek":{"from":{"position":3,"clock":4},"to":{"position":5,"clock":6}}}]"#);
    insta::assert_snapshot!(json("fi", "-:1:2::3"), @r#"[{"rate":null,"head":1,"played":2,"reasons":null,"count":3}]"#);
}

fn decimal() -> impl Strategy<Value = Decimal> {
    any::<u32>().prop_map(|thousandths| Decimal::from_thousandths(thousandths.into()))
}

fn moment() -> impl Strategy<Value = Moment> {
    (decimal(), any::<u64>()).prop_map(|(position, clock)| Moment { position, clock })
}

fn action() -> impl Strategy<Value = ViewerAction> {
    prop_oneof![
        moment().prop_map(ViewerAction::Pause),
        moment().prop_map(ViewerAction::Resume),
        (moment(), moment()).prop_map(|(from, to)| ViewerAction::Seek { from, to }),
    ]
}

fn stint() -> impl Strategy<Value = Stint> {
    let reasons = any::<[bool; 4]>().prop_map(|[bandwidth, frames, buffer, other]| SwitchReasons {
        bandwidth,
        frames,
        buffer,
        other,
    });
    (option::of(any::<u64>()), any::<u64>(), any::<u64>(), option::of(reasons), any::<u64>())
        .prop_map(|(rate, head, played, reasons, count)| Stint { rate, head, played, reasons, count })
}

fn ad() -> impl Strategy<Value = Ad> {
    let numbers =
        (option::of(0..=2u8), vec(option::of(any::<u64>()), 4), option::of(-1..=4i8), option::of(0..=3u8));
    // Not empty: a list of one ad without an id would begin like an empty list.
    (numbers, "[^:,]{1,9}", vec("[^:,]{0,9}", 7)).prop_map(|(numbers, id, texts)| {
        let (kind, times, play_bucket, end_status) = numbers;
        let mut texts = texts.into_iter();
        let mut next = || texts.next().unwrap();
        Ad {
            id,
            kind,
            start_position: times[0],
            startup_time: times[1],
            play_time: times[2],
            play_bucket,
            end_status,
            duration: times[3],
            title: next(),
            category: next(),
            partner_id: next(),
            server: next(),
            daypart: next(),
            industry_category: next(),
            event: next(),
        }
    })
}

fn any_value() -> impl Strategy<Value = (&'static str, Typed)> {
    let sum =
        (decimal(), any::<u64>()).prop_map(|(sum, count)| ("n", Typed::SumCount(SumCount { sum, count })));
    let bucket = (1..=u32::MAX, decimal()).prop_map(|(number, value)| Bucket { number, value });
    let pause = (decimal(), any::<u64>()).prop_map(|(position, duration)| Pause { position, duration });
    let seek = (decimal(), decimal()).prop_map(|(from, to)| Seek { from, to });
    let rate = (option::of(any::<u64>()), any::<u64>()).prop_map(|(rate, played)| RateTime { rate, played });
    let class = ("[A-Za-z0-9]{1,4}", any::<u64>()).prop_map(|(class, played)| ClassTime { class, played });
    let weighted =
        (any::<u128>(), any::<u64>()).prop_map(|(rate_times_ms, ms)| WeightedRate { rate_times_ms, ms });
    let rebuffer = (any::<u64>(), any::<u64>()).prop_map(|(start, duration)| Rebuffer { start, duration });
    let rebuffers = (any::<bool>(), any::<i64>(), vec(rebuffer, 0..5))
        .prop_map(|(continued, since_last, rebuffers)| Rebuffers { continued, since_last, rebuffers });
    prop_oneof![
        sum,
        vec(bucket, 0..5).prop_map(|list| ("eb", Typed::Buckets(list))),
        vec(pause, 0..5).prop_map(|list| ("df", Typed::Pauses(list))),
        vec(seek, 0..5).prop_map(|list| ("di", Typed::Seeks(list))),
        vec(action(), 0..5).prop_map(|list| ("dj", Typed::PauseSeek(list))),
        vec(stint(), 0..5).prop_map(|list| ("fi", Typed::Stints(list))),
        vec(rate, 0..5).prop_map(|list| ("fj", Typed::RateTimes(list))),
        vec(class, 0..5).prop_map(|list| ("fk", Typed::ClassTimes(list))),
        weighted.prop_map(|value| ("fl", Typed::WeightedRate(value))),
        rebuffers.prop_map(|value| ("rs", Typed::Rebuffers(value))),
        vec(ad(), 0..3).prop_map(|list| ("gb", Typed::Ads(list))),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_again((key, value) in any_value()) {
        prop_assert_eq!(read(key, &value.to_string()), Ok(value));
    }

    #[test]
    fn any_text_is_read_or_refused_where_it_breaks(text in "[-0-9.:;,()PRSU*é ]{0,24}") {
        for metric in Metric::ALL.iter().copied() {
            if let Err(error) = Typed::read(metric.kind(), &text) {
                prop_assert!(text.is_char_boundary(error.at));
                prop_assert_eq!(text[error.at..].chars().next(), error.found);
            }
        }
    }

    #[test]
    fn a_field_has_no_separators(text in "\\PC{0,20}") {
        prop_assert_eq!(Field(&text).to_string(), text.replace([':', ','], "~"));
    }
}
