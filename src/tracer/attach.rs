//! Getting into the process, once, by whichever way comes first.

use std::path::Path;
use std::sync::Once;

use gstreamer as gst;

use crate::ffi::element_added;
use crate::ffi::vtable::{self, Hooks};
use crate::guard::{self, CAT};
use crate::{message, pipeline, process};

/// GStreamer's own tools that load plug-ins and play nothing. They are left alone altogether.
const TOOLS: [&str; 3] = ["gst-plugin-scanner", "gst-inspect-1.0", "gst-completion-helper"];

/// Puts the hooks in, if this is a player. Every call but the first does nothing.
pub(crate) fn attach() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if is_tool() {
            return;
        }
        guard::install_hook();
        crate::elements::table();
        let hooks = Hooks {
            before: pipeline::before_change,
            after: pipeline::after_change,
            message: message::message,
        };
        if !vtable::patch(hooks) {
            gst::debug!(CAT, "another copy of stbeacon watches this process already");
            return;
        }
        element_added::watch(pipeline::element_added);
        process::current();
        gst::debug!(CAT, "watching");
    });
}

fn is_tool() -> bool {
    // The name the process was started by: no file is opened, and the kernel's `comm` is cut at 15 bytes.
    std::env::args_os().next().is_some_and(|name| {
        Path::new(&name)
            .file_name()
            .is_some_and(|file| TOOLS.iter().any(|tool| file.to_string_lossy().contains(tool)))
    })
}
