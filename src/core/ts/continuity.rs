//! The continuity counters of all PIDs.

use super::{Counts, NULL_PID, PACKET, PIDS};

/// What of a header says whether it is the next packet's: sync byte, `transport_error_indicator`, whether there is
/// payload, and the counter.
const COMPARED: u32 = 0xff80_001f;

/// No header is this: the next packet has to be looked at more closely.
const NONE: u32 = 0;

/// The last packet of a PID is not in the bytes at hand.
const KEPT: u32 = u32::MAX;

/// Neither is it here, but the PID is listed as if it were.
const LISTED: u32 = u32::MAX - 1;

/// No packet of that PID has been seen.
const UNSEEN: u16 = u16::MAX;

/// The continuity counters of all PIDs.
///
/// Nearly every packet is the one that is expected: that takes one look at its header, and eight bytes of state.
#[derive(Debug)]
pub(super) struct Continuity {
    next: Box<[Next; PIDS]>,
    /// The place in [`Continuity::seen`] of each PID, or [`UNSEEN`].
    slots: Box<[u16; PIDS]>,
    /// Those with a packet, in the order of their first ones.
    seen: Vec<Pid>,
    /// Whose last packet is in the bytes at hand: so many from the first on.
    borrowing: Box<[u16; PIDS]>,
    borrowed: usize,
}

/// All that an expected packet needs.
#[derive(Debug, Clone, Copy)]
struct Next {
    /// The header of the next packet with payload, as far as it is [`COMPARED`], or [`NONE`].
    header: u32,
    /// Where in the bytes at hand the last packet begins, or [`KEPT`], or [`LISTED`].
    at: u32,
}

/// The rest of what is known of a PID.
#[derive(Debug, Clone, Copy)]
struct Pid {
    number: u16,
    /// Nothing that is true while there is a [`Next::header`]: that tells it all.
    state: State,
    /// Its last packet, unless it is in the bytes at hand: the copy is made only once they go away.
    last: [u8; PACKET],
}

/// What is known of a PID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing; also after a reset.
    Unknown,
    /// The counter of its last packet.
    At(u8),
    /// And it has come twice already.
    Repeated(u8),
    /// The counter of its last packet, which was in another fragment; and whether it had come twice.
    OtherFragment(u8, bool),
}

/// What a packet is, by its counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// The one that had to come, or one that is learnt from.
    Expected,
    /// A legal repetition of the one before.
    Duplicate,
    /// Packets are missing, or one is too many; with the estimate of how many are missing.
    Gap(u64),
    /// The first of a fragment, with a counter that begins anew.
    FragmentJump,
    /// One without a counter that means anything: of the null PID, or with a reserved field.
    Ignored,
}

// === impl Continuity ===

impl Continuity {
    pub(super) fn new() -> Self {
        Self {
            next: Box::new([Next { header: NONE, at: KEPT }; PIDS]),
            slots: Box::new([UNSEEN; PIDS]),
            seen: Vec::new(),
            borrowing: Box::new([0; PIDS]),
            borrowed: 0,
        }
    }

    /// Learns all anew.
    pub(super) fn forget(&mut self) {
        self.change(|_| State::Unknown);
    }

    /// What comes next is a new fragment.
    pub(super) fn fragment(&mut self) {
        self.change(|state| match state {
            State::At(counter) => State::OtherFragment(counter, false),
            State::Repeated(counter) => State::OtherFragment(counter, true),
            State::Unknown | State::OtherFragment(..) => state,
        });
    }

    fn change(&mut self, change: impl Fn(State) -> State) {
        for pid in &mut self.seen {
            if let Some(next) = self.next.get_mut(usize::from(pid.number)) {
                pid.state = change(next.state(pid));
                next.header = NONE;
            }
        }
    }

    /// Takes one packet, which lies in `bytes` at `at` unless that is `None`.
    #[inline(always)]
    pub(super) fn packet(
        &mut self,
        packet: &[u8; PACKET],
        at: Option<u32>,
        bytes: &[u8],
        counts: &mut Counts,
    ) -> Seen {
        let header = u32::from_be_bytes([packet[0], packet[1], packet[2], packet[3]]);
        let Some(next) = self.next.get_mut(usize::from(pid(header))) else { return Seen::Ignored };
        if let (true, Some(at)) = (header & COMPARED == next.header, at) {
            // An adaptation field, or scrambled: few are.
            if header & 0xe0 != 0 {
                if is_flagged(packet) {
                    return self.look_at(header, packet, Some(at), bytes, counts);
                }
                counts.scrambled += u64::from(header & 0xc0 != 0);
            }
            let was = std::mem::replace(next, Next { header: behind(header), at }).at;
            if was == KEPT {
                self.list(pid(header));
            }
            return Seen::Expected;
        }
        self.look_at(header, packet, at, bytes, counts)
    }

