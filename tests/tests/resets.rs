//! What makes continuity start anew, and what does not, each in a real pipeline.
//!
//! HLS fragments and changes of rendition are in `streams`, and so is RTP, whose DISCONT flag is no reason at all.

use std::time::Duration;

use rstest::rstest;
use stbeacon_core::player::{SeekPhase, SessionEvent};
use stbeacon_tests::clips::{Clip, Recipe, VIDEO_PID, Video};
use stbeacon_tests::{Error, Player, PlayerSocket, Session, Way, ts};

/// Plays a pipeline to its end, with flushing seeks on the way: ms, one a second.
const SEEKER: &str = r#"
import sys, gi
gi.require_version("Gst", "1.0")
from gi.repository import Gst
Gst.init(None)
pipeline = Gst.parse_launch(sys.argv[1])
bus = pipeline.get_bus()
pipeline.set_state(Gst.State.PLAYING)
for target in sys.argv[2:]:
    if pipeline.get_state(10 * Gst.SECOND)[0] != Gst.StateChangeReturn.SUCCESS:
        sys.exit("does not play")
    if bus.timed_pop_filtered(600 * Gst.MSECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR):
        sys.exit("ended too soon")
    if not pipeline.seek_simple(Gst.Format.TIME, Gst.SeekFlags.FLUSH, int(target) * Gst.MSECOND):
        sys.exit("cannot seek")
message = bus.timed_pop_filtered(30 * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR)
pipeline.set_state(Gst.State.NULL)
sys.exit(0 if message and message.type == Gst.MessageType.EOS else "no end")
"#;

fn clip() -> Result<Clip, Error> {
    Recipe { kbits: 2000, noise: true, ..Recipe::ts(Video::H264, None, 200) }.make()
}

fn played(way: Way, pipeline: &str, seeks: &[&str]) -> Result<Session, Error> {
    let socket = PlayerSocket::listen()?;
    let args = std::iter::once(pipeline).chain(seeks.iter().copied());
    let player = Player::new(way)?.socket(socket.path()).python(SEEKER, args)?;
    player.wait(Duration::from_secs(60))?.success()?;
    let session = socket.only_session(Duration::from_secs(10))?;
    let done = session
        .events
        .iter()
        .filter(|event| matches!(event, SessionEvent::Seek(seek) if seek.phase == SeekPhase::End));
    assert_eq!(done.count(), seeks.len(), "{}", socket.log());
    Ok(session)
}

/// A flush where the demuxer is fed, and a jump of the offset where it pulls. Each way is gone three times, so that
/// counters that happen to fit are no explanation.
#[rstest]
#[case::flush("! queue ! tsdemux")]
#[case::pull("! tsdemux")]
fn a_seek_is_no_discontinuity(
    #[case] demux: &str,
    #[values(Way::Tracers, Way::Preload)] way: Way,
) -> Result<(), Error> {
    let clip = clip()?;
    let pipeline = format!(
        "filesrc location={} {demux} ! h264parse ! avdec_h264 ! fakesink sync=true",
        clip.path.display()
    );
    let session = played(way, &pipeline, &["5000", "1000", "6500"])?;
    let counters = session.counters;
    assert_eq!((counters.discontinuities, counters.lost_packets, counters.fragment_jumps), (0, 0, 0));
    Ok(())
}

/// One file after the other in one stream: a new segment begins, and counters with it. What is lost inside either file
/// is counted all the same.
#[rstest]
#[case::clean(&[], 0)]
#[case::damaged(&[50, 90], 4)]
fn a_new_segment_is_no_discontinuity(
    #[case] cut: &[usize],
    #[case] expected: u64,
    #[values(Way::Tracers, Way::Preload)] way: Way,
) -> Result<(), Error> {
    // A length at which the counter of the picture does not happen to come round.
    let content = ts::cut(&clip()?.content()?, VIDEO_PID, cut);
    let dir = tempfile::tempdir().map_err(|e| Error::io("no temporary directory", e))?;
    let path = dir.path().join("part.ts");
    std::fs::write(&path, &content).map_err(|e| Error::io("cannot write", e))?;
    let twice = [&content[..], &content[..]].concat();
    let at_the_seam = ts::continuity_errors(&twice) - expected;
    assert!(at_the_seam > 0, "the seam shows, to who does not start anew");
    let path = path.display();
    let pipeline = format!(
        "concat name=c ! tsdemux ! h264parse ! fakesink sync=false filesrc location={path} ! c. filesrc location={path} ! c."
    );
    let session = played(way, &pipeline, &[])?;
    assert_eq!(session.counters.discontinuities, expected);
    Ok(())
}
