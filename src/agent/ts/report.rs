//! What was found, for people and for programs.

use std::fmt;

use serde::Serialize;
use stbeacon_core::ts::{Indicators, Medium, Monitor, PidReport, Role};

use super::transport::Network;

/// Everything.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    input: String,
    /// From one packet to the next.
    packet_size: Option<usize>,
    packets: u64,
    null_packets: u64,
    /// In bit/s, by the stream's clock references.
    bitrate: Option<u64>,
    duration_ms: u64,
    /// All indicators together.
    pub(super) errors: u64,
    indicators: Indicators,
    /// Estimate.
    lost_packets: u64,
    duplicates: u64,
    scrambled: u64,
    pids: Vec<Pid>,
    #[serde(flatten)]
    network: Option<Network>,
}

#[derive(Debug, Serialize)]
struct Pid {
    pid: u16,
    what: String,
    programme: Option<u16>,
    stream_type: Option<u8>,
    medium: Option<Medium>,
    pcr: bool,
    packets: u64,
    bitrate: Option<u64>,
    scrambled: u64,
    transport_errors: u64,
    duplicates: u64,
    discontinuities: u64,
    lost_packets: u64,
}

// === impl Report ===

impl Report {
    pub(super) fn new(input: String, monitor: &Monitor, network: Option<Network>) -> Self {
        let (counts, indicators) = (monitor.counts(), monitor.indicators());
        let pids = monitor.pids();
        Self {
            input,
            packet_size: monitor.stride(),
            packets: counts.packets,
            null_packets: counts.null_packets,
            bitrate: monitor.bitrate(),
            duration_ms: u64::try_from(monitor.duration().as_millis()).unwrap_or(u64::MAX),
            errors: indicators.sum(),
            indicators,
            lost_packets: counts.lost_packets,
            duplicates: counts.duplicates,
            scrambled: counts.scrambled,
            pids: pids.iter().map(|pid| Pid::new(pid, monitor)).collect(),
            network,
        }
    }

    pub(super) fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_else(|error| error.to_string()) + "\n"
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.packet_size.map_or_else(String::new, |size| format!(" of {size} bytes"));
        let seconds = self.duration_ms / 100;
        writeln!(f, "{}: {} packets{size}", self.input, self.packets)?;
        if self.bitrate.is_some() {
            writeln!(f, "{}.{} s by its clock, {}", seconds / 10, seconds % 10, rate(self.bitrate))?;
        } else {
            writeln!(f, "it has no clock: neither its rate nor any interval is known")?;
        }
        writeln!(
            f,
            "\n   PID  {:34} {:>10} {:>9} {:>9} {:>6} {:>6} {:>6}",
            "what", "packets", "kbit/s", "scrambled", "twice", "gaps", "lost"
        )?;
        for pid in &self.pids {
            let what = if pid.pcr { format!("{}, PCR", pid.what) } else { pid.what.clone() };
            let kilobits = pid.bitrate.map_or_else(String::new, |rate| (rate / 1000).to_string());
            writeln!(
                f,
                "{:6}  {what:34} {:>10} {kilobits:>9} {:>9} {:>6} {:>6} {:>6}",
                pid.pid, pid.packets, pid.scrambled, pid.duplicates, pid.discontinuities, pid.lost_packets
            )?;
        }
        if let Some(network) = &self.network {
            writeln!(f, "\n{network}")?;
        }
        writeln!(f, "\nerrors by TR 101 290:{}", if self.errors == 0 { " none" } else { "" })?;
        for (number, name, count) in self.indicators.named() {
            if count > 0 {
                writeln!(f, "  {number:5} {name:34} {count:>10}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} datagrams", self.datagrams)?;
        if self.overflows > 0 {
            write!(f, ", and {} dropped on this host, which was too slow", self.overflows)?;
        }
        if let Some(rtp) = &self.rtp {
            write!(
                f,
                "\nRTP: {} lost in {} gaps, {} reordered, {} twice, {} restarts",
                rtp.lost, rtp.gaps, rtp.reordered, rtp.duplicates, rtp.restarts
            )?;
            if let Some(jitter) = rtp.jitter_ms {
                write!(f, ", jitter {jitter:.2} ms")?;
            }
            if rtp.foreign > 0 {
                write!(f, "; {} datagrams are no RTP with a transport stream", rtp.foreign)?;
            }
        }
        if let Some(mdi) = &self.mdi {
            write!(f, "\nmedia delivery index, the worst of each: {} (ms:packets/s)", mdi.worst())?;
        }
        Ok(())
    }
}

// === impl Pid ===

impl Pid {
    fn new(report: &PidReport, monitor: &Monitor) -> Self {
        let (programme, kind) = match report.role {
            Role::Pmt { programme } => (Some(programme), None),
            Role::Stream { programme, kind } => (Some(programme), Some(kind)),
            _ => (None, None),
        };
        let share = |rate: u64| {
            let of = u128::from(monitor.counts().packets.max(1));
            u64::try_from(u128::from(rate) * u128::from(report.packets) / of).unwrap_or(u64::MAX)
        };
        Self {
            pid: report.pid,
            what: what(report.role),
            programme,
            stream_type: kind.map(|kind| kind.stream_type),
            medium: kind.map(|kind| kind.medium),
            pcr: report.has_pcr,
            packets: report.packets,
            bitrate: monitor.bitrate().map(share),
            scrambled: report.scrambled,
            transport_errors: report.transport_errors,
            duplicates: report.duplicates,
            discontinuities: report.discontinuities,
            lost_packets: report.lost_packets,
        }
    }
}

fn what(role: Role) -> String {
    let fixed = match role {
        Role::Pat => "PAT",
        Role::Cat => "CAT",
        Role::Nit => "NIT",
        Role::Sdt => "SDT",
        Role::Eit => "EIT",
        Role::Tdt => "TDT",
        Role::Null => "null packets",
        Role::Unknown => "in no table",
        Role::Pmt { programme } => return format!("programme {programme}: PMT"),
        Role::Stream { programme, kind } => return format!("programme {programme}: {kind}"),
    };
    fixed.to_owned()
}

/// A rate for people.
pub(super) fn rate(bits: Option<u64>) -> String {
    match bits {
        None => "no rate yet".to_owned(),
        Some(bits) => format!("{}.{:03} Mbit/s", bits / 1_000_000, bits / 1000 % 1000),
    }
}
