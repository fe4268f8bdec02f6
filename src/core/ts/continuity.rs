//! The continuity counters of all PIDs.

use super::{Counts, NULL_PID, PACKET};

/// No packet of that PID has been seen.
const UNSEEN: u16 = u16::MAX;

/// How many PIDs there are.
const PIDS: usize = 1 << 13;

/// The continuity counters of all PIDs.
#[derive(Debug)]
pub(super) struct Continuity {
    /// For each PID, where in `pids` its state is, or [`UNSEEN`].
    index: Vec<u16>,
    pids: Vec<Pid>,
    /// Where in `pids` the state is that refers to the bytes at hand.
    borrowing: Vec<u16>,
    /// Goes up when all is to be learnt anew.
    generation: u32,
    /// Goes up with each fragment.
    fragment: u32,
}

/// One PID.
#[derive(Debug)]
struct Pid {
    generation: u32,
    fragment: u32,
    counter: u8,
    /// The counter has come twice already.
    repeated: bool,
    /// Where in the bytes at hand its last packet begins. The copy is made only once they go away.
    at: Option<usize>,
    /// Else, its last packet.
    last: [u8; PACKET],
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
        let index = vec![UNSEEN; PIDS];
        Self { index, pids: Vec::new(), borrowing: Vec::new(), generation: 0, fragment: 0 }
    }

    /// Learns all anew.
    pub(super) const fn forget(&mut self) {
        self.generation = self.generation.wrapping_add(1);
    }

    /// What comes next is a new fragment.
    pub(super) const fn fragment(&mut self) {
        self.fragment = self.fragment.wrapping_add(1);
    }

    /// Takes one packet, which lies in `bytes` if `at` says so.
    pub(super) fn packet(
        &mut self,
        packet: &[u8; PACKET],
        at: Option<usize>,
        bytes: &[u8],
        counts: &mut Counts,
    ) {
        counts.packets += 1;
        let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        let [with_adaptation, with_payload] = [packet[3] & 0x20 != 0, packet[3] & 0x10 != 0];
        if packet[1] & 0x80 != 0 {
            counts.transport_errors += 1;
        }
        if pid == NULL_PID {
            counts.null_packets += 1;
            return;
        }
        if packet[3] & 0xc0 != 0 {
            counts.scrambled += 1;
        }
        if !with_adaptation && !with_payload {
            return;
        }
        let (generation, fragment) = (self.generation, self.fragment);
        let Some((slot, state)) = self.state(pid) else { return };
        let counter = packet[3] & 0x0f;
        let flagged = with_adaptation && packet[4] > 0 && packet[5] & 0x80 != 0;
        let known = state.generation == generation;
        if known && !flagged {
            let verdict = if with_payload {
                state.judge_payload(packet, counter, bytes)
            } else {
                state.judge_no_payload(counter)
            };
            // That a third copy is an error does not make a fourth one legal; a new start at a fragment does.
            state.repeated = match verdict {
                Verdict::Expected => false,
                Verdict::Duplicate => {
                    counts.duplicates += 1;
                    true
                }
                Verdict::Gap(_) if state.fragment != fragment => {
                    counts.fragment_jumps += 1;
                    false
                }
                Verdict::Gap(lost) => {
                    counts.discontinuities += 1;
                    counts.lost_packets += lost;
                    counter == state.counter
                }
            };
        } else {
            state.repeated = false;
        }
        state.generation = generation;
        state.fragment = fragment;
        state.counter = counter;
        match at {
            Some(_) => {
                let borrowed = state.at.is_some();
                state.at = at;
                if !borrowed {
                    self.borrowing.push(slot);
                }
            }
            None => {
                state.at = None;
                state.last = *packet;
            }
        }
    }

    /// Copies what will be needed of `bytes`, which go away: the last packet of each PID in it.
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        for slot in self.borrowing.drain(..) {
            let Some(pid) = self.pids.get_mut(usize::from(slot)) else { continue };
            let Some(at) = pid.at.take() else { continue };
            if let Some(last) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
                pid.last = *last;
            }
        }
    }

    fn state(&mut self, pid: u16) -> Option<(u16, &mut Pid)> {
        let slot = self.index.get_mut(usize::from(pid))?;
        if *slot == UNSEEN {
            *slot = u16::try_from(self.pids.len()).ok()?;
            // Of an earlier generation, that is: to be learnt from.
            let generation = self.generation.wrapping_sub(1);
            self.pids.push(Pid {
                generation,
                fragment: self.fragment,
                counter: 0,
                repeated: false,
                at: None,
                last: [0; PACKET],
            });
            self.borrowing.reserve(self.pids.len());
        }
        Some((*slot, self.pids.get_mut(usize::from(*slot))?))
    }
}

impl Pid {
    fn judge_payload(&self, packet: &[u8; PACKET], counter: u8, bytes: &[u8]) -> Verdict {
        match counter.wrapping_sub(self.counter) & 0x0f {
            0 if self.repeated => Verdict::Gap(0),
            0 => {
                let borrowed = self.at.map(|at| bytes.get(at..).and_then(<[u8]>::first_chunk));
                let last = borrowed.unwrap_or(Some(&self.last));
                let same = last.is_some_and(|last| same_but_pcr(last, packet));
                if same { Verdict::Duplicate } else { Verdict::Gap(0) }
            }
            1 => Verdict::Expected,
            step => Verdict::Gap(u64::from(step) - 1),
        }
    }

    const fn judge_no_payload(&self, counter: u8) -> Verdict {
        match counter.wrapping_sub(self.counter) & 0x0f {
            0 => Verdict::Expected,
            step => Verdict::Gap(step as u64 - 1),
        }
    }
}

/// Whether two packets are the same but for the value of the PCR (H.222.0 §2.4.3.3).
fn same_but_pcr(a: &[u8; PACKET], b: &[u8; PACKET]) -> bool {
    if has_pcr(a) && has_pcr(b) { a[..6] == b[..6] && a[12..] == b[12..] } else { a == b }
}

const fn has_pcr(packet: &[u8; PACKET]) -> bool {
    packet[3] & 0x20 != 0 && packet[4] >= 7 && packet[5] & 0x10 != 0
}
