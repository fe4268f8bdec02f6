//! What the service manager is told: sd_notify(3), without its library.
//!
//! One datagram for each change of state, to the socket that `NOTIFY_SOCKET` names; without it nothing is told.
//! The watchdog is fed by whoever calls [`Service::handle_turn`], which is the daemon's loop and nothing else.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use stbeacon_core::time::Millis;

/// Where to send (sd_notify(3)).
const SOCKET_ENV: &str = "NOTIFY_SOCKET";
/// How often a sign of life is expected, in microseconds, and of which process (sd_watchdog_enabled(3)).
const WATCHDOG_ENV: &str = "WATCHDOG_USEC";
const WATCHDOG_PID_ENV: &str = "WATCHDOG_PID";

/// A reload is over when the provisioning server has answered, or after this time.
const RELOAD_PATIENCE: Millis = Millis(10_000);

/// What is shown by `systemctl status` changes no more often than this.
const STATUS_PERIOD: Millis = Millis(5_000);

/// The daemon, as the service manager sees it.
#[derive(Debug)]
pub(crate) struct Service {
    manager: Option<Manager>,
    phase: Phase,
    watchdog: Option<Watchdog>,
    status: String,
    status_at: Option<Millis>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting,
    Ready,
    /// And over at that time at the latest.
    Reloading(Millis),
    Stopping,
}

/// Who is told.
#[derive(Debug)]
struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
}

#[derive(Debug)]
struct Watchdog {
    /// Half of what is allowed.
    period: Millis,
    due: Millis,
}

// === impl Service ===

impl Service {
    /// As the environment says. What is wrong with it goes into the log: the daemon works without.
    pub(crate) fn from_env() -> Self {
        let manager = std::env::var_os(SOCKET_ENV).filter(|name| !name.is_empty()).and_then(|name| {
            Manager::new(name.as_bytes())
                .inspect_err(|error| log::warn!("{SOCKET_ENV}={}: {error}", name.to_string_lossy()))
                .ok()
        });
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let is_ours = number(WATCHDOG_PID_ENV).is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number(WATCHDOG_ENV).filter(|_| is_ours && manager.is_some());
        Self::new(manager, watchdog)
    }

    fn new(manager: Option<Manager>, watchdog_usec: Option<u64>) -> Self {
        let watchdog = watchdog_usec
            .filter(|usec| *usec > 0)
            .map(|usec| Watchdog { period: Millis((usec / 2000).max(1)), due: Millis(0) });
        Self { manager, phase: Phase::Starting, watchdog, status: String::new(), status_at: None }
    }

    /// Whether a reload was asked for and is not over yet.
    pub(crate) const fn is_reloading(&self) -> bool {
        matches!(self.phase, Phase::Reloading(_))
    }

    /// The loop has turned once more. `is_settled` says that nothing is left of a start or a reload; `status` is
    /// for people.
    pub(crate) fn handle_turn(&mut self, now: Millis, is_settled: bool, status: impl FnOnce() -> String) {
        let is_over = match self.phase {
            Phase::Starting => is_settled,
            Phase::Reloading(until) => is_settled || until <= now,
            Phase::Ready | Phase::Stopping => false,
        };
        if is_over {
            self.phase = Phase::Ready;
            self.tell("READY=1");
        }
        if self.watchdog.as_ref().is_some_and(|watchdog| watchdog.due <= now) {
            self.tell("WATCHDOG=1");
            if let Some(watchdog) = &mut self.watchdog {
                watchdog.due = now + watchdog.period;
            }
        }
        if self.manager.is_some() && self.status_at.is_none_or(|at| now.since(at) >= STATUS_PERIOD) {
            self.status_at = Some(now);
            let status = status();
            if status != self.status {
                self.tell(&format!("STATUS={status}"));
                self.status = status;
            }
        }
    }

    /// When [`Service::handle_turn`] must be called again at the latest.
    pub(crate) fn poll_timeout(&self) -> Option<Millis> {
        let reload = match self.phase {
            Phase::Reloading(until) => Some(until),
            _ => None,
        };
        self.watchdog.as_ref().map(|watchdog| watchdog.due).into_iter().chain(reload).min()
    }

    /// A reload begins.
    pub(crate) fn handle_reload(&mut self, now: Millis) {
        if matches!(self.phase, Phase::Ready | Phase::Reloading(_)) {
            self.phase = Phase::Reloading(now + RELOAD_PATIENCE);
            self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic_usec()));
        }
    }

    /// The end begins.
    pub(crate) fn handle_stop(&mut self) {
        if self.phase != Phase::Stopping {
            self.phase = Phase::Stopping;
            self.tell("STOPPING=1");
        }
    }

    fn tell(&self, what: &str) {
        let Some(manager) = &self.manager else { return };
        if let Err(error) = manager.socket.send_to_addr(what.as_bytes(), &manager.address) {
            log::debug!("the service manager was not told {what:?}: {error}");
        }
    }
}

