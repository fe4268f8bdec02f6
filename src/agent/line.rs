//! `stbeacon line`: Media Analytics lines taken apart, the keys they carry, and configurations checked.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::BufRead as _;
use std::path::Path;
use std::process::ExitCode;

use lexopt::Arg;
use serde_json::{Value, json};
use stbeacon_core::line::config::{Config, Parsed, builtin_text};
use stbeacon_core::line::decode::{Field, Line, Meaning, join};
use stbeacon_core::line::keys::{self, Event, Metric};
use stbeacon_core::line::value::Typed;

use crate::cli::{self, Failure};

const HELP: &str = "\
Takes Media Analytics lines apart, lists their keys, checks their configurations.

Usage: stbeacon line decode [--json] [--join] LINE|URL|-
       stbeacon line keys [--json|--markdown|--roff]
       stbeacon line config [FILE]

decode prints every key of a line with its name and its decoded value. It takes a line, a query, a whole URL, or -
to read lines from standard input. A value that is not what its key says is marked: with !, in JSON with \"error\".
keys prints the whole dictionary; so does the manual page stbeacon-line(7).
config checks a configuration and says what it skips; without FILE it prints the built-in one, a good one to begin
with.

Options:
      --json      as JSON: decode prints one object a line, keys one array
      --join      put the parts of split lines together before they are printed
      --markdown  as a table in Markdown
      --roff      as a manual page
  -h, --help      this text

Examples:
  stbeacon line decode 'a=P~e=3~rs=0:-1;6024:3100;'
  stbeacon line decode 'https://ma.example.net/9.gif?a=I~e=0~tt=Night%20Watch'
  stbeacon line decode --json --join - < lines.txt
  stbeacon line keys | grep -i rebuffer
  stbeacon line config > beacon.xml

";

/// Bytes of a broken line that are shown in front of and behind the place.
const SHOWN: usize = 40;

pub(crate) fn run(mut args: lexopt::Parser) -> Result<ExitCode, Failure> {
    match args.next()? {
        Some(Arg::Long("help") | Arg::Short('h')) => {
            cli::print_help(HELP);
            Ok(ExitCode::SUCCESS)
        }
        Some(Arg::Value(command)) => match command.to_str() {
            Some("decode") => decode(args),
            Some("keys") => list(args),
            Some("config") => config(args),
            _ => Err(Failure::usage(format!("no command line {command:?}; there are: decode, keys, config"))),
        },
        Some(other) => Err(other.unexpected().into()),
        None => Err(Failure::usage("decode, keys or config? See stbeacon line --help")),
    }
}

fn decode(mut args: lexopt::Parser) -> Result<ExitCode, Failure> {
    let (mut as_json, mut joined, mut input) = (false, false, None::<OsString>);
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("help") | Arg::Short('h') => {
                cli::print_help(HELP);
                return Ok(ExitCode::SUCCESS);
            }
            Arg::Long("json") => as_json = true,
            Arg::Long("join") => joined = true,
            Arg::Value(value) if input.is_none() => input = Some(value),
            other => return Err(other.unexpected().into()),
        }
    }
    let input =
        input.ok_or_else(|| Failure::usage("decode which line? Give one, or - for standard input"))?;
    let mut decoder = Decoder { as_json, joined, ..Decoder::default() };
    if input == "-" {
        for (number, line) in (1_u64..).zip(std::io::stdin().lock().split(b'\n')) {
            let line =
                line.map_err(|e| Failure::environment(format!("standard input cannot be read: {e}")))?;
            decoder.take(&line, Some(number));
        }
    } else {
        use std::os::unix::ffi::OsStrExt as _;

        decoder.take(input.as_bytes(), None);
    }
    decoder.finish()
}

/// Prints lines as they come, and counts what is wrong with them.
#[derive(Debug, Default)]
struct Decoder {
    as_json: bool,
    joined: bool,
    /// Parts that wait for others, by what the parts of one line share.
    parts: BTreeMap<String, Vec<String>>,
    /// Something has been printed.
    printed: bool,
    /// Lines that break.
    broken: usize,
    /// Values that are not what their keys say.
    odd: usize,
}

