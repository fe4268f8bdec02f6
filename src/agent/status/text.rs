//! The status for people.

use std::fmt::Write;

use stbeacon_core::player::{Frames, TsView};
use stbeacon_core::stb::{Duplex, RtpFigures};

use super::report::{
    ErrorStatus, HeartbeatStatus, InForce, InterfaceStatus, LineStatus, OutletStatus, PlayerStatus,
    ProvisioningStatus, ServerStatus, SessionStatus, Status,
};

/// The whole status, a few lines for each thing.
pub(super) fn text(status: &Status) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write_all(&mut out, status);
    out
}

fn write_all(out: &mut String, status: &Status) -> std::fmt::Result {
    let Status { version, pid, uptime_ms, provisioning, players, sessions, interfaces, queue, .. } = status;
    let kib = status.rss_bytes / 1024;
    writeln!(out, "stbeacon {version}, pid {pid}, up {}, {kib} KiB in RAM", duration(*uptime_ms))?;
    if !status.clock_set {
        writeln!(out, "the calendar clock is not set yet: reports wait")?;
    }
    write_provisioning(out, provisioning)?;
    if provisioning.statistics_url.is_empty() {
        writeln!(out, "  reporting is off: no statistics url")?;
    } else {
        writeln!(
            out,
            "  to {} every {}",
            provisioning.statistics_url,
            duration(provisioning.accum_period_ms)
        )?;
        let network = match provisioning.network_period_ms {
            0 => "off".to_owned(),
            period => format!("every {}", duration(period)),
        };
        let media = match (provisioning.media, provisioning.media_period_ms) {
            (false, _) => "off".to_owned(),
            (true, 0) => "at the end".to_owned(),
            (true, period) => format!("at the end and every {}", duration(period)),
        };
        writeln!(out, "  network reports {network}, media reports {media}")?;
    }

    writeln!(out, "\nplayers       {}", players.len())?;
    for player in players {
        let name = if player.name.is_empty() { "?" } else { &player.name };
        let since = duration(player.connected_ms);
        let PlayerStatus { pid, uid, sessions, .. } = player;
        writeln!(out, "  {name} (pid {pid}, user {uid}), connected {since}, {sessions} sessions")?;
    }
    writeln!(out, "\nsessions      {}", sessions.len())?;
    for session in sessions {
        write_session(out, session)?;
    }
    writeln!(out, "\ninterfaces    {}", interfaces.len())?;
    for interface in interfaces {
        write_interface(out, interface)?;
    }

    write!(out, "\nqueue         {} measured", queue.accumulating)?;
    if let Some(ms) = queue.accumulates_ms {
        write!(out, ", sent in {}", duration(ms))?;
    }
    write!(out, "; {} reports ({} bytes) wait", queue.reports, queue.bytes)?;
    match (queue.sending, queue.next_attempt_ms) {
        (true, _) => writeln!(out, ", on their way")?,
        (false, Some(ms)) => writeln!(out, ", next attempt in {}", duration(ms))?,
        (false, None) => writeln!(out)?,
    }
    if let Some(ms) = queue.oldest_ms {
        writeln!(out, "              {} on flash, the oldest waits for {}", queue.on_flash, duration(ms))?;
    }
    writeln!(out, "              {} bytes written to flash since the start", queue.flash_written)?;
    for fault in &queue.faults {
        writeln!(out, "              {fault}")?;
    }
    let d = &status.deliveries;
    writeln!(
        out,
        "deliveries    {} reports in {} requests: {} 2xx, {} 3xx, {} 4xx, {} 5xx, {} other, {} without answer",
        d.delivered_reports,
        d.requests,
        d.status_2xx,
        d.status_3xx,
        d.status_4xx,
        d.status_5xx,
        d.status_other,
        d.unreachable
    )?;
    let lost = &status.dropped;
    writeln!(
        out,
        "dropped       {} refused, {} too old, {} too many, {} for want of room, {} damaged, {} too long, {} while off",
        lost.refused, lost.aged, lost.full, lost.no_space, lost.corrupt, lost.too_large, lost.off
    )?;
    for line in &status.lines {
        write_line(out, line)?;
    }
    if let Some(heartbeats) = &status.heartbeats {
        let HeartbeatStatus { gateway, delivery, .. } = heartbeats;
        let OutletStatus { delivered, waiting, dropped, .. } = delivery;
        let dropped = dropped.sum();
        writeln!(
            out,
            "heartbeats    to {gateway}: {delivered} delivered, {waiting} wait, {dropped} dropped"
        )?;
        write_error(out, delivery.last_error.as_ref())?;
    }
    let datagrams = &status.datagrams;
    writeln!(
        out,
        "datagrams     {} taken, {} malformed, {} rejected",
        datagrams.taken, datagrams.malformed, datagrams.rejected
    )?;
    match &status.last_error {
        Some(error) => writeln!(out, "last error    {} ago: {}", duration(error.ago_ms), error.message),
        None => writeln!(out, "last error    none"),
    }
}

