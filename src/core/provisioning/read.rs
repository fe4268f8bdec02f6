//! From the XML tree to [`Provisioning`], remembering where each setting came from.

mod values;

use std::str::Utf8Error;

use roxmltree::{Attribute, Document, Node, TextPos};

use self::values::{MAX_SECS, seconds, value};
use super::explain::Setting;
use super::{
    Auth, ClientCert, ConfigSource, Dimension, Glob, Heartbeat, HttpUrl, MediaAnalytics, MediaReports,
    NetworkReports, Note, ParseError, Provisioning, ReportOptions, SpoolLimits, Statistics, Tls,
};
use crate::time::Millis;

/// Reads one document.
pub(super) struct Reader<'d> {
    document: &'d Document<'d>,
    notes: Vec<Note>,
    settings: Vec<Setting>,
}

/// The names under which the settings of an element are explained.
struct AuthNames {
    scheme: &'static str,
    user: &'static str,
    secret_file: &'static str,
    ca: &'static str,
    cert: &'static str,
    key: &'static str,
}

const STATISTICS_AUTH: AuthNames = AuthNames {
    scheme: "auth scheme",
    user: "auth user",
    secret_file: "auth secret_file",
    ca: "tls ca",
    cert: "tls cert",
    key: "tls key",
};

const MEDIA_ANALYTICS_AUTH: AuthNames = AuthNames {
    scheme: "media_analytics auth scheme",
    user: "media_analytics auth user",
    secret_file: "media_analytics auth secret_file",
    ca: "media_analytics tls ca",
    cert: "media_analytics tls cert",
    key: "media_analytics tls key",
};

const HEARTBEAT_AUTH: AuthNames = AuthNames {
    scheme: "heartbeat auth scheme",
    user: "heartbeat auth user",
    secret_file: "heartbeat auth secret_file",
    ca: "heartbeat tls ca",
    cert: "heartbeat tls cert",
    key: "heartbeat tls key",
};

/// Why a text is no XML document with this root element, in our words and with a remedy.
pub(crate) fn not_xml(text: &str, error: &roxmltree::Error, root: &str) -> ParseError {
    use roxmltree::Error as Xml;
    let complete: &str =
        &format!("the file must be one complete XML document whose root element is <{root}>");
    let cut = match error {
        Xml::UnclosedRootNode | Xml::UnexpectedEndOfStream => true,
        Xml::NoRootNode => return parse_error(end_of(text), "the file holds no element", complete),
        // Something was open where the text ends, such as the comment that holds the signature.
        _ => !text.trim().is_empty() && error.pos() == end_of(text),
    };
    if cut {
        let remedy = "expected a complete document: the file seems to be cut short, fetch it again";
        return parse_error(end_of(text), "the file ends too early", remedy);
    }
    let (pos, remedy) = match error {
        Xml::UnknownEntityReference(..) | Xml::MalformedEntityReference(..) => {
            (error.pos(), "a literal & is written &amp;, also in a URL")
        }
        Xml::DuplicatedAttribute(..) => {
            (error.pos(), "expected each attribute at most once: remove one of them")
        }
        Xml::UnexpectedCloseTag(..) => (error.pos(), "expected the end tag of the element opened last"),
        _ => (error.pos(), complete),
    };
    // The parser's own message ends with the position that ours begins with.
    let message = error.to_string();
    let message = message.rsplit_once(" at ").map_or(message.as_str(), |(message, _)| message);
    parse_error(pos, &format!("not XML: {message}"), remedy)
}

/// Where bytes are not UTF-8.
pub(crate) fn not_utf8(bytes: &[u8], error: &Utf8Error) -> ParseError {
    let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
    let valid = std::str::from_utf8(valid).unwrap_or_default();
    parse_error(end_of(valid), "a byte that is not UTF-8", "save the file as UTF-8")
}

impl<'d> Reader<'d> {
    pub(super) const fn new(document: &'d Document<'d>) -> Self {
        Self { document, notes: Vec::new(), settings: Vec::new() }
    }

    pub(super) fn finish(self) -> (Vec<Note>, Vec<Setting>) {
        (self.notes, self.settings)
    }

    pub(super) fn provisioning(&mut self) -> Result<Provisioning, ParseError> {
        let root = self.document.root_element();
        if root.tag_name().name() != "provision" {
            let found = format!("the root element is <{}>", root.tag_name().name());
            return Err(self.error_at(root, &found, "expected <provision>: this is no provisioning file"));
        }
        let reload = self.reload(root);
        let statistics = self.statistics(root)?;

        let ours = self.child(root, "stbeacon");
        if let Some(ours) = ours {
            self.only(ours, &[], &["reports", "auth", "tls", "spool", "media_analytics", "heartbeat"]);
        }
        let reports = self.reports(ours);
        let auth = self.auth(ours, &STATISTICS_AUTH)?;
        let tls = self.tls(ours, &STATISTICS_AUTH)?;
        let spool = self.spool(ours);
        let media_analytics = self.media_analytics(ours)?;
        let heartbeat = self.heartbeat(ours)?;
        Ok(Provisioning { reload, statistics, reports, auth, tls, spool, media_analytics, heartbeat })
    }

