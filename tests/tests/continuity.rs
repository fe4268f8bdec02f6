//! Packets cut out of a stream, and units damaged inside it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rstest::rstest;
use stbeacon_tests::clips::{Audio, Clip, Recipe, VIDEO_PID, Video};
use stbeacon_tests::report::Frames;
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
            Self::ThreeOfVideo => (ts::cut(&whole, VIDEO_PID, &[100, 150, 250]), 3),
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

/// The cheap indicators of TR 101 290 besides continuity: what a header alone says.
#[rstest]
fn flagged_scrambled_and_misplaced_packets_are_in_the_extension(
    #[values(Way::Tracers, Way::Preload)] way: Way,
) -> Result<(), Error> {
    let mut content = Recipe::ts(Video::H264, Audio::Aac, 75).make()?.content()?;
    let audio = |(_, packet): &(usize, ts::Packet<'_>)| packet.pid() == VIDEO_PID + 1;
    let places: Vec<_> =
        ts::packets(&content).enumerate().filter(audio).map(|(at, _)| at * ts::PACKET).collect();
    for (at, byte, bits) in [(10, 1, 0x80), (20, 1, 0x80), (30, 1, 0x80), (40, 3, 0x80), (41, 3, 0xc0)] {
        content[places[at] + byte] |= bits;
    }
    // One by itself is a wrong sync byte; two in a row are a loss of sync too.
    for at in [places[50], places[60], places[70], places[70] + ts::PACKET] {
        content[at] = 0;
    }
    let (_dir, path) = written(&content)?;
    let stb = Stb::start_with(|options| DaemonOptions { extended: true, ..options })?;
    let run = stb.watch(stb.player(way)?.gst_launch(&pipeline(&path))?)?;
    let qoe = run.media.qoe.ok_or_else(|| Error::new("no extension"))?;
    let told = ["transport_errors", "scrambled_packets", "sync_byte_errors", "sync_losses"]
        .map(|name| qoe[name].as_u64());
    assert_eq!(told, [3, 2, 4, 1].map(Some), "{qoe}");
    Ok(())
}

/// Presentation time and length of each frame that comes out of a decoder, in ns, and how many units went in; told
/// by `identity`, without our tracer.
fn decoded(path: &Path, decoder: &str) -> Result<(u64, Vec<(u64, u64)>), Error> {
    let printed = Player::new(Way::Unwatched)?
        .gst_launch(&format!(
            "-v filesrc location={} ! tsdemux ! {parser} ! identity name=fed silent=false ! {decoder} \
             ! identity name=came silent=false ! fakesink",
            path.display(),
            parser = if decoder.contains("264") { "h264parse" } else { "mpegvideoparse" },
        ))?
        .wait(Duration::from_secs(60))?
        .success()?
        .stdout;
    let chains = || printed.lines().filter(|line| line.contains("last-message = chain"));
    let fed = chains().filter(|line| line.contains("(fed:sink)")).count();
    let came = chains().filter(|line| line.contains("(came:sink)"));
    let time = |line: &str, key: &str| {
        let text = line.split_once(key)?.1.split(',').next()?.trim();
        let mut parts = text.split(':');
        let (hours, minutes): (u64, u64) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let (seconds, nanos) = parts.next()?.split_once('.')?;
        let seconds = (hours * 60 + minutes) * 60 + seconds.parse::<u64>().ok()?;
        Some(seconds * 1_000_000_000 + nanos.parse::<u64>().ok()?)
    };
    let times: Option<Vec<_>> =
        came.map(|line| Some((time(line, " pts: ")?, time(line, " duration: ")?))).collect();
    Ok((fed as u64, times.ok_or_else(|| Error::new(format!("identity tells no times: {printed}")))?))
}

/// Damage that costs no packet: no discontinuity, but frames that fail.
#[rstest]
fn damaged_units_fail_and_are_no_discontinuities(
    #[values(Way::Tracers, Way::Preload)] way: Way,
) -> Result<(), Error> {
    let clip = Recipe::ts(Video::H264, Audio::Aac, 75).make()?;
    let content = ts::damage_pictures(&clip.content()?, VIDEO_PID, &[10, 20, 40]);
    let (_dir, path) = written(&content)?;
    let (fed, came) = decoded(&path, "avdec_h264")?;
    assert_eq!((fed, came.len()), (75, 72), "the damage itself");
    let stb = Stb::start()?;
    let run = stb.watch(stb.player(way)?.gst_launch(&pipeline(&path))?)?;
    assert_eq!(run.media.discontinuties, 0);
    let expected = Frames { frames_decoded: 72, frames_dropped: 0, frames_failed: 3 };
    assert_eq!(run.media.video, expected);
    assert_eq!(run.media.audio, Frames::clean(clip.audio_frames[0]));
    Ok(())
}

/// Whole pictures that are cut out never reach the decoder: neither dropped nor failed, but lost.
#[rstest]
#[case::mpeg2(Video::Mpeg2, "avdec_mpeg2video")]
#[case::h264(Video::H264, "avdec_h264")]
fn frames_cut_out_are_lost_and_not_failed(
    #[case] video: Video,
    #[case] decoder: &str,
    #[values(Way::Tracers, Way::Preload)] way: Way,
) -> Result<(), Error> {
    let clip = Recipe::ts(video, None, 75).make()?;
    let whole = clip.content()?;
    let units: Vec<Vec<usize>> = units(&whole, VIDEO_PID);
    // The PCR is in these packets too: if it were gone for half a second, tsdemux would bridge the time.
    let (_dir, path) = written(&ts::cut(&whole, VIDEO_PID, &units[30..40].concat()))?;
    let (fed, came) = decoded(&path, decoder)?;
    assert_eq!(fed, came.len() as u64, "what is left is sound");
    // Slots of presentation time that no frame fills.
    let slot = |pair: &[(u64, u64)]| match pair {
        [(a, length), (b, _)] => (b - a + length / 2) / length - 1,
        _ => 0,
    };
    let empty: u64 = came.windows(2).map(slot).sum();
    assert!(empty.abs_diff(10) <= 1, "{empty} of 10");
    let stb = Stb::start_with(|options| DaemonOptions { extended: true, ..options })?;
    let run = stb.watch(stb.player(way)?.gst_launch(&format!(
        "filesrc location={} ! tsdemux ! {} ! {decoder} ! fakesink",
        path.display(),
        if decoder.contains("264") { "h264parse" } else { "mpegvideoparse" },
    ))?)?;
    let qoe = run.media.qoe.clone().ok_or_else(|| Error::new("no extension"))?;
    assert_eq!(run.media.video, Frames::clean(fed));
    assert_eq!(qoe.pointer("/frames_lost/video"), Some(&empty.into()), "{qoe}");
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