fn write_provisioning(out: &mut String, provisioning: &ProvisioningStatus) -> std::fmt::Result {
    let ProvisioningStatus { file, in_force, server, .. } = provisioning;
    let url = server.as_ref().map_or("", |server| &server.url);
    match in_force {
        InForce::Nothing => writeln!(out, "\nprovisioning  none yet")?,
        InForce::File => writeln!(out, "\nprovisioning  {file}")?,
        InForce::FileCopy => writeln!(out, "\nprovisioning  the last good copy of {file}")?,
        InForce::Server => writeln!(out, "\nprovisioning  {url}")?,
        InForce::ServerCopy => writeln!(out, "\nprovisioning  the last good copy of {url}")?,
    }
    let Some(ServerStatus { url, fetched_ago_ms, failures, next_fetch_ms }) = server else { return Ok(()) };
    let last =
        fetched_ago_ms.map_or("not fetched yet".to_owned(), |ms| format!("fetched {} ago", duration(ms)));
    write!(out, "  server {url}: {last}")?;
    if *failures > 0 {
        write!(out, ", {failures} failures since")?;
    }
    match next_fetch_ms {
        Some(ms) => writeln!(out, ", next attempt in {}", duration(*ms)),
        None => writeln!(out),
    }
}

fn write_line(out: &mut String, line: &LineStatus) -> std::fmt::Result {
    let target = match (line.active, line.target.as_str()) {
        (_, "") => "nowhere yet",
        (false, _) => "nowhere: switched off",
        (true, target) => target,
    };
    let OutletStatus { delivered, waiting, bytes, dropped, last_error, .. } = &line.delivery;
    let lost = dropped.sum();
    writeln!(
        out,
        "lines         to {target} (by {}): {delivered} delivered, {waiting} wait ({bytes} bytes), {lost} dropped",
        line.config
    )?;
    write_error(out, last_error.as_ref())
}

fn write_error(out: &mut String, error: Option<&ErrorStatus>) -> std::fmt::Result {
    let Some(error) = error else { return Ok(()) };
    writeln!(out, "              last error {} ago: {}", duration(error.ago_ms), error.message)
}

