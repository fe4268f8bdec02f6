//! What viewers do, and what their boxes say of it.
//!
//! Only what viewers do is made up. It is told to core's session model, message by message, as a player would tell it;
//! what comes out of that model goes through core's report, core's channel of lines or core's heartbeats.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use stbeacon_core::beacon::{Channel, Identity};
use stbeacon_core::heartbeat::{Heartbeats, Platform, Settings};
use stbeacon_core::line::config::Config;
use stbeacon_core::player::Message;
use stbeacon_core::provisioning::HttpUrl;
use stbeacon_core::session::{Peer, Sessions};
use stbeacon_core::stb::{MediaOptions, MediaReport, Report, encode_batch};
use stbeacon_core::time::{Millis, WallAnchor};

use super::random::Random;

/// When sessions begin, by the clock of a box that has just been switched on, in ms.
const BEGIN: u64 = 1_000;
/// Models of boxes, and what runs on them.
const MODELS: [(&str, &str); 5] = [
    ("STB-100", "1.8.2"),
    ("STB-100", "1.9.0"),
    ("STB-200", "2.1.0"),
    ("STB-200 HDR", "2.1.0"),
    ("Stick", "0.9.7"),
];
/// Nominal bit rates of renditions, in bit/s.
const RATES: [u64; 3] = [1_500_000, 3_000_000, 6_000_000];
/// Pictures a second.
const FPS: u64 = 25;
/// Time between two heartbeats, in ms.
const BEAT_INTERVAL: Millis = Millis::from_secs(20);

/// Read once: lines of all boxes are made by the same configuration.
static CONFIG: LazyLock<Config> = LazyLock::new(Config::builtin);

/// How a box tells of its sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// One STB report at the end.
    Reports,
    /// Media Analytics lines.
    Lines,
    /// Heartbeats.
    Heartbeats,
}

/// A request of a box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// The body of a `POST`.
    Report(Vec<u8>),
    /// What stands behind the `?` of a `GET`.
    Line(String),
    /// The body of a `POST …/0/wsg`.
    Beat(String),
}

/// A session, as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Telling {
    pub(crate) source: Source,
    /// The box's address.
    pub(crate) mac: String,
    /// What is told, and how many ms after the attempt began.
    pub(crate) requests: Vec<(u64, Told)>,
}

/// What a viewer did: a player's messages, when they were, and when the last was.
struct Viewing {
    messages: Vec<(u64, String)>,
    end: u64,
}

/// What becomes of a session's journal.
enum Teller {
    Reports,
    Lines(Box<Channel>),
    Heartbeats(Box<Heartbeats>),
}

// === impl Source ===

impl Source {
    pub(crate) const ALL: [Self; 3] = [Self::Reports, Self::Lines, Self::Heartbeats];

    /// Its name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Reports => "reports",
            Self::Lines => "lines",
            Self::Heartbeats => "heartbeats",
        }
    }

    /// Of a box in a fleet of which a third tells it in each way: a box keeps to one.
    pub(crate) const fn of(device: u64) -> Self {
        match device % 3 {
            0 => Self::Reports,
            1 => Self::Lines,
            _ => Self::Heartbeats,
        }
    }
}

// === impl Telling ===

impl Telling {
    /// Session `number` of a load that is known by `run`, on one of so many boxes; `wall` says what time it is when it ends
    /// or begins, `longest` is in seconds. `None` where core does not take what was made up.
    pub(crate) fn make(
        run: u64,
        number: u64,
        device: u64,
        source: Source,
        longest: u64,
        wall: &dyn Fn(Millis, Millis) -> WallAnchor,
    ) -> Option<Self> {
        let mut random = Random::new(run ^ number);
        let Viewing { messages, end } = viewing(&format!("{run}-{number}"), longest, &mut random);
        let wall = wall(Millis(BEGIN), Millis(end));
        let mut sessions = Sessions::new();
        sessions.set_journal(source != Source::Reports);
        let mut teller = Teller::new(source, device, &mut random)?;
        let mut requests = Vec::new();
        for (at, text) in messages {
            let at = Millis(at);
            let mut last = Millis(0);
            // What falls due before that, as the daemon's loop would see it.
            while let Some(due) = teller.poll_timeout().filter(|due| *due < at && *due > last) {
                sessions.settle(due);
                teller.turn(&mut sessions, due, &wall, &mut random, &mut requests);
                last = due;
            }
            let message = Message::decode(text.as_bytes()).ok()?;
            sessions.handle_message(at, Peer(1), message).ok()?;
            teller.turn(&mut sessions, at, &wall, &mut random, &mut requests);
        }
        if source == Source::Reports {
            let options = MediaOptions { extended: true, ..MediaOptions::default() };
            let report = MediaReport::from_snapshot(&sessions.poll_snapshot()?, &wall, &options);
            requests.push((end - BEGIN, Told::Report(encode_batch(&[Report::Media(report)]))));
        }
        Some(Self { source, mac: mac(device), requests })
    }
}

