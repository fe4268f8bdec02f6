//! Packets that the kernel really drops on their way: the player's report, and `stbeacon ts`, against a capture of what
//! arrived.

use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use rstest::rstest;
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use stbeacon_tests::clips::{Audio, Recipe, Video};
use stbeacon_tests::{Artifacts, Error, Netns, Process, Stb, Way, skipped, ts, wait};

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 77, 1, 1);
const PORT: u16 = 5_000;
const OWN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const SENDER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// Transport packets in one datagram.
const PER_DATAGRAM: usize = 7;
/// Of so many datagrams one is dropped: neither a divisor nor a multiple of what repeats in the stream.
const EVERY: usize = 13;

const LIMIT: Duration = Duration::from_secs(30);

fn io(what: &str) -> impl Fn(std::io::Error) -> Error {
    let what = what.to_owned();
    move |error| Error::io(what.clone(), error)
}

/// A sender's and a box's namespace with a cable between them, on which every 13th datagram is lost.
fn lossy() -> Result<Option<(Netns, Netns)>, Error> {
    let (Some(sender), Some(own)) = (Netns::make()?, Netns::make()?) else { return Ok(None) };
    own.ip(&format!("link add eth0 type veth peer name peer0 netns {}", sender.name()))?;
    for (netns, address, interface) in [(&own, OWN, "eth0"), (&sender, SENDER, "peer0")] {
        netns.ip(&format!("addr add {address}/24 dev {interface}"))?;
        netns.ip(&format!("link set {interface} up"))?;
        netns.ip(&format!("route add 239.0.0.0/8 dev {interface}"))?;
    }
    let rule =
        format!("-A OUTPUT -p udp --dport {PORT} -m statistic --mode nth --every {EVERY} --packet 0 -j DROP");
    let set = Process::start(sender.command("iptables").args(rule.split(' ')))?.wait(LIMIT)?;
    if !set.status.success() {
        skipped("packets dropped by the kernel", set.stderr.trim());
        return Ok(None);
    }
    Ok(Some((sender, own)))
}

/// A third listener, which keeps everything.
fn capture() -> Result<UdpSocket, Error> {
    let make = || {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_recv_buffer_size(4 << 20)?;
        socket.bind(&std::net::SocketAddrV4::new(GROUP, PORT).into())?;
        socket.join_multicast_v4(&GROUP, &OWN)?;
        socket.set_read_timeout(Some(Duration::from_secs(3)))?;
        Ok(UdpSocket::from(socket))
    };
    make().map_err(io("no capture"))
}

/// How many sockets of the namespace are bound to the group.
fn listeners(own: &Netns) -> Result<usize, Error> {
    let table =
        own.inside(|| std::fs::read_to_string("/proc/thread-self/net/udp"))?.map_err(io("net/udp"))?;
    Ok(table.matches(&format!(":{PORT:04X} 00000000:0000")).count())
}

fn send(sender: &Netns, datagrams: &[&[u8]]) -> Result<(), Error> {
    let send = || {
        let socket = UdpSocket::bind((SENDER, 0))?;
        for datagram in datagrams {
            // What is dropped on the way out is told to the sender.
            if let Err(error) = socket.send_to(datagram, (GROUP, PORT)) {
                if error.kind() != std::io::ErrorKind::PermissionDenied {
                    return Err(error);
                }
            }
            // A pace is what this stands for; nothing waits on it.
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    };
    sender.inside(send)?.map_err(io("cannot send"))
}

#[rstest]
fn what_the_kernel_drops_is_counted(#[values(Way::Tracers, Way::Preload)] way: Way) -> Result<(), Error> {
    let Some((sender, own)) = lossy()? else { return Ok(()) };
    let content = Recipe::ts(Video::H264, Audio::Aac, 75).make()?.content()?;
    let mut datagrams: Vec<_> = content.chunks_exact(ts::PACKET * PER_DATAGRAM).collect();
    // Whichever of them the kernel begins with, it drops so many.
    datagrams.truncate(datagrams.len() / EVERY * EVERY);
    let dropped = datagrams.len() / EVERY;
    assert!(dropped > 3);

    let captured = own.inside(capture)??;
    let stb = Stb::start()?;
    let player = stb.player(way)?.netns(own.name()).gst_launch(&format!(
        "udpsrc address={GROUP} port={PORT} multicast-iface=eth0 num-buffers={} buffer-size=4000000 \
         caps=video/mpegts,systemstream=true,packetsize=188 ! tsdemux name=d \
         d. ! queue ! h264parse ! avdec_h264 ! fakesink sync=false \
         d. ! queue ! aacparse ! avdec_aac ! fakesink sync=false",
        datagrams.len() - dropped
    ))?;
    let mut command: Command = own.command(Artifacts::find()?.daemon()?);
    command.args(["ts", "--json", "--interface", "eth0", &format!("udp://@{GROUP}:{PORT}")]);
    let analyser = Process::start(&mut command)?;
    let all = || listeners(&own).ok().filter(|count| *count >= 3).map(drop);
    wait::until("all three to listen", LIMIT, all).map_err(|e| player.error(&e.to_string()))?;

    let (arrived, run) = thread::scope(|scope| {
        let arrived = scope.spawn(|| {
            let (mut arrived, mut buffer) = (Vec::new(), [0; 2048]);
            while let Ok(length) = captured.recv(&mut buffer) {
                arrived.extend_from_slice(&buffer[..length]);
            }
            arrived
        });
        send(&sender, &datagrams)?;
        let run = stb.watch(player)?;
        let arrived = arrived.join().map_err(|_| Error::new("the capture panicked"))?;
        Ok::<_, Error>((arrived, run))
    })?;
    assert_eq!(arrived.len() / (ts::PACKET * PER_DATAGRAM), datagrams.len() - dropped);
    let expected = ts::continuity_errors(&arrived);
    assert!(expected > 0);

    assert_eq!(run.media.discontinuties, expected, "the player's report");
    analyser.signal(Signal::SIGINT)?;
    let finished = analyser.wait(LIMIT)?;
    let found: Value = serde_json::from_str(&finished.stdout).map_err(|e| finished.error(&e.to_string()))?;
    assert_eq!((finished.code(), &found["overflows"]), (3, &0.into()), "{found}");
    assert_eq!(found["indicators"]["continuity_count_error"], expected, "stbeacon ts");
    assert_eq!(found["packets"], arrived.len() / ts::PACKET);
    Ok(())
}
