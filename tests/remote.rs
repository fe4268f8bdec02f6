//! A player of an application's own, with its viewer here: pauses and seeks when told to.

use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;

use crate::{Error, Finished, Player, Process, wait};

/// What applications do around `playbin`: they wait for the buffer, pause, seek, and stop at the end. It reads
/// commands from standard input and prints what has come of them, each with the time of `CLOCK_BOOTTIME` in ms.
const PROGRAM: &str = r#"
import json, sys, threading, time
import gi
gi.require_version("Gst", "1.0")
from gi.repository import Gst, GLib

Gst.init(None)
loop = GLib.MainLoop()
player = Gst.ElementFactory.make(sys.argv[1])
player.props.uri = sys.argv[2]
player.props.video_sink = Gst.parse_launch("fakevideosink sync=true")
player.props.audio_sink = Gst.parse_launch("fakeaudiosink sync=true")
player.props.buffer_duration = 2 * Gst.SECOND
wanted, filling, seeking = Gst.State.PLAYING, False, None

def position():
    known, ns = player.query_position(Gst.Format.TIME)
    return ns // 1000000 if known else None

def say(what, **more):
    at = int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000)
    print(json.dumps(dict(at=at, what=what, position=position(), **more)), flush=True)

def apply():
    player.set_state(Gst.State.PAUSED if filling else wanted)

def on_message(bus, message):
    global filling, seeking
    if message.type == Gst.MessageType.BUFFERING:
        percent = message.parse_buffering()
        if (percent < 100) != filling:
            filling = percent < 100
            say("filling" if filling else "filled")
            apply()
    elif message.type == Gst.MessageType.STATE_CHANGED and message.src == player:
        old, new, pending = message.parse_state_changed()
        if pending == Gst.State.VOID_PENDING and new in (Gst.State.PAUSED, Gst.State.PLAYING):
            say("playing" if new == Gst.State.PLAYING else "paused")
    elif message.type == Gst.MessageType.EOS:
        say("end")
        player.set_state(Gst.State.NULL)
        loop.quit()
    elif message.type == Gst.MessageType.ERROR:
        error, debug = message.parse_error()
        print(error, debug, file=sys.stderr)
        sys.exit(1)

def command(words):
    global wanted
    if words[0] == "pause":
        wanted = Gst.State.PAUSED
        say("pause")
        apply()
    elif words[0] == "resume":
        wanted = Gst.State.PLAYING
        say("resume")
        apply()
    elif words[0] == "seek":
        say("seek", to=int(words[1]))
        player.seek_simple(Gst.Format.TIME, Gst.SeekFlags.FLUSH | Gst.SeekFlags.ACCURATE, int(words[1]) * 1000000)
    elif words[0] == "where":
        say("where")

def listen():
    for line in sys.stdin:
        GLib.idle_add(command, line.split())

bus = player.get_bus()
bus.add_signal_watch()
bus.connect("message", on_message)
say("open")
player.set_state(Gst.State.PLAYING)
threading.Thread(target=listen, daemon=True).start()
loop.run()
"#;

/// A running player that does what it is told.
#[derive(Debug)]
pub struct Remote {
    process: Process,
}

/// What the player says that it has done.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Said {
    /// On `CLOCK_BOOTTIME`, in ms.
    pub at: u64,
    /// open, playing, paused, pause, resume, seek, filling, filled, where, end.
    pub what: String,
    /// The playhead, in ms.
    pub position: Option<u64>,
    /// Where a seek goes, in ms.
    #[serde(default)]
    pub to: Option<u64>,
}

// === impl Remote ===

impl Remote {
    /// Starts to play with `playbin` or `playbin3`.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub fn start(player: &Player, playbin: &str, uri: &str) -> Result<Self, Error> {
        let mut command = player.command("/usr/bin/python3")?;
        command.args(["-c", PROGRAM, playbin, uri]);
        Ok(Self { process: Process::start_reading(&mut command, Stdio::piped())? })
    }

    /// Gives it a command.
    ///
    /// # Errors
    /// If it is gone.
    pub fn command(&mut self, command: &str) -> Result<(), Error> {
        self.process.say(command)
    }

    /// All that it has said so far.
    #[must_use]
    pub fn said(&self) -> Vec<Said> {
        let out = self.process.stdout();
        out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits until it has said what is wanted.
    ///
    /// # Errors
    /// After `limit`, or if it ends before.
    pub fn wait_for<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut enough: impl FnMut(&[Said]) -> Option<T>,
    ) -> Result<T, Error> {
        let found = wait::until(what, limit, || {
            let running = self.process.is_running();
            if let Some(found) = enough(&self.said()) {
                return Some(Ok(found));
            }
            match running {
                Ok(true) => None,
                Ok(false) => Some(Err(self.process.error(&format!("ended before {what}")))),
                Err(error) => Some(Err(error)),
            }
        });
        found.map_err(|error| self.process.error(&error.to_string()))?
    }

    /// Waits until it has played to the end.
    ///
    /// # Errors
    /// If it fails, or still plays after `limit`.
    pub fn finish(self, limit: Duration) -> Result<Finished, Error> {
        self.process.wait(limit)?.success()
    }
}
