//! Where an RTP stream arrives: sequence gaps, order, duplicates, jitter and the media delivery index.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use stbeacon_core::rtp::{Mdi, Packet, Place, Rate, Receiver, VIDEO_CLOCK};

use super::upstream::{MAX_HOPS, sink_of, source_of};
use crate::clock;
use crate::guard::guard;
use crate::tally::{Gauges, Tally};

/// So many packets go by before jitter, which is smoothed over 16, means anything.
const SETTLED: u64 = 32;

/// Counters of one stream, shared by its probe and the ticker.
#[derive(Debug, Default)]
pub(crate) struct Rtp {
    received: AtomicU64,
    missing: AtomicU64,
    recovered: AtomicU64,
    reordered: AtomicU64,
    duplicates: AtomicU64,
    gaps: AtomicU64,
    /// In µs, as all times here.
    jitter: AtomicU64,
    /// The greatest since somebody last asked, as the two below.
    jitter_max: AtomicU64,
    delay_factor: AtomicU64,
    media_loss: AtomicU64,
}

/// What the pad's probe alone knows.
#[derive(Debug, Default)]
struct Arrival {
    /// Another element looks at these packets before this one; found at the first packet.
    is_second: Option<bool>,
    clock: Option<u32>,
    stream: Option<Stream>,
}

#[derive(Debug)]
struct Stream {
    receiver: Receiver,
    mdi: Mdi,
    rate: Rate,
    /// What `mdi` reckons with.
    told: u64,
}

impl Rtp {
    pub(super) fn install(self: &Arc<Self>, element: &gst::Element) {
        let Some(pad) = element.static_pad("sink") else { return };
        let rtp = Arc::clone(self);
        // Taken by this pad's streaming thread alone, and so never waited for.
        let arrival = Mutex::new(Arrival::default());
        let mask =
            gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST | gst::PadProbeType::EVENT_DOWNSTREAM;
        pad.add_probe(mask, move |pad, info| {
            guard(gst::PadProbeReturn::Remove, || {
                let mut arrival = arrival.lock().unwrap_or_else(PoisonError::into_inner);
                match &info.data {
                    Some(gst::PadProbeData::Buffer(buffer)) => rtp.arrive(&mut arrival, pad, buffer),
                    Some(gst::PadProbeData::BufferList(list)) => {
                        list.iter().for_each(|buffer| rtp.arrive(&mut arrival, pad, buffer));
                    }
                    Some(gst::PadProbeData::Event(event)) => rtp.event(&mut arrival, event),
                    _ => {}
                }
                gst::PadProbeReturn::Ok
            })
        });
    }

    pub(super) fn tally(&self) -> Tally {
        let of = |total: &AtomicU64| total.load(Ordering::Relaxed);
        // In this order, so that what was found again is never more than what was missing.
        let rtp_recovered = of(&self.recovered);
        Tally {
            rtp_recovered,
            rtp_received: of(&self.received),
            rtp_missing: of(&self.missing),
            rtp_reordered: of(&self.reordered),
            rtp_duplicates: of(&self.duplicates),
            rtp_gaps: of(&self.gaps),
            ..Tally::default()
        }
    }

    /// What is no total: the worst since the last time that this was asked for.
    pub(crate) fn take_gauges(&self) -> Gauges {
        let take = |gauge: &AtomicU64| gauge.swap(0, Ordering::Relaxed);
        Gauges {
            jitter: self.jitter.load(Ordering::Relaxed),
            jitter_max: take(&self.jitter_max),
            delay_factor: take(&self.delay_factor),
            media_loss: take(&self.media_loss),
        }
    }

    /// As if so many packets had arrived.
    #[cfg(test)]
    pub(crate) fn pretend(&self, packets: u64, seen: Gauges) {
        self.received.fetch_add(packets, Ordering::Relaxed);
        self.jitter.store(seen.jitter, Ordering::Relaxed);
        self.jitter_max.fetch_max(seen.jitter_max, Ordering::Relaxed);
        self.delay_factor.fetch_max(seen.delay_factor, Ordering::Relaxed);
        self.media_loss.fetch_max(seen.media_loss, Ordering::Relaxed);
    }