// === impl Teller ===

impl Teller {
    fn new(source: Source, device: u64, random: &mut Random) -> Option<Self> {
        let model = usize::try_from(device).unwrap_or(0) % MODELS.len();
        let (model, firmware) = MODELS.get(model).copied().unwrap_or_default();
        Some(match source {
            Source::Reports => Self::Reports,
            Source::Lines => {
                let identity = Identity {
                    viewer_id: mac(device),
                    player_id: "load".to_owned(),
                    plugin_version: env!("CARGO_PKG_VERSION").to_owned(),
                    os: "Linux".to_owned(),
                    full_os: firmware.to_owned(),
                    device: model.to_owned(),
                    ..Identity::default()
                };
                let mut channel = Channel::new(identity);
                channel.set_config(CONFIG.clone(), &mut || random.wide());
                Self::Lines(Box::new(channel))
            }
            Source::Heartbeats => {
                let text = |text: &str| text.to_owned();
                let platform = Platform {
                    dvm: text(model),
                    dvv: text(firmware),
                    os: text("Linux"),
                    cat: text("STB"),
                    ..Platform::default()
                };
                // Where they go is the load's business.
                let gateway = HttpUrl::parse("http://localhost/").ok()?;
                let settings = Settings {
                    gateway,
                    customer_key: text("load"),
                    interval: BEAT_INTERVAL,
                    platform,
                    client_version: text(env!("CARGO_PKG_VERSION")),
                    viewer_id: mac(device),
                    player_name: text("load"),
                    tags: BTreeMap::new(),
                    client_id: text("0.0.0.0"),
                };
                Self::Heartbeats(Box::new(Heartbeats::new(settings, &mut || random.wide())))
            }
        })
    }

    fn poll_timeout(&self) -> Option<Millis> {
        match self {
            Self::Reports => None,
            Self::Lines(channel) => channel.poll_timeout(),
            Self::Heartbeats(beats) => beats.poll_timeout(),
        }
    }

    /// Takes what has come, and tells what is due.
    fn turn(
        &mut self,
        sessions: &mut Sessions,
        now: Millis,
        wall: &WallAnchor,
        random: &mut Random,
        requests: &mut Vec<(u64, Told)>,
    ) {
        let mut random = || random.wide();
        while let Some(entry) = sessions.poll_entry() {
            match self {
                Self::Reports => {}
                Self::Lines(channel) => channel.handle_entry(&entry, &mut random),
                Self::Heartbeats(beats) => beats.handle_entry(&entry, &mut random),
            }
        }
        let after = |at: Millis| at.0.saturating_sub(BEGIN);
        match self {
            Self::Reports => {}
            Self::Lines(channel) => {
                channel.handle_timeout(now);
                while let Some(line) = channel.poll_line() {
                    requests.push((after(line.at), Told::Line(line.text)));
                }
            }
            Self::Heartbeats(beats) => {
                while let Some(request) = beats.poll_request(now, wall) {
                    requests.push((after(now), Told::Beat(request.body)));
                    // It arrives; the load sees to that.
                    beats.keep_waiting(|_| false);
                }
            }
        }
    }
}

