//! A process-wide value that is replaced after a fork and never freed.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The value in `slot` if it `is_right`, or a new one that takes its place.
pub(crate) fn current<T: Sync>(
    slot: &'static AtomicPtr<T>,
    is_right: impl Fn(&T) -> bool,
    make: impl FnOnce() -> T,
) -> &'static T {
    let old = slot.load(Ordering::Acquire);
    // SAFETY: the slot holds null or what `Box::leak` below gave, which is never freed or written to again.
    if let Some(value) = unsafe { old.as_ref() } {
        if is_right(value) {
            return value;
        }
    }
    let new: *mut T = Box::into_raw(Box::new(make()));
    let chosen = match slot.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => new,
        Err(other) => {
            // SAFETY: `new` came from `Box::into_raw` above, and nobody else has seen it.
            drop(unsafe { Box::from_raw(new) });
            other
        }
    };
    debug_assert!(!ptr::eq(chosen, ptr::null_mut()));
    // SAFETY: as above; `chosen` is not null, for null is only ever the initial value.
    unsafe { &*chosen }
}
