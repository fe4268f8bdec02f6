//! The clips themselves: what the harness says is in them is what a decoder without our tracer finds in them.

use std::time::Duration;

use rstest::rstest;
use stbeacon_tests::clips::{Audio, Container, Recipe, Video};
use stbeacon_tests::{Error, Player, Way, ts};

/// Buffers that reach the sink of a pipeline, as `identity` and not our own code counts them.
fn decoded(location: &str, demuxer: &str, decoder: &str) -> Result<u64, Error> {
    let pipeline = format!(
        "-v filesrc location={location} ! {demuxer} ! {decoder} ! identity silent=false name=tap ! fakesink"
    );
    let finished =
        Player::new(Way::Unwatched)?.gst_launch(&pipeline)?.wait(Duration::from_secs(60))?.success()?;
    let chains = finished.stdout.lines().filter(|line| line.contains("last-message = chain")).count();
    Ok(chains as u64)
}

#[rstest]
#[case::h264(Video::H264, "h264parse ! avdec_h264")]
#[case::mpeg2(Video::Mpeg2, "mpegvideoparse ! avdec_mpeg2video")]
fn pictures_are_what_was_asked_for(#[case] video: Video, #[case] decoder: &str) -> Result<(), Error> {
    let clip = Recipe::ts(video, None, 75).make()?;
    assert_eq!(clip.video_frames, 75);
    assert_eq!(decoded(&clip.path.to_string_lossy(), "tsdemux", decoder)?, 75);
    assert_eq!(ts::continuity_errors(&clip.content()?), 0);
    Ok(())
}

#[rstest]
#[case::aac(Audio::Aac, "aacparse ! avdec_aac")]
#[case::mp2(Audio::Mp2, "mpegaudioparse ! mpg123audiodec")]
#[case::ac3(Audio::Ac3, "ac3parse ! a52dec")]
#[case::mp3(Audio::Mp3, "mpegaudioparse ! mpg123audiodec")]
fn sound_is_counted_as_a_decoder_counts_it(#[case] audio: Audio, #[case] decoder: &str) -> Result<(), Error> {
    let clip = Recipe::ts(None, audio, 75).make()?;
    let [frames] = clip.audio_frames[..] else { panic!("one track, not {:?}", clip.audio_frames) };
    assert_eq!(decoded(&clip.path.to_string_lossy(), "tsdemux", decoder)?, frames);
    Ok(())
}

#[rstest]
#[case::mp4(Container::Mp4, "qtdemux")]
#[case::mkv(Container::Mkv, "matroskademux")]
fn other_containers_hold_the_same(#[case] container: Container, #[case] demuxer: &str) -> Result<(), Error> {
    let clip = Recipe::ts(Video::H264, Audio::Aac, 75).in_container(container).make()?;
    let found = decoded(&clip.path.to_string_lossy(), demuxer, "h264parse ! avdec_h264")?;
    assert_eq!(found, clip.video_frames);
    Ok(())
}

#[test]
fn fragments_hold_the_whole_clip() -> Result<(), Error> {
    let playlist = Recipe::ts(Video::H264, Audio::Aac, 75).make_hls()?;
    let text = std::fs::read_to_string(&playlist).map_err(|e| Error::io("playlist", e))?;
    let files = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut whole = [0, 0];
    for file in files {
        let fragment = std::fs::read(playlist.with_file_name(file)).map_err(|e| Error::io(file, e))?;
        assert_eq!(ts::continuity_errors(&fragment), 0, "{file}");
        for (sum, stream) in whole.iter_mut().zip(ts::streams(&fragment)) {
            *sum += ts::frames(&fragment, stream);
        }
    }
    let clip = Recipe::ts(Video::H264, Audio::Aac, 75).make()?;
    assert_eq!(whole, [clip.video_frames, clip.audio_frames[0]]);
    Ok(())
}
