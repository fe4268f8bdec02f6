//! What was answered is there, and there once, however the collector ends.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::golden;
use crate::harness::{Collector, answer, ended, lines_of_the_past, request};

/// Lines that clients send at once: so many that the store gets most of them later.
const CLIENTS: usize = 16;

/// What a store holds.
struct Stored {
    /// Keys of sessions that run, and of those that have ended.
    running: BTreeSet<String>,
    ended: BTreeSet<String>,
    /// As roll-ups tell them.
    attempts: i64,
    ended_plays: i64,
}

impl Stored {
    fn of(data: &Path) -> Self {
        let store = Connection::open(data.join("collector.sqlite")).unwrap();
        let mut keys = store.prepare("SELECT key FROM running").unwrap();
        let running: BTreeSet<_> =
            keys.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let all = ended(data);
        let ended: BTreeSet<_> = all.iter().map(|(key, _)| key.clone()).collect();
        assert!(ended.len() == all.len() && ended.is_disjoint(&running), "each session is there once");
        let sum = |name: &str| {
            let sum = format!("SELECT coalesce(sum({name}), 0) FROM rollup WHERE dimension = 0");
            store.query_row(&sum, [], |row| row.get(0)).unwrap()
        };
        Self { running, ended, attempts: sum("attempts"), ended_plays: sum("ended_plays") }
    }

    fn sessions(&self) -> i64 {
        i64::try_from(self.running.len() + self.ended.len()).unwrap()
    }
}

/// How often the collector is killed: `cargo xtask torture --collector` says more.
fn kills() -> u64 {
    std::env::var("STBEACON_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(12)
}

/// What a client sends: of a session of that name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Sent {
    Begin(String),
    End(String),
}

impl Sent {
    fn line(&self) -> String {
        match self {
            Self::Begin(id) => format!("a=I~c={id}~d=box~e=0~f=R~w=0"),
            Self::End(id) => format!("a=C~c={id}~d=box~e=1~f=R~w=1000"),
        }
    }

    /// What the store calls it.
    fn key(&self) -> String {
        let (Self::Begin(id) | Self::End(id)) = self;
        format!("l|box|{id}")
    }
}

/// A file system of so many MB, of its own; is gone when this is dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    /// `None` where this user may not mount one.
    fn new(megabytes: u32) -> Option<Self> {
        let disk = Self(tempfile::tempdir().unwrap());
        disk.mount(&format!("size={megabytes}M")).then_some(disk)
    }

    fn mount(&self, options: &str) -> bool {
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(self.0.path());
        mount.status().is_ok_and(|status| status.success())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Where none was mounted there is none to unmount.
        let _ = std::process::Command::new("umount")
            .arg(self.0.path())
            .stderr(std::process::Stdio::null())
            .status();
    }
}

#[test]
fn a_full_disk_is_told_and_what_was_answered_stays() {
    let Some(disk) = Disk::new(2) else {
        eprintln!("not shown: this user may not mount a file system");
        return;
    };
    let data = disk.0.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let collector = Collector::start(&data);
    let mut stream = collector.connect();
    let title = "x".repeat(120);
    let line = |number: usize| format!("/9.gif?a=I~c={number}~d=box~e=0~f=R~tt={title}{number}~w=0");
    let mut answered = 0;
    let refused = loop {
        request(&mut stream, "GET", &line(answered), "", b"");
        let answer = answer(&mut stream).unwrap();
        if answer.status != 200 {
            break answer;
        }
        answered += 1;
        assert!(answered < 10_000, "the disk is never full");
    };
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.head.contains("retry-after: 5"), "{}", refused.head);
    assert_eq!(collector.status()["store_writable"], false);
    // Questions are answered meanwhile. The last that were answered may be in the spool alone.
    assert_eq!(collector.ask("/insights/2.4/filters.json?account=1")["1"], "All Traffic");
    let attempts = "/insights/3.0/metrics/attempts?granularity=P1D&days=2";
    let told = collector.ask(attempts)["total"]["metrics"]["attempts"]["count"].as_u64().unwrap();
    assert!(told > 0 && told <= answered as u64, "{told} of {answered}");

    // Somebody makes room.
    assert!(disk.mount("remount,size=64M"));
    collector.line_until_taken(line(answered).split_once('?').unwrap().1);
    read_into_the_store(&collector);
    collector.kill();
    let stored = Stored::of(&data);
    assert_eq!((stored.sessions(), stored.attempts), (answered as i64 + 1, answered as i64 + 1));
}

