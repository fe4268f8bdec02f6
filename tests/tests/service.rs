//! What starts the daemon on a box: the unit, and the scripts for boxes without systemd.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rstest::rstest;
use stbeacon_tests::{Artifacts, Error, Finished, Process, skipped};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(30);

/// A file of the repository.
fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn run(program: &str, args: &[&str]) -> Result<Finished, Error> {
    Process::start(Command::new(program).args(args))?.wait(LIMIT)
}

/// Whether a program is there; loudly, if not.
fn is_there(program: &str, what: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    if !found {
        skipped(what, &format!("there is no {program}"));
    }
    found
}

fn io<T>(result: std::io::Result<T>) -> Result<T, Error> {
    result.map_err(|e| Error::io("the test's own directory", e))
}

fn temporary() -> Result<TempDir, Error> {
    io(tempfile::tempdir())
}

/// Root's own rights, and the kernel's surface, are out of the daemon's reach.
#[test]
fn the_unit_is_exposed_to_little() -> Result<(), Error> {
    if !is_there("systemd-analyze", "exposure of the unit") {
        return Ok(());
    }
    let unit = file("systemd/stbeacon.service");
    let args = ["security", "--offline=true", "--threshold=15", &unit.to_string_lossy()];
    let finished = run("systemd-analyze", &args)?;
    if finished.stderr.contains("offline") {
        skipped("exposure of the unit", finished.stderr.trim());
        return Ok(());
    }
    let level = finished.stdout.rsplit_once("stbeacon.service: ").map_or("", |(_, level)| level);
    let level: f64 = level.split(' ').next().and_then(|level| level.parse().ok()).unwrap_or(10.0);
    assert!(finished.status.success() && level <= 1.5, "{}", finished.stdout);
    Ok(())
}

/// Who it runs as, and what belongs to it, made by systemd's own programs in a root directory of the test's.
#[test]
fn user_and_directories_are_made() -> Result<(), Error> {
    if !is_there("systemd-sysusers", "sysusers.d") || !is_there("systemd-tmpfiles", "tmpfiles.d") {
        return Ok(());
    }
    let dir = temporary()?;
    let root = dir.path().join("root");
    let etc = root.join("etc/stbeacon");
    io(fs::create_dir_all(&etc).and_then(|()| fs::write(etc.join("provision.xml"), "<provision/>")))?;
    let at = format!("--root={}", root.display());
    run("systemd-sysusers", &[&at, &file("systemd/sysusers.d/stbeacon.conf").to_string_lossy()])?
        .success()?;
    let passwd = io(fs::read_to_string(root.join("etc/passwd")))?;
    let user = passwd.lines().find(|line| line.starts_with("stbeacon:")).unwrap_or_default();
    assert!(user.ends_with(":/var/lib/stbeacon:/usr/sbin/nologin"), "{passwd}");
    let uid: u32 = user.split(':').nth(2).and_then(|uid| uid.parse().ok()).unwrap_or(0);
    let tmpfiles = file("systemd/tmpfiles.d/stbeacon.conf");
    let made = run("systemd-tmpfiles", &[&at, "--create", &tmpfiles.to_string_lossy()])?;
    if !made.status.success() && uid == 0 {
        skipped("tmpfiles.d", made.stderr.trim());
        return Ok(());
    }
    made.success()?;
    let of = |path: &str| {
        let metadata = io(fs::metadata(root.join(path)))?;
        Ok::<_, Error>((metadata.uid(), metadata.mode() & 0o777))
    };
    assert_eq!(of("run/stbeacon")?, (uid, 0o755));
    assert_eq!(of("var/lib/stbeacon")?, (uid, 0o750));
    assert_eq!(of("etc/stbeacon/provision.xml")?, (0, 0o640));
    Ok(())
}

const SCRIPTS: [&str; 2] = ["packaging/init.d/stbeacon", "packaging/openwrt/stbeacon.init"];

#[test]
fn scripts_have_no_pitfalls() -> Result<(), Error> {
    for script in SCRIPTS.map(file) {
        let script = script.to_string_lossy();
        if is_there("busybox", "scripts in busybox's shell") {
            run("busybox", &["sh", "-n", &script])?.success()?;
        }
        if is_there("shellcheck", "pitfalls of the scripts") {
            run("shellcheck", &[&script])?.success()?;
        }
    }
    Ok(())
}

/// A directory of programs that are all busybox.
fn busybox(dir: &Path) -> Result<String, Error> {
    let found = io(Command::new("sh").args(["-c", "command -v busybox"]).output())?;
    let busybox = String::from_utf8_lossy(&found.stdout).trim().to_owned();
    for applet in ["start-stop-daemon", "logger", "mkfifo", "mkdir", "chown", "chmod", "rm", "cat", "sleep"] {
        io(symlink(&busybox, dir.join(applet)))?;
    }
    Ok(format!("{}:{}", dir.display(), std::env::var("PATH").unwrap_or_default()))
}

