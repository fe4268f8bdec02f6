//! All sessions that run, and what has changed since it was last written down.
//!
//! Pure but for the store that it asks for sessions that have ended. Whoever drives it writes each [`Changes`] in one
//! transaction and only then answers those who told it; where that fails, the book is opened again from the store, as
//! after a restart.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use stbeacon_core::stb::NetworkReport;
use thiserror::Error;

use crate::figures::Figures;
use crate::filters::{ALL_TRAFFIC, Edit, Filter, FilterId, MAX_FILTERS, NotDone};
use crate::labels::Dimension;
use crate::networks::Networks;
use crate::rules::Rules;
use crate::session::story::Piece;
use crate::session::{Context, Key, Ledger, Session, beat, line, report};
use crate::sketch::Sketches;
use crate::store::{Store, StoreError};
use crate::time::{Minute, UnixMs};
use crate::values::Values;

/// Most sessions that run at once; more are not taken.
pub(crate) const MAX_LIVE: usize = 1_000_000;

/// Something that was received.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    /// A report of a play-back.
    Media(Box<report::Received>),
    /// A report of a network interface.
    Network { device: String, report: Box<NetworkReport> },
    /// A line.
    Line(Box<line::Received>),
    /// A heartbeat.
    Beat(Box<beat::Received>),
}

/// Why a message was not taken.
#[derive(Debug, Error)]
pub(crate) enum Refusal {
    #[error("the store cannot be read: {0}")]
    Store(#[from] StoreError),
    #[error("{MAX_LIVE} sessions run; there is no room for another")]
    Full,
    #[error(transparent)]
    Line(#[from] line::Unusable),
}

/// Where figures are added up: of which dimension, of which value of it, in which minute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) filter: FilterId,
    pub(crate) dimension: Dimension,
    pub(crate) minute: Minute,
    pub(crate) value: String,
}

/// What is to be written down.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// As they are now.
    pub(crate) sessions: Vec<Session>,
    /// To be added.
    pub(crate) rollups: BTreeMap<Place, Figures>,
    /// To be merged with what is there.
    pub(crate) sketches: BTreeMap<Place, Sketches>,
    /// What became of sessions, to be added to what is known of them.
    pub(crate) stories: BTreeMap<Key, Vec<Piece>>,
    /// Box and measurement.
    pub(crate) networks: Vec<(String, NetworkReport)>,
    /// As they are now; one that is `None` is no more.
    pub(crate) filters: BTreeMap<FilterId, Option<Filter>>,
    pub(crate) counts: Counts,
}

/// What has come, since the store was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) reports: i64,
    pub(crate) lines: i64,
    pub(crate) heartbeats: i64,
    /// What was there before.
    pub(crate) repeated: i64,
    /// Values of dimensions that were not told apart from others any more.
    pub(crate) folded: i64,
}

/// The book.
#[derive(Debug)]
pub(crate) struct Book {
    live: HashMap<Key, Session>,
    rules: Rules,
    networks: Networks,
    beat_interval: u64,
    /// Before that nobody could be heard.
    opened: UnixMs,
    values: Values,
    filters: Arc<Vec<Filter>>,
    /// What the next filter is called.
    next_filter: FilterId,
    touched: BTreeSet<Key>,
    changes: Changes,
}

// === impl Message ===

impl Message {
    /// Sessions that it may be of.
    pub(crate) fn keys(&self) -> Vec<Key> {
        match self {
            Self::Media(received) => {
                let (key, other) = received.keys();
                std::iter::once(key).chain(other).collect()
            }
            Self::Network { .. } => Vec::new(),
            Self::Line(received) => vec![received.key()],
            Self::Beat(received) => vec![received.key()],
        }
    }
}

// === impl Counts ===

impl Counts {
    /// Both together.
    pub(crate) const fn plus(self, more: &Self) -> Self {
        Self {
            reports: self.reports.saturating_add(more.reports),
            lines: self.lines.saturating_add(more.lines),
            heartbeats: self.heartbeats.saturating_add(more.heartbeats),
            repeated: self.repeated.saturating_add(more.repeated),
            folded: self.folded.saturating_add(more.folded),
        }
    }

