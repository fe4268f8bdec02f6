//! A session in whose interval everything happens that a playing line has a key for.

use stbeacon_core::beacon::{Channel, Identity};
use stbeacon_core::line::config::{Config, builtin_text};
use stbeacon_core::player::Message;
use stbeacon_core::session::{Peer, Sessions};
use stbeacon_core::time::Millis;

/// A session that has been lived through, and a channel that writes a playing line of all of it every second.
pub(crate) struct Busy {
    channel: Channel,
    now: Millis,
}

/// What happens, with the ms since the session was opened.
const HISTORY: &[(u64, &str)] = &[
    (0, r#""type":"open","url":"https://cdn-a.example:8443/vod/film/master.m3u8""#),
    (
        0,
        r#""type":"asset","title":"A film","show":"Films","category":"drama","sub_category":"short","event":"premiere","event_start":"20:15","event_end":"21:45","length":"90 min""#,
    ),
    (
        0,
        r#""type":"delivery","cdn":"ExampleCDN","server_ip":"192.0.2.7","connectivity":"ethernet","connect_time":38,"asm":true"#,
    ),
    (
        0,
        r#""type":"measures","throughput":6000000,"bandwidth":3000000,"audio_bandwidth":128000,"video_bandwidth":2800000,"data_bandwidth":1000,"live_delay":2.5,"rtt":31.5,"encoded_fps":25,"encoded_bitrate":2010000"#,
    ),
    (0, r#""type":"window","full_screen":true,"width":1920,"height":1080"#),
    (10, r#""type":"state","state":"playing""#),
    (900, r#""type":"bitrate","bitrate":2000000,"width":1280,"height":720"#),
    (1000, r#""type":"first_frame""#),
    (1000, r#""type":"counters","bytes":90000,"fps":24.96,"buffer":4900,"position":0,"duration":3600000"#),
    (20_000, r#""type":"switching","reasons":["bandwidth"]"#),
    (20_400, r#""type":"bitrate","bitrate":4500000"#),
    (40_000, r#""type":"state","state":"paused""#),
    (48_500, r#""type":"state","state":"playing""#),
    (48_600, r#""type":"buffering","percent":0"#),
    (49_900, r#""type":"buffering","percent":100"#),
    (60_000, r#""type":"seek","phase":"start","from":48800,"to":1500000"#),
    (60_800, r#""type":"seek","phase":"end","from":48800,"to":1500000"#),
    (80_000, r#""type":"buffering","percent":0"#),
    (112_000, r#""type":"buffering","percent":100"#),
    (112_000, r#""type":"switching","reasons":["buffer","bandwidth"]"#),
    (112_100, r#""type":"bitrate","bitrate":900000"#),
    (
        130_000,
        r#""type":"ad","phase":"load","id":"spot-9","duration":15000,"title":"Soap","category":"home","partner":"p-3","server":"ads.example","daypart":"prime","industry":"retail""#,
    ),
    (130_400, r#""type":"ad","phase":"start","id":"spot-9""#),
    (145_400, r#""type":"ad","phase":"end","id":"spot-9","status":"normal""#),
    (150_000, r#""type":"share","key":"fbs""#),
    (151_000, r#""type":"share","key":"tws""#),
    (
        160_000,
        r#""type":"server_switch","duration":120,"rtt":18,"reason":"low_rtt","from":"a.example","to":"b.example","ip":"192.0.2.8","kind":"alternate_in_region""#,
    ),
    (170_000, r#""type":"bitrate","bitrate":2000000"#),
    (200_000, r#""type":"seek","phase":"start","from":1600000,"to":700000"#),
    (200_700, r#""type":"seek","phase":"end","from":1600000,"to":700000"#),
    (230_000, r#""type":"state","state":"paused""#),
    (240_000, r#""type":"state","state":"playing""#),
    (
        301_000,
        r#""type":"counters","video":{"dropped":7},"bytes":90000000,"fps":24.96,"buffer":4900,"duration":3600000"#,
    ),
];

/// The playing line that the benchmarks are about.
pub(crate) fn playing_line() -> String {
    Busy::new(Config::MAX_LINE).line().first().cloned().unwrap_or_default()
}

impl Busy {
    /// With lines of at most `max_line` bytes.
    pub(crate) fn new(max_line: usize) -> Self {
        // Cumulative figures stay from one line to the next: each tells the whole interval again.
        let text = builtin_text()
            .replace("logInterval=\"300\"", "logInterval=\"1\"")
            .replace("\"relative\"", "\"cumulative\"")
            .replace("maxLogLineLength=\"2048\"", &format!("maxLogLineLength=\"{max_line}\""));
        let identity = Identity {
            viewer_id: "box-0123456789".into(),
            player_id: "tv".into(),
            player_type: "gst".into(),
            player_version: "1.22.0".into(),
            plugin_version: "0.1.0".into(),
            os: "Linux".into(),
            full_os: "Linux 6.1".into(),
            device: "model-5".into(),
            user_agent: "GStreamer souphttpsrc 1.22.0 libsoup/3.2.2".into(),
            ..Identity::default()
        };
        let mut channel = Channel::new(identity);
        let random = &mut || 0x0123_4567_89ab_4def_8123_4567_89ab_cdef;
        channel.set_config(Config::parse(&text).expect("the built-in configuration").config, random);
        let mut sessions = Sessions::new();
        sessions.set_journal(true);
        let mut now = Millis(0);
        for (at, fields) in HISTORY {
            now = Millis(*at);
            let text = format!(r#"{{"v":1,"at":{at},"session":"a",{fields}}}"#);
            let message = Message::decode(text.as_bytes()).expect("a message of the protocol");
            sessions.handle_message(now, Peer(1), message).expect("one that makes sense");
            while let Some(entry) = sessions.poll_entry() {
                channel.handle_entry(&entry, random);
            }
        }
        while channel.poll_line().is_some() {}
        Self { channel, now }
    }

    /// Lets a second go by, and gives the parts of the line that is due then to `take`.
    pub(crate) fn next(&mut self, mut take: impl FnMut(&str)) {
        self.now = self.now + Millis(1000);
        self.channel.handle_timeout(self.now);
        while let Some(line) = self.channel.poll_line() {
            take(&line.text);
            self.channel.give_back(line);
        }
    }

    /// The next line, in its parts.
    pub(crate) fn line(&mut self) -> Vec<String> {
        let mut parts = Vec::new();
        self.next(|part| parts.push(part.to_owned()));
        parts
    }
}
