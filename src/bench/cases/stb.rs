//! The STB statistics report.

use std::hint::black_box;
use std::net::Ipv4Addr;

use stbeacon_core::stb::{
    FrameCounts, InterfaceStat, Measured, Media, MediaReport, Network, Report, Span, encode_batch,
    encode_batch_into,
};
use stbeacon_core::time::{Millis, WallAnchor};

use super::Case;
use super::line::as_f64;

/// A batch of one media report and one network report.
pub(crate) fn encode() -> Case {
    let anchor = WallAnchor { at: Millis(0), unix_ms: 1_700_000_000_000 };
    let network = Network {
        name: "eth0".into(),
        speed: 1000,
        ip: Some(Ipv4Addr::new(192, 0, 2, 7)),
        netmask: Some(Ipv4Addr::new(255, 255, 255, 0)),
        gateway: Some(Ipv4Addr::new(192, 0, 2, 1)),
        stat: InterfaceStat {
            received_bytes: 123_456_789_012,
            received_total_packets: 98_765_432,
            received_multicast_packets: 12_345,
            sent_bytes: 9_876_543_210,
            sent_total_packets: 8_765_432,
            ..InterfaceStat::default()
        },
        ..Network::default()
    };
    let media = Media {
        url: "https://cdn-a.example:8443/vod/film/master.m3u8".into(),
        avg_bitrate: 4_123_456,
        discontinuities: 3,
        id: "channel-17".into(),
        proto: "hls".into(),
        video: FrameCounts { frames_decoded: 7_500, frames_dropped: 2, frames_failed: 1 },
        audio: FrameCounts { frames_decoded: 14_063, ..FrameCounts::default() },
        ..Media::default()
    };
    let span = Span::new(1_700_000_000, 1_700_000_300).expect("it ends after it begins");
    let media = MediaReport { timestamp: span.end(), span, media };
    let reports = [Report::Media(media), Measured::Network { at: Millis(5_000), network }.stamp(&anchor)];
    let body = encode_batch(&reports);
    let value: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    Case {
        what: "a body of one media and one network report, into a buffer that is kept".into(),
        unit: "body",
        units: 1,
        bytes: as_f64(body.len()),
        work: Box::new(move || {
            ours.clear();
            encode_batch_into(&mut ours, black_box(&reports));
            black_box(&ours);
        }),
        peer: "serde_json of the same body as a serde_json::Value, into a buffer that is kept",
        peer_work: Box::new(move || {
            theirs.clear();
            black_box(serde_json::to_writer(&mut theirs, black_box(&value)).is_ok());
        }),
    }
}