fn write_session(out: &mut String, session: &SessionStatus) -> std::fmt::Result {
    let SessionStatus { totals, counts, representation, .. } = session;
    let phase = format!("{:?}", session.phase).to_lowercase();
    writeln!(out, "  {} {phase} for {} {}", session.session, duration(session.age_ms), session.url)?;
    let join = totals.join.map_or_else(|| "not yet".to_owned(), |join| duration(join.0));
    writeln!(
        out,
        "    joined {join}; startup {}, playing {}, paused {}, rebuffering {} ({}×), seeking {} ({}×)",
        duration(totals.startup.0),
        duration(totals.playing.0),
        duration(totals.paused.0),
        duration(totals.rebuffering.0),
        totals.rebuffers,
        duration(totals.seeking.0),
        totals.seeks
    )?;
    writeln!(out, "    video {}; audio {}", frames(&counts.video), frames(&counts.audio))?;
    let ts = match counts.ts {
        TsView::None => "no transport stream".to_owned(),
        TsView::Seen => {
            let mut ts = format!(
                "{} discontinuities, about {} packets lost",
                counts.discontinuities, counts.lost_packets
            );
            for (count, what) in [
                (counts.sync_losses, "losses of sync"),
                (counts.sync_byte_errors, "wrong sync bytes"),
                (counts.transport_errors, "packets flagged as erroneous"),
                (counts.scrambled_packets, "packets scrambled"),
            ] {
                if count > 0 {
                    write!(ts, ", {count} {what}")?;
                }
            }
            ts
        }
        TsView::Unavailable => "transport stream out of sight".to_owned(),
    };
    write!(out, "    {} bytes, {} bit/s, {ts}", counts.bytes, session.avg_bitrate)?;
    if representation.bitrate > 0 {
        write!(out, ", nominal {} bit/s", representation.bitrate)?;
    }
    if let (Some(width), Some(height)) = (representation.width, representation.height) {
        write!(out, ", {width}×{height}")?;
    }
    if let Some(position) = session.position_ms {
        write!(out, ", at {}", duration(position))?;
    }
    writeln!(out)?;
    if counts.rtp.received > 0 {
        let rtp = RtpFigures::from(counts.rtp);
        let ms = |us: u64| format!("{}.{:02} ms", us / 1000, us % 1000 / 10);
        writeln!(
            out,
            "    RTP: {} packets, {} lost in {} gaps, {} out of order, {} twice; jitter {}, at most {}; MDI at worst \
             {}:{}",
            rtp.packets,
            rtp.lost,
            rtp.gaps,
            rtp.reordered,
            rtp.duplicates,
            ms(rtp.jitter_us),
            ms(rtp.jitter_max_us),
            ms(rtp.mdi_delay_factor_us),
            rtp.mdi_media_loss
        )?;
    }
    if let Some(error) = &session.error {
        writeln!(out, "    {} errors, last {}: {}", session.errors, error.code, error.message)?;
    }
    Ok(())
}

fn frames(frames: &Frames) -> String {
    let Frames { decoded, dropped, failed, lost, .. } = frames;
    format!("{decoded} decoded, {dropped} dropped, {failed} failed, {lost} lost")
}

fn write_interface(out: &mut String, interface: &InterfaceStatus) -> std::fmt::Result {
    let duplex = if interface.duplex == Duplex::Full { "full" } else { "half" };
    let ip = if interface.ip.is_empty() { "no address" } else { &interface.ip };
    writeln!(
        out,
        "  {} {ip}, {} Mbit/s {duplex}, received {} bytes in {} packets ({} errors, {} discarded), sent {} bytes in \
         {} packets ({} errors)",
        interface.name,
        interface.speed,
        interface.received_bytes,
        interface.received_total_packets,
        interface.received_error_packets,
        interface.received_discard_packets,
        interface.sent_bytes,
        interface.sent_total_packets,
        interface.sent_error_packets
    )
}

/// `850 ms`, `12.3 s`, `5 min 2 s`, `3 h 20 min`, `4 d 2 h`.
fn duration(ms: u64) -> String {
    let secs = ms / 1000;
    match secs {
        0 => format!("{ms} ms"),
        1..60 => format!("{secs}.{} s", ms % 1000 / 100),
        60..3600 => format!("{} min {} s", secs / 60, secs % 60),
        3600..86_400 => format!("{} h {} min", secs / 3600, secs / 60 % 60),
        _ => format!("{} d {} h", secs / 86_400, secs / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(850, "850 ms")]
    #[case(12_345, "12.3 s")]
    #[case(302_000, "5 min 2 s")]
    #[case(12_000_000, "3 h 20 min")]
    #[case(352_800_000, "4 d 2 h")]
    fn durations(#[case] ms: u64, #[case] text: &str) {
        assert_eq!(duration(ms), text);
    }
}