// === impl Manager ===

impl Manager {
    /// A path, or `@` and a name in the abstract namespace (unix(7)).
    fn new(name: &[u8]) -> io::Result<Self> {
        let address = match name {
            [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
            [b'/', ..] => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name))?,
            _ => return Err(io::Error::new(io::ErrorKind::Unsupported, "neither a path nor @NAME")),
        };
        let socket = UnixDatagram::unbound()?;
        // A manager that does not read must not hold up the loop.
        socket.set_nonblocking(true)?;
        Ok(Self { socket, address })
    }
}

/// What `MONOTONIC_USEC` of a reload is (sd_notify(3)): now, by CLOCK_MONOTONIC.
fn monotonic_usec() -> u128 {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |time| Duration::from(time).as_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Listener(UnixDatagram);

    impl Listener {
        fn heard(&self) -> Vec<String> {
            let mut buffer = [0; 4096];
            std::iter::from_fn(|| {
                let length = self.0.recv(&mut buffer).ok()?;
                Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
            })
            .collect()
        }
    }

    /// With an abstract socket of the test's own.
    fn service(name: &str, watchdog: Option<u64>) -> (Service, Listener) {
        let name = format!("stbeacon-test-{}-{name}", std::process::id());
        let listener = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        listener.set_nonblocking(true).unwrap();
        let manager = Manager::new(format!("@{name}").as_bytes()).unwrap();
        (Service::new(Some(manager), watchdog), Listener(listener))
    }

    fn idle() -> String {
        "idle".to_owned()
    }

    #[test]
    fn it_is_ready_when_all_is_settled_and_once() {
        let (mut service, listener) = service("ready", None);
        service.handle_turn(Millis(0), false, idle);
        assert_eq!(listener.heard(), ["STATUS=idle"]);
        service.handle_turn(Millis(1), true, idle);
        service.handle_turn(Millis(2), true, idle);
        assert_eq!(listener.heard(), ["READY=1"]);
        service.handle_turn(Millis(5_000), true, || "busy".to_owned());
        assert_eq!(listener.heard(), ["STATUS=busy"]);
        service.handle_stop();
        service.handle_stop();
        service.handle_turn(Millis(5_001), true, idle);
        assert_eq!(listener.heard(), ["STOPPING=1"]);
    }

    #[test]
    fn a_reload_ends_when_it_is_settled_or_after_a_while() {
        let (mut service, listener) = service("reload", None);
        service.handle_turn(Millis(0), true, idle);
        service.handle_reload(Millis(100));
        assert!(service.is_reloading());
        assert_eq!(service.poll_timeout(), Some(Millis(10_100)));
        service.handle_turn(Millis(200), false, idle);
        service.handle_turn(Millis(10_100), false, idle);
        let heard = listener.heard();
        assert_eq!(
            (heard.len(), heard[0].as_str(), heard[3].as_str()),
            (4, "READY=1", "READY=1"),
            "{heard:?}"
        );
        let (reloading, usec) = heard[2].split_once('\n').unwrap();
        assert_eq!(reloading, "RELOADING=1");
        let usec: u128 = usec.strip_prefix("MONOTONIC_USEC=").unwrap().parse().unwrap();
        assert!(usec > 0 && usec <= monotonic_usec());
        assert!(!service.is_reloading());
    }

    #[test]
    fn the_watchdog_is_fed_at_half_its_time() {
        let (mut service, listener) = service("watchdog", Some(3_000_000));
        service.handle_turn(Millis(10), true, idle);
        assert_eq!(service.poll_timeout(), Some(Millis(1_510)));
        service.handle_turn(Millis(1_509), true, idle);
        assert_eq!(listener.heard(), ["READY=1", "WATCHDOG=1", "STATUS=idle"]);
        service.handle_turn(Millis(1_510), true, idle);
        assert_eq!(listener.heard(), ["WATCHDOG=1"]);
    }

    #[test]
    fn without_a_manager_nothing_happens() {
        let mut service = Service::new(None, None);
        service.handle_turn(Millis(0), true, idle);
        service.handle_reload(Millis(1));
        assert_eq!(service.poll_timeout(), Some(Millis(10_001)));
        assert!(Manager::new(b"relative").is_err());
        assert!(Manager::new(&[b'/'; 200]).is_err());
    }
}
