//! Records and segment headers as bytes. The tables are in the parent module's documentation.

use super::crc::Crc32;
use super::disk::size;
use super::stamp::{BootId, Stamp};
use super::{Queue, RecordId};
use crate::time::Millis;

/// Length of a segment's header.
pub(super) const HEADER: usize = 16;

/// What a record takes besides its payload.
pub(super) const FRAME: usize = 40;

/// No file of the spool is longer; what is was not written by it.
pub(super) const MAX_FILE: u64 = 1 << 20;

/// Numbers from here on are never given out: a record that has one is corrupt.
pub(super) const TOO_HIGH: u64 = 1 << 63;

const MAGIC: [u8; 8] = *b"stbspool";
const VERSION: u16 = 1;

/// After so many bytes were summed in vain for each byte of a file, the search for the next record is given up.
const PATIENCE: usize = 64;

/// One record, in the bytes of its segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'b> {
    pub(super) seq: u64,
    pub(super) stamp: Stamp,
    pub(super) payload: &'b [u8],
}

/// What a segment begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Header {
    /// Ours.
    Good(Queue),
    /// Of a version that is not known here: nothing in it may be interpreted.
    Foreign,
    /// Cut short, or damaged.
    Bad,
}

/// What is found in a segment, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found<'b> {
    /// A record, and the bytes that it was read from.
    Record(Frame<'b>, &'b [u8]),
    /// So many bytes that are no record, with records after them.
    Damage(usize),
    /// So many bytes at the end that are no record.
    Tail(usize),
}

/// Goes through the records of a segment, its header left out.
#[derive(Debug, Clone)]
pub(super) struct Scan<'b> {
    rest: &'b [u8],
    /// How many more bytes may be summed in the search for records behind damage.
    patience: usize,
}

pub(super) fn header(queue: Queue) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    let (start, sum) = bytes.split_at_mut(HEADER - 4);
    let fields = MAGIC.into_iter().chain(VERSION.to_le_bytes()).chain([0, queue.0]);
    start.iter_mut().zip(fields).for_each(|(byte, field)| *byte = field);
    sum.copy_from_slice(&Crc32::new().add(start).sum().to_le_bytes());
    bytes
}

pub(super) fn read_header(bytes: &[u8]) -> Header {
    let Some((start, sum)) = bytes.get(..HEADER).and_then(|header| header.split_last_chunk::<4>()) else {
        return Header::Bad;
    };
    if Crc32::new().add(start).sum() != u32::from_le_bytes(*sum) {
        return Header::Bad;
    }
    match start {
        [magic @ .., low, high, 0, queue]
            if *magic == MAGIC && u16::from_le_bytes([*low, *high]) == VERSION =>
        {
            Header::Good(Queue(*queue))
        }
        _ => Header::Foreign,
    }
}

/// Adds a record to `out`.
pub(super) fn write(out: &mut Vec<u8>, seq: u64, stamp: &Stamp, payload: &[u8]) {
    // What is longer is turned away before.
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes();
    let fields = [seq, stamp.boot.0, stamp.at.0, stamp.unix_ms.unwrap_or(0)].map(u64::to_le_bytes);
    let fields = fields.as_flattened();
    let sum = Crc32::new().add(&len).add(fields).add(payload).sum();
    out.extend_from_slice(&len);
    out.extend_from_slice(&sum.to_le_bytes());
    out.extend_from_slice(fields);
    out.extend_from_slice(payload);
}

/// The record that `bytes` begin with, and the bytes that are its own.
pub(super) fn read(bytes: &[u8]) -> Option<(Frame<'_>, &[u8])> {
    read_if(bytes, |sum, len, body| Crc32::new().add(len).add(body).sum() == sum)
}

fn read_if(bytes: &[u8], is_whole: impl Fn(u32, &[u8], &[u8]) -> bool) -> Option<(Frame<'_>, &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let payload_len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
    let body = rest.get(..(FRAME - 8).checked_add(payload_len)?)?;
    if !is_whole(u32::from_le_bytes(*sum), len, body) {
        return None;
    }
    let (seq, body) = split_u64(body)?;
    let (boot, body) = split_u64(body)?;
    let (at, body) = split_u64(body)?;
    let (unix_ms, payload) = split_u64(body)?;
    let stamp = Stamp { boot: BootId(boot), at: Millis(at), unix_ms: (unix_ms != 0).then_some(unix_ms) };
    let whole = bytes.get(..FRAME + payload_len)?;
    (seq < TOO_HIGH).then_some((Frame { seq, stamp, payload }, whole))
}