/// A session that lasts for `longest` seconds at most, from its attempt on.
fn viewing(id: &str, longest: u64, random: &mut Random) -> Viewing {
    let within = |ms: u64| ms.min(longest.saturating_mul(1000) / 2).max(1);
    // The first channels are watched most.
    let channel = random.below(200).min(random.below(200));
    let host = random.below(3);
    let mut messages = Vec::new();
    let mut at = BEGIN;
    let mut tell = |at: u64, text: &str| {
        messages.push((at, format!(r#"{{"v":1,"at":{at},"session":"{id}",{text}}}"#)));
    };
    let address = format!("http://cdn-{host}.example/{channel}.m3u8");
    tell(at, &format!(r#""type":"open","url":"{address}","proto":"ott","id":"{channel}""#));
    let live = channel % 4 != 0;
    tell(at, &format!(r#""type":"asset","title":"Channel {channel}","asset":"{channel}","live":{live}"#));
    tell(at, &format!(r#""type":"delivery","cdn":"cdn-{host}""#));
    tell(at, r#""type":"state","state":"playing""#);
    let fate = random.below(100);
    at += within(300 + random.below(2_500));
    let reason = if fate < 2 {
        tell(at, r#""type":"error","code":"http-404","message":"not found","fatal":true"#);
        "error"
    } else if fate < 4 {
        "stop"
    } else {
        let rate = usize::try_from(random.below(3)).ok().and_then(|place| RATES.get(place)).copied();
        let rate = rate.unwrap_or_default();
        tell(at, &format!(r#""type":"bitrate","bitrate":{rate},"width":1280,"height":720"#));
        tell(at, r#""type":"first_frame""#);
        let joined = at;
        at += within(10_000 + random.below(longest.saturating_mul(1000).saturating_sub(10_000).max(1)));
        let mut waited = 0;
        let dropped = random.below(20).saturating_sub(15);
        let gaps = random.below(10).saturating_sub(8);
        let stalls = random.below(8).saturating_sub(5);
        for _ in 0..stalls {
            let waits = within(200 + random.below(4_000));
            tell(at, &counters(at - joined - waited, 0, 0));
            tell(at, r#""type":"buffering","percent":0"#);
            at += waits;
            waited += waits;
            tell(at, r#""type":"buffering","percent":100"#);
            at += within(5_000 + random.below(longest.saturating_mul(500).max(1)));
        }
        tell(at, &counters(at - joined - waited, dropped, gaps));
        if fate < 7 {
            tell(at, r#""type":"error","code":"decode","message":"no more","fatal":true"#);
            "error"
        } else {
            "stop"
        }
    };
    tell(at, &format!(r#""type":"close","reason":"{reason}""#));
    Viewing { messages, end: at }
}

fn counters(played: u64, dropped: u64, gaps: u64) -> String {
    let decoded = played * FPS / 1000;
    format!(
        r#""type":"counters","video":{{"decoded":{decoded},"dropped":{dropped}}},"fps":{FPS},"position":{played},"discontinuities":{gaps}"#
    )
}

/// Locally administered, so nobody's.
fn mac(device: u64) -> String {
    let [_, _, _, _, _, a, b, c] = device.to_be_bytes();
    format!("02:00:00:{a:02x}:{b:02x}:{c:02x}")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn make(number: u64, source: Source, longest: u64) -> Telling {
        let wall = |_: Millis, end: Millis| WallAnchor { at: end, unix_ms: 1_700_000_000_000 };
        Telling::make(7, number, number, source, longest, &wall).unwrap()
    }

    #[rstest]
    fn every_session_comes_to_its_end(
        #[values(Source::Reports, Source::Lines, Source::Heartbeats)] source: Source,
        #[values(1, 600, 7200)] longest: u64,
    ) {
        for number in 0..200 {
            let Telling { requests, .. } = make(number, source, longest);
            assert!(requests.is_sorted_by_key(|(at, _)| *at), "{number}");
            let (at, last) = requests.last().unwrap();
            assert!(*at <= longest * 1000 * 5, "{number}: {at} ms");
            let (text, ends): (String, &[&str]) = match last {
                Told::Report(body) => (String::from_utf8(body.clone()).unwrap(), &["close_reason"]),
                Told::Line(text) => (text.clone(), &["a=C~", "a=E~"]),
                Told::Beat(body) => (body.clone(), &["CwsSessionEndEvent"]),
            };
            assert!(ends.iter().any(|end| text.contains(end)), "{number}: {text}");
        }
    }

    #[test]
    fn long_sessions_are_told_on_the_way() {
        let most = |source| (0..50).map(|number| make(number, source, 1800).requests.len()).max().unwrap();
        assert_eq!(most(Source::Reports), 1);
        assert!(most(Source::Lines) >= 6, "{}", most(Source::Lines));
        assert!(most(Source::Heartbeats) >= 60, "{}", most(Source::Heartbeats));
    }
}