    fn reload(&mut self, root: Node<'d, 'd>) -> Option<Millis> {
        let name = "provision reload";
        let read = self.seconds(Some(root), "reload", 1..=MAX_SECS, "the file is not fetched again");
        match read {
            Some((secs, line)) => self.set(name, seconds(secs), Some(line)),
            None => self.set(name, "never".to_owned(), None),
        }
        read.map(|(secs, _)| Millis::from_secs(secs))
    }

    fn statistics(&mut self, root: Node<'d, 'd>) -> Result<Option<Statistics>, ParseError> {
        let node = self.child(root, "statistics");
        let url = node.and_then(|node| value(node, "url"));
        let (Some(node), Some((url_at, url))) = (node, url) else {
            self.set("statistics url", "none: reporting is off".to_owned(), node.map(|node| self.line(node)));
            return Ok(None);
        };
        self.only(node, &["url", "accum_period"], &["media", "network"]);
        let url = self.url("statistics url", url_at, url)?;
        let accum_period = self.period(
            "statistics accum_period",
            Some(node),
            "accum_period",
            Provisioning::DEFAULT_ACCUM_PERIOD,
        );
        let media = self.media(node);
        let network = self.network(node);
        Ok(Some(Statistics { url, accum_period, media, network }))
    }

    fn media(&mut self, statistics: Node<'d, 'd>) -> Option<MediaReports> {
        let Some(node) = self.child(statistics, "media") else {
            self.set("statistics media", "off".to_owned(), None);
            return None;
        };
        self.only(node, &["period"], &[]);
        self.set("statistics media", "on".to_owned(), Some(self.line(node)));
        let read =
            self.seconds(Some(node), "period", 1..=MAX_SECS, "reports are made only when playing stops");
        match read {
            Some((secs, line)) => self.set("media period", seconds(secs), Some(line)),
            None => self.set("media period", "only when playing stops".to_owned(), None),
        }
        Some(MediaReports { period: read.map(|(secs, _)| Millis::from_secs(secs)) })
    }

    fn network(&mut self, statistics: Node<'d, 'd>) -> Option<NetworkReports> {
        let Some(node) = self.child(statistics, "network") else {
            self.set("statistics network", "off".to_owned(), None);
            return None;
        };
        self.only(node, &["period"], &[]);
        self.set("statistics network", "on".to_owned(), Some(self.line(node)));
        let period =
            self.period("network period", Some(node), "period", Provisioning::DEFAULT_NETWORK_PERIOD);
        Some(NetworkReports { period })
    }

    fn reports(&mut self, ours: Option<Node<'d, 'd>>) -> ReportOptions {
        let node = ours.and_then(|ours| self.child(ours, "reports"));
        if let Some(node) = node {
            self.only(node, &["extended", "gzip", "url_redact", "interfaces"], &[]);
        }
        let extended = self.switch("reports extended", node, "extended");
        let gzip = self.switch("reports gzip", node, "gzip");
        let url_redact = self.switch("reports url_redact", node, "url_redact");
        let (interfaces, line) = node
            .and_then(|node| value(node, "interfaces"))
            .map_or((Vec::new(), None), |(at, list)| (Glob::list(list), Some(self.line_of(at))));
        let shown = if interfaces.is_empty() {
            "all running ones but loopback and virtual ones".to_owned()
        } else {
            interfaces.iter().map(Glob::to_string).collect::<Vec<_>>().join(",")
        };
        self.set("reports interfaces", shown, line.filter(|_| !interfaces.is_empty()));
        ReportOptions { extended, gzip, url_redact, interfaces }
    }

    fn spool(&mut self, ours: Option<Node<'d, 'd>>) -> SpoolLimits {
        let node = ours.and_then(|ours| self.child(ours, "spool"));
        if let Some(node) = node {
            self.only(node, &["max_bytes", "max_age", "keep_free"], &[]);
        }
        let default = SpoolLimits::default();
        let max_bytes = self.bytes("spool max_bytes", node, "max_bytes", default.max_bytes);
        let max_age = self.period("spool max_age", node, "max_age", default.max_age);
        let keep_free = self.bytes("spool keep_free", node, "keep_free", default.keep_free);
        SpoolLimits { max_bytes, max_age, keep_free }
    }

