//! Lines as they come, and where they break.

use proptest::prelude::*;
use rstest::rstest;

use super::*;

const LINE: &str = "a=P~e=3~w=300000~tt=a*@*b%20%D0%BF~rs=0:-1;6024:3100;~_cd_1000=lab~zzz=1";

#[rstest]
#[case::line(LINE.to_owned(), None, 0)]
#[case::separator_at_the_end(format!("{LINE}~"), None, 0)]
#[case::query(format!("?{LINE}"), None, 1)]
#[case::path(format!("/9.gif?{LINE}"), Some("/9.gif"), 7)]
#[case::host(format!("ma.example.net/9.gif?{LINE}"), Some("ma.example.net/9.gif"), 21)]
#[case::address(format!("HTTPS://ma.example.net/9.gif?{LINE}"), Some("HTTPS://ma.example.net/9.gif"), 29)]
#[case::odd_address(format!("http://ma.example.net/x=1/9.gif?{LINE}"), Some("http://ma.example.net/x=1/9.gif"), 32)]
fn every_form(#[case] text: String, #[case] address: Option<&str>, #[case] at: usize) {
    let line = Line::read(&text).unwrap();
    assert_eq!(line.address, address);
    assert_eq!(line.to_string(), LINE);
    assert_eq!((line.fields[0].at, line.fields[2].at), (at, at + 8));
    assert_eq!(line.event(), Some(Event::Playing));
    assert_eq!(line.part(), None);
    let title = line.field(Metric::Title).unwrap();
    assert_eq!(
        (title.key, title.name(), title.raw, &*title.value),
        ("tt", Some("title"), "a*@*b%20%D0%BF", "a~b п")
    );
    assert_eq!(title.typed(), Some(Ok(Typed::Text("a~b п".to_owned()))));
    let meanings: Vec<_> = line.fields[5..].iter().map(|field| (field.meaning, field.typed())).collect();
    assert_eq!(meanings, [(Meaning::Dimension, None), (Meaning::Unknown, None)]);
}

#[test]
fn long_names_and_empty_values() {
    let line = Line::read("eventCode=I~sessionId=x~title=").unwrap();
    assert_eq!(line.value(Metric::AttemptId), Some("x"));
    assert_eq!(line.value(Metric::Title), Some(""));
}

#[test]
fn a_key_that_is_another_name() {
    let short = Line::read("a=I~al=Linux~os=Linux%206").unwrap();
    let long = Line::read("os=Linux~eventCode=I~fullOs=Linux%206").unwrap();
    for line in [short, long] {
        assert_eq!((line.value(Metric::Os), line.value(Metric::FullOs)), (Some("Linux"), Some("Linux 6")));
    }
}

#[test]
fn other_separators() {
    let separators = Separators::new("&", "-!").unwrap();
    let line = Line::read_with("/9.gif?a=P&tt=x-!y~z&e=1&", &separators).unwrap();
    assert_eq!(line.value(Metric::Title), Some("x&y~z"));
    assert_eq!(line.to_string(), "a=P&tt=x-!y~z&e=1");
}

#[rstest]
#[case::empty("", "byte 0: the line has no keys")]
#[case::only_separator("~", "byte 0: the line has no keys")]
#[case::empty_query("http://h/9.gif?", "byte 15: the line has no keys")]
#[case::no_query("http://h/9.gif", "byte 14: the address has no ? and so no line")]
#[case::two_separators("a=P~~e=1", "byte 4: expected a key, found a separator")]
#[case::first_separator("~a=P", "byte 0: expected a key, found a separator")]
#[case::no_value("a=P~e~w=1", "byte 4: \"e\" has no = and so no value")]
#[case::no_key("a=P~=1", "byte 4: expected a key, found =")]
#[case::bad_key("a=P~e f=1", "byte 5: a key cannot hold ' '")]
#[case::escaped_key("a=P~%65=1", "byte 4: a key cannot hold '%'")]
#[case::twice("a=P~e=1~a=P", "byte 8: a is there a second time, first at byte 0")]
#[case::twice_in_other_words(
    "a=P~e=1~eventCode=P",
    "byte 8: eventCode is there a second time, first at byte 0"
)]
#[case::unknown_twice("q=1~q=1", "byte 4: q is there a second time, first at byte 0")]
#[case::escape("/9.gif?a=P~tt=50%", "byte 16: in tt: expected two hexadecimal digits behind %")]
#[case::escape_digits("a=P~tt=%4g", "byte 7: in tt: expected two hexadecimal digits behind %")]
#[case::utf8("a=P~tt=x*@*%FF", "byte 11: in tt: the bytes written as %XX are not UTF-8")]
#[case::equals("a=P~tt=x=y", "byte 8: in tt: '=' has to be written as %3D")]
#[case::ampersands("a=P&e=1", "byte 3: in a: '&' has to be written as %26")]
#[case::plus("a=P~tt=x+y", "byte 8: in tt: '+' has to be written as %2B")]
#[case::question("a=P~tt=x?y", "byte 8: in tt: '?' has to be written as %3F")]
#[case::fragment("a=P~tt=x#y", "byte 8: in tt: '#' has to be written as %23")]
#[case::newline("a=P~tt=x\n", "byte 8: in tt: '\\n' has to be written as %0A")]
#[case::wide_space("a=P~tt=x\u{3000}", "byte 8: in tt: '\\u{3000}' has to be written as %E3%80%80")]
fn where_it_breaks(#[case] text: &str, #[case] message: &str) {
    assert_eq!(Line::read(text).unwrap_err().to_string(), message);
}

