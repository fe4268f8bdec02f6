//! Tables, clocks, and how long each has been away.

use super::clock::{Mark, Timeline};
use super::pids::{self, Pids};
use super::{Clock, Indicators, PidReport, Role};
use crate::ts::continuity::{Seen, has_pcr, is_flagged, pid};
use crate::ts::pcr::{self, HZ};
use crate::ts::section;
use crate::ts::tables::{self, Medium, Pat, Pmt};
use crate::ts::timer::Timer;
use crate::ts::{PACKET, PIDS};

/// 1.3a and 1.5a: tables come at least so often, in ticks. So long a CAT may stay away from scrambled packets too.
const TABLES: u64 = HZ / 2;
/// 1.6.
const PID: u64 = 5 * HZ;
/// 2.5.
const PTS: u64 = HZ * 7 / 10;

/// Programme maps that are followed at most: what a stream says must not take memory without end.
const MAPS: usize = 512;

/// Everything but continuity.
#[derive(Debug)]
pub(super) struct Judge {
    tallies: Box<[Tally; PIDS]>,
    pids: Pids,
    pub(super) timeline: Timeline,
    /// Without those that are counted elsewhere.
    pub(super) indicators: Indicators,
    /// Packets so far.
    index: u64,
    pat: Timer,
    /// Of the PAT in force: which stream's, and its version.
    pat_version: Option<(u16, u8)>,
    maps: usize,
    /// From the first scrambled packet to the first CAT.
    cat: Timer,
    has_cat: bool,
    has_scrambled: bool,
}

/// All that most packets need.
#[derive(Debug, Clone, Copy)]
struct Tally {
    packets: u64,
    /// Bits of the header; a packet with one of them has to be looked at.
    wanted: u32,
}

/// An adaptation field, scrambling, an error: what is always looked at.
const ALWAYS: u32 = 0x0080_00e0;
/// `payload_unit_start_indicator`.
const STARTS: u32 = 0x0040_0000;
/// Every packet has a bit of this: one of its sync byte.
const EVERY: u32 = 0x4700_0000;

// === impl Judge ===

impl Judge {
    pub(super) fn new(clock: Clock) -> Self {
        let mut judge = Self {
            tallies: Box::new([Tally { packets: 0, wanted: ALWAYS }; PIDS]),
            pids: Pids::new(),
            timeline: Timeline::new(clock),
            indicators: Indicators::default(),
            index: 0,
            pat: Timer::default(),
            pat_version: None,
            maps: 0,
            cat: Timer::default(),
            has_cat: false,
            has_scrambled: false,
        };
        pids::TABLES.into_iter().for_each(|number| judge.want(number, EVERY));
        judge
    }

    #[inline(always)]
    pub(super) fn packet(&mut self, packet: &[u8; PACKET], seen: Seen) {
        let header = u32::from_be_bytes([packet[0], packet[1], packet[2], packet[3]]);
        self.index += 1;
        let Some(tally) = self.tallies.get_mut(usize::from(pid(header))) else { return };
        tally.packets += 1;
        // A PID's first packet makes it known.
        if header & tally.wanted == 0 && seen == Seen::Expected && tally.packets > 1 {
            return;
        }
        self.look_at(header, packet, seen);
    }

    #[cold]
    #[inline(never)]
    fn look_at(&mut self, header: u32, packet: &[u8; PACKET], seen: Seen) {
        let number = pid(header);
        self.timeline.start(&mut self.pat);
        let slot = self.pids.slot(number);
        let Some(pid) = self.pids.at(slot) else { return };
        let has_error = header & 0x0080_0000 != 0;
        let is_scrambled = header & 0xc0 != 0;
        pid.transport_errors += u64::from(has_error);
        if seen == Seen::Ignored {
            return;
        }
        pid.scrambled += u64::from(is_scrambled);
        match seen {
            Seen::Duplicate => pid.duplicates += 1,
            Seen::Gap(lost) => {
                pid.discontinuities += 1;
                pid.lost_packets += lost;
            }
            Seen::Expected | Seen::FragmentJump | Seen::Ignored => {}
        }
        // What was begun before a gap, or goes on in bytes that are wrong or scrambled, cannot be finished.
        if matches!(seen, Seen::Gap(_) | Seen::FragmentJump) || has_error || is_scrambled {
            pid.abandon();
        }
        if is_scrambled {
            match pid.role {
                Role::Pat => self.indicators.pat_error_2 += 1,
                Role::Pmt { .. } => self.indicators.pmt_error_2 += 1,
                _ => {}
            }
            if std::mem::take(&mut pid.shows_pts) {
                self.timeline.mark(Mark::PtsHidden(slot), self.index);
            }
            if !std::mem::replace(&mut self.has_scrambled, true) {
                self.timeline.mark(Mark::Scrambled, self.index);
            }
            self.settle();
        }
        if has_error || seen == Seen::Duplicate {
            return;
        }
        self.adaptation(slot, packet);
        if header & 0x10 != 0 && !is_scrambled {
            let behind = if header & 0x20 != 0 { 5 + usize::from(packet[4]) } else { 4 };
            let payload = packet.get(behind..).unwrap_or_default();
            self.payload(slot, payload, header & STARTS != 0);
        }
    }

