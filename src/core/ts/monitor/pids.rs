//! What is known of each PID.

use super::super::pcr::Pcr;
use super::super::section::Assembler;
use super::super::tables::{Pmt, StreamKind};
use super::super::timer::Timer;
use super::super::{NULL_PID, PIDS};

/// What a PID is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// PID 0: the programme association table.
    Pat,
    /// PID 1: the conditional access table.
    Cat,
    /// PID 0x10: the network information table.
    Nit,
    /// PID 0x11: service descriptions and bouquets.
    Sdt,
    /// PID 0x12: event information.
    Eit,
    /// PID 0x14: time and date.
    Tdt,
    /// The map of a programme (the first one, where there are several).
    Pmt {
        /// Its number.
        programme: u16,
    },
    /// A stream of a programme.
    Stream {
        /// The programme's number.
        programme: u16,
        /// What its map says it is.
        kind: StreamKind,
    },
    /// PID 0x1fff: nothing.
    Null,
    /// No table names it.
    Unknown,
}

/// What was counted of one PID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PidReport {
    /// Its number, below 8192.
    pub pid: u16,
    /// What it is for, as far as tables say.
    pub role: Role,
    /// Its packets.
    pub packets: u64,
    /// Continuity errors.
    pub discontinuities: u64,
    /// Estimate of the packets lost in those.
    pub lost_packets: u64,
    /// Legal duplicates.
    pub duplicates: u64,
    /// Packets flagged as erroneous.
    pub transport_errors: u64,
    /// Packets whose payload is scrambled.
    pub scrambled: u64,
    /// Whether it has clock references.
    pub has_pcr: bool,
}

/// All of them, in the order in which they became known.
#[derive(Debug)]
pub(super) struct Pids {
    slots: Box<[u16; PIDS]>,
    all: Vec<Pid>,
}

#[derive(Debug)]
pub(super) struct Pid {
    pub(super) number: u16,
    pub(super) role: Role,
    pub(super) discontinuities: u64,
    pub(super) lost_packets: u64,
    pub(super) duplicates: u64,
    pub(super) transport_errors: u64,
    pub(super) scrambled: u64,
    /// Where it has sections; taken out while they are being looked at.
    pub(super) sections: Option<Box<Assembler>>,
    pub(super) pcr: Option<Box<Pcr>>,
    pub(super) pcr_timer: Timer,
    /// Of a map: its sections.
    pub(super) pmt: Timer,
    /// Programmes of a map, with the checksum of the last section of each.
    maps: Vec<(u16, u32)>,
    /// The place of the map that names this stream.
    pub(super) map: usize,
    /// It has to be there all the time.
    pub(super) is_steady: bool,
    pub(super) alive: Timer,
    /// At the last look whether it is there.
    pub(super) packets_before: u64,
    pub(super) pts: Timer,
    /// A PTS was seen, and nothing scrambled since.
    pub(super) shows_pts: bool,
}

const UNKNOWN: u16 = u16::MAX;

/// Programmes whose maps are told apart on one PID.
const PROGRAMMES: usize = 64;

/// PIDs with sections of which checksums are looked at.
pub(super) const TABLES: [u16; 6] = [0, 1, 0x10, 0x11, 0x12, 0x14];

// === impl Pids ===

impl Pids {
    pub(super) fn new() -> Self {
        Self { slots: Box::new([UNKNOWN; PIDS]), all: Vec::new() }
    }

    /// The place of a PID, which is known from now on.
    pub(super) fn slot(&mut self, number: u16) -> usize {
        let Some(slot) = self.slots.get_mut(usize::from(number)) else { return usize::MAX };
        if *slot == UNKNOWN {
            *slot = u16::try_from(self.all.len()).unwrap_or(UNKNOWN);
            self.all.push(Pid::new(number));
        }
        usize::from(*slot)
    }

    pub(super) fn at(&mut self, slot: usize) -> Option<&mut Pid> {
        self.all.get_mut(slot)
    }

