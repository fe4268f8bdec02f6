//! What the targets start from, made by the code's own encoders.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::exit;
use std::{env, fs, io};

use stbeacon_core::line::config::builtin_text;
use stbeacon_core::line::keys::Metric;
use stbeacon_core::player::Message;
use stbeacon_core::stb::{Duplex, Measured, MediaOptions, Network, encode_batch};
use stbeacon_core::ts::testing::{Muxer, mux, pat_section, pmt_section};

/// Pages whose examples and names are what targets start from.
const PROTOCOL: &str = include_str!("../../src/core/player/mod.rs");
const MESSAGES: &str = include_str!("../../src/core/player/MESSAGES.md");
const PROVISIONING: &str = include_str!("../../src/core/provisioning/mod.rs");
const ELEMENTS: &str = include_str!("../../src/core/elements/mod.rs");
const BUILTIN_ELEMENTS: &str = include_str!("../../src/core/elements/builtin.toml");
const CONFIGURATION: &str = include_str!("../../src/core/line/config/mod.rs");

/// The environment variable that names a directory to be filled.
const DIRECTORY: &str = "STBEACON_FUZZ_SEEDS";

/// Where that is asked for by the environment, writes seeds and dictionaries of all targets, and ends the program: a
/// program of its own would need the fuzzer's library all the same, which comes with a `main`.
pub fn write_if_asked() {
    let Some(directory) = env::var_os(DIRECTORY) else { return };
    let written = write(Path::new(&directory));
    if let Err(error) = &written {
        eprintln!("{}: {error}", Path::new(&directory).display());
    }
    exit(i32::from(written.is_err()));
}

/// Fills `DIRECTORY/TARGET/seeds/` and `DIRECTORY/TARGET/dictionary`.
pub(crate) fn write(directory: &Path) -> io::Result<()> {
    let body_words = bodies().iter().map(|body| String::from_utf8_lossy(body)).collect::<String>();
    let targets = [
        Seeds::new("line", lines(), keys()),
        Seeds::new("encode", values(), keys()),
        Seeds::new("config", configurations(), words(CONFIGURATION)),
        Seeds::new("player", histories(), words(&format!("{PROTOCOL}{MESSAGES}"))),
        Seeds::new("provisioning", files(), words(&format!("{PROVISIONING}{ELEMENTS}"))),
        Seeds::new("ts", streams(), BTreeSet::from(["G".to_owned()])),
        Seeds::new("stb", bodies(), words(&body_words)),
    ];
    targets.iter().try_for_each(|seeds| seeds.write(directory))
}

/// What one target starts from.
struct Seeds {
    target: &'static str,
    inputs: Vec<Vec<u8>>,
    dictionary: BTreeSet<String>,
}

impl Seeds {
    fn new(target: &'static str, inputs: Vec<Vec<u8>>, dictionary: BTreeSet<String>) -> Self {
        Self { target, inputs, dictionary }
    }

    fn write(&self, directory: &Path) -> io::Result<()> {
        let own = directory.join(self.target);
        let inputs = own.join("seeds");
        // What another version of this program wrote is of no use any more.
        if inputs.exists() {
            fs::remove_dir_all(&inputs)?;
        }
        fs::create_dir_all(&inputs)?;
        for (n, input) in self.inputs.iter().enumerate() {
            fs::write(inputs.join(n.to_string()), input)?;
        }
        let quoted = |word: &String| format!("\"{}\"\n", word.replace('\\', "\\\\").replace('"', "\\\""));
        fs::write(own.join("dictionary"), self.dictionary.iter().map(quoted).collect::<String>())
    }
}

/// The first example of a page that has `mark` behind its backticks.
fn page(page: &str, mark: &str) -> String {
    let block = page.split("```").nth(1).unwrap_or_default();
    let lines = block.lines().skip(1).filter_map(|line| line.strip_prefix("//!"));
    let text: Vec<_> = lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    assert!(block.starts_with(mark) && text.len() > 3, "the page has an example");
    text.join("\n")
}

/// The words of a text that look like names: of elements, attributes, fields, values.
fn words(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_part(c)).filter(|word| (2..=40).contains(&word.len()));
    let names = words.filter(|word| {
        text.contains(&format!("\"{word}\""))
            || text.contains(&format!("<{word}"))
            || text.contains(&format!(" {word}="))
            || text.contains(&format!("`{word}`"))
    });
    names.map(str::to_owned).collect()
}

/// A provisioning file, and tables of elements.
fn files() -> Vec<Vec<u8>> {
    let texts = [page(PROVISIONING, "xml"), page(ELEMENTS, "toml"), BUILTIN_ELEMENTS.to_owned()];
    texts.map(String::into_bytes).to_vec()
}

