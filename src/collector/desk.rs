//! What people and alerts keep beside the metrics: a small SQLite file of its own, whichever store the metrics are in.

use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

/// The file in the data directory. Passwords of other services are in it: it is its owner's alone.
const FILE: &str = "desk.sqlite";
const OWNER_ONLY: u32 = 0o600;
/// How long one waits for another.
const BUSY: Duration = Duration::from_secs(5);

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS alert (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    at   INTEGER NOT NULL,
    kind TEXT NOT NULL,
    same TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS alert_same ON alert (kind, same, at);
CREATE TABLE IF NOT EXISTS delivery (
    alert INTEGER NOT NULL,
    url   TEXT NOT NULL,
    tries INTEGER NOT NULL,
    due   INTEGER,
    state TEXT NOT NULL,
    PRIMARY KEY (alert, url)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS delivery_due ON delivery (due) WHERE due IS NOT NULL;
";

/// The file, for all who share it.
#[derive(Debug, Clone)]
pub(crate) struct Desk(Arc<Mutex<Connection>>);

// === impl Desk ===

impl Desk {
    /// Opens it in a directory, or makes it.
    ///
    /// # Errors
    /// Where it cannot be had.
    pub(crate) fn open(directory: &Path) -> Result<Self, String> {
        let file = directory.join(FILE);
        let shown = file.display();
        // Before SQLite makes it as the umask has it; its journal gets the same mode.
        let made = OpenOptions::new().create(true).append(true).mode(OWNER_ONLY).open(&file);
        made.and_then(|made| made.set_permissions(Permissions::from_mode(OWNER_ONLY)))
            .map_err(|error| format!("{shown}: {error}"))?;
        let open = || {
            let connection = Connection::open(&file)?;
            connection.busy_timeout(BUSY)?;
            connection.pragma_update(None, "journal_mode", "wal")?;
            connection.execute_batch(TABLES)?;
            Ok(connection)
        };
        let connection = open().map_err(|error: rusqlite::Error| format!("{shown}: {error}"))?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    /// The file, for a while.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
