//! What the daemon does when its provisioning is read or fetched again.

use stbeacon_core::provisioning::Provisioning;
use stbeacon_core::time::Millis;

use super::Daemon;
use crate::http;
use crate::netlink::Selection;
use crate::provision::{self, Remote};

impl Daemon {
    /// Somebody asks for it: the file is read, and the server is asked.
    pub(super) fn reload(&mut self, now: Millis) {
        self.service.handle_reload(now);
        self.handle_file(now, true);
        if let Some(remote) = &mut self.source.remote {
            remote.handle_request(now);
        }
    }

    /// Reads the file, which somebody asked for or not.
    pub(super) fn handle_file(&mut self, now: Millis, is_asked: bool) {
        match self.source.reload_file() {
            Ok(Some(new)) => self.put_in_force(now, new, is_asked),
            Ok(None) => {}
            Err(error) => {
                log::error!("{error}");
                log::warn!("provisioning stays as it was");
                self.reporting.note_error(now, error);
            }
        }
    }

    /// Takes what the server gave, or that it gave nothing.
    pub(super) fn handle_fetched(&mut self, now: Millis, outcome: http::Outcome) {
        let read = Remote::read(outcome);
        let taken = read.and_then(|bytes| self.source.take_fetched(&bytes).map_err(Into::into));
        let Some(remote) = &mut self.source.remote else { return };
        match taken {
            Ok(new) => {
                remote.handle_good(now, new.reload);
                self.put_in_force(now, new, self.service.is_reloading());
            }
            Err(failure) => {
                let delay = remote.handle_failure(now, &failure);
                let error = format!("no provisioning from {}: {}", remote.url(), failure.error);
                log::warn!("{error}; next attempt in {delay}");
                self.reporting.note_error(now, error);
            }
        }
    }

    fn put_in_force(&mut self, now: Millis, new: Provisioning, is_asked: bool) {
        if new == self.provisioning {
            log::debug!("the same provisioning again");
            if !is_asked {
                return;
            }
            // Files that it names, and configurations that it leads to, may have changed all the same.
            log::info!("provisioning is read again: nothing has changed");
        }
        for line in provision::changes(&self.provisioning, &new) {
            log::info!("provisioning: {line}");
        }
        let old_period = self.network_period();
        self.provisioning = new;
        if old_period != self.network_period() {
            self.sample_due = None;
        }
        self.apply_provisioning(now);
    }

    pub(super) fn apply_provisioning(&mut self, now: Millis) {
        let statistics = self.provisioning.statistics.as_ref();
        let media_period = statistics.and_then(|statistics| statistics.media).and_then(|media| media.period);
        self.sessions.set_report_period(now, media_period);
        self.selection = Selection::new(self.provisioning.reports.interfaces.clone());
        let period = self.network_period();
        self.sample_due = period.map(|period| self.sample_due.unwrap_or(now + period));
        self.reporting.apply_provisioning(now, &self.provisioning);
        self.take_entries();
        let spool = self.reporting.store().spool();
        self.outlets.apply_provisioning(now, &self.provisioning, &mut self.sessions, spool);
    }

    pub(super) fn network_period(&self) -> Option<Millis> {
        self.provisioning.statistics.as_ref()?.network.as_ref().map(|network| network.period)
    }
}
