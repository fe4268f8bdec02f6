//! The status as Prometheus reads it: the text exposition format 0.0.4, one snapshot.
//!
//! Names say their unit. What counts since the daemon, a session or an interface began is a counter, everything
//! else a gauge.

use std::fmt::Write;

use super::report::{DeliveryStatus, InterfaceStatus, SessionStatus, Status};

/// Families of samples, each with its help and type once.
struct Exposition {
    out: String,
}

/// One family that is being written.
struct Family<'a> {
    name: &'a str,
    out: &'a mut String,
}

/// Name, help and value of what each of several things counts.
struct Counted<T>(&'static str, &'static str, fn(&T) -> u64);

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

/// The whole status.
pub(super) fn exposition(status: &Status) -> String {
    let mut all = Exposition { out: String::new() };
    write_daemon(&mut all, status);
    write_sessions(&mut all, &status.sessions);
    write_interfaces(&mut all, status);
    write_reports(&mut all, status);
    write_lines(&mut all, status);
    all.out
}

fn write_daemon(all: &mut Exposition, status: &Status) {
    all.gauge("stbeacon_build_info", "Version of the daemon.").sample(&[("version", &status.version)], 1);
    all.gauge("stbeacon_uptime_seconds", "Since the daemon started.").seconds(&[], status.uptime_ms);
    all.gauge("stbeacon_resident_memory_bytes", "Memory of the daemon that is in RAM.")
        .sample(&[], status.rss_bytes);
    all.gauge("stbeacon_clock_set", "Whether the calendar clock is set; until then reports wait.")
        .sample(&[], u64::from(status.clock_set));

    let in_force = serde_json::to_value(status.provisioning.in_force).unwrap_or_default();
    all.gauge("stbeacon_provisioning_info", "Where the provisioning in force came from.")
        .sample(&[("in_force", in_force.as_str().unwrap_or_default())], 1);
    if let Some(server) = &status.provisioning.server {
        all.gauge("stbeacon_provisioning_fetch_failures", "Failed fetches since the last good one.")
            .sample(&[], u64::from(server.failures));
    }

    all.gauge("stbeacon_players", "Players that are connected.").count(status.players.len());
    let mut datagrams = all.counter("stbeacon_datagrams_total", "Datagrams of players.");
    datagrams.sample(&[("result", "taken")], status.datagrams.taken);
    datagrams.sample(&[("result", "malformed")], status.datagrams.malformed);
    datagrams.sample(&[("result", "rejected")], status.datagrams.rejected);
    if let Some(error) = &status.last_error {
        all.gauge("stbeacon_last_error_age_seconds", "Since something last went wrong.")
            .seconds(&[], error.ago_ms);
    }
}

fn write_sessions(all: &mut Exposition, sessions: &[SessionStatus]) {
    all.gauge("stbeacon_sessions", "Sessions that run.").count(sessions.len());
    let mut phase = all.gauge("stbeacon_session_info", "Sessions by the phase that each is in.");
    for session in sessions {
        let name = format!("{:?}", session.phase).to_lowercase();
        phase.sample(&[("session", &session.session), ("phase", &name)], 1);
    }
    let mut frames =
        all.counter("stbeacon_session_frames_total", "Frames of a session by what became of them.");
    for session in sessions {
        for (medium, counted) in [("video", &session.counts.video), ("audio", &session.counts.audio)] {
            let results = [
                ("decoded", counted.decoded),
                ("dropped", counted.dropped),
                ("failed", counted.failed),
                ("lost", counted.lost),
            ];
            for (result, count) in results {
                let labels = [("session", session.session.as_str()), ("medium", medium), ("result", result)];
                frames.sample(&labels, count);
            }
        }
    }
    let counters: [Counted<SessionStatus>; 4] = [
        Counted("stbeacon_session_stream_bytes_total", "Bytes that entered the demuxer.", |s| s.counts.bytes),
        Counted("stbeacon_session_discontinuities_total", "Continuity-counter errors.", |s| {
            s.counts.discontinuities
        }),
        Counted("stbeacon_session_rebuffers_total", "Times it waited for data in mid-play.", |s| {
            s.totals.rebuffers
        }),
        Counted("stbeacon_session_errors_total", "Errors that the player told.", |s| s.errors),
    ];
    for Counted(name, help, value) in counters {
        let mut family = all.counter(name, help);
        for session in sessions {
            family.sample(&[("session", &session.session)], value(session));
        }
    }
    let mut bitrate = all.gauge("stbeacon_session_bitrate_bits_per_second", "Average over the time played.");
    for session in sessions {
        bitrate.sample(&[("session", &session.session)], session.avg_bitrate);
    }
    let mut times = all.counter("stbeacon_session_seconds_total", "Time of a session in each phase.");
    for session in sessions {
        let totals = &session.totals;
        let phases = [
            ("startup", totals.startup),
            ("playing", totals.playing),
            ("paused", totals.paused),
            ("rebuffering", totals.rebuffering),
            ("seeking", totals.seeking),
            ("ad", totals.ads),
        ];
        for (phase, time) in phases {
            times.seconds(&[("session", &session.session), ("phase", phase)], time.0);
        }
    }
}

