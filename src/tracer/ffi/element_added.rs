//! An emission hook on GstBin's `element-added`: every element of the process that enters any bin.
//!
//! Trap: the `element-add-pad` trace point fires inside instance_init, where an element has no name yet and
//! asking for it crashes. `element-added` comes when the element is whole and its factory known.

use std::ffi::c_void;
use std::ptr;
use std::sync::OnceLock;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::glib::prelude::*;
use gstreamer::glib::translate::IntoGlib;

use crate::guard::guard;

static CALLBACK: OnceLock<fn(&gst::Bin, &gst::Element)> = OnceLock::new();

/// Calls `callback` for each element that is added to a bin from now on. Only the first call has an effect.
pub(crate) fn watch(callback: fn(&gst::Bin, &gst::Element)) {
    if CALLBACK.set(callback).is_err() {
        return;
    }
    // SAFETY: taking a reference on GstBin's class makes its signals exist, and it is never given back.
    // The signal name is NUL-terminated. `hook` has the signature of GSignalEmissionHook and needs no data.
    unsafe {
        let bin = gst::Bin::static_type().into_glib();
        glib::gobject_ffi::g_type_class_ref(bin);
        let signal = glib::gobject_ffi::g_signal_lookup(c"element-added".as_ptr(), bin);
        if signal != 0 {
            glib::gobject_ffi::g_signal_add_emission_hook(signal, 0, Some(hook), ptr::null_mut(), None);
        }
    }
}

unsafe extern "C" fn hook(
    _hint: *mut glib::gobject_ffi::GSignalInvocationHint,
    count: u32,
    values: *const glib::gobject_ffi::GValue,
    _data: *mut c_void,
) -> glib::ffi::gboolean {
    guard((), || {
        if count < 2 || values.is_null() {
            return;
        }
        // SAFETY: GObject passes `count` initialised values that outlive this call, and `glib::Value` is a
        // transparent wrapper of GValue; the slice is only read.
        let values = unsafe { std::slice::from_raw_parts(values.cast::<glib::Value>(), 2) };
        if let [bin, element] = values {
            if let (Ok(bin), Ok(element), Some(callback)) =
                (bin.get::<gst::Bin>(), element.get::<gst::Element>(), CALLBACK.get())
            {
                callback(&bin, &element);
            }
        }
    });
    // TRUE keeps the hook; after a panic it goes away for good.
    (!crate::guard::is_out_of_use()).into_glib()
}
