//! Files that are read whole, and replaced whole.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Reads a file of at most `max` bytes.
///
/// # Errors
/// `FILE: why`; a longer file is said to be no such `kind` of file.
pub(crate) fn read(file: &Path, max: u64, kind: &str) -> Result<Vec<u8>, String> {
    let fail = |what: &dyn Display| format!("{}: {what}", file.display());
    let mut bytes = Vec::new();
    let opened = File::open(file).map_err(|error| fail(&error))?;
    opened.take(max + 1).read_to_end(&mut bytes).map_err(|error| fail(&error))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > max {
        return Err(fail(&format!("longer than {} KiB: this is no {kind}", max / 1024)));
    }
    Ok(bytes)
}

/// Puts `bytes` in place of a file so that a power cut leaves either the old one or the new one. Bytes that are
/// there already are not written again: flash wears out.
///
/// # Errors
/// Where the directory cannot be written to.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let new = path.with_extension("new");
    // It may hold keys and addresses that are nobody else's business.
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(directory)?.sync_all()
}

/// FNV-1a: tells the copies of a few configurations apart, in file names that stay the same.
pub(crate) fn fingerprint(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