impl Decoder {
    fn take(&mut self, bytes: &[u8], number: Option<u64>) {
        let bytes = bytes.trim_ascii();
        if bytes.is_empty() && number.is_some() {
            return;
        }
        match Line::read_bytes(bytes) {
            Ok(line) if self.joined && line.part().is_some() => self.gather(&line, bytes),
            Ok(line) => self.print(&line),
            Err(error) => {
                let place = number.map_or_else(String::new, |number| format!("line {number}, "));
                self.complain(&format!("{place}{error}\n{}", pointed_at(bytes, error.at)));
            }
        }
    }

    /// Keeps a part until all are there.
    fn gather(&mut self, line: &Line<'_>, bytes: &[u8]) {
        let shared =
            [Metric::EventCode, Metric::BeaconId, Metric::AttemptId, Metric::ViewerId, Metric::SequenceId];
        let shared: Vec<_> =
            shared.into_iter().map(|metric| line.value(metric).unwrap_or_default()).collect();
        let shared = shared.join("~");
        let waiting = self.parts.entry(shared.clone()).or_default();
        waiting.push(String::from_utf8_lossy(bytes).into_owned());
        let total = line.part().map_or(0, |(_, total)| total);
        if usize::try_from(total).is_ok_and(|total| waiting.len() >= total) {
            let parts = self.parts.remove(&shared).unwrap_or_default();
            self.print_joined(&parts);
        }
    }

    fn print_joined(&mut self, parts: &[String]) {
        // They have been read before, and so they can be read.
        let lines: Vec<_> = parts.iter().filter_map(|part| Line::read(part).ok()).collect();
        match join(&lines) {
            Ok(line) => self.print(&line),
            Err(error) => self.complain(&format!("the parts of a line cannot be joined: {error}")),
        }
    }

    fn print(&mut self, line: &Line<'_>) {
        let odd = line.fields.iter().filter(|field| matches!(field.typed(), Some(Err(_)))).count();
        self.odd += odd;
        if self.as_json {
            cli::print(&format!("{}\n", as_json(line)));
        } else {
            let gap = if self.printed { "\n" } else { "" };
            cli::print(&format!("{gap}{}", as_table(line)));
        }
        self.printed = true;
    }

    fn complain(&mut self, message: &str) {
        self.broken += 1;
        eprintln!("stbeacon: {message}");
    }

    fn finish(mut self) -> Result<ExitCode, Failure> {
        for parts in std::mem::take(&mut self.parts).into_values() {
            self.print_joined(&parts);
        }
        match (self.broken, self.odd) {
            (0, 0) => Ok(ExitCode::SUCCESS),
            (0, odd) => Err(Failure::input(format!(
                "{odd} of the values are not what their keys say; each is marked"
            ))),
            // Each has been told where it broke.
            _ => Ok(ExitCode::from(cli::BAD_INPUT)),
        }
    }
}

/// A line for people: key, name, value, and what the value comes to.
fn as_table(line: &Line<'_>) -> String {
    let mut out = String::new();
    if let Some(address) = line.address {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}", visible(address));
    }
    let names: Vec<_> = line.fields.iter().map(name).collect();
    let key_width = line.fields.iter().map(|field| field.key.len()).max().unwrap_or(0);
    let name_width = names.iter().map(|name| name.len()).max().unwrap_or(0);
    for (field, name) in line.fields.iter().zip(names) {
        let value = visible(&field.value);
        let _ = writeln!(out, "{:key_width$}  {name:name_width$}  {value}{}", field.key, remark(field));
    }
    out
}

