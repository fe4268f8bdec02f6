//! Streams that come over a network: UDP, RTP, HLS.

use std::fs;
use std::net::UdpSocket;
use std::thread;
use std::time::Duration;

use rstest::rstest;
use stbeacon_tests::clips::{Audio, Clip, Recipe, Video, make_adaptive};
use stbeacon_tests::report::Frames;
use stbeacon_tests::{DaemonOptions, Error, FileServer, Process, Stb, Way, ts, wait};

/// Transport packets in one datagram, as everybody sends them.
const PER_DATAGRAM: usize = 7;

/// A port that nobody uses right now.
pub(crate) fn free_port() -> Result<u16, Error> {
    let socket = UdpSocket::bind("127.0.0.1:0").map_err(|e| Error::io("no UDP port", e))?;
    Ok(socket.local_addr().map_err(|e| Error::io("no address", e))?.port())
}

/// Waits until somebody is bound to the port (proc(5), net/udp).
pub(crate) fn wait_bound(port: u16, player: &Process) -> Result<(), Error> {
    let bound = || {
        let table = fs::read_to_string("/proc/net/udp").unwrap_or_default();
        table.contains(&format!(":{port:04X} ")).then_some(())
    };
    wait::until("the player to bind its port", Duration::from_secs(10), bound)
        .map_err(|e| player.error(&e.to_string()))
}

