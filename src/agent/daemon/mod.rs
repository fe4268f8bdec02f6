//! The daemon: one loop that all else feeds.
//!
//! Tasks read sockets and pass on what comes as [`Input`]; [`Daemon`] takes it in, and tells when it next has
//! something to do by itself. Nothing in it waits for anybody but the kernel.

mod alarm;
mod answers;
mod losses;
mod outlets;
mod provisioned;
mod reporting;
mod store;
mod turn;
mod view;

pub(crate) use self::turn::{Setup, run};

use std::collections::BTreeMap;

use stbeacon_core::player::{Event, Message, Reply, SessionEvent, SessionId};
use stbeacon_core::provisioning::Provisioning;
use stbeacon_core::session::{Peer, Sessions};
use stbeacon_core::sleep::{Sleep, SleepWatch};
use stbeacon_core::stb::redact;
use stbeacon_core::time::Millis;
use tokio::sync::oneshot;

use self::outlets::Outlets;
use self::reporting::Reporting;
use crate::netlink::Selection;
use crate::players::{Complaints, Connection, FromPlayer};
use crate::provision::{Remote, Source};
use crate::sampler::Sampler;
use crate::service::Service;
use crate::signals::Signal;
use crate::status::{DatagramStatus, InForce};
use crate::{clock, http};

/// After a request to stop, so long is still taken in what players have sent already.
const LAST_WORDS: Millis = Millis(50);

/// Where the kernel does not answer it is asked again after this: a sandbox that forbids it costs no more than that.
const RELIST: Millis = Millis(30_000);

/// What the loop is told.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are the largest, what players say: none allocates")]
pub(crate) enum Input {
    /// By or about a player.
    Player(Peer, FromPlayer),
    /// By the service manager or the user.
    Signal(Signal),
    /// By the kernel.
    InterfacesChanged,
    /// By the kernel, too: the provisioning file is another one.
    FileChanged,
    /// By a thread that sends.
    Answered(Asker, http::Outcome),
    /// By somebody who wants to know the status, as JSON.
    Status(oneshot::Sender<Vec<u8>>),
}

/// For whom a thread sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asker {
    /// For the STB reports.
    Reports,
    /// For the provisioning.
    Provisioning,
    /// For the output of this number.
    Outlet(u64),
}

/// Everything that the daemon knows.
#[derive(Debug)]
pub(crate) struct Daemon {
    started: Millis,
    source: Source,
    provisioning: Provisioning,
    players: BTreeMap<Peer, Player>,
    sessions: Sessions,
    reporting: Reporting,
    outlets: Outlets,
    sampler: Sampler,
    selection: Selection,
    /// When the interfaces are sampled next; `None` while there are no network reports.
    sample_due: Option<Millis>,
    /// When the interfaces are listed again, where the kernel did not answer.
    relist_due: Option<Millis>,
    datagrams: DatagramStatus,
    rejections: Complaints,
    /// When the sessions are closed for good, once a stop was asked for.
    stop_at: Option<Millis>,
    /// Whether it was asked for again: nothing is waited for any more.
    is_hurried: bool,
    service: Service,
    sleep: SleepWatch,
}

/// A running session.
#[derive(Debug)]
struct Owned {
    id: SessionId,
    peer: Peer,
    /// The time of the last counters that were taken.
    counted: Millis,
}

#[derive(Debug)]
struct Player {
    connection: Connection,
    /// As it calls itself.
    name: String,
    since: Millis,
}

// === impl Daemon ===

impl Daemon {
    async fn new(
        now: Millis,
        source: Source,
        provisioning: Provisioning,
        reporting: Reporting,
        outlets: Outlets,
        service: Service,
    ) -> Self {
        let mut daemon = Self {
            started: now,
            source,
            provisioning,
            players: BTreeMap::new(),
            sessions: Sessions::new(),
            reporting,
            outlets,
            sampler: Sampler::new(),
            selection: Selection::default(),
            sample_due: None,
            relist_due: None,
            datagrams: DatagramStatus::default(),
            rejections: Complaints::default(),
            stop_at: None,
            is_hurried: false,
            service,
            sleep: SleepWatch::new(clock::reading()),
        };
        daemon.refresh_interfaces(now).await;
        daemon.apply_provisioning(now);
        daemon
    }

