//! Elements for the tests: they go wrong on demand, and tell the exact truth about it at the end.
//!
//! | element | is | goes wrong by |
//! |---|---|---|
//! | `stbfaultenc` | an "encoder" to the made-up format `video/x-stbtest`, one picture a buffer | never |
//! | `stbfaultdec` | its decoder, a real [`gstreamer_video::VideoDecoder`] | every class of lost or damaged frame |
//! | `stbhwsink` | a sink that takes compressed video, like a box's hardware path | dropping frames as late |
//! | `stbhwdec` | a "hardware" decoder that puts out handles and counts in properties of its own | failing, being late |
//! | `stbhwdemux` | a "hardware" demultiplexer whose bytes say nothing | never |
//! | `stbptrsink` | such a sink whose `stats` property is a raw pointer | being read without a look at the type |
//!
//! ```text
//! gst-launch-1.0 videotestsrc num-buffers=100 ! video/x-raw,format=GRAY8 ! stbfaultenc \
//!     ! stbfaultdec late-every=10 ! fakesink
//! {"element":"stbfaultdec0","in":100,"out":90,"dropped_late":10,"failed":0,"corrupted":0}
//! ```

#![allow(missing_docs, reason = "plugin_define! makes public items of its own; nothing else here is public")]

mod dec;
mod enc;
mod every;
mod hwdec;
mod hwdemux;
mod hwsink;
mod ptrsink;
mod truth;

use gstreamer::glib;

gstreamer::plugin_define!(
    stbeacontest,
    env!("CARGO_PKG_DESCRIPTION"),
    plugin_init,
    env!("CARGO_PKG_VERSION"),
    "MIT/X11",
    "stbeacon",
    "stbeacon",
    env!("CARGO_PKG_NAME")
);

/// The made-up compressed format: the bytes of one grey picture.
const FORMAT: &str = "video/x-stbtest";

fn plugin_init(plugin: &gstreamer::Plugin) -> Result<(), glib::BoolError> {
    enc::register(plugin)?;
    dec::register(plugin)?;
    hwdec::register(plugin)?;
    hwdemux::register(plugin)?;
    hwsink::register(plugin)?;
    ptrsink::register(plugin)
}
