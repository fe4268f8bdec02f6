//! Putting together what a kill or a power cut has left.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::disk::{Disk, DiskError, size};
use super::frame::{self, Found, HEADER, Header, MAX_FILE, Scan, parse_name, segment_name};
use super::limits::Config;
use super::load::Cache;
use super::segment::{Place, Ranges, Segment};
use super::stamp::{BootId, Boots, Stamp};
use super::state::{self, StateLog};
use super::store::Spool;
use super::tier::Tiers;
use super::{Cell, Queue, RecordId};
use crate::time::{Millis, WallAnchor};

/// So many damaged files are kept on each disk, for who wants to look at them.
pub const MAX_BAD_FILES: usize = 4;

/// And not more bytes than this part of the cap.
const BAD_PART: u64 = 16;

/// Where a spool counts from that does not know what is on flash: above all that may be there.
const UNKNOWN_BASE: u64 = 1 << 62;

/// The two directories.
#[derive(Debug)]
pub struct Disks<D> {
    /// On a tmpfs.
    pub ram: D,
    /// On what survives a power cut.
    pub flash: D,
}

/// The time at which a spool is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// On the monotonic clock.
    pub now: Millis,
    /// Of this boot.
    pub boot: BootId,
    /// `None` while the calendar is not known.
    pub wall: Option<WallAnchor>,
}

/// What [`Spool::open`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Records that wait.
    pub records: u64,
    /// Files whose end was torn, and was cut off.
    pub torn: u64,
    /// Files that were damaged, and were set aside after what was whole in them was saved.
    pub quarantined: u64,
    /// Records that were lost in those, as far as they can be counted.
    pub corrupt: u64,
    /// Files and directories that could not be read, and were left as they are.
    pub unreadable: u64,
    /// The cells.
    pub cells: Vec<Cell>,
}

/// What is known of the segments while they are read.
#[derive(Debug, Default)]
struct Finds {
    recovery: Recovery,
    /// The records that were found already, on flash or in an older segment.
    seen: BTreeMap<(Queue, BootId), Ranges>,
    /// Records in the runtime directory that are on flash too.
    doubles: BTreeMap<Queue, Ranges>,
    /// The greatest number and the latest time of each boot.
    boots: BTreeMap<BootId, (u64, Millis)>,
    max_seq: u64,
}

/// What is in one file.
#[derive(Debug)]
struct Contents {
    first: u64,
    last: u64,
    gone: Ranges,
    oldest: Stamp,
    /// The header and all records that are whole, one after the other.
    whole: Vec<u8>,
    is_damaged: bool,
    lost: u64,
    tail: usize,
}

// === impl Spool ===

impl<D: Disk> Spool<D> {
    /// Opens a spool on two directories that nobody else uses. Whatever is in them, it starts.
    pub fn open(disks: Disks<D>, config: Config, clock: Clock) -> (Self, Recovery) {
        let Clock { now, boot, wall } = clock;
        let mut spool = Self {
            config,
            tiers: Tiers::new(disks.flash, disks.ram),
            boots: Boots::new(boot, wall),
            queues: BTreeMap::new(),
            state: StateLog::default(),
            cache: Cache::default(),
            dropped: VecDeque::new(),
            events: VecDeque::new(),
            flash_written: 0,
            first_seq: 0,
            is_stopping: false,
            is_pressed: false,
        };
        let mut finds = Finds::default();
        for place in [Place::Flash, Place::Ram] {
            spool.recover_disk(now, place, &mut finds);
        }
        spool.drop_doubles(now, &finds);
        let (log, done) = StateLog::open(spool.tiers.disk(Place::Ram));
        spool.state = log;
        for state::Done { queue, first, last } in done {
            finds.max_seq = finds.max_seq.max(last);
            let Some(waiting) = spool.queues.get_mut(&queue) else { continue };
            for segment in &mut waiting.segments {
                segment.remove(first, last);
            }
        }
        let base = if spool.tiers.health(Place::Flash).unknown { UNKNOWN_BASE } else { 0 };
        spool.first_seq = (finds.max_seq + 1).max(base + (now.0 << 20));
        let (first_seq, mut records) = (spool.first_seq, 0);
        let queues: Vec<_> = spool.queues.keys().copied().collect();
        for queue in queues {
            let waiting = spool.waiting(queue);
            waiting.next = first_seq;
            spool.sweep(now, queue);
            // By what is wanted of them: of a segment that was being moved the first part may be elsewhere.
            let segments = spool.waiting(queue).segments.make_contiguous();
            segments.sort_by_key(|segment| segment.live_bounds().map_or(segment.first, |(first, _)| first));
            records += spool.waiting(queue).live();
        }
        let mut boots: Vec<_> = finds.boots.into_iter().collect();
        boots.sort_by_key(|(_, (seq, _))| std::cmp::Reverse(*seq));
        spool.boots.set_former(boots.into_iter().map(|(boot, (_, at))| (boot, at)));
        let done = spool.all_done();
        spool.state.measure(&done);
        spool.make_room(now, None, 0);
        spool.handle_timeout(now);
        let cells = spool.cells().collect();
        (spool, Recovery { records, cells, ..finds.recovery })
    }

