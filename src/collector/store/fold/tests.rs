//! Sums by the hour beside those by the minute.

use proptest::prelude::*;

use super::*;
use crate::book::{Changes, Place};
use crate::filters::ALL_TRAFFIC;
use crate::labels::{Dimension, Known};
use crate::sketch::{Kind, Sample};
use crate::store::{ALL_TIME, Keep, Reader, Span, Sqlite, Store};

/// The first minute of an hour.
const FIRST: u64 = 28_333_320;
/// How many hours all is in.
const HOURS: u64 = 3;

/// What may happen.
#[derive(Debug, Clone)]
enum Event {
    Sums {
        of: usize,
        minute: u64,
        value: usize,
        attempts: i64,
        running: i64,
    },
    Sample {
        of: usize,
        minute: u64,
        value: usize,
        sample: u32,
    },
    /// So many minutes have gone by since the first one; a step of so many rows.
    Fold {
        minutes: u64,
        most: usize,
    },
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    // Few places, so that they are met again.
    let minute = || {
        (0..HOURS, prop::sample::select(vec![0, 1, 9, 29, 30, 59]))
            .prop_map(|(hour, minute)| hour * 60 + minute)
    };
    let place = || (prop_oneof![Just(0_usize), Just(1), Just(1), Just(2)], minute(), 0..3_usize);
    prop_oneof![
        8 => (place(), -2..9_i64, -2..9_i64).prop_map(|((of, minute, value), attempts, running)| {
            Event::Sums { of, minute, value, attempts, running }
        }),
        3 => (place(), 0..5_000_u32)
            .prop_map(|((of, minute, value), sample)| Event::Sample { of, minute, value, sample }),
        4 => (60..HOURS * 60 + 10, 1..9_usize)
            .prop_map(|(minutes, most)| Event::Fold { minutes, most }),
        1 => Just(Event::Restart),
    ]
}

fn place(of: usize, minute: u64, value: usize) -> Place {
    let dimension = [Dimension::All, Dimension::Known(Known::Asset), Dimension::Own("tag".to_owned())];
    Place {
        filter: ALL_TRAFFIC.0,
        dimension: dimension[of].clone(),
        minute: Minute(FIRST + minute),
        value: if of == 0 { String::new() } else { format!("v{value}") },
    }
}

/// The writing end of a store that need not outlive the machine.
fn open(directory: &std::path::Path) -> Sqlite {
    let store = Sqlite::open(directory).unwrap();
    store.connection.pragma_update(None, "synchronous", "off").unwrap();
    store
}

fn write(store: &mut Sqlite, event: &Event) {
    let mut changes = Changes::default();
    match event {
        Event::Sums { of, minute, value, attempts, running } => {
            let running = std::array::from_fn(|sample| if sample < 2 { *running } else { 0 });
            let figures = Figures { attempts: *attempts, running, ..Figures::default() };
            changes.rollups.insert(place(*of, *minute, *value), figures);
        }
        Event::Sample { of, minute, value, sample } => {
            // A sample never comes without sums.
            changes.rollups.insert(place(*of, *minute, *value), Figures { plays: 1, ..Figures::default() });
            let sketches = changes.sketches.entry(place(*of, *minute, *value)).or_default();
            sketches.add(Sample::of(Kind::Startup, (*sample).into(), 3), "box");
            sketches.add(Sample::Device, &sample.to_string());
        }
        Event::Fold { .. } | Event::Restart => {}
    }
    store.write(&changes).unwrap();
}

/// What is told of a span: in certain steps, and by the minute where that is `is_fine`.
fn told(reader: &mut dyn Reader, span: &Span, steps: &[u64], is_fine: bool) -> Vec<String> {
    let without_samples =
        |(value, figures): &(String, Figures)| (value.clone(), Figures { running: [0; SAMPLES], ..*figures });
    let values = reader.values(span).unwrap();
    let mut told = vec![
        format!("{:?}", values.iter().map(without_samples).collect::<Vec<_>>()),
        format!("{:?}", reader.peaks(span).unwrap()),
    ];
    let (one, two) = (["v1".to_owned()], ["v0".to_owned(), "v2".to_owned()]);
    for step in steps {
        for only in [None, Some(one.as_slice()), Some(two.as_slice())] {
            // The largest samples of several values together are known by the minute alone.
            if is_fine || only.is_none_or(|only| only.len() == 1) {
                told.push(format!("{step} {:?}", reader.grid(span, *step, only).unwrap()));
            }
            let sketches = reader.sketches(span, *step, only, States::ALL).unwrap();
            let sketches = sketches.iter().map(|told| (told.at, &told.value, told.sketches.encode()));
            told.push(format!("{step} {:?}", sketches.collect::<Vec<_>>()));
        }
    }
    if is_fine {
        told.push(format!("{:?}", reader.minutes(span).unwrap()));
    }
    told
}

