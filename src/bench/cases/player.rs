//! Datagrams of the player protocol.

use std::hint::black_box;

use stbeacon_core::player::Message;

use super::Case;
use super::line::as_f64;

/// The message that comes twice a second while anything plays.
const COUNTERS: &str = r#"{"v":1,"type":"counters","at":81420,"session":"412-1","video":{"decoded":7500,"dropped":2,"failed":1,"corrupted":0,"lost":0},"audio":{"decoded":14063,"dropped":0,"failed":0,"corrupted":0,"lost":0},"bytes":156250000,"discontinuities":3,"lost_packets":5,"fragment_jumps":0,"ts":"seen","position":300040,"duration":3600000,"buffer":4900,"fps":24.96}"#;

/// A datagram of counters, read.
pub(crate) fn decode() -> Case {
    Case {
        what: "a datagram of counters, read".into(),
        unit: "datagram",
        units: 1,
        bytes: as_f64(COUNTERS.len()),
        work: Box::new(|| _ = black_box(Message::decode(black_box(COUNTERS.as_bytes())))),
        peer: "serde_json::Value of the same datagram",
        peer_work: Box::new(|| {
            black_box(serde_json::from_slice::<serde_json::Value>(black_box(COUNTERS.as_bytes())).ok());
        }),
    }
}
