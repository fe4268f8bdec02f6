//! Configuration files as operators have them, each attribute, and every way in which ours can go wrong.

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::line::keys::Metric;

/// All that there is, as the module's documentation and real files show it.
const FULL: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<AkamaiPlayerAnalyticsConfig debug="0" exception="0">
<beaconId>0123456789abcdef0</beaconId><beaconVersion>1.1</beaconVersion><isActive>1</isActive>
<logTo logInterval="120" secondaryLogTime="7" logType="cumulative" maxLogLineLength="1024"
       urlParamSeparator="&amp;" encodedParamSeparator="-!" heartBeatInterval="30" visitTimeout="90"
       isSessionWithRebufferLimit="800" startupTimeOutlierLimit="100" rebufferDurationOutlier="200">
<host>https://ma.example.net</host><path>/9.gif</path><logVersion>1.2</logVersion><formatVersion>1.3</formatVersion>
</logTo>
<security/>
<bucketInfo><bucketCount>10</bucketCount><bucketLength>60</bucketLength></bucketInfo>
<statistics useKey="1">
<split><dataMetrics><data key="pa" name="partNumber"/><data key="pb" name="totalParts"/></dataMetrics></split>
<error eventCode="E"><dataMetrics><data key="m" name="playerState"/><data key="ca" name="errorCode"/></dataMetrics></error>
<playing eventCode="P"><dataMetrics>
  <data key="m" name="playerState"/>
  <data key="dv" name="isView" sendOnce="1"/>
  <data key="x" name="playClockTime" doLog="0"/>
  <data key="tt" name="title" size="20" fallback="videoId"/>
  <data key="fk" name="bitRateBucketTimes"><matchRules>
    <match key="S" type="range" value="max:1500"/><match key="Q" type="range" value="min:1500;max:2500"/>
    <match key="D" type="range" value="min:2500"/>
  </matchRules></data>
  <data key="_cd_4504" name="videoId"/>
</dataMetrics></playing>
<common><dataMetrics>
  <data key="a" name="eventCode"/><data key="e" name="sequenceId"/>
  <data key="cm" name="cdn"><matchRules>
    <match key="ExampleCDN" name="hostName" type="pattern" value=".CDN-A.example, .cdn-b.example"/>
    <match key="" name="hostName" type="pattern" value=""/>
  </matchRules></data>
  <data key="ay" name="pluginVersion" value="lab 1"/>
</dataMetrics></common>
</statistics>
</AkamaiPlayerAnalyticsConfig>
"#;

fn parsed(text: &str) -> Parsed {
    Config::parse(text).unwrap()
}

/// A file with these attributes of `logTo`.
fn with_log_to(attributes: &str) -> Parsed {
    parsed(&format!(
        "<AkamaiPlayerAnalyticsConfig><logTo {attributes}/><statistics><init eventCode=\"I\"/></statistics>\
         </AkamaiPlayerAnalyticsConfig>"
    ))
}

/// A file with these keys in its playing group.
fn with_playing(data: &str) -> Parsed {
    parsed(&format!(
        "<AkamaiPlayerAnalyticsConfig><statistics><playing eventCode=\"P\"><dataMetrics>{data}</dataMetrics>\
         </playing></statistics></AkamaiPlayerAnalyticsConfig>"
    ))
}

/// What stands in front of `=`, in the order of a line.
fn labels(config: &Config, event: Event) -> Vec<&str> {
    let layout = config.layout();
    layout
        .plan(event)
        .unwrap()
        .steps
        .iter()
        .map(|step| &*layout.items[usize::from(step.item)].label)
        .collect()
}

fn item(config: &Config, label: &str) -> Item {
    config.layout().items.iter().find(|item| &*item.label == label).unwrap().clone()
}

fn messages(parsed: &Parsed) -> Vec<String> {
    parsed.notes.iter().map(ToString::to_string).collect()
}

