//! Alerts: those that somebody has set ([`manual`]), and those that a metric sets off that is not as it is used to be
//! ([`ai`]). Stored, shown on the page, and sent as webhooks.
//!
//! What is to be sent is stored before it is sent, and so outlives a restart.

pub(crate) mod ai;
mod config;
pub(crate) mod manual;
pub(crate) mod metric;
mod webhook;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::{OptionalExtension, params};
use serde_json::{Value, json};

pub(crate) use self::config::Config;

use self::ai::{Cause, Deviation, Severity, Split};
use self::manual::Rule;
use self::metric::{Metric, Window};
use self::webhook::next_try;
use crate::app::App;
use crate::desk::Desk;
use crate::figures::Figures;
use crate::filters::{ALL_TRAFFIC, Filter, FilterId};
use crate::keeper::Keeper;
use crate::labels::Known;
use crate::outside;
use crate::store::{Lookup, Reader, Span, StoreError};
use crate::time::{self, HOUR, Minute, UnixMs};
use crate::utc::utc_text;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// Between two looks at what is to be sent.
const SEND_EVERY: Duration = Duration::from_millis(500);
/// Minutes that make a baseline.
const BASELINE: u64 = 60;
/// What a minute's messages may be late by, in minutes.
const SETTLES: u64 = 1;
/// The same alert is not told again for that long, in ms.
const SUPPRESSED: u64 = HOUR;
/// Most alerts that are kept.
const MAX_ALERTS: i64 = 10_000;

/// Looks at what came in, minute by minute.
struct Watch {
    config: Config,
    reader: Arc<Mutex<dyn Reader>>,
    lookup: Arc<Mutex<dyn Lookup>>,
    desk: Desk,
    account: Arc<str>,
    page: String,
    looked_at: Minute,
    /// For the saved filters.
    keeper: Keeper,
    /// Manual alerts whose filter is not there.
    lacking: BTreeSet<u32>,
}

/// What is running for alerts; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Alerts {
    stop: Vec<Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

// === impl Alerts ===

impl Alerts {
    /// Starts to look and to send. `page` is the page's URL.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub(crate) fn start(config: Config, app: &App, page: String) -> std::io::Result<Self> {
        let (stop_watching, watching) = channel();
        let (stop_sending, sending) = channel();
        let sender_desk = app.desk.clone();
        let mut watch = Watch {
            config,
            reader: app.reader.clone(),
            lookup: app.lookup.clone(),
            desk: app.desk.clone(),
            account: app.account.clone(),
            page,
            looked_at: time::now().minute(),
            keeper: app.keeper.clone(),
            lacking: BTreeSet::new(),
        };
        let watcher = thread::Builder::new().name("alerts".to_owned()).spawn(move || watch.run(&watching))?;
        let sender = thread::Builder::new().name("webhooks".to_owned()).spawn(move || {
            while !is_over(&sending, SEND_EVERY) {
                send_due(&sender_desk, time::now());
            }
        })?;
        Ok(Self { stop: vec![stop_watching, stop_sending], threads: vec![watcher, sender] })
    }
}

impl Drop for Alerts {
    fn drop(&mut self) {
        self.stop.clear();
        for thread in self.threads.drain(..) {
            // One that sends is not waited for: what was not sent is stored.
            if thread.thread().name() == Some("alerts") {
                let _ = thread.join();
            }
        }
    }
}

// === impl Watch ===

impl Watch {
    fn run(&mut self, stop: &Receiver<()>) {
        while !is_over(stop, EVERY) {
            if let Err(error) = self.look(time::now()) {
                log::error!("alerts cannot be looked for: {error}");
            }
        }
    }

    fn look(&mut self, now: UnixMs) -> Result<(), Box<dyn std::error::Error>> {
        self.keeper.settle_now();
        let saved = self.keeper.filters();
        for rule in self.config.manual.clone() {
            let until = Minute(now.minute().0 + 1);
            let from = Minute(until.0.saturating_sub(rule.minutes));
            self.tell_of_filter(&rule, &saved);
            let Some((filter, name)) = rule.about(&saved, from) else { continue };
            let minutes = self.minutes(filter, from, until)?;
            let same = rule.id.to_string();
            let last = last(&self.desk, "manual", &same)?;
            if let Some(spoken) = rule.look(&Window::of(&minutes), now, last) {
                let event = self.next_event()?;
                log::warn!("alert {:?}: {} is {}", rule.name, rule.metric.name(), spoken.condition);
                self.keep(now, "manual", &same, &webhook::manual(&rule, (filter, name), &spoken, &event))?;
            }
        }
        let minute = Minute(now.minute().0.saturating_sub(1 + SETTLES));
        if self.config.ai && minute > self.looked_at {
            self.looked_at = minute;
            self.look_at(minute, now)?;
        }
        Ok(())
    }