fn split_u64(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (value, rest) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*value), rest))
}

/// The file of the segment whose first record has this number.
pub(super) fn segment_name(first: RecordId) -> String {
    format!("{:02x}-{:016x}.seg", first.queue.0, first.seq)
}

/// What the name of a segment says.
pub(super) fn parse_name(name: &str) -> Option<RecordId> {
    let (queue, seq) = name.strip_suffix(".seg")?.split_once('-')?;
    let id = RecordId {
        queue: Queue(u8::from_str_radix(queue, 16).ok()?),
        seq: u64::from_str_radix(seq, 16).ok()?,
    };
    // Only what was written just so; there must not be two names for one segment.
    (id.seq < TOO_HIGH && segment_name(id) == name).then_some(id)
}

// === impl Scan ===

impl<'b> Scan<'b> {
    /// `segment` is a whole segment, with its header.
    pub(super) fn new(segment: &'b [u8]) -> Self {
        let rest = segment.get(HEADER..).unwrap_or_default();
        Self { rest, patience: rest.len().saturating_mul(PATIENCE) }
    }

    /// The records of a segment that is known to be whole, without summing them again.
    pub(super) fn trusted(segment: &'b [u8]) -> impl Iterator<Item = (Frame<'b>, &'b [u8])> {
        let mut rest = segment.get(HEADER..).unwrap_or_default();
        std::iter::from_fn(move || {
            let found = read_if(rest, |_, _, _| true)?;
            rest = rest.get(found.1.len()..)?;
            Some(found)
        })
    }

    /// How far it is to the next record behind damage.
    fn resync(&mut self) -> Option<usize> {
        for skip in 1..self.rest.len() {
            let rest = self.rest.get(skip..)?;
            let len = usize::try_from(u32::from_le_bytes(*rest.first_chunk::<4>()?)).ok()?;
            if len > rest.len() {
                continue;
            }
            self.patience = self.patience.checked_sub(len)?;
            if read(rest).is_some() {
                return Some(skip);
            }
        }
        None
    }
}

impl<'b> Iterator for Scan<'b> {
    type Item = Found<'b>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        if let Some((frame, whole)) = read(self.rest) {
            self.rest = self.rest.get(whole.len()..).unwrap_or_default();
            return Some(Found::Record(frame, whole));
        }
        match self.resync() {
            Some(skip) => {
                self.rest = self.rest.get(skip..).unwrap_or_default();
                Some(Found::Damage(skip))
            }
            None => Some(Found::Tail(std::mem::take(&mut self.rest).len())),
        }
    }
}

