//! A month without a server, in real files: what the spool costs in memory and on disk, and what it keeps.
//!
//! A program of its own, because a counting allocator holds for a whole program.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests are tests")]

mod heap;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use stbeacon_core::spool::{
    BootId, Clock, Config, Disk, DiskError, Disks, Done, Limits, Place, Policy, Queue, Spool,
};
use stbeacon_core::time::Millis;

/// A directory of real files.
#[derive(Debug)]
struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn bytes(path: &Path) -> u64 {
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
    }
}

fn told(error: io::Error) -> DiskError {
    match error.kind() {
        io::ErrorKind::NotFound => DiskError::Missing,
        _ => DiskError::Io(error.to_string()),
    }
}

impl Disk for Files {
    fn list(&mut self) -> Result<Vec<(String, u64)>, DiskError> {
        let entries = fs::read_dir(&self.0).map_err(told)?.map(Result::unwrap);
        Ok(entries.map(|e| (e.file_name().into_string().unwrap(), e.metadata().unwrap().len())).collect())
    }

    fn read(&mut self, file: &str, into: &mut Vec<u8>) -> Result<(), DiskError> {
        into.clear();
        File::open(self.0.join(file)).and_then(|mut file| file.read_to_end(into)).map(drop).map_err(told)
    }

    fn append(&mut self, file: &str, bytes: &[u8]) -> Result<(), DiskError> {
        let opened = OpenOptions::new().append(true).create(true).open(self.0.join(file));
        opened.and_then(|mut file| file.write_all(bytes)).map_err(told)
    }

    fn sync(&mut self, _: &str) -> Result<(), DiskError> {
        Ok(())
    }

    fn sync_dir(&mut self) -> Result<(), DiskError> {
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        fs::rename(self.0.join(from), self.0.join(to)).map_err(told)
    }

    fn remove(&mut self, file: &str) -> Result<(), DiskError> {
        fs::remove_file(self.0.join(file)).map_err(told)
    }

    fn truncate(&mut self, file: &str, len: u64) -> Result<(), DiskError> {
        OpenOptions::new().write(true).open(self.0.join(file)).and_then(|f| f.set_len(len)).map_err(told)
    }

    fn free(&mut self) -> Result<u64, DiskError> {
        Ok(u64::MAX)
    }
}

const REPORTS: Queue = Queue(0);
const PERIOD: Millis = Millis::from_secs(300);
const MONTH: u64 = 30 * 24 * 12;
const PER_PERIOD: u64 = 3;

fn report(number: u64) -> String {
    let mut report =
        format!("{{\"type\":\"network\",\"timestamp\":{},\"name\":\"eth0\"", 1_700_000_000 + number * 100);
    while report.len() < 348 {
        report.push_str(",\"received_bytes\":1234567890");
    }
    report.truncate(348);
    report.push_str("}\n");
    report
}

/// What a month without a server leaves.
struct Month {
    kept: Vec<u64>,
    /// The greatest growth of the heap while it went on, in bytes.
    heap: i64,
    pushed: u64,
}

