//! From the JSON that devices in the field send to JSON.
//!
//! Stock boxes put a comma behind the last member of an object and leave out closing brackets at the end; their
//! vendor's own examples do both. Nothing else is repaired: a body cut in the middle of a value is an error.

use std::borrow::Cow;

/// Deeper than any report; what is deeper is left to the JSON parser's own limit.
const MAX_DEPTH: usize = 64;

/// The body without trailing commas and with its missing closing brackets. Lines and columns stay the same up to
/// the first bracket that was missing.
pub(super) fn repair(body: &[u8]) -> Cow<'_, [u8]> {
    let mut repair = Repair { body, out: None, open: Vec::new(), comma: None, last: 0 };
    repair.run();
    repair.out.map_or(Cow::Borrowed(body), Cow::Owned)
}

struct Repair<'a> {
    body: &'a [u8],
    /// The repaired text so far; `None` while nothing had to be.
    out: Option<Vec<u8>>,
    /// The brackets that are open, each as the one that closes it.
    open: Vec<u8>,
    /// Where in the output a comma stands behind which nothing has come yet.
    comma: Option<usize>,
    /// The last byte that is no white space and no comma.
    last: u8,
}

impl Repair<'_> {
    fn run(&mut self) {
        let mut in_string = false;
        let mut escaped = false;
        for (at, &byte) in self.body.iter().enumerate() {
            if in_string {
                in_string = escaped || byte != b'"';
                escaped = !escaped && byte == b'\\';
            } else if !byte.is_ascii_whitespace() {
                match byte {
                    b'[' | b'{' if self.open.len() == MAX_DEPTH => return self.give_up(),
                    b'[' => self.open.push(b']'),
                    b'{' => self.open.push(b'}'),
                    b']' | b'}' => self.close(at, byte),
                    b'"' => in_string = true,
                    _ => {}
                }
                if byte == b',' {
                    // Two in a row are no slip of the pen any more; the parser says so.
                    self.comma = if self.comma.is_none() { Some(self.length(at)) } else { None };
                } else {
                    self.comma = None;
                    self.last = byte;
                }
            }
            if let Some(out) = &mut self.out {
                out.push(byte);
            }
        }
        if !in_string && matches!(self.last, b']' | b'}') {
            let at = self.body.len();
            self.drop_comma(at);
            while let Some(bracket) = self.open.pop() {
                self.owned(at).push(bracket);
            }
        }
    }

    fn close(&mut self, at: usize, bracket: u8) {
        self.drop_comma(at);
        // "… } ]" with an object still open: its bracket was forgotten.
        if matches!(self.last, b']' | b'}') && self.open.contains(&bracket) {
            while self.open.last().is_some_and(|open| *open != bracket) {
                if let Some(missing) = self.open.pop() {
                    self.owned(at).push(missing);
                }
            }
        }
        if self.open.last() == Some(&bracket) {
            self.open.pop();
        }
    }

    /// Puts a space where the trailing comma is, so that columns stay the same.
    fn drop_comma(&mut self, at: usize) {
        let Some(comma) = self.comma.take() else { return };
        // "[,]" has no member that the comma could trail.
        if matches!(self.last, b'[' | b'{' | 0) {
            return;
        }
        if let Some(byte) = self.owned(at).get_mut(comma) {
            *byte = b' ';
        }
    }

    /// How much has been put out when all of the body before `at` has.
    fn length(&self, at: usize) -> usize {
        self.out.as_ref().map_or(at, Vec::len)
    }

    fn owned(&mut self, at: usize) -> &mut Vec<u8> {
        let body = self.body;
        self.out.get_or_insert_with(|| body.get(..at).unwrap_or_default().to_vec())
    }

    fn give_up(&mut self) {
        self.out = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::object("{\"a\": 1, }", "{\"a\": 1  }")]
    #[case::array("[1,2 ,\n]", "[1,2  \n]")]
    #[case::at_the_end("[{\"a\":1}],", "[{\"a\":1}] ")]
    #[case::missing_brace("{\"a\": {\"b\": 1 }", "{\"a\": {\"b\": 1 }}")]
    #[case::missing_brace_in_array("[{\"a\": {\"b\": 1 } ]", "[{\"a\": {\"b\": 1 } }]")]
    #[case::missing_both("[ {\"a\": {\"b\": 1, },", "[ {\"a\": {\"b\": 1  } }]")]
    #[case::comma_in_string("{\"a\":\",]\",}", "{\"a\":\",]\" }")]
    #[case::quote_in_string("{\"a\":\"\\\",]\",}", "{\"a\":\"\\\",]\" }")]
    fn repaired(#[case] body: &str, #[case] expected: &str) {
        assert_eq!(String::from_utf8_lossy(&repair(body.as_bytes())), expected);
        serde_json::from_str::<serde_json::Value>(expected).unwrap();
    }

    #[rstest]
    #[case::only_comma("[,]")]
    #[case::two_commas("[1,,]")]
    #[case::cut_in_number("[{\"a\":1")]
    #[case::cut_in_string("[{\"a\":\"}]")]
    #[case::cut_after_key("[{\"a\":")]
    #[case::nothing("")]
    #[case::comma(",")]
    #[case::too_many("[1]]")]
    #[case::wrong_bracket("{\"a\":1]")]
    fn left_alone(#[case] body: &str) {
        assert!(serde_json::from_slice::<serde_json::Value>(&repair(body.as_bytes())).is_err());
    }

    proptest! {
        #[test]
        fn good_json_is_not_touched(text in "\\PC{0,20}", number: u64, depth in 0..10_usize) {
            let mut value = serde_json::json!({ text.clone(): [text, number, {}, []] });
            for _ in 0..depth {
                value = serde_json::json!([value, 0]);
            }
            let body = serde_json::to_vec(&value).unwrap();
            prop_assert!(matches!(repair(&body), Cow::Borrowed(_)));
        }

        #[test]
        fn any_bytes_are_survived(body in "[\\[\\]{},\" \\\\:1]{0,40}") {
            let repaired = repair(body.as_bytes());
            prop_assert!(repaired.len() <= 2 * body.len());
            prop_assert_eq!(repair(&repaired), repaired.as_ref());
        }
    }
}