    fn auth(&mut self, parent: Option<Node<'d, 'd>>, names: &AuthNames) -> Result<Option<Auth>, ParseError> {
        let Some(node) = parent.and_then(|parent| self.child(parent, "auth")) else {
            self.set(names.scheme, "none".to_owned(), None);
            return Ok(None);
        };
        self.only(node, &["scheme", "user", "secret_file"], &[]);
        let Some((scheme_at, scheme)) = value(node, "scheme") else {
            let remedy = "add scheme=\"basic\" or scheme=\"bearer\"";
            return Err(self.error_at(node, "<auth> has no scheme", remedy));
        };
        let Some((secret_at, secret_file)) = value(node, "secret_file") else {
            let remedy = "add secret_file=\"/PATH\", the file that holds the password or token";
            return Err(self.error_at(node, "<auth> has no secret_file", remedy));
        };
        let secret_file = self.absolute("secret_file", secret_at, secret_file)?;
        self.set(names.scheme, scheme.to_owned(), Some(self.line_of(scheme_at)));
        let auth = match scheme {
            "basic" => {
                let Some((user_at, user)) = value(node, "user") else {
                    return Err(self.error_at(
                        node,
                        "<auth scheme=\"basic\"> has no user",
                        "add user=\"NAME\"",
                    ));
                };
                if user.contains(|c: char| c == ':' || c.is_control()) {
                    let found = "the user name holds a colon or a control character";
                    return Err(self.error_of(
                        user_at,
                        found,
                        "basic authentication (RFC 7617) allows neither",
                    ));
                }
                self.set(names.user, user.to_owned(), Some(self.line_of(user_at)));
                Auth::Basic { user: user.to_owned(), secret_file }
            }
            "bearer" => Auth::Bearer { secret_file },
            other => {
                let found = format!("authentication scheme {other:?}");
                return Err(self.error_of(scheme_at, &found, "expected \"basic\" or \"bearer\""));
            }
        };
        self.set(names.secret_file, auth.secret_file().display().to_string(), Some(self.line_of(secret_at)));
        Ok(Some(auth))
    }

    fn tls(&mut self, parent: Option<Node<'d, 'd>>, names: &AuthNames) -> Result<Tls, ParseError> {
        let node = parent.and_then(|parent| self.child(parent, "tls"));
        if let Some(node) = node {
            self.only(node, &["ca", "cert", "key"], &[]);
        }
        let ca = self.path(names.ca, node, "ca", "the system's certificate authorities")?;
        let cert = self.path(names.cert, node, "cert", "none")?;
        let key = self.path(names.key, node, "key", "none")?;
        let client = match (cert, key, node) {
            (Some(cert), Some(key), _) => Some(ClientCert { cert, key }),
            (None, None, _) | (_, _, None) => None,
            (_, _, Some(node)) => {
                let found = "<tls> has only one of cert and key";
                return Err(self.error_at(node, found, "give both, or neither"));
            }
        };
        Ok(Tls { ca, client })
    }

    fn media_analytics(&mut self, ours: Option<Node<'d, 'd>>) -> Result<Vec<MediaAnalytics>, ParseError> {
        let mut all = Vec::new();
        for node in ours.iter().flat_map(|ours| ours.children()) {
            if node.tag_name().name() == "media_analytics" {
                all.extend(self.one_media_analytics(node)?);
            }
        }
        if all.is_empty() {
            self.set("media_analytics", "none: no lines are sent".to_owned(), None);
        }
        Ok(all)
    }

    fn one_media_analytics(&mut self, node: Node<'d, 'd>) -> Result<Option<MediaAnalytics>, ParseError> {
        let attributes = ["config", "host", "path", "viewer_id", "player_id", "player_type", "device", "cdn"];
        self.only(node, &attributes, &["dimension", "auth", "tls"]);
        let config = value(node, "config");
        let host = value(node, "host");
        if config.is_none() && host.is_none() {
            let at = node.range().start;
            self.note(at, "<media_analytics> has neither config nor host: no lines are sent for it");
            return Ok(None);
        }
        let config = self.config_source(node, config)?;
        if let Some((at, host)) = host {
            let path = value(node, "path").map_or("", |(_, path)| path);
            crate::line::config::address(host, path).map_err(|error| {
                let found = format!("media_analytics host and path are no address: {error}");
                self.error_of(at, &found, "expected HOST, http://HOST or https://HOST, and a path")
            })?;
        }
        let host = self.text("media_analytics host", node, "host");
        let path = self.text("media_analytics path", node, "path");
        let viewer_id = self.text("media_analytics viewer_id", node, "viewer_id");
        let player_id = self.text("media_analytics player_id", node, "player_id");
        let player_type = self.text("media_analytics player_type", node, "player_type");
        let device = self.text("media_analytics device", node, "device");
        let cdn = self.text("media_analytics cdn", node, "cdn");
        let dimensions = self.dimensions("media_analytics dimension", node);
        let auth = self.auth(Some(node), &MEDIA_ANALYTICS_AUTH)?;
        let tls = self.tls(Some(node), &MEDIA_ANALYTICS_AUTH)?;
        Ok(Some(MediaAnalytics {
            config,
            host,
            path,
            viewer_id,
            player_id,
            player_type,
            device,
            cdn,
            dimensions,
            auth,
            tls,
        }))
    }

