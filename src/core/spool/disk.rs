//! A directory of files, as far as the spool needs one.

use std::collections::BTreeMap;
use std::fmt::Debug;

/// One flat directory. Names are made by the spool: ASCII letters, digits, `-` and `.`.
///
/// What a crash leaves behind is what the agent's own implementation gets from the kernel: after the death of the
/// process everything that an operation has returned for, after a power cut what was synced.
pub trait Disk: Debug {
    /// Names and lengths of all files.
    ///
    /// # Errors
    /// See [`DiskError`]; a directory that is not there and cannot be made is empty.
    fn list(&mut self) -> Result<Vec<(String, u64)>, DiskError>;

    /// Replaces what `into` holds with what the file holds.
    ///
    /// # Errors
    /// See [`DiskError`].
    fn read(&mut self, file: &str, into: &mut Vec<u8>) -> Result<(), DiskError>;

    /// Adds to the end of a file, which is made if it is not there. After an error a part may have been added.
    ///
    /// # Errors
    /// See [`DiskError`].
    fn append(&mut self, file: &str, bytes: &[u8]) -> Result<(), DiskError>;

    /// Returns when the file's content would survive a power cut.
    ///
    /// # Errors
    /// See [`DiskError`].
    fn sync(&mut self, file: &str) -> Result<(), DiskError>;

    /// Returns when the names of all files would survive a power cut.
    ///
    /// # Errors
    /// See [`DiskError`].
    fn sync_dir(&mut self) -> Result<(), DiskError>;

    /// Renames a file; one that has the new name already is replaced, at once.
    ///
    /// # Errors
    /// See [`DiskError`].
    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError>;

    /// Removes a file.
    ///
    /// # Errors
    /// See [`DiskError`].
    fn remove(&mut self, file: &str) -> Result<(), DiskError>;

    /// Cuts a file to a length.
    ///
    /// # Errors
    /// See [`DiskError`].
    fn truncate(&mut self, file: &str, len: u64) -> Result<(), DiskError>;

    /// Bytes that the file system has left for programs like this one.
    ///
    /// # Errors
    /// See [`DiskError`].
    fn free(&mut self) -> Result<u64, DiskError>;
}

/// Why an operation on a [`Disk`] did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiskError {
    /// `ENOSPC`, `EDQUOT`: the file system is full.
    #[error("no space is left")]
    NoSpace,
    /// `EROFS`, or a directory that cannot be made.
    #[error("it cannot be written: {0}")]
    ReadOnly(String),
    /// `ENOENT`: there is no such file.
    #[error("the file is gone")]
    Missing,
    /// Anything else, as the system puts it.
    #[error("{0}")]
    Io(String),
}

/// A disk in the process's own memory: what is left where no other can be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryDisk {
    files: BTreeMap<String, Vec<u8>>,
}

// === impl MemoryDisk ===

impl Disk for MemoryDisk {
    fn list(&mut self) -> Result<Vec<(String, u64)>, DiskError> {
        Ok(self.files.iter().map(|(name, bytes)| (name.clone(), size(bytes.len()))).collect())
    }

    fn read(&mut self, file: &str, into: &mut Vec<u8>) -> Result<(), DiskError> {
        let bytes = self.files.get(file).ok_or(DiskError::Missing)?;
        into.clear();
        into.extend_from_slice(bytes);
        Ok(())
    }

    fn append(&mut self, file: &str, bytes: &[u8]) -> Result<(), DiskError> {
        self.files.entry(file.to_owned()).or_default().extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self, _: &str) -> Result<(), DiskError> {
        Ok(())
    }

    fn sync_dir(&mut self) -> Result<(), DiskError> {
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        let bytes = self.files.remove(from).ok_or(DiskError::Missing)?;
        self.files.insert(to.to_owned(), bytes);
        Ok(())
    }

    fn remove(&mut self, file: &str) -> Result<(), DiskError> {
        self.files.remove(file).map(drop).ok_or(DiskError::Missing)
    }

    fn truncate(&mut self, file: &str, len: u64) -> Result<(), DiskError> {
        let bytes = self.files.get_mut(file).ok_or(DiskError::Missing)?;
        bytes.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        Ok(())
    }

    fn free(&mut self) -> Result<u64, DiskError> {
        Ok(u64::MAX)
    }
}

/// A length in memory as a length on disk.
pub(super) fn size(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