#[test]
fn a_session_goes_on_where_a_stopped_collector_has_left_it() {
    let data = tempfile::tempdir().unwrap();
    let lines = lines_of_the_past("vod_with_seeks_and_pauses");
    for line in &lines {
        let collector = Collector::start(data.path());
        assert_eq!(collector.line(line).status, 200);
        assert!(collector.stop().success());
    }
    let collector = Collector::start(data.path());
    // The box does not know whether the last one has arrived.
    assert_eq!(collector.line(lines.last().unwrap()).status, 200);
    let row = collector.quality(19, "lines");
    assert_eq!((row[0], row[3], row[4], row[6], row[8]), (1.0, 100.0, 1.0, 2_000_000.0, 1.0), "{row:?}");
    let status = collector.status();
    assert_eq!(status["received"]["lines"], lines.len() + 1);
    assert_eq!(status["received"]["repeated"], 1);
    assert_eq!(status["running_sessions"], 0);
}

#[test]
fn what_was_answered_outlives_a_kill_and_nothing_counts_twice() {
    let data = tempfile::tempdir().unwrap();
    let (mut answered, mut sent) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..kills() {
        let collector = Collector::start(data.path());
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let mut stream = collector.connect();
                std::thread::spawn(move || {
                    let (mut asked, mut answered) = (Vec::new(), Vec::new());
                    // Every other one ends at once.
                    let all = (0..).flat_map(|number| {
                        let id = format!("{round}-{client}-{number}");
                        std::iter::once(Sent::Begin(id.clone()))
                            .chain((number % 2 == 1).then_some(Sent::End(id)))
                    });
                    for what in all {
                        asked.push(what.clone());
                        request(&mut stream, "GET", &format!("/9.gif?{}", what.line()), "", b"");
                        match answer(&mut stream) {
                            Some(answer) if answer.status == 200 => answered.push(what),
                            Some(answer) => panic!("{}", answer.text()),
                            None => break,
                        }
                    }
                    (asked, answered)
                })
            })
            .collect();
        // In the middle of whatever it does.
        std::thread::sleep(Duration::from_millis(40 + 17 * round % 400));
        collector.kill();
        for client in clients {
            let (all, done) = client.join().unwrap();
            sent.extend(all);
            answered.extend(done);
        }
        // What was in the spool alone is read by the next start.
        let collector = Collector::start(data.path());
        read_into_the_store(&collector);
        collector.kill();
        let stored = Stored::of(data.path());
        let begun = |id: &str| stored.running.contains(id) || stored.ended.contains(id);
        let lost = answered.iter().filter(|sent| match sent {
            Sent::Begin(_) => !begun(&sent.key()),
            Sent::End(_) => !stored.ended.contains(&sent.key()),
        });
        let lost: Vec<_> = lost.collect();
        assert!(lost.is_empty(), "answered and lost: {lost:?}");
        let known: BTreeSet<_> = sent.iter().map(Sent::key).collect();
        assert!(stored.running.iter().chain(&stored.ended).all(|key| known.contains(key)));
        assert_eq!(stored.attempts, stored.sessions(), "sums and sessions were written together");
        assert_eq!(stored.ended_plays, i64::try_from(stored.ended.len()).unwrap(), "and their ends");
    }
    assert!(answered.len() > 100, "only {} were answered in all", answered.len());

    // Whoever has had no answer sends again, and so may those who had one.
    let collector = Collector::start(data.path());
    let mut stream = collector.connect();
    for what in &sent {
        request(&mut stream, "GET", &format!("/9.gif?{}", what.line()), "", b"");
        assert_eq!(answer(&mut stream).unwrap().status, 200);
    }
    let ended = sent.iter().filter(|what| matches!(what, Sent::End(_))).count();
    let begun = sent.len() - ended;
    assert_eq!(collector.status()["running_sessions"], begun - ended);
    assert!(collector.stop().success());
    let stored = Stored::of(data.path());
    assert_eq!((stored.running.len(), stored.ended.len()), (begun - ended, ended));
    let [begun, ended] = [begun, ended].map(|count| i64::try_from(count).unwrap());
    assert_eq!((stored.attempts, stored.ended_plays), (begun, ended));
}

