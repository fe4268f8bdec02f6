//! Files as they are found in the field, and every way in which ours can go wrong.

use proptest::prelude::*;
use rstest::rstest;

use super::*;

/// All that there is, as the module's documentation shows it.
const FULL: &str = r#"<provision reload="600">
  <statistics url="https://stats.example.net/drop?k=v&amp;w=x" accum_period="901">
    <media period="30"/>
    <network period="60"/>
  </statistics>
  <stbeacon>
    <reports extended="true" gzip="1" url_redact="yes" interfaces="eth*, wlan?"/>
    <auth scheme="basic" user="box" secret_file="/etc/stbeacon/stats.secret"/>
    <tls ca="/etc/stbeacon/operator-ca.pem" cert="/etc/stbeacon/box.pem" key="/etc/stbeacon/box.key"/>
    <spool max_bytes="1000" max_age="60" keep_free="0"/>
    <media_analytics config="https://ma.example.net/config/beacon.xml" player_id="lounge" viewer_id="v-1">
      <dimension key="_cd_1000" value="lab"/>
      <dimension key="_cd_1001" value=""/>
      <auth scheme="bearer" secret_file="/etc/stbeacon/ma.token"/>
    </media_analytics>
    <media_analytics host="lines.example.org" path="/9.gif" player_type="gst" device="box-3" cdn="c"/>
    <media_analytics config="/etc/stbeacon/beacon.xml"/>
    <heartbeat gateway="https://hb.example.net" customer_key="KEY" interval="30" viewer_id="v-2">
      <dimension key="region" value="north"/>
      <tls ca="/etc/stbeacon/hb-ca.pem"/>
    </heartbeat>
  </stbeacon>
</provision>
<!--SIGNATURE: MEUCIQDx+/== -->
"#;

/// What operators' files look like: a lot that is not ours, and little care.
const MESSY: &str = "\u{feff}\n<!-- сервер №2, не трогать -->\n<!-- 機上盒 -->\n\
    <provision reload=\"3000\" relaod=\"5\">\n\
    <operator ид=\"7\">Оператор «Ромашка» — テレビ</operator>\n\
    <tv_platform><server url='http://tv.example/?a=1&amp;b=2' defalut_type=tvip=''/></tv_platform>\n\
    <preferences><pref_menu name=\"time\" dissable=\"treu\"/></preferences>\n\
    <features><wifi/><![CDATA[ <statistics url='http://wrong/'> ]]></features>\n\
    <nested><statistics url=\"http://also-wrong/\"/></nested>\n\
    <statistics url=\" http://stats.example.net/drop \" accum_period=\"901\" ><media /> text \n\
    <!-- <network period=\"1\"/> --><network period=\"900\" /></statistics>\n\
    <logging format=\"%d &quot;%m&quot;\"/>\n\
    </provision>\n<!-- конец -->\n<!--SIGNATURE: AAAA+/==\n -->\n\n";

fn lines(config: ConfigSource) -> MediaAnalytics {
    MediaAnalytics {
        config,
        host: None,
        path: None,
        viewer_id: None,
        player_id: None,
        player_type: None,
        device: None,
        cdn: None,
        dimensions: Vec::new(),
        auth: None,
        tls: Tls::default(),
    }
}