#[test]
fn everything_is_read() {
    let parsed = parsed(FULL);
    assert_eq!(parsed.notes, []);
    let config = parsed.config;
    assert_eq!(
        (&*config.beacon_id, &*config.beacon_version, config.is_active),
        ("0123456789abcdef0", "1.1", true)
    );
    assert_eq!((&*config.log_version, &*config.format_version), ("1.2", "1.3"));
    assert_eq!(config.target().unwrap().as_str(), "https://ma.example.net/9.gif");
    assert_eq!(config.log_type, LogType::Cumulative);
    assert_eq!(config.log_interval, Millis(120_000));
    assert_eq!(config.secondary_log_time, Millis(7_000));
    assert_eq!(config.heartbeat_interval, Millis(30_000));
    assert_eq!(config.visit_timeout, Millis(90 * 60_000));
    assert_eq!(config.rebuffer_limit, Millis(800));
    assert_eq!(config.startup_limit, Millis(100_000));
    assert_eq!(config.rebuffer_outlier, Millis(200_000));
    assert_eq!((config.bucket_count, config.bucket_length), (10, Millis(60_000)));
    assert_eq!(config.max_line(), 1024);
    assert_eq!((config.separators().param(), config.separators().stand_in()), (b'&', "-!"));
    assert_eq!(config.rate_classes.keys().collect::<Vec<_>>(), ["S", "Q", "D"]);
    assert_eq!(config.rate_classes.class_of(None), None);
    assert_eq!(config.dimensions(), [Dimension { key: "_cd_4504".into(), name: "videoId".into() }]);
    assert_eq!((&*config.layout().part_number, &*config.layout().total_parts), ("pa", "pb"));
}

#[test]
fn common_comes_first_then_the_event_then_playing() {
    let config = parsed(FULL).config;
    assert_eq!(
        labels(&config, Event::Playing),
        ["a", "e", "cm", "ay", "m", "dv", "tt", "fk", "_cd_4504", "rst"]
    );
    // m is in both groups: once, where it stands first.
    assert_eq!(
        labels(&config, Event::Error),
        ["a", "e", "cm", "ay", "m", "ca", "dv", "tt", "fk", "_cd_4504", "rst"]
    );
    let plan = config.layout().plan(Event::Error).unwrap();
    assert_eq!(plan.steps.iter().take_while(|step| step.common).count(), 4);
    assert!(!config.sends(Event::Heartbeat) && !config.sends(Event::Visit));
}

#[test]
fn attributes_of_a_key() {
    let config = parsed(FULL).config;
    assert!(item(&config, "dv").once);
    let title = item(&config, "tt");
    assert_eq!((title.size.unwrap().get(), title.fallback), (20, Some(Source::Dimension(0))));
    assert_eq!(item(&config, "ay").constant.as_deref(), Some("lab 1"));
    let [pattern] = &*item(&config, "cm").patterns else { panic!("the blank pattern is none") };
    assert_eq!((&*pattern.result, pattern.of), ("ExampleCDN", Source::Metric(Metric::HostName)));
    assert_eq!(pattern.needles, [".cdn-a.example".into(), ".cdn-b.example".into()]);
}

#[test]
fn long_names_on_the_wire() {
    let config = parsed(&FULL.replace("useKey=\"1\"", "useKey=\"0\"")).config;
    assert_eq!(
        labels(&config, Event::Playing),
        [
            "eventCode",
            "sequenceId",
            "cdn",
            "pluginVersion",
            "playerState",
            "isView",
            "title",
            "bitRateBucketTimes",
            "videoId",
            "rebufferStatus"
        ]
    );
    assert_eq!((&*config.layout().part_number, &*config.layout().total_parts), ("partNumber", "totalParts"));
}

#[test]
fn builtin_lists_every_metric_of_a_line() {
    let parsed = parsed(&builtin_text());
    assert_eq!(parsed.notes, []);
    assert_eq!(parsed.config, Config::builtin());
    let config = parsed.config;
    assert_eq!(config.target(), None);
    assert_eq!(config.max_line(), Config::DEFAULT_LINE);
    assert_eq!(config.rate_classes, RateClasses::default());
    for metric in Metric::ALL.iter().copied() {
        for event in Event::ALL {
            let is_listed = config.sends(event) && labels(&config, event).contains(&metric.key());
            assert_eq!(
                is_listed,
                config.sends(event) && metric.events().contains(event),
                "{metric} in {event:?}"
            );
        }
    }
    insta::assert_snapshot!(labels(&config, Event::Visit).join(" "));
    insta::assert_snapshot!(labels(&config, Event::Error).join(" "));
}

#[rstest]
#[case::bare("ma.example.net", "/9.gif", "http://ma.example.net/9.gif")]
#[case::no_slash("ma.example.net", "9.gif", "http://ma.example.net/9.gif")]
#[case::two_slashes("https://ma.example.net/", "/9.gif", "https://ma.example.net/9.gif")]
#[case::host_with_path("https://ma.example.net/in", "/9.gif", "https://ma.example.net/in/9.gif")]
#[case::spaces(" ma.example.net:8080\n", " /a/9.gif ", "http://ma.example.net:8080/a/9.gif")]
fn targets(#[case] host: &str, #[case] path: &str, #[case] target: &str) {
    let text = FULL.replace("https://ma.example.net<", &format!("{host}<")).replace("/9.gif", path);
    assert_eq!(parsed(&text).config.target().unwrap().as_str(), target);
    let mut config = Config::builtin();
    config.set_target(Some(host), Some(path)).unwrap();
    assert_eq!(config.target().unwrap().as_str(), target);
}

