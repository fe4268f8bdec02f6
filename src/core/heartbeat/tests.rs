use std::collections::VecDeque;

use insta::assert_snapshot;
use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::player::{
    Ad, AdPhase, Asset, Bitrate, Buffering, CloseReason, Counters, Event as Told, Message, Open, PlayerError,
    PlayerState, Seek, SeekPhase, SessionEvent, Share,
};
use crate::session::{Peer, Sessions};

const WALL: WallAnchor = WallAnchor { at: Millis(0), unix_ms: 1_700_000_000_000 };
const PLAY: SessionEvent = SessionEvent::State(PlayerState::Playing);
const STOP: SessionEvent = SessionEvent::Close(CloseReason::Stop);
const OK: &[u8] = br#"{"t":"CwsServerResponse","err":"ok","cfg":{}}"#;

/// A box whose time is moved by hand, and a service that answers as the test wishes.
struct Box {
    sessions: Sessions,
    beats: Heartbeats,
    now: Millis,
    random: u128,
    /// What was made and has not arrived.
    queue: VecDeque<Request>,
    /// What has arrived.
    heard: Vec<(Millis, String, Heartbeat)>,
    answer: Result<Vec<u8>, &'static str>,
}

impl Box {
    fn new() -> Self {
        let settings = Settings {
            gateway: HttpUrl::parse("http://hb.example/").unwrap(),
            customer_key: "KEY".into(),
            interval: Millis(20_000),
            platform: Platform {
                dvm: "model-5".into(),
                os: "Linux".into(),
                cat: "STB".into(),
                ..Platform::default()
            },
            client_version: "0.1.0".into(),
            viewer_id: "box-1".into(),
            player_name: "tv".into(),
            tags: [("site".to_owned(), "lab".to_owned())].into(),
            client_id: "0.0.0.0".into(),
        };
        let mut random = 0;
        let beats = Heartbeats::new(settings, &mut || {
            random += 1;
            random
        });
        let mut sessions = Sessions::new();
        sessions.set_journal(true);
        let (queue, heard) = (VecDeque::new(), Vec::new());
        Self { sessions, beats, now: Millis(0), random, queue, heard, answer: Ok(OK.to_vec()) }
    }

    fn at(&mut self, now: u64) -> &mut Self {
        let now = Millis(now);
        while let Some(due) = self.beats.poll_timeout().filter(|due| *due <= now) {
            self.now = self.now.max(due);
            self.turn();
        }
        self.now = now;
        self.send();
        self
    }

    fn listen(&mut self) {
        while let Some(entry) = self.sessions.poll_entry() {
            self.beats.handle_entry(&entry, &mut || {
                self.random += 1;
                self.random
            });
        }
    }

    fn turn(&mut self) {
        self.sessions.settle(self.now);
        self.listen();
        while let Some(request) = self.beats.poll_request(self.now, &WALL) {
            assert_eq!(RequestId::of(&request.body), Some(request.id));
            self.queue.push_back(request);
            self.send();
        }
    }

    /// What waits goes in order, and stays where it does not arrive.
    fn send(&mut self) {
        while let Some(Request { id, body }) = self.queue.front() {
            let Ok(answer) = self.answer.clone() else {
                self.beats.handle_failure(*id, self.answer.as_ref().unwrap_err());
                break;
            };
            self.heard.push((self.now, self.beats.url(), serde_json::from_str(body).unwrap()));
            let _ = self.beats.handle_answer(self.now + Millis(35), self.now, *id, &answer);
            self.queue.pop_front();
        }
        self.beats.keep_waiting(|sid| self.queue.iter().any(|request| request.id.sid == sid));
    }

    fn ok(&mut self, event: SessionEvent) -> &mut Self {
        let event = Told::Session(SessionId::try_new("a").unwrap(), event);
        self.sessions.handle_message(self.now, Peer(1), Message { at: self.now, event }).unwrap();
        self.turn();
        self
    }

