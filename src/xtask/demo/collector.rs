//! `cargo xtask demo --collector`: a play-back told by the daemon, and what the collector makes of it.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use stbeacon_tests::clips::{Audio, Clip, Recipe, Video};
use stbeacon_tests::{Artifacts, Daemon, DaemonOptions, Player, Process, Way};

use super::{SECONDS, play_out, text};
use crate::{run, ui};

/// Longer than anything takes that is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// Path of the question what the last hour came to.
const SUMMARY: &str = "/insights/2.6/metrics.json?metrics=quality_summary&account=1&filter_ids=1";

/// Something that was done, beside what is answered.
struct Finding {
    what: &'static str,
    done: String,
    answered: String,
    right: bool,
}

/// Plays, asks, compares; on a terminal the collector stays up until it is interrupted.
pub(super) fn demo(way: Way, interrupted: &Arc<AtomicBool>) -> Result<(), String> {
    run::visibly(&mut run::cargo(&["build", "--locked", "-p", "stbeacon-collector"]))?;
    ui::title("Setting up");
    let clip = ui::step("a stream of 20 s, H.264 and AAC", || {
        Recipe::ts(Video::H264, Audio::Aac, SECONDS * stbeacon_tests::clips::FPS).make().map_err(text)
    })?;
    let artifacts = Artifacts::find().map_err(text)?;
    let data = artifacts.scratch("demo-collector").map_err(text)?;
    std::fs::remove_dir_all(&data).map_err(|e| format!("{}: {e}", data.display()))?;
    let mut command = Command::new(run::target().join("debug/stbeacon-collector"));
    command.args(["--listen", "127.0.0.1:0", "--rate", "0", "--data"]).arg(&data);
    let collector = Process::start(&mut command).map_err(text)?;
    let address = ui::step("the collector", || listening(&collector))?;
    let daemon = ui::step("the daemon", || {
        let url = format!("http://{address}/");
        let options = DaemonOptions {
            network_period: 5,
            media_period: 2,
            extended: true,
            ..DaemonOptions::media_only(url)
        };
        Daemon::with(options).map_err(text)
    })?;
    println!("\n  The page: {}\n", ui::bold(&format!("http://{address}/")));

    ui::title("Playing");
    play(way, &daemon, &clip, interrupted)?;

    ui::title("What the collector answers");
    println!("  GET {SUMMARY}\n");
    let findings = findings(address, &clip)?;
    println!("  {:32} {:>14}   answered", "", "done");
    for Finding { what, done, answered, right } in &findings {
        let mark = if *right { ui::green("✓") } else { ui::red("✗") };
        println!("  {what:32} {done:>14}   {answered} {mark}");
    }
    let wrong = findings.iter().filter(|finding| !finding.right).count();
    if std::io::stdout().is_terminal() && wrong == 0 {
        println!("\n  Look at {} — Ctrl-C ends it.", ui::bold(&format!("http://{address}/")));
        while !interrupted.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    ui::title("Stopping");
    ui::step("the daemon", || daemon.stop().map_err(text))?;
    ui::step("the collector", || {
        collector.signal(Signal::SIGTERM).map_err(text)?;
        collector.wait(PATIENCE).and_then(stbeacon_tests::Finished::success).map_err(text)
    })?;
    if wrong == 0 {
        println!("\n{} the collector answers what was done.", ui::green("Right:"));
        Ok(())
    } else {
        Err(format!("{wrong} answers are not what was done"))
    }
}

fn listening(collector: &Process) -> Result<SocketAddr, String> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let log = collector.stderr();
        let address = log.split("listening on http://").nth(1).and_then(|rest| rest.lines().next());
        if let Some(address) = address.filter(|_| log.ends_with('\n')) {
            return address.parse().map_err(|e| format!("{address}: {e}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(collector.error("does not listen").to_string())
}

fn play(way: Way, daemon: &Daemon, clip: &Clip, interrupted: &Arc<AtomicBool>) -> Result<(), String> {
    let file = clip.path.to_string_lossy();
    let words = [
        "--no-interactive",
        "--videosink=fakevideosink sync=true",
        "--audiosink=fakeaudiosink sync=true",
        &*file,
    ];
    let player = Player::stock(way).map_err(text)?.socket(&daemon.socket());
    play_out(player.start("gst-play-1.0", words).map_err(text)?, interrupted)
}

/// Waits until the session has ended there too, and compares.
fn findings(address: SocketAddr, clip: &Clip) -> Result<Vec<Finding>, String> {
    let deadline = Instant::now() + PATIENCE;
    let summary = loop {
        let summary = summary(&ask(address, SUMMARY)?)?;
        if summary("Ended Plays") >= 1.0 {
            break summary;
        }
        if Instant::now() > deadline {
            return Err("the collector knows of no play that has ended".to_owned());
        }
        std::thread::sleep(Duration::from_millis(200));
    };
    let sessions = ask(address, "/ui/sessions")?;
    let session = |name: &str| sessions.pointer(&format!("/sessions/0/{name}")).and_then(Value::as_f64);
    let played = session("playing_ms").unwrap_or_default() / 1000.0;
    let rate = session("frame_rate").unwrap_or_default();
    let size = std::fs::metadata(&clip.path).map_err(|e| format!("{}: {e}", clip.path.display()))?.len();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let nominal = size as f64 * 8.0 / f64::from(SECONDS);
    let seconds = f64::from(SECONDS);
    let exactly = |what, done: f64, answered: f64| Finding {
        what,
        done: format!("{done}"),
        answered: format!("{answered}"),
        right: (done - answered).abs() < 0.001,
    };
    let about = |what, done: f64, answered: f64, by: f64, digits: usize| Finding {
        what,
        done: format!("{done:.digits$}"),
        answered: format!("{answered:.digits$}"),
        right: (done - answered).abs() <= by,
    };
    Ok(vec![
        exactly("attempts", 1.0, summary("Attempts")),
        exactly("plays, % of attempts", 100.0, summary("Plays")),
        exactly("ended plays", 1.0, summary("Ended Plays")),
        exactly("start failures, %", 0.0, summary("Video Start Failures")),
        exactly("playback failures, %", 0.0, summary("Video Playback Failures")),
        about("seconds played", seconds, played, 1.0, 1),
        about("frames a second", f64::from(stbeacon_tests::clips::FPS), rate, 1.5, 1),
        about("average bit rate, bit/s", nominal, summary("Average Bitrate"), nominal / 10.0, 0),
    ])
}

/// Values by their names; what there is none of is not a number, and so never right.
fn summary(answer: &Value) -> Result<impl Fn(&str) -> f64 + use<>, String> {
    let list = |path: &str| answer.pointer(path).and_then(Value::as_array).cloned();
    let (names, values) = list("/quality_summary/xvalues")
        .zip(list("/quality_summary/filters/1"))
        .ok_or_else(|| format!("no summary: {answer}"))?;
    Ok(move |name: &str| {
        let place = names.iter().position(|known| known == name);
        place.and_then(|place| values.get(place)?.as_f64()).unwrap_or(f64::NAN)
    })
}

/// Asks, and reads the JSON that is answered.
pub(crate) fn ask(address: SocketAddr, path: &str) -> Result<Value, String> {
    let failed = |error: std::io::Error| format!("http://{address}{path}: {error}");
    let mut stream = TcpStream::connect(address).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("{path}: no answer"))?;
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(format!("{path}: {}", answer.lines().next().unwrap_or_default()));
    }
    serde_json::from_str(body).map_err(|e| format!("{path}: {e}"))
}