    async fn handle_input(&mut self, now: Millis, input: Input) {
        match input {
            Input::Player(peer, what) => self.handle_player(now, peer, what),
            Input::Signal(Signal::Stop) => {
                self.service.handle_stop();
                self.is_hurried = self.stop_at.is_some();
                self.stop_at = Some(if self.is_hurried { now } else { now + LAST_WORDS });
            }
            Input::Signal(Signal::Reload) => self.reload(now),
            Input::InterfacesChanged => self.refresh_interfaces(now).await,
            Input::FileChanged => self.handle_file(now, false),
            Input::Answered(Asker::Provisioning, outcome) => self.handle_fetched(now, outcome),
            Input::Answered(Asker::Reports, outcome) => self.reporting.handle_outcome(now, outcome),
            Input::Answered(Asker::Outlet(id), outcome) => {
                self.outlets.handle_outcome(now, id, outcome, self.reporting.store().spool());
            }
            Input::Status(asker) => {
                let status = self.status(now).await;
                // Who asked may be gone.
                let _ = asker.send(serde_json::to_vec(&status).unwrap_or_default());
            }
        }
    }

    async fn handle_timeout(&mut self, now: Millis) {
        self.sessions.handle_timeout(now);
        self.take_snapshots(now);
        if let Some(remote) = &mut self.source.remote {
            remote.handle_timeout(now, self.sampler.mac());
        }
        if self.relist_due.is_some_and(|due| due <= now) {
            self.refresh_interfaces(now).await;
        }
        if self.sample_due.is_some_and(|due| due <= now) {
            self.sample(now).await;
        }
        if self.reporting.totals_due() <= now {
            self.reporting.note_totals(now, self.sessions.live(now), &self.provisioning);
        }
        let sessions = &self.sessions;
        let is_there = |id: &SessionId| sessions.owners().any(|(known, _)| known == id);
        for id in self.reporting.take_orphans(now, is_there) {
            self.sessions.note_reported(id);
        }
        self.reporting.handle_timeout(now, &self.sampler);
        if self.outlets.needs_books(now) {
            self.sessions.settle(now);
        }
        self.take_entries();
        let store = self.reporting.store();
        store.take_foreign_drops().iter().for_each(|dropped| self.outlets.handle_dropped(dropped));
        self.outlets.handle_timeout(now, store.spool());
        self.handle_turn(now);
    }

    /// When [`Daemon::handle_timeout`] next has something to do.
    fn poll_timeout(&self) -> Option<Millis> {
        let outputs = [self.reporting.poll_timeout(), self.outlets.poll_timeout()];
        let fetch = self.source.remote.as_ref().and_then(Remote::poll_timeout);
        let service = self.service.poll_timeout();
        let totals = (!self.sessions.is_empty()).then(|| self.reporting.totals_due());
        let own = [
            self.sessions.poll_timeout(),
            totals,
            self.relist_due,
            self.sample_due,
            self.stop_at,
            fetch,
            service,
        ];
        outputs.into_iter().chain(own).flatten().min()
    }

    /// Tells the service manager how things stand.
    fn handle_turn(&mut self, now: Millis) {
        let is_settled = self.source.is_settled(now, self.service.is_reloading());
        let Self { players, sessions, reporting, source, .. } = self;
        let status = || {
            let waits = match source.in_force() {
                InForce::Nothing => "no provisioning yet; ",
                _ => "",
            };
            let (players, sessions) = (players.len(), sessions.owners().count());
            let reports = reporting.undelivered(now);
            format!("{waits}{players} players, {sessions} sessions, {reports} reports to send")
        };
        self.service.handle_turn(now, is_settled, status);
    }

    /// Whether it is time to end.
    fn is_stopping(&self, now: Millis) -> bool {
        self.stop_at.is_some_and(|at| at <= now)
    }

    /// Sees whether the box has slept since the last time; to be called before anything that may have come after.
    fn look_for_sleep(&mut self) {
        if let Some(sleep) = self.sleep.look(clock::reading()) {
            self.handle_sleep(clock::now(), &sleep);
        }
    }

    /// The box slept. After a long sleep the players that played tell of it anew, as of another session.
    fn handle_sleep(&mut self, now: Millis, sleep: &Sleep) {
        log::info!("the box has slept for {}", sleep.length());
        let mut ended = self.owners();
        self.sessions.handle_sleep(sleep);
        let left = self.owners();
        ended.retain(|ended| !left.iter().any(|left| left.id == ended.id));
        self.take_snapshots(now);
        self.tell_reported(now, &ended);
        for Owned { peer, .. } in ended {
            // What it has said since is about the sessions that have ended.
            if let Some(player) = self.players.remove(&peer) {
                player.connection.hang_up();
            }
        }
    }

