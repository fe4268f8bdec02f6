//! `cargo xtask footprint`: what the daemon costs a box while nothing plays, and while streams do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use lexopt::prelude::*;
use stbeacon_tests::clips::{Audio, FPS, Recipe, Video};
use stbeacon_tests::{Player, Receiver, Way};

use crate::system::Needs;
use crate::{Failure, run, system, ui};

const HELP: &str = "\
Measures what the daemon costs: memory, threads, CPU time, and how often it wakes, while nothing plays and while one
stream does, or several at once.

Builds the daemon as a box gets it, starts it with the provisioning of the package (sessions, and the interfaces every
minute) and a receiver on loopback, and plays a stream with an unmodified gst-play-1.0 under the plug-in.

Usage: cargo xtask footprint [OPTIONS]

Options:
      --daemon PROGRAM  measure this one instead of building it
      --pid PID         measure a daemon that runs already, doing what it does
      --seconds N       how long each measurement takes [default: 60]
      --streams N       how many streams play at once [default: 1]
  -h, --help            this text

Examples:
  cargo xtask footprint
  cargo xtask footprint --streams 16 --seconds 300
  cargo xtask footprint --pid $(pidof stbeacon) --seconds 120

RSS is what the kernel counts as resident; private are the pages that only it has and has written to (Private_Dirty).
Wake-ups are the voluntary context switches of all its threads. CPU time is what the kernel counts, to 10 ms: measured
for a minute, it is to 0.6 s an hour. Exits with 1 if any figure is over its budget; CPU time has none, and neither have
the wake-ups of several streams.
";

/// What a box can spare (resident and private memory in kB). The emulated boxes hold the daemon to it as well.
pub(crate) const RSS: u32 = 6000;
pub(crate) const PRIVATE: u32 = 2000;
pub(crate) const THREADS: u32 = 3;
/// Wake-ups a second.
const PLAYING: f64 = 3.0;
const IDLE: f64 = 0.1;

/// What the kernel counts CPU time in, a second: USER_HZ, the same on all architectures that boxes have.
pub(crate) const TICKS: f64 = 100.0;

/// After start and after a stream's begin: what happens only then is not what it costs to run.
const SETTLING: Duration = Duration::from_secs(5);

pub(crate) fn main(mut args: lexopt::Parser) -> Result<(), Failure> {
    let (mut daemon, mut pid, mut seconds, mut streams) = (None, None, 60_u64, 1_u16);
    while let Some(arg) = args.next()? {
        match arg {
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            Long("daemon") => daemon = Some(PathBuf::from(args.value()?)),
            Long("pid") => pid = Some(args.value()?.parse::<u32>()?),
            Long("seconds") => seconds = args.value()?.parse::<u64>()?.max(1),
            Long("streams") => streams = args.value()?.parse::<u16>()?.max(1),
            other => return Err(other.unexpected().into()),
        }
    }
    let time = Duration::from_secs(seconds);
    let over = match pid {
        Some(pid) => {
            let figures = measure(pid, time)?;
            ui::title("The daemon that runs");
            figures.show(PLAYING)
        }
        None => whole(daemon, time, streams)?,
    };
    if over == 0 { Ok(()) } else { Err(format!("{over} figures are over budget").into()) }
}

fn whole(daemon: Option<PathBuf>, time: Duration, streams: u16) -> Result<usize, String> {
    system::ensure(Needs::Demo)?;
    ui::title("Setting up");
    let daemon = match daemon {
        Some(daemon) => daemon,
        None => ui::step("the daemon, as a box gets it", || {
            run::quietly(&mut run::cargo(&["build", "--release", "--locked", "--quiet", "-p", "stbeacon"]))?;
            Ok(run::target().join("release/stbeacon"))
        })?,
    };
    ui::step("the plug-in", || {
        run::quietly(&mut run::cargo(&["build", "--locked", "--quiet", "-p", "gst-plugin-stbeacon"]))
    })?;
    let length = u32::try_from((time + 3 * SETTLING).as_secs()).unwrap_or(u32::MAX);
    let clip = ui::step("a stream, H.264 and AAC", || {
        Recipe::ts(Video::H264, Audio::Aac, length.saturating_mul(FPS)).make().map_err(|e| e.to_string())
    })?;
    let receiver = Receiver::start().map_err(|e| e.to_string())?;
    let running = Running::start(&daemon, &receiver.url())?;
    sleep(SETTLING);
    let pid = running.child.id();

    let idle = ui::step("idle", || measure(pid, time))?;
    let player = Player::stock(Way::Tracers).map_err(|e| e.to_string())?.socket(&running.socket);
    let words =
        ["--no-interactive", "--videosink=fakevideosink sync=true", "--audiosink=fakeaudiosink sync=true"];
    let words = words.into_iter().map(str::to_owned).chain([clip.path.to_string_lossy().into_owned()]);
    let start = |_| player.start("gst-play-1.0", words.clone()).map_err(|e| e.to_string());
    let mut processes = (0..streams).map(start).collect::<Result<Vec<_>, _>>()?;
    sleep(SETTLING);
    let what = if streams == 1 { "one stream plays".to_owned() } else { format!("{streams} streams play") };
    let playing = ui::step(&format!("while {what}"), || measure(pid, time))?;
    for process in &mut processes {
        if !process.is_running().map_err(|e| e.to_string())? {
            return Err(process.error("the stream ended before it was measured").to_string());
        }
    }
    for process in processes {
        process.wait(4 * SETTLING).and_then(stbeacon_tests::Finished::success).map_err(|e| e.to_string())?;
    }

    ui::title("Idle");
    let over = idle.show(IDLE);
    ui::title(&format!("While {what}"));
    // Each player says something every second, or what it has to say.
    let wakeups = if streams == 1 { PLAYING } else { f64::INFINITY };
    Ok(over + playing.show(wakeups))
}

