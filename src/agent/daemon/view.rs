//! The daemon's status, from what it knows.

use std::collections::BTreeMap;

use stbeacon_core::player::SessionId;
use stbeacon_core::time::Millis;

use super::Daemon;
use crate::status::{InterfaceStatus, PlayerStatus, ProvisioningStatus, SessionStatus, Status};
use crate::{box_facts, clock};

impl Daemon {
    /// Everything, now. The interfaces are asked for anew.
    pub(super) async fn status(&mut self, now: Millis) -> Status {
        let interfaces = match self.sampler.sample(&self.selection).await {
            Ok(networks) => networks.into_iter().map(InterfaceStatus::from).collect(),
            Err(error) => {
                self.reporting.note_error(now, format!("the kernel does not list its interfaces: {error}"));
                Vec::new()
            }
        };
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_ms: now.since(self.started).0,
            rss_bytes: box_facts::resident_bytes(),
            clock_set: clock::wall_anchor().is_some(),
            provisioning: self.provisioning_status(now),
            players: self.player_statuses(now),
            sessions: self.session_statuses(now),
            interfaces,
            queue: self.reporting.queue_status(now),
            deliveries: self.reporting.delivery_status(),
            dropped: self.reporting.drop_status(),
            lines: self.outlets.line_status(now, self.reporting.store().spool()),
            heartbeats: self.outlets.heartbeat_status(now, self.reporting.store().spool()),
            datagrams: self.datagrams,
            last_error: self.reporting.error_status(now),
        }
    }

    fn provisioning_status(&self, now: Millis) -> ProvisioningStatus {
        let origin = ProvisioningStatus {
            file: self.source.file().display().to_string(),
            in_force: self.source.in_force(),
            server: self.source.remote.as_ref().map(|remote| remote.status(now)),
            ..ProvisioningStatus::default()
        };
        let Some(statistics) = &self.provisioning.statistics else { return origin };
        ProvisioningStatus {
            statistics_url: statistics.url.to_string(),
            accum_period_ms: statistics.accum_period.0,
            network_period_ms: statistics.network.map_or(0, |network| network.period.0),
            media: statistics.media.is_some(),
            media_period_ms: statistics.media.and_then(|media| media.period).map_or(0, |period| period.0),
            ..origin
        }
    }

    fn player_statuses(&self, now: Millis) -> Vec<PlayerStatus> {
        let mut sessions = BTreeMap::new();
        for (_, peer) in self.sessions.owners() {
            *sessions.entry(peer).or_insert(0) += 1;
        }
        let players = self.players.iter().map(|(peer, player)| PlayerStatus {
            pid: player.connection.pid,
            uid: player.connection.uid,
            name: player.name.clone(),
            connected_ms: now.since(player.since).0,
            sessions: sessions.get(peer).copied().unwrap_or(0),
        });
        players.collect()
    }

    fn session_statuses(&self, now: Millis) -> Vec<SessionStatus> {
        let owners: BTreeMap<_, _> = self.sessions.owners().collect();
        let pid_of =
            |id: &SessionId| owners.get(id).and_then(|peer| self.players.get(peer)).map(|p| p.connection.pid);
        let live = self.sessions.live(now);
        live.map(|snapshot| {
            let pid = pid_of(&snapshot.id).unwrap_or(0);
            SessionStatus::new(snapshot, pid)
        })
        .collect()
    }
}
