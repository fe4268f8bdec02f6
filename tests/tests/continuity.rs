//! Packets cut out of a stream, and units damaged inside it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rstest::rstest;
use stbeacon_tests::clips::{Audio, Clip, Recipe, VIDEO_PID, Video};
use stbeacon_tests::{DaemonOptions, Error, Player, Stb, Way, ts};
use tempfile::TempDir;

/// A stream written out for one test.
fn written(content: &[u8]) -> Result<(TempDir, PathBuf), Error> {
    let dir = tempfile::tempdir().map_err(|e| Error::io("no temporary directory", e))?;
    let path = dir.path().join("cut.ts");
    std::fs::write(&path, content).map_err(|e| Error::io("cannot write", e))?;
    Ok((dir, path))
}

/// Every n-th of a PID's packets, away from both ends.
fn every(n: usize, ts: &[u8], pid: u16) -> Vec<usize> {
    (n..ts::payload_packets(ts, pid).saturating_sub(2)).step_by(n).collect()
}

fn pipeline(path: &Path) -> String {
    format!(
        "filesrc location={} ! tsdemux name=d d. ! queue ! h264parse ! avdec_h264 ! fakesink \
         d. ! queue ! aacparse ! avdec_aac ! fakesink",
        path.display()
    )
}

#[derive(Debug, Clone, Copy)]
enum Cut {
    ThreeOfVideo,
    OneOfAudio,
    Both,
    Bursts,
    Many,
}

impl Cut {
    /// The stream without them, and how many errors that makes by construction.
    fn of(self, clip: &Clip) -> Result<(Vec<u8>, u64), Error> {
        let whole = clip.content()?;
        let audio = VIDEO_PID + 1;
        Ok(match self {
            Self::ThreeOfVideo => (ts::cut(&whole, VIDEO_PID, &[100, 200, 300]), 3),
            Self::OneOfAudio => (ts::cut(&whole, audio, &[50]), 1),
            Self::Both => (ts::cut(&ts::cut(&whole, VIDEO_PID, &[77, 177]), audio, &[60, 61, 80]), 4),
            // A burst is one error, however long (but for 16, which nobody can see).
            Self::Bursts => {
                let burst: Vec<usize> = (100..107).chain(200..217).collect();
                (ts::cut(&whole, VIDEO_PID, &burst), 2)
            }
            Self::Many => {
                let which = every(9, &whole, VIDEO_PID);
                (ts::cut(&whole, VIDEO_PID, &which), which.len() as u64)
            }
        })
    }
}

#[rstest]
fn cut_packets_are_counted_as_the_oracle_counts(
    #[values(Way::Tracers, Way::Preload)] way: Way,
    #[values(Cut::ThreeOfVideo, Cut::OneOfAudio, Cut::Both, Cut::Bursts, Cut::Many)] cut: Cut,
    #[values(true, false)] playbin: bool,
) -> Result<(), Error> {
    let clip = Recipe::ts(Video::H264, Audio::Aac, 75).make()?;
    let (content, errors) = cut.of(&clip)?;
    assert_eq!(ts::continuity_errors(&content), errors, "the oracle itself");
    let (_dir, path) = written(&content)?;
    let stb = Stb::start()?;
    let sinks = "video-sink=fakesink audio-sink=fakesink";
    let words =
        if playbin { format!("playbin uri=file://{} {sinks}", path.display()) } else { pipeline(&path) };
    let run = stb.watch(stb.player(way)?.gst_launch(&words)?)?;
    assert_eq!(run.media.discontinuties, errors);
    Ok(())
}

