//! What is done when somebody interrupts: boxes, their network, and a docker that was started for them go.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::machine::{as_root, docker};
use crate::{run, ui};

/// The docker that was started by this process; 0 where none was.
static DOCKERD: AtomicU32 = AtomicU32::new(0);

/// What the names of everything in docker begin with that is this process's.
pub(super) fn prefix() -> String {
    format!("stbeacon-{}", std::process::id())
}

/// This process has started a docker, or has ended it (0).
pub(super) fn docker_is(pid: u32) {
    DOCKERD.store(pid, Ordering::Relaxed);
}

/// Cleans up and ends this process when it is interrupted from now on. With `keep` everything is left as it is.
pub(super) fn clean_up_when_interrupted(keep: bool) -> Result<(), String> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted)).map_err(|e| e.to_string())?;
    }
    thread::spawn(move || {
        while !interrupted.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(100));
        }
        if !keep {
            println!("\n{}", ui::dim("interrupted: removing the boxes"));
            clean_up();
        }
        // As a shell has it for a program that was interrupted.
        std::process::exit(130);
    });
    Ok(())
}

fn clean_up() {
    let filter = format!("name={}", prefix());
    // Twice: one may have been about to be made.
    for _ in 0..2 {
        let boxes =
            run::told(&mut docker(["ps", "--all", "--quiet", "--filter", &filter])).unwrap_or_default();
        for name in boxes.split_whitespace() {
            let _ = run::quietly(&mut docker(["rm", "--force", name]));
        }
    }
    let _ = run::quietly(&mut docker(["network", "rm", &prefix()]));
    let pid = DOCKERD.load(Ordering::Relaxed);
    if pid == 0 {
        return;
    }
    let _ = run::quietly(as_root("kill").arg(pid.to_string()));
    let (start, stat) = (Instant::now(), PathBuf::from(format!("/proc/{pid}/stat")));
    // Nobody reaps it here: a zombie is gone.
    let runs = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
    while runs() && start.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(100));
    }
}
