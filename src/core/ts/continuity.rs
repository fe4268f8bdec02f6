//! The continuity counters of all PIDs.

use super::{Counts, NULL_PID, PACKET};

/// How many PIDs there are.
const PIDS: usize = 1 << 13;

/// No packet of that PID has been seen.
const UNSEEN: u16 = u16::MAX;

/// Five bits are never this: the next packet has to be looked at more closely.
const NONE: u8 = u8::MAX;

/// The last packet of a PID is not in the bytes at hand.
const KEPT: u32 = u32::MAX;

/// The continuity counters of all PIDs.
///
/// Nearly every packet is the one that is expected: that takes one look at its header, and eight bytes of state.
#[derive(Debug)]
pub(super) struct Continuity {
    pids: Box<[Pid; PIDS]>,
    /// Those with a packet, in the order of their first ones.
    seen: Vec<u16>,
    /// The last packet of each of `seen`, unless it is in the bytes at hand: the copy is made only once they go away.
    last: Vec<[u8; PACKET]>,
    /// Whose last packet is in the bytes at hand.
    borrowing: Vec<u16>,
}

/// One PID.
#[derive(Debug, Clone, Copy)]
struct Pid {
    /// Where in the bytes at hand its last packet begins, or [`KEPT`].
    at: u32,
    /// Its place in [`Continuity::seen`], or [`UNSEEN`].
    slot: u16,
    /// What the fourth byte of a packet with payload has as its lower five bits, if it is the next one, or
    /// [`NONE`].
    next: u8,
    state: State,
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

/// What a packet's counter says.
enum Verdict {
    Expected,
    Duplicate,
    /// Packets are missing, or one is too many; with the estimate of how many are missing.
    Gap(u64),
}

impl Continuity {
    pub(super) fn new() -> Self {
        let pids = Box::new([Pid { at: KEPT, slot: UNSEEN, next: NONE, state: State::Unknown }; PIDS]);
        Self { pids, seen: Vec::new(), last: Vec::new(), borrowing: Vec::new() }
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
        for pid in &self.seen {
            if let Some(pid) = self.pids.get_mut(usize::from(*pid)) {
                (pid.state, pid.next) = (change(pid.state), NONE);
            }
        }
    }

    /// Takes one packet, which lies in `bytes` at `at` unless that is `None`.
    #[inline]
    pub(super) fn packet(
        &mut self,
        packet: &[u8; PACKET],
        at: Option<u32>,
        bytes: &[u8],
        counts: &mut Counts,
    ) {
        let number = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        let Some(pid) = self.pids.get_mut(usize::from(number)) else { return };
        let flags = packet[3];
        let is_next = flags & 0x1f == pid.next && packet[1] & 0x80 == 0;
        if let (true, Some(at)) = (is_next && !is_flagged(packet), at) {
            if flags & 0xc0 != 0 {
                counts.scrambled += 1;
            }
            if pid.at == KEPT {
                self.borrowing.push(number);
            }
            *pid = Pid { at, slot: pid.slot, next: next_after(flags), state: State::At(flags & 0x0f) };
            return;
        }
        self.look_at(number, packet, at, bytes, counts);
    }