/// What was measured.
struct Figures {
    /// In kB.
    rss: f64,
    /// In kB.
    private: f64,
    threads: f64,
    /// A second.
    wakeups: f64,
    /// Seconds an hour, of all threads, those that have ended too.
    cpu: f64,
}

/// A daemon; it ends with this value.
struct Running {
    child: Child,
    socket: PathBuf,
    dir: PathBuf,
}

// === impl Figures ===

impl Figures {
    /// Prints them beside their budgets, and says how many are over.
    fn show(&self, wakeups: f64) -> usize {
        let rows = [
            ("RSS", self.rss, f64::from(RSS), "kB"),
            ("private", self.private, f64::from(PRIVATE), "kB"),
            ("threads", self.threads, f64::from(THREADS), ""),
            ("wake-ups", self.wakeups, wakeups, "a second"),
        ];
        let mut over = 0;
        for (what, is, most, unit) in rows {
            let within = is <= most;
            over += usize::from(!within);
            let shown = format!("{is:>8.2}");
            let shown = if within { ui::green(&shown) } else { ui::red(&shown) };
            println!("  {what:10} {shown} of {most:>8.2} {unit}");
        }
        println!("  {:10} {:>8.2}             s an hour", "CPU time", self.cpu);
        over
    }
}

fn measure(pid: u32, time: Duration) -> Result<Figures, String> {
    let (start, before, ticks_before) = (Instant::now(), switches(pid)?, ticks(pid)?);
    let mut threads = 0;
    while start.elapsed() < time {
        // The most there were at once; some live for a request only.
        threads = threads.max(tasks(pid)?.len());
        sleep(Duration::from_millis(100).min(time));
    }
    let wakeups = switches(pid)?.saturating_sub(before);
    let (ticks, seconds) = (ticks(pid)?.saturating_sub(ticks_before), start.elapsed().as_secs_f64());
    let proc = PathBuf::from(format!("/proc/{pid}"));
    Ok(Figures {
        rss: number(&proc.join("status"), "VmRSS:")?.into(),
        private: number(&proc.join("smaps_rollup"), "Private_Dirty:")?.into(),
        threads: f64::from(u32::try_from(threads).unwrap_or(u32::MAX)),
        wakeups: f64::from(wakeups) / seconds,
        cpu: f64::from(ticks) / TICKS * 3600.0 / seconds,
    })
}

/// CPU time of a process, in user code and in the kernel for it, those of its threads that have ended too: fields 14 and
/// 15 of proc_pid_stat(5).
pub(crate) fn ticks(pid: u32) -> Result<u32, String> {
    let file = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&file).map_err(|e| format!("{file}: {e}"))?;
    // The second field is a name that may hold anything.
    let fields = text.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().skip(11);
    let ticks: Vec<u32> = fields.take(2).filter_map(|field| field.parse().ok()).collect();
    match *ticks.as_slice() {
        [user, system] => Ok(user + system),
        _ => Err(format!("{file} does not say how much CPU time there was")),
    }
}

fn tasks(pid: u32) -> Result<Vec<PathBuf>, String> {
    let dir = format!("/proc/{pid}/task");
    let entries = fs::read_dir(&dir).map_err(|e| format!("{dir}: {e}"))?;
    Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
}

/// How often any of its threads has waited for something, so far. What a thread that has ended had counted is gone.
fn switches(pid: u32) -> Result<u32, String> {
    let mut sum = 0;
    for task in tasks(pid)? {
        // One that has just ended is none any more.
        sum += number(&task.join("status"), "voluntary_ctxt_switches:").unwrap_or_default();
    }
    Ok(sum)
}

/// A field of one of the kernel's tables: `VmRSS:   4512 kB`.
pub(crate) fn number(file: &Path, field: &str) -> Result<u32, String> {
    let text = fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let value =
        text.lines().find_map(|line| line.strip_prefix(field)?.split_whitespace().next()?.parse().ok());
    value.ok_or_else(|| format!("{} has no {field}", file.display()))
}

// === impl Running ===

impl Running {
    fn start(daemon: &Path, url: &str) -> Result<Self, String> {
        let dir = std::env::temp_dir().join(format!("stbeacon-footprint-{}", std::process::id()));
        fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let stock =
            fs::read_to_string(run::root().join("packaging/provision.xml")).map_err(|e| e.to_string())?;
        let provisioning = stock.replace("url=\"\"", &format!("url=\"{url}\""));
        fs::write(dir.join("provision.xml"), provisioning).map_err(|e| e.to_string())?;
        let socket = dir.join("player.sock");
        let log = fs::File::create(dir.join("log")).map_err(|e| e.to_string())?;
        let mut command = Command::new(daemon);
        command.arg("run").arg("--provisioning").arg(dir.join("provision.xml")).arg("--socket").arg(&socket);
        command.arg("--control").arg(dir.join("control.sock")).arg("--state-dir").arg(dir.join("state"));
        command.arg("--runtime-dir").arg(dir.join("run")).stdin(Stdio::null()).stderr(log);
        let child = command.spawn().map_err(|e| format!("{}: {e}", daemon.display()))?;
        let mut running = Self { child, socket, dir };
        let start = Instant::now();
        while !running.socket.exists() {
            let ended = running.child.try_wait().map_err(|e| e.to_string())?;
            if ended.is_some() || start.elapsed() > SETTLING {
                let log = fs::read_to_string(running.dir.join("log")).unwrap_or_default();
                return Err(format!("{} does not come up: {log}", daemon.display()));
            }
            sleep(Duration::from_millis(50));
        }
        Ok(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}
