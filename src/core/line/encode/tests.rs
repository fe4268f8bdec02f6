//! Lines on the wire, each attribute of a configuration, and the laws that encoder and decoder keep together.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use rstest::rstest;

use super::*;
use crate::line::config::builtin_text;
use crate::line::decode::{Line, join};

/// Values by their key, custom dimensions by their name.
#[derive(Debug, Clone, Default)]
struct Table(BTreeMap<String, String>);

impl Values for Table {
    fn write<'p>(&self, metric: Metric, out: Pen<'p>) -> Pen<'p> {
        out.text(self.0.get(metric.key()).map_or("", String::as_str))
    }

    fn write_dimension<'p>(&self, _key: &str, name: &str, out: Pen<'p>) -> Pen<'p> {
        out.text(self.0.get(name).map_or("", String::as_str))
    }
}

/// Values of which some stay; what is written of those again is not asked for.
struct Staying {
    table: Table,
    revision: u64,
    stay: Vec<Metric>,
}

impl Values for Staying {
    fn write<'p>(&self, metric: Metric, out: Pen<'p>) -> Pen<'p> {
        self.table.write(metric, out)
    }

    fn write_dimension<'p>(&self, key: &str, name: &str, out: Pen<'p>) -> Pen<'p> {
        self.table.write_dimension(key, name, out)
    }

    fn revision(&self) -> Option<u64> {
        Some(self.revision)
    }

    fn stays(&self, metric: Metric) -> bool {
        self.stay.contains(&metric)
    }
}

