//! RTP over UDP in a network namespace, with packets that are really dropped, swapped and doubled on the way.

use std::net::UdpSocket;
use std::time::{Duration, Instant};
use std::{io, thread};

use rstest::rstest;
use stbeacon_tests::clips::{Audio, Recipe, Video};
use stbeacon_tests::{DaemonOptions, Error, Netns, Process, Stb, Way, wait};

use crate::streams::{self, free_port, rtp};

const PORT: u16 = 5004;

/// A pace that a receive buffer of any size keeps up with.
const PACE: Duration = Duration::from_millis(4);

/// How many datagrams the kernel's rule has dropped so far.
fn dropped(netns: &Netns) -> Result<u64, Error> {
    let mut list = netns.command("iptables");
    list.args(["-L", "INPUT", "-v", "-x", "-n"]);
    let list = Process::start(&mut list)?.wait(Duration::from_secs(10))?.success()?;
    let rule = list.stdout.lines().find(|line| line.contains("DROP"));
    let number = rule.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| list.error("no rule that drops"))
}

fn wait_bound(netns: &Netns, player: &Process) -> Result<(), Error> {
    let bound = || {
        let table = netns.inside(|| std::fs::read_to_string("/proc/thread-self/net/udp")).ok()?.ok()?;
        table.contains(&format!(":{PORT:04X} ")).then_some(())
    };
    wait::until("the player to bind its port", Duration::from_secs(10), bound)
        .map_err(|e| player.error(&e.to_string()))
}

/// Sends the packets, each when it is due.
fn send(packets: &[Vec<u8>], port: u16) -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let start = Instant::now();
    for (packet, number) in packets.iter().zip(0_u32..) {
        // A pace is what this stands for; nothing waits on it.
        thread::sleep((PACE * number).saturating_sub(start.elapsed()));
        socket.send_to(packet, ("127.0.0.1", port))?;
    }
    Ok(())
}

#[rstest]
fn what_happens_on_the_way_is_told(
    #[values(Way::Tracers, Way::Preload)] way: Way,
    #[values("rtpjitterbuffer latency=100 ! rtpmp2tdepay", "rtpmp2tdepay")] receiver: &str,
) -> Result<(), Error> {
    let Some(netns) = Netns::make()? else { return Ok(()) };
    let mut drop = netns.command("iptables");
    drop.args(["-A", "INPUT", "-p", "udp", "--dport", &PORT.to_string()]);
    drop.args(["-m", "statistic", "--mode", "nth", "--every", "40", "--packet", "20", "-j", "DROP"]);
    Process::start(&mut drop)?.wait(Duration::from_secs(10))?.success()?;

    let recipe = Recipe { kbits: 1500, noise: true, ..Recipe::ts(Video::H264, Audio::Aac, 150) };
    let clip = recipe.make()?;
    let mut packets = rtp(&clip.content()?, 65_400, 90 * PACE.as_millis() as u32);
    let sent_once = packets.len();
    // None of these is one that the rule takes, nor beside one, and none is the last.
    packets.swap(110, 111);
    packets.swap(250, 251);
    packets.insert(302, packets[301].clone());

    let stb = Stb::start_with(|options| DaemonOptions { extended: true, ..options })?;
    let caps = "application/x-rtp,media=video,clock-rate=90000,encoding-name=MP2T,payload=33";
    let player = stb.player(way)?.netns(netns.name()).gst_launch(&format!(
        "udpsrc port={PORT} address=127.0.0.1 buffer-size=2000000 caps={caps} ! {receiver} \
         ! tsdemux name=d d. ! queue ! h264parse ! avdec_h264 ! fakesink sync=false \
         d. ! queue ! aacparse ! avdec_aac ! fakesink sync=false"
    ))?;
    wait_bound(&netns, &player)?;
    netns.inside(|| send(&packets, PORT))?.map_err(|e| Error::io("cannot send", e))?;
    let lost = dropped(&netns)?;
    assert!(lost > 10, "{lost} dropped");

    // What a user sees while it plays.
    let mut last = String::new();
    let told = wait::until("the status to tell of it", Duration::from_secs(20), || {
        last = stb.daemon.command(&["status"]).ok()?.stdout;
        last.contains(&format!("{lost} lost in {} gaps", lost + 2)).then(|| last.clone())
    });
    let status = told.map_err(|e| player.error(&format!("{e}: {lost} were dropped; {last}")))?;
    assert!(status.contains("2 out of order, 1 twice"), "{status}");

    player.signal(nix::sys::signal::Signal::SIGINT)?;
    let run = stb.watch_failing(player)?;
    let qoe = run.media.qoe.clone().ok_or_else(|| Error::new("no extension"))?;
    let told = &qoe["rtp"];
    let number = |name: &str| told[name].as_u64().unwrap_or_default();
    let arrived = packets.len() as u64 - lost;
    assert_eq!(arrived, sent_once as u64 + 1 - lost);
    let counts = ["packets", "lost", "gaps", "reordered", "duplicates"].map(number);
    assert_eq!(counts, [arrived, lost, lost + 2, 2, 1], "{told}");
    // Loopback has next to no jitter, and the sender sleeps as exactly as a busy machine lets it.
    assert!((1..100_000).contains(&number("jitter_max_us")), "{told}");
    // At 1.5 Mbit/s and 2.6 Mbit/s on the way, a second brings more than it takes, and not much more than that.
    assert!((1_000..5_000_000).contains(&number("mdi_delay_factor_us")), "{told}");
    assert!((1..=20).contains(&number("mdi_media_loss")), "{told}");
    assert!(run.media.discontinuties > 0);
    Ok(())
}