    /// What has arrived, a heartbeat a line: time, sid, seq, state, then its events.
    fn course(&self) -> Vec<String> {
        let event = |event: &Event| match &event.kind {
            EventKind::StateChange { new, .. } => match (new.ps, new.br) {
                (Some(ps), _) => format!("ps{ps}"),
                (_, Some(br)) => format!("br{br}"),
                _ => "?".to_owned(),
            },
            EventKind::Error { err, ft } => format!("{err}{}", if *ft { "!" } else { "" }),
            EventKind::Seek { act, .. } => format!("{act:?}").to_lowercase(),
            EventKind::Custom { name, .. } => name.clone(),
            EventKind::SessionEnd {} => "end".to_owned(),
        };
        let line = |(at, _, beat): &(Millis, String, Heartbeat)| {
            let events: Vec<_> = beat.evs.iter().map(event).collect();
            format!("{at} {}/{} ps{} [{}]", beat.sid, beat.seq, beat.ps, events.join(" "))
        };
        self.heard.iter().map(line).collect()
    }
}

fn open() -> SessionEvent {
    SessionEvent::Open(Open {
        url: "http://a.example/a.m3u8".into(),
        proto: String::new(),
        id: "n-2207".into(),
    })
}

fn seek(phase: SeekPhase) -> SessionEvent {
    SessionEvent::Seek(Seek { phase, from: Some(5_000), to: Some(60_000), rate: 1.0 })
}

fn error(fatal: bool) -> SessionEvent {
    SessionEvent::Error(PlayerError { code: "http-500".into(), message: String::new(), fatal })
}

/// Plays from 1000 on.
fn plays(b: &mut Box) -> &mut Box {
    b.at(100).ok(open()).ok(PLAY);
    b.at(1000).ok(SessionEvent::FirstFrame)
}

#[test]
fn a_session_on_the_wire() {
    let mut b = Box::new();
    plays(&mut b);
    b.ok(SessionEvent::Bitrate(Bitrate { bitrate: 2_000_000, width: Some(1280), height: Some(720) }));
    b.ok(SessionEvent::Asset(std::boxed::Box::new(Asset {
        title: Some("Evening news".into()),
        ..Asset::default()
    })));
    let counters =
        Counters { fps: Some(24.96), buffer: Some(900), duration: Some(600_000), ..Counters::default() };
    b.at(1500).ok(SessionEvent::Counters(counters));
    b.at(6000).ok(seek(SeekPhase::Start));
    b.at(6500).ok(seek(SeekPhase::End));
    b.at(7000).ok(error(false)).ok(SessionEvent::Share(Share { key: "fbs".into() }));
    b.at(15_000).ok(STOP);
    let bodies = b
        .heard
        .iter()
        .map(|(at, url, beat)| format!("{at} POST {url}\n{}", serde_json::to_string_pretty(beat).unwrap()));
    assert_snapshot!(bodies.map(|body| body + "\n").collect::<String>());
    assert!(b.beats.poll_timeout().is_none());
}

#[test]
fn at_once_then_every_interval_then_whenever_it_matters() {
    let mut b = Box::new();
    b.at(100).ok(open()).ok(PLAY);
    b.at(45_000).ok(SessionEvent::FirstFrame);
    b.at(70_000).ok(error(false));
    b.at(80_000).ok(error(true));
    b.at(80_100).ok(SessionEvent::Close(CloseReason::Error));
    assert_eq!(
        b.course(),
        [
            "0.100 s 2/0 ps100 []",
            "20.100 s 2/1 ps6 [ps6]",
            "40.100 s 2/2 ps6 []",
            "45.000 s 2/3 ps3 [ps3]",
            "65.000 s 2/4 ps3 []",
            "80.000 s 2/5 ps3 [http-500 http-500!]",
            "80.100 s 2/6 ps1 [ps1 end]",
        ]
    );
}

#[test]
fn an_ad_has_a_session_of_its_own() {
    let mut b = Box::new();
    plays(&mut b);
    let mut ad = Ad::new(AdPhase::Start, "spot");
    ad.duration = Some(15_000);
    b.at(5000).ok(SessionEvent::Ad(std::boxed::Box::new(ad)));
    b.at(12_000).ok(SessionEvent::Ad(std::boxed::Box::new(Ad::new(AdPhase::End, ""))));
    b.at(13_000).ok(STOP);
    assert_eq!(
        b.course(),
        [
            "0.100 s 2/0 ps100 []",
            "1.000 s 2/1 ps3 [ps6 ps3]",
            "5.000 s 3/0 ps3 [ps3]",
            "12.000 s 3/1 ps1 [ps1 end]",
            "13.000 s 2/2 ps1 [ps98 ps3 ps1 end]",
        ]
    );
    let (_, _, ad) = &b.heard[2];
    assert_eq!((ad.ad, ad.tags["c3.csid"].as_str(), ad.an.as_str(), ad.cl), (true, "2", "spot", Some(15)));
    assert!(b.heard.iter().all(|(_, _, beat)| beat.ad == (beat.sid == 3) && beat.iid == 1));
}

