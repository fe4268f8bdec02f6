//! A box in small: a daemon with a receiver for its reports.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{Daemon, DaemonOptions, Error, Finished, Media, Player, Process, Receiver, Way};

/// How long a player may play one clip.
const PLAY: Duration = Duration::from_secs(60);

/// How long a report may take once the player is gone: the first accumulation period is at most twice 1 s.
const REPORT: Duration = Duration::from_secs(10);

/// A daemon, and the receiver it reports to.
#[derive(Debug)]
pub struct Stb {
    /// Where reports arrive.
    pub receiver: Receiver,
    /// What sends them.
    pub daemon: Daemon,
}

/// What came of one player's run.
#[derive(Debug)]
pub struct Run {
    /// The one report of it.
    pub media: Media,
    /// How the player ended, and what it printed.
    pub player: Finished,
    /// UNIX time when the player was given to [`Stb::watch`], and when it had ended.
    pub span: (u64, u64),
}

impl Stb {
    /// Starts both; sessions only, reported after a second.
    ///
    /// # Errors
    /// If either does not come up.
    pub fn start() -> Result<Self, Error> {
        Self::start_with(|options| options)
    }

    /// Starts both, with changed options.
    ///
    /// # Errors
    /// As [`Stb::start`].
    pub fn start_with(change: impl FnOnce(DaemonOptions) -> DaemonOptions) -> Result<Self, Error> {
        let receiver = Receiver::start()?;
        let daemon = Daemon::with(change(DaemonOptions::media_only(receiver.url())))?;
        Ok(Self { receiver, daemon })
    }

    /// A player on this box.
    ///
    /// # Errors
    /// As [`Player::new`].
    pub fn player(&self, way: Way) -> Result<Player, Error> {
        Ok(Player::new(way)?.socket(&self.daemon.socket()))
    }

    /// Waits for the player's end and for the one report of what it played, which may have come already.
    ///
    /// # Errors
    /// If the player fails or does not end, or if there is not exactly one report.
    pub fn watch(&self, player: Process) -> Result<Run, Error> {
        let run = self.watch_failing(player)?;
        if run.player.status.success() { Ok(run) } else { Err(run.player.error("the player failed")) }
    }

    /// The same for a player that may fail.
    ///
    /// # Errors
    /// If it does not end, or if there is not exactly one report.
    pub fn watch_failing(&self, player: Process) -> Result<Run, Error> {
        let begin = unix_now();
        let player = player.wait(PLAY)?;
        let end = unix_now();
        let media = self
            .receiver
            .wait_for_new_media(REPORT)
            .map_err(|e| e.with_log("player", &player.stderr).with_log("daemon", &self.daemon.log()))?;
        match media.as_slice() {
            [media] => Ok(Run { media: media.clone(), player, span: (begin, end) }),
            reports => Err(player
                .error(&format!("not one report but {reports:#?}"))
                .with_log("daemon", &self.daemon.log())),
        }
    }
}

/// Whole seconds of UNIX time.
fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}