    /// Tells once that there is no filter of the name, and when there is one again.
    fn tell_of_filter(&mut self, rule: &Rule, saved: &[Filter]) {
        let Some(name) = &rule.filter else { return };
        let is_there = saved.iter().any(|filter| filter.wanted.enabled && filter.wanted.name == *name);
        if is_there && self.lacking.remove(&rule.id) {
            log::info!("alert {:?}: there is a filter {name:?} again", rule.name);
        } else if !is_there && self.lacking.insert(rule.id) {
            log::warn!("alert {:?} is silent: there is no filter {name:?}; see /bulk_filters/", rule.name);
        }
    }

    /// Whether a minute was as usual.
    fn look_at(&self, minute: Minute, now: UnixMs) -> Result<(), Box<dyn std::error::Error>> {
        let mut before =
            self.minutes(ALL_TRAFFIC.0, Minute(minute.0.saturating_sub(BASELINE)), Minute(minute.0 + 1))?;
        let Some((_, figures)) = before.pop().filter(|(last, _)| *last == minute) else { return Ok(()) };
        let window = |figures: Figures| Window { figures, peak: figures.concurrent_plays() };
        let before: Vec<_> = before.into_iter().map(|(_, figures)| window(figures)).collect();
        for metric in Metric::WATCHED {
            let Some(deviation) = ai::look(metric, &before, &window(figures)) else { continue };
            let same = metric.name();
            if last(&self.desk, "ai", same)?.is_some_and(|last| now < last + SUPPRESSED) {
                continue;
            }
            let cause = ai::cause(&deviation, &self.splits(minute)?);
            let devices = lock(&self.lookup).devices_since(minute.start())?;
            log::warn!("alert: {} is {:.4}, usual is {:.4}", metric.name(), deviation.value, deviation.mean);
            let event = self.next_event()?;
            let body = self.ai_body(&deviation, cause.as_ref(), &window(figures), &event, now, devices);
            self.keep(now, "ai", same, &body)?;
        }
        Ok(())
    }

    fn ai_body(
        &self,
        deviation: &Deviation,
        cause: Option<&Cause>,
        window: &Window,
        event: &str,
        now: UnixMs,
        devices: i64,
    ) -> Value {
        let at = utc_text(std::time::UNIX_EPOCH + Duration::from_millis(now.0));
        let mut body = webhook::ai(deviation, cause, event, &at, &self.account, devices);
        if let Some(body) = body.as_object_mut() {
            body.insert("diagnostic_report_url".to_owned(), format!("{}#/alerts", self.page).into());
            body.insert("attempts".to_owned(), window.figures.attempts.into());
            body.insert("plays".to_owned(), window.figures.plays.into());
            body.insert("active plays".to_owned(), window.peak.into());
        }
        body
    }

    fn minutes(
        &self,
        filter: FilterId,
        from: Minute,
        until: Minute,
    ) -> Result<Vec<(Minute, Figures)>, StoreError> {
        let mut minutes = lock(&self.reader).minutes(&Span { filter, dimension: 0, from, until })?;
        minutes.iter_mut().for_each(|(_, figures)| *figures = figures.shown());
        Ok(minutes)
    }

    /// Every dimension with the figures of its values in a minute.
    fn splits(&self, minute: Minute) -> Result<Vec<Split>, StoreError> {
        let mut reader = lock(&self.reader);
        let mut numbers: Vec<_> =
            Known::ALL.into_iter().map(|known| (known.id(), known.name().to_owned())).collect();
        numbers.extend(reader.own_dimensions()?);
        let mut splits = Vec::new();
        for (dimension, name) in numbers {
            let (from, until) = (minute, Minute(minute.0 + 1));
            let span = Span { filter: ALL_TRAFFIC.0, dimension, from, until };
            splits.push(Split { dimension: name, values: reader.values(&span)? });
        }
        Ok(splits)
    }

    fn next_event(&self) -> rusqlite::Result<String> {
        let newest: Option<i64> =
            self.desk.lock().query_row("SELECT max(id) FROM alert", [], |row| row.get(0))?;
        Ok((newest.unwrap_or(0) + 1).to_string())
    }

    /// Stores an alert, and that it is to be sent.
    fn keep(&self, now: UnixMs, kind: &str, same: &str, body: &Value) -> rusqlite::Result<()> {
        let mut desk = self.desk.lock();
        let transaction = desk.transaction()?;
        transaction.execute(
            "INSERT INTO alert (at, kind, same, body) VALUES (?1, ?2, ?3, ?4)",
            params![stored(now), kind, same, body.to_string()],
        )?;
        let id = transaction.last_insert_rowid();
        for url in &self.config.webhooks {
            transaction.execute(
                "INSERT INTO delivery (alert, url, tries, due, state) VALUES (?1, ?2, 0, ?3, 'waiting')",
                params![id, url, stored(now)],
            )?;
        }
        transaction.execute("DELETE FROM alert WHERE id <= ?1", [id - MAX_ALERTS])?;
        transaction.execute("DELETE FROM delivery WHERE alert <= ?1", [id - MAX_ALERTS])?;
        transaction.commit()
    }
}

