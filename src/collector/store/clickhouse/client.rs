//! The HTTP interface of a ClickHouse server: what is asked, what is inserted, and how text gets there unchanged.

use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;
use ureq::Agent;

use crate::store::StoreError;

/// The server's port where none is named.
const PORT: u16 = 8123;
/// How long whether the server is there may take, and how long anything else.
const GLANCE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(10);
/// Largest answer that is read, and longest question that the server is told to take.
const MAX_ANSWER: u64 = 512 * 1024 * 1024;
const MAX_QUESTION: &str = "33554432";
/// Most characters of an error that are told.
const MAX_ERROR: usize = 400;
/// Settings of all requests: an answer begins when it is known whether it will be one, and numbers are numbers.
const SETTINGS: [(&str, &str); 4] = [
    ("wait_end_of_query", "1"),
    ("output_format_json_quote_64bit_integers", "0"),
    ("max_query_size", MAX_QUESTION),
    // In rows: usually a million, and what has more is several inserts, of which a part may come to nothing.
    ("max_insert_block_size", "1000000000"),
];

/// Where a ClickHouse server is: `clickhouse://[user[:password]@]host[:port]/database`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// Host and port.
    authority: String,
    database: String,
    user: Option<(String, String)>,
}

/// Talks to the server.
#[derive(Debug, Clone)]
pub(super) struct Client {
    agent: Agent,
    address: Address,
    /// Settings that servers of older versions do not know.
    newer: Vec<(&'static str, &'static str)>,
}

/// A row of what was answered.
pub(super) struct Row(Vec<Value>);

// === impl Address ===

impl Address {
    /// Reads it; `None` where it is none of a ClickHouse server.
    ///
    /// # Errors
    /// What is wrong with it, without the password.
    pub(crate) fn parse(url: &str) -> Option<Result<Self, &'static str>> {
        url.strip_prefix("clickhouse://").map(Self::parse_rest)
    }

    fn parse_rest(rest: &str) -> Result<Self, &'static str> {
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, rest),
        };
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let mut letters = database.chars();
        let begins = letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
        if !begins || !letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
            return Err("the database's name, behind the last /, has to be of letters, digits and _");
        }
        let authority: ureq::http::uri::Authority =
            authority.parse().map_err(|_| "expected HOST or HOST:PORT between // and /")?;
        if authority.host().is_empty() {
            return Err("the host is missing");
        }
        let port = match authority.as_str().strip_prefix(authority.host()) {
            None | Some("") => PORT,
            Some(_) => authority.port_u16().ok_or("the port is none")?,
        };
        let user = user.map(|user| {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            Some((decoded(name)?, decoded(password)?))
        });
        let user = match user {
            None => None,
            Some(Some(user)) => Some(user),
            Some(None) => return Err("what is escaped with % in user or password has to be UTF-8"),
        };
        let authority = format!("{}:{port}", authority.host());
        Ok(Self { authority, database: database.to_owned(), user })
    }

    /// Of letters, digits and `_`.
    pub(super) fn database(&self) -> &str {
        &self.database
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "clickhouse://{}/{}", self.authority, self.database)
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

// === impl Client ===

impl Client {
    pub(super) fn new(address: Address) -> Self {
        // A connection each: the server closes idle ones when it likes, and a request that meets that is in doubt.
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .proxy(None)
            .user_agent(concat!("stbeacon-collector/", env!("CARGO_PKG_VERSION")));
        Self { agent: config.build().new_agent(), address, newer: Vec::new() }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// From now on with a setting that this server knows.
    pub(super) fn set(&mut self, name: &'static str, value: &'static str) {
        self.newer.retain(|(known, _)| *known != name);
        self.newer.push((name, value));
    }

    /// The version, as numbers; quickly, or not at all. No database is needed.
    pub(super) fn version(&self) -> Result<(u32, u32), StoreError> {
        let text = self.send(&[], b"SELECT version()", GLANCE)?;
        let mut numbers = text.trim().split('.').map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
            _ => Err(StoreError::ClickHouse(format!("{}: {:?} is no version", self.address, shown(&text)))),
        }
    }

    /// Makes the database where it is not there.
    pub(super) fn create_database(&self) -> Result<(), StoreError> {
        let sql = format!("CREATE DATABASE IF NOT EXISTS {}", self.address.database);
        self.send(&[], sql.as_bytes(), PATIENCE).map(drop)
    }

    /// Does what answers nothing.
    pub(super) fn run(&self, sql: &str) -> Result<(), StoreError> {
        self.send(&self.settings(), sql.as_bytes(), PATIENCE).map(drop)
    }

    /// Inserts rows of tab-separated values, in one block.
    pub(super) fn insert(&self, table: &str, rows: &str) -> Result<(), StoreError> {
        let sql = format!("INSERT INTO {table} FORMAT TabSeparated");
        let mut settings = self.settings();
        settings.push(("query", &sql));
        self.send(&settings, rows.as_bytes(), PATIENCE).map(drop)
    }

    /// Asks.
    pub(super) fn select(&self, sql: &str) -> Result<Vec<Row>, StoreError> {
        let text = self.send(&self.settings(), format!("{sql} FORMAT JSONCompact").as_bytes(), PATIENCE)?;
        let wrong = |why: String| StoreError::ClickHouse(format!("{}: {why}", self.address));
        let mut answer: Value = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let Some(Value::Array(rows)) = answer.get_mut("data").map(Value::take) else {
            return Err(wrong(format!("no answer: {}", shown(&text))));
        };
        let row = |row| match row {
            Value::Array(cells) => Ok(Row(cells)),
            other => Err(wrong(format!("no row: {}", shown(&other.to_string())))),
        };
        rows.into_iter().map(row).collect()
    }

