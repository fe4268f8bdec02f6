//! From bytes to packets.

use super::PACKET;

/// First byte of every packet.
pub(super) const SYNC: u8 = 0x47;

/// From one sync byte to the next: plain packets, with time code, with parity.
pub(super) const STRIDES: [usize; 3] = [188, 192, 204];

/// How many sync bytes in a row make sync.
pub(super) const GOOD: usize = 5;

/// So many packets are looked at together.
const BATCH: usize = 32;

/// More than is ever needed to tell whether a byte is the first of [`GOOD`] sync bytes.
const WINDOW: usize = 2048;

/// Finds packets in bytes that come in pieces. What it finds does not depend on how they are cut.
#[derive(Debug)]
pub(super) struct Framer {
    /// From one sync byte to the next, while in sync.
    stride: Option<usize>,
    /// In sync: the begun packet, less than [`PACKET`] bytes. Else: the bytes among which sync may begin.
    pending: Vec<u8>,
    /// In its place while its bytes are being looked at.
    spare: Vec<u8>,
    /// In sync: bytes to leave out before the next packet.
    skip: usize,
    /// The last packet, if its sync byte was wrong, with the skipped bytes behind it: should sync be lost, the
    /// search for it begins there. Else empty.
    bad: Vec<u8>,
    /// With a right sync byte.
    packets: u64,
    losses: u64,
    byte_errors: u64,
}

/// Who takes packets. A trait and no closure, so that it can be part of the loop even where all is built to be small.
pub(super) trait Take {
    /// A packet, and where in the bytes at hand it begins if it lies there whole.
    fn take(&mut self, packet: &[u8; PACKET], at: Option<u32>);
}

/// Takes packets that do not lie in the bytes at hand.
struct Elsewhere<'a, T>(&'a mut T);

impl<T: Take> Take for Elsewhere<'_, T> {
    fn take(&mut self, packet: &[u8; PACKET], _: Option<u32>) {
        self.0.take(packet, None);
    }
}

/// What is known of a byte that could begin a packet.
enum Candidate {
    InSync(usize),
    Undecided,
    No,
}

impl Framer {
    pub(super) fn new() -> Self {
        Self {
            stride: None,
            pending: Vec::with_capacity(WINDOW),
            spare: Vec::with_capacity(WINDOW),
            skip: 0,
            bad: Vec::with_capacity(WINDOW),
            packets: 0,
            losses: 0,
            byte_errors: 0,
        }
    }

    pub(super) const fn in_sync(&self) -> bool {
        self.stride.is_some()
    }

    pub(super) const fn stride(&self) -> Option<usize> {
        self.stride
    }

    pub(super) const fn packets(&self) -> u64 {
        self.packets
    }

    pub(super) const fn losses(&self) -> u64 {
        self.losses
    }

    pub(super) const fn byte_errors(&self) -> u64 {
        self.byte_errors
    }

    /// Starts looking for sync anew. Not a loss of sync.
    pub(super) fn reset(&mut self) {
        self.stride = None;
        self.pending.clear();
        self.bad.clear();
        self.skip = 0;
    }