fn table(values: &[(&str, &str)]) -> Table {
    Table(values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
}

/// A configuration with these keys in its playing group, and `a` and `e` in its common one.
fn with_playing(data: &str) -> Config {
    let parsed = Config::parse(&format!(
        "<AkamaiPlayerAnalyticsConfig><statistics><common><dataMetrics><data name=\"eventCode\"/>\
         <data name=\"sequenceId\"/></dataMetrics></common><playing eventCode=\"P\"><dataMetrics>{data}</dataMetrics>\
         </playing></statistics></AkamaiPlayerAnalyticsConfig>"
    ));
    parsed.unwrap().config
}

/// The built-in configuration with this limit, with keys or with long names.
fn limited(limit: usize, use_key: bool) -> Config {
    let text = builtin_text()
        .replace("maxLogLineLength=\"2048\"", &format!("maxLogLineLength=\"{limit}\""))
        .replace("useKey=\"1\"", if use_key { "useKey=\"1\"" } else { "useKey=\"0\"" });
    let parsed = Config::parse(&text).unwrap();
    assert_eq!((parsed.notes, parsed.config.max_line()), (vec![], limit));
    parsed.config
}

/// So that a law does not read a file for each case.
static WIDE: LazyLock<Config> = LazyLock::new(|| limited(Config::MAX_LINE, true));
static USUAL: LazyLock<Vec<Config>> =
    LazyLock::new(|| [2048, 2049, 2500, 3001, 4095].map(|limit| limited(limit, true)).into());
static NARROW: LazyLock<Vec<Config>> = LazyLock::new(|| {
    let limits = [256, 257, 300, 333, 450, 599].into_iter();
    limits.flat_map(|limit| [limited(limit, true), limited(limit, false)]).collect()
});

fn parts(config: &Config, event: Event, values: &Table) -> Vec<String> {
    let mut encoder = Encoder::new();
    let encoded = encoder.encode(config, event, values, &mut Sent::default()).unwrap();
    encoded.parts().map(str::to_owned).collect()
}

fn line(config: &Config, event: Event, values: &Table) -> String {
    let [line] = <[String; 1]>::try_from(parts(config, event, values)).unwrap();
    line
}

/// What a session might know at its second playing line.
fn session() -> Table {
    table(&[
        ("c", "6f1c9d2e-8a53-4f0b-9d51-b1d4c0a7e913"),
        ("d", "box-0042"),
        ("e", "3"),
        ("g", "0"),
        ("k", "1b7e"),
        ("w", "307412"),
        ("dx", "295"),
        ("am", "L"),
        ("aw", "https://cdn.example/live/канал 7/index.m3u8?token=a~b&x=1"),
        ("ax", "L"),
        ("tt", "50% off: «Ночь», part #2 + 機"),
        ("m", "PL"),
        ("n", "2500000000:590"),
        ("v", "295120"),
        ("x", "281000"),
        ("y", "280040"),
        ("z", "2"),
        ("da", "7112"),
        ("dk", "611.5042:590"),
        ("df", "208.667:1094,195.292:2406"),
        ("di", "6.771-206.771"),
        ("dj", "S(206.771:28924-206.771:29924),P(208.667:31893),R(208.833:32987)"),
        ("dv", "1"),
        ("fi", "4500000:0:200000::1,2500000:200000:81000:0010:1"),
        ("fk", "U:0,S:0,Q:0,D:281000"),
        ("rs", "0:5230;6024:3100;10201:4012;"),
        ("gb", "ad~7:1:120000:812:15000:4:0:15000:Cars~ fast:::ads.example:::"),
        ("so", "fbl:1,tws:2"),
    ])
}

#[test]
fn lines_of_a_session() {
    let config = Config::builtin();
    let values = session();
    insta::assert_snapshot!("init", line(&config, Event::Init, &values));
    insta::assert_snapshot!("play_start", line(&config, Event::PlayStart, &values));
    insta::assert_snapshot!("playing", line(&config, Event::Playing, &values));
    insta::assert_snapshot!("complete", line(&config, Event::Complete, &values));
    insta::assert_snapshot!("visit", line(&config, Event::Visit, &values));
}

#[test]
fn no_group_no_line() {
    let config = Config::builtin();
    let mut encoder = Encoder::new();
    assert_eq!(encoder.encode(&config, Event::Heartbeat, &session(), &mut Sent::default()), None);
}

/// `DATA`, what the session knows, and what the line says behind `a=P~e=3`.
#[rstest]
#[case::own_key("<data name=\"title\"/>", &[("tt", "x")], "~tt=x")]
#[case::other_key("<data key=\"q\" name=\"title\"/>", &[("tt", "x")], "~q=x")]
#[case::empty("<data name=\"title\"/>", &[], "")]
#[case::constant("<data name=\"title\" value=\"a b~\"/>", &[("tt", "x")], "~tt=a%20b*@*")]
#[case::constant_for_nothing("<data name=\"title\" value=\"y\"/>", &[], "~tt=y")]
#[case::no_fallback_needed("<data name=\"title\" fallback=\"show\"/>", &[("tt", "x"), ("sh", "y")], "~tt=x")]
#[case::fallback("<data name=\"title\" fallback=\"show\"/>", &[("sh", "y")], "~tt=y")]
#[case::fallback_to_dimension("<data name=\"title\" fallback=\"site\"/><data key=\"_cd_1\" name=\"site\" doLog=\"0\"/>", &[("site", "y")], "~tt=y")]
#[case::size("<data name=\"title\" size=\"2\"/>", &[("tt", "é機x")], "~tt=%C3%A9%E6%A9%9F")]
#[case::size_of_constant("<data name=\"title\" size=\"2\" value=\"abc\"/>", &[], "~tt=ab")]
#[case::size_enough("<data name=\"title\" size=\"3\"/>", &[("tt", "abc")], "~tt=abc")]
#[case::do_log("<data name=\"title\" doLog=\"0\"/>", &[("tt", "x")], "")]
#[case::dimension("<data key=\"_cd_1\" name=\"site\"/>", &[("site", "x")], "~_cd_1=x")]
#[case::status_unlisted("<data name=\"title\"/>", &[("rst", "Connection.Idle"), ("tt", "x")], "~tt=x~rst=Connection.Idle")]
#[case::parts_are_the_encoders("<data name=\"partNumber\"/>", &[("za", "1")], "")]
#[case::pattern("<data name=\"cdn\"><matchRules><match key=\"A\" name=\"hostName\" type=\"pattern\" value=\"x,.A.exa\"/></matchRules></data>", &[("aa", "S1.a.Example"), ("cm", "own")], "~cm=A")]
#[case::pattern_else_own("<data name=\"cdn\"><matchRules><match key=\"A\" name=\"hostName\" type=\"pattern\" value=\".b.\"/></matchRules></data>", &[("aa", "s1.a.example"), ("cm", "own")], "~cm=own")]
#[case::first_pattern_wins("<data name=\"cdn\"><matchRules><match key=\"A\" name=\"hostName\" type=\"pattern\" value=\"Ä\"/><match key=\"B\" name=\"hostName\" type=\"pattern\" value=\"s\"/></matchRules></data>", &[("aa", "sä")], "~cm=A")]
#[case::pattern_of_nothing("<data name=\"cdn\"><matchRules><match key=\"A\" name=\"hostName\" type=\"pattern\" value=\"a\"/></matchRules></data>", &[], "")]
fn attributes(#[case] data: &str, #[case] values: &[(&str, &str)], #[case] expected: &str) {
    let mut values = table(values);
    values.0.insert("e".to_owned(), "3".to_owned());
    assert_eq!(line(&with_playing(data), Event::Playing, &values), format!("a=P~e=3{expected}"));
}

#[test]
fn once_is_once_in_a_session() {
    let config = with_playing(
        "<data name=\"isView\" sendOnce=\"1\"/><data key=\"_cd_1\" name=\"site\" sendOnce=\"1\"/><data name=\"title\"/>",
    );
    let mut encoder = Encoder::new();
    let mut sent = Sent::default();
    let mut next = |values: &[(&str, &str)]| {
        let encoded = encoder.encode(&config, Event::Playing, &table(values), &mut sent).unwrap();
        encoded.parts().collect::<String>()
    };
    assert_eq!(next(&[("tt", "x")]), "a=P~tt=x");
    assert_eq!(next(&[("dv", "1"), ("tt", "x")]), "a=P~dv=1~tt=x");
    assert_eq!(next(&[("dv", "1"), ("tt", "x"), ("site", "s")]), "a=P~_cd_1=s~tt=x");
    assert_eq!(next(&[("dv", "1"), ("tt", "x"), ("site", "s")]), "a=P~tt=x");
    let mut other = Sent::default();
    let encoded = encoder.encode(&config, Event::Playing, &table(&[("dv", "1")]), &mut other).unwrap();
    assert_eq!(encoded.parts().next(), Some("a=P~dv=1"));
}

#[test]
fn what_the_configuration_knows_is_not_asked_for() {
    let text = builtin_text().replace("<isActive>", "<beaconId>acme</beaconId><isActive>");
    let config = Config::parse(&text.replace("\"relative\"", "\"cumulative\"")).unwrap().config;
    let values =
        table(&[("a", "X"), ("b", "X"), ("f", "X"), ("h", "X"), ("i", "X"), ("az", "X"), ("e", "0")]);
    assert_eq!(line(&config, Event::Init, &values), "a=I~b=acme~e=0~f=C~h=1.2~i=1.1~az=1.1");
}

#[test]
fn long_names() {
    let config = Config::parse(&builtin_text().replace("useKey=\"1\"", "useKey=\"0\"")).unwrap().config;
    let values = table(&[("e", "3"), ("x", "5000"), ("rst", "Connection.Idle")]);
    let line = line(&config, Event::Playing, &values);
    assert_eq!(
        line,
        "eventCode=P~sequenceId=3~logType=R~logVersion=1.2~formatVersion=1.1~playClockTime=5000~rebufferStatus=Connection.Idle"
    );
    assert_eq!(Line::read(&line).unwrap().value(Metric::PlayClockTime), Some("5000"));
}

#[test]
fn a_long_address_forces_a_split() {
    let mut values = session();
    values.0.insert("aw".to_owned(), format!("https://cdn.example/{}", "путь/".repeat(120)));
    let address = values.0["aw"].as_bytes();
    let written = written(|pen| crate::line::escape::push_escaped(address, &Default::default(), pen));
    assert_eq!(written.len(), 3020);
    let config = Config::builtin();
    let mut encoder = Encoder::new();
    let encoded = encoder.encode(&config, Event::Playing, &values, &mut Sent::default()).unwrap();
    assert_eq!((encoded.truncated, encoded.left_out, encoded.is_split()), (1, 0, true));
    let parts: Vec<_> = encoded.parts().map(str::to_owned).collect();
    for part in &parts {
        assert!(part.len() <= config.max_line(), "{}", part.len());
    }
    insta::assert_snapshot!(parts.join("\n").replace(&written[20..45], "…"));
    let lines: Vec<_> = parts.iter().map(|part| Line::read(part).unwrap()).collect();
    let whole = join(&lines).unwrap();
    for (key, value) in &values.0 {
        let metric = Metric::from_key(key).unwrap();
        if metric.events().contains(Event::Playing) {
            let read = whole.value(metric).unwrap();
            assert!(
                read == value || key == "aw" && value.starts_with(read) && read.len() > 500,
                "{metric}: {read}"
            );
        }
    }
}

/// A value that a part has no room for, and what is left of it.
#[rstest]
#[case::list("fi", "4500000:0:200000::1,", 30, "4500000:0:200000::1", 1, 0)]
#[case::rebuffers("rs", "0:5230;6024:3100;10201:4012;", 20, "0:5230;6024:3100;10201:4012;", 1, 0)]
#[case::text("ac", "機", 200, "機", 1, 0)]
#[case::one_long_element("gb", "x", 999, "", 0, 1)]
fn values_that_are_too_long(
    #[case] key: &str,
    #[case] piece: &str,
    #[case] times: usize,
    #[case] first: &str,
    #[case] truncated: usize,
    #[case] left_out: usize,
) {
    let config = limited(Config::MIN_LINE, true);
    let metric = Metric::from_key(key).unwrap();
    let mut values = table(&[("e", "7"), ("x", "5000")]);
    values.0.insert(key.to_owned(), piece.repeat(times));
    let mut encoder = Encoder::new();
    let encoded = encoder.encode(&config, Event::Playing, &values, &mut Sent::default()).unwrap();
    assert_eq!((encoded.truncated, encoded.left_out), (truncated, left_out));
    let parts: Vec<_> = encoded.parts().collect();
    assert!(parts.iter().all(|part| part.len() <= Config::MIN_LINE));
    let lines: Vec<_> = parts.iter().map(|part| Line::read(part).unwrap()).collect();
    let whole = if lines.len() > 1 { join(&lines).unwrap() } else { lines[0].clone() };
    assert_eq!(whole.value(Metric::PlayClockTime), Some("5000"));
    let value = whole.value(metric).unwrap_or_default();
    assert!(value.starts_with(first) && values.0[key].starts_with(value), "{value}");
    assert!(value.len() > 60 || left_out > 0, "{value}");
    if let Some(field) = whole.field(metric) {
        assert!(field.typed().unwrap().is_ok(), "{value}");
    }
}

/// Keys that a line of this configuration can carry, and any text: dense in what could be taken for something else.
fn any_values() -> impl Strategy<Value = Table> {
    let keys: Vec<String> = Metric::ALL
        .iter()
        .filter(|metric| metric.events().contains(Event::Playing))
        .filter(|metric| !matches!(metric.key(), "a" | "b" | "f" | "h" | "i"))
        .map(|metric| metric.key().to_owned())
        .collect();
    let text = prop_oneof![
        4 => any::<String>(),
        4 => "[~*@%&=?#+:,;é機🎬 a-z0-9]{0,20}",
        1 => "[~*@%&=?#+:,;é機🎬 a-z0-9]{100,300}",
        1 => Just("*@*".to_owned()),
    ];
    btree_map(select(keys), text, 0..40).prop_map(Table)
}

fn many_short_values() -> impl Strategy<Value = Table> {
    let keys: Vec<String> = Metric::ALL
        .iter()
        .filter(|metric| metric.events().contains(Event::Playing) && !metric.events().is_common())
        .map(|metric| metric.key().to_owned())
        .collect();
    btree_map(select(keys), "[~*@%=é機 a-z0-9]{5,40}", 20..60).prop_map(Table)
}

fn is_sent(values: &Table) -> impl Iterator<Item = (Metric, &str)> {
    let pairs = values.0.iter().filter(|(_, value)| !value.is_empty());
    pairs.map(|(key, value)| (Metric::from_key(key).unwrap(), value.as_str()))
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(values in any_values()) {
        let line = line(&WIDE, Event::Playing, &values);
        prop_assert!(line.is_ascii());
        let read = Line::read(&line).unwrap();
        for (metric, value) in is_sent(&values) {
            prop_assert_eq!(read.value(metric), Some(value));
        }
        // Nothing else: the event and what the configuration knows.
        prop_assert_eq!(read.fields.len(), is_sent(&values).count() + 4);
        prop_assert_eq!(read.to_string(), line);
    }

    #[test]
    fn parts_make_the_whole_again(values in any_values(), which in 0..5_usize, order in vec(any::<u8>(), 40)) {
        let whole = line(&WIDE, Event::Playing, &values);
        let config = &USUAL[which];
        let mut encoder = Encoder::new();
        let encoded = encoder.encode(config, Event::Playing, &values, &mut Sent::default()).unwrap();
        let parts: Vec<_> = encoded.parts().collect();
        prop_assert_eq!(parts.len() > 1, encoded.is_split());
        for part in &parts {
            prop_assert!(part.len() <= config.max_line());
        }
        let mut lines: Vec<_> = parts.iter().map(|part| Line::read(part).unwrap()).collect();
        for line in &lines {
            prop_assert_eq!(line.value(Metric::EventCode), Some("P"));
            prop_assert_eq!(line.value(Metric::SequenceId), lines[0].value(Metric::SequenceId));
        }
        if parts.len() == 1 {
            prop_assert!(parts[0] == whole || encoded.truncated + encoded.left_out > 0);
        } else {
            lines.sort_by_cached_key(|line| order[line.part().unwrap().0 as usize % order.len()]);
            let joined = join(&lines).unwrap().to_string();
            prop_assert!(joined == whole || encoded.truncated + encoded.left_out > 0);
        }
    }

    /// Many values and none too long: the whole comes back, byte for byte.
    #[test]
    fn a_split_loses_nothing(values in many_short_values(), which in 0..5_usize) {
        let whole = line(&WIDE, Event::Playing, &values);
        let mut encoder = Encoder::new();
        let encoded = encoder.encode(&USUAL[which], Event::Playing, &values, &mut Sent::default()).unwrap();
        prop_assert_eq!((encoded.truncated, encoded.left_out), (0, 0));
        prop_assert_eq!(encoded.is_split(), whole.len() > USUAL[which].max_line());
        if encoded.is_split() {
            let lines: Vec<_> = encoded.parts().map(|part| Line::read(part).unwrap()).collect();
            prop_assert_eq!(join(&lines).unwrap().to_string(), whole);
        }
    }

    #[test]
    fn no_part_is_too_long(
        values in any_values(),
        which in 0..12_usize,
        event in select(&Event::ALL[..6]),
    ) {
        let config = &NARROW[which];
        let limit = config.max_line();
        let mut encoder = Encoder::new();
        let encoded = encoder.encode(config, event, &values, &mut Sent::default()).unwrap();
        let mut lines = Vec::new();
        for part in encoded.parts() {
            prop_assert!(part.len() <= limit, "{} of {}", part.len(), limit);
            lines.push(Line::read(part).unwrap());
        }
        let whole = if lines.len() > 1 { join(&lines).unwrap() } else { lines[0].clone() };
        // What was cut is the beginning of what it was.
        for (metric, value) in is_sent(&values) {
            prop_assert!(value.starts_with(whole.value(metric).unwrap_or_default()));
        }
        let missing = is_sent(&values).filter(|(metric, _)| metric.events().contains(event)).count();
        let there = is_sent(&values).filter(|(metric, _)| whole.field(*metric).is_some()).count();
        prop_assert_eq!(missing - there, encoded.left_out);
    }
}

#[test]
fn what_stays_is_asked_for_once_a_revision() {
    let config =
        with_playing("<data name=\"viewerId\"/><data name=\"playClockTime\"/><data name=\"title\"/>");
    let (mut encoder, mut kept) = (Encoder::new(), Kept::default());
    let mut line = |values: &Staying| {
        let encoded = encoder.encode_next(&config, Event::Playing, values, &mut Sent::default(), &mut kept);
        encoded.unwrap().parts().collect::<Vec<_>>().join("|")
    };
    let mut values = Staying {
        table: table(&[("e", "1"), ("d", "a~b"), ("x", "5"), ("tt", "é")]),
        revision: 1,
        stay: vec![Metric::ViewerId, Metric::Title],
    };
    assert_eq!(line(&values), "a=P~e=1~d=a*@*b~x=5~tt=%C3%A9");
    for (key, value) in [("e", "2"), ("d", "c"), ("x", "600"), ("tt", "d")] {
        values.table.0.insert(key.to_owned(), value.to_owned());
    }
    assert_eq!(line(&values), "a=P~e=2~d=a*@*b~x=600~tt=%C3%A9");
    values.revision = 2;
    assert_eq!(line(&values), "a=P~e=2~d=c~x=600~tt=d");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever stays, whole or in parts: a line with what was kept is the line that it would be without.
    #[test]
    fn what_was_kept_is_as_if_written_anew(
        stay in vec(select(Metric::ALL), 0..60),
        values in btree_map(select(Metric::ALL), "[a-z~*@,;% é]{0,30}", 0..60),
        other in btree_map(select(Metric::ALL), "[a-z~,0-9]{1,9}", 0..30),
        usual in 0..USUAL.len(),
    ) {
        let mut staying = Staying { table: Table::default(), revision: 7, stay: stay.clone() };
        staying.table.0 = values.into_iter().map(|(metric, value)| (metric.key().to_owned(), value)).collect();
        let (mut encoder, mut kept) = (Encoder::new(), Kept::default());
        encoder.encode_next(&USUAL[usual], Event::Playing, &staying, &mut Sent::default(), &mut kept);
        for (metric, value) in other.into_iter().filter(|(metric, _)| !stay.contains(metric)) {
            staying.table.0.insert(metric.key().to_owned(), value);
        }
        let again = encoder.encode_next(&USUAL[usual], Event::Playing, &staying, &mut Sent::default(), &mut kept);
        let again: Vec<String> = again.unwrap().parts().map(str::to_owned).collect();
        let anew = encoder.encode(&USUAL[usual], Event::Playing, &staying.table, &mut Sent::default());
        prop_assert_eq!(again, anew.unwrap().parts().map(str::to_owned).collect::<Vec<_>>());
    }
}