fn keys() -> BTreeSet<String> {
    Metric::ALL
        .iter()
        .flat_map(|metric| [format!("~{}=", metric.key()), format!("~{}=", metric.name())])
        .collect()
}

/// Every key with a value of its kind, as its published form has it.
fn lines() -> Vec<Vec<u8>> {
    let examples = [
        "https://ma.example/9.gif?a=P~b=0123~c=6f1c~e=3~f=R~g=0~w=12345~dx=5.04~m=PL~x=5000~y=5000~z=0~u=3",
        "a=P~n=15000000.5:30~o=1:2~db=3:4~dm=0.5:10~dl=42~av=1920*1080~au=960*540~eb=1:1,2:1,3:1.56~em=3:6500,7:12000",
        "a=P~fg=2,1,3,0~fh=0,0,0,1~fb=3~df=208.667:1094,195.292:2406~di=06.771-206.771,211.648-362.125",
        "a=P~dj=S(206.771:28924-206.771:29924),P(208.667:31893),R(208.833:32987)~rs=1:0;0:12;500:40;",
        "a=P~fi=170800:32000:66749:0011:1,-:11891:25432::1~fj=130800:11891,170800:78749~fk=U:0,S:9197,Q:0,D:21023~fl=3402823669209:7",
        "a=S~gb=ad7:0:0:812:15000:4:0:15000:Cars*@* fast:auto:p1:ads.example:prime:motor:~so=fbs:1,tws:2",
        "a=C~xa=Play.End.Detected~g=1~ss=100:20:5:6000:3:a.example:b.example:2001*@*db8:1~_cd_1000=2%20rooms~tt=L%C3%A4uft%20100%25",
        "eventCode=P~sequenceId=4~playClockTime=5000~",
        "a=I~e=0~za=1~zb=2~tt=One\na=I~e=0~za=2~zb=2~aw=http://a.example/x%3Fy",
    ];
    let mut lines: Vec<Vec<u8>> = examples.map(|line| line.as_bytes().to_vec()).to_vec();
    lines.push(
        Metric::ALL
            .iter()
            .map(|metric| format!("{}=1", metric.key()))
            .collect::<Vec<_>>()
            .join("~")
            .into_bytes(),
    );
    lines
}

/// Values that are hard to write.
fn values() -> Vec<Vec<u8>> {
    let texts = "box\n~*@*~\n*%40*%\na=b&c?d#e+f g\nhttp://a.example:80/x/y.m3u8?token=1\n\u{e4}\u{2013}\u{1f4fa}\n1:2,3:4,5:6\n0:-1;10:20;\n";
    let long = "x".repeat(900) + "\n" + &"1:2,".repeat(200) + "\n" + &"\u{e9}".repeat(300);
    let all = (0..8).flat_map(|event| (0..5).map(move |limit| (event, limit)));
    all.map(|(event, limit)| [&[event, limit][..], texts.repeat(6).as_bytes(), long.as_bytes()].concat())
        .collect()
}

fn configurations() -> Vec<Vec<u8>> {
    let builtin = builtin_text();
    let short: String = builtin
        .lines()
        .filter(|line| !line.contains("<data key=\"e") && !line.contains("<data key=\"d"))
        .collect();
    let other = "<AkamaiPlayerAnalyticsConfig><logTo urlParamSeparator=\"&amp;\" encodedParamSeparator=\"!!\" maxLogLineLength=\"256\"/>\
        <statistics useKey=\"0\"><common><dataMetrics><data key=\"a\" name=\"eventCode\"/><data name=\"title\" value=\"x\" size=\"3\" fallback=\"streamName\"/>\
        </dataMetrics></common><visit eventCode=\"V\"><dataMetrics><data name=\"visitStart\" doLog=\"0\"/></dataMetrics></visit></statistics></AkamaiPlayerAnalyticsConfig>";
    vec![page(CONFIGURATION, "xml").into_bytes(), short.into_bytes(), other.as_bytes().to_vec()]
}

