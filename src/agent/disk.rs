//! Directories of files, for the spool.
//!
//! What the spool is promised comes from the kernel: what write(2) returned for survives the process, what
//! fsync(2) returned for survives a power cut, rename(2) replaces at once.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::statvfs::statvfs;
use stbeacon_core::spool::{BootId, Disk, DiskError};

use crate::cli::Failure;
use crate::random;

/// Nobody else's business: addresses of what is watched are in it.
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// The spool's files are shorter; of what is longer it need not see more.
const MAX_READ: u64 = 2 << 20;

/// Not one of the spool's names.
const BOOT_FILE: &str = "boot-id";

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A directory that only this process uses.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    /// The directory itself, locked; `None` while it is not there and cannot be made.
    lock: Option<Flock<File>>,
    /// The file that was appended to last.
    tail: Option<(String, File)>,
}

// === impl Directory ===

impl Directory {
    /// Takes a directory, which is made if it is not there. One that cannot be made can still be used: it has no
    /// files, and every write to it fails.
    ///
    /// # Errors
    /// Where another process has taken it.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let mut directory = Self { path: path.to_owned(), lock: None, tail: None };
        match directory.take() {
            Err(error) if error.raw_os_error() == Some(libc_would_block()) => {
                Err(Failure::environment(format!(
                    "{0}: another stbeacon keeps its reports here; stop that one, or give this one directories of its \
                 own with --state-dir and --runtime-dir",
                    path.display()
                )))
            }
            Ok(()) | Err(_) => Ok(directory),
        }
    }

    /// Makes the directory if need be, and locks it.
    fn take(&mut self) -> io::Result<()> {
        self.tail = None;
        DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(&self.path)?;
        let opened = File::open(&self.path)?;
        let lock = Flock::lock(opened, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno)?;
        self.lock = Some(lock);
        Ok(())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The file to append to, which is left open: most appends go where the last one went.
    fn tail(&mut self, name: &str) -> io::Result<&mut File> {
        let kept = self.tail.take().filter(|(kept, _)| kept == name);
        let file = match kept {
            Some((_, file)) => file,
            None => OpenOptions::new().append(true).create(true).mode(FILE_MODE).open(self.file(name))?,
        };
        Ok(&mut self.tail.insert((name.to_owned(), file)).1)
    }

    fn forget(&mut self, name: &str) {
        if self.tail.as_ref().is_some_and(|(kept, _)| kept == name) {
            self.tail = None;
        }
    }
}

impl Disk for Directory {
    fn list(&mut self) -> Result<Vec<(String, u64)>, DiskError> {
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(told(&error)),
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| told(&error))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            // One that is gone by now is none.
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_file() {
                files.push((name, metadata.len()));
            }
        }
        Ok(files)
    }

    fn read(&mut self, file: &str, into: &mut Vec<u8>) -> Result<(), DiskError> {
        into.clear();
        let opened = File::open(self.file(file)).map_err(|error| told(&error))?;
        opened.take(MAX_READ).read_to_end(into).map(drop).map_err(|error| told(&error))
    }

    fn append(&mut self, file: &str, bytes: &[u8]) -> Result<(), DiskError> {
        if self.lock.is_none() {
            self.take().map_err(|error| told(&error))?;
        }
        let tail = match self.tail(file) {
            // The directory was removed under way.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.take().and_then(|()| self.tail(file).map(drop)).map_err(|error| told(&error))?;
                self.tail(file)
            }
            tail => tail,
        };
        tail.and_then(|tail| tail.write_all(bytes)).map_err(|error| told(&error))
    }

    fn sync(&mut self, file: &str) -> Result<(), DiskError> {
        // What is synced is not left open: a file that is open for writing keeps the file system from being made
        // read-only.
        let synced = match self.tail.take_if(|(kept, _)| kept == file) {
            Some((_, file)) => file.sync_all(),
            None => File::open(self.file(file)).and_then(|file| file.sync_all()),
        };
        synced.map_err(|error| told(&error))
    }

    fn sync_dir(&mut self) -> Result<(), DiskError> {
        File::open(&self.path).and_then(|directory| directory.sync_all()).map_err(|error| told(&error))
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.forget(from);
        self.forget(to);
        fs::rename(self.file(from), self.file(to)).map_err(|error| told(&error))
    }

    fn remove(&mut self, file: &str) -> Result<(), DiskError> {
        self.forget(file);
        fs::remove_file(self.file(file)).map_err(|error| told(&error))
    }

    fn truncate(&mut self, file: &str, len: u64) -> Result<(), DiskError> {
        let opened = OpenOptions::new().write(true).open(self.file(file));
        opened.and_then(|file| file.set_len(len)).map_err(|error| told(&error))
    }

    fn free(&mut self) -> Result<u64, DiskError> {
        let stat = statvfs(&self.path).map_err(|errno| told(&errno.into()))?;
        // What root alone may use is not for us. The types differ between 32 and 64 bit.
        #[allow(clippy::useless_conversion)]
        let (blocks, size) = (u64::from(stat.blocks_available()), u64::from(stat.fragment_size()));
        Ok(blocks.saturating_mul(size))
    }
}

