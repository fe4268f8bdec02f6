//! How long what is kept is kept, and how much of it.
//!
//! Sums are there by the hour soon after it is over, beside those by the minute (see [`super::fold`]): when minutes are old,
//! they need only go, and those by ten minutes with them. So it is with the sketches beside them.

use rusqlite::{OptionalExtension, params};

use super::StoreError;
use super::days::{Day, used};
use super::fold::fold;
use super::rollup::{By, dimension_from, minute_from};
use super::sqlite::{Sqlite, stored};
use crate::time::{DAY, HOUR, UnixMs};

/// Most sessions, and most rows of other kinds, that go at once: what comes meanwhile waits for it.
const SESSIONS: usize = 500;
const ROWS: usize = 5_000;
/// Most pages that are given back to the file system at once.
const PAGES: usize = 1_000;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keep {
    /// Sessions that have ended and measurements of interfaces, in days; sessions of the day in which that ends are kept.
    pub(crate) sessions: u64,
    /// Sums by minute, in days; then they are sums by hour.
    pub(crate) minutes: u64,
    /// Sums by hour, in days.
    pub(crate) hours: u64,
    /// Of all together, in bytes; 0 for as much as there is room for.
    pub(crate) bytes: u64,
}

/// What a step has done, in rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tidied {
    pub(crate) sessions: usize,
    pub(crate) networks: usize,
    /// Sums by minute that were added to sums by hour.
    pub(crate) folded: usize,
    pub(crate) minutes: usize,
    pub(crate) hours: usize,
}

// === impl Keep ===

impl Default for Keep {
    fn default() -> Self {
        Self { sessions: 30, minutes: 14, hours: 400, bytes: 0 }
    }
}

// === impl Tidied ===