    pub(super) fn all(&mut self) -> impl Iterator<Item = &mut Pid> {
        self.all.iter_mut()
    }

    /// No PID has a map, and none is a programme's stream. Gives those that were.
    pub(super) fn forget_maps(&mut self) -> Vec<u16> {
        self.forget(|pid| matches!(pid.role, Role::Pmt { .. } | Role::Stream { .. }))
    }

    /// The streams of a programme whose map is there are forgotten. Gives them.
    pub(super) fn forget_streams(&mut self, map: usize, of: u16) -> Vec<u16> {
        self.forget(
            |pid| matches!(pid.role, Role::Stream { programme, .. } if programme == of && pid.map == map),
        )
    }

    fn forget(&mut self, which: impl Fn(&Pid) -> bool) -> Vec<u16> {
        let gone = self.all.iter_mut().filter(|pid| which(pid));
        gone.map(|pid| {
            pid.role = Role::Unknown;
            pid.sections = None;
            pid.maps.clear();
            pid.is_steady = false;
            pid.shows_pts = false;
            (pid.pmt, pid.alive, pid.pts) = Default::default();
            pid.number
        })
        .collect()
    }

    pub(super) fn report(&self, packets: impl Fn(u16) -> u64) -> Vec<PidReport> {
        let mut all: Vec<_> = self.all.iter().map(|pid| pid.report(packets(pid.number))).collect();
        all.sort_unstable_by_key(|report| report.pid);
        all
    }
}

// === impl Pid ===

impl Pid {
    fn new(number: u16) -> Self {
        let role = match number {
            0 => Role::Pat,
            1 => Role::Cat,
            0x10 => Role::Nit,
            0x11 => Role::Sdt,
            0x12 => Role::Eit,
            0x14 => Role::Tdt,
            NULL_PID => Role::Null,
            _ => Role::Unknown,
        };
        Self {
            number,
            role,
            discontinuities: 0,
            lost_packets: 0,
            duplicates: 0,
            transport_errors: 0,
            scrambled: 0,
            sections: TABLES.contains(&number).then(Box::default),
            pcr: None,
            pcr_timer: Timer::default(),
            pmt: Timer::default(),
            maps: Vec::new(),
            map: 0,
            is_steady: false,
            alive: Timer::default(),
            packets_before: 0,
            pts: Timer::default(),
            shows_pts: false,
        }
    }

    /// Something is missing: what has begun cannot be finished.
    pub(super) fn abandon(&mut self) {
        if let Some(sections) = &mut self.sections {
            sections.abandon();
        }
    }

    /// A PAT names it. Gives whether that is news.
    pub(super) fn become_map(&mut self, programme: u16) -> bool {
        let is_news = self.role == Role::Unknown;
        if is_news {
            self.role = Role::Pmt { programme };
            self.sections = Some(Box::default());
        }
        is_news
    }

    /// Whether a map's section says anything new.
    pub(super) fn is_news(&mut self, pmt: &Pmt<'_>) -> bool {
        let known = self.maps.iter_mut().find(|(programme, _)| *programme == pmt.programme);
        if let Some((_, checksum)) = known {
            return std::mem::replace(checksum, pmt.checksum) != pmt.checksum;
        }
        if self.maps.len() >= PROGRAMMES {
            self.maps.clear();
        }
        self.maps.push((pmt.programme, pmt.checksum));
        true
    }

    fn report(&self, packets: u64) -> PidReport {
        PidReport {
            pid: self.number,
            role: self.role,
            packets,
            discontinuities: self.discontinuities,
            lost_packets: self.lost_packets,
            duplicates: self.duplicates,
            transport_errors: self.transport_errors,
            scrambled: self.scrambled,
            has_pcr: self.pcr.is_some(),
        }
    }
}

// === impl Role ===

impl Role {
    /// Whether there are sections of tables that are read.
    pub(super) const fn has_sections(self) -> bool {
        !matches!(self, Self::Stream { .. } | Self::Null | Self::Unknown)
    }
}