/// What the decoder makes of damage, as it flags its own output; told by `identity`, without our tracer.
fn damaged_frames(path: &Path) -> Result<(u64, u64), Error> {
    let printed = Player::new(Way::Unwatched)?
        .gst_launch(&format!(
            "-v filesrc location={} ! tsdemux ! h264parse ! avdec_h264 ! identity silent=false ! fakesink",
            path.display()
        ))?
        .wait(Duration::from_secs(60))?
        .success()?
        .stdout;
    let chains = || printed.lines().filter(|line| line.contains("last-message = chain"));
    let corrupted = chains().filter(|line| line.contains("corrupted")).count();
    Ok((chains().count() as u64, corrupted as u64))
}

/// Damage that costs no packet: no discontinuity, but frames that fail.
#[rstest]
fn damaged_units_fail_and_are_no_discontinuities(
    #[values(Way::Tracers, Way::Preload)] way: Way,
) -> Result<(), Error> {
    let clip = Recipe::ts(Video::H264, Audio::Aac, 75).make()?;
    let whole = clip.content()?;
    let content = ts::damage(&whole, VIDEO_PID, &every(20, &whole, VIDEO_PID));
    let (_dir, path) = written(&content)?;
    let (out, corrupted) = damaged_frames(&path)?;
    assert!(corrupted > 0, "the damage does nothing");
    let stb = Stb::start()?;
    let run = stb.watch(stb.player(way)?.gst_launch(&pipeline(&path))?)?;
    assert_eq!(run.media.discontinuties, 0);
    assert_eq!(run.media.video.frames_decoded, out);
    // Every unit is still there: what did not come out has failed.
    assert_eq!(run.media.video.frames_failed, clip.video_frames - out + corrupted);
    assert_eq!(run.media.video.frames_dropped, 0);
    Ok(())
}

/// Whole frames that are cut out never reach the decoder: neither dropped nor failed, but lost.
#[rstest]
fn frames_cut_out_are_lost_and_not_failed(
    #[values(Way::Tracers, Way::Preload)] way: Way,
) -> Result<(), Error> {
    let mut recipe = Recipe::ts(Video::Mpeg2, None, 75);
    recipe.kbits = 601;
    let clip = recipe.make()?;
    let whole = clip.content()?;
    let units: Vec<Vec<usize>> = units(&whole, VIDEO_PID);
    // Pictures that no other refers to come in groups: take whole groups from one key frame to the next.
    let (first, after) = (units.len() / 3, 2 * units.len() / 3);
    let gone: Vec<usize> = units[first..after].concat();
    let content = ts::cut(&whole, VIDEO_PID, &gone);
    let (_dir, path) = written(&content)?;
    let left = Clip::read(path.clone())?.video_frames;
    assert!(left < clip.video_frames);
    let stb = Stb::start_with(|options| DaemonOptions { extended: true, ..options })?;
    let run = stb.watch(stb.player(way)?.gst_launch(&format!(
        "filesrc location={} ! tsdemux ! mpegvideoparse ! avdec_mpeg2video ! fakesink",
        path.display()
    ))?)?;
    let qoe = run.media.qoe.clone().ok_or_else(|| Error::new("no extension"))?;
    let lost = qoe.pointer("/frames_lost/video").and_then(serde_json::Value::as_u64);
    assert_eq!(
        run.media.video.frames_decoded + lost.unwrap_or(0) + run.media.video.frames_failed,
        clip.video_frames,
        "decoded, lost and failed make up the whole: {:?}, {qoe}",
        run.media.video
    );
    assert!(lost >= Some(clip.video_frames - left), "{lost:?} lost of {}", clip.video_frames - left);
    Ok(())
}

/// The payload packets of each PES packet of a PID.
fn units(ts: &[u8], pid: u16) -> Vec<Vec<usize>> {
    let mut units: Vec<Vec<usize>> = Vec::new();
    let packets = ts::packets(ts).filter(|p| p.pid() == pid && !p.payload().is_empty());
    for (number, packet) in packets.enumerate() {
        if packet.starts_unit() {
            units.push(Vec::new());
        }
        if let Some(unit) = units.last_mut() {
            unit.push(number);
        }
    }
    units
}
