//! RTP over UDP in a network namespace, with packets that are really dropped, swapped and doubled on the way.

use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

use rstest::rstest;
use stbeacon_tests::clips::{Audio, Recipe, Video};
use stbeacon_tests::{DaemonOptions, Error, Netns, Process, Stb, Way, wait};

use crate::streams::rtp;

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
    let sent = netns.inside(|| {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let start = Instant::now();
        for (number, packet) in packets.iter().enumerate() {
            // A pace is what this stands for; nothing waits on it.
            let due = PACE * u32::try_from(number).unwrap_or(u32::MAX);
            thread::sleep(due.saturating_sub(start.elapsed()));
            socket.send_to(packet, ("127.0.0.1", PORT))?;
        }
        Ok::<_, std::io::Error>(())
    })?;
    sent.map_err(|e| Error::io("cannot send", e))?;
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
