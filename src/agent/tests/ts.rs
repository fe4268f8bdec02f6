//! `stbeacon ts`: files, standard input, datagrams.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::process::{Child, Output, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rstest::rstest;
use serde_json::Value;
use stbeacon_core::ts::PACKET;
use stbeacon_core::ts::testing::{Muxer, count_file, judge_file, mux, pat_section, pmt_section};

use crate::common::{stbeacon, stderr, stdout, until};

const VIDEO: u16 = 0x100;

/// 5 s of a stream with tables, a clock and PES packets, 1 ms a packet.
fn stream() -> Vec<u8> {
    let mut muxer = Muxer::new();
    let packets: Vec<_> = (0..5_000_u64)
        .map(|n| match n % 50 {
            0 => muxer.next(0).section(&pat_section(0, &[(1, 0x20)])),
            1 => muxer.next(0x20).section(&pmt_section(1, VIDEO, &[(0x1b, VIDEO), (0x0f, 0x101)])),
            2 => muxer.next(VIDEO).clock(n * 27_000),
            3 => muxer.next(VIDEO).pes(n * 90),
            4 => muxer.next(0x101).pes(n * 90),
            _ => muxer.next(VIDEO),
        })
        .collect();
    mux(&packets, PACKET)
}

/// Without packets, from one on.
fn without(stream: &[u8], from: usize, count: usize) -> Vec<u8> {
    [&stream[..from * PACKET], &stream[(from + count) * PACKET..]].concat()
}

fn analyse(bytes: &[u8], args: &[&str]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.ts");
    fs::write(&path, bytes).unwrap();
    stbeacon(&["ts"]).args(args).arg(&path).output().unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&stdout(output))
        .unwrap_or_else(|e| panic!("{e}: {}{}", stdout(output), stderr(output)))
}

#[test]
fn a_clean_file() {
    let output = analyse(&stream(), &[]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for part in ["5000 packets of 188 bytes", "1.504 Mbit/s", "programme 1: H.264, PCR", "TR 101 290: none"] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    assert_eq!(stderr(&output), "", "progress is for terminals");
}

#[test]
fn a_damaged_file() {
    let damaged = without(&without(&stream(), 1_000, 1), 2_000, 200);
    let output = analyse(&damaged, &["--json"]);
    assert_eq!(output.status.code(), Some(3));
    let (found, expected) = (json(&output), judge_file(&damaged));
    assert_eq!(found["errors"], expected.sum());
    assert!(expected.sum() > 3);
    for (key, value) in serde_json::to_value(expected).unwrap().as_object().unwrap() {
        assert_eq!(&found["indicators"][key], value, "{key}");
    }
    assert_eq!(found["lost_packets"], count_file(&damaged).lost_packets());
    let pids = found["pids"].as_array().unwrap();
    let video = pids.iter().find(|pid| pid["pid"] == VIDEO).unwrap();
    assert_eq!((&video["stream_type"], &video["pcr"]), (&0x1b.into(), &true.into()));
    let text = stdout(&analyse(&damaged, &[]));
    assert!(text.contains("1.4   Continuity_count_error"), "{text}");
}

#[test]
fn part_of_a_file() {
    let found = json(&analyse(&stream().repeat(40), &["--json", "--duration", "3"]));
    assert!(found["duration_ms"].as_u64().unwrap() >= 3_000);
    assert!(found["packets"].as_u64().unwrap() < 100_000, "{}", found["packets"]);
}

#[test]
fn standard_input() {
    let mut child =
        stbeacon(&["ts", "--json", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stream().chunks(997).for_each(|piece| stdin.write_all(piece).unwrap());
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), json(&output)["packets"].as_u64()), (Some(0), Some(5_000)));
}

#[rstest]
#[case::no_stream(&[0; 5_000], "no transport packets in it")]
#[case::empty(&[], "no transport packets in it")]
fn what_is_no_stream(#[case] bytes: &[u8], #[case] part: &str) {
    let output = analyse(bytes, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(part), "{}", stderr(&output));
}

#[rstest]
#[case::no_file(&["/no/such.ts"], 1, "/no/such.ts: No such file")]
#[case::nothing(&[], 2, "which stream?")]
#[case::scheme(&["http://h/a.ts"], 2, "http:// is not read")]
#[case::duration(&["--duration", "soon", "-"], 2, "no number of seconds")]
#[case::no_interface(&["--interface", "nosuch0", "udp://@239.1.1.1:5000"], 1, "no interface nosuch0")]
#[case::not_ours(&["udp://192.0.2.77:5000"], 1, "udp://192.0.2.77:5000: Cannot assign")]
fn what_cannot_be_had(#[case] args: &[&str], #[case] code: i32, #[case] part: &str) {
    let output = stbeacon(&["ts"]).args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(code));
    assert!(stderr(&output).contains(part), "{}", stderr(&output));
}

