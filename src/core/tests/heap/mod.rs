//! What the thread of a test holds on the heap. A counting allocator is `unsafe` to write.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Bytes that this thread holds now, and the most it ever held; the test harness has threads of its own.
    static HELD: Cell<(i64, i64)> = const { Cell::new((0, 0)) };
}

/// The system's allocator, which also counts.
struct Counting;

// SAFETY: every call is passed on unchanged to the system's allocator, which keeps the contract; counting neither
// allocates nor unwinds: the counter is constant-initialised and has no destructor, and while a thread ends it is
// left alone.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(bytes(layout.size()));
        // SAFETY: the caller's promise on `layout` is what the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-bytes(layout.size()));
        // SAFETY: `pointer` came from the system's allocator with this `layout`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both may be there for a moment.
        count(bytes(size));
        count(-bytes(layout.size()));
        // SAFETY: as for `dealloc`, and the caller's promise on `size` is what the system's allocator asks for.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn bytes(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn count(change: i64) {
    // While a thread ends there is nothing to count with any more.
    let _ = HELD.try_with(|held| {
        let (now, most) = held.get();
        held.set((now + change, most.max(now + change)));
    });
}

/// Begins to look for the most; gives the bytes that this thread holds now.
pub(crate) fn start() -> i64 {
    let (now, _) = HELD.get();
    HELD.set((now, now));
    now
}

/// Bytes that this thread holds now.
pub(crate) fn held() -> i64 {
    HELD.get().0
}

/// The most bytes that it held since [`start`].
pub(crate) fn most() -> i64 {
    HELD.get().1
}

#[test]
fn the_counter_counts() {
    let before = start();
    drop(std::hint::black_box(vec![0_u8; 1_000_000]));
    assert_eq!((held(), most()), (before, before + 1_000_000));
}
