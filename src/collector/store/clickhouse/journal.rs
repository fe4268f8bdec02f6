//! A small file on this machine's disk that holds the one batch that may be in the tables in part.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::spool::checksum;

/// The files in the data directory.
const FILE: &str = "clickhouse.journal";
const ID: &str = "clickhouse.id";
/// Length and checksum of what follows.
const HEAD: usize = 12;

/// Rows of one table that are inserted at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Piece {
    pub(super) table: String,
    /// In which minute the row stands that tells that the others are there; `None` where they may come twice.
    pub(super) mark: Option<u64>,
    /// Tab-separated.
    pub(super) rows: String,
}

/// All that is written at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Batch {
    /// No other batch of any collector has the same.
    pub(super) id: String,
    pub(super) pieces: Vec<Piece>,
}

/// The file.
#[derive(Debug)]
pub(super) struct Journal(File);

// === impl Journal ===

impl Journal {
    /// Opens it, or makes it.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let file = directory.join(FILE);
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(file)?;
        File::open(directory)?.sync_all()?;
        Ok(Self(file))
    }

    /// Writes a batch over the one before, which is in the tables; on the disk when this is back. Where that fails or is cut
    /// off, nothing of the batch has been inserted, and what is read is no batch.
    pub(super) fn put(&self, batch: &Batch) -> io::Result<()> {
        let body = serde_json::to_vec(batch)?;
        let mut bytes = Vec::with_capacity(HEAD + body.len());
        bytes.extend((body.len() as u64).to_le_bytes());
        bytes.extend(checksum(&body).to_le_bytes());
        bytes.extend(body);
        self.0.write_all_at(&bytes, 0)?;
        self.0.sync_data()
    }

    /// The batch that was last written whole; it may be in the tables by now.
    pub(super) fn last(&self) -> io::Result<Option<Batch>> {
        let mut head = [0; HEAD];
        let length = self.0.metadata()?.len();
        if length < HEAD as u64 {
            return Ok(None);
        }
        self.0.read_exact_at(&mut head, 0)?;
        let [a, b, c, d, e, f, g, h, sum @ ..] = head;
        let size = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        if size > length - HEAD as u64 {
            return Ok(None);
        }
        let mut body = vec![0; usize::try_from(size).unwrap_or(0)];
        self.0.read_exact_at(&mut body, HEAD as u64)?;
        if checksum(&body) != u32::from_le_bytes(sum) {
            return Ok(None);
        }
        Ok(serde_json::from_slice(&body).ok())
    }
}

/// What tells this collector from others: made when it first runs on its data directory.
pub(super) fn id(directory: &Path) -> io::Result<String> {
    let file = directory.join(ID);
    match std::fs::read_to_string(&file) {
        Ok(text) if text.trim().len() == 16 && text.trim().bytes().all(|b| b.is_ascii_hexdigit()) => {
            return Ok(text.trim().to_owned());
        }
        Ok(_) => log::warn!("{}: is no id, and is made anew", file.display()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let id = random();
    let fresh = directory.join(format!("{ID}.new"));
    std::fs::write(&fresh, format!("{id}\n"))?;
    File::open(&fresh)?.sync_all()?;
    std::fs::rename(&fresh, &file)?;
    File::open(directory)?.sync_all()?;
    Ok(id)
}

/// 64 random bits, in hexadecimal digits.
pub(super) fn random() -> String {
    use std::hash::{BuildHasher, Hasher};

    // Each has keys of the system's random numbers.
    format!("{:016x}", std::collections::hash_map::RandomState::new().build_hasher().finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_torn_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(directory.path()).unwrap();
        assert_eq!(journal.last().unwrap(), None);
        let batch = |rows: &str| Batch {
            id: "1".to_owned(),
            pieces: vec![Piece { table: "rollup".to_owned(), mark: Some(7), rows: rows.to_owned() }],
        };
        journal.put(&batch(&"x".repeat(1000))).unwrap();
        journal.put(&batch("0\t\\t\n")).unwrap();
        let journal = Journal::open(directory.path()).unwrap();
        assert_eq!(journal.last().unwrap(), Some(batch("0\t\\t\n")));
        // A kill in the middle of it.
        journal.0.write_all_at(b"x", 40).unwrap();
        assert_eq!(journal.last().unwrap(), None);
        for length in 0..40 {
            journal.0.set_len(length).unwrap();
            assert_eq!(journal.last().unwrap(), None);
        }
        let first = id(directory.path()).unwrap();
        assert_eq!(id(directory.path()).unwrap(), first);
        assert_ne!(random(), random());
    }
}
