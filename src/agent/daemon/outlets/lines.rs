//! One channel of Media Analytics lines: makes them, queues them, sends them one by one.

use std::sync::Arc;

use stbeacon_core::beacon::{Channel, Identity};
use stbeacon_core::line::config::Config;
use stbeacon_core::provisioning::{ConfigSource, HttpUrl, MediaAnalytics};
use stbeacon_core::session::Entry;
use stbeacon_core::spool::{Dropped, Queue, Spool};
use stbeacon_core::time::Millis;
use stbeacon_core::uplink::RequestId;

use super::Home;
use super::config::{self, ConfigKeeper};
use super::queue::OutletQueue;
use crate::disk::Directory;
use crate::http::{self, Method, Request, Server, Worker};
use crate::status::LineStatus;
use crate::{files, random};

/// Makes, queues and sends the lines of one channel.
#[derive(Debug)]
pub(super) struct LineOutlet {
    id: u64,
    settings: MediaAnalytics,
    keeper: ConfigKeeper,
    channel: Channel,
    queue: OutletQueue,
    worker: Worker,
    in_flight: Option<Flight>,
    /// Where lines go; `None` until the configuration says so.
    server: Option<Arc<Server>>,
}

/// What is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flight {
    Config,
    Line(RequestId),
}

// === impl LineOutlet ===

impl LineOutlet {
    pub(super) fn new(
        now: Millis,
        (id, worker): (u64, Worker),
        settings: MediaAnalytics,
        queue: OutletQueue,
        home: &Home,
    ) -> Self {
        let mut outlet = Self {
            id,
            keeper: ConfigKeeper::new(&settings, &home.state_directory),
            channel: Channel::new(identity(&settings, home)),
            settings,
            queue,
            worker,
            in_flight: None,
            server: None,
        };
        outlet.reload(now);
        outlet
    }

    pub(super) const fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn is_for(&self, settings: &MediaAnalytics) -> bool {
        self.settings == *settings
    }

    /// Reads the configuration again, or fetches it.
    pub(super) fn reload(&mut self, now: Millis) {
        let is_first = self.channel.config().is_none();
        if let Some(config) = self.keeper.start(now, is_first) {
            self.set_config(now, config);
        }
    }

    /// By what its lines are known as this channel's, across restarts.
    pub(super) fn owner(settings: &MediaAnalytics) -> u64 {
        let MediaAnalytics { config, host, path, .. } = settings;
        let config = match config {
            ConfigSource::Builtin => String::new(),
            ConfigSource::File(file) => file.display().to_string(),
            ConfigSource::Url(url) => url.as_str().to_owned(),
        };
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        files::fingerprint(&format!("{config}\n{}\n{}", text(host), text(path)))
    }

    pub(super) fn is_to_same_endpoint(&self, settings: &MediaAnalytics) -> bool {
        Self::owner(&self.settings) == Self::owner(settings)
    }

    pub(super) const fn queue(&self) -> Queue {
        self.queue.queue()
    }

    pub(super) fn handle_dropped(&mut self, dropped: &Dropped) {
        self.queue.handle_dropped(dropped);
    }

    /// When the next line has to be made.
    pub(super) fn next_line(&self) -> Option<Millis> {
        self.channel.poll_timeout()
    }