fn month(name: &str, limits: Limits) -> Month {
    let (ram, flash) = (Files::new(&format!("{name}-ram")), Files::new(&format!("{name}-flash")));
    let paths = (ram.0.clone(), flash.0.clone());
    let config = Config { limits, policy: Policy::default(), shares: vec![(REPORTS, 2), (Queue(1), 1)] };
    let clock = Clock { now: Millis(0), boot: BootId(1), wall: None };
    let (mut spool, _) = Spool::open(Disks { ram, flash }, config, clock);
    spool.trouble(Millis(0), REPORTS);

    let before = heap::start();
    let (mut pushed, mut now, mut read) = (0, Millis(0), 0);
    for period in 0..MONTH {
        let next = now + PERIOD;
        while let Some(due) = spool.poll_timeout().filter(|due| *due <= next) {
            now = now.max(due);
            spool.handle_timeout(now);
        }
        now = next;
        for _ in 0..PER_PERIOD {
            spool.push(now, REPORTS, report(pushed).as_bytes());
            pushed += 1;
        }
        // Every hour the server is tried, and what would be sent is read for it.
        if period % 12 == 0 {
            read += spool.read_next(now, REPORTS, None, 512, 256 << 10).len();
            spool.trouble(now, REPORTS);
        }
        while spool.poll_dropped().is_some() {}
        while spool.poll_event().is_some() {}
    }
    let most = heap::most();
    assert!(read > 100_000);

    let (on_ram, on_flash) = (Files::bytes(&paths.0), Files::bytes(&paths.1));
    assert!(
        on_ram + on_flash <= limits.max_bytes + (16 << 10),
        "{on_ram} and {on_flash} bytes: and the journal"
    );
    assert!(on_flash <= limits.max_bytes && on_ram <= limits.ram_bytes, "{on_ram} and {on_flash} bytes");
    assert_eq!(on_flash, spool.used(Place::Flash));

    let mut kept = Vec::new();
    let numbers: BTreeMap<_, _> = (0..pushed).map(|number| (report(number), number)).collect();
    let mut after = None;
    loop {
        let records = spool.read_next(now, REPORTS, after, 512, usize::MAX);
        let Some(last) = records.last() else { break };
        after = Some(last.id);
        kept.extend(records.iter().map(|record| numbers[std::str::from_utf8(&record.payload).unwrap()]));
    }
    let counts = spool.counts(REPORTS);
    assert_eq!(counts.pushed, pushed);
    assert_eq!(counts.dropped.total() + kept.len() as u64, pushed, "every drop is counted: {counts:?}");
    assert_eq!(spool.depth(now, REPORTS).records, kept.len() as u64);
    let first = pushed - kept.len() as u64;
    assert!(kept.iter().copied().eq(first..pushed), "the newest are kept, in order, with no gap");
    assert!(spool.flash_written() < 2 * pushed * (350 + 40), "each record is written to flash once");

    // The server is back.
    spool.recovered(REPORTS);
    while let records @ [_, ..] = &spool.read_next(now, REPORTS, None, 512, usize::MAX)[..] {
        let ids: Vec<_> = records.iter().map(|record| record.id).collect();
        spool.done(now, &ids, Done::Delivered);
    }
    assert_eq!(spool.counts(REPORTS).delivered, kept.len() as u64);
    assert_eq!(Files::bytes(&paths.1), 0, "and flash is free again");
    for path in [paths.0, paths.1] {
        fs::remove_dir_all(path).unwrap();
    }
    Month { kept, heap: most - before, pushed }
}

#[test]
fn a_month_within_the_cap_on_bytes() {
    let limits = Limits { max_age: Millis::from_secs(90 * 24 * 3_600), ..Limits::default() };
    let Month { kept, heap, pushed } = month("bytes", limits);
    println!("{pushed} reports, {} kept within 8 MiB, heap grew by {heap} bytes at most", kept.len());
    assert_eq!(pushed, 25_920);
    // A record takes 350 + 40 bytes, and what is given up goes by segments of 32 KiB.
    let most = limits.max_bytes / 390;
    let least = most - 2 * (32 << 10) / 390;
    assert!((least..=most).contains(&(kept.len() as u64)), "{} of {least} to {most}", kept.len());
    assert!(heap < 1 << 20, "the heap grew by {heap} bytes");
}

#[test]
fn a_month_within_the_cap_on_age() {
    let week = 7 * 24 * 12 * PER_PERIOD;
    let Month { kept, heap, .. } = month("age", Limits::default());
    println!("a week of reports: {}; heap grew by {heap} bytes at most", kept.len());
    assert_eq!(kept.len() as u64, week, "to the record");
    assert!(heap < 1 << 20, "the heap grew by {heap} bytes");
}

#[test]
fn a_month_within_the_cap_on_records() {
    let limits = Limits { max_age: Millis::MAX, max_records: 10_000, ..Limits::default() };
    let Month { kept, heap, .. } = month("records", limits);
    assert_eq!(kept.len(), 10_000, "to the record");
    assert!(heap < 1 << 20, "the heap grew by {heap} bytes");
}