fn name(field: &Field<'_>) -> &'static str {
    match field.meaning {
        Meaning::Metric(metric) => metric.name(),
        Meaning::Dimension => "(custom dimension)",
        Meaning::Unknown => "(unknown)",
    }
}

/// What a value comes to: its unit, its average, what its code means, or what is wrong with it.
fn remark(field: &Field<'_>) -> String {
    let Meaning::Metric(metric) = field.meaning else { return String::new() };
    let unit = metric.unit().symbol();
    let with_unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
    match field.typed() {
        Some(Err(error)) => format!("  ! {error}"),
        Some(Ok(Typed::Code { meaning: Some(meaning), .. })) => format!("  ({meaning})"),
        Some(Ok(Typed::Integer(_) | Typed::Decimal(_))) => with_unit,
        Some(Ok(Typed::SumCount(value))) => {
            value.average().map_or_else(String::new, |average| format!("  (average {average:.1}{with_unit})"))
        }
        Some(Ok(Typed::WeightedRate(value))) => {
            value.average().map_or_else(String::new, |average| format!("  (average {average} bit/s)"))
        }
        Some(Ok(_)) | None => String::new(),
    }
}

fn as_json(line: &Line<'_>) -> Value {
    let fields: Vec<_> = line.fields.iter().map(field_as_json).collect();
    let (part, parts) = line.part().unzip();
    json!({
        "address": line.address,
        "event": line.event().map(Event::code),
        "part": part,
        "parts": parts,
        "fields": fields,
    })
}

fn field_as_json(field: &Field<'_>) -> Value {
    let mut json = json!({ "key": field.key, "name": field.name(), "raw": field.raw, "value": field.value });
    let extra = match field.typed() {
        Some(Ok(Typed::Text(_))) | None => return json,
        // A number beyond what JSON has (a sum of bit rates times ms) stays a text, in "value".
        Some(Ok(typed)) => serde_json::to_value(typed).ok().map(|typed| ("typed", typed)),
        Some(Err(error)) => Some(("error", error.to_string().into())),
    };
    if let (Some(object), Some((name, value))) = (json.as_object_mut(), extra) {
        object.insert(name.to_owned(), value);
    }
    json
}

fn list(mut args: lexopt::Parser) -> Result<ExitCode, Failure> {
    let mut render: fn() -> String = keys::text;
    while let Some(arg) = args.next()? {
        render = match arg {
            Arg::Long("help") | Arg::Short('h') => {
                cli::print_help(HELP);
                return Ok(ExitCode::SUCCESS);
            }
            Arg::Long("json") => keys_as_json,
            Arg::Long("markdown") => keys::markdown,
            Arg::Long("roff") => keys::roff,
            other => return Err(other.unexpected().into()),
        };
    }
    cli::print(&render());
    Ok(ExitCode::SUCCESS)
}

fn keys_as_json() -> String {
    let keys: Vec<_> = Metric::ALL
        .iter()
        .map(|metric| {
            let events = Event::ALL.into_iter().filter(|event| metric.events().contains(*event));
            let codes = metric.kind().codes().iter().map(|code| (code.0.to_owned(), Value::from(code.1)));
            json!({
                "key": metric.key(),
                "name": metric.name(),
                "form": metric.kind().form(),
                "unit": metric.unit().symbol(),
                "events": events.map(Event::code).collect::<Vec<_>>(),
                "adds_up": metric.adds_up(),
                "codes": codes.collect::<serde_json::Map<_, _>>(),
                "about": metric.about(),
            })
        })
        .collect();
    format!("{:#}\n", Value::from(keys))
}

fn config(mut args: lexopt::Parser) -> Result<ExitCode, Failure> {
    let mut file = None::<OsString>;
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("help") | Arg::Short('h') => {
                cli::print_help(HELP);
                return Ok(ExitCode::SUCCESS);
            }
            Arg::Value(value) if file.is_none() => file = Some(value),
            other => return Err(other.unexpected().into()),
        }
    }
    match file {
        Some(file) => cli::print(&checked(Path::new(&file))?),
        None => cli::print(&builtin_text()),
    }
    Ok(ExitCode::SUCCESS)
}

/// What a configuration comes to.
fn checked(file: &Path) -> Result<String, Failure> {
    let bytes = std::fs::read(file).map_err(|e| Failure::environment(format!("{}: {e}", file.display())))?;
    let Parsed { config, notes } =
        Config::parse_bytes(&bytes).map_err(|e| Failure::input(format!("{}: {e}", file.display())))?;
    let mut out = String::new();
    for note in &notes {
        let _ = writeln!(out, "{}: {note}", file.display());
    }
    let lines: Vec<_> =
        Event::ALL.into_iter().filter(|event| config.sends(*event)).map(Event::code).collect();
    let target = config
        .target()
        .map_or_else(|| "no host: provisioning has to name one".to_owned(), ToString::to_string);
    let state = if config.is_active { "on" } else { "off (isActive is 0)" };
    let dimensions: Vec<_> = config.dimensions().iter().map(|it| format!("{} {}", it.key, it.name)).collect();
    let _ = writeln!(out, "lines: {state}");
    let _ = writeln!(out, "target: {target}");
    let _ = writeln!(out, "events: {}", lines.join(" "));
    let _ = writeln!(out, "interval: {} (first after {})", config.log_interval, config.secondary_log_time);
    let _ = writeln!(out, "line length: {} bytes", config.max_line());
    let _ = writeln!(
        out,
        "custom dimensions: {}",
        if dimensions.is_empty() { "none".to_owned() } else { dimensions.join(", ") }
    );
    Ok(out)
}