    /// Sets one by its name.
    pub(crate) fn set(&mut self, name: &str, number: i64) {
        match name {
            "reports" => self.reports = number,
            "lines" => self.lines = number,
            "heartbeats" => self.heartbeats = number,
            "repeated" => self.repeated = number,
            "folded" => self.folded = number,
            _ => {}
        }
    }

    /// Name and number.
    pub(crate) const fn named(&self) -> [(&'static str, i64); 5] {
        [
            ("reports", self.reports),
            ("lines", self.lines),
            ("heartbeats", self.heartbeats),
            ("repeated", self.repeated),
            ("folded", self.folded),
        ]
    }
}

// === impl Changes ===

impl Changes {
    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.sessions.is_empty()
            && self.rollups.is_empty()
            && self.networks.is_empty()
            && self.filters.is_empty()
            && self.counts == Counts::default()
    }

    fn add(
        &mut self,
        session: &Session,
        ledger: Ledger,
        filters: &[Filter],
        values: &mut Values,
        now: UnixMs,
    ) {
        if !ledger.1.is_empty() {
            self.stories.entry(session.key.clone()).or_default().extend(ledger.1);
        }
        if ledger.0.is_empty() {
            return;
        }
        let met = filters.iter().filter(|filter| filter.wanted.enabled);
        let met: Vec<_> = met.filter(|filter| filter.wanted.rules.is_met_by(&session.labels)).collect();
        for (dimension, value) in session.labels.all() {
            let told = values.told_apart(&dimension, value, now);
            self.counts.folded += i64::from(told != value);
            let counts = |filter: &&&Filter| filter.wanted.advanced || dimension == Dimension::All;
            let met = met.iter().filter(counts).map(|filter| filter.id);
            for filter in std::iter::once(ALL_TRAFFIC.0).chain(met) {
                let place =
                    |minute| Place { filter, dimension: dimension.clone(), minute, value: told.to_owned() };
                for (minute, figures) in &ledger.0 {
                    *self.rollups.entry(place(*minute)).or_default() += *figures;
                }
                for (minute, sample) in &ledger.2 {
                    self.sketches.entry(place(*minute)).or_default().add(*sample, &session.device);
                }
            }
        }
    }
}

// === impl Book ===