/// What was worst under one daemon is in its report, and in none of the next one's.
#[rstest]
fn the_worst_of_a_session_stays_with_it() -> Result<(), Error> {
    let recipe = Recipe { kbits: 1500, noise: true, ..Recipe::ts(Video::H264, Audio::Aac, 150) };
    let mut packets = rtp(&recipe.make()?.content()?, 65_400, 90 * PACE.as_millis() as u32);
    // Every other one is ten seconds early, or the clock that stamps it is wrong.
    for packet in packets[40..120].iter_mut().step_by(2) {
        let stamp: &mut [u8; 4] = (&mut packet[4..8]).try_into().map_err(|_| Error::new("no RTP packet"))?;
        *stamp = u32::from_be_bytes(*stamp).wrapping_add(900_000).to_be_bytes();
    }
    let later = packets.split_off(500);
    let mut number = 0;
    packets.retain(|_| {
        number += 1;
        !(100..=200).contains(&number) || number % 10 != 0
    });
    let port = free_port()?;
    let stb = Stb::start_with(|options| DaemonOptions { extended: true, ..options })?;
    let player = stb.player(Way::Tracers)?.gst_launch(&format!(
        "udpsrc port={port} address=127.0.0.1 buffer-size=2000000 \
         caps=application/x-rtp,media=video,clock-rate=90000,encoding-name=MP2T,payload=33 \
         ! rtpmp2tdepay ! tsdemux ! h264parse ! avdec_h264 ! fakesink sync=false"
    ))?;
    streams::wait_bound(port, &player)?;
    send(&packets, port).map_err(|e| Error::io("cannot send", e))?;
    let Stb { receiver, daemon } = stb;
    let all = format!("{} packets, 11 lost", packets.len());
    wait::until("the daemon to have read of them all", Duration::from_secs(20), || {
        daemon.command(&["status"]).ok()?.stdout.contains(&all).then_some(())
    })
    .map_err(|e| player.error(&e.to_string()))?;
    let daemon = daemon.restart()?;
    send(&later, port).map_err(|e| Error::io("cannot send", e))?;
    player.signal(nix::sys::signal::Signal::SIGINT)?;
    let media = receiver
        .wait_for_media(2, Duration::from_secs(20))
        .map_err(|e| e.with_log("daemon", &daemon.log()))?;
    let worst = |index: usize| {
        let rtp = media[index].qoe.as_ref().map(|qoe| qoe["rtp"].clone()).unwrap_or_default();
        ["jitter_max_us", "mdi_media_loss", "lost"].map(|name| rtp[name].as_u64())
    };
    let ([Some(jitter), _, Some(lost)], [Some(jitter_after), losses_after, lost_after]) =
        (worst(0), worst(1))
    else {
        return Err(Error::new(format!("no RTP in {media:#?}")));
    };
    assert!(jitter > 1_000_000 && lost == 11, "{media:#?}");
    // The pause between the two counts for a sixteenth of it.
    assert!(jitter_after < jitter / 4, "{jitter_after} µs after {jitter}");
    assert_eq!((losses_after, lost_after), (Some(0), Some(0)), "{media:#?}");
    Ok(())
}
