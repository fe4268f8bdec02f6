//! Counts what the encoder of lines allocates: nothing, once its buffers are as large as lines get.
//!
//! A program of its own, because a counting allocator holds for a whole program and is `unsafe` to write.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use stbeacon_core::line::config::{Config, builtin_text};
use stbeacon_core::line::encode::{Encoder, Pen, Sent, Values};
use stbeacon_core::line::keys::{Event, Kind, Metric};

thread_local! {
    /// Allocations of this thread; the test harness has threads of its own.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, which also counts.
struct Counting;

// SAFETY: every call is passed on unchanged to the system's allocator, which keeps the contract; counting neither
// allocates nor unwinds: the counter is constant-initialised and has no destructor, and while a thread ends it is
// left alone.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise on `layout` is what the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from the system's allocator with this `layout`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as for `dealloc`, and the caller's promise on `size` is what the system's allocator asks for.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A session with a value for every key, each other than the one before.
struct EveryKey {
    line: u64,
    url: &'static str,
}

impl Values for EveryKey {
    fn write<'p>(&self, metric: Metric, out: Pen<'p>) -> Pen<'p> {
        let n = self.line % 10;
        match metric.kind() {
            Kind::SumCount | Kind::WeightedRate => out.number(n).text("50000000.25:590"),
            Kind::Rebuffers => out.text("0:5230;602").number(n).text(":3100;10201:4012;"),
            Kind::Stints => out.text("4500000:0:20000").number(n).text("::1,2500000:200000:81000:0010:1"),
            Kind::PauseSeek => out.text("S(206.771:28924-206.771:2992").number(n).text("),P(208.667:31893)"),
            Kind::Text if metric == Metric::StreamUrl => out.text(self.url).number(n),
            Kind::Text => out.text("Ночь, part #").number(n).text(" + ~"),
            _ => out.number(n),
        }
    }
}

fn count() {
    // While a thread ends there is nothing to count with any more.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

fn allocations_of(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

fn encode_session(encoder: &mut Encoder, config: &Config, url: &'static str) -> (usize, bool) {
    let (mut bytes, mut was_split) = (0, false);
    for line in 0..100 {
        let mut sent = Sent::default();
        for event in Event::ALL {
            let Some(encoded) = encoder.encode(config, event, &EveryKey { line, url }, &mut sent) else {
                continue;
            };
            bytes += encoded.parts().map(str::len).sum::<usize>();
            was_split |= encoded.is_split();
        }
    }
    (bytes, was_split)
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations_of(|| drop(std::hint::black_box(Box::new(7)))), 1);
}

#[test]
fn lines_allocate_nothing() {
    let config = Config::parse(&builtin_text().replace("\"2048\"", "\"65535\"")).unwrap().config;
    let mut encoder = Encoder::new();
    let warm_up = allocations_of(|| {
        encode_session(&mut encoder, &config, "https://cdn.example/live/1");
    });
    assert!(warm_up > 0, "the buffers have to grow once");
    let mut bytes = 0;
    let allocations =
        allocations_of(|| (bytes, _) = encode_session(&mut encoder, &config, "https://cdn.example/live/1"));
    assert_eq!(allocations, 0);
    assert!(bytes > 500_000, "{bytes}");
}

#[test]
fn split_lines_allocate_nothing() {
    let url: &'static str = format!("https://cdn.example/{}", "путь/".repeat(120)).leak();
    let config = Config::builtin();
    let mut encoder = Encoder::new();
    let (_, was_split) = encode_session(&mut encoder, &config, url);
    assert!(was_split);
    let allocations = allocations_of(|| {
        encode_session(&mut encoder, &config, url);
    });
    assert_eq!(allocations, 0);
}