impl Book {
    /// Opens the book at `now` with the sessions that run. `beat_interval` in ms.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub(crate) fn open(
        store: &mut dyn Store,
        rules: Rules,
        beat_interval: u64,
        now: UnixMs,
    ) -> Result<Self, StoreError> {
        let mut book = Self::closed(rules, beat_interval, now);
        book.reopen(store)?;
        Ok(book)
    }

    /// A book that nothing is in, until it is opened again from a store that cannot be read yet.
    pub(crate) fn closed(rules: Rules, beat_interval: u64, now: UnixMs) -> Self {
        Self {
            live: HashMap::new(),
            rules,
            networks: Networks::default(),
            beat_interval,
            opened: now,
            values: Values::default(),
            filters: Arc::default(),
            next_filter: FilterId(ALL_TRAFFIC.0.0 + 1),
            touched: BTreeSet::new(),
            changes: Changes::default(),
        }
    }

    /// Tells sessions apart by city and ISP, too, from now on.
    pub(crate) fn with_networks(self, networks: Networks) -> Self {
        Self { networks, ..self }
    }

    /// Forgets what was not written, and goes on from what is.
    ///
    /// # Errors
    /// Where the store cannot be read; the book is as it was.
    pub(crate) fn reopen(&mut self, store: &mut dyn Store) -> Result<(), StoreError> {
        let live = store.running()?.into_iter().map(|session| (session.key.clone(), session)).collect();
        let (filters, next_filter) = store.filters()?;
        self.live = live;
        (self.filters, self.next_filter) = (Arc::new(filters), next_filter);
        (self.touched, self.changes) = (BTreeSet::new(), Changes::default());
        Ok(())
    }

    /// Takes the filters as the store has them; nothing may be waiting to be written.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(crate) fn refresh_filters(&mut self, store: &mut dyn Store) -> Result<(), StoreError> {
        let (filters, next_filter) = store.filters()?;
        if *self.filters != filters {
            self.filters = Arc::new(filters);
        }
        self.next_filter = next_filter;
        Ok(())
    }

    /// Which of these sessions run here.
    pub(crate) fn live<'k>(&self, keys: impl IntoIterator<Item = Key> + 'k) -> Vec<Key> {
        keys.into_iter().filter(|key| self.live.contains_key(key)).collect()
    }

    /// Forgets sessions that another collector goes on with.
    pub(crate) fn let_go(&mut self, keys: &[Key]) {
        for key in keys {
            self.live.remove(key);
        }
    }

    /// Sessions that have been silent for too long.
    pub(crate) fn silent(&self, now: UnixMs) -> Vec<Key> {
        let is_silent =
            |session: &Session| session.deadline(self.opened).is_some_and(|deadline| deadline <= now);
        self.live.iter().filter(|(_, session)| is_silent(session)).map(|(key, _)| key.clone()).collect()
    }

    /// How many sessions run.
    pub(crate) fn running(&self) -> usize {
        self.live.len()
    }

    /// The saved filters.
    pub(crate) fn filters(&self) -> Arc<Vec<Filter>> {
        self.filters.clone()
    }

    /// Adds or removes filters at `now`; gives those that it is about.
    ///
    /// # Errors
    /// See [`NotDone`]; nothing has changed then.
    pub(crate) fn edit(&mut self, edit: Edit, now: UnixMs) -> Result<Vec<Filter>, NotDone> {
        let mut filters = (*self.filters).clone();
        let changed = match edit {
            Edit::Add(wanted) => {
                let mut added = Vec::new();
                for (wanted, id) in wanted.into_iter().zip(self.next_filter.0..) {
                    let is_taken = |filter: &Filter| filter.wanted.name == wanted.name;
                    if wanted.name == ALL_TRAFFIC.1 || filters.iter().any(is_taken) {
                        return Err(NotDone::Taken(wanted.name));
                    }
                    if filters.len() >= MAX_FILTERS {
                        return Err(NotDone::Full);
                    }
                    let filter = Filter { id: FilterId(id), made: now, wanted };
                    filters.push(filter.clone());
                    added.push(filter);
                }
                let saved = added.iter().map(|filter| (filter.id, Some(filter.clone())));
                self.changes.filters.extend(saved);
                self.next_filter.0 += u32::try_from(added.len()).unwrap_or(u32::MAX);
                added
            }
            Edit::Remove(id) => {
                let place = filters.iter().position(|filter| filter.id == id);
                let removed = filters.remove(place.ok_or(NotDone::Unknown(id.0))?);
                self.changes.filters.insert(id, None);
                vec![removed]
            }
        };
        self.filters = Arc::new(filters);
        Ok(changed)
    }

    /// Takes a message that came at `now`.
    ///
    /// # Errors
    /// Where it is of no use or there is no room for it; nothing has changed then.
    pub(crate) fn take(
        &mut self,
        message: Message,
        now: UnixMs,
        store: &mut dyn Store,
    ) -> Result<(), Refusal> {
        match message {
            Message::Media(received) => self.take_media(&received, now, store),
            Message::Network { device, report } => {
                self.changes.counts.reports += 1;
                self.changes.networks.push((device, *report));
                Ok(())
            }
            Message::Line(received) => self.take_line(&received, now, store),
            Message::Beat(received) => self.take_beat(&received, now, store),
        }
    }

    /// Ends sessions that have been silent for too long. One that could not be heard was not silent.
    pub(crate) fn end_silent(&mut self, now: UnixMs) {
        for key in self.silent(now) {
            let Some(mut session) = self.live.remove(&key) else { continue };
            let mut ledger = Ledger::default();
            session.end_by_silence(&self.context(now), &mut ledger);
            self.put(session, ledger, now);
        }
    }

    /// What has changed since this was last asked. Sessions that have ended are not known here any more afterwards.
    pub(crate) fn take_changes(&mut self) -> Changes {
        let mut changes = std::mem::take(&mut self.changes);
        for key in std::mem::take(&mut self.touched) {
            let Some(session) = self.live.get(&key) else { continue };
            changes.sessions.push(session.clone());
            if session.end.is_some() {
                self.live.remove(&key);
            }
        }
        changes
    }

    fn take_media(
        &mut self,
        received: &report::Received,
        now: UnixMs,
        store: &mut dyn Store,
    ) -> Result<(), Refusal> {
        let (mut key, other) = received.keys();
        let mut found = self.find(&key, store)?;
        if let Some(other) = other.filter(|_| found.as_ref().is_some_and(|found| received.is_after(found))) {
            found = self.find(&other, store)?;
            key = other;
        }
        let before = found.clone();
        let mut ledger = Ledger::default();
        let session = received.apply(key, found, &self.context(now), &mut ledger);
        self.changes.counts.reports += 1;
        self.changes.counts.repeated += i64::from(before.as_ref() == Some(&session));
        self.put(session, ledger, now);
        Ok(())
    }

    fn take_line(
        &mut self,
        received: &line::Received,
        now: UnixMs,
        store: &mut dyn Store,
    ) -> Result<(), Refusal> {
        let found = self.find(&received.key(), store)?;
        let mut ledger = Ledger::default();
        let (session, taken) = received.apply(found, &self.context(now), &mut ledger)?;
        self.changes.counts.lines += 1;
        self.changes.counts.repeated += i64::from(taken == line::Taken::Repeated);
        if let Some(session) = session {
            self.put(session, ledger, now);
        }
        Ok(())
    }

    fn take_beat(
        &mut self,
        received: &beat::Received,
        now: UnixMs,
        store: &mut dyn Store,
    ) -> Result<(), Refusal> {
        let found = self.find(&received.key(), store)?;
        let mut ledger = Ledger::default();
        let (session, is_news) = received.apply(found, &self.context(now), &mut ledger);
        self.changes.counts.heartbeats += 1;
        self.changes.counts.repeated += i64::from(!is_news);
        self.put(session, ledger, now);
        Ok(())
    }

    /// A session by its key, whether it runs or has ended.
    fn find(&self, key: &Key, store: &mut dyn Store) -> Result<Option<Session>, Refusal> {
        if let Some(session) = self.live.get(key) {
            return Ok(Some(session.clone()));
        }
        let found = store.session(key)?;
        if found.is_none() && self.live.len() >= MAX_LIVE {
            return Err(Refusal::Full);
        }
        Ok(found)
    }

    fn put(&mut self, session: Session, ledger: Ledger, now: UnixMs) {
        self.changes.add(&session, ledger, &self.filters, &mut self.values, now);
        self.touched.insert(session.key.clone());
        self.live.insert(session.key.clone(), session);
    }

    const fn context(&self, now: UnixMs) -> Context<'_> {
        Context { now, rules: &self.rules, networks: &self.networks, beat_interval: self.beat_interval }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::figures::SAMPLES;
    use crate::labels::Known;
    use crate::sketch::{Kind, Samples};
    use crate::store::{Lookup, Reader, Span, Sqlite};
    use crate::tests_golden as golden;
    use crate::time::UnixMs;

    const T0: UnixMs = UnixMs(1_700_000_000_000);

    fn line(at: u64, text: &str) -> (u64, Message) {
        (at, Message::Line(Box::new(line::Received::read(text, "192.0.2.1", "192.0.2.0/24").unwrap())))
    }

    fn beat(at: u64, body: &str) -> (u64, Message) {
        let received = beat::Received::read(body.as_bytes(), "192.0.2.1", "192.0.2.0/24").unwrap();
        (at, Message::Beat(Box::new(received)))
    }

    fn reports(at: u64, body: &str) -> Vec<(u64, Message)> {
        let reports = stbeacon_core::stb::receive_batch(body.as_bytes()).unwrap().reports;
        reports
            .into_iter()
            .map(|report| {
                let device = "00:11:22:33:44:55".to_owned();
                let message = match report {
                    stbeacon_core::stb::Report::Network(report) => {
                        Message::Network { device, report: Box::new(report) }
                    }
                    stbeacon_core::stb::Report::Media(report) => {
                        let subnet = "192.0.2.0/24".to_owned();
                        Message::Media(Box::new(report::Received { device, subnet, report }))
                    }
                };
                (at, message)
            })
            .collect()
    }

    /// All that the agent's own tests have pinned.
    pub(crate) fn everything() -> Vec<(u64, Message)> {
        let mut all = Vec::new();
        for name in [
            "vod_with_seeks_and_pauses",
            "error_after_start",
            "failure_before_start",
            "live_with_rebuffers_astride_a_line",
            "title_switch",
            "abr_with_switches_up_and_down",
            "ads_before_amid_and_after",
            "servers_dimensions_and_delivery",
            "power_cut_and_restart",
        ] {
            // They all begin with the same attempt id.
            let own = |text: &str| text.replace("~c=00000000", &format!("~c={name}"));
            all.extend(golden::lines(name).iter().map(|(at, text)| line(*at, &own(text))));
        }
        all.extend(golden::heartbeats().iter().map(|(at, body)| beat(*at, body)));
        all.extend(reports(50_000, &golden::reports("media")));
        all.extend(reports(50_000, &golden::reports("extended_media")));
        all.extend(reports(60_000, &golden::reports("network")));
        all
    }

    /// Sums of a dimension as the store tells them, over all time.
    fn sums(reader: &mut dyn Reader, dimension: u32) -> Figures {
        let span = Span { filter: ALL_TRAFFIC.0, dimension, from: Minute(0), until: Minute(u64::MAX) };
        let by_value = reader.values(&span).unwrap().into_iter().map(|(_, figures)| figures);
        let by_value = by_value.fold(Figures::default(), plus);
        let by_minute = reader.minutes(&span).unwrap().into_iter().map(|(_, figures)| figures);
        assert_eq!(by_minute.fold(Figures::default(), plus), by_value);
        by_value
    }

    /// Sketches of a dimension as the store tells them, over all time and all values.
    fn sketches(reader: &mut dyn Reader, dimension: u32) -> Sketches {
        let span = Span { filter: ALL_TRAFFIC.0, dimension, from: Minute(0), until: Minute(u64::MAX) };
        let mut all = Sketches::default();
        reader.sketches(&span, 60, None).unwrap().iter().for_each(|told| all.merge(&told.sketches));
        all
    }

    /// What a session's stored story adds up to.
    fn told(story: &[serde_json::Value]) -> Figures {
        let of = |piece: &serde_json::Value| {
            let values = Figures::NAMES.iter().map(|name| piece[name].as_i64().unwrap_or(0));
            Figures::from_values(values)
        };
        story.iter().map(of).fold(Figures::default(), plus)
    }

    fn plus(mut sum: Figures, more: Figures) -> Figures {
        sum += more;
        sum
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        /// However what comes is mixed, repeated, cut into transactions and interrupted by restarts, roll-ups of each
        /// dimension add up to what the sessions add up to.
        #[test]
        fn rollups_add_up_to_sessions(
            lost in prop::collection::btree_set(0_usize..60, 0..12),
            repeated in prop::collection::btree_set(0_usize..60, 0..12),
            written in prop::collection::btree_set(0_usize..60, 0..20),
            restarted in prop::collection::btree_set(0_usize..60, 0..5),
            late in 0_u64..4_000_000,
        ) {
            let directory = tempfile::tempdir().unwrap();
            let mut store = Sqlite::open(directory.path()).unwrap();
            let table = || Networks::parse("network,city\n192.0.2.0/24,Vienna\n").unwrap();
            let mut book = Book::open(&mut store, Rules::default(), 20_000, T0).unwrap().with_networks(table());
            let mut messages = everything();
            messages.sort_by_key(|(at, _)| *at);
            let mut networks = 0;
            for (index, (at, message)) in messages.into_iter().enumerate() {
                if lost.contains(&index) {
                    continue;
                }
                networks += usize::from(matches!(message, Message::Network { .. }));
                if repeated.contains(&index) {
                    book.take(message.clone(), T0 + at, &mut store).unwrap();
                }
                book.take(message, T0 + at, &mut store).unwrap();
                if written.contains(&index) || restarted.contains(&index) {
                    store.write(&book.take_changes()).unwrap();
                }
                if restarted.contains(&index) {
                    drop(store);
                    store = Sqlite::open(directory.path()).unwrap();
                    book = Book::open(&mut store, Rules::default(), 20_000, T0).unwrap().with_networks(table());
                }
            }
            book.end_silent(T0 + 310_000 + late);
            store.write(&book.take_changes()).unwrap();

            let sessions = store.all().unwrap();
            let expected = sessions.iter().map(|session| session.total).fold(Figures::default(), plus);
            prop_assert!(expected.attempts >= 9);
            let mut reader = Sqlite::reader(directory.path()).unwrap();
            for session in &sessions {
                let told = told(&reader.story(&session.key).unwrap());
                let total = Figures { running: [0; SAMPLES], ..session.total };
                prop_assert_eq!(told, total, "{:?}", session.key);
            }
            prop_assert_eq!(sums(&mut reader, 0), expected);
            for known in Known::ALL {
                prop_assert_eq!(sums(&mut reader, known.id()), expected, "{}", known.name());
            }
            // What is repeated is sampled once; what is taken back is not taken out.
            let sampled = sketches(&mut reader, 0);
            let count = |kind| sampled.of(kind).map_or(0, Samples::count);
            prop_assert_eq!(count(Kind::Startup), u64::try_from(expected.startups).unwrap());
            prop_assert!(count(Kind::Restart) >= u64::try_from(expected.restarts).unwrap());
            let plays = sessions.iter().filter(|session| session.joined.is_some());
            let ended = plays.clone().filter(|session| session.end.is_some()).count() as u64;
            prop_assert!(count(Kind::Rebuffering) <= plays.count() as u64 && count(Kind::Bitrate) <= ended.max(count(Kind::Rebuffering)));
            let devices: BTreeSet<_> = sessions.iter().map(|session| &session.device).collect();
            prop_assert_eq!(sampled.devices(), devices.len() as u64);
            for known in Known::ALL {
                prop_assert_eq!(sketches(&mut reader, known.id()).encode(), sampled.encode(), "{}", known.name());
            }
            prop_assert_eq!(book.running(), sessions.iter().filter(|session| session.end.is_none()).count());
            prop_assert_eq!(store.networks().unwrap(), networks);
        }
    }

    #[test]
    fn a_collector_that_was_away_does_not_take_that_for_silence() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Sqlite::open(directory.path()).unwrap();
        let mut book = Book::open(&mut store, Rules::default(), 20_000, T0).unwrap();
        let (_, message) = beat(0, &golden::heartbeats()[0].1);
        book.take(message, T0, &mut store).unwrap();
        store.write(&book.take_changes()).unwrap();

        // It runs again an hour later; a session that is told by heartbeats may be silent for 100 s.
        let again = T0 + 3_600_000;
        let mut book = Book::open(&mut store, Rules::default(), 20_000, again).unwrap();
        book.end_silent(again + 99_999);
        assert_eq!(book.running(), 1);
        book.end_silent(again + 100_000);
        let ended = book.take_changes().sessions;
        assert_eq!((book.running(), ended[0].end.unwrap().at), (0, T0 + 100));
    }

    #[test]
    fn titles_without_end_count_as_other_and_as_attempts() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Sqlite::open(directory.path()).unwrap();
        let mut book = Book::open(&mut store, Rules::default(), 20_000, T0).unwrap();
        for number in 0..5_010 {
            let (at, message) = line(0, &format!("a=I~c={number}~d=box~e=0~f=R~tt=title-{number}~w=0"));
            book.take(message, T0 + at, &mut store).unwrap();
        }
        let changes = book.take_changes();
        assert_eq!((changes.sessions.len(), changes.counts.folded), (5_010, 10));
        let place = |dimension: Dimension, value: &str| Place {
            filter: ALL_TRAFFIC.0,
            dimension,
            minute: T0.minute(),
            value: value.to_owned(),
        };
        let attempts = |dimension, value| changes.rollups[&place(dimension, value)].attempts;
        assert_eq!(attempts(Dimension::Known(Known::Asset), crate::labels::OTHER), 10);
        assert_eq!(attempts(Dimension::Known(Known::Asset), "title-4999"), 1);
        assert_eq!(attempts(Dimension::All, ""), 5_010);
    }

    #[test]
    fn what_was_not_written_is_forgotten_and_may_come_again() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Sqlite::open(directory.path()).unwrap();
        let mut book = Book::open(&mut store, Rules::default(), 20_000, T0).unwrap();
        let (_, message) = line(0, "a=I~c=1~d=box~e=0~f=R~w=0");
        book.take(message.clone(), T0, &mut store).unwrap();
        book.reopen(&mut store).unwrap();
        assert_eq!(book.running(), 0);
        book.take(message, T0, &mut store).unwrap();
        let changes = book.take_changes();
        assert_eq!((changes.sessions.len(), changes.counts.repeated), (1, 0));
        assert!(book.take_changes().is_empty());
    }
}
