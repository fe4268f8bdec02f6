//! Questions to the routing tables, and their news.

use std::io;
use std::time::Duration;

use futures_util::StreamExt;
use netlink_packet_core::{
    Emitable, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::AddressHeader;
use netlink_packet_route::link::LinkHeader;
use netlink_packet_route::route::RouteHeader;
use nix::libc;
use rtnetlink::MulticastGroup;
use rtnetlink::proto::{ConnectionHandle, new_connection};
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{AsyncSocket as _, SocketAddr};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::interfaces::Interfaces;
use super::messages::{Address, Link, Route};
use super::wire::Message;

/// The kernel answers at once; who waits longer than this waits for something that is broken.
const PATIENCE: Duration = Duration::from_secs(2);

/// A table that changes while it is told is asked for again, so often in all.
const ATTEMPTS: u32 = 3;

/// What the kernel is to tell unasked.
const NEWS: [MulticastGroup; 3] =
    [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv4Route];

/// A connection over which the kernel is asked for its links, addresses and routes.
#[derive(Debug)]
pub(crate) struct Netlink {
    handle: ConnectionHandle<Message>,
    /// What reads and writes the socket; it ends with this value.
    _connection: JoinSet<()>,
}

/// Wakes whenever the kernel says that links, addresses or routes have changed.
///
/// What has changed is not read from the notifications: they are lost where there are many (ENOBUFS), and a fresh
/// dump tells the same in one place.
#[derive(Debug)]
pub(crate) struct Monitor {
    /// Holds something when anything has changed.
    changes: mpsc::Receiver<()>,
    _connection: JoinSet<()>,
}

/// One answer.
struct Table<T> {
    rows: Vec<T>,
    /// Not so if the table changed while it was told: what was told may be in part the old one.
    is_whole: bool,
}

// === impl Netlink ===

impl Netlink {
    /// Connects. Needs a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// Where the kernel, or a sandbox, gives no such socket.
    pub(crate) fn open() -> io::Result<Self> {
        let (mut connection, handle, _) = new_connection::<Message>(NETLINK_ROUTE)?;
        // It tells a whole answer from one that broke off.
        connection.set_forward_done(true);
        let mut tasks = JoinSet::new();
        tasks.spawn(connection);
        Ok(Self { handle, _connection: tasks })
    }

    /// Asks for everything a report needs but the links' speed.
    ///
    /// # Errors
    /// Where the kernel refuses or does not answer.
    pub(crate) async fn dump(&mut self) -> io::Result<Interfaces> {
        timeout(PATIENCE, self.dump_all())
            .await
            .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer over netlink")))
    }

    async fn dump_all(&mut self) -> io::Result<Interfaces> {
        let mut interfaces = Interfaces::default();
        let any = LinkHeader::default();
        let links = self.table(libc::RTM_GETLINK, &any, |message| match message.kind {
            libc::RTM_NEWLINK => Link::read(&message.body),
            _ => None,
        });
        links.await?.into_iter().for_each(|link| interfaces.add_link(link));

        let family = AddressHeader { family: AddressFamily::Inet, ..AddressHeader::default() };
        let addresses = self.table(libc::RTM_GETADDR, &family, |message| match message.kind {
            libc::RTM_NEWADDR => Address::read(&message.body),
            _ => None,
        });
        addresses.await?.into_iter().for_each(|address| interfaces.add_address(address));

        let family = RouteHeader { address_family: AddressFamily::Inet, ..RouteHeader::default() };
        let routes = self.table(libc::RTM_GETROUTE, &family, |message| match message.kind {
            libc::RTM_NEWROUTE => Route::read(&message.body),
            _ => None,
        });
        routes.await?.into_iter().for_each(|route| interfaces.add_route(route));
        Ok(interfaces)
    }

    /// A whole table; where it never comes to rest, what was told last.
    async fn table<T>(
        &mut self,
        kind: u16,
        family: &impl Emitable,
        read: fn(Message) -> Option<T>,
    ) -> io::Result<Vec<T>> {
        let question = Message::question(kind, family);
        let mut table = self.ask(question.clone(), read).await?;
        for _ in 1..ATTEMPTS {
            if table.is_whole {
                break;
            }
            table = self.ask(question.clone(), read).await?;
        }
        Ok(table.rows)
    }

    async fn ask<T>(&mut self, question: Message, read: fn(Message) -> Option<T>) -> io::Result<Table<T>> {
        let mut request = NetlinkMessage::from(question);
        request.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        let kernel = SocketAddr::new(0, 0);
        let mut answers = self.handle.request(request, kernel).map_err(|_| broken())?;
        let mut table = Table { rows: Vec::new(), is_whole: true };
        while let Some(answer) = answers.next().await {
            table.is_whole &= answer.header.flags & NLM_F_DUMP_INTR == 0;
            match answer.payload {
                NetlinkPayload::InnerMessage(message) => table.rows.extend(read(message)),
                NetlinkPayload::Error(error) => return Err(error.to_io()),
                NetlinkPayload::Done(done) if done.code < 0 => {
                    return Err(io::Error::from_raw_os_error(done.code.saturating_neg()));
                }
                NetlinkPayload::Done(_) => return Ok(table),
                _ => {}
            }
        }
        Err(broken())
    }
}

// === impl Monitor ===

impl Monitor {
    /// Starts listening. Needs a tokio runtime with I/O.
    ///
    /// # Errors
    /// Where the kernel, or a sandbox, gives no such socket.
    pub(crate) fn open() -> io::Result<Self> {
        let (mut connection, _, mut news) = new_connection::<Message>(NETLINK_ROUTE)?;
        // A bit for each group, from its number less one (netlink(7)).
        let groups = NEWS.iter().fold(0, |groups, group| groups | 1 << (*group as u32 - 1));
        connection.socket_mut().socket_mut().bind(&SocketAddr::new(0, groups))?;
        let (sender, changes) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        tasks.spawn(connection);
        tasks.spawn(async move {
            // That some were lost comes as a message, too (NLMSG_OVERRUN).
            while news.next().await.is_some() {
                // Where it is full already, one change more tells nothing new.
                let _ = sender.try_send(());
            }
        });
        Ok(Self { changes, _connection: tasks })
    }

    /// Returns once anything has changed since the last call, or may have.
    ///
    /// # Errors
    /// Where the connection is broken for good; a new one must be opened.
    pub(crate) async fn changed(&mut self) -> io::Result<()> {
        self.changes.recv().await.ok_or_else(broken)
    }
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the netlink connection is broken")
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::thread;

    use nix::sched::{CloneFlags, unshare};
    use tokio::runtime::{Builder, Runtime};

    use super::*;

    fn ip(words: &str) {
        let output = Command::new("ip").args(words.split_whitespace()).output().expect("ip (iproute2) runs");
        assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_all().build().unwrap()
    }

    /// Runs in a network namespace of its own; what it runs is in there too.
    fn in_a_namespace(test: impl FnOnce() + Send) {
        thread::scope(|scope| {
            let run = || match unshare(CloneFlags::CLONE_NEWNET) {
                Ok(()) => test(),
                Err(error) => {
                    eprintln!("\n########## SKIPPED: network namespaces\n########## because: {error}\n")
                }
            };
            // A thread is in a namespace, not a process (unshare(2)).
            scope.spawn(run).join().unwrap();
        });
    }

    #[test]
    fn the_kernel_tells_what_is_there() {
        let interfaces = runtime().block_on(async { Netlink::open()?.dump().await }).unwrap();
        let before = Interfaces::default();
        let lines = interfaces.changes_since(&before);
        assert!(lines.iter().any(|line| line.starts_with("interface lo is there")), "{lines:?}");
    }

    #[test]
    fn changes_wake_the_monitor() {
        in_a_namespace(|| {
            let runtime = runtime();
            let _guard = runtime.enter();
            let mut netlink = Netlink::open().unwrap();
            let mut monitor = Monitor::open().unwrap();
            let quiet = Duration::from_millis(200);
            assert!(runtime.block_on(timeout(quiet, monitor.changed())).is_err(), "nothing has changed");

            let mut before = runtime.block_on(netlink.dump()).unwrap();
            let mut changed = || {
                runtime.block_on(timeout(PATIENCE, monitor.changed())).unwrap().unwrap();
                // Several notifications for one command.
                while runtime.block_on(timeout(quiet, monitor.changed())).is_ok() {}
                let now = runtime.block_on(netlink.dump()).unwrap();
                let lines = now.changes_since(&before);
                before = now;
                lines
            };
            ip("link add eth0 type veth peer name far0");
            let lines = changed();
            assert!(lines.contains(&"interface eth0 is there, down".to_owned()), "{lines:?}");
            ip("link set eth0 name wan0");
            assert_eq!(changed(), ["interface eth0 is now named wan0"]);
            ip("link set far0 up");
            ip("link set wan0 up");
            let lines = changed();
            assert!(lines.contains(&"interface wan0 is up".to_owned()), "{lines:?}");
            ip("addr add 10.1.2.3/24 dev wan0");
            assert_eq!(changed(), ["interface wan0 has address 10.1.2.3"]);
            ip("route add default via 10.1.2.1");
            assert_eq!(changed(), ["the default route leads over 10.1.2.1"]);
            ip("link del wan0");
            assert!(changed().contains(&"there is no default route any more".to_owned()));
        });
    }

    #[test]
    fn lost_notifications_wake_it_too() {
        in_a_namespace(|| {
            let runtime = runtime();
            let _guard = runtime.enter();
            let mut netlink = Netlink::open().unwrap();
            let mut monitor = Monitor::open().unwrap();
            ip("link add eth0 type veth peer name far0");
            let before = runtime.block_on(netlink.dump()).unwrap();
            // Nobody reads meanwhile: more than the socket holds.
            let batch = tempfile::NamedTempFile::new().unwrap();
            let flaps =
                "link set eth0 up\nlink set eth0 down\n".repeat(2000) + "addr add 10.1.2.3/24 dev eth0\n";
            std::fs::write(batch.path(), flaps).unwrap();
            ip(&format!("-batch {}", batch.path().display()));

            let changed = async {
                monitor.changed().await.unwrap();
                netlink.dump().await.unwrap()
            };
            let lines = runtime.block_on(changed).changes_since(&before);
            assert_eq!(lines, ["interface eth0 has address 10.1.2.3"]);
            // The connection has outlived it.
            while runtime.block_on(timeout(Duration::from_millis(200), monitor.changed())).is_ok() {}
            ip("link set eth0 up");
            runtime.block_on(timeout(PATIENCE, monitor.changed())).unwrap().unwrap();
        });
    }
}