    pub(super) fn handle_entry(&mut self, entry: &Entry) {
        let before = self.channel.lost();
        self.channel.handle_entry(entry, &mut random::bits);
        let lost = self.channel.lost() - before;
        if lost > 0 {
            log::warn!(
                "{}: {lost} events are given up: too many wait for this configuration of lines",
                self.settings.config
            );
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Millis, spool: &mut Spool<Directory>) {
        self.channel.handle_timeout(now);
        while let Some(line) = self.channel.poll_line() {
            log::debug!("line {}, {} bytes", line.event.code(), line.text.len());
            let lane = line.session.as_ref().map_or_else(String::new, ToString::to_string);
            self.queue.push(now, spool, lane, &line.text);
            self.channel.give_back(line);
        }
        self.queue.refill(now, spool);
        if self.in_flight.is_some() {
            return;
        }
        if let Some(url) = self.keeper.poll_fetch(now) {
            self.fetch(now, url);
            return;
        }
        self.send(now);
    }

    pub(super) fn poll_timeout(&self) -> Option<Millis> {
        let waits = self.in_flight.is_none();
        let fetch = self.keeper.poll_timeout().filter(|_| waits);
        let send = self.queue.poll_timeout().filter(|_| waits && self.server.is_some());
        [self.channel.poll_timeout(), fetch, send].into_iter().flatten().min()
    }

    pub(super) fn handle_outcome(
        &mut self,
        now: Millis,
        outcome: http::Outcome,
        spool: &mut Spool<Directory>,
    ) {
        match self.in_flight.take() {
            None => {}
            Some(Flight::Config) => {
                let fetched = match outcome {
                    http::Outcome::Answered(answer) if answer.status == 200 => Ok(answer.body),
                    http::Outcome::Answered(answer) => Err(format!("the server answered {}", answer.status)),
                    http::Outcome::Failed(error) => Err(error),
                };
                let is_first = self.channel.config().is_none();
                if let Some(config) = self.keeper.handle_fetched(now, fetched, is_first) {
                    self.set_config(now, config);
                }
            }
            Some(Flight::Line(id)) => {
                // What is wrong, the queue has told the log and the status.
                let _ = self.queue.handle_outcome(now, spool, id, outcome);
            }
        }
    }

    /// What waits is tried once more at once.
    pub(super) fn handle_stop(&mut self, now: Millis) {
        self.queue.handle_new_target(now);
    }

    /// The channel is not provisioned any more.
    pub(super) fn handle_end(&self, now: Millis, spool: &mut Spool<Directory>) {
        self.queue.handle_end(now, spool);
    }

    pub(super) fn has_work_until(&self, deadline: Millis) -> bool {
        let waits = || self.queue.poll_timeout().is_some_and(|at| at <= deadline);
        self.server.is_some() && (self.in_flight.is_some() || waits())
    }

    pub(super) fn undelivered(&self, now: Millis, spool: &Spool<Directory>) -> u64 {
        self.queue.waiting(now, spool)
    }

    pub(super) fn status(&self, now: Millis, spool: &Spool<Directory>) -> LineStatus {
        LineStatus {
            config: self.settings.config.to_string(),
            target: self.server.as_ref().map_or_else(String::new, |server| server.url.to_string()),
            active: self.channel.config().is_some_and(|config| config.is_active),
            delivery: self.queue.status(now, spool),
            cut: self.channel.cut(),
            lost_events: self.channel.lost(),
        }
    }

    fn set_config(&mut self, now: Millis, config: Config) {
        let url = config.target().cloned();
        match &url {
            _ if !config.is_active => log::info!("lines are switched off by {}", self.settings.config),
            Some(url) => log::info!("lines go to {url}, as {} says", self.settings.config),
            None => {}
        }
        let server = url.map(|url| {
            // A configuration that came encrypted must not lead credentials to where they are not.
            let came_safe = matches!(&self.settings.config, ConfigSource::Url(from) if from.is_https());
            let auth = self.settings.auth.clone().filter(|_| url.is_https() || !came_safe);
            Arc::new(Server { url, auth, tls: self.settings.tls.clone(), gzip: false })
        });
        if self.server != server {
            self.queue.handle_new_target(now);
            self.server = server;
        }
        self.channel.set_config(config, &mut random::bits);
    }

    fn fetch(&mut self, now: Millis, url: HttpUrl) {
        let MediaAnalytics { auth, tls, .. } = &self.settings;
        let server = Arc::new(Server { url: url.clone(), auth: auth.clone(), tls: tls.clone(), gzip: false });
        let method = Method::Get;
        let request =
            Request { server, url, method, mac: String::new(), id: None, max_answer: config::MAX_BYTES };
        if self.worker.send(request) {
            self.in_flight = Some(Flight::Config);
        } else {
            self.queue.note_error(now, "the thread that sends is gone".to_owned());
        }
    }

    fn send(&mut self, now: Millis) {
        let Some(server) = &self.server else { return };
        let Some(line) = self.queue.poll_request(now) else { return };
        let id = line.id;
        let url = HttpUrl::parse(&format!("{}?{}", server.url.as_str(), line.text));
        let sent = url.map(|url| Request {
            server: Arc::clone(server),
            url,
            method: Method::Get,
            mac: String::new(),
            id: None,
            max_answer: 0,
        });
        if sent.is_ok_and(|request| self.worker.send(request)) {
            self.in_flight = Some(Flight::Line(id));
        } else {
            self.queue.handle_unsent(now, id);
        }
    }
}

fn identity(settings: &MediaAnalytics, home: &Home) -> Identity {
    let MediaAnalytics { viewer_id, player_id, player_type, device, cdn, dimensions, .. } = settings.clone();
    let facts = &home.facts;
    Identity {
        viewer_id: viewer_id.unwrap_or_else(|| facts.viewer_id.clone()),
        player_id: player_id.unwrap_or_default(),
        player_type: player_type.unwrap_or_default(),
        plugin_version: env!("CARGO_PKG_VERSION").to_owned(),
        os: facts.os.clone(),
        full_os: facts.full_os.clone(),
        device: device.unwrap_or_else(|| facts.model.clone()),
        cdn: cdn.unwrap_or_default(),
        dimensions: dimensions.into_iter().map(|dimension| (dimension.key, dimension.value)).collect(),
        ..Identity::default()
    }
}
