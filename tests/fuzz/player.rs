//! Players that say anything, and what befalls their connections.

use std::collections::{BTreeMap, VecDeque};
use std::sync::OnceLock;

use stbeacon_core::beacon::{Channel, Identity, Line as Sent};
use stbeacon_core::heartbeat::{Heartbeats, Platform, RequestId, Settings};
use stbeacon_core::line::config::{Config, builtin_text};
use stbeacon_core::line::decode::Line;
use stbeacon_core::line::keys::Metric;
use stbeacon_core::line::value::Typed;
use stbeacon_core::player::{MAX_DATAGRAM, Message, Reply, SessionId};
use stbeacon_core::provisioning::HttpUrl;
use stbeacon_core::session::{Activity, Entry, Fact, Peer, Sessions, Snapshot, Totals};
use stbeacon_core::stb::{Measured, MediaOptions, decode_batch, encode_batch};
use stbeacon_core::time::{Millis, WallAnchor};

/// Most commands of one input.
const MOST: usize = 600;

/// The longest step of time, in ms: two days.
const LONGEST: u64 = 2 * 86_400_000;

/// Up to this step each timer fires when it is due; a longer one is slept through.
const AWAKE: u64 = 600_000;

/// Most heartbeats that are under way.
const UNDER_WAY: usize = 4;

/// Lives through the lines of the input, each of which is one of:
///
/// * a datagram, from the connection that speaks; time goes on to its `at`, if that is later
/// * `@` and a digit: another connection speaks
/// * `+` and a number: so many ms go by
/// * `!`: the connection that speaks is gone
/// * `<` and a text: the oldest heartbeat that is under way is answered with it
///
/// # Panics
/// Where something does not hold.
pub fn check(data: &[u8]) {
    let mut world = World::new();
    for line in data.split(|byte| *byte == b'\n').take(MOST) {
        match line {
            [b'@', digit @ b'0'..=b'9', ..] => world.speaker = usize::from(digit - b'0'),
            [b'+', number @ ..] => {
                let number = std::str::from_utf8(number).ok().and_then(|text| text.trim().parse().ok());
                world.pass(number.unwrap_or(1));
            }
            [b'!', ..] => world.hang_up(),
            [b'<', answer @ ..] => world.answer(answer),
            datagram => world.datagram(datagram),
        }
    }
    world.stop();
}

/// A box.
struct World {
    now: Millis,
    sessions: Sessions,
    channel: Channel,
    heartbeats: Heartbeats,
    under_way: VecDeque<(Millis, RequestId)>,
    peers: [Peer; 10],
    speaker: usize,
    connections: u64,
    accounts: BTreeMap<SessionId, Account>,
    random: Box<dyn FnMut() -> u128>,
}

/// What the journal and the lines tell of one session.
#[derive(Default)]
struct Account {
    totals: Totals,
    last: Millis,
    /// It did not begin with this journal.
    is_resumed: bool,
    /// Its lines end before it does, or there is more than one attempt.
    is_cut: bool,
    lines: BTreeMap<Metric, u128>,
}

impl World {
    fn new() -> Self {
        let mut random: Box<dyn FnMut() -> u128> = Box::new(crate::random());
        let mut sessions = Sessions::new();
        sessions.set_journal(true);
        sessions.set_report_period(Millis(0), Some(Millis(30_000)));
        let identity = Identity { viewer_id: "box".into(), os: "Linux".into(), ..Identity::default() };
        let mut channel = Channel::new(identity);
        channel.set_config(often(), &mut random);
        let settings = Settings {
            gateway: HttpUrl::parse("https://hb.example/").expect("an address"),
            customer_key: "key".into(),
            interval: Millis(20_000),
            platform: Platform::default(),
            client_version: "1".into(),
            viewer_id: "box".into(),
            player_name: "player".into(),
            tags: BTreeMap::new(),
            client_id: "0.0.0.0".into(),
        };
        let heartbeats = Heartbeats::new(settings, &mut random);
        Self {
            now: Millis(1000),
            sessions,
            channel,
            heartbeats,
            under_way: VecDeque::new(),
            peers: std::array::from_fn(|n| Peer(n as u64)),
            speaker: 0,
            connections: 10,
            accounts: BTreeMap::new(),
            random,
        }
    }