    /// The running sessions and their players.
    fn owners(&self) -> Vec<Owned> {
        let owners = self.sessions.owners();
        owners.map(|(id, peer)| Owned { id: id.clone(), peer, counted: self.sessions.counted(id) }).collect()
    }

    /// Lets players know that the books of these sessions are closed.
    fn tell_reported(&self, now: Millis, reported: &[Owned]) {
        for Owned { id, peer, counted } in reported {
            if let Some(player) = self.players.get(peer) {
                player.connection.tell(now, &Reply::Reported { session: id.clone(), counted: *counted });
            }
        }
    }

    /// Closes all books: every session has its report, and its player knows.
    fn handle_stop(&mut self, now: Millis) {
        let owners = self.owners();
        self.sessions.handle_stop(now);
        self.take_snapshots(now);
        self.tell_reported(now, &owners);
        self.reporting.handle_stop(now, &self.sampler);
        self.take_entries();
        self.outlets.handle_stop(now, self.reporting.store().spool());
    }

    fn handle_player(&mut self, now: Millis, peer: Peer, what: FromPlayer) {
        match what {
            FromPlayer::Connected(connection) => {
                log::debug!("player {} is connected", connection.pid);
                self.players.insert(peer, Player { connection, name: String::new(), since: now });
            }
            FromPlayer::Message(message) => self.handle_message(now, peer, message),
            FromPlayer::Malformed => self.datagrams.malformed = self.datagrams.malformed.saturating_add(1),
            FromPlayer::Gone => {
                self.sessions.handle_disconnect(now, peer);
                self.take_snapshots(now);
                if let Some(player) = self.players.remove(&peer) {
                    log::debug!("player {} is gone", player.connection.pid);
                }
            }
        }
    }

    fn handle_message(&mut self, now: Millis, peer: Peer, message: Message) {
        self.datagrams.taken = self.datagrams.taken.saturating_add(1);
        let Some(player) = self.players.get_mut(&peer) else { return };
        let Connection { pid, uid, .. } = player.connection;
        if let Event::Hello(hello) = &message.event {
            log::info!("player {:?} is here, pid {pid}, user {uid}", hello.player);
            player.name.clone_from(&hello.player);
        }
        let opened = match &message.event {
            Event::Session(id, SessionEvent::Open(open)) => Some((id.clone(), redact(&open.url))),
            _ => None,
        };
        if let Err(reject) = self.sessions.handle_message(now, peer, message) {
            self.datagrams.rejected = self.datagrams.rejected.saturating_add(1);
            if self.rejections.due(now, pid) {
                log::warn!("player {pid} said what makes no sense: {reject}");
            }
        }
        self.take_snapshots(now);
        if let Some((id, url)) = opened {
            // From here on it has a report, whoever is killed.
            self.reporting.note_totals(now, self.sessions.live(now), &self.provisioning);
            log::debug!("player {pid} opens session {id}: {url}");
        }
    }

    fn take_snapshots(&mut self, now: Millis) {
        while let Some(snapshot) = self.sessions.poll_snapshot() {
            self.reporting.handle_snapshot(now, &snapshot, &self.provisioning);
        }
    }

    fn take_entries(&mut self) {
        while let Some(entry) = self.sessions.poll_entry() {
            self.outlets.handle_entry(&entry);
        }
    }

    async fn refresh_interfaces(&mut self, now: Millis) {
        self.relist_due = None;
        match self.sampler.refresh().await {
            Ok(leads_elsewhere) => {
                if let (true, Some(remote)) = (leads_elsewhere, &mut self.source.remote) {
                    remote.handle_network(now);
                }
            }
            Err(error) => {
                // Nothing that changed before may wait for the next change.
                self.relist_due = Some(now + RELIST);
                self.reporting.note_error(now, format!("the kernel does not list its interfaces: {error}"));
            }
        }
    }

    async fn sample(&mut self, now: Millis) {
        match self.sampler.sample(&self.selection).await {
            Ok(networks) => self.reporting.handle_sample(now, networks),
            Err(error) => {
                self.reporting.note_error(now, format!("the kernel does not list its interfaces: {error}"));
            }
        }
        let period = self.network_period();
        // After a suspend the periods that were slept through are not made up for.
        self.sample_due = self.sample_due.zip(period).map(|(due, period)| {
            let next = due + period;
            if next > now { next } else { now + period }
        });
    }
}
