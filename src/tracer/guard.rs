//! Nothing of ours may take the player down.
//!
//! A panic that reaches an `extern "C"` frame aborts the process, whatever `panic = "unwind"` says. So every
//! callback body runs inside [`guard`]. After the first panic the tracer is out of use: it says so once in
//! GStreamer's debug log (category `stbeacon`) and every later callback does nothing.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use gstreamer as gst;

use crate::link;

/// The tracer's category in GStreamer's debug log: `GST_DEBUG=stbeacon:6`.
pub(crate) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("stbeacon", gst::DebugColorFlags::empty(), Some("stbeacon player watch"))
});

static OUT_OF_USE: AtomicBool = AtomicBool::new(false);

/// Runs the body of one callback; gives `otherwise` where it panics or the tracer is out of use.
pub(crate) fn guard<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    if is_out_of_use() {
        return otherwise;
    }
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(value) => value,
        Err(payload) => {
            // The payload is anybody's type; its drop must not be the second panic.
            std::mem::forget(payload);
            OUT_OF_USE.store(true, Ordering::Relaxed);
            // The daemon is not to wait for more.
            link::cut();
            otherwise
        }
    }
}

/// Whether a panic was caught: from then on the tracer only lets things pass.
pub(crate) fn is_out_of_use() -> bool {
    OUT_OF_USE.load(Ordering::Relaxed)
}

/// Keeps panics off the player's stderr: this library has a standard library of its own, and so a hook of its
/// own, whatever the player is written in.
pub(crate) fn install_hook() {
    static SAID: AtomicBool = AtomicBool::new(false);
    set_hook(Box::new(|info| {
        if !SAID.swap(true, Ordering::Relaxed) {
            gst::error!(
                CAT,
                "this is a bug of stbeacon: {info}; it watches nothing any more, the player plays on"
            );
        }
    }));
}

/// Panics at the 50th buffer if `STBEACON_TEST_PANIC` is 1: a test shows that the player plays on.
#[cfg(feature = "test-panic")]
#[allow(clippy::panic, reason = "on demand")]
pub(crate) fn panic_on_demand(buffers: u64) {
    static WANTED: LazyLock<bool> =
        LazyLock::new(|| std::env::var_os("STBEACON_TEST_PANIC").is_some_and(|value| value == "1"));
    if buffers == 50 && *WANTED {
        panic!("asked for by STBEACON_TEST_PANIC");
    }
}

/// Does nothing in a library that is meant for a player.
#[cfg(not(feature = "test-panic"))]
pub(crate) const fn panic_on_demand(_buffers: u64) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_panic_nothing_is_called() {
        assert_eq!(guard(0, || 1), 1);
        assert_eq!(guard(0, || std::panic::resume_unwind(Box::new("a fault"))), 0);
        assert!(is_out_of_use());
        assert_eq!(guard(0, || 1), 0);
    }
}