#[test]
fn everything_is_read() {
    let Parsed { provisioning, notes, .. } = Provisioning::parse(FULL).unwrap();
    assert_eq!(notes, []);
    let path = |name: &str| PathBuf::from(format!("/etc/stbeacon/{name}"));
    let url = |text: &str| HttpUrl::parse(text).unwrap();
    let expected = Provisioning {
        reload: Some(Millis(600_000)),
        statistics: Some(Statistics {
            url: url("https://stats.example.net/drop?k=v&w=x"),
            accum_period: Millis(901_000),
            media: Some(MediaReports { period: Some(Millis(30_000)) }),
            network: Some(NetworkReports { period: Millis(60_000) }),
        }),
        reports: ReportOptions {
            extended: true,
            gzip: true,
            url_redact: true,
            interfaces: Glob::list("eth*,wlan?"),
        },
        auth: Some(Auth::Basic { user: "box".to_owned(), secret_file: path("stats.secret") }),
        tls: Tls {
            ca: Some(path("operator-ca.pem")),
            client: Some(ClientCert { cert: path("box.pem"), key: path("box.key") }),
        },
        spool: SpoolLimits { max_bytes: 1000, max_age: Millis(60_000), keep_free: 0 },
        media_analytics: vec![
            MediaAnalytics {
                player_id: Some("lounge".to_owned()),
                viewer_id: Some("v-1".to_owned()),
                dimensions: vec![
                    Dimension { key: "_cd_1000".to_owned(), value: "lab".to_owned() },
                    Dimension { key: "_cd_1001".to_owned(), value: String::new() },
                ],
                auth: Some(Auth::Bearer { secret_file: path("ma.token") }),
                ..lines(ConfigSource::Url(url("https://ma.example.net/config/beacon.xml")))
            },
            MediaAnalytics {
                host: Some("lines.example.org".to_owned()),
                path: Some("/9.gif".to_owned()),
                player_type: Some("gst".to_owned()),
                device: Some("box-3".to_owned()),
                cdn: Some("c".to_owned()),
                ..lines(ConfigSource::Builtin)
            },
            lines(ConfigSource::File(path("beacon.xml"))),
        ],
        heartbeat: Some(Heartbeat {
            gateway: url("https://hb.example.net"),
            customer_key: "KEY".to_owned(),
            interval: Millis(30_000),
            viewer_id: Some("v-2".to_owned()),
            dimensions: vec![Dimension { key: "region".to_owned(), value: "north".to_owned() }],
            auth: None,
            tls: Tls { ca: Some(path("hb-ca.pem")), client: None },
        }),
    };
    assert_eq!(provisioning, expected);
}

#[test]
fn a_messy_file_is_read() {
    // One attribute of the sample has no quotes where it should: that alone is no XML.
    let text = MESSY.replace("defalut_type=tvip=''", "defalut_type='tvip'");
    let Parsed { provisioning, notes, .. } = Provisioning::parse(&text).unwrap();
    assert_eq!(notes, []);
    assert_eq!(provisioning.reload, Some(Millis(3_000_000)));
    let statistics = provisioning.statistics.unwrap();
    assert_eq!(statistics.url.as_str(), "http://stats.example.net/drop");
    assert_eq!(statistics.accum_period, Millis(901_000));
    assert_eq!(statistics.media, Some(MediaReports { period: None }));
    assert_eq!(statistics.network, Some(NetworkReports { period: Millis(900_000) }));
    assert!(Provisioning::parse(MESSY).is_err());
}

#[rstest]
#[case::nothing_of_ours("<provision><a/></provision>")]
#[case::no_url("<provision><statistics accum_period=\"9\"><media/></statistics></provision>")]
#[case::empty_url("<provision><statistics url=\"  \"/></provision>")]
#[case::commented_out("<provision><!-- <statistics url=\"http://host/\"/> --></provision>")]
#[case::doctype("<!DOCTYPE provision>\n<provision/>")]
#[case::declaration("<?xml version=\"1.0\" encoding=\"utf-8\"?><provision/>")]
#[case::crlf("<provision>\r\n</provision>\r\n")]
fn reporting_is_off(#[case] text: &str) {
    let parsed = Provisioning::parse(text).unwrap();
    assert_eq!(parsed.provisioning.statistics, None);
    assert_eq!(parsed.notes, []);
    assert!(parsed.explain().to_string().contains("none: reporting is off"));
}