    fn datagram(&mut self, datagram: &[u8]) {
        let _ = Reply::decode(datagram);
        let Ok(message) = Message::decode(datagram) else { return };
        let mut encoded = Vec::new();
        message.encode(&mut encoded);
        let again = Message::decode(&encoded);
        if encoded.len() <= MAX_DATAGRAM {
            assert_eq!(
                again.as_ref().ok(),
                Some(&message),
                "{}: {again:?}",
                String::from_utf8_lossy(&encoded)
            );
        }
        let mut bounded = message.clone();
        bounded.encode_bounded(&mut encoded);
        assert!(encoded.len() <= MAX_DATAGRAM);
        assert_eq!(Message::decode(&encoded).ok(), Some(bounded));

        if message.at > self.now {
            self.pass(message.at.since(self.now).0);
        }
        let peer = self.peers[self.speaker];
        let before: Vec<_> = self.sessions.live(self.now).collect();
        if self.sessions.handle_message(self.now, peer, message).is_err() {
            let after: Vec<_> = self.sessions.live(self.now).collect();
            assert_eq!(before, after, "what is refused changes nothing");
        }
        self.turn();
    }

    fn pass(&mut self, ms: u64) {
        let ms = ms.min(LONGEST);
        let until = self.now + Millis(ms);
        if ms <= AWAKE {
            while let Some(due) = self.next_timer(until) {
                self.now = due;
                self.turn();
            }
        }
        self.now = until;
        self.turn();
    }

    fn next_timer(&self, until: Millis) -> Option<Millis> {
        let due = [self.sessions.poll_timeout(), self.channel.poll_timeout()].into_iter().flatten().min();
        due.filter(|due| *due > self.now && *due <= until)
    }

    fn hang_up(&mut self) {
        self.sessions.handle_disconnect(self.now, self.peers[self.speaker]);
        self.peers[self.speaker] = Peer(self.connections);
        self.connections += 1;
        self.turn();
    }

    fn answer(&mut self, answer: &[u8]) {
        let Some((sent, id)) = self.under_way.pop_front() else { return };
        let _ = self.heartbeats.handle_answer(self.now, sent, id, answer);
        assert!(!self.heartbeats.client_id().is_empty());
        self.turn();
    }

    fn stop(mut self) {
        self.sessions.handle_stop(self.now);
        self.turn();
        assert_eq!(self.sessions.live(self.now).count(), 0);
        self.pass(3_600_000);
    }

    /// What a daemon does after each input.
    fn turn(&mut self) {
        self.sessions.handle_timeout(self.now);
        self.sessions.settle(self.now);
        while let Some(entry) = self.sessions.poll_entry() {
            let closed = self.account(&entry);
            self.channel.handle_entry(&entry, &mut self.random);
            self.heartbeats.handle_entry(&entry, &mut self.random);
            self.take_lines();
            if let Some((id, snapshot)) = closed {
                self.close(&id, &snapshot);
            }
        }
        self.channel.handle_timeout(self.now);
        self.take_lines();
        while let Some(snapshot) = self.sessions.poll_snapshot() {
            report(&snapshot);
        }
        self.beat();
    }

    /// Adds up the journal; gives the session that has ended.
    fn account(&mut self, entry: &Entry) -> Option<(SessionId, Snapshot)> {
        let Entry::Session { id, at, fact, .. } = entry else { return None };
        if let Fact::Opened(_) = fact {
            self.accounts.insert(id.clone(), Account { last: *at, ..Account::default() });
        }
        let account = self.accounts.get_mut(id).expect("a session begins with its opening");
        assert!(*at >= account.last, "a session's entries are in the order of time");
        account.last = *at;
        match fact {
            Fact::Span(span) => {
                assert!(span.to > span.from && span.to <= self.now);
                let sum = account.totals.sum_of(span.activity);
                *sum = *sum + span.length();
            }
            Fact::Resumed { .. } => account.is_resumed = true,
            Fact::Asset { switched: true, .. } => account.is_cut = true,
            Fact::Error(error) if error.fatal => account.is_cut = true,
            Fact::StallBegan { .. } => account.totals.rebuffers += 1,
            Fact::PauseBegan { .. } => account.totals.pauses += 1,
            Fact::SeekBegan { .. } => account.totals.seeks += 1,
            Fact::Closed { snapshot, .. } => return Some((id.clone(), (**snapshot).clone())),
            _ => {}
        }
        None
    }

    fn take_lines(&mut self) {
        while let Some(line) = self.channel.poll_line() {
            self.take_line(&line);
        }
    }

