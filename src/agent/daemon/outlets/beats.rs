//! Heartbeats to one gateway: makes them, queues them, sends them one by one.

use std::path::PathBuf;
use std::sync::Arc;

use stbeacon_core::heartbeat::{self, Heartbeats, Platform, Settings};
use stbeacon_core::provisioning::{Heartbeat, HttpUrl};
use stbeacon_core::session::Entry;
use stbeacon_core::spool::{Dropped, Spool};
use stbeacon_core::time::Millis;
use stbeacon_core::uplink::{self, Backoff};

use super::Home;
use super::queue::OutletQueue;
use crate::disk::Directory;
use crate::http::{self, Method, Request, Server, Worker};
use crate::status::HeartbeatStatus;
use crate::{clock, files, random};

/// An answer has a few hundred bytes.
const MAX_ANSWER: u64 = 64 * 1024;

/// The id that the service once gave, in the state directory.
const CLIENT_ID: &str = "heartbeat-client-id";
/// The id before it has.
const NO_CLIENT_ID: &str = "0.0.0.0";

/// How often to look again whether the calendar clock can be trusted: heartbeats tell when a session began.
const CLOCK_RECHECK: Millis = Millis(5_000);

/// A sign of life that comes ten minutes late is none. A fleet asks no more often by this than by its heartbeats.
const LONGEST_BACKOFF: Millis = Millis::from_secs(60);

/// Makes, queues and sends heartbeats.
#[derive(Debug)]
pub(super) struct BeatOutlet {
    id: u64,
    settings: Heartbeat,
    beats: Heartbeats,
    queue: OutletQueue,
    client_id_file: PathBuf,
    client_id: String,
    worker: Worker,
    in_flight: Option<Flight>,
    /// Nothing is made before: the calendar clock is not set.
    not_before: Millis,
}

/// What is on its way.
#[derive(Debug, Clone, Copy)]
struct Flight {
    id: uplink::RequestId,
    /// `None` where an earlier version made it in another way.
    beat: Option<heartbeat::RequestId>,
    sent: Millis,
}

// === impl BeatOutlet ===

impl BeatOutlet {
    pub(super) fn new(
        now: Millis,
        (id, worker): (u64, Worker),
        settings: Heartbeat,
        mut queue: OutletQueue,
        home: &Home,
    ) -> Self {
        let client_id_file = home.state_directory.join(CLIENT_ID);
        let client_id = std::fs::read_to_string(&client_id_file).unwrap_or_default().trim().to_owned();
        let client_id = if client_id.is_empty() { NO_CLIENT_ID.to_owned() } else { client_id };
        let facts = &home.facts;
        let machine = Settings {
            gateway: settings.gateway.clone(),
            customer_key: settings.customer_key.clone(),
            interval: settings.interval,
            platform: Platform {
                dvm: facts.model.clone(),
                os: facts.os.clone(),
                osv: facts.os_version.clone(),
                cat: "STB".to_owned(),
                ..Platform::default()
            },
            client_version: env!("CARGO_PKG_VERSION").to_owned(),
            viewer_id: settings.viewer_id.clone().unwrap_or_else(|| facts.viewer_id.clone()),
            player_name: String::new(),
            tags: settings.dimensions.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect(),
            client_id: client_id.clone(),
        };
        log::info!("heartbeats go to {}", settings.gateway);
        queue.set_policy(now, |policy| {
            policy.backoff = Backoff { cap: LONGEST_BACKOFF, ..Backoff::default() }
        });
        Self {
            id,
            settings,
            beats: Heartbeats::new(machine, &mut random::bits),
            queue,
            client_id_file,
            client_id,
            worker,
            in_flight: None,
            not_before: Millis(0),
        }
    }

    pub(super) const fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn is_for(&self, settings: &Heartbeat) -> bool {
        self.settings == *settings
    }

    /// By what its heartbeats are known as this service's, across restarts.
    pub(super) fn owner(settings: &Heartbeat) -> u64 {
        files::fingerprint(&format!("{}\n{}", settings.gateway.as_str(), settings.customer_key))
    }

    pub(super) fn is_to_same_gateway(&self, settings: &Heartbeat) -> bool {
        Self::owner(&self.settings) == Self::owner(settings)
    }

    pub(super) fn handle_dropped(&mut self, dropped: &Dropped) {
        self.queue.handle_dropped(dropped);
    }

    pub(super) fn handle_entry(&mut self, entry: &Entry) {
        self.beats.handle_entry(entry, &mut random::bits);
    }

    /// When the next heartbeat has to be made.
    pub(super) fn next_beat(&self) -> Option<Millis> {
        Some(self.beats.poll_timeout()?.max(self.not_before))
    }

