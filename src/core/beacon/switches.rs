//! Switches to other servers since the last line: `ss`.

use super::text::field;
use crate::line::encode::Pen;
use crate::player::ServerSwitch;
use crate::session::Head;

/// How many switches one line lists.
const MAX_SWITCHES: usize = 64;

#[derive(Debug, Clone, Default)]
pub(super) struct Servers {
    list: Vec<Switched>,
}

/// A switch that is over: nothing of it changes any more.
#[derive(Debug, Clone)]
struct Switched {
    /// When it began, how long it took and the round trip then; where the playhead was; in ms. Then its reason.
    numbers: [u64; 5],
    /// From where to where.
    hosts: Box<str>,
    kind: u8,
}

impl Servers {
    /// `clock` is when it ended, in ms since the attempt began.
    pub(super) fn switch(&mut self, switch: &ServerSwitch, head: Head, clock: u64) {
        if self.list.len() < MAX_SWITCHES {
            let ServerSwitch { duration, rtt, reason, from, to, ip, kind } = switch;
            let start = clock.saturating_sub(*duration);
            let numbers = [start, *duration, *rtt, head.ms(), reason.code().into()];
            let hosts = [from, to, ip].map(|text| field(text)).join(":").into();
            self.list.push(Switched { numbers, hosts, kind: kind.code() });
        }
    }

    pub(super) fn clear(&mut self) {
        self.list.clear();
    }

    /// Nine fields a switch.
    #[inline(never)]
    pub(super) fn write<'p>(&self, out: Pen<'p>) -> Pen<'p> {
        out.list(|mut out| {
            for Switched { numbers, hosts, kind } in &self.list {
                out = numbers.iter().fold(out, |out, number| out.number_and(*number, b':'));
                out = out.text(hosts).marks(*b":").number_and((*kind).into(), b',');
            }
            out
        })
    }
}
