//! What has been received and is not in the store: a file that is written to the disk before anybody is answered, and read
//! from its beginning where the store was away.
//!
//! A record is its length, a checksum, and what came with when and from where it came. A kill may cut off the last one, which
//! nobody was answered for: it is cut off when the file is opened. At the file's beginning stands from where on records
//! are not in the store; that is not synced, as what is read twice counts once. Behind the last record stands an empty one.
//! The room of records that are in the store is written over from the beginning when all of them are: a file that does not
//! grow is synced in one write.

use std::fs::{File, OpenOptions};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use axum::body::Bytes;
use flate2::Crc;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::receive::parcel::{Kind, Parcel};
use crate::time::UnixMs;

/// The file in the data directory.
const FILE: &str = "spool";
/// Where the first record is: behind a position and its checksum.
const FIRST: u64 = POSITION as u64;
const POSITION: usize = 12;
/// Bytes of a record before what came: lengths of its head and its body, and a checksum of both.
const PREFIX: usize = 12;
/// An empty record: what stands behind the last one.
const NOTHING: [u8; PREFIX] = [0; PREFIX];
/// Largest record that is believed.
const MAX_RECORD: usize = 16 * 1024 * 1024;
/// Most room that is kept when nothing is in it, in bytes.
const ROOM: u64 = 32 * 1024 * 1024;

/// The file.
#[derive(Debug)]
pub(crate) struct Spool {
    file: File,
    /// Records from here on are not in the store.
    from: u64,
    /// Records from here on have not been read.
    read: u64,
    /// Where the last one ends.
    until: u64,
    /// Most bytes.
    most: u64,
}

/// Something that was put aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Aside {
    pub(crate) at: UnixMs,
    pub(crate) parcel: Parcel,
    /// Where its record ends.
    pub(crate) end: u64,
}

/// Why something was not put aside.
#[derive(Debug, Error)]
pub(crate) enum NotAside {
    #[error("the spool is full: it may be of {0} bytes")]
    Full(u64),
    #[error("the spool cannot be written: {0}")]
    Io(#[from] io::Error),
}

#[derive(Serialize, Deserialize)]
struct Head<K> {
    at: UnixMs,
    from: IpAddr,
    kind: K,
}

// === impl Spool ===

impl Spool {
    /// Opens it in a directory, or makes it; of no more than so many bytes.
    ///
    /// # Errors
    /// Where it cannot be had.
    pub(crate) fn open(directory: &Path, most: u64) -> io::Result<Self> {
        let path = directory.join(FILE);
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        File::open(directory)?.sync_all()?;
        let length = file.metadata()?.len();
        let mut spool = Self { file, from: FIRST, read: FIRST, until: FIRST, most };
        let from = spool.position()?.filter(|from| (FIRST..=length).contains(from)).unwrap_or(FIRST);
        (spool.from, spool.until) = (from, length.max(FIRST));
        let mut end = from;
        while let Some(aside) = spool.record(end)? {
            end = aside.end;
        }
        if end < length && !spool.ends(end)? {
            log::warn!(
                "the last {} bytes of the spool are of no whole record, and are cut off",
                length - end
            );
        }
        spool.until = end;
        spool.file.set_len(end)?;
        spool.played(from)?;
        Ok(spool)
    }

    /// Bytes that are not in the store.
    pub(crate) const fn waiting(&self) -> u64 {
        self.until - self.from
    }

    /// Bytes that have not been read.
    pub(crate) const fn unread(&self) -> u64 {
        self.until - self.read
    }

    /// Where what has been read ends.
    pub(crate) const fn read(&self) -> u64 {
        self.read
    }

    /// All that is not in the store is to be read again.
    pub(crate) const fn rewind(&mut self) {
        self.read = self.from;
    }

    /// As [`Spool::append`], of what need not be read any more, as nothing that was put aside before has to be.
    ///
    /// # Errors
    /// As [`Spool::append`].
    pub(crate) fn log<'p>(
        &mut self,
        parcels: impl IntoIterator<Item = &'p Parcel>,
        at: UnixMs,
    ) -> Result<(), NotAside> {
        self.append(parcels, at)?;
        self.read = self.until;
        Ok(())
    }

