//! From a key or a name to its metric, by tables that are made at compile time.

use super::Metric;

/// Names that stand for the same thing in some configurations.
const ALIASES: &[(&str, Metric)] = &[
    ("sessionId", Metric::AttemptId),
    ("clientId", Metric::ViewerId),
    ("browserSessionId", Metric::VisitId),
];

/// Room for all names at a load of about a third; a power of two.
const SLOTS: usize = 512;

/// Letters of the alphabet.
const LETTERS: usize = 26;

/// Keys of one small letter or two, which most are: at their places.
static SHORT: [Option<Metric>; LETTERS + LETTERS * LETTERS] = short();
static KEYS: [Option<(&'static str, Metric)>; SLOTS] = filled(false);
static NAMES: [Option<(&'static str, Metric)>; SLOTS] = filled(true);

pub(super) fn by_key(key: &str) -> Option<Metric> {
    if let Some(place) = place(key.as_bytes()) {
        return *SHORT.get(place)?;
    }
    // Byte by byte: keys are too short for a call to pay.
    find(&KEYS, key, |a, b| a.len() == b.len() && a.bytes().eq(b.bytes()))
}

pub(super) fn by_name(name: &str) -> Option<Metric> {
    find(&NAMES, name, str::eq_ignore_ascii_case)
}

fn find(
    table: &[Option<(&'static str, Metric)>; SLOTS],
    text: &str,
    same: impl Fn(&str, &str) -> bool,
) -> Option<Metric> {
    let mut at = home(text.as_bytes());
    loop {
        let (name, metric) = (*table.get(at)?)?;
        if same(name, text) {
            return Some(metric);
        }
        at = (at + 1) % SLOTS;
    }
}

/// Where a key of one small letter or two is.
const fn place(key: &[u8]) -> Option<usize> {
    match key {
        [one @ b'a'..=b'z'] => Some((*one - b'a') as usize),
        [one @ b'a'..=b'z', two @ b'a'..=b'z'] => {
            Some(LETTERS + (*one - b'a') as usize * LETTERS + (*two - b'a') as usize)
        }
        _ => None,
    }
}

#[allow(
    clippy::indexing_slicing,
    reason = "constant evaluation has no other access; a wrong index cannot build"
)]
const fn short() -> [Option<Metric>; LETTERS + LETTERS * LETTERS] {
    let mut table = [None; LETTERS + LETTERS * LETTERS];
    let mut i = 0;
    while i < Metric::ALL.len() {
        if let Some(place) = place(Metric::ALL[i].key().as_bytes()) {
            table[place] = Some(Metric::ALL[i]);
        }
        i += 1;
    }
    table
}

/// Open addressing with linear probing; it ends, because two thirds of the slots stay empty.
#[allow(
    clippy::indexing_slicing,
    reason = "constant evaluation has no other access; a wrong index cannot build"
)]
const fn filled(names: bool) -> [Option<(&'static str, Metric)>; SLOTS] {
    let mut table = [None; SLOTS];
    let mut i = 0;
    while i < Metric::ALL.len() {
        let metric = Metric::ALL[i];
        insert(&mut table, if names { metric.name() } else { metric.key() }, metric);
        i += 1;
    }
    let mut i = 0;
    while names && i < ALIASES.len() {
        insert(&mut table, ALIASES[i].0, ALIASES[i].1);
        i += 1;
    }
    table
}

#[allow(
    clippy::indexing_slicing,
    reason = "constant evaluation has no other access; a wrong index cannot build"
)]
const fn insert(table: &mut [Option<(&'static str, Metric)>; SLOTS], name: &'static str, metric: Metric) {
    let mut at = home(name.as_bytes());
    while table[at].is_some() {
        at = (at + 1) % SLOTS;
    }
    table[at] = Some((name, metric));
}

/// Where a text's search begins: FNV-1a (draft-eastlake-fnv), letters in lower case.
const fn home(text: &[u8]) -> usize {
    let mut hash: u32 = 0x811c_9dc5;
    let mut rest = text;
    while let [first, others @ ..] = rest {
        hash = (hash ^ first.to_ascii_lowercase() as u32).wrapping_mul(0x0100_0193);
        rest = others;
    }
    ((hash ^ (hash >> 15)) as usize) % SLOTS
}