#[test]
fn what_did_not_arrive_is_followed_only_by_what_tells_something_new() {
    let mut b = Box::new();
    plays(&mut b);
    b.answer = Err("503");
    b.at(3000).ok(seek(SeekPhase::Start)).ok(seek(SeekPhase::End));
    b.at(50_000).ok(error(false));
    // An interval has passed since the last; this one has to wait for the next.
    b.at(52_000).ok(error(true));
    b.at(60_000);
    b.answer = Ok(OK.to_vec());
    b.at(61_000);
    b.at(70_000);
    assert_eq!(
        b.course()[2..],
        ["61.000 s 2/2 ps3 [pss ps6 pse ps3]", "61.000 s 2/3 ps3 [http-500]", "61.000 s 2/4 ps3 [http-500!]",]
    );
    let infos = |beat: usize| {
        let infos = b.heard[beat].2.hbinfos.iter();
        infos.map(|info| (info.seq, info.rtt, info.err.as_str())).collect::<Vec<_>>()
    };
    assert_eq!(infos(2), [(1, 35, "ok")]);
    assert_eq!(infos(3).last(), Some(&(2, -1, "503")));
}

#[test]
fn a_long_outage_does_not_fill_the_store() {
    let mut b = Box::new();
    plays(&mut b);
    b.answer = Err("no route to host");
    b.at(10 * 3_600_000);
    assert_eq!(b.queue.len(), 1, "one sign of life is enough");
    for minute in 0..60 {
        b.at(10 * 3_600_000 + minute * 60_000);
        for _ in 0..30 {
            b.ok(seek(SeekPhase::Start)).ok(error(true));
        }
    }
    assert!(b.queue.len() <= 1 + 60 * 3, "one an interval at most: {}", b.queue.len());
    b.ok(STOP);
    b.answer = Ok(OK.to_vec());
    b.at(12 * 3_600_000);
    assert!(b.course().last().unwrap().ends_with("ps1 end]"), "{:?}", b.course().last());
    assert_eq!(b.beats.lost(), 0);
}

#[test]
fn the_end_is_told_however_late_it_arrives() {
    let mut b = Box::new();
    plays(&mut b);
    b.answer = Err("no route to host");
    b.at(3000).ok(STOP);
    assert_eq!(b.beats.poll_timeout(), None, "all is said");
    b.at(50_000_000);
    b.answer = Ok(OK.to_vec());
    b.at(50_000_001);
    assert_eq!(b.course()[2..], ["50000.001 s 2/2 ps1 [ps1 end]"]);
    assert_eq!(b.beats.lost(), 0);
}

#[test]
fn answers_to_another_run_of_the_agent_are_not_taken_for_this_ones() {
    let mut b = Box::new();
    plays(&mut b);
    let told = RequestId { iid: 77, sid: 2, seq: 0 };
    b.beats.handle_failure(told, "503");
    let clid = br#"{"err":"ok","clid":"1.2.3.4"}"#;
    b.beats.handle_answer(Millis(2000), Millis(1000), told, clid).unwrap();
    b.at(25_000);
    let infos: Vec<_> = b.heard[2].2.hbinfos.iter().map(|info| info.seq).collect();
    assert_eq!((infos, b.heard[2].2.clid.as_str()), (vec![1], "1.2.3.4"));
}

#[test]
fn what_waits_is_bounded() {
    let mut b = Box::new();
    plays(&mut b);
    b.answer = Err("503");
    for n in 0..1000 {
        b.at(2000 + n).ok(error(false));
    }
    b.answer = Ok(OK.to_vec());
    b.at(60_000);
    let beat = &b.heard.last().unwrap().2;
    assert!(b.heard.iter().all(|(_, _, beat)| beat.evs.len() <= MAX_EVENTS), "{}", beat.evs.len());
    assert_eq!(b.beats.lost(), 1000 - MAX_EVENTS as u64);
}

