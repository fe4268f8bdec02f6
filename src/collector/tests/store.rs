//! A real ClickHouse server that is stopped, killed and started again under load: what was answered is there, and there
//! once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::clickhouse::Server;
use crate::harness::{Collector, answer, command, request};

const CLIENTS: usize = 3;
/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(90);

fn start(server: &Server, data: &std::path::Path) -> Collector {
    let mut command = command(data);
    command.env("STBEACON_COLLECTOR_STORE", server.url("qoe"));
    Collector::start_with(command)
}

/// What clients send until they are told to stop, and are answered.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<std::thread::JoinHandle<(BTreeSet<String>, BTreeSet<String>)>>,
}

impl Load {
    fn start(collector: &Collector, round: &str) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let clients = (0..CLIENTS).map(|client| {
            let (stop, answered, round) = (stop.clone(), answered.clone(), round.to_owned());
            let mut stream = collector.connect();
            std::thread::spawn(move || {
                let (mut sent, mut done) = (BTreeSet::new(), BTreeSet::new());
                for number in 0.. {
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                    let id = format!("{round}-{client}-{number}");
                    request(&mut stream, "GET", &format!("/9.gif?a=I~c={id}~d=box~e=0~f=R~w=0"), "", b"");
                    sent.insert(id.clone());
                    match answer(&mut stream) {
                        Some(answer) if answer.status == 200 => {
                            done.insert(id);
                            answered.fetch_add(1, Ordering::SeqCst);
                        }
                        Some(answer) => assert_eq!(answer.status, 503, "{}", answer.text()),
                        None => break,
                    }
                }
                (sent, done)
            })
        });
        Self { clients: clients.collect(), stop, answered }
    }

    /// Waits until so many more are answered.
    fn wait_for(&self, more: usize) {
        let (deadline, before) = (Instant::now() + PATIENCE, self.answered.load(Ordering::SeqCst));
        while self.answered.load(Ordering::SeqCst) < before + more {
            assert!(Instant::now() < deadline, "nothing is answered any more");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn end(self, sent: &mut BTreeSet<String>, answered: &mut BTreeSet<String>) {
        self.stop.store(true, Ordering::SeqCst);
        for client in self.clients {
            let (all, done) = client.join().unwrap();
            sent.extend(all);
            answered.extend(done);
        }
    }
}

/// Waits until nothing is put aside any more.
fn wait_until_read(collector: &Collector) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = collector.status();
        if status["spooled_bytes"] == 0 && status["store_writable"] == true {
            return;
        }
        assert!(Instant::now() < deadline, "{status}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn signal(server: &Server, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(server.pid()).unwrap()), signal).unwrap();
}

#[test]
fn clickhouse_goes_and_comes_and_nothing_is_lost_or_counted_twice() {
    let data = tempfile::tempdir().unwrap();
    let mut server = Server::start();
    let (mut sent, mut answered) = (BTreeSet::new(), BTreeSet::new());

    // Killed, and away for a while: what comes is answered all the same.
    let collector = start(&server, data.path());
    let load = Load::start(&collector, "a");
    load.wait_for(10);
    server.kill();
    load.wait_for(30);
    assert!(collector.status()["spooled_bytes"].as_u64().unwrap() > 0);
    server.start_again("");
    load.wait_for(10);
    wait_until_read(&collector);

    // It hangs in the middle of whatever it does; then the collector is killed, too, while more waits.
    signal(&server, Signal::SIGSTOP);
    load.wait_for(30);
    collector.kill();
    load.end(&mut sent, &mut answered);
    signal(&server, Signal::SIGCONT);

    // Killed together, and started in the wrong order.
    let collector = start(&server, data.path());
    let load = Load::start(&collector, "b");
    load.wait_for(10);
    server.kill();
    collector.kill();
    load.end(&mut sent, &mut answered);
    let collector = start(&server, data.path());
    assert_eq!(collector.status()["store_writable"], false);
    let load = Load::start(&collector, "c");
    load.wait_for(20);
    load.end(&mut sent, &mut answered);
    server.start_again("");
    wait_until_read(&collector);

    let keys = server.ask("SELECT DISTINCT key FROM qoe.session FORMAT TabSeparated");
    let keys: BTreeSet<_> = keys.lines().map(|key| key.strip_prefix("l|box|").unwrap().to_owned()).collect();
    let lost: Vec<_> = answered.difference(&keys).collect();
    assert!(lost.is_empty(), "answered and lost: {lost:?}");
    assert!(keys.is_subset(&sent));
    for table in ["rollup", "rollup_hour"] {
        let attempts = server.ask(&format!("SELECT sum(attempts) FROM qoe.{table} WHERE dimension = 0"));
        assert_eq!(attempts, keys.len().to_string(), "{table}");
    }
    assert_eq!(server.ask("SELECT max(deltas) FROM qoe.rollup FINAL WHERE dimension = -1"), "1");
    // Some come once more, as from boxes that have had no answer.
    for id in sent.iter().step_by(sent.len() / 8 + 1) {
        assert_eq!(collector.line(&format!("a=I~c={id}~d=box~e=0~f=R~w=0")).status, 200);
    }
    let told = collector.ask("/insights/3.0/metrics/attempts?granularity=P1D&days=2");
    let told = told["total"]["metrics"]["attempts"]["count"].as_u64().unwrap();
    let stored = server.ask("SELECT uniqExact(key) FROM qoe.session");
    assert_eq!(told.to_string(), stored);
    assert!(collector.stop().success());
}
