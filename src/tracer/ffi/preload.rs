//! The second way in: `LD_PRELOAD` of this library.
//!
//! GStreamer built with `-Dtracer_hooks=false` (the default of common board-support recipes) ignores
//! `GST_TRACERS` without a word. Two functions that every player goes through are interposed; each does what it
//! always did, and attaches:
//!
//! * GLib's `g_option_context_parse`, which libgstreamer itself calls once in `gst_init_check`. A preloaded
//!   library comes first in libgstreamer's own scope, however the application got hold of it: this reaches
//!   language bindings, which look GStreamer's functions up in the library (`dlsym` with its handle) and so past
//!   us;
//! * `gst_element_set_state`, which a program calls before anything plays, should it have got by the first.
//!
//! Traps: `LD_PRELOAD` reaches child processes, so set it for one service and not for the box; it is ignored
//! for set-uid programs (AT_SECURE) and by a statically linked GStreamer.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::OnceLock;

use gstreamer as gst;
use gstreamer::glib;

use crate::attach;
use crate::guard::guard;

type ParseOptions = unsafe extern "C" fn(
    *mut glib::ffi::GOptionContext,
    *mut c_int,
    *mut *mut *mut c_char,
    *mut *mut glib::ffi::GError,
) -> glib::ffi::gboolean;

type SetState =
    unsafe extern "C" fn(*mut gst::ffi::GstElement, gst::ffi::GstState) -> gst::ffi::GstStateChangeReturn;

/// Interposed; see the module's page.
///
/// # Safety
/// As for GStreamer's function of this name.
#[unsafe(no_mangle)]
#[allow(unreachable_pub, reason = "reached by the dynamic linker")]
pub unsafe extern "C" fn gst_element_set_state(
    element: *mut gst::ffi::GstElement,
    state: gst::ffi::GstState,
) -> gst::ffi::GstStateChangeReturn {
    guard((), attach::attach);
    // SAFETY: the very arguments that came in, to the function they were meant for.
    match original() {
        Some(original) => unsafe { original(element, state) },
        None => gst::ffi::GST_STATE_CHANGE_FAILURE,
    }
}

/// Interposed; see the module's page.
///
/// # Safety
/// As for GLib's function of this name.
#[unsafe(no_mangle)]
#[allow(unreachable_pub, reason = "reached by the dynamic linker")]
pub unsafe extern "C" fn g_option_context_parse(
    context: *mut glib::ffi::GOptionContext,
    argc: *mut c_int,
    argv: *mut *mut *mut c_char,
    error: *mut *mut glib::ffi::GError,
) -> glib::ffi::gboolean {
    static FOUND: OnceLock<Option<ParseOptions>> = OnceLock::new();
    let original = FOUND.get_or_init(|| {
        let found = next(c"g_option_context_parse", c"libglib-2.0.so.0");
        // SAFETY: the address is of GLib's function of that name, whose type this is, and a null pointer is
        // `None`.
        unsafe { std::mem::transmute::<*mut c_void, Option<ParseOptions>>(found) }
    });
    let Some(original) = original else { return glib::ffi::GFALSE };
    // SAFETY: the very arguments that came in, to the function they were meant for.
    let parsed = unsafe { original(context, argc, argv, error) };
    guard((), || {
        // SAFETY: takes nothing, and may be asked at any time. Options are parsed by programs that have nothing
        // to do with GStreamer too, and by players before they are done initialising it.
        if unsafe { gst::ffi::gst_is_initialized() } != glib::ffi::GFALSE {
            attach::attach();
        }
    });
    parsed
}

/// GStreamer's own function of this name.
fn original() -> Option<SetState> {
    static FOUND: OnceLock<Option<SetState>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let found = next(c"gst_element_set_state", c"libgstreamer-1.0.so.0");
        // SAFETY: the address is of libgstreamer's function of that name, whose type this is, and a null
        // pointer is `None`.
        unsafe { std::mem::transmute::<*mut c_void, Option<SetState>>(found) }
    })
}

/// The function that would have been called, had we not been there; null if there is none.
fn next(name: &CStr, library: &CStr) -> *mut c_void {
    // SAFETY: a look-up by a NUL-terminated name; no code is run.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    if !found.is_null() {
        return found;
    }
    // Trap: an application may have opened the library with RTLD_LOCAL, out of RTLD_NEXT's sight. It is asked for
    // without being loaded; the handle is kept, so that the function cannot go away.
    // SAFETY: NUL-terminated names; RTLD_NOLOAD runs no initialiser.
    unsafe {
        let library = libc::dlopen(library.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD);
        if library.is_null() { library } else { libc::dlsym(library, name.as_ptr()) }
    }
}
