//! Switches to other servers since the last line: `ss`.

use super::text::{Comma, push, push_fields};
use crate::line::encode::Text;
use crate::line::value::push_field;
use crate::player::ServerSwitch;
use crate::session::Head;

/// How many switches one line lists.
const MAX_SWITCHES: usize = 64;

#[derive(Debug, Clone, Default)]
pub(super) struct Servers {
    /// With the clock at which each began, and the playhead.
    list: Vec<(u64, Head, ServerSwitch)>,
}

impl Servers {
    /// `clock` is when it ended, in ms since the attempt began.
    pub(super) fn switch(&mut self, switch: &ServerSwitch, head: Head, clock: u64) {
        if self.list.len() < MAX_SWITCHES {
            self.list.push((clock.saturating_sub(switch.duration), head, switch.clone()));
        }
    }

    pub(super) fn clear(&mut self) {
        self.list.clear();
    }

    /// Nine fields a switch.
    pub(super) fn write(&self, out: &mut Text) {
        let mut comma = Comma::default();
        for (start, head, switch) in &self.list {
            let ServerSwitch { duration, rtt, reason, from, to, ip, kind } = switch;
            let reason = u64::from(reason.code());
            push_fields([*start, *duration, *rtt, head.ms(), reason], comma.before(out));
            for text in [from, to, ip] {
                out.push(':');
                push_field(text, out);
            }
            out.push(':');
            push(kind.code().into(), out);
        }
    }
}
