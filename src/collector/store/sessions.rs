//! Sessions in the embedded store: those that run in the main file, those that have ended in their day's (see
//! [`super::days`]), and where each of these is.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::days::{Day, Days, Row, Spot, hash};
use super::sqlite::stored;
use super::{StoreError, told};
use crate::session::story::Piece;
use crate::session::{Key, Session};

/// `story.session` is the id of one that runs. A place is found by the key's hash: should two keys have the same, the one
/// that has ended later is found.
pub(super) const TABLES: &str = "
CREATE TABLE running (
    id     INTEGER PRIMARY KEY,
    key    TEXT NOT NULL UNIQUE,
    device TEXT NOT NULL,
    start  INTEGER NOT NULL,
    state  TEXT NOT NULL
);
CREATE INDEX running_start ON running (start, device);
CREATE TABLE story (
    id      INTEGER PRIMARY KEY,
    session INTEGER NOT NULL,
    pieces  TEXT NOT NULL
);
CREATE INDEX story_session ON story (session);
CREATE TABLE place (
    hash INTEGER PRIMARY KEY,
    day  INTEGER NOT NULL,
    id   INTEGER NOT NULL
);
";

/// All that run.
pub(super) fn running(connection: &Connection) -> Result<Vec<Session>, StoreError> {
    let mut statement = connection.prepare("SELECT key, state FROM running")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.map(|row| {
        let (key, state): (String, String) = row?;
        session(key, &state)
    })
    .collect()
}

/// A session's state as it is stored.
pub(super) fn session(key: String, state: &str) -> Result<Session, StoreError> {
    serde_json::from_str(state).map_err(|error| StoreError::Session { key, error })
}

/// Where a session is that has ended.
pub(super) fn spot(connection: &Connection, hash: i64) -> Result<Option<Spot>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT day, id FROM place WHERE hash = ?1")?;
    let spot = |row: &rusqlite::Row<'_>| Ok(Spot { day: Day(row.get(0)?), id: row.get(1)? });
    Ok(statement.query_row([hash], spot).optional()?)
}

/// Writes sessions as they are now, and what has become of them. Those that have ended are on the disk when this is back,
/// for all that the transaction may fail. Gives the rows that will not be theirs any more.
pub(super) fn write(
    transaction: &Transaction<'_>,
    days: &mut Days,
    sessions: &[Session],
    stories: &BTreeMap<Key, Vec<Piece>>,
) -> Result<Vec<Spot>, StoreError> {
    let mut stale = Vec::new();
    let mut ended: BTreeMap<Day, Vec<Row<'_>>> = BTreeMap::new();
    for session in sessions {
        let key = &session.key;
        let state = serde_json::to_string(session)
            .map_err(|error| StoreError::Session { key: key.0.clone(), error })?;
        let pieces = stories.get(key).map(|pieces| told(key, pieces)).transpose()?;
        if session.end.is_none() {
            let id = match change(transaction, key, &state)? {
                Some(id) => id,
                None => {
                    let (id, before) = begin(transaction, days, session, &state)?;
                    stale.extend(before);
                    id
                }
            };
            if let Some(pieces) = pieces {
                tell(transaction, id, &pieces)?;
            }
            continue;
        }
        let hash = hash(key);
        let mut story = match leave(transaction, key)? {
            Some(story) => story,
            None => match before(transaction, days, key, hash)? {
                Some((spot, story)) => {
                    stale.push(spot);
                    story
                }
                None => String::new(),
            },
        };
        story.extend(pieces);
        let row =
            Row { hash, key: &key.0, device: &session.device, start: stored(session.start.0), state, story };
        ended.entry(Day::of(session.start)).or_default().push(row);
    }
    let mut place =
        transaction.prepare_cached("INSERT OR REPLACE INTO place (hash, day, id) VALUES (?1, ?2, ?3)")?;
    for (day, rows) in &ended {
        for (row, id) in rows.iter().zip(days.add(*day, rows)?) {
            place.execute(params![row.hash, day.0, id])?;
        }
    }
    Ok(stale)
}

