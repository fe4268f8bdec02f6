//! The fields of a report as they stand on the wire, in their order.

use std::net::Ipv4Addr;

use serde::{Serialize, Serializer};

use super::qoe::Qoe;
use super::report::{Duplex, FrameCounts, InterfaceStat, MediaReport, NetworkReport, Report};

/// One report.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub(super) enum ReportWire<'a> {
    /// A network interface at one moment.
    Network(NetworkWire<'a>),
    /// A play-back.
    Media(MediaWire<'a>),
}

/// A network interface at one moment.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(super) struct NetworkWire<'a> {
    r#type: NetworkType,
    /// UNIX seconds at which it was measured.
    timestamp: u64,
    /// Name of the interface.
    name: &'a str,
    /// In Mbit/s; 0 if unknown.
    speed: u64,
    /// Half if unknown.
    duplex: Duplex,
    /// IPv4 address; empty if there is none.
    #[serde(serialize_with = "address")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::schema::address"))]
    ip: Option<Ipv4Addr>,
    /// IPv4 netmask; empty if there is no address.
    #[serde(serialize_with = "address")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::schema::address"))]
    netmask: Option<Ipv4Addr>,
    /// Active gateway of the box; empty if there is none.
    #[serde(serialize_with = "address")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::schema::address"))]
    gateway: Option<Ipv4Addr>,
    /// Traffic since the interface came up.
    stat: InterfaceStat,
}

/// A play-back.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(super) struct MediaWire<'a> {
    r#type: MediaType,
    /// UNIX seconds at which it was measured.
    timestamp: u64,
    /// What was played.
    url: &'a str,
    /// In bit/s; 0 if unknown.
    avg_bitrate: u64,
    /// UNIX seconds at which play-back began.
    begin: u64,
    /// UNIX seconds at which play-back ended.
    end: u64,
    /// Continuity-counter errors of the transport stream. The wire has always misspelt it.
    #[serde(rename = "discontinuties")]
    discontinuities: u64,
    /// The content's id inside `proto`; empty if unknown.
    id: &'a str,
    /// The TV protocol that started the stream; empty if unknown.
    proto: &'a str,
    /// Pictures.
    video: FrameCounts,
    /// Sound.
    audio: FrameCounts,
    /// In bit/s; some devices send it on HLS sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "u64"))]
    adaptive_bandwidth: Option<u64>,
    /// What the stock format has no field for; only if provisioned.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Qoe"))]
    qoe: Option<&'a Qoe>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
#[serde(rename_all = "lowercase")]
enum NetworkType {
    Network,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
#[serde(rename_all = "lowercase")]
enum MediaType {
    Media,
}

impl<'a> From<&'a Report> for ReportWire<'a> {
    fn from(report: &'a Report) -> Self {
        match report {
            Report::Network(report) => Self::Network(report.into()),
            Report::Media(report) => Self::Media(report.into()),
        }
    }
}

impl<'a> From<&'a NetworkReport> for NetworkWire<'a> {
    fn from(report: &'a NetworkReport) -> Self {
        let NetworkReport { timestamp, network } = report;
        Self {
            r#type: NetworkType::Network,
            timestamp: *timestamp,
            name: &network.name,
            speed: network.speed,
            duplex: network.duplex,
            ip: network.ip,
            netmask: network.netmask,
            gateway: network.gateway,
            stat: network.stat,
        }
    }
}

impl<'a> From<&'a MediaReport> for MediaWire<'a> {
    fn from(report: &'a MediaReport) -> Self {
        let MediaReport { timestamp, span, media } = report;
        Self {
            r#type: MediaType::Media,
            timestamp: *timestamp,
            url: &media.url,
            avg_bitrate: media.avg_bitrate,
            begin: span.begin(),
            end: span.end(),
            discontinuities: media.discontinuities,
            id: &media.id,
            proto: &media.proto,
            video: media.video,
            audio: media.audio,
            adaptive_bandwidth: media.adaptive_bandwidth,
            qoe: media.qoe.as_deref(),
        }
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ReportWire::from(self).serialize(serializer)
    }
}

impl Serialize for NetworkReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        NetworkWire::from(self).serialize(serializer)
    }
}

impl Serialize for MediaReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        MediaWire::from(self).serialize(serializer)
    }
}

#[expect(clippy::ref_option, reason = "the signature that serde calls")]
fn address<S: Serializer>(address: &Option<Ipv4Addr>, serializer: S) -> Result<S::Ok, S::Error> {
    match address {
        Some(address) => serializer.collect_str(address),
        None => serializer.serialize_str(""),
    }
}