    fn event(&self, arrival: &mut Arrival, event: &gst::EventRef) {
        match event.view() {
            gst::EventView::Caps(caps) => arrival.clock = clock_rate(caps.caps()),
            // It plays again, or another stream: what was not asked for in between is no loss.
            gst::EventView::StreamStart(_) => {
                *arrival = Arrival::default();
                self.jitter.store(0, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    fn arrive(&self, arrival: &mut Arrival, pad: &gst::Pad, buffer: &gst::BufferRef) {
        if *arrival.is_second.get_or_insert_with(|| is_below_another(pad)) || buffer.n_memory() == 0 {
            return;
        }
        // What a network hands over is one block; of several, the header is in the first.
        let Ok(bytes) = buffer.peek_memory(0).map_readable() else { return };
        let Ok(packet) = Packet::parse(&bytes) else { return };
        let header = packet.header;
        let now = clock::precise();
        let rate = arrival.clock.unwrap_or(if header.payload_type == stbeacon_core::rtp::MP2T {
            VIDEO_CLOCK
        } else {
            0
        });
        let stream = arrival.stream.get_or_insert_with(|| Stream::new(rate));
        let lost = stream.receiver.counts().lost;
        let place = stream.receiver.packet(now, &header);
        let add = |total: &AtomicU64, more: u64| {
            total.store(total.load(Ordering::Relaxed) + more, Ordering::Relaxed)
        };
        match place {
            Place::After(missing) => {
                add(&self.missing, missing);
                add(&self.gaps, 1);
                stream.mdi.lose(missing);
                stream.rate.miss(missing);
            }
            Place::Late => {
                add(&self.reordered, 1);
                // One that was never missed, since it is older than the first, is found by nobody.
                add(&self.recovered, lost.saturating_sub(stream.receiver.counts().lost));
                stream.mdi.lose(1);
            }
            Place::Again => add(&self.duplicates, 1),
            Place::First => stream.rate = Rate::default(),
            Place::Stray | Place::Next => {}
        }
        add(&self.received, 1);
        if let Some(jitter) = stream.receiver.jitter().map(micros) {
            self.jitter.store(jitter, Ordering::Relaxed);
            if stream.receiver.counts().received > SETTLED {
                self.jitter_max.fetch_max(jitter, Ordering::Relaxed);
            }
        }
        let media = buffer.size() - (bytes.len() - packet.payload.len());
        if matches!(place, Place::First | Place::Next | Place::After(_)) {
            stream.rate.feed(packet.payload);
        }
        if let Some(index) = stream.deliver(now, media) {
            self.delay_factor.fetch_max(micros(index.delay_factor), Ordering::Relaxed);
            self.media_loss.fetch_max(index.media_loss, Ordering::Relaxed);
        }
    }
}

impl Stream {
    fn new(clock: u32) -> Self {
        Self { receiver: Receiver::new(clock), mdi: Mdi::new(0), rate: Rate::default(), told: 0 }
    }

    fn deliver(&mut self, now: Duration, media: usize) -> Option<stbeacon_core::rtp::Index> {
        // A rate that varies a little is the same one: with each new one the interval begins anew.
        if let Some(rate) =
            self.rate.bits_per_second().filter(|rate| rate.abs_diff(self.told) > self.told / 10)
        {
            self.told = rate;
            self.mdi.set_rate(rate);
        }
        self.mdi.packet(now, media)
    }
}

/// Whether a jitter buffer comes first, which has put the packets in order.
fn is_below_another(pad: &gst::Pad) -> bool {
    let mut sink = pad.clone();
    for _ in 0..MAX_HOPS {
        let Some(source) = source_of(&sink) else { return false };
        let Some(element) = source.parent_element() else { return false };
        if super::role_of(&element) == Some(super::Role::Rtp) {
            return true;
        }
        let Some(next) = sink_of(&source) else { return false };
        sink = next;
    }
    false
}

/// Ticks a second of the stream's timestamps.
fn clock_rate(caps: &gst::CapsRef) -> Option<u32> {
    let rate = caps.structure(0)?.get::<i32>("clock-rate").ok()?;
    u32::try_from(rate).ok().filter(|rate| *rate > 0)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
