//! `stbeacon play`: an unmodified GStreamer player with the tracer set up, the quickest way to try it.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use lexopt::Arg;
use stbeacon_core::player::SOCKET_ENV;

use crate::cli::{self, Failure};
use crate::doctor;

const HELP: &str = "\
Plays a stream with an unmodified GStreamer player and the tracer set up.

Usage: stbeacon play [OPTIONS] URI-or-FILE [-- PLAYER-ARGUMENTS…]

Runs gst-play-1.0, or `gst-launch-1.0 playbin` where that is not installed. Uses GST_TRACERS where GStreamer was
built with tracer hooks, LD_PRELOAD otherwise.

Options:
      --plugin FILE   libgststbeacon.so, if it is not where GStreamer looks for plug-ins
      --socket PATH   where the daemon listens [default: /run/stbeacon/player.sock]
      --preload       use LD_PRELOAD in any case
      --headless      no picture and no sound, but in real time: for boxes and machines without a display
  -n, --dry-run       print the command instead of running it
  -h, --help          this text

Examples:
  stbeacon play udp://239.1.1.1:1234
  stbeacon play --headless clip.ts
  stbeacon play https://example.net/live.m3u8 -- --start-position=30

Exits with what the player exits with, or with 3 if there is no player or no plug-in.
";

/// What the command line asks for.
#[derive(Debug, Default)]
struct Options {
    uri: Option<OsString>,
    plugin: Option<PathBuf>,
    socket: Option<PathBuf>,
    preload: bool,
    headless: bool,
    dry_run: bool,
    rest: Vec<OsString>,
}

pub(crate) fn run(mut args: lexopt::Parser) -> Result<ExitCode, Failure> {
    let mut options = Options::default();
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("help") | Arg::Short('h') => {
                cli::print(HELP);
                return Ok(ExitCode::SUCCESS);
            }
            Arg::Long("plugin") => options.plugin = Some(args.value()?.into()),
            Arg::Long("socket") => options.socket = Some(args.value()?.into()),
            Arg::Long("preload") => options.preload = true,
            Arg::Long("headless") => options.headless = true,
            Arg::Long("dry-run") | Arg::Short('n') => options.dry_run = true,
            Arg::Value(uri) if options.uri.is_none() => options.uri = Some(uri),
            Arg::Value(rest) => options.rest.push(rest),
            other => return Err(other.unexpected().into()),
        }
    }
    let mut player = player(&options)?;
    if options.dry_run {
        cli::print(&shell_line(&player));
        return Ok(ExitCode::SUCCESS);
    }
    let error = player.exec();
    Err(Failure::environment(format!("cannot start {}: {error}", player.get_program().to_string_lossy())))
}

fn player(options: &Options) -> Result<Command, Failure> {
    let uri = options
        .uri
        .as_deref()
        .ok_or_else(|| Failure::usage("what is to be played? See stbeacon play --help"))?;
    let environment = doctor::environment(options.socket.as_deref());
    let Some(plugin) = options.plugin.clone().or_else(|| environment.plugin().map(Path::to_owned)) else {
        return Err(Failure::environment(
            "libgststbeacon.so is not where GStreamer looks for plug-ins; install gstreamer1.0-stbeacon or name it with --plugin FILE",
        ));
    };
    let plugin = std::path::absolute(&plugin)
        .ok()
        .filter(|path| path.is_file())
        .ok_or_else(|| Failure::environment(format!("there is no plug-in {}", plugin.display())))?;

    let mut command = player_command(uri, options)?;
    if options.preload || !environment.has_tracer_hooks() {
        command.env("LD_PRELOAD", &plugin).env_remove("GST_TRACERS");
    } else {
        command.env("GST_TRACERS", "stbeacon");
        if let Some(dir) = plugin.parent() {
            let mut dirs = vec![dir.to_owned()];
            dirs.extend(std::env::var_os("GST_PLUGIN_PATH").iter().flat_map(std::env::split_paths));
            // A directory that holds a colon cannot be named in such a list at all.
            let path =
                std::env::join_paths(dirs).map_err(|e| Failure::input(format!("{}: {e}", dir.display())))?;
            command.env("GST_PLUGIN_PATH", path);
        }
    }
    if let Some(socket) = &options.socket {
        command.env(SOCKET_ENV, socket);
    }
    Ok(command)
}

fn player_command(uri: &std::ffi::OsStr, options: &Options) -> Result<Command, Failure> {
    let mut command;
    if on_path("gst-play-1.0") {
        command = Command::new("gst-play-1.0");
        if options.headless {
            command.args([
                "--videosink=fakevideosink sync=true",
                "--audiosink=fakeaudiosink sync=true",
                "--no-interactive",
            ]);
        }
        command.args(&options.rest).arg(uri);
    } else if on_path("gst-launch-1.0") {
        command = Command::new("gst-launch-1.0");
        let mut assignment = OsString::from("uri=");
        assignment.push(as_uri(uri));
        command.arg("playbin").arg(assignment);
        if options.headless {
            command.args(["video-sink=fakevideosink", "audio-sink=fakeaudiosink"]);
        }
        command.args(&options.rest);
    } else {
        return Err(Failure::environment(
            "neither gst-play-1.0 nor gst-launch-1.0 is installed (Debian: gstreamer1.0-plugins-base-apps, gstreamer1.0-tools)",
        ));
    }
    Ok(command)
}

/// playbin takes URIs alone: a file's name becomes one. Bytes that a URI cannot hold are percent-encoded (RFC 3986 §2).
fn as_uri(text: &std::ffi::OsStr) -> OsString {
    use std::os::unix::ffi::OsStrExt as _;

    if text.to_str().is_some_and(|text| text.contains("://")) {
        return text.to_owned();
    }
    let path = std::path::absolute(text).unwrap_or_else(|_| text.into());
    let mut uri = String::from("file://");
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte))
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.into()
}

fn on_path(name: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(name).is_file()))
}

/// The command as one would type it.
fn shell_line(command: &Command) -> String {
    let quoted = |text: &std::ffi::OsStr| {
        let text = text.to_string_lossy();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
        if !text.is_empty() && text.chars().all(plain) {
            text.into_owned()
        } else {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
    };
    let unset = command
        .get_envs()
        .filter(|(_, value)| value.is_none())
        .map(|(name, _)| format!("-u {}", quoted(name)));
    let set =
        command.get_envs().filter_map(|(name, value)| Some(format!("{}={}", quoted(name), quoted(value?))));
    let words = std::iter::once(command.get_program()).chain(command.get_args()).map(quoted);
    let line: Vec<_> = std::iter::once("env".to_owned()).chain(unset).chain(set).chain(words).collect();
    format!("{}\n", line.join(" "))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::uri("udp://239.1.1.1:1234", "udp://239.1.1.1:1234")]
    #[case::file("/media/a b#1.ts", "file:///media/a%20b%231.ts")]
    #[case::text("/media/čas.ts", "file:///media/%C4%8Das.ts")]
    fn files_become_uris(#[case] given: &str, #[case] uri: &str) {
        assert_eq!(as_uri(given.as_ref()), OsString::from(uri));
    }

    #[test]
    fn a_printed_command_can_be_pasted() {
        let mut command = Command::new("player");
        command.args(["a b", "it's"]).env("X", "1").env_remove("Y");
        assert_eq!(shell_line(&command), "env -u Y X=1 player 'a b' 'it'\\''s'\n");
    }
}