    fn recover_disk(&mut self, now: Millis, place: Place, finds: &mut Finds) {
        let mut files = match self.tiers.disk(place).list() {
            Ok(files) => files,
            Err(error) => {
                finds.recovery.unreadable += 1;
                self.tiers.health_mut(place).unknown = place == Place::Flash;
                self.failed(now, place, error);
                return;
            }
        };
        files.sort();
        let names: BTreeSet<_> = files.iter().map(|(name, _)| name.clone()).collect();
        for (name, len) in &mut files {
            if let Some(base) = name.strip_suffix(".new").filter(|base| parse_name(base).is_some()) {
                // It was being put in the place of a damaged one: before that was set aside, or after.
                let disk = self.tiers.disk(place);
                if names.contains(base) {
                    let _ = disk.remove(name);
                } else if disk.rename(name, base).is_ok() {
                    *name = base.to_owned();
                }
            }
            if name.strip_suffix(".bad").is_some_and(|base| parse_name(base).is_some()) {
                self.note_set_aside(place, name.clone(), *len);
            }
        }
        let mut segments: Vec<_> =
            files.into_iter().filter_map(|(name, len)| parse_name(&name).map(|id| (id, len))).collect();
        segments.sort();
        let is_flash = place == Place::Flash && !segments.is_empty();
        for (id, len) in segments {
            self.recover_segment(now, place, id, len, finds);
        }
        // What is not there now must not come back behind what is appended from now on.
        if let Some(Err(error)) = is_flash.then(|| self.tiers.disk(place).sync_dir()) {
            self.failed(now, place, error);
        }
    }

    fn recover_segment(&mut self, now: Millis, place: Place, id: RecordId, len: u64, finds: &mut Finds) {
        let name = segment_name(id);
        if len > MAX_FILE {
            finds.recovery.quarantined += 1;
            return self.set_aside(now, place, &name, len);
        }
        let mut bytes = Vec::new();
        if let Err(error) = self.tiers.disk(place).read(&name, &mut bytes) {
            finds.recovery.unreadable += 1;
            // As it is not known what is in it, nothing may be given the same number.
            finds.max_seq = finds.max_seq.max(id.seq + MAX_FILE);
            return self.failed(now, place, error);
        }
        let header = frame::read_header(&bytes);
        let contents = if header == Header::Foreign { None } else { finds.read(place, id.queue, &bytes) };
        let Some(contents) = contents else {
            if bytes.len() <= HEADER && header != Header::Foreign {
                // Torn when it was made: nothing ever was in it.
                finds.recovery.torn += 1;
                let _ = self.tiers.disk(place).remove(&name);
                return;
            }
            let is_torn = matches!(header, Header::Good(_));
            finds.recovery.torn += u64::from(is_torn);
            finds.recovery.quarantined += u64::from(!is_torn);
            return self.set_aside(now, place, &name, len);
        };
        let mut segment = Segment {
            place,
            name: id,
            first: contents.first,
            last: contents.last,
            gone: contents.gone,
            len,
            oldest: contents.oldest,
            sealed: false,
            is_stuck: false,
            unreadable: 0,
        };
        let whole = size(contents.whole.len());
        if contents.is_damaged || header != Header::Good(id.queue) {
            finds.recovery.quarantined += 1;
            finds.recovery.corrupt += contents.lost;
            let counts = &mut self.waiting(id.queue).counts;
            counts.dropped.corrupt = counts.dropped.corrupt.saturating_add(contents.lost);
            match self.salvage(place, &name, len, &contents.whole) {
                Ok(()) => segment.len = whole,
                Err(error) => {
                    // The records in it can be read where they are.
                    segment.sealed = true;
                    self.failed(now, place, error);
                }
            }
        } else if contents.tail > 0 {
            finds.recovery.torn += 1;
            match self.tiers.disk(place).truncate(&name, whole) {
                Ok(()) => segment.len = whole,
                Err(error) => {
                    segment.sealed = true;
                    self.failed(now, place, error);
                }
            }
        }
        self.tiers.health_mut(place).used += segment.len;
        self.waiting(id.queue).segments.push_back(segment);
    }

    /// Puts a file with what is whole in the place of a damaged one, which is set aside.
    fn salvage(&mut self, place: Place, name: &str, len: u64, whole: &[u8]) -> Result<(), DiskError> {
        let (new, bad) = (format!("{name}.new"), format!("{name}.bad"));
        let disk = self.tiers.disk(place);
        let saved = disk.append(&new, whole).and_then(|()| disk.sync(&new)).and_then(|()| disk.sync_dir());
        if let Err(error) = saved {
            let _ = disk.remove(&new);
            return Err(error);
        }
        disk.rename(name, &bad)?;
        disk.rename(&new, name)?;
        disk.sync_dir()?;
        if place == Place::Flash {
            self.flash_written = self.flash_written.saturating_add(size(whole.len()));
        }
        self.note_set_aside(place, bad, len);
        Ok(())
    }

