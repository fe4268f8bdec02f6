//! A second opinion on TR 101 290, for streams whose tables do not change and whose first clock never ends.
//!
//! It has the whole file and goes over it once for each indicator.

use std::collections::BTreeMap;

use super::{Class, Expected, Indicators, NULL_PID, classify, crc_bit_by_bit, find_packets, pid};

const SECOND: u64 = 27_000_000;
const WRAP: u64 = (1 << 33) * 300;

/// A packet of the file.
struct Packet {
    bytes: Vec<u8>,
    pid: u16,
    class: Class,
}

/// The file, and when which packet was.
struct File {
    packets: Vec<Packet>,
    /// Number of the packet, and time, of each reference of the first clock.
    ticks: Vec<(usize, u64)>,
}

/// What the indicators should be, with intervals on the stream's own clock; all but 2.4, which is not told.
#[must_use]
pub fn judge_file(file: &[u8]) -> Indicators {
    let mut framing = Expected::default();
    let packets = find_packets(file, &mut framing);
    let fragments: Vec<_> = packets.into_iter().map(|packet| (0, packet)).collect();
    let packets =
        classify(fragments).into_iter().map(|(bytes, class)| Packet { pid: pid(&bytes), bytes, class });
    let mut file = File { packets: packets.collect(), ticks: Vec::new() };
    file.ticks = file.clock();
    let mut found = Indicators {
        ts_sync_loss: framing.sync_losses,
        sync_byte_error: framing.sync_byte_errors,
        ..Indicators::default()
    };
    for packet in &file.packets {
        found.transport_error += u64::from(packet.has_error());
        found.continuity_count_error += u64::from(matches!(packet.class, Class::Gap(_)));
    }
    file.tables(&mut found);
    file.clocks(&mut found);
    found
}

// === impl Packet ===

impl Packet {
    fn has_error(&self) -> bool {
        self.bytes[1] & 0x80 != 0
    }

    fn starts(&self) -> bool {
        self.bytes[1] & 0x40 != 0
    }

    fn is_scrambled(&self) -> bool {
        self.class != Class::Ignored && self.bytes[3] & 0xc0 != 0
    }

    /// Whether more than its counter is looked at.
    fn is_used(&self) -> bool {
        !self.has_error() && !matches!(self.class, Class::Ignored | Class::Duplicate)
    }

    fn payload(&self) -> &[u8] {
        let from = if self.bytes[3] & 0x20 != 0 { 5 + usize::from(self.bytes[4]) } else { 4 };
        if self.bytes[3] & 0x10 == 0 { &[] } else { self.bytes.get(from..).unwrap_or_default() }
    }

    fn is_announced(&self) -> bool {
        self.bytes[3] & 0x20 != 0 && self.bytes[4] > 0 && self.bytes[5] & 0x80 != 0
    }

    fn pcr(&self) -> Option<u64> {
        let b = &self.bytes;
        let base =
            b[6..10].iter().fold(0, |base, byte| base << 8 | u64::from(*byte)) << 1 | u64::from(b[10] >> 7);
        let has = b[3] & 0x20 != 0 && b[4] >= 7 && b[5] & 0x10 != 0;
        has.then(|| (base * 300 + (u64::from(b[10] & 1) << 8 | u64::from(b[11]))) % WRAP)
    }

    fn has_pts(&self) -> bool {
        let p = self.payload();
        self.starts()
            && p.len() >= 8
            && p[..3] == [0, 0, 1]
            && (p[3] == 0xbd || p[3] == 0xfd || (0xc0..=0xef).contains(&p[3]))
            && p[7] & 0x80 != 0
    }
}

// === impl File ===

impl File {
    /// All PCRs of a PID: the packet's number, the value, and whether another clock was announced before it.
    fn pcrs(&self, pid: u16) -> Vec<(usize, u64, bool)> {
        let mut found = Vec::new();
        let mut is_announced = false;
        for (number, packet) in self.packets.iter().enumerate() {
            if packet.pid == pid && packet.is_used() {
                is_announced |= packet.is_announced();
                if let Some(value) = packet.pcr() {
                    found.push((number, value, is_announced));
                    is_announced = false;
                }
            }
        }
        found
    }

