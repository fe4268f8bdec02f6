//! The status as a live view: drawn anew each second until `q` or Ctrl-C.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::read;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::report::Status;
use super::{ask, text, unanswered};
use crate::cli::Failure;

const PERIOD: Duration = Duration::from_secs(1);

/// The other screen, without a cursor, lines cut and not wrapped.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

const CTRL_C: u8 = 3;

/// The terminal, as it is while somebody watches; as it was before when this is dropped.
struct Screen {
    before: Termios,
    stdin: io::Stdin,
    is_over: Arc<AtomicBool>,
}

/// Shows the status of the daemon at `path` until the user has seen enough.
///
/// # Errors
/// Where there is no terminal, or no daemon to begin with.
pub(super) fn watch(path: &Path) -> Result<(), Failure> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(Failure::usage("--watch needs a terminal; use --json, or leave it out"));
    }
    let cannot = |error: io::Error| Failure::environment(format!("the terminal cannot be used: {error}"));
    let mut before = fetch(path).map_err(Failure::environment)?;
    let mut at = Instant::now();
    let screen = Screen::enter().map_err(cannot)?;
    let mut shown = view(&before, None);
    loop {
        screen.draw(&shown).map_err(cannot)?;
        if screen.is_left(PERIOD).map_err(cannot)? {
            return Ok(());
        }
        match fetch(path) {
            Ok(status) => {
                let now = Instant::now();
                shown = view(&status, Some((&before, now - at)));
                (before, at) = (status, now);
            }
            // It may be restarting.
            Err(error) => shown = format!("{error}\n"),
        }
    }
}

fn fetch(path: &Path) -> Result<Status, String> {
    let answer = ask(path).map_err(|error| unanswered(path, &error))?;
    serde_json::from_str(&answer).map_err(|error| format!("{}: not a status: {error}", path.display()))
}

/// What is drawn: how fast things go since the view before, then the status.
fn view(status: &Status, before: Option<(&Status, Duration)>) -> String {
    let mut out = String::from("q ends this view\n\n");
    if let Some((before, time)) = before {
        out.push_str("now\n");
        let per_second = |new: u64, old: u64| {
            let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
            new.saturating_sub(old).saturating_mul(1000) / ms
        };
        for session in &status.sessions {
            let Some(old) = before.sessions.iter().find(|old| old.session == session.session) else {
                continue;
            };
            let (new, old) = (&session.counts, &old.counts);
            out.push_str(&format!(
                "  {}: {} frames/s, {} kbit/s\n",
                session.session,
                per_second(new.video.decoded, old.video.decoded),
                per_second(new.bytes, old.bytes) * 8 / 1000,
            ));
        }
        for interface in &status.interfaces {
            let Some(old) = before.interfaces.iter().find(|old| old.name == interface.name) else { continue };
            out.push_str(&format!(
                "  {}: receives {} kbit/s, sends {} kbit/s\n",
                interface.name,
                per_second(interface.received_bytes, old.received_bytes) * 8 / 1000,
                per_second(interface.sent_bytes, old.sent_bytes) * 8 / 1000,
            ));
        }
        out.push('\n');
    }
    out + &text::text(status)
}

// === impl Screen ===

impl Screen {
    fn enter() -> io::Result<Self> {
        let stdin = io::stdin();
        let is_over = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&is_over))?;
        }
        let before = tcgetattr(&stdin)?;
        let mut raw = before.clone();
        // Keys come one by one and unseen; Ctrl-C is one of them.
        raw.local_flags &= !(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG);
        tcsetattr(&stdin, SetArg::TCSANOW, &raw)?;
        let screen = Self { before, stdin, is_over };
        screen.write(ENTER)?;
        Ok(screen)
    }

    /// Each line at its place, and never a new one at the end: that would move all others.
    fn draw(&self, text: &str) -> io::Result<()> {
        let mut frame = String::new();
        for (at, line) in text.lines().enumerate() {
            // Whatever a player put into a string is not for the terminal to obey.
            let line = line.replace(char::is_control, " ");
            frame.push_str(&format!("\x1b[{};1H{line}\x1b[K", at + 1));
        }
        frame.push_str("\x1b[J");
        self.write(&frame)
    }

    /// Waits; whether the user has seen enough.
    fn is_left(&self, time: Duration) -> io::Result<bool> {
        let until = Instant::now() + time;
        loop {
            if self.is_over.load(Ordering::Relaxed) {
                return Ok(true);
            }
            let left = until.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            let mut fds = [PollFd::new(self.stdin.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, timeout) {
                Ok(0) => return Ok(false),
                Ok(_) => {
                    let mut keys = [0; 64];
                    match read(&self.stdin, &mut keys) {
                        // The terminal is gone.
                        Ok(0) | Err(Errno::EIO) => return Ok(true),
                        Ok(count) => {
                            let keys = keys.get(..count).unwrap_or_default();
                            if keys.iter().any(|key| matches!(key, b'q' | b'Q' | &CTRL_C)) {
                                return Ok(true);
                            }
                        }
                        Err(Errno::EINTR | Errno::EAGAIN) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nobody could be told that the terminal is gone.
        let _ = self.write(LEAVE);
        let _ = tcsetattr(&self.stdin, SetArg::TCSANOW, &self.before);
    }
}