#[test]
fn what_is_left_out_has_a_default() {
    let text = "<provision><statistics url='http://host/'><network/></statistics></provision>";
    let provisioning = Provisioning::parse(text).unwrap().provisioning;
    assert_eq!(provisioning.reload, None);
    let statistics = provisioning.statistics.unwrap();
    assert_eq!(statistics.accum_period, Millis(300_000));
    assert_eq!(statistics.media, None);
    assert_eq!(statistics.network, Some(NetworkReports { period: Millis(300_000) }));
    assert_eq!(provisioning.reports, ReportOptions::default());
    assert_eq!(provisioning.spool.max_bytes, 8_388_608);
    assert_eq!(provisioning.spool.max_age, Millis(604_800_000));
    assert_eq!(provisioning.spool.keep_free, 16_777_216);
}

#[rstest]
#[case::empty("", 1, 1, "the file holds no element")]
#[case::not_xml("reload=600\n", 1, 1, "not XML")]
#[case::heredoc("cat <<EOF\n<provision/>\nEOF\n", 1, 1, "not XML")]
#[case::heredoc_end("<provision/>\nEOF\n", 2, 1, "not XML")]
#[case::cut_in_tag("<provision reload=\"600\">\n <stat", 2, 7, "ends too early")]
#[case::cut_in_tree("<provision>\n <statistics url=\"http://h/\">\n  <media/>\n", 4, 1, "ends too early")]
#[case::cut_in_signature("<provision/>\n<!--SIGNATURE: AA", 2, 18, "ends too early")]
#[case::ampersand("<provision>\n <statistics url=\"http://h/?a=1&b=2\"/></provision>", 2, 32, "not XML")]
#[case::wrong_end("<provision>\n</provisions>", 2, 1, "not XML")]
#[case::other_root("<html>\n<provision/></html>", 1, 1, "the root element is <html>")]
#[case::json("[{\"type\":\"media\"}]", 1, 1, "not XML")]
fn a_file_that_is_no_provisioning_is_refused(
    #[case] text: &str,
    #[case] line: u32,
    #[case] column: u32,
    #[case] found: &str,
) {
    let error = Provisioning::parse(text).unwrap_err();
    assert!(error.found.contains(found), "{error}");
    assert_eq!((error.line, error.column), (line, column), "{error}");
    assert!(error.to_string().starts_with(&format!("line {line}, column {column}: ")), "{error}");
    assert!(!error.remedy.is_empty());
}

#[rstest]
#[case("<statistics url=\"ftp://host/\"/>", 2, 18, "does not begin with http")]
#[case("<statistics url=\"http://\"/>", 2, 18, "names no host")]
#[case("<stbeacon><auth secret_file=\"/s\"/></stbeacon>", 2, 11, "no scheme")]
#[case("<stbeacon><auth scheme=\"digest\" secret_file=\"/s\"/></stbeacon>", 2, 25, "\"digest\"")]
#[case("<stbeacon><auth scheme=\"bearer\"/></stbeacon>", 2, 11, "no secret_file")]
#[case("<stbeacon><auth scheme=\"bearer\" secret_file=\"hunter2\"/></stbeacon>", 2, 46, "absolute")]
#[case("<stbeacon><auth scheme=\"basic\" secret_file=\"/s\"/></stbeacon>", 2, 11, "no user")]
#[case("<stbeacon><auth scheme=\"basic\" user=\"a:b\" secret_file=\"/s\"/></stbeacon>", 2, 38, "colon")]
#[case("<stbeacon><tls cert=\"/c\"/></stbeacon>", 2, 11, "only one of cert and key")]
#[case("<stbeacon><tls ca=\"ca.pem\"/></stbeacon>", 2, 20, "absolute")]
#[case("<stbeacon><heartbeat gateway=\"http://h\"/></stbeacon>", 2, 11, "no customer_key")]
#[case("<stbeacon><media_analytics config=\"h\"/></stbeacon>", 2, 36, "does not begin with http")]
#[case("<stbeacon><media_analytics host=\"h/?a\"/></stbeacon>", 2, 34, "no address")]
fn what_has_no_default_must_be_right(
    #[case] element: &str,
    #[case] line: u32,
    #[case] column: u32,
    #[case] found: &str,
) {
    let error = Provisioning::parse(&format!("<provision>\n{element}</provision>")).unwrap_err();
    assert_eq!((error.line, error.column), (line, column), "{error}");
    assert!(error.found.contains(found), "{error}");
    assert!(!error.to_string().contains("hunter2"), "a secret in the wrong place is not shown: {error}");
}

