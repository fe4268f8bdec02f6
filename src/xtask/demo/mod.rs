//! `cargo xtask demo`: a real stream, an unmodified player, the daemon, and the report that arrives.

pub(crate) mod collector;
mod lines;

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lexopt::prelude::*;
use signal_hook::consts::{SIGINT, SIGTERM};
use stbeacon_tests::clips::{Audio, Clip, Recipe, VIDEO_PID, Video};
use stbeacon_tests::{Daemon, DaemonOptions, Media, Player, Process, Receiver, Way, ts};

use crate::system::Needs;
use crate::{Failure, run, system, ui};

const HELP: &str = "\
Plays a test stream under the tracer, and shows the reports that arrive beside what was done.

Builds everything, makes a transport stream of 20 seconds with picture and sound, starts a receiver on loopback
and the daemon, and plays the stream with an unmodified gst-play-1.0: first as it is, then with three packets cut
out and one picture damaged. Takes under a minute after the build, and leaves nothing running.

With --lines it plays HLS in three renditions instead, over a network that is made slow and fast, with a viewer that
pauses and seeks, and shows the Media Analytics lines that arrive beside what was done.

With --collector the reports go to the collector, which is asked what they came to; it prints where its page is. On a
terminal it stays up for you to look at, until Ctrl-C.

Usage: cargo xtask demo [--lines | --collector] [--preload]

Options:
      --lines    show Media Analytics lines
      --collector
                 send to the collector, and ask it
      --preload  load the tracer by LD_PRELOAD instead of GST_TRACERS
  -h, --help     this text

Exits with 0 if every figure that arrives is what was done, with 1 otherwise.
";

/// Length of the stream.
const SECONDS: u32 = 20;

/// How many packets are cut out.
const CUT: usize = 3;

/// Which picture is damaged: not one that a whole group of others needs (every 25th is a key frame).
const DAMAGED: usize = 260;

/// Packets of the sound between two that are cut, so that each is a gap of its own.
const CUT_EVERY: usize = 60;

pub(crate) fn main(mut args: lexopt::Parser) -> Result<(), Failure> {
    let mut way = Way::Tracers;
    let (mut lines, mut collector) = (false, false);
    while let Some(arg) = args.next()? {
        match arg {
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            Long("lines") => lines = true,
            Long("collector") => collector = true,
            Long("preload") => way = Way::Preload,
            other => return Err(other.unexpected().into()),
        }
    }
    system::ensure(Needs::Demo)?;
    ui::title("Building");
    run::visibly(&mut run::cargo(&["build", "--locked", "-p", "stbeacon", "-p", "gst-plugin-stbeacon"]))?;
    if lines {
        lines::demo(way)?
    } else if collector {
        collector::demo(way, &interrupt()?)?
    } else {
        demo(way)?
    }
    Ok(())
}

/// What is started here is in process groups of its own: an interrupt has to be passed on, by ending in order.
fn interrupt() -> Result<Arc<AtomicBool>, String> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted)).map_err(|e| e.to_string())?;
    }
    Ok(interrupted)
}