    /// Gives each packet that is complete with these bytes to `take`, and where in `bytes` it begins if it lies
    /// there whole.
    pub(super) fn feed(&mut self, bytes: &[u8], mut take: impl Take) {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            at += match self.stride {
                None => self.search(rest, &mut take),
                Some(stride) => self.follow(stride, rest, at, &mut take),
            };
        }
    }

    /// In sync: takes the next piece of `rest`, and says how long it was.
    fn follow(&mut self, stride: usize, rest: &[u8], at: usize, take: &mut impl Take) -> usize {
        if self.skip > 0 {
            let skipped = self.skip.min(rest.len());
            if !self.bad.is_empty() {
                self.bad.extend_from_slice(first(rest, skipped));
            }
            self.skip -= skipped;
            return skipped;
        }
        if self.pending.is_empty() {
            if self.bad.is_empty() {
                let passed = self.run(stride, rest, at, take);
                if passed > 0 {
                    return passed;
                }
            }
            if let Some(packet) = rest.first_chunk() {
                self.packet(stride, packet, u32::try_from(at).ok(), take);
                return PACKET;
            }
        }
        let taken = (PACKET - self.pending.len()).min(rest.len());
        self.pending.extend_from_slice(first(rest, taken));
        if let Some(&packet) = self.pending.first_chunk() {
            self.pending.clear();
            self.packet(stride, &packet, None, take);
        }
        taken
    }

    /// Takes whole packets with right sync bytes, one after the other; says how long they are, with what is between
    /// them and behind the last.
    #[inline(always)]
    fn run(&mut self, stride: usize, rest: &[u8], at: usize, take: &mut impl Take) -> usize {
        // The most usual stride by itself: what is known to the compiler need not be reckoned for each packet.
        let mut passed =
            if stride == PACKET { batches(PACKET, rest, at, take) } else { batches(stride, rest, at, take) };
        while let Some(packet) = rest.get(passed..).and_then(<[u8]>::first_chunk) {
            if packet[0] != SYNC {
                break;
            }
            take.take(packet, u32::try_from(at + passed).ok());
            passed += stride;
        }
        self.packets += (passed / stride) as u64;
        // What is behind the last may be still to come.
        self.skip = passed.saturating_sub(rest.len());
        passed.min(rest.len())
    }

    fn packet(&mut self, stride: usize, packet: &[u8; PACKET], at: Option<u32>, take: &mut impl Take) {
        self.skip = stride - PACKET;
        if packet[0] == SYNC {
            self.bad.clear();
            self.packets += 1;
            take.take(packet, at);
            return;
        }
        self.byte_errors = self.byte_errors.saturating_add(1);
        if self.bad.is_empty() {
            self.bad.extend_from_slice(packet);
            return;
        }
        self.losses = self.losses.saturating_add(1);
        self.reset_to_bad(packet);
    }

    /// Sync is lost: looks for it from the first of the two packets on whose sync byte was wrong.
    fn reset_to_bad(&mut self, packet: &[u8; PACKET]) {
        self.stride = None;
        self.skip = 0;
        self.pending.clear();
        self.pending.append(&mut self.bad);
        self.pending.extend_from_slice(packet);
    }

    /// Not in sync: takes the next piece of `rest`, and says how long it was.
    fn search(&mut self, rest: &[u8], take: &mut impl Take) -> usize {
        let taken = (WINDOW - self.pending.len()).min(rest.len());
        self.pending.extend_from_slice(first(rest, taken));

        let mut from = 0;
        while let Some(bytes) = self.pending.get(from..) {
            match bytes.iter().position(|byte| *byte == SYNC) {
                None => from = self.pending.len() + 1,
                Some(sync) => {
                    from += sync;
                    match bytes.get(sync..).map_or(Candidate::No, candidate) {
                        Candidate::No => from += 1,
                        Candidate::Undecided => break,
                        Candidate::InSync(stride) => {
                            self.stride = Some(stride);
                            break;
                        }
                    }
                }
            }
        }
        let from = from.min(self.pending.len());
        self.pending.drain(..from);
        if self.in_sync() {
            // The packets among the bytes looked at are packets like any other, though not in the caller's bytes.
            let mut looked_at = std::mem::take(&mut self.spare);
            std::mem::swap(&mut looked_at, &mut self.pending);
            self.feed_again(&looked_at, take);
            looked_at.clear();
            self.spare = looked_at;
        }
        taken
    }

    fn feed_again(&mut self, bytes: &[u8], take: &mut impl Take) {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            at += match self.stride {
                None => self.search(rest, take),
                Some(stride) => self.follow(stride, rest, at, &mut Elsewhere(take)),
            };
        }
    }
}

/// Takes whole packets with right sync bytes, many at a time; says how long they are, with what is between them.
#[inline(always)]
fn batches(stride: usize, rest: &[u8], at: usize, take: &mut impl Take) -> usize {
    let mut passed = 0;
    // Looking at the sync bytes of several packets first has the memory fetch them all at once: what is done with
    // one of them is too long for the processor to get to the next one while it waits.
    while let Some(packets) = rest.get(passed..).and_then(|rest| rest.get(..BATCH * stride)) {
        let (mut wrong, mut place) = (0, 0);
        while let Some(first) = packets.get(place) {
            wrong |= first ^ SYNC;
            place += stride;
        }
        if wrong != 0 {
            break;
        }
        place = 0;
        while let Some(packet) = packets.get(place..).and_then(<[u8]>::first_chunk) {
            // Callers give no more at once than 32 bits count.
            take.take(packet, u32::try_from(at + passed + place).ok());
            place += stride;
        }
        passed += BATCH * stride;
    }
    passed
}

/// The first `length` bytes.
fn first(bytes: &[u8], length: usize) -> &[u8] {
    bytes.get(..length).unwrap_or(bytes)
}

/// Whether the first byte, a sync byte, is followed by others at a stride. The strides are tried in the order in
/// which they can be told, so that the answer does not depend on how much is there.
fn candidate(bytes: &[u8]) -> Candidate {
    'strides: for stride in STRIDES {
        for packet in 1..GOOD {
            match bytes.get(packet * stride) {
                None => return Candidate::Undecided,
                Some(&SYNC) => {}
                Some(_) => continue 'strides,
            }
        }
        return Candidate::InSync(stride);
    }
    Candidate::No
}