/// Writes a session that runs as it is now; its id, or `None` where it is not known to run.
fn change(transaction: &Transaction<'_>, key: &Key, state: &str) -> Result<Option<i64>, StoreError> {
    let sql = "UPDATE running SET state = ?2 WHERE key = ?1 RETURNING id";
    let mut statement = transaction.prepare_cached(sql)?;
    Ok(statement.query_row(params![key.0, state], |row| row.get(0)).optional()?)
}

/// A session runs from now on: its id. Where it had ended before, it takes along what had become of it; with its place
/// then, which it has no more.
fn begin(
    transaction: &Transaction<'_>,
    days: &mut Days,
    session: &Session,
    state: &str,
) -> Result<(i64, Option<Spot>), StoreError> {
    let hash = hash(&session.key);
    let mut insert = transaction
        .prepare_cached("INSERT INTO running (key, device, start, state) VALUES (?1, ?2, ?3, ?4)")?;
    let id = insert.insert(params![session.key.0, session.device, stored(session.start.0), state])?;
    let before = before(transaction, days, &session.key, hash)?;
    if let Some((_, story)) = &before {
        tell(transaction, id, story)?;
        transaction.prepare_cached("DELETE FROM place WHERE hash = ?1")?.execute([hash])?;
    }
    Ok((id, before.map(|(spot, _)| spot)))
}

/// A session that had ended before: where it is, and what had become of it.
fn before(
    transaction: &Transaction<'_>,
    days: &mut Days,
    key: &Key,
    hash: i64,
) -> Result<Option<(Spot, String)>, StoreError> {
    let Some(spot) = spot(transaction, hash)? else { return Ok(None) };
    Ok(days.column("story", spot, key)?.map(|story| (spot, story)))
}

/// More has become of a session that runs.
fn tell(transaction: &Transaction<'_>, id: i64, pieces: &str) -> Result<(), StoreError> {
    let sql = "INSERT INTO story (session, pieces) VALUES (?1, ?2)";
    transaction.prepare_cached(sql)?.execute(params![id, pieces])?;
    Ok(())
}

/// A session runs no more: what had become of it. `None` where it is not known to have run.
fn leave(transaction: &Transaction<'_>, key: &Key) -> Result<Option<String>, StoreError> {
    let mut delete = transaction.prepare_cached("DELETE FROM running WHERE key = ?1 RETURNING id")?;
    let id: Option<i64> = delete.query_row([&key.0], |row| row.get(0)).optional()?;
    let Some(id) = id else { return Ok(None) };
    let mut story = String::new();
    let mut select = transaction.prepare_cached("SELECT pieces FROM story WHERE session = ?1 ORDER BY id")?;
    let mut rows = select.query([id])?;
    while let Some(row) = rows.next()? {
        story.push_str(row.get_ref(0)?.as_str().unwrap_or_default());
    }
    transaction.prepare_cached("DELETE FROM story WHERE session = ?1")?.execute([id])?;
    Ok(Some(story))
}

#[cfg(test)]
mod tests {
    use super::Day;
    use crate::book::{Book, Message};
    use crate::rules::Rules;
    use crate::session::{Key, line};
    use crate::store::{Lookup, Sqlite, Store, Wanted};
    use crate::time::UnixMs;

    const T0: UnixMs = UnixMs(1_700_000_000_000);

    struct Desk {
        store: Sqlite,
        book: Book,
        directory: tempfile::TempDir,
    }

    impl Desk {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let mut store = Sqlite::open(directory.path()).unwrap();
            let book = Book::open(&mut store, Rules::default(), 20_000, T0).unwrap();
            Self { store, book, directory }
        }

        fn tell(&mut self, text: &str, now: UnixMs) {
            let message = line::Received::read(text, "192.0.2.1", "192.0.2.0/24").unwrap();
            self.book.take(Message::Line(Box::new(message)), now, &mut self.store).unwrap();
        }

        fn write(&mut self) {
            self.store.write(&self.book.take_changes()).unwrap();
        }

        /// Keys, the newest first.
        fn listed(&self, running: Option<bool>, most: usize) -> Vec<String> {
            let wanted = Wanted { running, most, ..Wanted::default() };
            let sessions = Sqlite::reader(self.directory.path()).unwrap().sessions(&wanted).unwrap();
            sessions.into_iter().map(|session| session.key.0).collect()
        }