    fn config_source(
        &mut self,
        node: Node<'d, 'd>,
        given: Option<(Attribute<'d, 'd>, &'d str)>,
    ) -> Result<ConfigSource, ParseError> {
        let name = "media_analytics config";
        let (source, line) = match given {
            None => (ConfigSource::Builtin, self.line(node)),
            Some((at, path)) if path.starts_with('/') => {
                (ConfigSource::File(self.absolute("config", at, path)?), self.line_of(at))
            }
            Some((at, url)) => {
                let url = HttpUrl::parse(url).map_err(|error| {
                    let found = format!("{name} is no address that can be used: {error}");
                    self.error_of(
                        at,
                        &found,
                        "expected http://…, https://…, or a file's path, beginning with /",
                    )
                })?;
                (ConfigSource::Url(url), self.line_of(at))
            }
        };
        self.set(name, source.to_string(), Some(line));
        Ok(source)
    }

    fn dimensions(&mut self, name: &'static str, node: Node<'d, 'd>) -> Vec<Dimension> {
        let mut dimensions = Vec::new();
        for dimension in node.children().filter(|child| child.tag_name().name() == "dimension") {
            self.only(dimension, &["key", "value"], &[]);
            match (value(dimension, "key"), dimension.attribute("value")) {
                (Some((key_at, key)), Some(value)) => {
                    let line = self.line_of(key_at);
                    self.set(name, format!("{key} = {value}"), Some(line));
                    dimensions.push(Dimension { key: key.to_owned(), value: value.to_owned() });
                }
                _ => self.note(dimension.range().start, "<dimension> without key or value is ignored"),
            }
        }
        dimensions
    }

    fn heartbeat(&mut self, ours: Option<Node<'d, 'd>>) -> Result<Option<Heartbeat>, ParseError> {
        let node = ours.and_then(|ours| self.child(ours, "heartbeat"));
        let gateway = node.and_then(|node| value(node, "gateway"));
        let (Some(node), Some((gateway_at, gateway))) = (node, gateway) else {
            self.set("heartbeat gateway", "none: off".to_owned(), node.map(|node| self.line(node)));
            return Ok(None);
        };
        let attributes = ["gateway", "customer_key", "interval", "viewer_id"];
        self.only(node, &attributes, &["dimension", "auth", "tls"]);
        let gateway = self.url("heartbeat gateway", gateway_at, gateway)?;
        let Some((key_at, customer_key)) = value(node, "customer_key") else {
            let remedy = "add customer_key=\"KEY\", or leave out gateway to turn heartbeats off";
            return Err(self.error_at(node, "<heartbeat> has no customer_key", remedy));
        };
        self.set("heartbeat customer_key", "set".to_owned(), Some(self.line_of(key_at)));
        let interval = self.period(
            "heartbeat interval",
            Some(node),
            "interval",
            Provisioning::DEFAULT_HEARTBEAT_INTERVAL,
        );
        let customer_key = customer_key.to_owned();
        let viewer_id = self.text("heartbeat viewer_id", node, "viewer_id");
        let dimensions = self.dimensions("heartbeat dimension", node);
        let auth = self.auth(Some(node), &HEARTBEAT_AUTH)?;
        let tls = self.tls(Some(node), &HEARTBEAT_AUTH)?;
        Ok(Some(Heartbeat { gateway, customer_key, interval, viewer_id, dimensions, auth, tls }))
    }
}

fn parse_error(pos: TextPos, found: &str, remedy: &str) -> ParseError {
    ParseError { line: pos.row, column: pos.col, found: found.to_owned(), remedy: remedy.to_owned() }
}

/// The position behind the last character.
fn end_of(text: &str) -> TextPos {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let last_line = text.rsplit('\n').next().unwrap_or_default();
    let lines = text.bytes().filter(|b| *b == b'\n').count();
    TextPos::new(count(lines).saturating_add(1), count(last_line.chars().count()).saturating_add(1))
}
