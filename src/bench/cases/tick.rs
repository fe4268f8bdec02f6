//! What a playing session costs twice a second.

use std::fmt::Write as _;
use std::hint::black_box;

use stbeacon_core::beacon::{Channel, Identity};
use stbeacon_core::line::config::Config;
use stbeacon_core::player::Message;
use stbeacon_core::session::{Peer, Sessions};
use stbeacon_core::time::Millis;

use super::Case;
use super::line::as_f64;

/// A session that plays.
struct Playing {
    sessions: Sessions,
    channel: Channel,
    now: Millis,
    /// Its datagram of counters.
    datagram: String,
}

/// A datagram of counters, read, taken into the session's books and into those of a channel of lines, and whatever is
/// due then.
pub(crate) fn tick() -> Case {
    let mut playing = Playing::new();
    playing.write();
    let again = playing.datagram.clone();
    Case {
        what:
            "half a second of a playing session, with lines: its counters read and booked, what is due done"
                .into(),
        unit: "tick",
        units: 1,
        bytes: as_f64(again.len()),
        work: Box::new(move || playing.tick()),
        peer: "serde_json::Value of the datagram alone",
        peer_work: Box::new(move || {
            black_box(serde_json::from_str::<serde_json::Value>(black_box(&again)).ok());
        }),
    }
}

// === impl Playing ===

impl Playing {
    fn new() -> Self {
        let mut playing = Self {
            sessions: Sessions::new(),
            channel: Channel::new(Identity { viewer_id: "box-1".into(), ..Identity::default() }),
            now: Millis(0),
            datagram: String::with_capacity(1024),
        };
        playing.channel.set_config(Config::builtin(), &mut || 1);
        playing.sessions.set_journal(true);
        for fields in [
            r#""type":"open","url":"https://cdn-a.example:8443/vod/film/master.m3u8""#,
            r#""type":"state","state":"playing""#,
            r#""type":"first_frame""#,
            r#""type":"bitrate","bitrate":4200000,"width":1280,"height":720"#,
        ] {
            let text = format!(r#"{{"v":1,"at":0,"session":"412-1",{fields}}}"#);
            playing.take(text.as_bytes());
        }
        playing
    }

    fn tick(&mut self) {
        self.now = self.now + Millis(500);
        self.write();
        let datagram = std::mem::take(&mut self.datagram);
        self.take(black_box(datagram.as_bytes()));
        self.datagram = datagram;
        self.sessions.handle_timeout(self.now);
        black_box(self.sessions.poll_snapshot());
        self.channel.handle_timeout(self.now);
        while let Some(line) = self.channel.poll_line() {
            self.channel.give_back(black_box(line));
        }
        black_box((self.sessions.poll_timeout(), self.channel.poll_timeout()));
    }

    fn write(&mut self) {
        let (now, seconds) = (self.now.0, self.now.0 / 1000);
        self.datagram.clear();
        write!(
            self.datagram,
            r#"{{"v":1,"type":"counters","at":{now},"session":"412-1","video":{{"decoded":{},"dropped":2,"failed":1,"corrupted":0,"lost":0}},"audio":{{"decoded":{},"dropped":0,"failed":0,"corrupted":0,"lost":0}},"bytes":{},"discontinuities":3,"lost_packets":5,"fragment_jumps":0,"sync_losses":0,"sync_byte_errors":0,"transport_errors":0,"scrambled_packets":0,"ts":"seen","position":{now},"duration":3600000,"buffer":4900,"fps":24.96}}"#,
            seconds * 25,
            seconds * 47,
            seconds * 525_000,
        )
        .expect("text can be written to text");
    }

    fn take(&mut self, datagram: &[u8]) {
        let message = Message::decode(datagram).expect("a message of the protocol");
        self.sessions.handle_message(self.now, Peer(1), message).expect("one that makes sense");
        while let Some(entry) = self.sessions.poll_entry() {
            self.channel.handle_entry(&entry, &mut || 1);
        }
    }
}
