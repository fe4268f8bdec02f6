//! The list for people: as plain text, as Markdown and as a manual page.

use std::fmt::Write as _;

use super::{Code, Kind, Metric};

/// One line a key, in columns, for a terminal.
#[must_use]
pub fn text() -> String {
    let mut out = format!(
        "{:<4} {:<32} {:<24} {:<6} {:<8} {:<4} {}\n",
        "KEY", "NAME", "VALUE", "UNIT", "LINES", "ADDS", "WHAT IT SAYS"
    );
    for metric in Metric::ALL.iter().copied() {
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "{:<4} {:<32} {:<24} {:<6} {:<8} {:<4} {}",
            metric.key(),
            metric.name(),
            metric.kind().form(),
            metric.unit().symbol(),
            metric.events().to_string(),
            if metric.adds_up() { "+" } else { "" },
            metric.about(),
        );
    }
    out
}

/// A table for a page on the web.
#[must_use]
pub fn markdown() -> String {
    let mut out = String::from(
        "| key | name | value | unit | lines | adds up | what it says |\n| --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for metric in Metric::ALL.iter().copied() {
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} | {} | {} | {}{} |",
            metric.key(),
            metric.name(),
            metric.kind().form().replace('*', "\\*"),
            metric.unit().symbol(),
            metric.events(),
            if metric.adds_up() { "yes" } else { "" },
            metric.about(),
            codes(metric.kind()),
        );
    }
    out
}

/// The manual page stbeacon-line(7), in the macros of man(7).
#[must_use]
pub fn roff() -> String {
    let mut out = String::from(ROFF_HEAD);
    for metric in Metric::ALL.iter().copied() {
        let mut traits = vec![metric.kind().form().to_owned()];
        if !metric.unit().symbol().is_empty() {
            traits.push(metric.unit().symbol().to_owned());
        }
        traits.push(format!("lines: {}", metric.events()));
        if metric.adds_up() {
            traits.push("adds up".to_owned());
        }
        let _ = write!(
            out,
            ".TP\n.BR {} \" ({})\"\n{}{}\n.br\n{}\n",
            metric.key(),
            metric.name(),
            escaped(metric.about()),
            escaped(&codes(metric.kind())),
            escaped(&traits.join("; ")),
        );
    }
    out.push_str(ROFF_TAIL);
    out
}

const ROFF_HEAD: &str = r#".\" Made from the table of keys; do not edit by hand.
.TH STBEACON\-LINE 7 "" stbeacon "Media Analytics lines"
.SH NAME
stbeacon\-line \- Media Analytics lines and the keys they carry
.SH DESCRIPTION
A line is one GET request without a body:
.PP
.RS
.EX
GET https://HOST/PATH?KEY=VALUE\(tiKEY=VALUE\(ti...
.EE
.RE
.PP
Which keys a line carries, and in which order, is said by a configuration file, whose root element is
.BR AkamaiPlayerAnalyticsConfig :
the common group first, then the group of the line's event; complete and error lines carry the playing group
behind their own. Values that are unknown or empty are left out.
.PP
In a value the separator
.B \(ti
is written as
.BR *@* ;
an original
.B @
behind a
.B *
is written as
.BR %40 ,
so that an original
.B *@*
survives. All bytes of UTF\-8 but letters, digits and
.B \- . _ : , ; ( ) / * @ ! \(aq
are written as
.BR %XX .
.PP
A line longer than maxLogLineLength is sent in parts. They share
.BR e ;
each carries the common group,
.B za
(which part) and
.B zb
(how many), and then its share of the other keys.
.PP
.B stbeacon line decode
reads a line,
.B stbeacon line keys
prints this list.
.SH KEYS
Lines are
.B I
init,
.B S
play start,
.B P
playing,
.B C
complete,
.B E
error,
.B V
visit; those shown are the ones of the built\-in configuration. What adds up does so over the lines of a session,
part by part, as long as the log type is relative.
"#;

const ROFF_TAIL: &str = ".SH SEE ALSO\n.BR stbeacon (1)\n";

/// ` I init, C connecting.`, with a space in front; nothing for a value without codes.
fn codes(kind: Kind) -> String {
    let codes: Vec<_> = kind.codes().iter().map(|Code(code, meaning)| format!("{code} {meaning}")).collect();
    if codes.is_empty() { String::new() } else { format!(" Codes: {}.", codes.join(", ")) }
}

/// What groff would take for its own, escaped (groff_char(7)).
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '~' => out.push_str("\\(ti"),
            '\'' => out.push_str("\\(aq"),
            '…' => out.push_str("\\&..."),
            'Σ' => out.push_str("\\(*S"),
            '×' => out.push_str("\\(mu"),
            _ => out.push(c),
        }
    }
    out
}
