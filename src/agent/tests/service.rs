//! What the service manager hears of the daemon, on a real socket.

use std::fs::File;
use std::io::Write;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;

use crate::common::{Server, TestBox, media_only, until};

/// Where the daemon sends it.
struct Manager {
    socket: UnixDatagram,
    heard: Vec<(Instant, String)>,
}

impl Manager {
    fn at(address: &SocketAddr) -> Self {
        let socket = UnixDatagram::bind_addr(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        Self { socket, heard: Vec::new() }
    }

    /// Waits for a message that begins so.
    fn hear(&mut self, what: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let Ok(length) = self.socket.recv(&mut buffer) else {
                panic!("no {what} after {:?}", self.heard)
            };
            let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
            self.heard.push((Instant::now(), text.clone()));
            if text.starts_with(what) {
                return text;
            }
        }
    }

    fn times(&self, what: &str) -> Vec<Instant> {
        self.heard.iter().filter(|(_, text)| text == what).map(|(at, _)| *at).collect()
    }
}

fn monotonic() -> Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).unwrap().into()
}

#[test]
fn it_hears_of_readiness_reloads_and_the_end() {
    let test_box = &mut TestBox::new(&media_only("http://127.0.0.1:9/", 3600));
    let path = test_box.path("notify");
    let mut manager = Manager::at(&SocketAddr::from_pathname(&path).unwrap());
    test_box.start_command(test_box.run_command().env("NOTIFY_SOCKET", &path));
    manager.hear("READY=1");
    // Ready is when players can connect, and not before.
    test_box.connect().hello("at once");
    assert!(manager.hear("STATUS=").contains("players, 0 sessions"));

    test_box.provision(&media_only("http://127.0.0.1:9/", 60));
    test_box.signal(Signal::SIGHUP);
    let reloading = manager.hear("RELOADING=1\nMONOTONIC_USEC=");
    let usec: u64 = reloading.rsplit('=').next().unwrap().parse().unwrap();
    let age = monotonic() - Duration::from_micros(usec);
    // A unit that is wrong would be off by far more.
    assert!(age < Duration::from_secs(60), "{age:?}");
    manager.hear("READY=1");
    assert_eq!(test_box.status()["provisioning"]["accum_period_ms"], 60_000);

    assert!(test_box.stop().success());
    manager.hear("STOPPING=1");
    assert_eq!(manager.times("READY=1").len(), 2, "{:?}", manager.heard);
}

/// Containers give such a socket.
#[test]
fn it_is_fed_by_the_loop_over_an_abstract_socket() {
    let test_box = &mut TestBox::new(&media_only("http://127.0.0.1:9/", 3600));
    let name = format!("stbeacon-test-{}", std::process::id());
    let mut manager = Manager::at(&SocketAddr::from_abstract_name(&name).unwrap());
    let mut command = test_box.run_command();
    command.env("NOTIFY_SOCKET", format!("@{name}")).env("WATCHDOG_USEC", "400000");
    test_box.start_command(&mut command);
    for _ in 0..6 {
        manager.hear("WATCHDOG=1");
    }
    let times = manager.times("WATCHDOG=1");
    let mut between: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    between.sort_unstable();
    let median = between[between.len() / 2];
    let half = Duration::from_millis(100)..Duration::from_millis(400);
    assert!(half.contains(&median), "at half its time, not without end: {between:?}");

    // A process that hangs does not feed it.
    test_box.signal(Signal::SIGSTOP);
    manager.socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut buffer = [0; 4096];
    while manager.socket.recv(&mut buffer).is_ok() {}
    test_box.signal(Signal::SIGCONT);
    manager.hear("WATCHDOG=1");
}

/// With nothing in force it is ready when the first attempt to get something is over.
#[test]
fn on_a_first_boot_without_the_server_it_is_ready_all_the_same() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = listener.local_addr().unwrap().to_string();
    let test_box = &mut TestBox::new("");
    std::fs::remove_file(test_box.path("provision.xml")).unwrap();
    let path = test_box.path("notify");
    let mut manager = Manager::at(&SocketAddr::from_pathname(&path).unwrap());
    let mut command = test_box.run_command();
    command.args(["--provisioning-url", &nowhere]).env("NOTIFY_SOCKET", &path);
    test_box.start_command(&mut command);
    assert!(manager.hear("STATUS=").contains("no provisioning yet"));
    assert!(manager.times("READY=1").is_empty(), "it still waits: {:?}", manager.heard);
    // Nobody answered so far; now the connection breaks.
    drop(listener);
    manager.hear("READY=1");
    assert!(test_box.log().contains("next attempt in"), "{}", test_box.log());
}

/// A reload is over when the server has answered.
#[test]
fn a_reload_waits_for_the_server() {
    let server = Server::answering(|_| {
        std::thread::sleep(Duration::from_millis(700));
        crate::common::Answer { status: 200, body: b"<provision/>".to_vec(), ..Default::default() }
    });
    let test_box = &mut TestBox::new("<provision/>");
    let path = test_box.path("notify");
    let mut manager = Manager::at(&SocketAddr::from_pathname(&path).unwrap());
    let mut command = test_box.run_command();
    command.args(["--provisioning-url", &server.address]).env("NOTIFY_SOCKET", &path);
    test_box.start_command(&mut command);
    manager.hear("READY=1");
    server.next();
    test_box.signal(Signal::SIGHUP);
    manager.hear("RELOADING=1");
    let start = Instant::now();
    manager.hear("READY=1");
    assert!(start.elapsed() > Duration::from_millis(500), "{:?}", start.elapsed());
    server.next();
}

/// However early it is asked to stop, it ends in order. Its file comes through a pipe here, so that it is caught
/// before it listens.
#[test]
fn a_stop_before_it_listens_is_obeyed_in_order() {
    let test_box = &mut TestBox::new("");
    let path = test_box.path("provision.xml");
    std::fs::remove_file(&path).unwrap();
    nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    test_box.spawn(&mut test_box.run_command());
    // There is nobody to write to until it reads.
    let mut writes = File::options();
    writes.write(true).custom_flags(OFlag::O_NONBLOCK.bits());
    let mut pipe = until("the daemon to read its file", || writes.open(&path).ok());
    assert!(!test_box.path("player.sock").exists(), "it is not that far");
    test_box.signal(Signal::SIGTERM);
    pipe.write_all(media_only("http://127.0.0.1:9/", 3600).as_bytes()).unwrap();
    drop(pipe);
    let status = test_box.ended();
    assert!(status.success(), "{status}: {}", test_box.log());
    assert!(test_box.log().contains("stopped"), "{}", test_box.log());
    assert!(!test_box.path("player.sock").exists(), "nothing is left behind");
}
