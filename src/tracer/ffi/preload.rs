//! The second way in: `LD_PRELOAD` of this library.
//!
//! GStreamer built with `-Dtracer_hooks=false` (the default of common board-support recipes) ignores
//! `GST_TRACERS` without a word. Every player calls `gst_element_set_state` before anything plays, so that one
//! function is interposed: it attaches, then does what it always did.
//!
//! Traps: `LD_PRELOAD` reaches child processes, so set it for one service and not for the box; it is ignored
//! for set-uid programs (AT_SECURE) and by a statically linked GStreamer. A player that looks the function up
//! in the library itself (`dlsym` with its handle, as language bindings do) comes here only through the
//! plug-ins it uses; `GST_TRACERS` reaches those.

use std::ffi::c_void;
use std::sync::OnceLock;

use gstreamer as gst;

use crate::attach;
use crate::guard::guard;

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

/// GStreamer's own function of this name.
fn original() -> Option<
    unsafe extern "C" fn(*mut gst::ffi::GstElement, gst::ffi::GstState) -> gst::ffi::GstStateChangeReturn,
> {
    static FOUND: OnceLock<
        Option<
            unsafe extern "C" fn(
                *mut gst::ffi::GstElement,
                gst::ffi::GstState,
            ) -> gst::ffi::GstStateChangeReturn,
        >,
    > = OnceLock::new();
    *FOUND.get_or_init(|| {
        let name = c"gst_element_set_state".as_ptr();
        // SAFETY: a look-up by a NUL-terminated name; no code is run.
        let mut found = unsafe { libc::dlsym(libc::RTLD_NEXT, name) };
        if found.is_null() {
            // Trap: an application may have opened libgstreamer with RTLD_LOCAL, out of RTLD_NEXT's sight. It
            // is asked for without being loaded; the handle is kept, so that the function cannot go away.
            // SAFETY: NUL-terminated names; RTLD_NOLOAD runs no initialiser.
            found = unsafe {
                let library =
                    libc::dlopen(c"libgstreamer-1.0.so.0".as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD);
                if library.is_null() { library } else { libc::dlsym(library, name) }
            };
        }
        // SAFETY: the address is of libgstreamer's function of that name, whose type this is, and a null
        // pointer is `None`.
        unsafe { std::mem::transmute::<*mut c_void, _>(found) }
    })
}
