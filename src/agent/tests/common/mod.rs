//! A box in small: the real daemon in a directory of its own, a player that speaks the protocol, a real server.

use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::unistd::Pid;
use serde_json::Value;
use stbeacon_core::player::{Message, Reply};
use tempfile::TempDir;

/// Nothing here takes that long unless it is broken.
const LIMIT: Duration = Duration::from_secs(20);

/// `stbeacon` with these words.
pub(crate) fn stbeacon(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stbeacon"));
    command.args(args).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"STBEACON_") {
            command.env_remove(name);
        }
    }
    for name in ["STATE_DIRECTORY", "RUNTIME_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
        command.env_remove(name);
    }
    command
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits for something to become true.
pub(crate) fn until<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(start.elapsed() < LIMIT, "waited {LIMIT:?} in vain for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The daemon and everything that it touches.
pub(crate) struct TestBox {
    pub(crate) dir: TempDir,
    child: Option<Child>,
}

impl TestBox {
    /// With this provisioning, not started yet.
    pub(crate) fn new(provisioning: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let test_box = Self { dir, child: None };
        test_box.provision(provisioning);
        test_box
    }

    pub(crate) fn started(provisioning: &str) -> Self {
        let mut test_box = Self::new(provisioning);
        test_box.start();
        test_box
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn provision(&self, text: &str) {
        fs::write(self.path("provision.xml"), text).unwrap();
    }

    /// A file that only its owner may read.
    pub(crate) fn secret(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
        self.path(name)
    }

    /// `stbeacon run`, with everything in the directory.
    pub(crate) fn run_command(&self) -> Command {
        let mut command = stbeacon(&["run", "--log", "debug"]);
        command.arg("--provisioning").arg(self.path("provision.xml"));
        command.arg("--socket").arg(self.path("player.sock"));
        command.arg("--control").arg(self.path("control.sock"));
        command.arg("--state-dir").arg(self.path("state"));
        command.arg("--runtime-dir").arg(self.path("run"));
        command
    }

    pub(crate) fn start(&mut self) {
        self.start_with(&[]);
    }

    /// With these further words.
    pub(crate) fn start_with(&mut self, args: &[&str]) {
        let mut command = self.run_command();
        self.start_command(command.args(args));
    }

    /// This command, and waits until it listens.
    pub(crate) fn start_command(&mut self, command: &mut Command) {
        let listens = |log: &str| log.matches("listens on").count();
        let before = listens(&self.log());
        self.spawn(command);
        until("the daemon to listen", || (listens(&self.log()) > before).then_some(()));
    }

    /// This command, which need not come to listen.
    pub(crate) fn spawn(&mut self, command: &mut Command) {
        let log = fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        self.child = Some(command.stderr(log).spawn().unwrap());
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub(crate) fn wait_for_log(&self, part: &str) {
        self.wait_until(part, |test_box| test_box.log().contains(part));
    }

    pub(crate) fn wait_until(&self, what: &str, mut ready: impl FnMut(&Self) -> bool) {
        let start = Instant::now();
        while !ready(self) {
            assert!(start.elapsed() < LIMIT, "no {what:?} in the log:\n{}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = self.child.as_ref().unwrap().id();
        kill(Pid::from_raw(i32::try_from(id).unwrap()), signal).unwrap();
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.ended()
    }

    pub(crate) fn ended(&mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        until("the daemon's end", || child.try_wait().unwrap())
    }

    pub(crate) fn status(&self) -> Value {
        let control = self.path("control.sock");
        let output =
            stbeacon(&["status", "--json", "--control", control.to_str().unwrap()]).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Waits until the status says so at a JSON pointer; what is not there is null.
    pub(crate) fn wait_for_status(&self, pointer: &str, expected: &Value) {
        let start = Instant::now();
        loop {
            let status = self.status();
            if status.pointer(pointer).unwrap_or(&Value::Null) == expected {
                return;
            }
            assert!(start.elapsed() < LIMIT, "{pointer} is not {expected}: {status:#}\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn connect(&self) -> Player {
        Player::connect(&self.path("player.sock"))
    }
}

impl Drop for TestBox {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A player that is no GStreamer.
pub(crate) struct Player {
    fd: OwnedFd,
}

impl Player {
    pub(crate) fn connect(path: &Path) -> Self {
        let fd = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
        setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::seconds(10)).unwrap();
        connect(fd.as_raw_fd(), &UnixAddr::new(path).unwrap()).unwrap();
        Self { fd }
    }

    /// Sends one datagram; whether there was still somebody to take it.
    pub(crate) fn try_send(&self, datagram: &[u8]) -> bool {
        send(self.fd.as_raw_fd(), datagram, MsgFlags::MSG_NOSIGNAL).is_ok()
    }

    pub(crate) fn send(&self, datagram: &str) {
        assert!(self.try_send(datagram.as_bytes()), "nobody takes {datagram}");
    }

    /// Sends a message of `session` with these further fields, checked to be one.
    pub(crate) fn tell(&self, kind: &str, session: &str, fields: &str) {
        let at = boottime();
        let datagram = format!(r#"{{"v":1,"type":"{kind}","at":{at},"session":"{session}"{fields}}}"#);
        Message::decode(datagram.as_bytes()).unwrap();
        self.send(&datagram);
    }

    pub(crate) fn hello(&self, name: &str) {
        self.send(&format!(r#"{{"v":1,"type":"hello","at":0,"pid":1,"player":"{name}"}}"#));
    }

    /// Opens a session that plays at once.
    pub(crate) fn play(&self, session: &str, url: &str) {
        self.tell("open", session, &format!(r#","url":"{url}","proto":"iptv","id":"233""#));
        self.tell("state", session, r#","state":"playing""#);
        self.tell("first_frame", session, "");
    }

    /// The next that the daemon says; `None` at the connection's end.
    pub(crate) fn receive(&self) -> Option<Reply> {
        let mut buffer = [0; 8192];
        let length = recv(self.fd.as_raw_fd(), &mut buffer, MsgFlags::empty()).unwrap();
        (length > 0).then(|| Reply::decode(&buffer[..length]).unwrap().1)
    }
}

pub(crate) fn boottime() -> u64 {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).unwrap();
    u64::try_from(Duration::from(time).as_millis()).unwrap()
}

/// One request that came.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    /// As it was before it was compressed.
    pub(crate) body: String,
    /// Who asked, by its end of the connection.
    pub(crate) peer: Option<SocketAddr>,
}

/// How a server answers.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn reports(&self) -> Vec<Value> {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A real HTTP server on loopback, that answers as it is told: status and headers, 200 when nothing is left.
pub(crate) struct Server {
    pub(crate) address: String,
    got: Receiver<Got>,
}

impl Server {
    pub(crate) fn start(answers: Vec<(u16, Vec<(&'static str, String)>)>) -> Self {
        let mut answers = answers.into_iter();
        Self::answering(move |_| {
            let (status, headers) = answers.next().unwrap_or((200, Vec::new()));
            Answer { status, headers, body: Vec::new() }
        })
    }

    /// Answers each request as the function says.
    pub(crate) fn answering(answer: impl FnMut(&Got) -> Answer + Send + 'static) -> Self {
        Self::answering_at("127.0.0.1:0", answer)
    }

    /// The same at an address of the test's choice.
    pub(crate) fn answering_at(
        address: &str,
        mut answer: impl FnMut(&Got) -> Answer + Send + 'static,
    ) -> Self {
        let server = tiny_http::Server::http(address).unwrap();
        let address = server.server_addr().to_ip().unwrap().to_string();
        let (sender, got) = channel();
        thread::spawn(move || {
            for mut request in server.incoming_requests() {
                let mut raw = Vec::new();
                request.as_reader().read_to_end(&mut raw).unwrap();
                let headers = request.headers().iter();
                let headers: Vec<_> =
                    headers.map(|h| (h.field.as_str().to_string(), h.value.as_str().to_string())).collect();
                let is_gzip = headers
                    .iter()
                    .any(|(name, value)| name.eq_ignore_ascii_case("Content-Encoding") && value == "gzip");
                let mut body = String::new();
                if is_gzip {
                    flate2::read::GzDecoder::new(&raw[..]).read_to_string(&mut body).unwrap();
                } else {
                    body = String::from_utf8(raw).unwrap();
                }
                let path = request.url().to_owned();
                let peer = request.remote_addr().copied();
                let got = Got { path, headers, body, peer };
                let answer = answer(&got);
                let mut response =
                    tiny_http::Response::from_data(answer.body).with_status_code(answer.status);
                for (name, value) in answer.headers {
                    response.add_header(tiny_http::Header::from_bytes(name, value).unwrap());
                }
                let _ = request.respond(response);
                if sender.send(got).is_err() {
                    return;
                }
            }
        });
        Self { address, got }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/drop?k=v", self.address)
    }

    pub(crate) fn next(&self) -> Got {
        self.next_within(LIMIT)
    }

    pub(crate) fn next_within(&self, limit: Duration) -> Got {
        self.got.recv_timeout(limit).expect("a request in time")
    }

    /// Whether nothing comes for a while.
    pub(crate) fn is_silent_for(&self, time: Duration) -> bool {
        self.got.recv_timeout(time).is_err()
    }
}

/// Provisioning with media reports alone.
pub(crate) fn media_only(url: &str, accum_period: u32) -> String {
    format!(
        r#"<provision><statistics url="{url}" accum_period="{accum_period}"><media/></statistics></provision>"#
    )
}