    fn take_line(&mut self, sent: &Sent) {
        assert!(sent.text.len() <= 2048, "{}", sent.text);
        let line = Line::read(&sent.text).unwrap_or_else(|e| panic!("{}: {e}", sent.text));
        for field in &line.fields {
            if let Some(Err(error)) = field.typed() {
                panic!("{}: {error}: {}", field.key, sent.text);
            }
        }
        let Some(account) = sent.session.as_ref().and_then(|id| self.accounts.get_mut(id)) else { return };
        // A rebuffer that outlasts all patience ends the lines, and not the session.
        account.is_cut |= line.value(Metric::ErrorCode) == Some("Error.Continous.Rebuffer");
        for metric in [Metric::PlayClockTime, Metric::RebufferTime, Metric::PauseDuration, Metric::SeekTime] {
            if let Some(Ok(Typed::Integer(number))) = line.field(metric).and_then(|field| field.typed()) {
                *account.lines.entry(metric).or_default() +=
                    u128::try_from(number).expect("no time is negative");
            }
        }
    }

    /// What the journal and the lines told is what the session came to.
    fn close(&mut self, id: &SessionId, snapshot: &Snapshot) {
        let Some(account) = self.accounts.remove(id) else { return };
        assert!(snapshot.at >= snapshot.opened);
        if account.is_resumed {
            return;
        }
        let totals = &snapshot.totals;
        let phases =
            [totals.startup, totals.playing, totals.paused, totals.rebuffering, totals.seeking, totals.ads];
        let spent: u64 = phases.iter().map(|time| time.0).sum();
        assert_eq!(spent, snapshot.at.since(snapshot.opened).0, "every millisecond is in one phase");
        let told = &account.totals;
        let told = [told.startup, told.playing, told.paused, told.rebuffering, told.seeking, told.ads];
        assert_eq!(told, phases, "the spans add up to the totals");
        let counts = |totals: &Totals| [totals.rebuffers, totals.pauses, totals.seeks];
        assert_eq!(counts(&account.totals), counts(totals));
        if account.is_cut || self.channel.cut() > 0 {
            return;
        }
        for (metric, total) in [
            (Metric::PlayClockTime, totals.playing),
            (Metric::RebufferTime, totals.rebuffering),
            (Metric::PauseDuration, totals.paused),
            (Metric::SeekTime, totals.seeking),
        ] {
            let told = account.lines.get(&metric).copied().unwrap_or_default();
            assert_eq!(told, u128::from(total.0), "{metric} of {id}: the lines add up to the session");
        }
    }

    fn beat(&mut self) {
        let wall = WallAnchor { at: Millis(0), unix_ms: 1_700_000_000_000 };
        while let Some(request) = self.heartbeats.poll_request(self.now, &wall) {
            let body: Result<serde_json::Value, _> = serde_json::from_str(&request.body);
            assert!(body.is_ok_and(|body| body.is_object()));
            self.under_way.push_back((self.now, request.id));
            if self.under_way.len() > UNDER_WAY {
                if let Some((_, id)) = self.under_way.pop_front() {
                    self.heartbeats.handle_failure(id, "no answer");
                }
            }
        }
    }
}

/// A report that every reader takes.
fn report(snapshot: &Snapshot) {
    let wall = WallAnchor { at: Millis(0), unix_ms: 1_700_000_000_000 };
    for (extended, url_redact) in [(false, false), (true, true)] {
        let report =
            Measured::media(snapshot, &MediaOptions { extended, url_redact, ..MediaOptions::default() })
                .stamp(&wall);
        let body = encode_batch(&[report]);
        let read = decode_batch(&body).unwrap_or_else(|e| panic!("{}: {e}", String::from_utf8_lossy(&body)));
        assert_eq!(encode_batch(&read.reports), body);
    }
}

/// The built-in configuration with a line every ten seconds.
fn often() -> Config {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    let make = || {
        let text = builtin_text();
        let often = text.replace("logInterval=\"300\"", "logInterval=\"10\"");
        assert_ne!(text, often);
        Config::parse(&often).expect("the built-in configuration").config
    };
    CONFIG.get_or_init(make).clone()
}

/// Where the time of an activity goes.
trait SumOf {
    fn sum_of(&mut self, activity: Activity) -> &mut Millis;
}

impl SumOf for Totals {
    fn sum_of(&mut self, activity: Activity) -> &mut Millis {
        match activity {
            Activity::Init | Activity::Connecting | Activity::InitBuffering => &mut self.startup,
            Activity::Playing => &mut self.playing,
            Activity::Paused => &mut self.paused,
            Activity::Rebuffering | Activity::ResumeBuffering => &mut self.rebuffering,
            Activity::Seeking | Activity::SeekBuffering => &mut self.seeking,
            Activity::AdLoading | Activity::AdPlaying => &mut self.ads,
            Activity::Ended => panic!("nothing goes on after the end"),
        }
    }
}