/// Somebody who listens until all has been sent.
struct Listener {
    child: Child,
    port: u16,
}

impl Listener {
    fn start(scheme: &str, group: Ipv4Addr, args: &[&str]) -> Self {
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let source = format!("{scheme}://@{group}:{port}");
        let child =
            stbeacon(&["ts", "--json"]).args(args).arg(&source).stdout(Stdio::piped()).spawn().unwrap();
        until("the port to be bound", || {
            fs::read_to_string("/proc/net/udp").unwrap().contains(&format!(":{port:04X} ")).then_some(())
        });
        Self { child, port }
    }

    fn send(&self, to: Ipv4Addr, datagrams: impl IntoIterator<Item = Vec<u8>>) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for datagram in datagrams {
            socket.send_to(&datagram, SocketAddrV4::new(to, self.port)).unwrap();
            // The pace of the stream: 7 ms each.
            thread::sleep(Duration::from_millis(7));
        }
    }

    fn stop(self) -> (Option<i32>, Value) {
        // What was sent over loopback is in the socket's buffer already.
        thread::sleep(Duration::from_millis(300));
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
        let output = self.child.wait_with_output().unwrap();
        (output.status.code(), json(&output))
    }
}

#[rstest]
#[case::one_host(Ipv4Addr::LOCALHOST, &[])]
#[case::multicast(Ipv4Addr::new(239, 255, 77, 1), &["--interface", "lo"])]
fn datagrams(#[case] to: Ipv4Addr, #[case] args: &[&str]) {
    let stream = stream();
    let datagrams: Vec<_> = stream[..3_500 * PACKET].chunks(7 * PACKET).map(<[u8]>::to_vec).collect();
    let sent: Vec<_> = datagrams.into_iter().enumerate().filter(|(n, _)| *n != 100 && *n != 300).collect();
    let whole: Vec<u8> = sent.iter().flat_map(|(_, datagram)| datagram.clone()).collect();
    let listener = Listener::start("udp", to, args);
    listener.send(to, sent.into_iter().map(|(_, datagram)| datagram));
    let (code, found) = listener.stop();
    let expected = count_file(&whole);
    assert_eq!((&found["datagrams"], &found["overflows"]), (&498.into(), &0.into()));
    assert_eq!(found["packets"], expected.packets);
    assert_eq!(found["indicators"]["continuity_count_error"], expected.discontinuities());
    assert_eq!((code, &found["rtp"]), (Some(3), &Value::Null));
    let mdi = &found["mdi"];
    assert!(mdi["seconds"].as_u64() >= Some(2) && mdi["worst_media_loss_rate"].as_u64() >= Some(6), "{mdi}");
    let delay = mdi["delay_factor_ms"].as_f64().unwrap();
    assert!((5.0..1_000.0).contains(&delay), "{mdi}: at least the 7 ms of one datagram, about");
}

#[test]
fn datagrams_of_rtp() {
    let stream = stream();
    let packet = |(n, payload): (usize, &[u8])| {
        let sequence = u16::try_from(n).unwrap().wrapping_add(65_400);
        let timestamp = u32::try_from(n * 630).unwrap();
        let head =
            [&[0x80, 33][..], &sequence.to_be_bytes(), &timestamp.to_be_bytes(), &[1, 2, 3, 4]].concat();
        [&head[..], payload].concat()
    };
    let mut packets: Vec<_> = stream[..700 * PACKET].chunks(7 * PACKET).enumerate().map(packet).collect();
    // Two are missing, one comes twice, two come in the wrong order; and one is something else.
    packets.swap(70, 71);
    packets.insert(50, packets[49].clone());
    packets.drain(20..22);
    packets.insert(10, b"hello".to_vec());
    let listener = Listener::start("rtp", Ipv4Addr::LOCALHOST, &[]);
    listener.send(Ipv4Addr::LOCALHOST, packets);
    let (code, found) = listener.stop();
    let rtp = &found["rtp"];
    assert_eq!((code, &rtp["packets"], &rtp["lost"]), (Some(3), &99.into(), &2.into()), "{rtp}");
    assert_eq!((&rtp["gaps"], &rtp["reordered"]), (&2.into(), &1.into()));
    assert_eq!((&rtp["duplicates"], &rtp["foreign"]), (&1.into(), &1.into()));
    assert_eq!(found["packets"], 98 * 7);
    assert!(rtp["jitter_ms"].as_f64().unwrap() < 50.0, "{rtp}");
}

#[test]
fn nothing_arrives() {
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let source = format!("udp://127.0.0.1:{port}");
    let output = stbeacon(&["ts", "--duration", "0.3", &source]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("nothing has arrived"), "{}", stderr(&output));
}