fn write_interfaces(all: &mut Exposition, status: &Status) {
    let counters: [Counted<InterfaceStatus>; 8] = [
        Counted("stbeacon_interface_receive_bytes_total", "Bytes received.", |i| i.received_bytes),
        Counted("stbeacon_interface_receive_packets_total", "Packets received.", |i| {
            i.received_total_packets
        }),
        Counted("stbeacon_interface_receive_multicast_total", "Multicast packets received.", |i| {
            i.received_multicast_packets
        }),
        Counted("stbeacon_interface_receive_errors_total", "Errors in receiving.", |i| {
            i.received_error_packets
        }),
        Counted("stbeacon_interface_receive_discards_total", "Packets received and discarded.", |i| {
            i.received_discard_packets
        }),
        Counted("stbeacon_interface_transmit_bytes_total", "Bytes sent.", |i| i.sent_bytes),
        Counted("stbeacon_interface_transmit_packets_total", "Packets sent.", |i| i.sent_total_packets),
        Counted("stbeacon_interface_transmit_errors_total", "Errors in sending.", |i| i.sent_error_packets),
    ];
    for Counted(name, help, value) in counters {
        let mut family = all.counter(name, help);
        for interface in &status.interfaces {
            family.sample(&[("interface", &interface.name)], value(interface));
        }
    }
    let mut speed = all.gauge("stbeacon_interface_speed_bits_per_second", "Speed of the link; 0 if unknown.");
    for interface in &status.interfaces {
        speed.sample(&[("interface", &interface.name)], interface.speed.saturating_mul(1_000_000));
    }
}

fn write_reports(all: &mut Exposition, status: &Status) {
    let queue = &status.queue;
    all.gauge("stbeacon_reports_accumulating", "Measured in the period that runs.")
        .sample(&[], queue.accumulating);
    all.gauge("stbeacon_queue_reports", "Reports that wait or are on their way.").sample(&[], queue.reports);
    all.gauge("stbeacon_queue_bytes", "What they take.").sample(&[], queue.bytes);
    all.gauge("stbeacon_queue_flash_reports", "Reports that are on flash.").sample(&[], queue.on_flash);
    all.gauge("stbeacon_queue_oldest_seconds", "How long the oldest report has waited.")
        .seconds(&[], queue.oldest_ms.unwrap_or(0));
    all.counter("stbeacon_flash_written_bytes_total", "Bytes written to flash.")
        .sample(&[], queue.flash_written);
    let deliveries = &status.deliveries;
    all.counter("stbeacon_reports_delivered_total", "Reports that the server took.")
        .sample(&[], deliveries.delivered_reports);
    let mut dropped = all.counter("stbeacon_reports_dropped_total", "Reports that are lost, by reason.");
    for (reason, count) in status.dropped.reasons() {
        dropped.sample(&[("reason", reason)], count);
    }
    let mut requests = all.counter("stbeacon_requests_total", "Requests by channel and how they ended.");
    requests.answers("reports", "", deliveries);
    for line in &status.lines {
        requests.answers("lines", &line.target, &line.delivery.answers);
    }
    if let Some(heartbeats) = &status.heartbeats {
        requests.answers("heartbeats", &heartbeats.gateway, &heartbeats.delivery.answers);
    }
}