/// Alerts of one's own, the newest first, with where they went.
pub(crate) fn list(desk: &Desk, most: usize) -> rusqlite::Result<Vec<Value>> {
    let desk = desk.lock();
    let mut states: BTreeMap<i64, Vec<Value>> = BTreeMap::new();
    let mut statement =
        desk.prepare_cached("SELECT id, at, kind, body FROM alert ORDER BY id DESC LIMIT ?1")?;
    let alerts: rusqlite::Result<Vec<(i64, i64, String, String)>> = statement
        .query_map([most], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
        .collect();
    let alerts = alerts?;
    let oldest = alerts.last().map_or(i64::MAX, |(id, ..)| *id);
    let mut statement =
        desk.prepare_cached("SELECT alert, url, tries, state FROM delivery WHERE alert >= ?1 ORDER BY url")?;
    let mut rows = statement.query([oldest])?;
    while let Some(row) = rows.next()? {
        let (url, tries, state): (String, i64, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
        let state = json!({ "url": url, "tries": tries, "state": state });
        states.entry(row.get(0)?).or_default().push(state);
    }
    let shown = |(id, at, kind, body): (i64, i64, String, String)| {
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        json!({ "id": id, "at": at, "kind": kind, "alert": body, "sent": states.remove(&id).unwrap_or_default() })
    };
    Ok(alerts.into_iter().map(shown).collect())
}

/// Sends what is due, each once.
fn send_due(desk: &Desk, now: UnixMs) {
    let due = due(desk, now).unwrap_or_else(|error| {
        log::error!("what is to be sent cannot be read: {error}");
        Vec::new()
    });
    for (alert, url, tries, body) in due {
        let tries = tries + 1;
        let (state, next) = match outside::post(&url, &body) {
            Ok(200..=299) => ("sent".to_owned(), None),
            result => {
                let why = result.map_or_else(|error| error, |status| format!("answered {status}"));
                let next = next_try(tries).map(|after| stored(time::now() + hurried(after)));
                let state = if next.is_some() { "waiting" } else { "given up" };
                log::warn!("the alert to {url} was not taken ({why}), try {tries}: {state}");
                (format!("{state}: {why}"), next)
            }
        };
        let noted = desk.lock().execute(
            "UPDATE delivery SET tries = ?3, state = ?4, due = ?5 WHERE alert = ?1 AND url = ?2",
            params![alert, url, tries, state, next],
        );
        if let Err(error) = noted {
            log::error!("that an alert was sent cannot be noted: {error}");
        }
    }
}

/// A fake, for tests alone and not in what is released: ms that tests wait for the next try, whatever the schedule says.
#[cfg(debug_assertions)]
fn hurried(after: u64) -> u64 {
    let hurry = std::env::var("STBEACON_TEST_WEBHOOK_WAIT_MS").ok().and_then(|ms| ms.parse().ok());
    hurry.unwrap_or(after)
}

#[cfg(not(debug_assertions))]
const fn hurried(after: u64) -> u64 {
    after
}

fn due(desk: &Desk, now: UnixMs) -> rusqlite::Result<Vec<(i64, String, u32, String)>> {
    let desk = desk.lock();
    let mut statement = desk.prepare_cached(
        "SELECT alert, url, tries, body FROM delivery JOIN alert ON alert.id = delivery.alert
         WHERE due <= ?1 ORDER BY due LIMIT 100",
    )?;
    let rows =
        statement.query_map([stored(now)], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    rows.collect()
}

/// When the same alert was told last.
fn last(desk: &Desk, kind: &str, same: &str) -> rusqlite::Result<Option<UnixMs>> {
    let last: Option<i64> = desk
        .lock()
        .query_row("SELECT max(at) FROM alert WHERE kind = ?1 AND same = ?2", [kind, same], |row| row.get(0))
        .optional()?
        .flatten();
    Ok(last.map(|at| UnixMs(u64::try_from(at).unwrap_or(0))))
}

/// Waits for a while; whether it is to end.
fn is_over(stop: &Receiver<()>, wait: Duration) -> bool {
    !matches!(stop.recv_timeout(wait), Err(RecvTimeoutError::Timeout))
}

fn lock<T: ?Sized>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn stored(at: UnixMs) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

// === impl Severity ===

impl Severity {
    const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}