    fn settings(&self) -> Vec<(&str, &str)> {
        let database = [("database", self.address.database.as_str())];
        database.into_iter().chain(SETTINGS).chain(self.newer.iter().copied()).collect()
    }

    fn send(&self, settings: &[(&str, &str)], body: &[u8], patience: Duration) -> Result<String, StoreError> {
        let mut url = format!("http://{}/?", self.address.authority);
        for (name, value) in settings {
            // Writing to a string does not fail.
            let _ = write!(url, "{name}={}&", encoded(value));
        }
        let mut request =
            self.agent.post(url.trim_end_matches('&')).config().timeout_global(Some(patience)).build();
        if let Some((user, password)) = &self.address.user {
            let credentials = BASE64.encode(format!("{user}:{password}"));
            request = request.header("Authorization", format!("Basic {credentials}"));
        }
        let away = |error: ureq::Error| StoreError::Away(format!("{}: {error}", self.address));
        let mut answer = request.send(body).map_err(away)?;
        let status = answer.status();
        let bytes = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec().map_err(away)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if status.is_success() {
            return Ok(text);
        }
        Err(StoreError::ClickHouse(format!("{}: {status}: {}", self.address, shown(&text))))
    }
}

// === impl Row ===

impl Row {
    pub(super) fn text(&self, column: usize) -> String {
        self.0.get(column).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    pub(super) fn signed(&self, column: usize) -> i64 {
        self.0.get(column).and_then(Value::as_i64).unwrap_or_default()
    }

    pub(super) fn unsigned(&self, column: usize) -> u64 {
        self.0.get(column).and_then(Value::as_u64).unwrap_or_default()
    }
}

/// A text in a question: whatever is no letter, digit or harmless sign goes by its number.
pub(super) fn literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('\'');
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"|-_.:/ ".contains(&byte) {
            literal.push(char::from(byte));
        } else {
            let _ = write!(literal, "\\x{byte:02X}");
        }
    }
    literal.push('\'');
    literal
}

/// Several, with commas between.
pub(super) fn literals<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    texts.into_iter().map(literal).collect::<Vec<_>>().join(", ")
}

/// Appends a row of tab-separated values.
pub(super) fn push_row(rows: &mut String, cells: &[&str]) {
    for (column, cell) in cells.iter().enumerate() {
        if column > 0 {
            rows.push('\t');
        }
        for letter in cell.chars() {
            match letter {
                '\\' => rows.push_str("\\\\"),
                '\t' => rows.push_str("\\t"),
                '\n' => rows.push_str("\\n"),
                '\r' => rows.push_str("\\r"),
                '\0' => rows.push_str("\\0"),
                other => rows.push(other),
            }
        }
    }
    rows.push('\n');
}

fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16).and_then(|d| u8::try_from(d).ok());
                digit()? * 16 + digit()?
            }
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}

/// The first line of what a server says.
fn shown(text: &str) -> String {
    text.trim().lines().next().unwrap_or_default().chars().take(MAX_ERROR).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("clickhouse://db/qoe", "db:8123", None)]
    #[case("clickhouse://u:p%40:w@10.0.0.1:9/_q1", "10.0.0.1:9", Some(("u", "p@:w")))]
    #[case("clickhouse://u@[::1]/qoe", "[::1]:8123", Some(("u", "")))]
    fn addresses(#[case] url: &str, #[case] authority: &str, #[case] user: Option<(&str, &str)>) {
        let address = Address::parse(url).unwrap().unwrap();
        assert_eq!(address.authority, authority);
        assert_eq!(address.user, user.map(|(name, password)| (name.to_owned(), password.to_owned())));
        assert!(!format!("{address:?} {address}").contains("p@"), "passwords are not told");
    }

    #[rstest]
    #[case("clickhouse://db")]
    #[case("clickhouse://db/")]
    #[case("clickhouse:///qoe")]
    #[case("clickhouse://db:x/qoe")]
    #[case("clickhouse://db:/qoe")]
    #[case("clickhouse://db/qoe;DROP")]
    #[case("clickhouse://u%FF@db/qoe")]
    #[case("clickhouse://u%4@db/qoe")]
    fn no_addresses(#[case] url: &str) {
        assert!(Address::parse(url).unwrap().is_err(), "{url}");
    }

    proptest! {
        /// Nothing in it can end it, or begin something else.
        #[test]
        fn literals_are_closed(text in any::<String>()) {
            let literal = literal(&text);
            let inner = literal.strip_prefix('\'').unwrap().strip_suffix('\'').unwrap();
            prop_assert!(inner.is_ascii() && !inner.contains(['\'', '"', '`', '\n', ';', '(']), "{}", inner);
            let unescaped = inner.replace("\\x", "%");
            prop_assert_eq!(decoded(&unescaped).unwrap(), text);
        }

        #[test]
        fn rows_have_their_cells(cells in prop::collection::vec(any::<String>(), 1..4)) {
            let mut rows = String::new();
            push_row(&mut rows, &cells.iter().map(String::as_str).collect::<Vec<_>>());
            prop_assert_eq!(rows.matches('\n').count(), 1);
            prop_assert_eq!(rows.matches('\t').count(), cells.len() - 1);
        }
    }
}
