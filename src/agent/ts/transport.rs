//! What the network did to a stream.

use std::time::Duration;

use serde::Serialize;
use stbeacon_core::rtp::{Counts, Index, MP2T, Mdi, Packet, Place, Receiver, VIDEO_CLOCK};
use stbeacon_core::ts::Monitor;

/// Follows the datagrams.
#[derive(Debug)]
pub(super) struct Transport {
    datagrams: u64,
    rtp: Option<Rtp>,
    mdi: Mdi,
    has_rate: bool,
    /// What was lost, as far as the index has been told.
    lost: u64,
    index: Summary,
}

#[derive(Debug)]
struct Rtp {
    receiver: Receiver,
    /// Datagrams that are no RTP, or another payload than a transport stream.
    foreign: u64,
}

/// Of the media delivery indices of all seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Summary {
    /// Seconds that have one.
    seconds: u64,
    /// In ms: the last, and the worst.
    delay_factor_ms: f64,
    worst_delay_factor_ms: f64,
    /// Packets a second: the last, and the worst.
    media_loss_rate: u64,
    worst_media_loss_rate: u64,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Network {
    pub(super) datagrams: u64,
    /// Dropped on this host, for they were not read in time: none of the network's losses.
    pub(super) overflows: u64,
    pub(super) rtp: Option<RtpReport>,
    /// `None` while the stream's rate is not known.
    pub(super) mdi: Option<Summary>,
}

/// What sequence numbers and timestamps tell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct RtpReport {
    pub(super) packets: u64,
    pub(super) lost: u64,
    pub(super) gaps: u64,
    pub(super) reordered: u64,
    pub(super) duplicates: u64,
    pub(super) restarts: u64,
    pub(super) stray: u64,
    /// Datagrams that are no RTP with a transport stream in it.
    pub(super) foreign: u64,
    pub(super) jitter_ms: Option<f64>,
}

/// The rate is taken for known when so much of the stream has gone by.
const SETTLED: Duration = Duration::from_secs(1);

// === impl Transport ===

impl Transport {
    pub(super) fn new(is_rtp: bool) -> Self {
        Self {
            datagrams: 0,
            rtp: is_rtp.then(|| Rtp { receiver: Receiver::new(VIDEO_CLOCK), foreign: 0 }),
            mdi: Mdi::new(0),
            has_rate: false,
            lost: 0,
            index: Summary::default(),
        }
    }

    /// Takes a datagram, gives what it carries to `monitor`.
    pub(super) fn datagram(&mut self, at: Duration, bytes: &[u8], monitor: &mut Monitor) {
        self.datagrams += 1;
        let mut media = bytes;
        let lost = match &mut self.rtp {
            None => {
                monitor.feed(media);
                monitor.counts().lost_packets
            }
            Some(rtp) => {
                let Some(packet) =
                    Packet::parse(bytes).ok().filter(|packet| packet.header.payload_type == MP2T)
                else {
                    rtp.foreign += 1;
                    return;
                };
                let place = rtp.receiver.packet(at, &packet.header);
                if matches!(place, Place::Again | Place::Stray) {
                    return;
                }
                media = packet.payload;
                monitor.feed(media);
                let Counts { lost, reordered, .. } = *rtp.receiver.counts();
                lost + reordered
            }
        };
        if !self.has_rate && monitor.duration() >= SETTLED {
            self.has_rate = true;
            self.mdi.set_rate(monitor.bitrate().unwrap_or_default());
        }
        if self.has_rate {
            // One that came late is not lost any more, but had been told.
            self.mdi.lose(lost.saturating_sub(self.lost));
            if let Some(index) = self.mdi.packet(at, media.len()) {
                self.index.take(index);
            }
        }
        self.lost = self.lost.max(lost);
    }

    /// Why no transport packets were found.
    pub(super) fn why_nothing(&self) -> &'static str {
        match &self.rtp {
            _ if self.datagrams == 0 => {
                "nothing has arrived; does the firewall let it in, is it sent to this address?"
            }
            Some(rtp) if rtp.foreign == self.datagrams => {
                "what arrives is no RTP with a transport stream in it; try udp://"
            }
            Some(_) => "no transport packets in it",
            None => "no transport packets in it; is it RTP? Then rtp:// reads it",
        }
    }

    pub(super) fn report(&self, overflows: u64) -> Network {
        let rtp = self.rtp.as_ref().map(|rtp| {
            let counts = rtp.receiver.counts();
            RtpReport {
                packets: counts.received,
                lost: counts.lost,
                gaps: counts.gaps,
                reordered: counts.reordered,
                duplicates: counts.duplicates,
                restarts: counts.restarts,
                stray: counts.stray,
                foreign: rtp.foreign,
                jitter_ms: rtp.receiver.jitter().map(|jitter| jitter.as_secs_f64() * 1e3),
            }
        });
        let mdi = Some(self.index).filter(|index| index.seconds > 0);
        Network { datagrams: self.datagrams, overflows, rtp, mdi }
    }
}

// === impl Summary ===

impl Summary {
    fn take(&mut self, index: Index) {
        self.seconds += 1;
        self.delay_factor_ms = index.delay_factor.as_secs_f64() * 1e3;
        self.worst_delay_factor_ms = self.worst_delay_factor_ms.max(self.delay_factor_ms);
        self.media_loss_rate = index.media_loss;
        self.worst_media_loss_rate = self.worst_media_loss_rate.max(self.media_loss_rate);
    }

    /// The worst, as RFC 4445 writes it.
    pub(super) fn worst(&self) -> String {
        format!("{:.1}:{}", self.worst_delay_factor_ms, self.worst_media_loss_rate)
    }
}
