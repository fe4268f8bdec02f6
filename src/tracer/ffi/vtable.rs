//! The two slots of GstPipeline's class through which all that matters passes.
//!
//! * `change_state`: every transition of every pipeline, whoever asked for it;
//! * `post_message`: every message that leaves a pipeline for the application, its own (end of stream) and
//!   those of its children that no bin on the way kept to itself. This is one step nearer to the application
//!   than `handle_message`, which sees errors that a decodebin then swallows, and never sees a pipeline's own
//!   end of stream. It comes before the bus: bus watchers, and sync handlers that drop, change nothing.
//!
//! Subclasses such as playbin chain up through their parent's class structure and so come here too. A class
//! that existed before we came has a copy of the slots; the ones it did not override are replaced as well.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::glib::prelude::*;
use gstreamer::glib::translate::{IntoGlib, from_glib, from_glib_borrow};
use gstreamer::prelude::*;

use crate::guard::guard;

/// What is called for pipelines that are in no other bin.
pub(crate) struct Hooks {
    /// Before a transition is carried out.
    pub(crate) before: fn(&gst::Pipeline, gst::StateChange),
    /// After it; whether it did not fail.
    pub(crate) after: fn(&gst::Pipeline, gst::StateChange, bool),
    /// Before a message goes to the application.
    pub(crate) message: fn(&gst::Pipeline, &gst::Message),
}

/// The slots as they were.
struct Originals {
    change_state: unsafe extern "C" fn(
        *mut gst::ffi::GstElement,
        gst::ffi::GstStateChange,
    ) -> gst::ffi::GstStateChangeReturn,
    post_message:
        unsafe extern "C" fn(*mut gst::ffi::GstElement, *mut gst::ffi::GstMessage) -> glib::ffi::gboolean,
    hooks: Hooks,
}

static ORIGINALS: OnceLock<Originals> = OnceLock::new();

/// Puts the hooks in. `false` where that is not possible or was done before, by this or another copy of this
/// library in the process.
pub(crate) fn patch(hooks: Hooks) -> bool {
    // SAFETY: the class reference is never given back, so the class structure lives as long as the process.
    // GstPipeline's class structure begins with GstElementClass. The mark is a plain non-null pointer that
    // nothing dereferences.
    let class = unsafe {
        let kind = gst::Pipeline::static_type().into_glib();
        let mark = glib::ffi::g_quark_from_static_string(c"stbeacon-attached".as_ptr());
        if !glib::gobject_ffi::g_type_get_qdata(kind, mark).is_null() {
            return false;
        }
        let class = glib::gobject_ffi::g_type_class_ref(kind).cast::<gst::ffi::GstElementClass>();
        if class.is_null() {
            return false;
        }
        glib::gobject_ffi::g_type_set_qdata(kind, mark, class.cast());
        class
    };
    // SAFETY: as above; the slots are read once, before anything of ours is in them.
    let (change, post) = unsafe { ((*class).change_state, (*class).post_message) };
    let (Some(change_state), Some(post_message)) = (change, post) else { return false };
    if ORIGINALS.set(Originals { change_state, post_message, hooks }).is_err() {
        return false;
    }
    patch_class(gst::Pipeline::static_type());
    true
}

/// Replaces the slots of a class, and of those below it, wherever they are still GstPipeline's own.
fn patch_class(kind: glib::Type) {
    // SAFETY: peeking takes no reference; a class that exists is not taken apart again (GObject classes of
    // static types never, of dynamic ones only when unused, which GLib has given up doing).
    let class =
        unsafe { glib::gobject_ffi::g_type_class_peek(kind.into_glib()).cast::<gst::ffi::GstElementClass>() };
    if let (false, Some(originals)) = (class.is_null(), ORIGINALS.get()) {
        // SAFETY: `kind` is GstPipeline or derived from it, so its class begins with GstElementClass. A slot
        // is one aligned pointer; another thread reads the old or the new one, and either is right.
        unsafe {
            swap_slot(
                (&raw mut (*class).change_state).cast(),
                originals.change_state as *mut (),
                change_state as *mut (),
            );
            swap_slot(
                (&raw mut (*class).post_message).cast(),
                originals.post_message as *mut (),
                post_message as *mut (),
            );
        }
    }
    for child in kind.children().iter() {
        patch_class(*child);
    }
}

/// # Safety
/// `slot` must point to an aligned, live function-pointer slot.
unsafe fn swap_slot(slot: *mut *mut (), old: *mut (), new: *mut ()) {
    // SAFETY: promised by the caller; an atomic pointer has the layout of a pointer.
    let slot = unsafe { AtomicPtr::from_ptr(slot) };
    let _ = slot.compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst);
}

unsafe extern "C" fn change_state(
    element: *mut gst::ffi::GstElement,
    transition: gst::ffi::GstStateChange,
) -> gst::ffi::GstStateChangeReturn {
    let Some(originals) = ORIGINALS.get() else { return gst::ffi::GST_STATE_CHANGE_FAILURE };
    guard((), || {
        // SAFETY: GStreamer calls this slot only with a pipeline that it holds a reference on.
        let pipeline =
            unsafe { from_glib_borrow::<_, gst::Pipeline>(element.cast::<gst::ffi::GstPipeline>()) };
        if pipeline.parent().is_none() {
            // SAFETY: any value GStreamer passes is a GstStateChange.
            (originals.hooks.before)(&pipeline, unsafe { from_glib(transition) });
        }
    });
    // SAFETY: the very arguments that came in, to the function that was in the slot.
    let result = unsafe { (originals.change_state)(element, transition) };
    guard((), || {
        // SAFETY: as above; the caller's reference lasts until we return.
        let pipeline =
            unsafe { from_glib_borrow::<_, gst::Pipeline>(element.cast::<gst::ffi::GstPipeline>()) };
        if pipeline.parent().is_none() {
            let passed = result != gst::ffi::GST_STATE_CHANGE_FAILURE;
            // SAFETY: as above.
            (originals.hooks.after)(&pipeline, unsafe { from_glib(transition) }, passed);
        }
    });
    result
}

unsafe extern "C" fn post_message(
    element: *mut gst::ffi::GstElement,
    message: *mut gst::ffi::GstMessage,
) -> glib::ffi::gboolean {
    let Some(originals) = ORIGINALS.get() else { return glib::ffi::GFALSE };
    guard((), || {
        // SAFETY: GStreamer calls this slot with a live pipeline and a message that is ours to pass on; both
        // are borrowed without touching their reference counts, so nobody finds the message shared.
        let (pipeline, message) = unsafe {
            (
                from_glib_borrow::<_, gst::Pipeline>(element.cast::<gst::ffi::GstPipeline>()),
                from_glib_borrow::<_, gst::Message>(message),
            )
        };
        if pipeline.parent().is_none() {
            (originals.hooks.message)(&pipeline, &message);
        }
    });
    // SAFETY: the very arguments that came in, to the function that was in the slot.
    unsafe { (originals.post_message)(element, message) }
}