fn write_lines(all: &mut Exposition, status: &Status) {
    if !status.lines.is_empty() {
        let mut waiting = all.gauge("stbeacon_lines_waiting", "Lines that wait or are on their way.");
        for line in &status.lines {
            waiting.sample(&[("config", &line.config), ("target", &line.target)], line.delivery.waiting);
        }
        let mut bytes = all.gauge("stbeacon_lines_waiting_bytes", "What they take.");
        for line in &status.lines {
            bytes.sample(&[("config", &line.config), ("target", &line.target)], line.delivery.bytes);
        }
        let mut delivered = all.counter("stbeacon_lines_delivered_total", "Lines that the server took.");
        for line in &status.lines {
            delivered.sample(&[("config", &line.config), ("target", &line.target)], line.delivery.delivered);
        }
        let mut dropped = all.counter("stbeacon_lines_dropped_total", "Lines that are lost, by reason.");
        for line in &status.lines {
            for (reason, count) in line.delivery.dropped.reasons() {
                let labels = [("config", line.config.as_str()), ("target", &line.target), ("reason", reason)];
                dropped.sample(&labels, count);
            }
        }
        let mut lost = all.counter(
            "stbeacon_line_events_lost_total",
            "Events given up because there were too many before the configuration of lines was there.",
        );
        for line in &status.lines {
            lost.sample(&[("config", &line.config), ("target", &line.target)], line.lost_events);
        }
    }
    if let Some(heartbeats) = &status.heartbeats {
        all.gauge("stbeacon_heartbeats_waiting", "Heartbeats that wait or are on their way.")
            .sample(&[], heartbeats.delivery.waiting);
        all.gauge("stbeacon_heartbeats_waiting_bytes", "What they take.")
            .sample(&[], heartbeats.delivery.bytes);
        all.counter("stbeacon_heartbeats_delivered_total", "Heartbeats that the gateway took.")
            .sample(&[], heartbeats.delivery.delivered);
        let mut dropped =
            all.counter("stbeacon_heartbeats_dropped_total", "Heartbeats that are lost, by reason.");
        for (reason, count) in heartbeats.delivery.dropped.reasons() {
            dropped.sample(&[("reason", reason)], count);
        }
        all.counter(
            "stbeacon_heartbeat_events_lost_total",
            "Events given up because there were too many before a heartbeat could be made.",
        )
        .sample(&[], heartbeats.lost_events);
    }
}

// === impl Exposition ===

impl Exposition {
    fn counter<'a>(&'a mut self, name: &'a str, help: &str) -> Family<'a> {
        self.family(name, help, Kind::Counter)
    }

    fn gauge<'a>(&'a mut self, name: &'a str, help: &str) -> Family<'a> {
        self.family(name, help, Kind::Gauge)
    }

    fn family<'a>(&'a mut self, name: &'a str, help: &str, kind: Kind) -> Family<'a> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        // Writing to a string does not fail, here and below.
        let _ = writeln!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family { name, out: &mut self.out }
    }
}

// === impl Family ===