fn demo(way: Way) -> Result<(), String> {
    let interrupted = interrupt()?;
    ui::title("Setting up");
    let clip = ui::step("a stream of 20 s, H.264 and AAC", || {
        Recipe::ts(Video::H264, Audio::Aac, SECONDS * stbeacon_tests::clips::FPS).make().map_err(text)
    })?;
    let damaged = ui::step("the same with faults", || damage(&clip))?;
    let receiver = ui::step("a receiver on loopback", || Receiver::start().map_err(text))?;
    let daemon = ui::step("the daemon", || {
        let options = DaemonOptions { network_period: 5, ..DaemonOptions::media_only(receiver.url()) };
        Daemon::with(options).map_err(text)
    })?;
    println!("\n  Its provisioning:\n");
    show(&std::fs::read_to_string(daemon.provisioning()).unwrap_or_default());

    let stage = Stage { way, daemon, receiver, interrupted };
    let mut wrong = 0;
    ui::title("The stream as it is");
    wrong += compare(&clip, &Faults::default(), &stage.play(&clip.path, 1)?);
    ui::title("The stream with faults");
    println!("  {CUT} packets of the sound are cut out, and one picture is damaged beyond decoding.");
    let faults = Faults { discontinuities: ts::continuity_errors(&read(&damaged)?), failed: 1 };
    wrong += compare(&clip, &faults, &stage.play(&damaged, 2)?);

    ui::title("The interfaces, meanwhile");
    stage.show_network()?;
    stage.finish()?;
    if wrong == 0 {
        println!("\n{} every figure is what was done.", ui::green("Right:"));
        Ok(())
    } else {
        Err(format!("{wrong} figures are not what was done"))
    }
}

/// What was done to a stream.
#[derive(Debug, Default)]
struct Faults {
    discontinuities: u64,
    failed: u64,
}

/// Everything that runs.
struct Stage {
    way: Way,
    daemon: Daemon,
    receiver: Receiver,
    interrupted: Arc<AtomicBool>,
}

// === impl Stage ===

impl Stage {
    /// Plays a file, and gives the report that comes of it: the `count`-th one.
    fn play(&self, file: &Path, count: usize) -> Result<(Media, String), String> {
        let file = file.to_string_lossy();
        let words = [
            "--no-interactive",
            "--videosink=fakevideosink sync=true",
            "--audiosink=fakeaudiosink sync=true",
            &*file,
        ];
        let way = match self.way {
            Way::Preload => "LD_PRELOAD=libgststbeacon.so",
            _ => "GST_TRACERS=stbeacon",
        };
        println!("  {} gst-play-1.0 {}", ui::bold(way), file.rsplit('/').next().unwrap_or_default());
        let player = Player::stock(self.way).map_err(text)?.socket(&self.daemon.socket());
        play_out(player.start("gst-play-1.0", words).map_err(text)?, &self.interrupted)?;
        let mut reports = self.receiver.wait_for_media(count, Duration::from_secs(15)).map_err(text)?;
        let report = reports.pop().ok_or("no report")?;
        Ok((report, self.newest_body("\"media\"")))
    }

    /// The last request body with this text in it.
    fn newest_body(&self, with: &str) -> String {
        let bodies = self.receiver.posts().into_iter().rev();
        let mut bodies = bodies.map(|post| String::from_utf8_lossy(&post.body).into_owned());
        bodies.find(|body| body.contains(with)).unwrap_or_default()
    }

    fn show_network(&self) -> Result<(), String> {
        let network = self.receiver.network();
        let Some(newest) = network.last() else {
            println!(
                "  None of this machine's interfaces is one that a box would report (see `stbeacon sample --help`)."
            );
            return Ok(());
        };
        println!("  {} reports, the last one of {}:\n", network.len(), newest.name);
        show(&indented(&self.newest_body("\"network\"")));
        Ok(())
    }

    fn finish(self) -> Result<(), String> {
        ui::title("Stopping");
        ui::step("the daemon", || self.daemon.stop().map_err(text))?;
        self.receiver.check().map_err(text)
    }
}

