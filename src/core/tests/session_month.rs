//! One session that plays for a month, with lines and heartbeats of it: what it holds in memory, and what its totals
//! and the sums over its lines come to.
//!
//! A program of its own, because a counting allocator holds for a whole program.

#![expect(clippy::expect_used, reason = "helpers of tests are tests")]

mod heap;

use std::collections::BTreeMap;

use stbeacon_core::beacon::{Channel, Identity};
use stbeacon_core::heartbeat::{Heartbeats, Platform, Settings};
use stbeacon_core::line::config::{Config, builtin_text};
use stbeacon_core::line::decode::Line;
use stbeacon_core::line::keys::Metric;
use stbeacon_core::player::Message;
use stbeacon_core::provisioning::HttpUrl;
use stbeacon_core::session::{Peer, Sessions, Totals};
use stbeacon_core::time::{Millis, WallAnchor};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
/// In which everything happens once.
const CYCLE: u64 = 10 * MINUTE;
const DAY: u64 = 24 * 3_600 * SECOND;

/// What happens in each cycle, with its time in it; `HEAD` is somewhere in the stream.
const HISTORY: &[(u64, &str)] = &[
    (60_000, r#""type":"state","state":"paused""#),
    (90_000, r#""type":"state","state":"playing""#),
    (120_000, r#""type":"buffering","percent":0"#),
    (123_000, r#""type":"buffering","percent":100"#),
    (200_000, r#""type":"seek","phase":"start","from":FROM,"to":HEAD"#),
    (202_000, r#""type":"seek","phase":"end","from":FROM,"to":HEAD"#),
    (300_000, r#""type":"switching","reasons":["bandwidth"]"#),
    (300_200, r#""type":"bitrate","bitrate":RATE"#),
    (350_000, r#""type":"window","full_screen":true"#),
    (380_000, r#""type":"window","full_screen":false"#),
    (400_000, r#""type":"ad","phase":"load","id":"spot-NUMBER","title":"Soap""#),
    (400_400, r#""type":"ad","phase":"start","id":"spot-NUMBER""#),
    (415_400, r#""type":"ad","phase":"end","id":"spot-NUMBER","status":"normal""#),
    (450_000, r#""type":"share","key":"fbs""#),
    (
        480_000,
        r#""type":"server_switch","duration":120,"rtt":18,"reason":"low_rtt","kind":"alternate_in_region","from":"a.example","to":"bNUMBER.example","ip":"192.0.2.8""#,
    ),
    (500_000, r#""type":"error","code":"resource-3","message":"odd NUMBER""#),
];

/// A box on which one session plays.
struct Playing {
    sessions: Sessions,
    channel: Channel,
    beats: Heartbeats,
    now: Millis,
    random: u128,
    /// Sums over the lines.
    sums: BTreeMap<Metric, u64>,
}

impl Playing {
    fn new() -> Self {
        let text = builtin_text().replace("\"2048\"", "\"60000\"");
        let mut channel = Channel::new(Identity { viewer_id: "box-1".into(), ..Identity::default() });
        channel.set_config(Config::parse(&text).expect("a configuration").config, &mut || 1);
        let settings = Settings {
            gateway: HttpUrl::parse("https://hb.example").expect("a URL"),
            customer_key: "K".to_owned(),
            interval: Millis(20 * SECOND),
            platform: Platform::default(),
            client_version: "1".to_owned(),
            viewer_id: "box-1".to_owned(),
            player_name: String::new(),
            tags: BTreeMap::new(),
            client_id: "0.0.0.0".to_owned(),
        };
        let mut sessions = Sessions::new();
        sessions.set_journal(true);
        let beats = Heartbeats::new(settings, &mut || 1);
        let mut playing = Self { sessions, channel, beats, now: Millis(0), random: 1, sums: BTreeMap::new() };
        for fields in [
            r#""type":"open","url":"http://a.example/vod/film/index.m3u8""#,
            r#""type":"state","state":"playing""#,
            r#""type":"first_frame""#,
            r#""type":"bitrate","bitrate":2000000"#,
        ] {
            playing.tell(fields);
        }
        playing
    }

    fn tell(&mut self, fields: &str) {
        let text = format!(r#"{{"v":1,"at":{},"session":"a",{fields}}}"#, self.now.0);
        let message = Message::decode(text.as_bytes()).expect("a message of the protocol");
        self.sessions.handle_message(self.now, Peer(1), message).expect("one that makes sense");
        self.turn();
    }

    /// Moves time on, stopping wherever a line or a heartbeat is due.
    fn advance(&mut self, to: Millis) {
        let due = |playing: &Self| {
            playing.channel.poll_timeout().into_iter().chain(playing.beats.poll_timeout()).min()
        };
        while let Some(due) = due(self).filter(|due| *due <= to) {
            self.now = self.now.max(due);
            self.sessions.settle(self.now);
            self.turn();
        }
        self.now = to;
    }

    fn turn(&mut self) {
        while let Some(entry) = self.sessions.poll_entry() {
            let mut random = || {
                self.random += 1;
                self.random
            };
            self.channel.handle_entry(&entry, &mut random);
            self.beats.handle_entry(&entry, &mut random);
        }
        self.channel.handle_timeout(self.now);
        while let Some(line) = self.channel.poll_line() {
            self.add(&line.text);
            self.channel.give_back(line);
        }
        let wall = WallAnchor { at: Millis(0), unix_ms: 1_700_000_000_000 };
        while let Some(beat) = self.beats.poll_request(self.now, &wall) {
            self.beats.handle_answer(self.now, self.now, beat.id, b"{\"err\":\"ok\"}").expect("an answer");
            self.beats.keep_waiting(|_| false);
        }
    }

    fn add(&mut self, line: &str) {
        let line = Line::read(line).expect("a line");
        assert_eq!(line.part(), None, "one that is not split");
        for metric in [Metric::PlayClockTime, Metric::RebufferTime, Metric::RebufferCount] {
            if let Some(value) = line.value(metric) {
                *self.sums.entry(metric).or_default() += value.parse::<u64>().expect("a number");
            }
        }
    }

    /// Ten minutes, with all that happens in them.
    fn cycle(&mut self, number: u64) {
        let began = self.now.0;
        // Two hours of film, and somewhere else in it each time.
        let head = |number: u64| number.wrapping_mul(2_654_435_761) % 7_200 * SECOND;
        let mut steps: Vec<(u64, String)> = HISTORY
            .iter()
            .map(|(at, fields)| {
                let text = fields
                    .replace("HEAD", &head(number).to_string())
                    .replace("FROM", &(head(number.wrapping_sub(1)) + 300 * SECOND).to_string())
                    .replace("RATE", &(1_000_000 + number % 5 * 700_000).to_string())
                    .replace("NUMBER", &number.to_string());
                (*at, text)
            })
            .collect();
        steps.extend((1..CYCLE / MINUTE).map(|minute| {
            let text = r#""type":"counters","bytes":15000000,"fps":25,"buffer":4000,"duration":7200000"#;
            (minute * MINUTE + 1, text.to_owned())
        }));
        steps.sort_by_key(|(at, _)| *at);
        for (at, text) in steps {
            self.advance(Millis(began + at));
            self.tell(&text);
        }
        self.advance(Millis(began + CYCLE));
    }
}

#[test]
fn a_month_of_playing_holds_no_more_than_half_an_hour() {
    let cycles = 30 * DAY / CYCLE;
    let mut held = Vec::with_capacity(4_400);
    let before = heap::start();
    let mut playing = Playing::new();
    for number in 0..cycles {
        playing.cycle(number);
        held.push(heap::held() - before);
    }
    let most = |range: std::ops::Range<usize>| held.get(range).and_then(|held| held.iter().max().copied());
    let (half_an_hour, day, month) = (most(0..3), most(0..144), most(0..held.len()));
    // Lines and heartbeats differ by a few digits.
    assert!(month <= half_an_hour.map(|held| held + 1_024));
    println!("bytes on the heap: {half_an_hour:?} in half an hour, {day:?} in a day, {month:?} in a month");

    let snapshot = playing.sessions.live(playing.now).next().expect("it plays");
    let Totals { playing: played, paused, rebuffering, rebuffers, seeking, seeks, ads, .. } = snapshot.totals;
    assert_eq!((rebuffers, seeks), (cycles, cycles));
    assert_eq!((paused.0, rebuffering.0), (cycles * 30 * SECOND, cycles * 3 * SECOND));
    assert_eq!((seeking.0, ads.0), (cycles * 2 * SECOND, cycles * 15_400));
    assert_eq!(played.0 + paused.0 + rebuffering.0 + seeking.0 + ads.0, 30 * DAY);

    playing.tell(r#""type":"close","reason":"stop""#);
    let sum = |metric| playing.sums.get(&metric).copied().unwrap_or_default();
    assert_eq!(sum(Metric::PlayClockTime), played.0);
    assert_eq!(sum(Metric::RebufferTime), rebuffering.0);
    assert_eq!(sum(Metric::RebufferCount), rebuffers);
}
