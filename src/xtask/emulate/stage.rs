//! What boxes report to, and what they play.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use stbeacon_core::line::keys::Event;
use stbeacon_tests::clips::{Audio, Clip, FPS, Recipe, VIDEO_PID, Video};
use stbeacon_tests::{DaemonOptions, LineReceiver, Receiver, ts};

use crate::ui;

/// Length of the stream that is played as fast as it goes, in seconds.
const SECONDS: u32 = 3;

/// Lengths of those that are played in their own time: long enough for a restart under emulation, for an upgrade, and for
/// an upgrade while others use this machine.
const MIDDLE_SECONDS: u32 = 20;
const LONG_SECONDS: u32 = 45;
const LONGEST_SECONDS: u32 = 180;

/// Packets of the sound that are cut out, from the first on.
const CUT: [usize; 3] = [20, 40, 60];

/// Transport packets in one datagram, as everybody sends them.
const PER_DATAGRAM: usize = 7;

/// Datagrams that are lost on the way.
const LOST: [usize; 2] = [30, 60];

/// How long the stream that is played as fast as it goes takes over the network: its own time, or as little as a receive
/// buffer stands that an emulated processor empties.
pub(super) const REAL_TIME: Duration = Duration::from_secs(SECONDS as u64);
pub(super) const HURRIED: Duration = Duration::from_millis(800);

/// What is played.
#[derive(Debug)]
pub(super) struct Clips {
    /// H.264 and MPEG sound in a transport stream.
    pub(super) whole: Clip,
    /// The same with gaps in the sound.
    pub(super) damaged: Clip,
    /// Longer ones.
    pub(super) middle: Clip,
    pub(super) long: Clip,
    longest: Clip,
}

/// A stream as it goes over the network, and what arrives of it.
#[derive(Debug)]
pub(super) struct Datagrams {
    datagrams: Vec<Vec<u8>>,
    /// Gaps by the rules of H.222.0.
    pub(super) discontinuities: u64,
}

/// One operator's servers, on the boxes' network.
#[derive(Debug)]
pub(super) struct Operator {
    /// Takes reports.
    pub(super) reports: Receiver,
    /// Takes lines.
    pub(super) lines: LineReceiver,
}

// === impl Clips ===

impl Clips {
    pub(super) fn make() -> Result<Self, String> {
        ui::step("streams of H.264 and MPEG sound", || {
            let make = |seconds| Recipe::ts(Video::H264, Audio::Mp2, seconds * FPS).make().map_err(text);
            let (whole, middle, long) = (make(SECONDS)?, make(MIDDLE_SECONDS)?, make(LONG_SECONDS)?);
            let longest = make(LONGEST_SECONDS)?;
            let damaged = damage(&whole)?;
            Ok(Self { whole, damaged, middle, long, longest })
        })
    }

    /// One that still plays when packages are upgraded, on a box that took this long to install them.
    pub(super) fn for_an_upgrade(&self, installed: Duration) -> &Clip {
        let enough = 2 * installed < Duration::from_secs(LONG_SECONDS.into());
        if enough { &self.long } else { &self.longest }
    }
}

/// The stream with packets of its sound cut out.
fn damage(clip: &Clip) -> Result<Clip, String> {
    let content = clip.content().map_err(text)?;
    let mut pids = clip.streams.iter().map(|stream| stream.pid);
    let sound = pids.find(|pid| *pid != VIDEO_PID).ok_or("the stream has no sound")?;
    let path: PathBuf = clip.path.with_file_name("emulate-with-gaps.ts");
    fs::write(&path, ts::cut(&content, sound, &CUT)).map_err(|e| format!("{}: {e}", path.display()))?;
    // Frames are counted up to the first gap; no more of them than before can come out.
    Ok(Clip { audio_frames: clip.audio_frames.clone(), ..Clip::read(path).map_err(text)? })
}

// === impl Datagrams ===

impl Datagrams {
    /// The clip as it arrives, with or without losses on the way.
    pub(super) fn of(clip: &Clip, lossy: bool) -> Result<Self, String> {
        let content = clip.content().map_err(text)?;
        let all = content.chunks(ts::PACKET * PER_DATAGRAM).map(<[u8]>::to_vec).enumerate();
        let arrived = all.filter(|(number, _)| !lossy || !LOST.contains(number));
        let datagrams: Vec<_> = arrived.map(|(_, datagram)| datagram).collect();
        let discontinuities = ts::continuity_errors(&datagrams.concat());
        Ok(Self { datagrams, discontinuities })
    }

    pub(super) fn count(&self) -> usize {
        self.datagrams.len()
    }

    /// Sends them, evenly over some time.
    pub(super) fn send(&self, address: &str, port: u16, over: Duration) -> Result<(), String> {
        let pace = over / u32::try_from(self.datagrams.len().max(1)).unwrap_or(u32::MAX);
        let socket = UdpSocket::bind("0.0.0.0:0").map_err(|e| format!("no UDP socket: {e}"))?;
        for datagram in &self.datagrams {
            socket
                .send_to(datagram, (address, port))
                .map_err(|e| format!("cannot send to {address}: {e}"))?;
            thread::sleep(pace);
        }
        Ok(())
    }
}

// === impl Operator ===

impl Operator {
    /// Listens on an address of this machine.
    pub(super) fn start(address: &str) -> Result<Self, String> {
        let listen =
            || TcpListener::bind((address, 0)).map_err(|e| format!("cannot listen on {address}: {e}"));
        Ok(Self {
            reports: Receiver::on(listen()?).map_err(text)?,
            lines: LineReceiver::on(listen()?).map_err(text)?,
        })
    }

    /// The provisioning of a box that reports here.
    pub(super) fn provisioning(&self, player_id: &str, extended: bool) -> String {
        let lines = format!("<media_analytics host=\"{}\" player_id=\"{player_id}\"/>", self.lines.host());
        let options = DaemonOptions {
            network_period: 3,
            interfaces: "eth*".to_owned(),
            extended,
            elements: lines,
            ..DaemonOptions::media_only(self.reports.url())
        };
        options.to_xml()
    }

    /// The events of the lines that came after the first `seen`, playing lines left out, as their letters.
    pub(super) fn events(&self, seen: usize) -> Result<Vec<Event>, String> {
        let mut events = Vec::new();
        for line in self.lines.lines().map_err(text)?.iter().skip(seen) {
            events.extend(line.read().map_err(text)?.event().filter(|event| *event != Event::Playing));
        }
        Ok(events)
    }
}

pub(super) fn text(error: stbeacon_tests::Error) -> String {
    error.to_string()
}
