//! `libgststbeacon.so`: watches every GStreamer pipeline of a process and tells the stbeacon daemon.
//!
//! Load it into an unmodified player by either of
//!
//! ```text
//! GST_PLUGIN_PATH=/usr/lib/stbeacon GST_TRACERS=stbeacon gst-play-1.0 clip.ts
//! LD_PRELOAD=/usr/lib/stbeacon/libgststbeacon.so gst-play-1.0 clip.ts
//! ```
//!
//! It speaks [`stbeacon_core::player`] to the socket that `STBEACON_SOCKET` names, or to
//! `/run/stbeacon/player.sock`. One session is one run of one pipeline that is in no other bin, from
//! READY→PAUSED until it ends or goes back. A bare GstBin that an application drives without a pipeline has no
//! clock and no bus and is not watched.
//!
//! **The player comes first.** No tracer hook is registered: one hook makes every push in the process pay.
//! What is watched instead:
//!
//! * [`ffi::element_added`]: each element as it enters a bin; the few that matter get pad probes ([`watch`]);
//! * [`ffi::vtable`]: each transition of a pipeline, and each message it hands to the application
//!   ([`pipeline`], [`message`]).
//!
//! A probe owns its counters and shares them, as atomics, with the [`ticker`] alone: no look-up, no lock that
//! another pad takes, no allocation, no system call. What a probe sees it lets pass, always and unchanged.
//! Nothing is kept alive: elements and pipelines are known by weak reference. Every callback runs inside
//! [`guard::guard`].

#![deny(unsafe_code)]

mod attach;
mod clock;
mod elements;
#[allow(unsafe_code)]
mod ffi;
mod guard;
mod hub;
mod link;
mod message;
mod pipeline;
mod plugin;
mod process;
mod run;
mod said;
mod tally;
mod teller;
mod ticker;
mod watch;