    /// Puts all of it aside, or nothing; it is on the disk when this is back.
    ///
    /// # Errors
    /// Where there is no room.
    pub(crate) fn append<'p>(
        &mut self,
        parcels: impl IntoIterator<Item = &'p Parcel>,
        at: UnixMs,
    ) -> Result<(), NotAside> {
        let mut bytes = Vec::new();
        for parcel in parcels {
            push(&mut bytes, parcel, at)?;
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let until = self.until + bytes.len() as u64;
        if until > self.most {
            return Err(NotAside::Full(self.most));
        }
        bytes.extend(NOTHING);
        // What an append that failed has left is written over, or cut off at last.
        let written = self.file.write_all_at(&bytes, self.until).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            let _ = self.file.set_len(self.until);
            return Err(error.into());
        }
        self.until = until;
        Ok(())
    }

    /// The oldest that have not been read, so many and of about so many bytes.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub(crate) fn oldest(&self, most: usize, bytes: u64) -> io::Result<Vec<Aside>> {
        let (mut oldest, mut at) = (Vec::new(), self.read);
        while oldest.len() < most && at < self.until && at - self.read < bytes {
            let record = self.record(at)?;
            let record = record.ok_or_else(|| io::Error::other(format!("the spool is damaged at {at}")))?;
            at = record.end;
            oldest.push(record);
        }
        Ok(oldest)
    }

    /// What ends there, and all before it, is in the store.
    ///
    /// # Errors
    /// Where that cannot be written; it does not wait any more all the same.
    pub(crate) fn played(&mut self, end: u64) -> io::Result<()> {
        self.from = end;
        self.read = self.read.max(end);
        if self.from < self.until {
            return self.file.write_all_at(&self.position_bytes(), 0);
        }
        (self.from, self.read, self.until) = (FIRST, FIRST, FIRST);
        let mut bytes = self.position_bytes().to_vec();
        bytes.extend(NOTHING);
        self.file.write_all_at(&bytes, 0)?;
        if self.file.metadata()?.len() > ROOM { self.file.set_len(bytes.len() as u64) } else { Ok(()) }
    }

    fn position_bytes(&self) -> [u8; POSITION] {
        let position = self.from.to_le_bytes();
        let mut bytes = [0; POSITION];
        let (first, last) = bytes.split_at_mut(position.len());
        first.copy_from_slice(&position);
        last.copy_from_slice(&checksum(&position).to_le_bytes());
        bytes
    }

    /// Whether an empty record stands there.
    fn ends(&self, at: u64) -> io::Result<bool> {
        let mut bytes = [1; PREFIX];
        match self.file.read_exact_at(&mut bytes, at) {
            Ok(()) => Ok(bytes == NOTHING),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn position(&self) -> io::Result<Option<u64>> {
        let mut bytes = [0; POSITION];
        if let Err(error) = self.file.read_exact_at(&mut bytes, 0) {
            return if error.kind() == io::ErrorKind::UnexpectedEof { Ok(None) } else { Err(error) };
        }
        let [a, b, c, d, e, f, g, h, sum @ ..] = bytes;
        let position = [a, b, c, d, e, f, g, h];
        let is_whole = checksum(&position) == u32::from_le_bytes(sum);
        Ok(is_whole.then_some(u64::from_le_bytes(position)))
    }

    /// The record that begins there; `None` where there is no whole one.
    fn record(&self, at: u64) -> io::Result<Option<Aside>> {
        let mut prefix = [0; PREFIX];
        if at + PREFIX as u64 > self.until {
            return Ok(None);
        }
        self.file.read_exact_at(&mut prefix, at)?;
        let [a, b, c, d, e, f, g, h, sum @ ..] = prefix;
        let (head, body) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        let size = u64::from(head) + u64::from(body);
        let begin = at + PREFIX as u64;
        if head == 0 || size > MAX_RECORD as u64 || begin + size > self.until {
            return Ok(None);
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
        self.file.read_exact_at(&mut bytes, begin)?;
        if checksum(&bytes) != u32::from_le_bytes(sum) {
            return Ok(None);
        }
        let body = bytes.split_off(usize::try_from(head).unwrap_or(0).min(bytes.len()));
        let Ok(Head::<Kind> { at, from, kind }) = serde_json::from_slice(&bytes) else { return Ok(None) };
        let parcel = Parcel { from, kind, body: Bytes::from(body) };
        Ok(Some(Aside { at, parcel, end: begin + size }))
    }
}

fn push(bytes: &mut Vec<u8>, parcel: &Parcel, at: UnixMs) -> io::Result<()> {
    let Parcel { from, kind, body } = parcel;
    let begin = bytes.len() + PREFIX;
    bytes.extend(NOTHING);
    serde_json::to_writer(&mut *bytes, &Head { at, from: *from, kind })?;
    let head = bytes.len() - begin;
    bytes.extend_from_slice(body);
    let record = bytes.get(begin..).unwrap_or_default();
    if record.len() > MAX_RECORD {
        return Err(io::Error::other("too large for the spool"));
    }
    let size = |size: usize| u32::try_from(size).map_err(io::Error::other);
    let prefix = [size(head)?, size(body.len())?, checksum(record)].map(u32::to_le_bytes);
    if let Some(room) = bytes.get_mut(begin - PREFIX..begin) {
        room.copy_from_slice(prefix.as_flattened());
    }
    Ok(())
}

/// CRC-32 of what is written to a file of the collector's own, so that what is torn is told from what is whole.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    let mut sum = Crc::new();
    sum.update(bytes);
    sum.sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOST: u64 = 1_000_000;

    fn parcel(number: usize) -> Parcel {
        let kind = if number.is_multiple_of(2) { Kind::Line } else { Kind::Reports(format!("box {number}")) };
        Parcel { from: "2001:db8::1".parse().unwrap(), kind, body: vec![b'x'; number % 100].into() }
    }

    fn all(spool: &Spool) -> Vec<(u64, Parcel)> {
        let all = spool.oldest(usize::MAX, u64::MAX).unwrap();
        all.into_iter().map(|aside| (aside.at.0, aside.parcel)).collect()
    }

    #[test]
    fn it_is_full_when_it_is_full() {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(directory.path(), 2_000).unwrap();
        let taken = (0..100).take_while(|number| spool.append([&parcel(*number)], UnixMs(1)).is_ok()).count();
        assert!((10..30).contains(&taken), "{taken}");
        assert!(matches!(spool.append([&parcel(99)], UnixMs(1)), Err(NotAside::Full(2_000))));
        assert_eq!(all(&spool).len(), taken);
        let last = spool.oldest(usize::MAX, u64::MAX).unwrap().pop().unwrap();
        spool.played(last.end).unwrap();
        assert_eq!(spool.waiting(), 0);
        drop(spool);
        let mut spool = Spool::open(directory.path(), 2_000).unwrap();
        assert_eq!(spool.waiting(), 0, "what was there before is written over");
        spool.append([&parcel(99)], UnixMs(1)).unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        /// Whatever is cut off or spoiled behind what was written, what was written and not played is read again.
        #[test]
        fn what_is_written_survives(
            batches in prop::collection::vec(1_usize..4, 1..8),
            played in 0_usize..10,
            rubbish in prop::collection::vec(any::<u8>(), 0..60),
            cut in 0_u64..200,
        ) {
            let directory = tempfile::tempdir().unwrap();
            let mut spool = Spool::open(directory.path(), MOST).unwrap();
            let mut written = Vec::new();
            for (at, count) in (0_u64..).zip(batches) {
                let parcels: Vec<_> = (0..count).map(|number| parcel(written.len() + number)).collect();
                spool.append(&parcels, UnixMs(at)).unwrap();
                written.extend(parcels.into_iter().map(|parcel| (at, parcel)));
            }
            prop_assert_eq!(&all(&spool), &written);
            if let Some(last) = played.checked_sub(1).and_then(|last| spool.oldest(last + 1, u64::MAX).unwrap().pop()) {
                spool.played(last.end).unwrap();
                written.drain(..played.min(written.len()));
            }
            prop_assert_eq!(&all(&spool), &written);
            let end = spool.until;
            drop(spool);

            let file = OpenOptions::new().write(true).open(directory.path().join(FILE)).unwrap();
            file.write_all_at(&rubbish, end).unwrap();
            let mut spool = Spool::open(directory.path(), MOST).unwrap();
            prop_assert_eq!(&all(&spool), &written);
            spool.append([&parcel(7)], UnixMs(9)).unwrap();
            written.push((9, parcel(7)));
            prop_assert_eq!(&all(&spool), &written);

            // Cut in the middle of what was written: what lies before is there.
            let until = spool.until;
            file.set_len((until - cut.min(until)).max(spool.from)).unwrap();
            let spool = Spool::open(directory.path(), MOST).unwrap();
            let left = all(&spool);
            prop_assert!(written.starts_with(&left));
            prop_assert!(cut > 0 || left.len() == written.len());
        }
    }
}
