//! Provisioning: what the operator's file says, as types that cannot hold nonsense.
//!
//! The file is the stock boxes' `tvip_provision.xml`. Of it only `<provision reload>` and `<statistics>` concern
//! this project; all that the stock format has no place for stands in one element of our own, `<stbeacon>`, so
//! that stock boxes and this agent can share a file. Whatever else the file holds is not looked at.
//!
//! ```xml
//! <provision reload="600">
//!   <statistics url="https://stats.example.net/drop" accum_period="300">
//!     <media period="30"/>
//!     <network period="60"/>
//!   </statistics>
//!   <stbeacon>
//!     <reports extended="false" gzip="false" url_redact="false" interfaces="eth*,wlan*"/>
//!     <auth scheme="basic" user="box" secret_file="/etc/stbeacon/stats.secret"/>
//!     <tls ca="/etc/stbeacon/operator-ca.pem" cert="/etc/stbeacon/box.pem" key="/etc/stbeacon/box.key"/>
//!     <spool max_bytes="8388608" max_age="604800" keep_free="16777216"/>
//!     <media_analytics config="https://ma.example.net/config/beacon.xml" player_id="lounge">
//!       <dimension key="_cd_1000" value="lab"/>
//!     </media_analytics>
//!     <media_analytics host="https://lines.example.org" path="/9.gif"/>
//!     <heartbeat gateway="https://hb.example.net" customer_key="KEY" interval="20"/>
//!   </stbeacon>
//! </provision>
//! ```
//!
//! A number or a switch that makes no sense is replaced by its default, and a [`Note`] says so. What has no
//! sensible default — a URL, a secret's file — is an error, and the file as a whole is refused, so that the last
//! good one stays in force.

mod explain;
mod glob;
mod http_url;
mod read;
mod refresh;
mod server;

use std::path::PathBuf;

use roxmltree::{Document, ParsingOptions};
use thiserror::Error;

pub use self::explain::Explain;
pub use self::glob::Glob;
pub use self::http_url::{HttpUrl, HttpUrlError};
pub use self::refresh::Refresh;
pub use self::server::server_url;

use self::explain::Setting;
use self::read::Reader;
pub(crate) use self::read::{not_utf8, not_xml};
use crate::time::Millis;

/// A provisioning file, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// What is in force.
    pub provisioning: Provisioning,
    /// What was ignored although it looks as if it were meant for this agent.
    pub notes: Vec<Note>,
    /// Every setting with its origin, for [`Parsed::explain`].
    settings: Vec<Setting>,
}

/// What an operator wants of the box; by default nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provisioning {
    /// How long until the file is fetched again; `None` means never.
    pub reload: Option<Millis>,
    /// The STB statistics; `None` means that reporting is off.
    pub statistics: Option<Statistics>,
    /// How reports are made.
    pub reports: ReportOptions,
    /// How the agent proves who it is to the statistics server.
    pub auth: Option<Auth>,
    /// Certificates for the statistics server.
    pub tls: Tls,
    /// How much may wait on disk for delivery.
    pub spool: SpoolLimits,
    /// Media Analytics lines, each to an endpoint of its own; empty means off.
    pub media_analytics: Vec<MediaAnalytics>,
    /// Heartbeats; `None` means off.
    pub heartbeat: Option<Heartbeat>,
}

/// `<statistics>`: where the reports go, and which there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statistics {
    /// Where they are POSTed to.
    pub url: HttpUrl,
    /// How long reports gather before they go in one request. At least one second.
    pub accum_period: Millis,
    /// `<media>`: a report for each play-back; `None` means none.
    pub media: Option<MediaReports>,
    /// `<network>`: reports of the interfaces; `None` means none.
    pub network: Option<NetworkReports>,
}

/// `<media>`: reports of play-backs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MediaReports {
    /// Time between further reports while it plays; `None` reports only at its end.
    pub period: Option<Millis>,
}

/// `<network>`: reports of the interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkReports {
    /// Time between two samples. At least one second.
    pub period: Millis,
}

/// `<stbeacon><reports>`: how reports are made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReportOptions {
    /// Adds the `qoe` object to media reports.
    pub extended: bool,
    /// Compresses request bodies.
    pub gzip: bool,
    /// Strips user-info and query from URLs in reports.
    pub url_redact: bool,
    /// Which interfaces are reported; empty means all running ones but loopback and virtual ones.
    pub interfaces: Vec<Glob>,
}

/// `<auth>`: how the agent proves who it is. The secret itself is never in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// User name and password (RFC 7617).
    Basic {
        /// The user name; holds no colon.
        user: String,
        /// File that holds the password; an absolute path.
        secret_file: PathBuf,
    },
    /// A token (RFC 6750).
    Bearer {
        /// File that holds the token; an absolute path.
        secret_file: PathBuf,
    },
}

/// `<tls>`: certificates. All paths are absolute, all files PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Certificate authorities to trust in place of the system's.
    pub ca: Option<PathBuf>,
    /// The box's own certificate.
    pub client: Option<ClientCert>,
}

/// A client certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCert {
    /// The certificate, with its chain.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// `<spool>`: how much may wait on disk for delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolLimits {
    /// Most bytes that may wait; the oldest go first.
    pub max_bytes: u64,
    /// Longest that anything may wait.
    pub max_age: Millis,
    /// Bytes of the file system that are left free.
    pub keep_free: u64,
}