#[rstest]
#[case::word("<statistics url='http://h/' accum_period='15min'/>", "accum_period=\"15min\" is ignored")]
#[case::zero("<statistics url='http://h/' accum_period='0'/>", "accum_period=\"0\" is ignored")]
#[case::negative("<statistics url='http://h/' accum_period='-5'/>", "300 s are used")]
#[case::fraction(
    "<statistics url='http://h/'><network period='1.5'/></statistics>",
    "period=\"1.5\" is ignored"
)]
#[case::huge("<stbeacon><spool max_bytes='99999999999999999999'/></stbeacon>", "8388608 bytes are used")]
#[case::switch("<stbeacon><reports gzip='maybe'/></stbeacon>", "false is used")]
#[case::misspelt("<stbeacon><reports extendet='true'/></stbeacon>", "attribute \"extendet\" of <reports>")]
#[case::misplaced("<stbeacon><media period='3'/></stbeacon>", "<media> in <stbeacon> is not known")]
#[case::nowhere("<stbeacon><media_analytics player_id='p'/></stbeacon>", "neither config nor host")]
#[case::twice("<stbeacon/><stbeacon><reports extended='true'/></stbeacon>", "a further <stbeacon>")]
fn what_has_a_default_is_noted(#[case] element: &str, #[case] message: &str) {
    let Parsed { provisioning, notes, .. } =
        Provisioning::parse(&format!("<provision>\n{element}</provision>")).unwrap();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].message.contains(message), "{}", notes[0]);
    assert_eq!(notes[0].line, 2);
    assert_eq!(provisioning.reports, ReportOptions::default());
    assert_eq!(provisioning.spool, SpoolLimits::default());
    if let Some(statistics) = provisioning.statistics {
        assert_eq!(statistics.accum_period, Provisioning::DEFAULT_ACCUM_PERIOD);
    }
}

#[test]
fn bytes_that_are_not_utf8_are_refused_with_their_place() {
    let error = Provisioning::parse_bytes(b"<provision>\n <a b=\"\xd0\xd0\"/></provision>").unwrap_err();
    assert_eq!((error.line, error.column), (2, 8), "{error}");
    assert!(error.remedy.contains("UTF-8"));
}

#[test]
fn explains_a_full_file() {
    insta::assert_snapshot!(Provisioning::parse(FULL).unwrap().explain());
}

#[test]
fn explains_defaults_and_notes() {
    let text =
        "<provision>\n<statistics url='http://h/' accum_period='x'><media/></statistics>\n</provision>";
    insta::assert_snapshot!(Provisioning::parse(text).unwrap().explain());
}

proptest! {
    #[test]
    fn a_file_cut_anywhere_is_refused_or_whole(at in 0..FULL.len()) {
        // Only the white space and the signature behind the root can be missing without harm.
        let root_end = FULL.find("</provision>").unwrap() + "</provision>".len();
        if let Ok(parsed) = Provisioning::parse(&FULL[..at]) {
            prop_assert!(at >= root_end);
            prop_assert_eq!(parsed.provisioning, Provisioning::parse(FULL).unwrap().provisioning);
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(parsed) = Provisioning::parse_bytes(&bytes) {
            let _ = parsed.explain().to_string();
        }
    }

    #[test]
    fn any_value_is_survived(name in "[a-z_]{1,12}", value in "[^<&\"\\x00-\\x1f\u{fffe}\u{ffff}]{0,20}") {
        let text = format!("<provision><stbeacon><spool {name}=\"{value}\"/></stbeacon></provision>");
        if name != "xmlns" {
            prop_assert!(Provisioning::parse(&text).is_ok(), "{}", text);
        }
    }
}