#[test]
fn requests_that_have_begun_are_answered_before_the_end() {
    let data = tempfile::tempdir().unwrap();
    let collector = Collector::start(data.path());
    let mut stream = collector.connect();
    let body = golden::reports("media");
    // Its head and half of its body are there when the collector is asked to stop.
    let head = format!("POST /drop HTTP/1.1\r\nHost: c\r\nContent-Length: {}\r\n\r\n", body.len());
    let (first, rest) = body.as_bytes().split_at(body.len() / 2);
    std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
    std::io::Write::write_all(&mut stream, first).unwrap();
    // An idle one does not hold it up.
    let _idle = collector.connect();
    assert_eq!(collector.status()["running_sessions"], 0);
    let stopping = std::thread::spawn(move || collector.stop());
    std::thread::sleep(Duration::from_millis(300));
    std::io::Write::write_all(&mut stream, rest).unwrap();
    let answered = answer(&mut stream).unwrap();
    assert_eq!(answered.status, 200, "{}", answered.text());
    assert!(stopping.join().unwrap().success());
    assert_eq!(Stored::of(data.path()).attempts, 1);
}

/// Waits until nothing is put aside any more.
fn read_into_the_store(collector: &Collector) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while collector.status()["spooled_bytes"] != 0 {
        assert!(Instant::now() < deadline, "{}", collector.status());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_comes_while_the_store_takes_nothing_is_put_aside_or_refused() {
    let data = tempfile::tempdir().unwrap();
    let mut command = crate::harness::command(data.path());
    command.args(["--spool-max", "0"]);
    let collector = Collector::start_with(command);
    let other = Connection::open(data.path().join("collector.sqlite")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = collector.line("a=I~c=1~d=box~e=0~f=R~w=0");
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.head.contains("retry-after: 5"), "{}", refused.head);
    other.execute_batch("ROLLBACK").unwrap();
    collector.line_until_taken("a=I~c=1~d=box~e=0~f=R~w=0");
    assert_eq!(Stored::of(data.path()).attempts, 1);
}

#[test]
fn a_store_that_takes_nothing_is_told_and_comes_back() {
    let data = tempfile::tempdir().unwrap();
    let collector = Collector::start(data.path());
    let line = |number: usize| format!("a=I~c={number}~d=box~e=0~f=R~w=0");
    assert_eq!(collector.line(&line(0)).status, 200);

    // A fault: somebody else holds the file for writing for longer than the collector waits.
    let other = Connection::open(data.path().join("collector.sqlite")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let aside = collector.line(&line(1));
    assert_eq!(aside.status, 200, "{}", aside.text());
    let status = collector.status();
    assert_eq!(status["store_writable"], false);
    assert!(status["spooled_bytes"].as_u64().unwrap() > 0, "{status}");
    assert_eq!(Stored::of(data.path()).attempts, 1);

    other.execute_batch("ROLLBACK").unwrap();
    read_into_the_store(&collector);
    assert_eq!(collector.line(&line(1)).status, 200);
    let status = collector.status();
    assert_eq!((&status["store_writable"], &status["running_sessions"]), (&true.into(), &2.into()));
    assert_eq!(Stored::of(data.path()).attempts, 2);
}

#[test]
fn a_store_of_another_version_is_not_touched() {
    let data = tempfile::tempdir().unwrap();
    drop(Collector::start(data.path()));
    let store = Connection::open(data.path().join("collector.sqlite")).unwrap();
    store.pragma_update(None, "user_version", 99).unwrap();
    let output = crate::harness::command(data.path()).output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{log}");
    assert!(log.contains("version 99"), "{log}");
}