/// `<media_analytics>`: beacon lines to one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaAnalytics {
    /// Where the beacon's configuration comes from.
    pub config: ConfigSource,
    /// Where lines go, in place of the configuration's `<host>`.
    pub host: Option<String>,
    /// In place of the configuration's `<path>`.
    pub path: Option<String>,
    /// `d`: who watches, in place of the box's own id.
    pub viewer_id: Option<String>,
    /// `pd`: which player of the operator's.
    pub player_id: Option<String>,
    /// `ak`: kind of player.
    pub player_type: Option<String>,
    /// `sa`: model of the box, in place of what the box says itself.
    pub device: Option<String>,
    /// `cm`: the delivery network, where neither the player nor the configuration tells.
    pub cdn: Option<String>,
    /// Values the operator adds to every line, in the file's order.
    pub dimensions: Vec<Dimension>,
    /// How the agent proves who it is to this server; never the statistics server's secret.
    pub auth: Option<Auth>,
    /// Certificates for this server.
    pub tls: Tls,
}

/// Where a beacon's configuration comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigSource {
    /// The built-in one, with every metric; the host is then provisioned.
    Builtin,
    /// A file of the box; an absolute path.
    File(PathBuf),
    /// Fetched.
    Url(HttpUrl),
}

/// `<dimension>`: one value the operator adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dimension {
    /// Its name, not empty.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// `<heartbeat>`: a sign of life while something plays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// Where it is POSTed to.
    pub gateway: HttpUrl,
    /// The operator's key, not empty.
    pub customer_key: String,
    /// Time between two. At least one second.
    pub interval: Millis,
    /// Who watches, in place of the box's own id.
    pub viewer_id: Option<String>,
    /// Values the operator adds to every session, in the file's order.
    pub dimensions: Vec<Dimension>,
    /// How the agent proves who it is to this server; never the statistics server's secret.
    pub auth: Option<Auth>,
    /// Certificates for this server.
    pub tls: Tls,
}

/// Something in the file that was ignored although it looks as if it were meant for this agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Line in the file, from 1.
    pub line: u32,
    /// Column in that line, in characters, from 1.
    pub column: u32,
    /// What was ignored, and what is in force instead.
    pub message: String,
}

/// Why a file was refused as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {found}; {remedy}")]
pub struct ParseError {
    /// Line in the file, from 1.
    pub line: u32,
    /// Column in that line, in characters, from 1.
    pub column: u32,
    /// What is wrong there.
    pub found: String,
    /// What was expected, and what to do.
    pub remedy: String,
}

// === impl Provisioning ===

impl Provisioning {
    /// Accumulation period where the file gives none.
    pub const DEFAULT_ACCUM_PERIOD: Millis = Millis::from_secs(300);
    /// Network sampling period where the file gives none.
    pub const DEFAULT_NETWORK_PERIOD: Millis = Millis::from_secs(300);
    /// Heartbeat interval where the file gives none.
    pub const DEFAULT_HEARTBEAT_INTERVAL: Millis = Millis::from_secs(20);

    /// Reads the text of a provisioning file.
    ///
    /// # Errors
    /// Where it is no complete XML document, its root is not `<provision>`, or a setting that has no sensible
    /// default makes no sense: a URL, a secret's file, a certificate without key.
    pub fn parse(text: &str) -> Result<Parsed, ParseError> {
        // A document type declaration is nothing the stock boxes refuse. None is ever fetched, and the
        // expansion of entities is bounded by the parser.
        let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
        let document = Document::parse_with_options(text, options)
            .map_err(|error| read::not_xml(text, &error, "provision"))?;
        let mut reader = Reader::new(&document);
        let provisioning = reader.provisioning()?;
        let (notes, settings) = reader.finish();
        Ok(Parsed { provisioning, notes, settings })
    }

    /// Reads the bytes of a provisioning file.
    ///
    /// # Errors
    /// As [`Provisioning::parse`], and where the bytes are not UTF-8.
    pub fn parse_bytes(bytes: &[u8]) -> Result<Parsed, ParseError> {
        let text = std::str::from_utf8(bytes).map_err(|error| not_utf8(bytes, &error))?;
        Self::parse(text)
    }
}

// === impl Parsed ===

impl Parsed {
    /// What is in force, line by line, and which of it are defaults; for people to read.
    #[must_use]
    pub fn explain(&self) -> Explain<'_> {
        Explain::new(&self.settings, &self.notes)
    }

    /// The same without [`Parsed::notes`], for who shows those another way.
    #[must_use]
    pub fn explain_settings(&self) -> Explain<'_> {
        Explain::new(&self.settings, &[])
    }
}

// === impl ConfigSource ===

/// As it is provisioned, without what a URL could hide.
impl std::fmt::Display for ConfigSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Builtin => f.write_str("the built-in one"),
            Self::File(path) => path.display().fmt(f),
            Self::Url(url) => url.fmt(f),
        }
    }
}

// === impl Auth ===

impl Auth {
    /// File that holds the password or token; an absolute path.
    #[must_use]
    pub const fn secret_file(&self) -> &PathBuf {
        match self {
            Self::Basic { secret_file, .. } | Self::Bearer { secret_file } => secret_file,
        }
    }
}

// === impl SpoolLimits ===

impl Default for SpoolLimits {
    fn default() -> Self {
        Self { max_bytes: 8 << 20, max_age: Millis::from_secs(7 * 24 * 3600), keep_free: 16 << 20 }
    }
}

// === impl Note ===

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

#[cfg(test)]
mod tests;