#[test]
fn a_target_can_be_changed_in_part() {
    let mut config = parsed(FULL).config;
    config.set_target(None, Some("/b.gif")).unwrap();
    assert_eq!(config.target().unwrap().as_str(), "https://ma.example.net/b.gif");
    assert_eq!(config.set_target(Some("a b"), None), Err(HttpUrlError::Character));
    assert_eq!(config.target().unwrap().as_str(), "https://ma.example.net/b.gif");
    config.set_target(Some("other.example"), None).unwrap();
    assert_eq!(config.target().unwrap().as_str(), "http://other.example/b.gif");
}

/// Numbers out of range have their default, and the note says so.
#[rstest]
#[case("logInterval=\"0\"", "logInterval=\"0\" is ignored, expected 1 to 86400 seconds; 300 is used")]
#[case(
    "secondaryLogTime=\"-5\"",
    "secondaryLogTime=\"-5\" is ignored, expected 1 to 86400 seconds; 5 is used"
)]
#[case(
    "heartBeatInterval=\"1m\"",
    "heartBeatInterval=\"1m\" is ignored, expected 1 to 86400 seconds; 60 is used"
)]
#[case(
    "visitTimeout=\"99999\"",
    "visitTimeout=\"99999\" is ignored, expected 1 to 10080 minutes; 60 is used"
)]
#[case(
    "isSessionWithRebufferLimit=\"3600001\"",
    "isSessionWithRebufferLimit=\"3600001\" is ignored, expected 0 to 3600000 ms; 500 is used"
)]
#[case(
    "startupTimeOutlierLimit=\"x\"",
    "startupTimeOutlierLimit=\"x\" is ignored, expected 1 to 86400 seconds; 600 is used"
)]
#[case(
    "rebufferDurationOutlier=\"1.5\"",
    "rebufferDurationOutlier=\"1.5\" is ignored, expected 1 to 86400 seconds; 600 is used"
)]
#[case(
    "maxLogLineLength=\"255\"",
    "maxLogLineLength=\"255\" is ignored, expected 256 to 65535 bytes; 2048 is used"
)]
#[case(
    "logType=\"absolute\"",
    "logType=\"absolute\" is ignored, expected relative or cumulative; relative is used"
)]
#[case(
    "urlParamSeparator=\"=\"",
    "urlParamSeparator and encodedParamSeparator are ignored: the separator is none of ~ & ! $ * @ ' +; ~ and *@* are used"
)]
#[case(
    "encodedParamSeparator=\"*~*\"",
    "urlParamSeparator and encodedParamSeparator are ignored: what stands for the separator holds the separator; ~ and *@* are used"
)]
fn nonsense_is_noted(#[case] attributes: &str, #[case] message: &str) {
    let parsed = with_log_to(attributes);
    let [note] = &*parsed.notes else { panic!("{:?}", parsed.notes) };
    assert_eq!(note.message, message);
    let column = 38 + attributes.find('"').unwrap();
    assert_eq!((note.line, usize::try_from(note.column).unwrap()), (1, column));
    assert_eq!(parsed.config, with_log_to("").config);
}