#[test]
fn bytes_that_are_no_text() {
    assert_eq!(Line::read_bytes(b"a=P~tt=\xff").unwrap_err().to_string(), "byte 7: this is not UTF-8");
    assert_eq!(Line::read_bytes(b"a=P").unwrap().event(), Some(Event::Playing));
}

#[test]
fn errors_stay_short() {
    let text = format!("a=P~{}", "x".repeat(5000));
    assert!(Line::read(&text).unwrap_err().to_string().len() < 200);
}

#[rstest]
#[case("a=P~za=1~zb=2", Some((1, 2)))]
#[case("a=P~za=0~zb=2", None)]
#[case("a=P~za=3~zb=2", None)]
#[case("a=P~za=x~zb=2", None)]
#[case("a=P~za=1", None)]
fn part_of_a_line(#[case] text: &str, #[case] part: Option<(u32, u32)>) {
    assert_eq!(Line::read(text).unwrap().part(), part);
}

fn joined(parts: &[&str]) -> Result<String, JoinError> {
    let lines: Vec<_> = parts.iter().map(|part| Line::read(part).unwrap()).collect();
    join(&lines).map(|line| line.to_string())
}

#[test]
fn parts_in_any_order() {
    assert_eq!(
        joined(&["a=P~e=3~za=2~zb=2~y=2", "http://h/9.gif?a=P~e=3~za=1~zb=2~x=1"]),
        Ok("a=P~e=3~x=1~y=2".to_owned())
    );
    assert_eq!(joined(&["a=P~za=1~zb=1"]), Ok("a=P".to_owned()));
}

#[rstest]
#[case::none(&[], "there are no parts")]
#[case::whole(&["a=P~za=1~zb=2", "a=P"], "line 1 is no part: za and zb are missing or make no sense")]
#[case::totals(&["a=P~za=1~zb=2", "a=P~za=2~zb=3"], "one part says that there are 2, another 3")]
#[case::twice(&["a=P~za=1~zb=2", "a=P~za=1~zb=2"], "part 1 is there a second time")]
#[case::gap(&["a=P~za=1~zb=3", "a=P~za=3~zb=3"], "part 2 of 3 is missing")]
#[case::end(&["a=P~za=1~zb=2"], "part 2 of 2 is missing")]
#[case::differs(&["a=P~e=1~za=1~zb=2", "a=P~e=2~za=2~zb=2"], "e differs between the parts: they are of different lines")]
fn parts_that_make_no_line(#[case] parts: &[&str], #[case] message: &str) {
    assert_eq!(joined(parts).unwrap_err().to_string(), message);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        match Line::read_bytes(&bytes) {
            Ok(line) => prop_assert!(!line.fields.is_empty()),
            Err(error) => prop_assert!(error.at <= bytes.len()),
        }
    }

    /// Near to lines: every fault is met.
    #[test]
    fn any_text_is_read_or_refused_where_it_breaks(text in "(https?://h/9.gif)?[a-e_~=%*@?/4F é機]{0,40}") {
        match Line::read(&text) {
            Ok(line) => {
                for field in &line.fields {
                    prop_assert!(text[field.at..].starts_with(field.key));
                    let _ = field.typed();
                }
                let again = line.to_string();
                let again = Line::read(&again).unwrap();
                prop_assert!(again.fields.iter().map(|f| (f.key, &f.value)).eq(line.fields.iter().map(|f| (f.key, &f.value))));
            }
            Err(error) => prop_assert!(text.is_char_boundary(error.at)),
        }
    }
}