/// The script starts the real daemon, knows whether it runs, and stops it.
#[rstest]
#[case::debian(&["sh"])]
#[case::busybox(&["busybox", "sh"])]
fn the_init_script_does_what_it_says(#[case] shell: &[&str]) -> Result<(), Error> {
    let is_busybox = shell[0] == "busybox";
    if !is_there(if is_busybox { "busybox" } else { "start-stop-daemon" }, "the init script") {
        return Ok(());
    }
    let dir = temporary()?;
    let at = |name: &str| dir.path().join(name);
    io(fs::write(at("provision.xml"), "<provision/>"))?;
    let user = run("id", &["-un"])?.success()?.stdout;
    let settings = format!(
        "DAEMON={}\nDAEMON_USER={user}RUN_DIR={}\nSTATE_DIR={}\nPIDFILE={}\nSTBEACON_PROVISIONING={}\n",
        Artifacts::find()?.daemon()?.display(),
        at("run").display(),
        at("state").display(),
        at("pid").display(),
        at("provision.xml").display(),
    );
    io(fs::write(at("defaults"), settings))?;
    let mut path = std::env::var("PATH").unwrap_or_default();
    if is_busybox {
        io(fs::create_dir(at("bin")))?;
        path = busybox(&at("bin"))?;
    }
    let script = |word: &str| {
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).arg(file(SCRIPTS[0])).arg(word);
        Process::start(command.env("DEFAULTS", at("defaults")).env("PATH", &path))?.wait(LIMIT)
    };
    assert_eq!(script("status")?.code(), 3);
    script("start")?.success()?;
    let twice = script("start")?.success()?;
    assert!(twice.stdout.contains("runs already"), "{}", twice.stdout);
    script("status")?.success()?;
    let pid = io(fs::read_to_string(at("pid")))?.trim().to_owned();
    assert_eq!(io(fs::read_to_string(format!("/proc/{pid}/comm")))?.trim(), "stbeacon");
    let control = at("run").join("control.sock");
    let daemon = Artifacts::find()?.daemon()?;
    let status =
        run(&daemon.to_string_lossy(), &["status", "--control", &control.to_string_lossy()])?.success()?;
    assert!(status.stdout.contains(&format!("pid {pid}")), "{}", status.stdout);
    script("reload")?.success()?;
    script("restart")?.success()?;
    assert_ne!(io(fs::read_to_string(at("pid")))?.trim(), pid);
    script("stop")?.success()?;
    assert!(!at("run/player.sock").exists() && !at("pid").exists());
    assert_eq!(script("status")?.code(), 3);
    assert_eq!(script("stop")?.code(), 0, "to stop what does not run is no error");
    assert_eq!(script("dance")?.code(), 2);
    Ok(())
}

/// procd itself is not here: what the script asks it for is taken down by functions of the same names.
#[test]
fn the_openwrt_script_asks_procd_for_the_right_things() -> Result<(), Error> {
    let dir = temporary()?;
    let defaults = dir.path().join("defaults");
    io(fs::write(&defaults, "# comment\nSTBEACON_PROVISIONING_URL=prov.example.net\nnot a setting\n"))?;
    let double = r#"
        chown() { :; }
        for name in open_instance set_param append_param close_instance send_signal; do
            eval "procd_$name() { echo \"$name \$*\"; }"
        done
        . "$1"
        start_service
        reload_service
    "#;
    let mut command = Command::new("sh");
    command.args(["-efc", double, "sh"]).arg(file(SCRIPTS[1]));
    command.env("DEFAULTS", &defaults);
    command.env("RUN_DIR", dir.path().join("run")).env("STATE_DIR", dir.path().join("state"));
    let asked = Process::start(&mut command)?.wait(LIMIT)?.success()?.stdout;
    let lines: Vec<_> = asked.lines().collect();
    assert_eq!(lines.first(), Some(&"open_instance "), "{asked}");
    for line in [
        "set_param command /usr/bin/stbeacon run",
        "append_param env STBEACON_PROVISIONING_URL=prov.example.net",
        "set_param user stbeacon",
        "set_param no_new_privs 1",
        "set_param respawn 3600 5 0",
        "send_signal stbeacon * HUP",
    ] {
        assert!(lines.contains(&line), "no {line:?} in\n{asked}");
    }
    assert_eq!(lines.iter().filter(|line| line.starts_with("append_param")).count(), 1, "{asked}");
    Ok(())
}