impl Tidied {
    /// Whether there was nothing to do.
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Of one step: the oldest first.
pub(super) fn tidy(store: &mut Sqlite, keep: &Keep, now: UnixMs) -> Result<Tidied, StoreError> {
    let before = |days: u64| now - days.saturating_mul(DAY);
    let mut tidied = Tidied {
        folded: fold(&mut store.connection, &mut store.border, now, ROWS)?,
        sessions: sessions(store, before(keep.sessions))?,
        networks: networks(store, before(keep.sessions))?,
        minutes: minutes(store, before(keep.minutes))?,
        hours: hours(store, before(keep.hours))?,
    };
    sweep(store)?;
    if keep.bytes > 0 && tidied.is_nothing() && size(store)? > keep.bytes {
        // Single sessions are the largest part, and what is missed least; sums by hour the smallest, and most.
        tidied.sessions = oldest_sessions(store)?;
        if tidied.is_nothing() {
            tidied.networks = networks(store, now)?;
        }
        if tidied.is_nothing() {
            tidied.minutes = minutes(store, before(1))?;
        }
        if tidied.is_nothing() {
            tidied.hours = hours(store, before(1))?;
        }
    }
    if !(Tidied { folded: 0, ..tidied }).is_nothing() {
        store.connection.execute_batch(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
    }
    Ok(tidied)
}

/// What is in use, in bytes.
fn size(store: &Sqlite) -> Result<u64, StoreError> {
    Ok(used(&store.connection)?.saturating_add(store.days.size()?))
}

/// Days that are over go whole.
fn sessions(store: &mut Sqlite, before: UnixMs) -> Result<usize, StoreError> {
    match store.days.oldest() {
        Some(oldest) if oldest < Day::of(before) => {
            let rows = store.days.remove(oldest)?;
            store.sweeping = Some(i64::MIN);
            Ok(rows)
        }
        _ => Ok(0),
    }
}

/// Takes away where sessions are of days that are gone, some of them.
fn sweep(store: &mut Sqlite) -> Result<(), StoreError> {
    let Some(from) = store.sweeping else { return Ok(()) };
    let transaction = store.connection.transaction()?;
    let until: Option<i64> = transaction
        .prepare_cached("SELECT hash FROM place WHERE hash >= ?1 ORDER BY hash LIMIT 1 OFFSET ?2")?
        .query_row(params![from, ROWS], |row| row.get(0))
        .optional()?;
    let first = store.days.oldest().map_or(i64::MAX, |day| day.0);
    transaction
        .prepare_cached("DELETE FROM place WHERE hash >= ?1 AND hash <= ?2 AND day < ?3")?
        .execute(params![from, until.unwrap_or(i64::MAX), first])?;
    transaction.commit()?;
    store.sweeping = until;
    Ok(())
}

/// The oldest that have ended, some of them, for want of room.
fn oldest_sessions(store: &mut Sqlite) -> Result<usize, StoreError> {
    let Some(day) = store.days.oldest() else { return Ok(0) };
    let rows = store.days.first(day, SESSIONS)?;
    let Some((last, _)) = rows.last().copied() else {
        // Of what it had at some time nothing is left.
        store.days.remove(day)?;
        return Ok(1);
    };
    let transaction = store.connection.transaction()?;
    {
        let sql = "DELETE FROM place WHERE hash = ?1 AND day = ?2 AND id = ?3";
        let mut delete = transaction.prepare_cached(sql)?;
        for (id, hash) in &rows {
            delete.execute(params![hash, day.0, id])?;
        }
    }
    transaction.commit()?;
    store.days.cut(day, last)?;
    Ok(rows.len())
}

fn networks(store: &Sqlite, before: UnixMs) -> Result<usize, StoreError> {
    let mut statement = store.connection.prepare_cached(
        "DELETE FROM network WHERE (device, name, timestamp) IN (
             SELECT device, name, timestamp FROM network WHERE timestamp < ?1 ORDER BY timestamp LIMIT ?2)",
    )?;
    Ok(statement.execute(params![stored(before.0 / 1000), ROWS])?)
}

fn minutes(store: &mut Sqlite, before: UnixMs) -> Result<usize, StoreError> {
    // Hours that are over, and there by the hour.
    let from = hour(before).min(store.border.hours_until());
    if from > store.border.minutes_from {
        let transaction = store.connection.transaction()?;
        let border = store.border.without_minutes(from);
        border.save(&transaction)?;
        transaction.commit()?;
        store.border = border;
    }
    let before = store.border.minutes_from;
    Ok(clear(store, By::Minute, before)? + clear(store, By::Ten, before)?)
}

/// No minutes are left of what goes.
fn hours(store: &mut Sqlite, before: UnixMs) -> Result<usize, StoreError> {
    clear(store, By::Hour, hour(before).min(store.border.minutes_from))
}

/// The first minute of an hour.
const fn hour(at: UnixMs) -> u64 {
    at.0 / HOUR * 60
}

/// Takes sums and sketches of before a minute away, some of them; how many rows these were.
fn clear(store: &mut Sqlite, by: By, before: u64) -> Result<usize, StoreError> {
    let [of_minutes, of_tens, of_hours] = &mut store.cleared;
    let cleared = match by {
        By::Minute => of_minutes,
        By::Ten => of_tens,
        By::Hour => of_hours,
    };
    if before <= *cleared {
        return Ok(0);
    }
    let transaction = store.connection.transaction()?;
    let (mut rows, mut first, mut is_done) = (0, 0, false);
    while rows < ROWS && !is_done {
        let Some(dimension) = dimension_from(&transaction, by, first)? else {
            is_done = true;
            continue;
        };
        let oldest = minute_from(&transaction, by, dimension, 0)?;
        let Some(oldest) = oldest.filter(|oldest| *oldest < stored(before)) else {
            first = dimension.saturating_add(1);
            continue;
        };
        for table in [by.sketches(), by.sums()] {
            let sql = format!("DELETE FROM {table} WHERE dimension = ?1 AND minute <= ?2");
            rows += transaction.prepare_cached(&sql)?.execute([dimension, oldest])?;
        }
    }
    transaction.commit()?;
    if is_done {
        *cleared = before;
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::{Book, Message};
    use crate::figures::Figures;
    use crate::filters::{ALL_TRAFFIC, Edit, Wanted};
    use crate::labels::Known;
    use crate::rules::Rules;
    use crate::session::{Key, line};
    use crate::sketch::States;
    use crate::store::{Reader, Span, Store};
    use crate::time::Minute;

    const T0: UnixMs = UnixMs(1_700_000_000_000);
    const SESSIONS: u64 = 200;

    /// A session each twenty minutes, on one of two boxes' models.
    fn filled(directory: &std::path::Path) -> Sqlite {
        let mut store = Sqlite::open(directory).unwrap();
        let mut book = Book::open(&mut store, Rules::default(), 20_000, T0).unwrap();
        for number in 0..SESSIONS {
            let now = T0 + number * 1_200_000;
            for text in [
                format!("a=S~c={number}~d=box~sa=m{}~e=0~f=R~r=900~w=900", number % 2),
                format!("a=C~c={number}~d=box~sa=m{}~e=1~f=R~w=60900~dx=60~pct=60000~tpct=60000", number % 2),
            ] {
                let message = line::Received::read(&text, "192.0.2.1", "192.0.2.0/24").unwrap();
                book.take(Message::Line(Box::new(message)), now, &mut store).unwrap();
            }
        }
        store.write(&book.take_changes()).unwrap();
        store
    }

    fn values(directory: &std::path::Path, dimension: u32) -> Vec<(String, Figures)> {
        let span = Span { filter: ALL_TRAFFIC.0, dimension, from: Minute(0), until: Minute(u64::MAX) };
        Sqlite::reader(directory).unwrap().values(&span).unwrap()
    }

    fn tidy_all(store: &mut Sqlite, keep: &Keep, now: UnixMs) -> Tidied {
        let mut sum = Tidied::default();
        for _ in 0..1_000 {
            let step = store.tidy(keep, now).unwrap();
            if step.is_nothing() {
                return sum;
            }
            sum.sessions += step.sessions;
            sum.folded += step.folded;
            sum.minutes += step.minutes;
            sum.hours += step.hours;
        }
        panic!("there is always something to do");
    }

    #[test]
    fn minutes_become_hours_and_nothing_changes_for_who_asks() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = filled(directory.path());
        let now = T0 + SESSIONS * 1_200_000;
        let without_samples = |values: Vec<(String, Figures)>| -> Vec<_> {
            let of = |(name, figures): (String, Figures)| (name, Figures { running: [0; 6], ..figures });
            values.into_iter().map(of).collect()
        };
        let before = without_samples(values(directory.path(), Known::Device.id()));
        assert_eq!(before.iter().map(|(_, figures)| figures.attempts).sum::<i64>(), 200);
        let keep = Keep { minutes: 1, ..Keep::default() };
        let tidied = tidy_all(&mut store, &keep, now);
        assert!(tidied.minutes > 500 && tidied.sessions == 0, "{tidied:?}");
        assert_eq!(without_samples(values(directory.path(), Known::Device.id())), before);
        let mut reader = Sqlite::reader(directory.path()).unwrap();
        let span = Span { filter: ALL_TRAFFIC.0, dimension: 0, from: Minute(0), until: Minute(u64::MAX) };
        let days = reader.grid(&span, 1440, None).unwrap();
        assert_eq!(days.iter().map(|cell| cell.figures.attempts).sum::<i64>(), 200);
        assert!(days.iter().all(|cell| cell.figures.concurrent_plays() == 1), "a peak is no sum");
    }

    /// Sketches of each value, over all time.
    fn sketches(directory: &std::path::Path, dimension: u32) -> Vec<(String, Vec<u8>)> {
        let span = Span { filter: ALL_TRAFFIC.0, dimension, from: Minute(0), until: Minute(u64::MAX) };
        let told = Sqlite::reader(directory).unwrap().sketches(&span, u64::MAX, None, States::ALL).unwrap();
        told.into_iter().map(|told| (told.value, told.sketches.encode())).collect()
    }

    #[test]
    fn sketches_go_with_their_sums() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = filled(directory.path());
        let now = T0 + SESSIONS * 1_200_000;
        let rows = |store: &Sqlite, table: &str| -> usize {
            store
                .connection
                .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))
                .unwrap()
        };
        let before = sketches(directory.path(), Known::Device.id());
        assert_eq!(before.iter().map(|(value, _)| value.as_str()).collect::<Vec<_>>(), ["m0", "m1"]);
        tidy_all(&mut store, &Keep { minutes: 1, ..Keep::default() }, now);
        assert_eq!(sketches(directory.path(), Known::Device.id()), before);
        for table in ["sketch", "sketch_ten", "sketch_hour"] {
            assert!(rows(&store, table) > 0, "{table}");
        }
        tidy_all(&mut store, &Keep { minutes: 1, hours: 1, ..Keep::default() }, now + 3 * DAY);
        for table in ["sketch", "sketch_ten", "sketch_hour"] {
            assert_eq!(rows(&store, table), 0, "{table}");
        }
    }

    #[test]
    fn what_counted_for_a_filter_goes_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Sqlite::open(directory.path()).unwrap();
        let mut book = Book::open(&mut store, Rules::default(), 20_000, T0).unwrap();
        let rules = serde_json::json!({ "field": "CDN", "op": "equals", "value": "x" });
        let wanted = serde_json::json!([{ "name": "On x", "advanced": true, "rules": rules }]);
        let made = book.edit(Edit::Add(Wanted::read_all(&wanted).unwrap()), T0).unwrap();
        let id = made.first().unwrap().id;
        for (number, now) in [(1, T0), (2, T0 + 2 * DAY)] {
            let text = format!("a=S~c={number}~d=box~cm=x~e=0~f=R~r=900~w=900");
            let message = line::Received::read(&text, "192.0.2.1", "192.0.2.0/24").unwrap();
            book.take(Message::Line(Box::new(message)), now, &mut store).unwrap();
        }
        store.write(&book.take_changes()).unwrap();
        tidy_all(&mut store, &Keep { minutes: 1, ..Keep::default() }, T0 + 2 * DAY + HOUR);
        let rows = |store: &Sqlite| -> [usize; 6] {
            ["rollup", "rollup_ten", "rollup_hour", "sketch", "sketch_ten", "sketch_hour"].map(|table| {
                let sql = format!("SELECT count(*) FROM {table} WHERE dimension >= 1 << 32");
                store.connection.query_row(&sql, [], |row| row.get(0)).unwrap()
            })
        };
        assert!(rows(&store).iter().all(|rows| *rows > 0), "{:?}", rows(&store));
        book.edit(Edit::Remove(id), T0 + 2 * DAY).unwrap();
        store.write(&book.take_changes()).unwrap();
        assert_eq!(rows(&store), [0; 6]);
        assert!(!sketches(directory.path(), 0).is_empty(), "that of all traffic stays");
    }

    #[test]
    fn sessions_go_by_age_and_by_size() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = filled(directory.path());
        let now = T0 + SESSIONS * 1_200_000;
        tidy_all(&mut store, &Keep::default(), now);
        let before = size(&store).unwrap();
        let keep = Keep { sessions: 1, ..Keep::default() };
        // 200 in 66 h 40 min from 22:13 on; those of the day in which the last day began stay.
        assert_eq!(tidy_all(&mut store, &keep, now).sessions, 6 + 72);
        assert_eq!(store.all().unwrap().len(), 122);
        let places = |store: &Sqlite| -> i64 {
            store.connection.query_row("SELECT count(*) FROM place", [], |row| row.get(0)).unwrap()
        };
        assert_eq!(places(&store), 122);
        assert!(store.session(&Key("l|box|0".to_owned())).unwrap().is_none());
        assert!(store.session(&Key("l|box|199".to_owned())).unwrap().is_some());
        let attempts =
            |directory| values(directory, 0).iter().map(|(_, figures)| figures.attempts).sum::<i64>();
        assert_eq!(attempts(directory.path()), 200, "sums stay");
        assert!(size(&store).unwrap() < before);

        let keep = Keep { bytes: size(&store).unwrap() - 20_000, ..keep };
        let tidied = tidy_all(&mut store, &keep, now);
        assert!(tidied.sessions > 0 && tidied.hours == 0, "{tidied:?}");
        let left = store.all().unwrap().len();
        assert!(left < 122 && usize::try_from(places(&store)).unwrap() == left, "{left}");
        let keep = Keep { bytes: 1, ..keep };
        let tidied = tidy_all(&mut store, &keep, now);
        assert!(tidied.minutes > 0 && tidied.hours > 0, "{tidied:?}");
        assert_eq!((store.all().unwrap().len(), store.days.oldest()), (0, None));
    }
}