    /// Takes a packet that may be any.
    #[inline(never)]
    fn look_at(
        &mut self,
        number: u16,
        packet: &[u8; PACKET],
        at: Option<u32>,
        bytes: &[u8],
        counts: &mut Counts,
    ) {
        let flags = packet[3];
        if packet[1] & 0x80 != 0 {
            counts.transport_errors += 1;
        }
        if number == NULL_PID {
            counts.null_packets += 1;
            return;
        }
        if flags & 0xc0 != 0 {
            counts.scrambled += 1;
        }
        let with_payload = flags & 0x10 != 0;
        if flags & 0x30 == 0 {
            return;
        }
        let Some(pid) = self.pids.get_mut(usize::from(number)) else { return };
        if pid.slot == UNSEEN {
            pid.slot = u16::try_from(self.seen.len()).unwrap_or(UNSEEN);
            self.seen.push(number);
            self.last.push([0; PACKET]);
            self.borrowing.reserve(self.seen.len());
        }
        let counter = flags & 0x0f;
        let repeated = match pid.last() {
            Some((last, repeated)) if !is_flagged(packet) => {
                let other_fragment = matches!(pid.state, State::OtherFragment(..));
                let step = counter.wrapping_sub(last) & 0x0f;
                let before = || match pid.at {
                    KEPT => self.last.get(usize::from(pid.slot)),
                    at => bytes.get(at as usize..).and_then(<[u8]>::first_chunk),
                };
                let is_copy = || before().is_some_and(|before| same_but_pcr(before, packet));
                // That a third copy is an error does not make a fourth one legal; a new start at a fragment does.
                match judge(step, with_payload, repeated, is_copy) {
                    Verdict::Expected => false,
                    Verdict::Duplicate => {
                        counts.duplicates += 1;
                        true
                    }
                    Verdict::Gap(_) if other_fragment => {
                        counts.fragment_jumps += 1;
                        false
                    }
                    Verdict::Gap(lost) => {
                        counts.discontinuities += 1;
                        counts.lost_packets += lost;
                        counter == last
                    }
                }
            }
            _ => false,
        };
        pid.state = if repeated { State::Repeated(counter) } else { State::At(counter) };
        pid.next = next_after(flags);
        match at {
            Some(at) => {
                if pid.at == KEPT {
                    self.borrowing.push(number);
                }
                pid.at = at;
            }
            None => {
                // Should it still be in `borrowing`, nothing is copied for it.
                pid.at = KEPT;
                if let Some(last) = self.last.get_mut(usize::from(pid.slot)) {
                    *last = *packet;
                }
            }
        }
    }

    /// Copies what will be needed of `bytes`, which go away: the last packet of each PID in it.
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        for number in self.borrowing.drain(..) {
            let Some(pid) = self.pids.get_mut(usize::from(number)) else { continue };
            let at = std::mem::replace(&mut pid.at, KEPT);
            let last = bytes.get(at as usize..).and_then(<[u8]>::first_chunk);
            if let (Some(last), Some(room)) = (last, self.last.get_mut(usize::from(pid.slot))) {
                *room = *last;
            }
        }
    }
}

impl Pid {
    /// The counter of its last packet, and whether it has come twice.
    const fn last(&self) -> Option<(u8, bool)> {
        match self.state {
            State::Unknown => None,
            State::At(counter) => Some((counter, false)),
            State::Repeated(counter) => Some((counter, true)),
            State::OtherFragment(counter, repeated) => Some((counter, repeated)),
        }
    }
}

/// What the lower five bits of the fourth byte are in the packet behind one with these.
const fn next_after(flags: u8) -> u8 {
    0x10 | (flags.wrapping_add(1) & 0x0f)
}

/// Whether a packet has `discontinuity_indicator`.
#[inline]
const fn is_flagged(packet: &[u8; PACKET]) -> bool {
    packet[3] & 0x20 != 0 && packet[4] > 0 && packet[5] & 0x80 != 0
}

/// What a step from the last counter, modulo 16, means.
fn judge(step: u8, with_payload: bool, repeated: bool, is_copy: impl FnOnce() -> bool) -> Verdict {
    match (step, with_payload) {
        (0, false) | (1, true) => Verdict::Expected,
        (0, true) if !repeated && is_copy() => Verdict::Duplicate,
        (0, true) => Verdict::Gap(0),
        (step, _) => Verdict::Gap(u64::from(step) - 1),
    }
}

/// Whether two packets are the same but for the value of the PCR (H.222.0 §2.4.3.3).
fn same_but_pcr(a: &[u8; PACKET], b: &[u8; PACKET]) -> bool {
    if has_pcr(a) && has_pcr(b) { a[..6] == b[..6] && a[12..] == b[12..] } else { a == b }
}

const fn has_pcr(packet: &[u8; PACKET]) -> bool {
    packet[3] & 0x20 != 0 && packet[4] >= 7 && packet[5] & 0x10 != 0
}