#[rstest]
#[case::unknown_name("<data key=\"cid\" name=\"cellID\"/>", "name=\"cellID\" is not known; skipped")]
#[case::unknown_key("<data key=\"cid\"/>", "key=\"cid\" is not known, and there is no name; skipped")]
#[case::nothing("<data/>", "<data> without name; skipped")]
#[case::twice(
    "<data name=\"title\"/><data key=\"tt\" name=\"show\"/>",
    "tt is listed twice in <playing>; the first is in force"
)]
#[case::number_of_a_part(
    "<data key=\"za\" name=\"title\"/>",
    "za is a number of <split>, and no other key; skipped"
)]
#[case::bad_key("<data key=\"a=b\" name=\"title\"/>", "key=\"a=b\" can be no key; tt is used")]
#[case::bad_dimension("<data key=\"_cd_~\" name=\"x\"/>", "key=\"_cd_~\" can be no key; skipped")]
#[case::size(
    "<data name=\"title\" size=\"0\"/>",
    "size=\"0\" is ignored, expected a number of characters from 1"
)]
#[case::once(
    "<data name=\"title\" sendOnce=\"ja\"/>",
    "sendOnce=\"ja\" is ignored, expected 1 or 0; 0 is used"
)]
#[case::fallback("<data name=\"title\" fallback=\"x\"/>", "fallback=\"x\" is not known; ignored")]
#[case::match_name(
    "<data name=\"cdn\"><matchRules><match key=\"A\" name=\"x\" type=\"pattern\" value=\"a\"/></matchRules></data>",
    "name=\"x\" is not known; ignored"
)]
#[case::match_type(
    "<data name=\"cdn\"><matchRules><match key=\"A\" type=\"regex\" value=\"a\"/></matchRules></data>",
    "<match> is ignored, expected type=\"pattern\" or type=\"range\""
)]
#[case::range_elsewhere(
    "<data name=\"cdn\"><matchRules><match key=\"A\" type=\"range\" value=\"min:1\"/></matchRules></data>",
    "a range means something for bitRateBucketTimes alone; ignored"
)]
#[case::range_backwards(
    "<data name=\"bitRateBucketTimes\"><matchRules><match key=\"A\" type=\"range\" value=\"min:2;max:1\"/></matchRules></data>",
    "value=\"min:2;max:1\" is ignored, expected min:KBIT;max:KBIT with min below max"
)]
#[case::range_key(
    "<data name=\"bitRateBucketTimes\"><matchRules><match key=\"A:\" type=\"range\" value=\"min:2\"/></matchRules></data>",
    "a range is ignored, expected key=\"CLASS\" without : and ,"
)]
fn what_is_not_understood_is_noted(#[case] data: &str, #[case] message: &str) {
    let parsed = with_playing(data);
    assert_eq!(parsed.notes.iter().map(|note| &*note.message).collect::<Vec<_>>(), [message]);
}

#[test]
fn groups_that_are_not_understood_are_noted() {
    let parsed = parsed(
        "<AkamaiPlayerAnalyticsConfig>\n<isActive>maybe</isActive>\n<statistics useKey=\"2\">\n\
         <init/><extra eventCode=\"X\"/>\n<other/><start eventCode=\"S\"/>\n<init eventCode=\"I\"/>\
         </statistics></AkamaiPlayerAnalyticsConfig>",
    );
    assert_eq!(
        messages(&parsed),
        [
            "line 2, column 1: isActive=\"maybe\" is ignored, expected 1 or 0; 1 is used",
            "line 3, column 21: useKey=\"2\" is ignored, expected 1 or 0; 1 is used",
            "line 4, column 26: eventCode=\"X\" is none of I S P C E V H F; <extra> is skipped",
            "line 5, column 1: <other> has no eventCode and is skipped",
            "line 6, column 1: a further <init> is skipped; the first is in force",
        ]
    );
    assert!(parsed.config.sends(Event::Init) && parsed.config.sends(Event::PlayStart));
}

#[test]
fn names_in_any_case_and_under_other_keys() {
    let config = with_playing(
        "<data key=\"q1\" name=\"PLAYCLOCKTIME\"/><data key=\"s\" name=\"sessionId\"/><data key=\"z\"/>",
    )
    .config;
    assert_eq!(labels(&config, Event::Playing), ["q1", "s", "z", "rst"]);
    assert_eq!(item(&config, "s").source, Source::Metric(Metric::AttemptId));
    assert_eq!(item(&config, "z").source, Source::Metric(Metric::RebufferCount));
}

#[test]
fn rebuffer_status_stays_where_it_is_listed() {
    let config =
        with_playing("<data key=\"rst\" name=\"rebufferStatus\"/><data key=\"x\" name=\"playClockTime\"/>")
            .config;
    assert_eq!(labels(&config, Event::Playing), ["rst", "x"]);
    let config = with_playing("<data key=\"rst\" name=\"rebufferStatus\" doLog=\"0\"/>").config;
    assert_eq!(labels(&config, Event::Playing), ["rst"]);
}

#[test]
fn a_channel_that_is_off_needs_no_keys() {
    let config =
        parsed("<AkamaiPlayerAnalyticsConfig><isActive>0</isActive></AkamaiPlayerAnalyticsConfig>").config;
    assert!(!config.is_active);
}