    /// Takes a packet that may be any.
    #[cold]
    #[inline(never)]
    fn look_at(
        &mut self,
        header: u32,
        packet: &[u8; PACKET],
        at: Option<u32>,
        bytes: &[u8],
        counts: &mut Counts,
    ) -> Seen {
        let (number, flags) = (pid(header), packet[3]);
        if packet[1] & 0x80 != 0 {
            counts.transport_errors += 1;
        }
        if number == NULL_PID {
            counts.null_packets += 1;
            return Seen::Ignored;
        }
        if flags & 0xc0 != 0 {
            counts.scrambled += 1;
        }
        let with_payload = flags & 0x10 != 0;
        if flags & 0x30 == 0 {
            return Seen::Ignored;
        }
        let (Some(next), Some(slot)) =
            (self.next.get_mut(usize::from(number)), self.slots.get_mut(usize::from(number)))
        else {
            return Seen::Ignored;
        };
        if *slot == UNSEEN {
            *slot = u16::try_from(self.seen.len()).unwrap_or(UNSEEN);
            self.seen.push(Pid { number, state: State::Unknown, last: [0; PACKET] });
        }
        let Some(pid) = self.seen.get_mut(usize::from(*slot)) else { return Seen::Ignored };
        let counter = flags & 0x0f;
        let state = next.state(pid);
        let (seen, repeated) = match state.last() {
            Some((last, repeated)) if !is_flagged(packet) => {
                let step = counter.wrapping_sub(last) & 0x0f;
                let before = || match next.at {
                    KEPT | LISTED => Some(&pid.last),
                    at => bytes.get(at as usize..).and_then(<[u8]>::first_chunk),
                };
                let is_copy = || before().is_some_and(|before| same_but_pcr(before, packet));
                // That a third copy is an error does not make a fourth one legal; a new start at a fragment does.
                match judge(step, with_payload, repeated, is_copy) {
                    Seen::Gap(_) if matches!(state, State::OtherFragment(..)) => (Seen::FragmentJump, false),
                    seen @ Seen::Duplicate => (seen, true),
                    seen @ Seen::Gap(_) => (seen, counter == last),
                    seen => (seen, false),
                }
            }
            _ => (Seen::Expected, false),
        };
        match seen {
            Seen::Duplicate => counts.duplicates += 1,
            Seen::FragmentJump => counts.fragment_jumps += 1,
            Seen::Gap(lost) => {
                counts.discontinuities += 1;
                counts.lost_packets += lost;
            }
            Seen::Expected | Seen::Ignored => {}
        }
        (pid.state, next.header) =
            if repeated { (State::Repeated(counter), NONE) } else { (State::At(counter), behind(header)) };
        let was = next.at;
        next.at = match at {
            Some(at) => at,
            None => {
                pid.last = *packet;
                if was == KEPT { KEPT } else { LISTED }
            }
        };
        if was == KEPT && at.is_some() {
            self.list(number);
        }
        seen
    }

    /// A PID's last packet is in the bytes at hand from now on. It is listed once, so there is always room.
    #[inline(never)]
    fn list(&mut self, number: u16) {
        if let Some(place) = self.borrowing.get_mut(self.borrowed) {
            *place = number;
            self.borrowed += 1;
        }
    }

    /// Copies what will be needed of `bytes`, which go away: the last packet of each PID in it.
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        let listed = self.borrowing.get(..self.borrowed).unwrap_or_default();
        // Where all is built to be small, copies of a known length are made byte by byte.
        let length = std::hint::black_box(PACKET);
        for number in listed {
            let number = usize::from(*number);
            let (Some(next), Some(slot)) = (self.next.get_mut(number), self.slots.get(number)) else {
                continue;
            };
            let at = std::mem::replace(&mut next.at, KEPT);
            let last = bytes.get(at as usize..).and_then(|bytes| bytes.get(..length));
            if let (Some(last), Some(pid)) = (last, self.seen.get_mut(usize::from(*slot))) {
                if let Some(place) = pid.last.get_mut(..last.len()) {
                    place.copy_from_slice(last);
                }
            }
        }
        self.borrowed = 0;
    }
}

// === impl Next ===

impl Next {
    /// What is known of the PID.
    const fn state(self, pid: &Pid) -> State {
        match self.header {
            NONE => pid.state,
            header => State::At(header.wrapping_sub(1).to_be_bytes()[3] & 0x0f),
        }
    }
}

// === impl State ===

impl State {
    /// The counter of the last packet, and whether it has come twice.
    const fn last(self) -> Option<(u8, bool)> {
        match self {
            Self::Unknown => None,
            Self::At(counter) => Some((counter, false)),
            Self::Repeated(counter) => Some((counter, true)),
            Self::OtherFragment(counter, repeated) => Some((counter, repeated)),
        }
    }
}

/// The PID that a header names.
#[inline(always)]
pub(super) const fn pid(header: u32) -> u16 {
    (header >> 8 & 0x1fff) as u16
}

/// The header of the packet behind one with this header, as far as it is [`COMPARED`].
#[inline(always)]
const fn behind(header: u32) -> u32 {
    0x4700_0010 | (header.wrapping_add(1) & 0x0f)
}

/// Whether a packet has `discontinuity_indicator`.
#[inline(always)]
pub(super) const fn is_flagged(packet: &[u8; PACKET]) -> bool {
    packet[3] & 0x20 != 0 && packet[4] > 0 && packet[5] & 0x80 != 0
}

/// What a step from the last counter, modulo 16, means.
fn judge(step: u8, with_payload: bool, repeated: bool, is_copy: impl FnOnce() -> bool) -> Seen {
    match (step, with_payload) {
        (0, false) | (1, true) => Seen::Expected,
        (0, true) if !repeated && is_copy() => Seen::Duplicate,
        (0, true) => Seen::Gap(0),
        (step, _) => Seen::Gap(u64::from(step) - 1),
    }
}

/// Whether two packets are the same but for the value of the PCR (H.222.0 §2.4.3.3).
fn same_but_pcr(a: &[u8; PACKET], b: &[u8; PACKET]) -> bool {
    if has_pcr(a) && has_pcr(b) { a[..6] == b[..6] && a[12..] == b[12..] } else { a == b }
}

/// Whether a packet has a PCR.
pub(super) const fn has_pcr(packet: &[u8; PACKET]) -> bool {
    packet[3] & 0x20 != 0 && packet[4] >= 7 && packet[5] & 0x10 != 0
}