    fn clock(&self) -> Vec<(usize, u64)> {
        let first = self.packets.iter().find(|packet| packet.is_used() && packet.pcr().is_some());
        let Some(reference) = first.map(|packet| packet.pid) else { return Vec::new() };
        let pcrs = self.pcrs(reference);
        let mut ticks = vec![(pcrs[0].0, 0)];
        for pair in pcrs.windows(2) {
            let ((_, before, _), (number, value, is_announced)) = (pair[0], pair[1]);
            let ahead = (value + WRAP - before) % WRAP;
            let passed = if is_announced || ahead > SECOND { 0 } else { ahead };
            ticks.push((number, ticks[ticks.len() - 1].1 + passed));
        }
        ticks
    }

    /// When a packet was; `None` behind the last reference.
    fn time(&self, number: usize) -> Option<u64> {
        let next = self.ticks.iter().position(|(tick, _)| *tick >= number)?;
        let (to, end) = self.ticks[next];
        let Some((from, start)) = next.checked_sub(1).map(|before| self.ticks[before]) else {
            return Some(0);
        };
        let part = (end - start) as u128 * (number - from) as u128 / (to - from) as u128;
        Some(start + part as u64)
    }

    fn end(&self) -> u64 {
        self.ticks.last().map_or(0, |(_, time)| *time)
    }

    /// How often something stayed away for too long, from its first time on or from `due` until `end`.
    fn late(&self, due: Option<u64>, events: &[usize], end: Option<u64>, limit: u64) -> u64 {
        let mut times: Vec<u64> = due.into_iter().collect();
        times.extend(events.iter().filter_map(|number| self.time(*number)));
        if times.is_empty() || self.ticks.is_empty() {
            return 0;
        }
        times.push(end.unwrap_or_else(|| self.end()));
        times.windows(2).map(|pair| u64::from(pair[1].saturating_sub(pair[0]) > limit)).sum()
    }

    /// Sections on a PID behind a packet, with the number of the packet in which each ends.
    fn sections(&self, pid: u16, behind: usize) -> Vec<(usize, Vec<u8>)> {
        let of_pid: Vec<_> = self
            .packets
            .iter()
            .enumerate()
            .skip(behind)
            .filter(|(_, packet)| packet.pid == pid && packet.class != Class::Ignored)
            .filter(|(_, packet)| {
                packet.class != Class::Duplicate || packet.has_error() || packet.is_scrambled()
            })
            .collect();
        let is_torn = |packet: &Packet| packet.has_error() || packet.is_scrambled();
        let mut found = Vec::new();
        for (n, (number, packet)) in of_pid.iter().enumerate() {
            let payload = packet.payload();
            if !packet.starts() || is_torn(packet) || payload.is_empty() {
                continue;
            }
            let mut at = 1 + usize::from(payload[0]);
            while at < payload.len() && payload[at] != 0xff {
                let mut section = payload[at..].to_vec();
                let mut ends = *number;
                let length = |section: &[u8]| {
                    let head = section.get(1..3)?;
                    Some(3 + (usize::from(head[0] & 0x0f) << 8 | usize::from(head[1])))
                };
                let is_whole = |section: &[u8]| length(section).is_some_and(|length| section.len() >= length);
                for (number, packet) in &of_pid[n + 1..] {
                    if is_whole(&section) || is_torn(packet) || matches!(packet.class, Class::Gap(_)) {
                        break;
                    }
                    let payload = packet.payload();
                    ends = *number;
                    if packet.starts() && packet.bytes[3] & 0x10 != 0 {
                        let end = payload.first().map_or(0, |pointer| 1 + usize::from(*pointer));
                        section.extend_from_slice(payload.get(1..end).unwrap_or_default());
                        break;
                    }
                    section.extend_from_slice(payload);
                }
                if !is_whole(&section) {
                    break;
                }
                let length = length(&section).unwrap_or_default();
                section.truncate(length);
                found.push((ends, section));
                at += length;
            }
        }
        found.sort_by_key(|(ends, _)| *ends);
        found
    }