    fn adaptation(&mut self, slot: usize, packet: &[u8; PACKET]) {
        let (announced, has_pcr) = (is_flagged(packet), has_pcr(packet));
        let Some(pid) = self.pids.at(slot).filter(|_| announced || has_pcr) else { return };
        let reference = pid.pcr.get_or_insert_with(|| Box::new(pcr::Pcr::new()));
        if announced {
            reference.announce();
        }
        if !has_pcr {
            return;
        }
        let step = reference.take(pcr::value(packet), self.index);
        self.indicators.pcr_discontinuity_indicator_error += u64::from(step.is_jump);
        self.indicators.pcr_accuracy_error += u64::from(step.is_inaccurate);
        self.timeline.mark(Mark::Pcr(slot), self.index);
        let goes_on = self.timeline.reference(slot, step.passed, self.index);
        if goes_on {
            self.pat.begin(0);
        }
        self.settle();
        if goes_on {
            self.check();
        }
    }

    fn payload(&mut self, slot: usize, payload: &[u8], starts: bool) {
        let Some(pid) = self.pids.at(slot) else { return };
        if let Some(mut sections) = pid.sections.take() {
            let role = pid.role;
            sections.payload(payload, starts, |section| self.section(slot, role, section));
            if let Some(pid) = self.pids.at(slot) {
                // A table may just have said that there are none here any more.
                if pid.role.has_sections() {
                    pid.sections = Some(sections);
                }
            }
        } else if starts && has_pts(payload) {
            if let Role::Stream { kind, .. } = pid.role {
                if kind.medium != Medium::Other {
                    pid.shows_pts = true;
                    self.timeline.mark(Mark::Pts(slot), self.index);
                    self.settle();
                }
            }
        }
    }

    fn section(&mut self, slot: usize, role: Role, section: &[u8]) {
        if section::checksum(section) == Some(false) {
            self.indicators.crc_error += 1;
            return;
        }
        let table = section.first().copied().unwrap_or_default();
        match (role, table) {
            (Role::Pat, tables::PAT) => {
                self.timeline.mark(Mark::Pat, self.index);
                if let Some(pat) = Pat::parse(section) {
                    self.associate(pat);
                }
            }
            (Role::Pat, _) => self.indicators.pat_error_2 += 1,
            (Role::Cat, tables::CAT) => self.timeline.mark(Mark::Cat, self.index),
            (Role::Cat, _) => self.indicators.cat_error += 1,
            (Role::Pmt { .. }, tables::PMT) => {
                self.timeline.mark(Mark::Pmt(slot), self.index);
                if let Some(pmt) = Pmt::parse(section) {
                    self.map(slot, pmt);
                }
            }
            _ => {}
        }
        self.settle();
    }

    /// Takes a PAT: it names the PIDs of programme maps.
    fn associate(&mut self, pat: Pat<'_>) {
        if self.pat_version.replace(pat.version) != Some(pat.version) {
            for number in self.pids.forget_maps() {
                self.want(number, ALWAYS);
            }
            self.maps = 0;
        }
        for (programme, number) in pat.maps() {
            let slot = self.pids.slot(number);
            let Some(pid) = self.pids.at(slot).filter(|_| self.maps < MAPS) else { continue };
            if pid.become_map(programme) {
                self.maps += 1;
                self.want(number, EVERY);
                self.timeline.mark(Mark::PmtDue(slot), self.index);
            }
        }
    }

    /// Takes a programme map: it names the PIDs of streams.
    fn map(&mut self, slot: usize, pmt: Pmt<'_>) {
        let Some(map) = self.pids.at(slot) else { return };
        // The same again: nearly always.
        if !map.is_news(&pmt) {
            return;
        }
        for number in self.pids.forget_streams(slot, pmt.programme) {
            self.want(number, ALWAYS);
        }
        for listed in pmt.streams() {
            let stream = self.pids.slot(listed.pid);
            let Some(pid) = self.pids.at(stream).filter(|pid| pid.role == Role::Unknown) else { continue };
            pid.role = Role::Stream { programme: pmt.programme, kind: listed.kind };
            pid.map = slot;
            pid.is_steady = listed.is_steady;
            self.want(listed.pid, ALWAYS | STARTS);
            if listed.is_steady {
                self.timeline.mark(Mark::StreamDue(stream), self.index);
            }
        }
    }