fn number_of(of: usize) -> u32 {
    [0, Known::Asset.id(), super::super::sqlite::FIRST_OWN][of]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// However late it comes, and wherever hours are being added up meanwhile: an answer from hours and minutes is
    /// the answer from minutes alone, and when minutes are gone the answer from hours alone.
    #[test]
    fn an_answer_from_hours_is_the_answer_from_their_minutes(
        events in prop::collection::vec((event(), 0..3_usize, 0..HOURS * 60, 1..HOURS * 60), 30..90),
    ) {
        let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [mut minutes, mut hours] = directories.each_ref().map(|directory| open(directory.path()));
        // Numbers are given in the order in which they are met.
        let first = Event::Sums { of: 2, minute: 0, value: 0, attempts: 1, running: 1 };
        [&mut minutes, &mut hours].into_iter().for_each(|store| write(store, &first));
        let mut readers = directories.each_ref().map(|directory| Sqlite::reader(directory.path()).unwrap());
        for (number, (event, of, from, length)) in events.iter().enumerate() {
            match event {
                Event::Fold { minutes, most } => {
                    let now = Minute(FIRST + minutes).start();
                    fold(&mut hours.connection, &mut hours.border, now, *most).unwrap();
                }
                Event::Restart => hours = open(directories[1].path()),
                _ => [&mut minutes, &mut hours].into_iter().for_each(|store| write(store, event)),
            }
            let from = Minute(FIRST + from);
            let until = Minute(from.0 + length);
            let span = Span { filter: ALL_TRAFFIC.0, dimension: number_of(*of), from, until };
            let step = [60, 7, ALL_TIME, 20, 120, 1][number % 6];
            let [one, other] = readers.each_mut().map(|reader| told(reader, &span, &[step], true));
            prop_assert_eq!(one, other, "{:?}", hours.border);
        }
        let all = |of| Span { filter: ALL_TRAFFIC.0, dimension: number_of(of), from: Minute(0), until: Minute(u64::MAX) };
        let now = Minute(FIRST + 24 * 60 + HOURS * 60 + 5).start();
        while !hours.tidy(&Keep { minutes: 1, ..Keep::default() }, now).unwrap().is_nothing() {}
        for of in 0..3 {
            let [one, other] = readers.each_mut().map(|reader| told(reader, &all(of), &[60, 120, ALL_TIME], false));
            prop_assert_eq!(one, other, "{:?}", hours.border);
        }
        let left: i64 = hours.connection.query_row("SELECT count(*) FROM rollup", [], |row| row.get(0)).unwrap();
        prop_assert_eq!(left, 0);
        // Sums count, however late they come.
        for (event, ..) in &events {
            [&mut minutes, &mut hours].into_iter().for_each(|store| write(store, event));
        }
        for of in 0..3 {
            let [one, other] = readers.each_mut().map(|reader| {
                let values = reader.values(&all(of)).unwrap().into_iter();
                values.map(|(value, figures)| (value, figures.attempts, figures.plays)).collect::<Vec<_>>()
            });
            prop_assert_eq!(one, other);
        }
    }

    /// Each minute is told once, by the longest of which all that is in it is asked for.
    #[test]
    fn parts_are_all_that_is_asked_for(
        minutes_from in 0..4_u64, whole in 0..4_u64, more in (0..6_u64, 0..=10_u64), next in (0..3_i64, 0..10_u64),
        from in 0..600_u64, length in 0..600_u64, longest in prop::sample::select(By::ALL.to_vec()),
    ) {
        let at = (minutes_from + whole) * 60 + more.0 * 10;
        let mut border = Border::at(minutes_from * 60, at);
        border.until = at + more.1;
        border.next = (next.0, (at + next.1).min(border.until));
        let until = from + length;
        let parts = border.parts(1, Minute(from), Minute(until), longest);
        let folded = match next.0 { 0 => border.from, 1 => border.next.1, _ => border.until };
        for minute in 0..1_300_u64 {
            let hour = minute / 60 * 60;
            prop_assert_eq!(border.is_folded(1, minute), minute < folded);
            let telling: Vec<_> = parts
                .iter()
                .filter(|part| (part.from..part.until).contains(&part.by.first(minute)))
                .filter(|part| match part.by {
                    By::Minute => border.has_minute(minute),
                    By::Ten | By::Hour => minute < folded,
                })
                .map(|part| part.by)
                .collect();
            let is_whole = |by: &By| {
                let first = by.first(minute);
                let behind = first + by.minutes();
                *by == By::Minute || minute < folded && from <= first && behind.min(folded) <= until
            };
            let expected = if !border.has_minute(minute) {
                Some(By::Hour).filter(|_| (from..until).contains(&hour))
            } else {
                let longest = By::ALL.into_iter().rev().filter(|by| *by <= longest).find(is_whole);
                longest.filter(|_| (from..until).contains(&minute))
            };
            let expected: Vec<_> = expected.into_iter().collect();
            prop_assert_eq!(&telling, &expected, "minute {} of {:?} {:?}", minute, border, &parts);
        }
        prop_assert!(parts.windows(2).all(|two| two[0].until <= two[1].from));
    }
}
