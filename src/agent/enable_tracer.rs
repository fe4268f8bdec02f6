//! `stbeacon enable-tracer`: has systemd start a player with the plug-in in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lexopt::{Arg, ValueExt as _};

use crate::cli::{self, Failure};

const HELP: &str = "\
Has systemd start a player with the plug-in in it: writes a drop-in for the player's unit.

Usage: stbeacon enable-tracer --unit UNIT… [--root DIR] [--runtime] [--remove]

The drop-in, UNIT.d/stbeacon.conf in /etc/systemd/system, sets GST_TRACERS=stbeacon, takes more from
/etc/stbeacon/player.env where that is there, and puts the player into the group stbeacon, which may write to the
daemon's socket. Nothing is started anew: that is said, and left to you.

Options:
      --unit UNIT  the player's unit; .service is added to a name without an ending. May stand there several times
      --root DIR   the image to write to, in place of this box
      --runtime    until the next boot only: below /run, for boxes with a read-only /etc
      --remove     take the drop-in away again
  -h, --help       this text

Examples:
  stbeacon enable-tracer --unit player.service
  stbeacon enable-tracer --unit player --root build/rootfs
  stbeacon enable-tracer --unit player --remove

";

/// The file in the unit's drop-in directory.
const NAME: &str = "stbeacon.conf";

const DROP_IN: &str = "\
# Written by `stbeacon enable-tracer`; taken away by `stbeacon enable-tracer --remove`.
[Service]
Environment=GST_TRACERS=stbeacon
EnvironmentFile=-/etc/stbeacon/player.env
# It may write to the daemon's socket.
SupplementaryGroups=stbeacon
";

/// What the command line asks for.
#[derive(Debug, Default)]
struct Options {
    units: Vec<String>,
    root: Option<PathBuf>,
    runtime: bool,
    remove: bool,
}

pub(crate) fn run(mut args: lexopt::Parser) -> Result<ExitCode, Failure> {
    let mut options = Options::default();
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("help") | Arg::Short('h') => {
                cli::print_help(HELP);
                return Ok(ExitCode::SUCCESS);
            }
            Arg::Long("unit") => options.units.push(unit(&args.value()?.string()?)?),
            Arg::Long("root") => options.root = Some(args.value()?.into()),
            Arg::Long("runtime") => options.runtime = true,
            Arg::Long("remove") => options.remove = true,
            other => return Err(other.unexpected().into()),
        }
    }
    if options.units.is_empty() {
        return Err(Failure::usage("which player? Give --unit player.service; see --help"));
    }
    let root = options.root.as_deref().unwrap_or(Path::new("/"));
    if !root.is_dir() {
        return Err(Failure::input(format!("--root: {} is not a directory", root.display())));
    }
    let units = root.join(if options.runtime { "run/systemd/system" } else { "etc/systemd/system" });
    for unit in &options.units {
        let directory = units.join(format!("{unit}.d"));
        let file = directory.join(NAME);
        let done = if options.remove { take_away(&directory, &file) } else { write(&directory, &file) };
        let done = done.map_err(|error| failure(&error, &file))?;
        cli::print(&format!("{}: {done}\n", file.display()));
    }
    if options.root.is_none() {
        let units = options.units.join(" ");
        cli::print(&format!(
            "To have it in force: systemctl daemon-reload && systemctl try-restart {units}\n"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// A unit's name as systemd writes it; it becomes part of a path.
fn unit(text: &str) -> Result<String, Failure> {
    let known = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    if text.is_empty() || text.starts_with('.') || !text.chars().all(known) {
        return Err(Failure::usage(format!("--unit: {text:?} is no name of a unit, such as player.service")));
    }
    match text.rsplit_once('.') {
        None => Ok(format!("{text}.service")),
        Some((_, "service")) => Ok(text.to_owned()),
        Some((
            _,
            "socket" | "timer" | "target" | "path" | "mount" | "scope" | "slice" | "swap" | "device",
        )) => Err(Failure::usage(format!(
            "--unit: {text} runs nothing: name the .service that the player is in"
        ))),
        // A dot in the name itself, such as org.example.player.
        Some(_) => Ok(format!("{text}.service")),
    }
}

fn write(directory: &Path, file: &Path) -> io::Result<&'static str> {
    if fs::read(file).is_ok_and(|there| there == DROP_IN.as_bytes()) {
        return Ok("is there already");
    }
    fs::create_dir_all(directory)?;
    // Whole or not at all: systemd may read it at any moment.
    let unfinished = directory.join(".stbeacon.conf.new");
    fs::write(&unfinished, DROP_IN).and_then(|()| fs::rename(&unfinished, file)).inspect_err(|_| {
        let _ = fs::remove_file(&unfinished);
    })?;
    Ok("written")
}

fn take_away(directory: &Path, file: &Path) -> io::Result<&'static str> {
    match fs::remove_file(file) {
        Ok(()) => {
            // Others' drop-ins may be in it.
            let _ = fs::remove_dir(directory);
            Ok("taken away")
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok("was not there"),
        Err(error) => Err(error),
    }
}

fn failure(error: &io::Error, file: &Path) -> Failure {
    let remedy = match error.kind() {
        io::ErrorKind::PermissionDenied => "; try as root",
        io::ErrorKind::ReadOnlyFilesystem => "; --runtime writes below /run, --root into the image",
        io::ErrorKind::StorageFull => "; the disk is full",
        _ => "",
    };
    Failure::environment(format!("cannot change {}: {error}{remedy}", file.display()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::whole("player.service", "player.service")]
    #[case::without_an_ending("player", "player.service")]
    #[case::with_a_dot("org.example.player", "org.example.player.service")]
    #[case::instance("player@hdmi1.service", "player@hdmi1.service")]
    fn names_of_units_are_completed(#[case] given: &str, #[case] expected: &str) {
        assert_eq!(unit(given).unwrap(), expected);
    }

    #[rstest]
    #[case::empty("")]
    #[case::path("../../passwd")]
    #[case::slash("a/b.service")]
    #[case::space("my player")]
    #[case::hidden(".service")]
    #[case::socket("player.socket")]
    #[case::line("player\n")]
    fn what_is_no_service_is_refused(#[case] given: &str) {
        assert_eq!(unit(given).unwrap_err().code, cli::USAGE);
    }
}
