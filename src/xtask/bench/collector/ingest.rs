//! Lines that are taken, and on the disk when they are answered, beside what nginx answers the same lines with.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use nix::sys::signal::Signal;
use stbeacon_tests::Process;

use super::{Collector, Goal, PATIENCE, Row, free_address, median, scratch};
use crate::footprint::{TICKS, number, ticks};
use crate::{run, ui};

/// Requests that are on their way at once.
const CONNECTIONS: &str = "64";
/// Sessions in a round: four or five lines each.
const SESSIONS: &str = "6000";
/// Where Debian's package has it: not on everybody's PATH.
const NGINX: &str = "/usr/sbin/nginx";

/// nginx as it is quickest: one process, no log, a picture out of its memory, connections that are kept for ever.
const CONFIG: &str = "\
daemon off;
master_process off;
pid DIR/nginx.pid;
error_log DIR/error.log;
events { worker_connections 1024; }
http {
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path DIR/body;
    proxy_temp_path DIR/proxy;
    fastcgi_temp_path DIR/fastcgi;
    uwsgi_temp_path DIR/uwsgi;
    scgi_temp_path DIR/scgi;
    server {
        listen ADDRESS;
        location / { empty_gif; }
    }
}
";

/// What a server did in a round.
struct Round {
    /// Requests for each second of its CPU time.
    per_cpu_second: f64,
    /// Requests for each second that went by.
    per_second: f64,
}

/// Both take turns.
pub(super) fn measure(program: &Path, rounds: usize) -> Result<Vec<Row>, String> {
    let nginx = nginx()?;
    let directory = scratch("bench-nginx")?;
    let (served, nginx) = start_nginx(&nginx, &directory)?;
    let data = scratch("bench-ingest")?;
    let _ = std::fs::remove_dir_all(&data);
    let collector = Collector::start(program, &data)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    ui::step(&format!("{rounds} rounds, and one to warm up"), || {
        for number in 0..=rounds {
            let our = round(program, collector.address, collector.process.pid())?;
            let their = round(program, served, nginx.pid())?;
            if number > 0 {
                ours.push(our);
                theirs.push(their);
            }
        }
        Ok(())
    })?;
    let most = number(&PathBuf::from(format!("/proc/{}/status", collector.process.pid())), "VmHWM:")?;
    collector.stop()?;
    let stopped = nginx.signal(Signal::SIGTERM).and_then(|()| nginx.wait(PATIENCE));
    stopped.map_err(|error| error.to_string())?;
    let _ = std::fs::remove_dir_all(&data);

    let ratio = |of: fn(&Round) -> f64| -> Vec<f64> {
        ours.iter().zip(&theirs).map(|(ours, theirs)| 100.0 * of(ours) / of(theirs)).collect()
    };
    let all = |rounds: &[Round], of: fn(&Round) -> f64| rounds.iter().map(of).collect::<Vec<_>>();
    let goal = Some(Goal::AtLeast(40.0));
    Ok(vec![
        median(
            "collector, on the disk when answered",
            "lines a CPU second",
            all(&ours, |r| r.per_cpu_second),
            None,
        ),
        median("nginx, empty_gif", "lines a CPU second", all(&theirs, |r| r.per_cpu_second), None),
        median("of nginx's rate per core", "%", ratio(|round| round.per_cpu_second), goal),
        median(
            "collector, with what sends on the same machine",
            "lines a second",
            all(&ours, |r| r.per_second),
            None,
        ),
        median("nginx, likewise", "lines a second", all(&theirs, |r| r.per_second), None),
        Row {
            what: "collector, most memory it ever had".to_owned(),
            value: f64::from(most) / 1000.0,
            unit: "MB",
            quartiles: None,
            goal: Some(Goal::AtMost(150.0)),
        },
    ])
}

fn round(program: &Path, address: SocketAddr, pid: u32) -> Result<Round, String> {
    let (before, begun) = (ticks(pid)?, Instant::now());
    let mut load = Command::new(program);
    load.args(["load", "--source", "lines", "--at-once", "--rate", "0", "--boxes", "100000"]);
    load.args(["--sessions", SESSIONS, "--connections", CONNECTIONS, "--to", &format!("http://{address}/")]);
    let told = run::told(&mut load)?;
    let seconds = begun.elapsed().as_secs_f64();
    let sent = told.lines().find_map(|line| line.split_once(" requests sent")?.0.parse::<u32>().ok());
    let sent = f64::from(sent.ok_or_else(|| format!("the load does not say how much it sent: {told}"))?);
    let cpu = f64::from(ticks(pid)?.saturating_sub(before).max(1)) / TICKS;
    Ok(Round { per_cpu_second: sent / cpu, per_second: sent / seconds })
}

fn start_nginx(nginx: &Path, directory: &Path) -> Result<(SocketAddr, Process), String> {
    let address = free_address()?;
    let config = CONFIG.replace("DIR", &directory.to_string_lossy()).replace("ADDRESS", &address.to_string());
    let file = directory.join("nginx.conf");
    std::fs::write(&file, config).map_err(|e| format!("{}: {e}", file.display()))?;
    let mut command = Command::new(nginx);
    command.arg("-p").arg(directory).arg("-e").arg(directory.join("error.log")).arg("-c").arg(&file);
    let mut process = Process::start(&mut command).map_err(|error| error.to_string())?;
    let begun = Instant::now();
    while std::net::TcpStream::connect(address).is_err() {
        if !process.is_running().map_err(|error| error.to_string())? || begun.elapsed() > PATIENCE {
            return Err(process.error("nginx does not listen").to_string());
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    Ok((address, process))
}

/// The one of this machine, or else Debian's package unpacked beside what cargo builds: installed, it would start.
fn nginx() -> Result<PathBuf, String> {
    let installed = PathBuf::from(NGINX);
    if installed.exists() {
        return Ok(installed);
    }
    let directory = run::target().join("tools/nginx");
    let program = directory.join("usr/sbin/nginx");
    if !program.exists() {
        std::fs::create_dir_all(&directory).map_err(|e| format!("{}: {e}", directory.display()))?;
        ui::step("nginx, from Debian's package", || {
            let script =
                "cd \"$1\" && apt-get -q download nginx && dpkg-deb -x nginx_*.deb . && rm nginx_*.deb";
            run::quietly(Command::new("sh").args(["-ec", script, "sh"]).arg(&directory))
        })?;
    }
    Ok(program)
}
