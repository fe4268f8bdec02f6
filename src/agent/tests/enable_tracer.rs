//! `stbeacon enable-tracer`, as who makes an image types it.

use std::fs;
use std::path::Path;

use rstest::rstest;
use tempfile::TempDir;

use crate::common::{stbeacon, stderr, stdout};

const DROP_IN: &str = "etc/systemd/system/player.service.d/stbeacon.conf";

fn enable(root: &Path, more: &[&str]) -> std::process::Output {
    let mut command = stbeacon(&["enable-tracer", "--unit", "player", "--root"]);
    command.arg(root).args(more).output().unwrap()
}

#[test]
fn the_drop_in_is_written_once_and_taken_away() {
    let root = TempDir::new().unwrap();
    let file = root.path().join(DROP_IN);

    let output = enable(root.path(), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).ends_with("stbeacon.conf: written\n"), "{}", stdout(&output));
    let text = fs::read_to_string(&file).unwrap();
    for line in [
        "[Service]",
        "Environment=GST_TRACERS=stbeacon",
        "EnvironmentFile=-/etc/stbeacon/player.env",
        "SupplementaryGroups=stbeacon",
    ] {
        assert!(text.lines().any(|other| other == line), "{line} in {text}");
    }

    assert!(stdout(&enable(root.path(), &[])).ends_with("is there already\n"));
    let others = file.with_file_name("others.conf");
    fs::write(&others, "[Service]\n").unwrap();
    assert!(stdout(&enable(root.path(), &["--remove"])).ends_with("taken away\n"));
    assert!(!file.exists() && others.exists(), "what others put there stays");
    assert!(stdout(&enable(root.path(), &["--remove"])).ends_with("was not there\n"));
}

#[test]
fn an_older_drop_in_is_replaced() {
    let root = TempDir::new().unwrap();
    let file = root.path().join(DROP_IN);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "[Service]\nEnvironment=GST_TRACERS=old\n").unwrap();
    assert!(stdout(&enable(root.path(), &[])).ends_with("written\n"));
    assert!(!fs::read_to_string(&file).unwrap().contains("old"));
}

#[test]
fn until_the_next_boot_it_is_below_run() {
    let root = TempDir::new().unwrap();
    assert_eq!(enable(root.path(), &["--runtime"]).status.code(), Some(0));
    assert!(root.path().join("run/systemd/system/player.service.d/stbeacon.conf").exists());
    assert!(!root.path().join("etc").exists());
}

#[test]
fn systemd_takes_what_is_written() {
    let root = TempDir::new().unwrap();
    enable(root.path(), &[]);
    // Its own check of a unit together with its drop-ins; it reads no drop-ins of an image, so it is given one unit.
    let unit = root.path().join("player.service");
    let text = fs::read_to_string(root.path().join(DROP_IN)).unwrap();
    fs::write(&unit, text + "ExecStart=/bin/true\n").unwrap();
    let Ok(verify) = std::process::Command::new("systemd-analyze").arg("verify").arg(&unit).output() else {
        println!("LEFT OUT: there is no systemd-analyze here");
        return;
    };
    let said = stderr(&verify);
    assert!(!said.contains("player.service:"), "{said}");
}

#[rstest]
#[case::without_a_unit(&["enable-tracer"], "which player?")]
#[case::path(&["enable-tracer", "--unit", "../x"], "no name of a unit")]
#[case::socket(&["enable-tracer", "--unit", "x.socket"], "runs nothing")]
fn a_wrong_command_line_exits_with_2(#[case] args: &[&str], #[case] part: &str) {
    let output = stbeacon(args).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains(part), "{}", stderr(&output));
}

#[test]
fn a_root_that_is_not_there_exits_with_1() {
    let output = enable(Path::new("/nowhere/at/all"), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("--root: /nowhere/at/all"), "{}", stderr(&output));
}

#[test]
fn what_cannot_be_written_is_told() {
    let root = TempDir::new().unwrap();
    fs::write(root.path().join("etc"), "a file where a directory should be").unwrap();
    let output = enable(root.path(), &[]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains(DROP_IN), "{}", stderr(&output));
}