    /// What is on both disks, because a kill came between writing it to flash and removing it, need not be in the
    /// runtime directory. But it may not be safe on flash yet.
    fn drop_doubles(&mut self, now: Millis, finds: &Finds) {
        for (queue, doubles) in &finds.doubles {
            let segments = self.queues.get(queue).into_iter().flat_map(|waiting| &waiting.segments);
            let overlaps = |segment: &&Segment| {
                segment.place == Place::Flash
                    && doubles.iter().any(|(lo, hi)| lo <= segment.last && hi >= segment.first)
            };
            let files: Vec<_> = segments.filter(overlaps).map(|segment| segment_name(segment.name)).collect();
            let disk = self.tiers.disk(Place::Flash);
            let synced = files.iter().try_for_each(|file| disk.sync(file)).and_then(|()| disk.sync_dir());
            let Err(error) = synced else { continue };
            self.failed(now, Place::Flash, error);
            // What is not safe there stays here too, for the next start to see to.
            let waiting = self.waiting(*queue);
            let mut kept = 0;
            waiting.segments.retain(|segment| {
                let keep = segment.place == Place::Flash || !segment.is_dead();
                kept += if keep { 0 } else { segment.len };
                keep
            });
            self.tiers.health_mut(Place::Ram).used -= kept;
        }
    }

    /// Keeps a damaged file where it is not in the way.
    pub(super) fn set_aside(&mut self, now: Millis, place: Place, name: &str, len: u64) {
        let bad = format!("{name}.bad");
        let disk = self.tiers.disk(place);
        match disk.rename(name, &bad) {
            Ok(()) => self.note_set_aside(place, bad, len),
            Err(DiskError::Missing) => {}
            Err(error) => {
                let _ = disk.remove(name);
                self.failed(now, place, error);
            }
        }
    }

    fn note_set_aside(&mut self, place: Place, name: String, len: u64) {
        let max_bytes = self.config.limits.max_bytes / BAD_PART;
        if len > max_bytes {
            let _ = self.tiers.disk(place).remove(&name);
            return;
        }
        let health = self.tiers.health_mut(place);
        health.bad_files.retain(|(known, len)| {
            let is_other = *known != name;
            health.bad -= if is_other { 0 } else { *len };
            is_other
        });
        health.bad_files.push((name, len));
        health.bad += len;
        while self.tiers.health(place).bad > max_bytes
            || self.tiers.health(place).bad_files.len() > MAX_BAD_FILES
        {
            let (oldest, len) = self.tiers.health_mut(place).bad_files.remove(0);
            self.tiers.health_mut(place).bad -= len;
            let _ = self.tiers.disk(place).remove(&oldest);
        }
    }
}

// === impl Finds ===

impl Finds {
    /// What is in a segment; `None` if it has no record that is whole.
    fn read(&mut self, place: Place, queue: Queue, bytes: &[u8]) -> Option<Contents> {
        let mut contents: Option<Contents> = None;
        let (mut damage, mut lost, mut tail) = (None, 0, 0);
        for found in Scan::new(bytes) {
            let (frame, whole) = match found {
                Found::Record(frame, whole) => (frame, whole),
                Found::Damage(len) => {
                    damage = Some(len);
                    continue;
                }
                Found::Tail(len) => {
                    tail = len;
                    continue;
                }
            };
            let last = contents.as_ref().map(|contents| contents.last);
            if last.is_some_and(|last| frame.seq <= last) {
                continue;
            }
            let stamp = frame.stamp;
            let contents = contents.get_or_insert_with(|| Contents {
                first: frame.seq,
                last: frame.seq,
                gone: Ranges::default(),
                oldest: stamp,
                whole: frame::header(queue).to_vec(),
                is_damaged: false,
                lost: 0,
                tail: 0,
            });
            if let Some(last) = last {
                contents.gone.insert(last + 1, frame.seq - 1);
            }
            if let Some(len) = damage.take() {
                contents.is_damaged = true;
                // The numbers tell how many there were, but for where the numbers themselves have gaps.
                let most = size(len / frame::FRAME).max(1);
                lost += last.map_or(1, |last| (frame.seq - last - 1).clamp(1, most));
            }
            contents.last = frame.seq;
            contents.whole.extend_from_slice(whole);
            self.note(place, queue, frame.seq, &stamp, contents);
        }
        contents.map(|contents| Contents { lost, tail, ..contents })
    }

    fn note(&mut self, place: Place, queue: Queue, seq: u64, stamp: &Stamp, contents: &mut Contents) {
        let seen = self.seen.entry((queue, stamp.boot)).or_default();
        if seen.contains(seq) {
            contents.gone.insert(seq, seq);
            if place > Place::Flash {
                self.doubles.entry(queue).or_default().insert(seq, seq);
            }
        }
        seen.insert(seq, seq);
        let (max_seq, latest) = self.boots.entry(stamp.boot).or_default();
        *max_seq = (*max_seq).max(seq);
        *latest = (*latest).max(stamp.at);
        self.max_seq = self.max_seq.max(seq);
    }
}