/// The length of a record with this payload.
pub(super) fn frame_size(payload: &[u8]) -> u64 {
    size(payload.len().saturating_add(FRAME))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const STAMP: Stamp =
        Stamp { boot: BootId(0xb007), at: Millis(123_456), unix_ms: Some(1_700_000_000_123) };

    fn segment(payloads: &[&[u8]]) -> Vec<u8> {
        let mut bytes = header(Queue(2)).to_vec();
        for (payload, seq) in payloads.iter().zip(7..) {
            write(&mut bytes, seq, &STAMP, payload);
        }
        bytes
    }

    fn hex(bytes: &[u8]) -> String {
        let rows = bytes.chunks(16).map(|row| {
            let row: Vec<_> = row.iter().map(|byte| format!("{byte:02x}")).collect();
            row.join(" ")
        });
        rows.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_format_is_pinned() {
        let mut bytes = segment(&[b"{\"type\":\"media\"}", b""]);
        write(&mut bytes, u64::from(u32::MAX) + 1, &Stamp { unix_ms: None, ..STAMP }, b"not stamped yet");
        insta::assert_snapshot!(hex(&bytes));
    }

    #[rstest]
    #[case::good(header(Queue(5)).to_vec(), Header::Good(Queue(5)))]
    #[case::good_with_more(segment(&[b"more"]), Header::Good(Queue(2)))]
    #[case::cut(header(Queue(5))[..15].to_vec(), Header::Bad)]
    #[case::nothing(Vec::new(), Header::Bad)]
    #[case::zeros(vec![0; 16], Header::Bad)]
    fn headers(#[case] bytes: Vec<u8>, #[case] expected: Header) {
        assert_eq!(read_header(&bytes), expected);
    }

    #[test]
    fn another_version_is_left_alone() {
        let mut bytes = header(Queue(5));
        bytes[8] = 2;
        let sum = Crc32::new().add(&bytes[..12]).sum().to_le_bytes();
        bytes[12..].copy_from_slice(&sum);
        assert_eq!(read_header(&bytes), Header::Foreign);
    }

    #[rstest]
    #[case::whole(0, None)]
    #[case::length_cut(57, None)]
    #[case::payload_cut(1, None)]
    fn reading_a_cut_record_is_reading_none(#[case] cut: usize, #[case] expected: Option<()>) {
        let mut bytes = Vec::new();
        write(&mut bytes, 1, &STAMP, b"seventeen bytes !");
        bytes.truncate(if cut == 0 { 0 } else { bytes.len() - cut });
        assert_eq!(read(&bytes).map(drop), expected);
    }

    #[test]
    fn a_number_that_is_never_given_out_is_corrupt() {
        let mut bytes = Vec::new();
        write(&mut bytes, u64::MAX, &STAMP, b"x");
        assert_eq!(read(&bytes), None);
    }

    #[rstest]
    #[case("02-0000000000000007.seg", Some((2, 7)))]
    #[case("ff-7fffffffffffffff.seg", Some((255, TOO_HIGH - 1)))]
    #[case("ff-8000000000000000.seg", None)]
    #[case("2-0000000000000007.seg", None)]
    #[case("02-7.seg", None)]
    #[case("02-000000000000000A.seg", None)]
    #[case("02-+000000000000007.seg", None)]
    #[case("02-0000000000000007.seg.bad", None)]
    #[case("state.log", None)]
    fn names(#[case] name: &str, #[case] expected: Option<(u8, u64)>) {
        let expected = expected.map(|(queue, seq)| RecordId { queue: Queue(queue), seq });
        assert_eq!(parse_name(name), expected);
        assert!(expected.is_none_or(|id| segment_name(id) == name));
    }

    #[test]
    fn damage_hides_only_what_it_hits() {
        let mut bytes = segment(&[b"first", b"second", b"third"]);
        let second = HEADER + FRAME + 5;
        bytes[second + FRAME] ^= 1;
        let found: Vec<_> = Scan::new(&bytes)
            .map(|found| match found {
                Found::Record(frame, _) => Ok(frame.payload),
                Found::Damage(len) => Err(len),
                Found::Tail(_) => Err(0),
            })
            .collect();
        assert_eq!(found, [Ok(b"first".as_slice()), Err(FRAME + 6), Ok(b"third".as_slice())]);
    }

    #[test]
    fn zeros_at_the_end_are_a_tail() {
        let mut bytes = segment(&[b"first"]);
        bytes.extend([0; 4_096]);
        assert_eq!(Scan::new(&bytes).last(), Some(Found::Tail(4_096)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            records in prop::collection::vec((0..TOO_HIGH, any::<[u64; 3]>(), prop::collection::vec(any::<u8>(), 0..300)), 0..12),
        ) {
            let mut bytes = header(Queue(0)).to_vec();
            for (seq, [boot, at, unix], payload) in &records {
                let stamp = Stamp { boot: BootId(*boot), at: Millis(*at), unix_ms: Some(*unix).filter(|ms| *ms > 0) };
                write(&mut bytes, *seq, &stamp, payload);
            }
            let mut scan = Scan::new(&bytes);
            for (seq, [boot, at, _], payload) in &records {
                let Some(Found::Record(frame, whole)) = scan.next() else { panic!("a record is missing") };
                prop_assert_eq!((frame.seq, frame.stamp.boot.0, frame.stamp.at.0), (*seq, *boot, *at));
                prop_assert_eq!(frame.payload, payload.as_slice());
                prop_assert_eq!(size(whole.len()), frame_size(payload));
            }
            prop_assert_eq!(scan.next(), None);
        }

        #[test]
        fn any_bytes_can_be_scanned(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
            let total: usize = Scan::new(&bytes).map(|found| match found {
                Found::Record(_, whole) => whole.len(),
                Found::Damage(len) | Found::Tail(len) => len,
            }).sum();
            prop_assert_eq!(total, bytes.len().saturating_sub(HEADER));
        }
    }
}