#[rstest]
#[case::empty(
    "",
    "line 1, column 1: the file holds no element; the file must be one complete XML document whose root element is <AkamaiPlayerAnalyticsConfig>"
)]
#[case::cut(
    "<AkamaiPlayerAnalyticsConfig>\n<logTo",
    "line 2, column 7: the file ends too early; expected a complete document: the file seems to be cut short, fetch it again"
)]
#[case::other(
    "<provision/>",
    "line 1, column 1: the root element is <provision>; expected <AkamaiPlayerAnalyticsConfig>: this is no configuration of lines"
)]
#[case::no_keys(
    "<AkamaiPlayerAnalyticsConfig>\n<statistics/></AkamaiPlayerAnalyticsConfig>",
    "line 2, column 1: the file lists no keys for any line; expected <statistics> with <init>, <playStart>, <playing>, <complete> and <error>, or <isActive>0</isActive> to turn lines off"
)]
fn files_that_are_refused(#[case] text: &str, #[case] message: &str) {
    assert_eq!(Config::parse(text).unwrap_err().to_string(), message);
}

#[rstest]
#[case::host(
    "https://ma.example.net<",
    "http://<",
    "line 7, column 1: host and path make no address that can be used: it names no host; expected a host, with or without http:// or https://, and a path without ? and #"
)]
#[case::path(
    "/9.gif",
    "/9.gif?x=1",
    "line 7, column 1: host and path make no address that can be used: it holds a character that has to be written as %XX; expected a host, with or without http:// or https://, and a path without ? and #"
)]
#[case::scheme(
    "https://",
    "ftp://",
    "line 7, column 1: host and path make no address that can be used: it does not begin with http:// or https://; expected a host, with or without http:// or https://, and a path without ? and #"
)]
fn targets_that_are_refused(#[case] from: &str, #[case] to: &str, #[case] message: &str) {
    assert_eq!(Config::parse(&FULL.replacen(from, to, 1)).unwrap_err().to_string(), message);
}

#[test]
fn bytes_that_are_not_utf8_are_refused_with_their_place() {
    let error = Config::parse_bytes(b"<AkamaiPlayerAnalyticsConfig>\n\xff").unwrap_err();
    assert_eq!((error.line, error.column), (2, 1));
}

#[test]
fn there_is_an_end_to_dimensions() {
    let data: String = (0..200).map(|n| format!("<data key=\"_cd_{n}\"/>")).collect();
    let parsed = with_playing(&data);
    assert_eq!(parsed.config.dimensions().len(), Config::MAX_DIMENSIONS);
    assert_eq!(parsed.notes.len(), 200 - Config::MAX_DIMENSIONS);
    assert_eq!(&*parsed.config.dimensions()[0].name, "_cd_0");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Config::parse_bytes(&bytes);
    }

    /// A real file with some of its bytes changed or gone.
    #[test]
    fn a_damaged_file_is_read_or_refused(at in 0..FULL.len(), gone in 0..40_usize, text in "[<>/\"'=&;:a-z0-9 ]{0,12}") {
        let mut bytes = FULL.as_bytes().to_vec();
        bytes.splice(at..(at + gone).min(FULL.len()), text.bytes());
        match Config::parse_bytes(&bytes) {
            Ok(Parsed { config, .. }) => prop_assert!((Config::MIN_LINE..=Config::MAX_LINE).contains(&config.max_line())),
            Err(error) => prop_assert!(error.line >= 1 && error.column >= 1),
        }
    }
}

#[test]
fn the_two_numbers_of_a_split_line_have_names_of_their_own() {
    let split = |part: &str, total: &str| {
        parsed(&format!(
            "<AkamaiPlayerAnalyticsConfig><statistics><split><dataMetrics><data key=\"{part}\" name=\"partNumber\"/>\
             <data key=\"{total}\" name=\"totalParts\"/></dataMetrics></split><playing eventCode=\"P\"><dataMetrics>\
             <data name=\"title\"/></dataMetrics></playing></statistics></AkamaiPlayerAnalyticsConfig>"
        ))
    };
    let numbers = |parsed: &Parsed| {
        [parsed.config.layout.part_number.clone(), parsed.config.layout.total_parts.clone()]
    };
    let same = split("n", "n");
    assert_eq!(numbers(&same).map(String::from), ["za", "zb"]);
    assert_eq!(same.notes[0].message, "n is the number of a part and that of all parts; za and zb are used");
    let taken = split("n", "tt");
    assert_eq!(numbers(&taken).map(String::from), ["n", "tt"]);
    assert_eq!(taken.notes[0].message, "tt is a number of <split>, and no other key; skipped");
}