#[rstest]
#[case::interval(r#"{"err":"ok","cfg":{"hbi":5}}"#, "ok")]
#[case::client_id(r#"{"err":"ok","clid":"1.2.3.4294967295"}"#, "ok")]
#[case::not_json("<html>", "the answer to a heartbeat is not JSON: expected value at line 1 column 1")]
#[case::displeased(r#"{"err":"bad key"}"#, "the heartbeat service answers \"bad key\"")]
fn answers(#[case] answer: &str, #[case] outcome: &str) {
    let mut b = Box::new();
    b.at(100);
    b.sessions
        .handle_message(
            b.now,
            Peer(1),
            Message { at: b.now, event: Told::Session(SessionId::try_new("a").unwrap(), open()) },
        )
        .unwrap();
    b.listen();
    let request = b.beats.poll_request(b.now, &WALL).unwrap();
    assert!(b.beats.poll_request(b.now, &WALL).is_none(), "one at a time");
    assert_eq!(b.beats.poll_timeout(), None);
    let said = b.beats.handle_answer(Millis(150), Millis(100), request.id, answer.as_bytes());
    b.beats.keep_waiting(|_| false);
    assert_eq!(said.map_or_else(|e| e.to_string(), |()| "ok".to_owned()), outcome);
    let seconds = if answer.contains("hbi") { 5_150 } else { 20_100 };
    assert_eq!(b.beats.poll_timeout(), Some(Millis(seconds)));
    let clid = if answer.contains("clid") { "1.2.3.4294967295" } else { "0.0.0.0" };
    assert_eq!(b.beats.client_id(), clid);
}

#[rstest]
#[case::same_scheme("http://hb.example", "http://other.example", "http://other.example/0/wsg")]
#[case::better("http://hb.example", "https://other.example", "https://other.example/0/wsg")]
#[case::worse("https://hb.example", "http://other.example", "https://hb.example/0/wsg")]
#[case::bare_host("https://hb.example", "other.example", "https://other.example/0/wsg")]
#[case::nonsense("https://hb.example", "file:///etc/passwd", "https://hb.example/0/wsg")]
fn redirects(#[case] from: &str, #[case] to: &str, #[case] then: &str) {
    let mut b = Box::new();
    b.beats.settings.gateway = HttpUrl::parse(from).unwrap();
    b.answer = Ok(format!(r#"{{"err":"ok","gw":"{to}"}}"#).into_bytes());
    plays(&mut b);
    assert_eq!(b.heard[1].1, then);
}

#[test]
fn commands_in_answers_are_not_obeyed() {
    let (mut plain, mut commanded) = (Box::new(), Box::new());
    commanded.answer =
        Ok(br#"{"err":"ok","cfg":{"slg":true,"csi_en":true,"maxhbinfos":2,"run":"rm"}}"#.to_vec());
    for b in [&mut plain, &mut commanded] {
        plays(b).at(50_000).ok(STOP);
    }
    assert_eq!(plain.heard, commanded.heard);
}

proptest! {
    /// Whatever fails: numbers are dense, every event arrives once and in order, and the end comes last.
    #[test]
    fn every_event_arrives_once_and_in_order(
        steps in prop::collection::vec((0..30_000_u64, 0..6_u8, any::<bool>()), 1..60),
    ) {
        let mut b = Box::new();
        plays(&mut b);
        let mut now = 1000;
        for (after, what, arrives) in steps {
            b.answer = if arrives { Ok(OK.to_vec()) } else { Err("503") };
            now += after;
            b.at(now).ok(match what {
                0 => seek(SeekPhase::Start),
                1 => seek(SeekPhase::End),
                2 => error(false),
                3 => SessionEvent::State(PlayerState::Paused),
                4 => SessionEvent::Buffering(Buffering { percent: 0 }),
                _ => PLAY,
            });
        }
        b.answer = Ok(OK.to_vec());
        b.at(now + 1).ok(STOP);
        b.at(now + 100_000);
        let events: Vec<_> = b.heard.iter().flat_map(|(_, _, beat)| beat.evs.iter()).collect();
        let numbers: Vec<_> = events.iter().map(|event| event.seq).collect();
        prop_assert_eq!(numbers, (0..u32::try_from(events.len()).unwrap()).collect::<Vec<_>>());
        prop_assert!(events.windows(2).all(|pair| pair[0].st <= pair[1].st));
        prop_assert_eq!(&events.last().unwrap().kind, &EventKind::SessionEnd {});
        prop_assert!(b.heard.windows(2).all(|pair| pair[0].2.seq < pair[1].2.seq));
        prop_assert!(b.beats.poll_timeout().is_none());
    }
}