    pub(super) fn poll_timeout(&self) -> Option<Millis> {
        let send = self.queue.poll_timeout().filter(|_| self.in_flight.is_none());
        self.next_beat().into_iter().chain(send).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Millis, spool: &mut Spool<Directory>) {
        self.make(now, spool);
        self.queue.refill(now, spool);
        self.look_what_waits();
        if self.in_flight.is_none() {
            self.send(now);
        }
    }

    pub(super) fn handle_outcome(
        &mut self,
        now: Millis,
        outcome: http::Outcome,
        spool: &mut Spool<Directory>,
    ) {
        let Some(flight) = self.in_flight.take() else { return };
        let answer = match &outcome {
            http::Outcome::Answered(answer) => answer.body.clone(),
            http::Outcome::Failed(_) => Vec::new(),
        };
        match (self.queue.handle_outcome(now, spool, flight.id, outcome), flight.beat) {
            (Ok(()), Some(beat)) => self.take_answer(now, flight.sent, beat, &answer),
            (Err(error), Some(beat)) => self.beats.handle_failure(beat, &error),
            (_, None) => {}
        }
        self.look_what_waits();
    }

    /// What waits is tried once more at once.
    pub(super) fn handle_stop(&mut self, now: Millis) {
        self.queue.handle_new_target(now);
    }

    /// The service is not provisioned any more.
    pub(super) fn handle_end(&self, now: Millis, spool: &mut Spool<Directory>) {
        self.queue.handle_end(now, spool);
    }

    pub(super) fn has_work_until(&self, deadline: Millis) -> bool {
        self.in_flight.is_some() || self.poll_timeout().is_some_and(|at| at <= deadline)
    }

    pub(super) fn undelivered(&self, now: Millis, spool: &Spool<Directory>) -> u64 {
        self.queue.waiting(now, spool)
    }

    pub(super) fn status(&self, now: Millis, spool: &Spool<Directory>) -> HeartbeatStatus {
        HeartbeatStatus {
            gateway: self.settings.gateway.to_string(),
            delivery: self.queue.status(now, spool),
            lost_events: self.beats.lost(),
            next_ms: self.next_beat().map(|at| at.since(now).0),
        }
    }

    /// Makes what is due.
    fn make(&mut self, now: Millis, spool: &mut Spool<Directory>) {
        if self.next_beat().is_none_or(|due| due > now) {
            return;
        }
        let Some(wall) = clock::wall_anchor() else {
            self.not_before = now + CLOCK_RECHECK;
            return;
        };
        while let Some(beat) = self.beats.poll_request(now, &wall) {
            let lane = lane(beat.id.iid, beat.id.sid);
            self.queue.push(now, spool, lane, &beat.body);
        }
    }

    fn send(&mut self, now: Millis) {
        let Some(kept) = self.queue.poll_request(now) else { return };
        let (id, beat) = (kept.id, heartbeat::RequestId::of(kept.text));
        let Heartbeat { gateway, auth, tls, .. } = &self.settings;
        let server =
            Arc::new(Server { url: gateway.clone(), auth: auth.clone(), tls: tls.clone(), gzip: false });
        let request = HttpUrl::parse(&self.beats.url()).map(|url| Request {
            server,
            url,
            method: Method::Post(kept.text.as_bytes().to_vec()),
            mac: String::new(),
            id: None,
            max_answer: MAX_ANSWER,
        });
        if request.is_ok_and(|request| self.worker.send(request)) {
            self.in_flight = Some(Flight { id, beat, sent: now });
        } else {
            self.queue.handle_unsent(now, id);
        }
    }

    fn take_answer(&mut self, now: Millis, sent: Millis, beat: heartbeat::RequestId, body: &[u8]) {
        if let Err(error) = self.beats.handle_answer(now, sent, beat, body) {
            log::warn!("{error}");
            self.queue.note_error(now, error.to_string());
        }
        self.keep_client_id();
    }

    /// Of which sessions something waits still.
    fn look_what_waits(&mut self) {
        let (queue, instance) = (&self.queue, self.beats.instance());
        self.beats.keep_waiting(|sid| queue.has(&lane(instance, sid)));
    }

    fn keep_client_id(&mut self) {
        if self.client_id == self.beats.client_id() {
            return;
        }
        self.client_id = self.beats.client_id().to_owned();
        if let Err(error) = files::replace(&self.client_id_file, self.client_id.as_bytes()) {
            log::warn!("the heartbeat client's id is not kept: {}: {error}", self.client_id_file.display());
        }
    }
}

/// Heartbeats of one session of one run arrive in order.
fn lane(instance: i32, session: i32) -> String {
    format!("{instance}.{session}")
}
