//! Heartbeats to one gateway.

use std::path::PathBuf;
use std::sync::Arc;

use stbeacon_core::heartbeat::{Heartbeats, Platform, RequestId, Settings};
use stbeacon_core::provisioning::{Heartbeat, HttpUrl};
use stbeacon_core::session::Entry;
use stbeacon_core::time::Millis;

use super::Home;
use crate::daemon::answers::Answers;
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

/// Makes and sends heartbeats.
#[derive(Debug)]
pub(super) struct BeatOutlet {
    id: u64,
    settings: Heartbeat,
    beats: Heartbeats,
    client_id_file: PathBuf,
    client_id: String,
    worker: Worker,
    in_flight: Option<RequestId>,
    /// Nothing is sent before: the calendar clock is not set.
    not_before: Millis,
    answers: Answers,
    sent: u64,
    delivered: u64,
}

// === impl BeatOutlet ===

impl BeatOutlet {
    pub(super) fn new(id: u64, settings: Heartbeat, worker: Worker, home: &Home) -> Self {
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
        Self {
            id,
            settings,
            beats: Heartbeats::new(machine, &mut random::bits),
            client_id_file,
            client_id,
            worker,
            in_flight: None,
            not_before: Millis(0),
            answers: Answers::default(),
            sent: 0,
            delivered: 0,
        }
    }

    pub(super) const fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn is_for(&self, settings: &Heartbeat) -> bool {
        self.settings == *settings
    }

    pub(super) fn handle_entry(&mut self, entry: &Entry) {
        self.beats.handle_entry(entry, &mut random::bits);
    }

    /// When the next heartbeat has to be made; `None` while one is on its way.
    pub(super) fn next_beat(&self) -> Option<Millis> {
        let due = self.beats.poll_timeout().filter(|_| self.in_flight.is_none())?;
        Some(due.max(self.not_before))
    }

    pub(super) fn poll_timeout(&self) -> Option<Millis> {
        self.next_beat()
    }

    pub(super) fn handle_timeout(&mut self, now: Millis) {
        if self.next_beat().is_none_or(|due| due > now) {
            return;
        }
        let Some(wall) = clock::wall_anchor() else {
            self.not_before = now + CLOCK_RECHECK;
            return;
        };
        let Some(beat) = self.beats.poll_request(now, &wall) else { return };
        let Heartbeat { gateway, auth, tls, .. } = &self.settings;
        let server =
            Arc::new(Server { url: gateway.clone(), auth: auth.clone(), tls: tls.clone(), gzip: false });
        let url = HttpUrl::parse(&beat.url);
        let request = url.map(|url| Request {
            server,
            url,
            method: Method::Post(beat.body),
            mac: String::new(),
            id: None,
            max_answer: MAX_ANSWER,
        });
        if request.is_ok_and(|request| self.worker.send(request)) {
            self.sent = self.sent.saturating_add(1);
            self.in_flight = Some(beat.id);
        } else {
            self.fail(now, beat.id, "the thread that sends is gone".to_owned());
        }
    }

    pub(super) fn handle_outcome(&mut self, now: Millis, outcome: http::Outcome) {
        let Some(id) = self.in_flight.take() else { return };
        match outcome {
            http::Outcome::Answered(answer) => {
                self.answers.count(answer.status);
                if !(200..300).contains(&answer.status) {
                    self.fail(now, id, format!("the server answered {}", answer.status));
                    return;
                }
                self.delivered = self.delivered.saturating_add(1);
                if let Err(error) = self.beats.handle_answer(now, id, &answer.body) {
                    log::warn!("{error}");
                    self.answers.note_error(now, error.to_string());
                }
                self.keep_client_id();
            }
            http::Outcome::Failed(error) => {
                self.answers.count_unreachable();
                self.fail(now, id, error);
            }
        }
    }

    pub(super) fn has_work_until(&self, deadline: Millis) -> bool {
        self.in_flight.is_some() || self.next_beat().is_some_and(|at| at <= deadline)
    }

    pub(super) fn status(&self, now: Millis) -> HeartbeatStatus {
        HeartbeatStatus {
            gateway: self.settings.gateway.to_string(),
            delivered: self.delivered,
            lost_events: self.beats.lost(),
            next_ms: self.next_beat().map(|at| at.since(now).0),
            answers: self.answers.status(self.sent),
            last_error: self.answers.error_status(now),
        }
    }

    /// What was in it rides in the next one.
    fn fail(&mut self, now: Millis, id: RequestId, error: String) {
        log::warn!("heartbeat not delivered: {error}");
        self.beats.handle_failure(now, id, &error);
        self.answers.note_error(now, error);
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