/// Shows a report beside what was done, and says how many figures differ.
fn compare(clip: &Clip, faults: &Faults, (media, body): &(Media, String)) -> usize {
    println!("\n  What arrived:\n");
    show(&indented(body));
    let sound: u64 = clip.audio_frames.iter().sum();
    let played = media.end.saturating_sub(media.begin);
    let rows = [
        (
            "whole pictures in the stream",
            clip.video_frames - faults.failed,
            "video.frames_decoded",
            media.video.frames_decoded,
        ),
        ("pictures that came late", 0, "video.frames_dropped", media.video.frames_dropped),
        ("pictures damaged", faults.failed, "video.frames_failed", media.video.frames_failed),
        ("gaps in the stream", faults.discontinuities, "discontinuties", media.discontinuties),
        ("frames of sound dropped", 0, "audio.frames_dropped", media.audio.frames_dropped),
    ];
    println!("\n  {:32} {:>9}   reported", "done", "");
    let mut wrong = 0;
    for (done, expected, field, reported) in rows {
        let right = expected == reported;
        wrong += usize::from(!right);
        let mark = if right { ui::green("✓") } else { ui::red("✗") };
        println!("  {done:32} {expected:>9}   {field} {reported} {mark}");
    }
    // What a cut costs the sound depends on where its frames lie in the packets.
    let sound_right = if faults.discontinuities == 0 {
        media.audio.frames_decoded == sound
    } else {
        media.audio.frames_decoded <= sound
    };
    let time_right = played.abs_diff(u64::from(SECONDS)) <= 1;
    for (right, done, expected, field, reported) in [
        (sound_right, "frames of sound, at most", sound, "audio.frames_decoded", media.audio.frames_decoded),
        (time_right, "seconds played", u64::from(SECONDS), "end − begin", played),
    ] {
        wrong += usize::from(!right);
        let mark = if right { ui::green("✓") } else { ui::red("✗") };
        println!("  {done:32} {expected:>9}   {field} {reported} {mark}");
    }
    wrong
}

/// The stream with [`CUT`] packets of the sound cut out, and one picture damaged beyond decoding.
fn damage(clip: &Clip) -> Result<PathBuf, String> {
    let content = read(&clip.path)?;
    let mut pids = clip.streams.iter().map(|stream| stream.pid);
    let sound = pids.find(|pid| *pid != VIDEO_PID).ok_or("the stream has no sound")?;
    let cut: Vec<usize> = (1..=CUT).map(|n| n * CUT_EVERY).collect();
    let damaged = ts::cut(&ts::damage_pictures(&content, VIDEO_PID, &[DAMAGED]), sound, &cut);
    let path = clip.path.with_file_name("with-faults.ts");
    std::fs::write(&path, damaged).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(path)
}

/// JSON as it came, one field a line; a value tree would put the fields into another order.
fn indented(json: &str) -> String {
    let mut out = String::new();
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for c in json.chars() {
        if in_text {
            out.push(c);
            in_text = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            continue;
        }
        let new_line = |out: &mut String, depth: usize| {
            out.push('\n');
            out.extend(std::iter::repeat_n("  ", depth));
        };
        match c {
            '{' | '[' => {
                depth += 1;
                out.push(c);
                new_line(&mut out, depth);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => {
                in_text = c == '"';
                out.push(c);
            }
        }
    }
    out
}

fn show(text: &str) {
    for line in text.lines() {
        println!("    {line}");
    }
}

/// Waits until a player has played all, unless somebody interrupts it.
fn play_out(mut process: Process, interrupted: &AtomicBool) -> Result<(), String> {
    let start = Instant::now();
    while process.is_running().map_err(text)? {
        if interrupted.load(Ordering::Relaxed) {
            return Err("interrupted".into());
        }
        progress(start.elapsed());
        if start.elapsed() > Duration::from_secs(u64::from(SECONDS) * 2) {
            return Err(process.error("still plays after twice its time").to_string());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    println!();
    process.wait(Duration::from_secs(5)).and_then(stbeacon_tests::Finished::success).map_err(text)?;
    Ok(())
}

fn progress(elapsed: Duration) {
    if std::io::stdout().is_terminal() {
        let done = elapsed.as_secs_f64().min(f64::from(SECONDS));
        print!("\r  playing … {done:4.1} of {SECONDS} s");
        // Standard output that is gone is no reason to stop playing.
        let _ = std::io::stdout().flush();
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))
}

fn text(error: stbeacon_tests::Error) -> String {
    error.to_string()
}