impl Family<'_> {
    fn count(&mut self, value: usize) {
        self.sample(&[], whole(value));
    }

    fn sample(&mut self, labels: &[(&str, &str)], value: u64) {
        self.write(labels, format_args!("{value}"));
    }

    fn seconds(&mut self, labels: &[(&str, &str)], ms: u64) {
        self.write(labels, format_args!("{}.{:03}", ms / 1000, ms % 1000));
    }

    /// Requests of one channel, by class.
    fn answers(&mut self, channel: &str, target: &str, answers: &DeliveryStatus) {
        let classes = [
            ("2xx", answers.status_2xx),
            ("3xx", answers.status_3xx),
            ("4xx", answers.status_4xx),
            ("5xx", answers.status_5xx),
            ("other", answers.status_other),
            ("unreachable", answers.unreachable),
        ];
        for (class, count) in classes {
            self.sample(&[("channel", channel), ("target", target), ("result", class)], count);
        }
    }

    fn write(&mut self, labels: &[(&str, &str)], value: std::fmt::Arguments<'_>) {
        let _ = write!(self.out, "{}", self.name);
        for (at, (name, text)) in labels.iter().enumerate() {
            let _ = write!(self.out, "{}{name}=\"{}\"", if at == 0 { "{" } else { "," }, escaped(text));
        }
        let _ = writeln!(self.out, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}

fn whole(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// A label's value, as the format wants it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use stbeacon_core::player::Frames;

    use super::super::report::{
        HeartbeatStatus, LineStatus, OutletStatus, PlayerStatus, ProvisioningStatus, ServerStatus,
    };
    use super::*;

    fn session(id: &str) -> SessionStatus {
        let text = format!(
            r#"{{"session":"{id}","pid":1,"url":"","proto":"","id":"","phase":"playing","age_ms":1,"avg_bitrate":8000,
                "totals":{{"rebuffers":2,"rebuffering":1500}},"counts":{},"representation":{},"tags":{{}},"errors":0}}"#,
            serde_json::to_string(&stbeacon_core::session::Counts {
                video: Frames { decoded: 250, dropped: 3, ..Frames::default() },
                ..Default::default()
            })
            .unwrap(),
            serde_json::to_string(&stbeacon_core::player::Bitrate::default()).unwrap(),
        );
        serde_json::from_str(&text).unwrap()
    }

    fn full() -> Status {
        Status {
            version: "1.2.3".to_owned(),
            uptime_ms: 61_005,
            rss_bytes: 4096,
            provisioning: ProvisioningStatus { server: Some(ServerStatus::default()), ..Default::default() },
            players: vec![PlayerStatus::default()],
            sessions: vec![session("a-1"), session(r#"b\"\\"#)],
            lines: vec![LineStatus {
                config: "c".to_owned(),
                delivery: OutletStatus { delivered: 5, ..OutletStatus::default() },
                lost_events: 7,
                ..LineStatus::default()
            }],
            heartbeats: Some(HeartbeatStatus::default()),
            ..Status::default()
        }
    }

    #[test]
    fn samples_say_what_the_status_says() {
        let text = exposition(&full());
        for line in [
            "stbeacon_build_info{version=\"1.2.3\"} 1",
            "stbeacon_uptime_seconds 61.005",
            "stbeacon_resident_memory_bytes 4096",
            "stbeacon_provisioning_info{in_force=\"nothing\"} 1",
            "stbeacon_players 1",
            "stbeacon_session_info{session=\"a-1\",phase=\"playing\"} 1",
            "stbeacon_session_info{session=\"b\\\"\\\\\",phase=\"playing\"} 1",
            "stbeacon_session_frames_total{session=\"a-1\",medium=\"video\",result=\"decoded\"} 250",
            "stbeacon_session_seconds_total{session=\"a-1\",phase=\"rebuffering\"} 1.500",
            "stbeacon_requests_total{channel=\"reports\",target=\"\",result=\"2xx\"} 0",
            "stbeacon_lines_delivered_total{config=\"c\",target=\"\"} 5",
            "stbeacon_line_events_lost_total{config=\"c\",target=\"\"} 7",
        ] {
            assert!(text.lines().any(|l| l == line), "no {line} in\n{text}");
        }
    }

    /// Each family has its help and type once, before its samples; no sample comes twice.
    #[test]
    fn it_is_the_text_exposition_format() {
        let text = exposition(&full());
        assert!(text.ends_with('\n'));
        let (mut families, mut samples, mut current) = (BTreeSet::new(), BTreeSet::new(), String::new());
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, words) = help.split_once(' ').unwrap();
                assert!(name.starts_with("stbeacon_") && !words.is_empty(), "{line}");
                assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
                assert!(families.insert(name.to_owned()), "{name} twice");
                let kind =
                    lines.next().and_then(|line| line.strip_prefix(&format!("# TYPE {name} "))).unwrap();
                assert_eq!(kind == "counter", name.ends_with("_total"), "{name} {kind}");
                current = name.to_owned();
                continue;
            }
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert!(series == current || series.starts_with(&format!("{current}{{")), "{line} in {current}");
            assert!(value.parse::<f64>().unwrap() >= 0.0, "{line}");
            assert!(samples.insert(series.to_owned()), "{series} twice");
        }
    }
}
