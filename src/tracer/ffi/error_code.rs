//! The number inside a `GError`, which glib-rs shows only through the enum of a known domain.

use gstreamer::glib;
use gstreamer::glib::translate::ToGlibPtr;

/// The error's code in its domain.
pub(crate) fn error_code(error: &glib::Error) -> i32 {
    let raw: *const glib::ffi::GError = error.to_glib_none().0;
    // SAFETY: `error` holds a valid GError for as long as it is borrowed, and `code` is a plain integer of it.
    unsafe { (*raw).code }
}
