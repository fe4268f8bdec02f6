//! One collector, started on a free port.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rusqlite::Connection;
use serde_json::Value;

use crate::golden;

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// The lines of a session that are to be sent at once: its first one says that the session began 400 s before, so that
/// none tells of what is to come.
pub(crate) fn lines_of_the_past(name: &str) -> Vec<String> {
    let lines = golden::lines(name).into_iter();
    lines.map(|(_, line)| line.replace("a=I~", "a=I~w=400000~").replace("~w=0~dx=0~", "~dx=0~")).collect()
}

/// What a box tells of its interface, measured so many seconds ago: what is as old as what is pinned is not kept.
pub(crate) fn network_of_today(seconds_ago: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let pinned = golden::reports("network");
    let today = pinned.replace("1509629381", &(now - seconds_ago).to_string());
    assert_ne!(today, pinned);
    today
}

/// Sessions that have ended, as the embedded store has them: each key with its state.
pub(crate) fn ended(data: &Path) -> Vec<(String, String)> {
    let store = Connection::open(data.join("collector.sqlite")).unwrap();
    let mut place =
        store.prepare("SELECT count(*) FROM place WHERE hash = ?1 AND day = ?2 AND id = ?3").unwrap();
    let mut ended = Vec::new();
    for file in std::fs::read_dir(data.join("sessions")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "sqlite") {
            continue;
        }
        let file = Connection::open(path).unwrap();
        if !file.table_exists(None, "session").unwrap() {
            // The kill came right after it was made.
            continue;
        }
        let mut rows = file.prepare("SELECT hash, start / 86400000, id, key, state FROM session").unwrap();
        let mut rows = rows.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let [hash, day, id]: [i64; 3] = [0, 1, 2].map(|column| row.get(column).unwrap());
            // A kill may have left one that nobody is told of.
            if place.query_row([hash, day, id], |row| row.get::<_, i64>(0)).unwrap() == 1 {
                ended.push((row.get(3).unwrap(), row.get(4).unwrap()));
            }
        }
    }
    let places: usize = store.query_row("SELECT count(*) FROM place", [], |row| row.get(0)).unwrap();
    assert_eq!(ended.len(), places, "each place is that of a row");
    ended
}

/// A running collector; is killed when it is dropped.
pub(crate) struct Collector {
    child: Child,
    pub(crate) address: SocketAddr,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

pub(crate) fn command(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stbeacon-collector"));
    command.args(["--listen", "127.0.0.1:0", "--rate", "0", "--data"]).arg(data);
    for variable in [
        "STATE_DIRECTORY",
        "JOURNAL_STREAM",
        "STBEACON_LOG",
        "STBEACON_COLLECTOR_LISTEN",
        "STBEACON_COLLECTOR_STORE",
    ] {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

impl Collector {
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_with(command(data))
    }

    /// Starts it and waits until it says where it listens.
    pub(crate) fn start_with(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let (told, address) = mpsc::channel();
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                eprintln!("{line}");
                if let Some((_, address)) =
                    line.split_once("listening on http").and_then(|(_, url)| url.split_once("://"))
                {
                    let _ = told.send(address.parse().unwrap());
                }
            }
        });
        let address = address.recv_timeout(PATIENCE).unwrap();
        Self { child, address }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "", b"")
    }

    pub(crate) fn line(&self, line: &str) -> Answer {
        self.get(&format!("/9.gif?{line}"))
    }

    /// Sends a line, as a box does, until it is taken.
    pub(crate) fn line_until_taken(&self, line: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.line(line);
            if answer.status == 200 {
                return;
            }
            assert!(answer.status == 503 && Instant::now() < deadline, "{}", answer.text());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn post(&self, path: &str, headers: &str, body: &[u8]) -> Answer {
        self.send("POST", path, headers, body)
    }

    /// One request on a connection of its own. `headers` end with a line's end each.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        let mut stream = self.connect();
        request(&mut stream, method, path, headers, body);
        answer(&mut stream).unwrap_or_else(|| panic!("no answer to {method} {path}"))
    }

    /// The answer to a question, as JSON.
    pub(crate) fn ask(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// Row of the table of all values of a dimension.
    pub(crate) fn quality(&self, dimension: u32, value: &str) -> Vec<f64> {
        let path = format!(
            "/insights/2.6/metrics.json?metrics=quality_metriclens&account=1&filter_ids=1&metriclens_dimension_id={dimension}"
        );
        let lens = self.ask(&path)["quality_metriclens"].take();
        let names = lens["xvalues"].as_array().unwrap();
        let row = names.iter().position(|name| name == value).unwrap_or_else(|| panic!("{value}: {lens}"));
        let row = lens["tables"]["1"]["rows"][row].as_array().unwrap();
        row.iter().map(|cell| cell.as_f64().unwrap()).collect()
    }

    pub(crate) fn status(&self) -> Value {
        self.ask("/-/status")
    }

    /// Without a word.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and what it exits with.
    pub(crate) fn stop(mut self) -> ExitStatus {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGTERM).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not stop");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        format!("{} {}", self.status, String::from_utf8_lossy(&self.body))
    }
}

/// Writes a request; what of it does not go through was not wanted.
pub(crate) fn request(stream: &mut TcpStream, method: &str, path: &str, headers: &str, body: &[u8]) {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}

/// Reads an answer with a `Content-Length`; `None` where the connection ends before.
pub(crate) fn answer(stream: &mut TcpStream) -> Option<Answer> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).ok()?;
    Some(Answer { status, head, body })
}