/// Which boot of the box this is: as the kernel says, or, where a sandbox hides that (ProcSubset=pid), by a file in
/// the runtime directory, which a boot empties.
pub(crate) fn boot_id(runtime: &mut Directory) -> BootId {
    let told = fs::read_to_string(BOOT_ID).unwrap_or_default();
    let kept = || parse_boot_id(&fs::read_to_string(runtime.file(BOOT_FILE)).unwrap_or_default());
    if let Some(id) = parse_boot_id(&told).or_else(kept) {
        return id;
    }
    let id = BootId(random::uniform());
    // If it cannot be kept, each start of the agent is a boot: ages are then those that are known for certain.
    let _ = runtime.append(BOOT_FILE, id.to_string().as_bytes());
    id
}

fn parse_boot_id(text: &str) -> Option<BootId> {
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    (digits.len() == 16).then(|| u64::from_str_radix(&digits, 16).ok().map(BootId)).flatten()
}

const fn libc_would_block() -> i32 {
    Errno::EWOULDBLOCK as i32
}

fn told(error: &io::Error) -> DiskError {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOSPC | Errno::EDQUOT) => DiskError::NoSpace,
        Some(Errno::EROFS | Errno::EACCES | Errno::EPERM) => DiskError::ReadOnly(error.to_string()),
        Some(Errno::ENOENT) => DiskError::Missing,
        Some(Errno::EWOULDBLOCK) => DiskError::Io("another stbeacon uses it".to_owned()),
        _ => DiskError::Io(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use rstest::rstest;
    use stbeacon_core::spool::{Clock, Config, Disks, Event, Limits, Place, Policy, Queue, Recovery, Spool};
    use stbeacon_core::time::Millis;

    use super::*;

    const REPORTS: Queue = Queue(0);

    /// A file system of its own, gone when this is.
    struct Mount(tempfile::TempDir);

    impl Mount {
        /// `None`, loudly, where mounting is forbidden.
        fn new(args: &[&str]) -> Option<Self> {
            let directory = tempfile::tempdir().unwrap();
            let output = Command::new("mount").args(args).arg(directory.path()).output();
            if output.as_ref().is_ok_and(|output| output.status.success()) {
                return Some(Self(directory));
            }
            let _ = writeln!(io::stderr(), "\n*** SKIPPED: nothing can be mounted here (needs root) ***\n");
            None
        }

        /// Also while a program that another test starts is between its fork and its exec: until then it has, as a copy,
        /// what was open for writing here.
        fn make_read_only(&self) {
            let is_made = (0..500).any(|_| {
                let is_made = self.remount("ro");
                if !is_made {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                is_made
            });
            assert!(is_made);
        }

        fn make_writable(&self) {
            assert!(self.remount("rw"));
        }

        fn remount(&self, how: &str) -> bool {
            let how = format!("remount,bind,{how}");
            Command::new("mount").args(["-o", &how]).arg(self.0.path()).status().unwrap().success()
        }
    }

    impl Drop for Mount {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
        }
    }

    fn directory(path: &Path) -> Directory {
        Directory::open(path).unwrap()
    }

    fn spool(ram: &Path, flash: &Path, now: u64) -> (Spool<Directory>, Recovery) {
        let limits = Limits { keep_free: 0, ..Limits::default() };
        let config = Config { limits, policy: Policy::default(), shares: vec![(REPORTS, 1)] };
        let clock = Clock { now: Millis(now), boot: BootId(1), wall: None };
        Spool::open(Disks { ram: directory(ram), flash: directory(flash) }, config, clock)
    }

    fn payloads(spool: &mut Spool<Directory>) -> Vec<Vec<u8>> {
        let records = spool.read_next(Millis(0), REPORTS, None, usize::MAX, usize::MAX);
        records.into_iter().map(|record| record.payload).collect()
    }

    #[test]
    fn files_are_what_was_written_and_nobody_elses() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("state/spool");
        let mut disk = directory(&path);
        disk.append("a", b"one ").unwrap();
        disk.append("b", b"other").unwrap();
        disk.append("a", b"two").unwrap();
        disk.sync("a").unwrap();
        disk.sync("b").unwrap();
        disk.sync_dir().unwrap();
        let mut bytes = vec![1, 2, 3];
        disk.read("a", &mut bytes).unwrap();
        assert_eq!(bytes, b"one two");
        disk.truncate("a", 3).unwrap();
        disk.append("a", b"!").unwrap();
        disk.rename("a", "b").unwrap();
        disk.append("a", b"new").unwrap();
        disk.read("b", &mut bytes).unwrap();
        assert_eq!(bytes, b"one!");
        fs::create_dir(path.join("not a file")).unwrap();
        let mut files = disk.list().unwrap();
        files.sort();
        assert_eq!(files, [("a".to_owned(), 3), ("b".to_owned(), 4)]);
        disk.remove("a").unwrap();
        assert_eq!(disk.remove("a"), Err(DiskError::Missing));
        assert_eq!(disk.read("a", &mut bytes), Err(DiskError::Missing));
        assert!(disk.free().unwrap() > 0);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join("b"))), (0o700, 0o600));
    }

    #[test]
    fn a_second_agent_is_refused_until_the_first_is_gone() {
        let home = tempfile::tempdir().unwrap();
        let first = directory(home.path());
        let refused = Directory::open(home.path()).unwrap_err();
        assert_eq!(refused.code, crate::cli::ENVIRONMENT);
        assert!(refused.message.contains("--runtime-dir"), "{}", refused.message);
        drop(first);
        Directory::open(home.path()).unwrap();
    }

    #[test]
    fn a_spool_in_real_files_outlives_its_agent() {
        let home = tempfile::tempdir().unwrap();
        let (ram, flash) = (home.path().join("run"), home.path().join("state"));
        let (mut first, recovery) = spool(&ram, &flash, 1);
        assert_eq!(recovery, Recovery::default());
        let reports: Vec<_> =
            (0..500).map(|n| format!("report {n} {}", "x".repeat(300)).into_bytes()).collect();
        for report in &reports[..300] {
            first.push(Millis(2), REPORTS, report);
        }
        assert_eq!(first.handle_stop(Millis(3)), 0);
        drop(first);
        let (mut second, _) = spool(&ram, &flash, 4);
        for report in &reports[300..] {
            second.push(Millis(5), REPORTS, report);
        }
        drop(second);
        let (mut third, recovery) = spool(&ram, &flash, 6);
        assert_eq!(recovery, Recovery { records: 500, ..Recovery::default() });
        assert_eq!(payloads(&mut third), reports);
        assert!(fs::read_dir(&flash).unwrap().count() >= 3, "what was stopped on is on flash");
    }

    #[test]
    fn a_directory_that_is_removed_is_made_again() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("run");
        let mut disk = directory(&path);
        disk.append("a", b"1").unwrap();
        fs::remove_dir_all(&path).unwrap();
        assert_eq!(disk.list(), Ok(Vec::new()));
        disk.append("b", b"2").unwrap();
        assert_eq!(disk.list(), Ok(vec![("b".to_owned(), 1)]));
        assert!(Directory::open(&path).is_err(), "and locked");
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_empty_and_not_written() {
        let mut disk = directory(Path::new("/proc/no/such"));
        assert_eq!(disk.list(), Ok(Vec::new()));
        assert!(matches!(disk.append("a", b"1"), Err(DiskError::Missing | DiskError::ReadOnly(_))));
    }

    #[test]
    fn a_full_file_system_is_survived() {
        let Some(mount) = Mount::new(&["-t", "tmpfs", "-o", "size=64k", "tmpfs"]) else { return };
        let mut disk = directory(mount.0.path());
        let free = disk.free().unwrap();
        assert!(free <= 65_536, "{free}");
        assert_eq!(disk.append("big", &[0; 100_000]), Err(DiskError::NoSpace));
        disk.remove("big").unwrap();
        drop(disk);

        let home = tempfile::tempdir().unwrap();
        let (mut on_tmpfs, _) = spool(&home.path().join("run"), mount.0.path(), 1);
        for number in 0..400 {
            on_tmpfs.push(Millis(2), REPORTS, format!("{number:0400}").as_bytes());
        }
        on_tmpfs.trouble(Millis(3), REPORTS);
        on_tmpfs.handle_timeout(Millis(60_003));
        let on_flash = on_tmpfs.depth(Millis(60_003), REPORTS).flash_records;
        assert!((50..200).contains(&on_flash), "what there is room for: {on_flash}");
        assert_eq!(
            on_tmpfs.poll_event(),
            Some(Event::Fault { place: Place::Flash, error: DiskError::NoSpace })
        );
        assert_eq!(payloads(&mut on_tmpfs).len(), 400, "nothing is lost while there is memory");
        drop(on_tmpfs);
        let (mut again, recovery) = spool(&home.path().join("run"), mount.0.path(), 4);
        assert_eq!((recovery.records, recovery.quarantined), (400, 0));
        assert_eq!(payloads(&mut again).len(), 400);
        // A stop gives the oldest up: what stays in memory would be lost uncounted.
        again.handle_stop(Millis(60_004));
        let left = payloads(&mut again);
        let dropped = again.counts(REPORTS).dropped;
        assert_eq!((left.len() as u64 + dropped.no_space, dropped.total()), (400, dropped.no_space));
        assert_eq!(left.last().unwrap(), format!("{:0400}", 399).as_bytes());
    }

    #[test]
    fn a_full_runtime_directory_is_survived() {
        let Some(mount) = Mount::new(&["-t", "tmpfs", "-o", "size=64k", "tmpfs"]) else { return };
        let home = tempfile::tempdir().unwrap();
        let flash = home.path().join("state");
        let (mut spool, _) = spool(mount.0.path(), &flash, 1);
        for number in 0..400 {
            spool.push(Millis(2), REPORTS, format!("{number:0400}").as_bytes());
        }
        assert_eq!(spool.poll_event(), Some(Event::Fault { place: Place::Ram, error: DiskError::NoSpace }));
        assert!(spool.used(Place::Memory) > 0);
        assert_eq!(payloads(&mut spool).len(), 400);
        assert_eq!(spool.handle_stop(Millis(3)), 0, "from memory too");
        assert_eq!(payloads(&mut spool).len(), 400);
    }

    #[test]
    fn a_read_only_file_system_is_survived() {
        let home = tempfile::tempdir().unwrap();
        let Some(mount) = Mount::new(&["--bind", &home.path().display().to_string()]) else { return };
        let ram = tempfile::tempdir().unwrap();
        let flash = mount.0.path().join("spool");
        let (mut spool, _) = spool(ram.path(), &flash, 1);
        spool.push(Millis(2), REPORTS, b"on flash");
        assert_eq!(spool.handle_stop(Millis(2)), 0);
        mount.make_read_only();
        spool.push(Millis(3), REPORTS, b"in ram");
        let event = spool.poll_event();
        let is_read_only =
            matches!(event, Some(Event::Fault { place: Place::Flash, error: DiskError::ReadOnly(_) }));
        assert!(is_read_only, "{event:?}");
        assert_eq!(payloads(&mut spool), [b"on flash".as_slice(), b"in ram"]);
        mount.make_writable();
        spool.handle_timeout(Millis(60_000));
        assert_eq!(spool.poll_event(), Some(Event::FaultOver { place: Place::Flash }));
        assert_eq!(spool.depth(Millis(60_000), REPORTS).flash_records, 2);
    }

    #[rstest]
    #[case("8c3f2c0e-9d5b-4a0e-b1c7-0d6a3a3f9e21\n", Some(0x8c3f_2c0e_9d5b_4a0e))]
    #[case("", None)]
    #[case("8c3f2c0e-9d5b", None)]
    fn boot_ids(#[case] text: &str, #[case] id: Option<u64>) {
        assert_eq!(parse_boot_id(text), id.map(BootId));
    }

    #[test]
    fn this_boot_has_one() {
        let home = tempfile::tempdir().unwrap();
        let mut disk = directory(home.path());
        assert_eq!(boot_id(&mut disk), boot_id(&mut disk));
    }
}