/// The place where a line breaks, and an arrow under it.
fn pointed_at(bytes: &[u8], at: usize) -> String {
    let at = at.min(bytes.len());
    let before = bytes.get(at.saturating_sub(SHOWN)..at).unwrap_or_default();
    let behind = bytes.get(at..(at + SHOWN).min(bytes.len())).unwrap_or_default();
    let before = visible(&String::from_utf8_lossy(before));
    let behind = visible(&String::from_utf8_lossy(behind));
    format!("  {before}{behind}\n  {}^", " ".repeat(before.chars().count()))
}

/// A text without what a terminal would take for commands.
fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn table_shows_what_values_come_to() {
        let line = Line::read(
            "http://h/9.gif?a=P~m=PL~w=300000~n=5000:4~fl=3000:2~tt=a%1Bb~u=x~_cd_1=lab~zzz=1~rs=0:-1;6024:3100;",
        );
        let table = as_table(&line.unwrap());
        let expected = "\
http://h/9.gif
a      eventCode           P  (playing)
m      playerState         PL  (playing)
w      currentClockTime    300000 ms
n      playBackBitRate     5000:4  (average 1250.0 bit/s)
fl     averagedBitRate     3000:2  (average 1500 bit/s)
tt     title               a\\u{1b}b
u      droppedFrames       x  ! at byte 0 of the value: expected a whole number, found 'x'
_cd_1  (custom dimension)  lab
zzz    (unknown)           1
rs     rebufferSession     0:-1;6024:3100;
";
        assert_eq!(table, expected);
    }

    #[test]
    fn json_has_every_value_in_its_type() {
        let line =
            Line::read("a=P~za=1~zb=2~tt=a%20b~n=5.5:4~u=x~fl=340282366920938463463374607431768211455:1")
                .unwrap();
        let expected = json!({
            "address": null, "event": "P", "part": 1, "parts": 2,
            "fields": [
                { "key": "a", "name": "eventCode", "raw": "P", "value": "P", "typed": { "code": "P", "meaning": "playing" } },
                { "key": "za", "name": "partNumber", "raw": "1", "value": "1", "typed": 1 },
                { "key": "zb", "name": "totalParts", "raw": "2", "value": "2", "typed": 2 },
                { "key": "tt", "name": "title", "raw": "a%20b", "value": "a b" },
                { "key": "n", "name": "playBackBitRate", "raw": "5.5:4", "value": "5.5:4", "typed": { "sum": 5.5, "count": 4 } },
                { "key": "u", "name": "droppedFrames", "raw": "x", "value": "x", "error": "at byte 0 of the value: expected a whole number, found 'x'" },
                { "key": "fl", "name": "averagedBitRate", "raw": "340282366920938463463374607431768211455:1", "value": "340282366920938463463374607431768211455:1" },
            ],
        });
        assert_eq!(as_json(&line), expected);
    }

    #[test]
    fn list_has_every_key() {
        let list: Vec<Value> = serde_json::from_str(&keys_as_json()).unwrap();
        assert_eq!(list.len(), Metric::COUNT);
        assert_eq!(list[0]["codes"]["P"], "playing");
    }

    #[rstest]
    #[case("a=P~tt=50%", 9, "  a=P~tt=50%\n           ^")]
    #[case("", 0, "  \n  ^")]
    #[case("\u{7}~", 1, "  \\u{7}~\n       ^")]
    fn an_arrow_shows_the_place(#[case] line: &str, #[case] at: usize, #[case] shown: &str) {
        assert_eq!(pointed_at(line.as_bytes(), at), shown);
    }
}