/// Sends the datagrams, slowly enough for the receive buffer.
fn send(port: u16, datagrams: &[Vec<u8>]) -> Result<(), Error> {
    let socket = UdpSocket::bind("127.0.0.1:0").map_err(|e| Error::io("no UDP socket", e))?;
    for datagram in datagrams {
        socket.send_to(datagram, ("127.0.0.1", port)).map_err(|e| Error::io("cannot send", e))?;
        // A pace is what this stands for; nothing waits on it.
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// RTP packets of MP2T, RFC 3550 and RFC 2250: from a sequence number on, and so many ticks of 90 kHz apart.
pub(crate) fn rtp(content: &[u8], first: u16, ticks: u32) -> Vec<Vec<u8>> {
    let packet = |(number, payload): (usize, &[u8])| {
        let sequence = (number as u16).wrapping_add(first);
        let timestamp = number as u32 * ticks;
        let mut packet = vec![0x80, 33];
        packet.extend(sequence.to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend(0x5eed_u32.to_be_bytes());
        packet.extend_from_slice(payload);
        packet
    };
    content.chunks(ts::PACKET * PER_DATAGRAM).enumerate().map(packet).collect()
}

const DECODE: &str = "tsdemux name=d d. ! queue ! h264parse ! avdec_h264 ! fakesink sync=false \
                      d. ! queue ! aacparse ! avdec_aac ! fakesink sync=false";

fn clip() -> Result<Clip, Error> {
    Recipe::ts(Video::H264, Audio::Aac, 75).make()
}

#[rstest]
fn udp_is_counted_whole(#[values(Way::Tracers, Way::Preload)] way: Way) -> Result<(), Error> {
    let clip = clip()?;
    let port = free_port()?;
    let content = clip.content()?;
    let datagrams: Vec<_> = content.chunks(ts::PACKET * PER_DATAGRAM).map(<[u8]>::to_vec).collect();
    let stb = Stb::start()?;
    let player = stb.player(way)?.gst_launch(&format!(
        "udpsrc uri=udp://127.0.0.1:{port} num-buffers={} caps=video/mpegts,systemstream=true,packetsize=188 ! {DECODE}",
        datagrams.len()
    ))?;
    wait_bound(port, &player)?;
    send(port, &datagrams)?;
    let run = stb.watch(player)?;
    assert_eq!(run.media.video, Frames::clean(clip.video_frames));
    assert_eq!(run.media.audio, Frames::clean(clip.audio_frames[0]));
    assert_eq!(run.media.discontinuties, 0);
    assert_eq!(run.media.url, format!("udp://127.0.0.1:{port}"));
    Ok(())
}

#[rstest]
#[case::whole(&[])]
#[case::three_lost(&[40, 41, 90])]
fn rtp_loss_is_counted_in_transport_packets(
    #[case] lost: &[usize],
    #[values(Way::Tracers, Way::Preload)] way: Way,
) -> Result<(), Error> {
    let clip = clip()?;
    let port = free_port()?;
    let content = clip.content()?;
    let keep = |number: &usize| !lost.contains(number);
    let arrived: Vec<u8> = content
        .chunks(ts::PACKET * PER_DATAGRAM)
        .enumerate()
        .filter(|(number, _)| keep(number))
        .flat_map(|(_, chunk)| chunk.iter().copied())
        .collect();
    let packets: Vec<_> = rtp(&content, 65_500, 180)
        .into_iter()
        .enumerate()
        .filter(|(n, _)| keep(n))
        .map(|(_, packet)| packet)
        .collect();
    let errors = ts::continuity_errors(&arrived);
    assert_eq!(errors == 0, lost.is_empty());
    let stb = Stb::start()?;
    let caps = "application/x-rtp,media=video,clock-rate=90000,encoding-name=MP2T,payload=33";
    let player = stb.player(way)?.gst_launch(&format!(
        "udpsrc port={port} address=127.0.0.1 num-buffers={} caps={caps} ! rtpjitterbuffer latency=100 \
         ! rtpmp2tdepay ! {DECODE}",
        packets.len()
    ))?;
    wait_bound(port, &player)?;
    send(port, &packets)?;
    let run = stb.watch(player)?;
    assert_eq!(run.media.discontinuties, errors);
    if lost.is_empty() {
        assert_eq!(run.media.video, Frames::clean(clip.video_frames));
        assert_eq!(run.media.audio, Frames::clean(clip.audio_frames[0]));
    }
    Ok(())
}

/// `playbin` uses the old HLS demuxer, `playbin3` the new one.
#[rstest]
fn hls_is_counted_whole(
    #[values(Way::Tracers, Way::Preload)] way: Way,
    #[values("playbin", "playbin3", "gst-play-1.0")] with: &str,
) -> Result<(), Error> {
    let clip = clip()?;
    let playlist = Recipe::ts(Video::H264, Audio::Aac, 75).make_hls()?;
    let root = playlist.parent().ok_or_else(|| Error::new("no directory"))?;
    let server = FileServer::start(root)?;
    let url = server.url("play.m3u8");
    let stb = Stb::start()?;
    let player = stb.player(way)?;
    let run = stb.watch(match with {
        "gst-play-1.0" => player.gst_play([url.as_str()])?,
        bin => player.gst_launch(&format!("{bin} uri={url} video-sink=fakesink audio-sink=fakesink"))?,
    })?;
    assert_eq!(run.media.video, Frames::clean(clip.video_frames));
    assert_eq!(run.media.audio, Frames::clean(clip.audio_frames[0]));
    assert_eq!(run.media.discontinuties, 0, "counters that start anew in a fragment are no loss");
    assert_eq!(run.media.url, url);
    Ok(())
}

/// Packets cut out in the middle of fragments are counted, whatever the fragments' own counters do.
#[rstest]
fn hls_loss_is_counted(
    #[values(Way::Tracers, Way::Preload)] way: Way,
    #[values("playbin", "playbin3")] with: &str,
) -> Result<(), Error> {
    let playlist = Recipe::ts(Video::H264, Audio::Aac, 75).make_hls()?;
    let from = playlist.parent().ok_or_else(|| Error::new("no directory"))?;
    let dir = tempfile::tempdir().map_err(|e| Error::io("no directory", e))?;
    let mut errors = 0;
    for entry in fs::read_dir(from).map_err(|e| Error::io("no fragments", e))? {
        let path = entry.map_err(|e| Error::io("no fragment", e))?.path();
        let mut content = fs::read(&path).map_err(|e| Error::io("no fragment", e))?;
        if path.extension().is_some_and(|e| e == "ts") {
            content = ts::cut(&content, 256, &[30, 60]);
            errors += ts::continuity_errors(&content);
        }
        let name = path.file_name().ok_or_else(|| Error::new("no name"))?;
        fs::write(dir.path().join(name), content).map_err(|e| Error::io("cannot write", e))?;
    }
    assert_eq!(errors, 6);
    let server = FileServer::start(dir.path())?;
    let stb = Stb::start()?;
    let url = server.url("play.m3u8");
    let run = stb.watch(
        stb.player(way)?.gst_launch(&format!("{with} uri={url} video-sink=fakesink audio-sink=fakesink"))?,
    )?;
    assert_eq!(run.media.discontinuties, errors);
    Ok(())
}

/// A network that becomes fast in mid-play makes the player take a larger rendition.
///
/// With playbin3 `gst-play-1.0` 1.22 stays paused behind its first buffering in 1 of 150 starts on a busy machine, both sinks
/// waiting for it to go on: in turns 13 of 2125 without the plug-in, 17 of 2125 with it.
#[rstest]
fn a_switch_of_rendition_is_seen(
    #[values(Way::Tracers, Way::Preload)] way: Way,
    #[values("playbin", "playbin3")] with: &str,
) -> Result<(), Error> {
    let dir = tempfile::tempdir().map_err(|e| Error::io("no directory", e))?;
    // Longer than a player buffers ahead: some of it must be left to be fetched after the change.
    let recipe = Recipe { noise: true, ..Recipe::ts(Video::H264, Audio::Aac, 300) };
    make_adaptive(dir.path(), &recipe)?;
    let server = FileServer::start(dir.path())?;
    let stb = Stb::start_with(|options| DaemonOptions { extended: true, ..options })?;
    let url = server.url("master.m3u8");
    // Enough for the smallest rendition alone.
    server.set_rate(60_000);
    let sinks = ["--videosink=fakesink sync=true", "--audiosink=fakesink sync=true", "--no-interactive"];
    let playbin3 = (with == "playbin3").then_some("--use-playbin3");
    let args = sinks.into_iter().chain(playbin3).chain([url.as_str()]);
    let player = stb.player(way)?.start("gst-play-1.0", args)?;
    wait::until("playback to be on its way", Duration::from_secs(30), || {
        player.stdout().contains("0:00:01").then_some(())
    })
    .map_err(|e| player.error(&e.to_string()))?;
    server.set_rate(0);
    let run = stb.watch(player)?;
    let qoe = run.media.qoe.clone().ok_or_else(|| Error::new("no extension"))?;
    let switches: u64 = ["switches_up", "switches_down"]
        .iter()
        .filter_map(|key| qoe.get(key))
        .filter_map(serde_json::Value::as_u64)
        .sum();
    assert!(switches >= 1, "no switch was seen: {qoe}");
    assert_eq!(run.media.discontinuties, 0, "a switch is no loss");
    assert_eq!(run.media.video.frames_failed, 0);
    Ok(())
}
