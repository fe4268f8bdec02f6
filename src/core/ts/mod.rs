//! Transport streams (Rec. ITU-T H.222.0 | ISO/IEC 13818-1): finding the packets, counting what is missing.
//!
//! [`Analyser`] takes bytes as they come, cut anywhere, and counts. It is made for the streaming thread of
//! somebody else's player: constant time per packet, no copy of the stream, no allocation but at the first packet
//! of a PID.
//!
//! Packets of 188 bytes are found at a stride of 188, 192 (4 bytes of time code before each) or 204 (16 bytes of
//! parity behind each). Sync is had after 5 sync bytes in a row at that stride, and lost after 2 wrong ones (ETSI
//! TR 101 290, indicators 1.1 and 1.2). Packets seen while sync is being found are counted once it is.
//!
//! Continuity is strict (H.222.0 §2.4.3.3, TR 101 290 indicator 1.4), for each PID:
//!
//! 1. A packet flagged `transport_error_indicator` is counted as such, and otherwise used like any other.
//! 2. Null packets are skipped; a packet whose `adaptation_field_control` is '00' is discarded.
//! 3. The first packet is learnt from.
//! 4. A packet with `discontinuity_indicator` is learnt from.
//! 5. A packet without payload has the counter of the one before; any other is an error.
//! 6. A packet with payload has the next counter. The same counter is legal once, in a packet that follows its
//!    original on that PID and equals it but for the PCR field.
//! 7. Anything else is one error, however much is missing. The estimate of what is missing is the counter's
//!    difference − 1, modulo 16, and never made for an equal counter. A loss of exactly 16 packets is invisible.

mod continuity;
mod framing;
mod monitor;
mod pcr;
mod section;
mod tables;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod timer;

use self::continuity::Continuity;
use self::framing::{Framer, Take};

pub use self::monitor::{Clock, Indicators, Monitor, PidReport, Role};
pub use self::tables::{Medium, StreamKind};

/// Bytes of a transport packet.
pub const PACKET: usize = 188;

/// The PID of null packets.
pub const NULL_PID: u16 = 0x1fff;

/// How many PIDs there are.
const PIDS: usize = 1 << 13;

/// How an [`Analyser`] judges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Policy {
    /// Many HLS packagers start the counters anew in each fragment. If set, a jump at the first packet that a
    /// PID has after [`Analyser::segment_start`] is counted as such, and not as a discontinuity; if not,
    /// fragments are no different from the rest of the stream.
    pub segment_reset: bool,
}

/// What was counted; only ever grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets with a right sync byte, null packets included.
    pub packets: u64,
    /// Of those: null packets.
    pub null_packets: u64,
    /// Continuity errors, one for each gap.
    pub discontinuities: u64,
    /// Estimate of the packets lost in those.
    pub lost_packets: u64,
    /// Jumps at the first packet of a PID in a fragment; never in `discontinuities` too.
    pub fragment_jumps: u64,
    /// Legal duplicates.
    pub duplicates: u64,
    /// Packets flagged as erroneous by whoever received them (indicator 2.1).
    pub transport_errors: u64,
    /// Packets whose payload is scrambled.
    pub scrambled: u64,
    /// How often sync was had and lost (indicator 1.1).
    pub sync_losses: u64,
    /// Packets whose sync byte was wrong while in sync (indicator 1.2).
    pub sync_byte_errors: u64,
}

/// Counts what goes by in a transport stream.
#[derive(Debug)]
pub struct Analyser {
    policy: Policy,
    framer: Framer,
    continuity: Continuity,
    counts: Counts,
}

impl Analyser {
    /// Knows nothing of the stream yet.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self { policy, framer: Framer::new(), continuity: Continuity::new(), counts: Counts::default() }
    }

    /// Takes the next bytes of the stream, however many.
    pub fn feed(&mut self, bytes: &[u8]) {
        // How it is cut makes no difference; places in it are kept as 32 bits.
        const MOST: usize = 1 << 30;
        let Self { framer, continuity, counts, .. } = self;
        for bytes in bytes.chunks(MOST) {
            framer.feed(bytes, Counting { continuity: &mut *continuity, counts: &mut *counts, bytes });
            continuity.keep(bytes);
        }
        counts.packets = framer.packets();
        counts.sync_losses = framer.losses();
        counts.sync_byte_errors = framer.byte_errors();
    }

    /// What comes next does not follow what came: a seek, a flush, another stream. Learns all anew; what was
    /// counted stays.
    pub fn reset(&mut self) {
        self.framer.reset();
        self.continuity.forget();
    }

    /// What comes next is a new fragment; see [`Policy::segment_reset`]. A fragment begins with a whole packet.
    pub fn segment_start(&mut self) {
        if self.policy.segment_reset {
            self.framer.reset();
            self.continuity.fragment();
        }
    }

    /// What was counted so far.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Whether packets are being found.
    #[must_use]
    pub const fn in_sync(&self) -> bool {
        self.framer.in_sync()
    }
}

/// Takes the packets of `bytes`.
struct Counting<'a> {
    continuity: &'a mut Continuity,
    counts: &'a mut Counts,
    bytes: &'a [u8],
}

impl Take for Counting<'_> {
    #[inline(always)]
    fn take(&mut self, packet: &[u8; PACKET], at: Option<u32>) {
        self.continuity.packet(packet, at, self.bytes, self.counts);
    }
}

impl Default for Analyser {
    fn default() -> Self {
        Self::new(Policy::default())
    }
}

#[cfg(test)]
mod tests;