/// The page's two examples, by time and mixed with what else befalls a box.
fn histories() -> Vec<Vec<u8>> {
    let blocks = [1, 3].map(|n| PROTOCOL.split("```").nth(n).unwrap_or_default());
    let mut messages: Vec<String> = Vec::new();
    for line in
        blocks.iter().flat_map(|block| block.lines().skip(1)).filter_map(|line| line.strip_prefix("//! "))
    {
        match messages.last_mut() {
            Some(message) if !line.starts_with('{') => message.push_str(line.trim_start()),
            _ => messages.push(line.to_owned()),
        }
    }
    let read = |text: &String| Message::decode(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}"));
    messages.sort_by_key(|text| read(text).at);
    let (first, second) = messages.split_at(messages.len() / 2);
    let resume = "{\"v\":1,\"type\":\"resume\",\"at\":82450,\"session\":\"412-1\",\"totals\":{\"join\":12,\"started\":true,\"startup\":12,\"playing\":500,\"bitrate\":1000000}}";
    let open =
        "{\"v\":1,\"type\":\"open\",\"at\":80000,\"session\":\"412-1\",\"url\":\"http://a.example/b.m3u8\"}";
    let answer = "<{\"seq\":0,\"err\":\"ok\",\"clid\":\"1.2.3.4\",\"gw\":\"https://hb2.example\",\"cfg\":{\"hbi\":5,\"maxhbinfos\":3}}";
    vec![
        messages.join("\n").into_bytes(),
        [&first.join("\n"), "+30000", answer, &second.join("\n"), "+700000"].join("\n").into_bytes(),
        [&first.join("\n"), "!", "@1", open, resume, &second.join("\n"), "+90000000"].join("\n").into_bytes(),
        [
            open,
            "{\"v\":1,\"type\":\"state\",\"at\":80000,\"session\":\"412-1\",\"state\":\"playing\"}",
            "{\"v\":1,\"type\":\"first_frame\",\"at\":80100,\"session\":\"412-1\"}",
            "+25000",
            "{\"v\":1,\"type\":\"buffering\",\"at\":1,\"session\":\"412-1\",\"percent\":3}",
            "+601000",
            "+9",
        ]
        .join("\n")
        .into_bytes(),
    ]
}

fn streams() -> Vec<Vec<u8>> {
    let mut muxer = Muxer::new();
    let mut packets: Vec<_> = (0..24).map(|n| muxer.next(if n % 3 == 0 { 0x101 } else { 0x100 })).collect();
    packets.insert(5, packets[4]);
    packets.insert(9, muxer.adaptation_only(0x100));
    packets.insert(11, packets[10].discontinuity());
    packets.remove(14);
    packets[17] = packets[17].bad_sync();
    for second in 0..3 {
        packets.push(muxer.next(0).section(&pat_section(second / 2, &[(1, 0x20)])));
        packets.push(muxer.next(0x20).section(&pmt_section(1, 0x100, &[(0x1b, 0x100), (0x0f, 0x101)])));
        packets.push(muxer.next(0x100).clock(u64::from(second) * 27_000_000).pes(90_000));
        packets.push(muxer.next(0x101).scrambled());
    }
    let mut streams: Vec<Vec<u8>> =
        [188, 192, 204].map(|stride| [&[2, 60, 7, 255][..], &mux(&packets, stride)].concat()).to_vec();
    for stride in 0..3 {
        let headers = packets.iter().flat_map(|packet| packet.bytes()[..8].to_vec());
        streams.push([1 | 2 | stride << 2, 60, 7, 255].into_iter().chain(headers).collect());
    }
    streams
}

/// Reports of both kinds, and one as careless devices send it.
fn bodies() -> Vec<Vec<u8>> {
    let wall =
        stbeacon_core::time::WallAnchor { at: stbeacon_core::time::Millis(0), unix_ms: 1_700_000_000_000 };
    let network = Network {
        name: "eth0".into(),
        speed: 100,
        duplex: Duplex::Full,
        ip: Some([192, 0, 2, 7].into()),
        ..Network::default()
    };
    let mut measured = vec![Measured::Network { at: stbeacon_core::time::Millis(5000), network }];
    let mut sessions = stbeacon_core::session::Sessions::new();
    for history in histories() {
        for line in history.split(|byte| *byte == b'\n') {
            if let Ok(message) = Message::decode(line) {
                let _ = sessions.handle_message(message.at, stbeacon_core::session::Peer(1), message);
            }
        }
        while let Some(snapshot) = sessions.poll_snapshot() {
            for extended in [false, true] {
                measured
                    .push(Measured::media(&snapshot, &MediaOptions { extended, ..MediaOptions::default() }));
            }
        }
    }
    let reports: Vec<_> = measured.into_iter().map(|measured| measured.stamp(&wall)).collect();
    let mut bodies: Vec<_> =
        reports.iter().map(|report| encode_batch(std::slice::from_ref(report))).collect();
    bodies.push(encode_batch(&reports));
    let careless = String::from_utf8_lossy(&bodies[0])
        .replace("\"timestamp\":1700000005", "\"timestamp\":\"1700000005\"")
        .replace("}}]", "},}");
    bodies.push(careless.into_bytes());
    bodies
}