    pub(super) fn report(&self) -> Vec<PidReport> {
        self.pids.report(|number| self.tallies.get(usize::from(number)).map_or(0, |tally| tally.packets))
    }

    fn want(&mut self, number: u16, bits: u32) {
        if let Some(tally) = self.tallies.get_mut(usize::from(number)) {
            tally.wanted = bits;
        }
    }

    pub(super) fn arrive(&mut self, ticks: u64) {
        if self.timeline.is_news(ticks) {
            // What has come until now was there until now, and not until then.
            self.check();
            self.timeline.arrive(ticks);
            self.check();
        }
    }

    /// Judges what has happened since, now that it is known when.
    fn settle(&mut self) {
        while let Some((mark, at)) = self.timeline.next() {
            let errors = &mut self.indicators;
            let slot = match mark {
                Mark::Pat => {
                    errors.pat_error_2 += u64::from(self.pat.came(at, TABLES));
                    continue;
                }
                Mark::Cat => {
                    errors.cat_error += u64::from(self.cat.is_late(at, TABLES));
                    (self.cat, self.has_cat) = (Timer::default(), true);
                    continue;
                }
                Mark::Scrambled => {
                    if !self.has_cat {
                        self.cat.begin(at);
                    }
                    continue;
                }
                Mark::PmtDue(slot)
                | Mark::Pmt(slot)
                | Mark::StreamDue(slot)
                | Mark::Pts(slot)
                | Mark::PtsHidden(slot)
                | Mark::Pcr(slot) => slot,
            };
            let Some(pid) = self.pids.at(slot) else { continue };
            // What a PID is for may have changed since.
            let (is_map, is_stream) =
                (matches!(pid.role, Role::Pmt { .. }), matches!(pid.role, Role::Stream { .. }));
            match mark {
                Mark::PmtDue(_) if is_map => pid.pmt.begin(at),
                Mark::Pmt(_) if is_map => errors.pmt_error_2 += u64::from(pid.pmt.came(at, TABLES)),
                Mark::StreamDue(_) if pid.is_steady => pid.alive.begin(at),
                Mark::Pts(_) if is_stream => errors.pts_error += u64::from(pid.pts.came(at, PTS)),
                Mark::PtsHidden(_) => {
                    errors.pts_error += u64::from(pid.pts.is_late(at, PTS));
                    pid.pts = Timer::default();
                }
                Mark::Pcr(_) => {
                    errors.pcr_repetition_error += u64::from(pid.pcr_timer.came(at, pcr::MOST_BETWEEN));
                }
                _ => {}
            }
        }
    }

    /// Counts what has not come in time.
    fn check(&mut self) {
        let now = self.timeline.now();
        let Indicators {
            pat_error_2,
            pmt_error_2,
            pid_error,
            pcr_repetition_error,
            pts_error,
            cat_error,
            ..
        } = &mut self.indicators;
        *pat_error_2 += u64::from(self.pat.is_late(now, TABLES));
        *cat_error += u64::from(self.cat.is_late(now, TABLES));
        for pid in self.pids.all() {
            *pmt_error_2 += u64::from(pid.pmt.is_late(now, TABLES));
            *pcr_repetition_error += u64::from(pid.pcr_timer.is_late(now, pcr::MOST_BETWEEN));
            *pts_error += u64::from(pid.pts.is_late(now, PTS));
            if pid.is_steady {
                let packets = self.tallies.get(usize::from(pid.number)).map_or(0, |tally| tally.packets);
                if std::mem::replace(&mut pid.packets_before, packets) != packets {
                    // It was there since the last look.
                    _ = pid.alive.came(now, u64::MAX);
                }
                *pid_error += u64::from(pid.alive.is_late(now, PID));
            }
        }
    }
}

/// Whether a PES packet with a presentation time stamp begins there (H.222.0 §2.4.3.6).
fn has_pts(payload: &[u8]) -> bool {
    match *payload {
        [0, 0, 1, stream, _, _, _, flags, ..] => {
            matches!(stream, 0xbd | 0xc0..=0xef | 0xfd) && flags & 0x80 != 0
        }
        _ => false,
    }
}