        fn story(&self, key: &str) -> Vec<serde_json::Value> {
            Sqlite::reader(self.directory.path()).unwrap().story(&Key(key.to_owned())).unwrap()
        }

        /// Rows in all files of days.
        fn rows(&self) -> usize {
            let files = std::fs::read_dir(self.directory.path().join("sessions")).unwrap();
            let files = files.map(|file| file.unwrap().path());
            let files = files.filter(|path| path.extension().is_some_and(|end| end == "sqlite"));
            let rows = |path| -> usize {
                let file = rusqlite::Connection::open(path).unwrap();
                file.query_row("SELECT count(*) FROM session", [], |row| row.get(0)).unwrap()
            };
            files.map(rows).sum()
        }
    }

    /// A session falls silent, is heard again and falls silent again: it is there once, with all that became of it.
    #[test]
    fn a_session_ends_twice() {
        let mut desk = Desk::new();
        desk.tell("a=S~c=1~d=box~e=0~f=R~r=900~w=900", T0);
        desk.write();
        desk.book.end_silent(T0 + 3_600_000);
        desk.write();
        assert_eq!((desk.listed(Some(false), 9).len(), desk.listed(Some(true), 9).len()), (1, 0));
        let first = desk.story("l|box|1");
        assert!(!first.is_empty());

        desk.tell("a=P~c=1~d=box~e=1~f=R~w=30000~dx=30~pct=29000~tpct=29000", T0 + 3_700_000);
        desk.write();
        assert_eq!((desk.listed(Some(false), 9).len(), desk.listed(Some(true), 9).len()), (0, 1));
        let second = desk.story("l|box|1");
        assert!(second.len() > first.len() && second.starts_with(&first), "{second:?}");

        desk.tell("a=C~c=1~d=box~e=2~f=R~w=60000~dx=30~pct=29000~tpct=58000", T0 + 3_730_000);
        desk.write();
        assert_eq!(desk.listed(None, 9), ["l|box|1"]);
        let third = desk.story("l|box|1");
        assert!(third.len() > second.len() && third.starts_with(&second), "{third:?}");
        assert_eq!(desk.rows(), 1, "the row that it had is gone with the next one");
        let stored = desk.store.session(&Key("l|box|1".to_owned())).unwrap().unwrap();
        assert!(stored.end.is_some_and(|end| !end.by_silence));
    }

    /// A kill between the two files' transactions leaves a row that nobody is told of.
    #[test]
    fn a_row_that_has_no_place_is_not_there() {
        let mut desk = Desk::new();
        for number in 0..4 {
            desk.tell(&format!("a=S~c={number}~d=box~e=0~f=R~r=900~w=900"), T0 + number * 1000);
            if number % 2 == 0 {
                let end = format!("a=C~c={number}~d=box~e=1~f=R~w=60900~dx=60~pct=60000~tpct=60000");
                desk.tell(&end, T0 + number * 1000 + 60_000);
            }
        }
        desk.write();
        assert_eq!(desk.listed(None, 9), ["l|box|3", "l|box|2", "l|box|1", "l|box|0"]);
        assert_eq!(desk.listed(None, 3), ["l|box|3", "l|box|2", "l|box|1"]);
        assert_eq!(desk.listed(Some(false), 9), ["l|box|2", "l|box|0"]);
        desk.store.connection.execute("DELETE FROM place WHERE id = 1", []).unwrap();
        assert_eq!(desk.listed(None, 9), ["l|box|3", "l|box|2", "l|box|1"]);
        let mut reader = Sqlite::reader(desk.directory.path()).unwrap();
        assert!(reader.session(&Key("l|box|0".to_owned())).unwrap().is_none());
        let boxes = reader.boxes(9).unwrap();
        assert_eq!(boxes.iter().map(|seen| (seen.sessions, seen.running)).collect::<Vec<_>>(), [(3, 2)]);
        assert_eq!(desk.rows(), 2);

        // And one right after a file was made, that nothing is in it.
        let file = Day(20_000).path(desk.directory.path());
        std::fs::write(&file, "").unwrap();
        assert_eq!(desk.listed(None, 9).len(), 3);
        assert_eq!(reader.devices_since(UnixMs(0)).unwrap(), 1);
    }
}