    /// 1.3a, 1.5a, 1.6, 2.2, 2.5 and 2.6.
    fn tables(&self, found: &mut Indicators) {
        let good = |sections: Vec<(usize, Vec<u8>)>, found: &mut Indicators| {
            let (good, bad): (Vec<_>, Vec<_>) = sections
                .into_iter()
                .partition(|(_, section)| section[1] & 0x80 == 0 || crc_bit_by_bit(section) == 0);
            found.crc_error += bad.len() as u64;
            good
        };
        let ends = |sections: &[(usize, Vec<u8>)], table: u8| -> Vec<usize> {
            sections.iter().filter(|(_, section)| section[0] == table).map(|(ends, _)| *ends).collect()
        };
        let scrambled = |pid: u16, behind: usize| {
            self.packets
                .iter()
                .skip(behind)
                .filter(|packet| packet.pid == pid && packet.is_scrambled())
                .count()
        };

        let sections = good(self.sections(0, 0), found);
        let pats = ends(&sections, 0);
        found.pat_error_2 += (sections.len() - pats.len() + scrambled(0, 0)) as u64;
        found.pat_error_2 += self.late(Some(0), &pats, None, SECOND / 2);

        let cats = good(self.sections(1, 0), found);
        found.cat_error += (cats.len() - ends(&cats, 1).len()) as u64;
        let cat = ends(&cats, 1).first().copied();
        let hidden = self.packets.iter().position(Packet::is_scrambled);
        if let Some(hidden) = hidden.filter(|hidden| cat.is_none_or(|cat| cat > *hidden)) {
            let until = cat.and_then(|cat| self.time(cat)).unwrap_or_else(|| self.end());
            found.cat_error += self.late(self.time(hidden), &[], Some(until), SECOND / 2);
        }

        let Some((associated, pat)) = sections.iter().find(|(_, section)| section[0] == 0) else { return };
        for entry in pat[8..pat.len() - 4].chunks_exact(4) {
            let map = pid(&[0, entry[2], entry[3]]);
            let sections = good(self.sections(map, associated + 1), found);
            let pmts = ends(&sections, 2);
            found.pmt_error_2 += scrambled(map, associated + 1) as u64;
            if let Some(due) = self.time(*associated) {
                found.pmt_error_2 += self.late(Some(due), &pmts, None, SECOND / 2);
            }
            let Some((mapped, pmt)) = sections.iter().find(|(_, section)| section[0] == 2) else { continue };
            // No descriptors are made here.
            for stream in pmt[12..pmt.len() - 4].chunks_exact(5).filter(|stream| stream[0] != 6) {
                let stream = pid(&[0, stream[1], stream[2]]);
                found.pid_error += self.absent(stream, *mapped);
                found.pts_error += self.silent(stream, *mapped);
            }
        }
    }

    /// 1.6: looked at with each reference of the clock.
    fn absent(&self, pid: u16, mapped: usize) -> u64 {
        let Some(mut last) = self.time(mapped) else { return 0 };
        let (mut before, mut is_told, mut errors) = (0, false, 0);
        for (tick, time) in self.ticks.iter().filter(|(tick, _)| *tick >= mapped) {
            let packets = self.packets[..=*tick].iter().filter(|packet| packet.pid == pid).count();
            if packets != before {
                (last, is_told, before) = (*time, false, packets);
            } else if time - last > 5 * SECOND && !is_told {
                (is_told, errors) = (true, errors + 1);
            }
        }
        errors
    }

    /// 2.5: between what is scrambled.
    fn silent(&self, pid: u16, mapped: usize) -> u64 {
        let (mut errors, mut stamps) = (0, Vec::new());
        for (number, packet) in self.packets.iter().enumerate().skip(mapped + 1) {
            if packet.pid != pid {
                continue;
            }
            if packet.is_scrambled() {
                if let Some(time) = self.time(number) {
                    errors += self.late(None, &std::mem::take(&mut stamps), Some(time), SECOND * 7 / 10);
                }
            } else if packet.is_used() && packet.has_pts() {
                stamps.push(number);
            }
        }
        errors + self.late(None, &stamps, None, SECOND * 7 / 10)
    }

    /// 2.3a and 2.3b.
    fn clocks(&self, found: &mut Indicators) {
        let pids: BTreeMap<u16, ()> = self.packets.iter().map(|packet| (packet.pid, ())).collect();
        for pid in pids.into_keys().filter(|pid| *pid != NULL_PID) {
            let pcrs = self.pcrs(pid);
            let events: Vec<_> = pcrs.iter().map(|(number, ..)| *number).collect();
            found.pcr_repetition_error += self.late(None, &events, None, SECOND / 10);
            for pair in pcrs.windows(2) {
                let ahead = (pair[1].1 + WRAP - pair[0].1) % WRAP;
                found.pcr_discontinuity_indicator_error += u64::from(!pair[1].2 && ahead > SECOND / 10);
            }
        }
    }
}
