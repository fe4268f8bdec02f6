//! The first way in: `GST_TRACERS=stbeacon`, used as a loader only.
//!
//! Trap: a tracer that registers no hook is disposed at once, so nothing is kept in it; all state is in
//! [`crate::process`]. Trap: gst-plugin-scanner opens this library without making the tracer, and so attaches
//! nothing.

#![allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    reason = "what plugin_define! and object_subclass expand to"
)]

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::subclass::prelude::*;

use crate::attach;
use crate::guard::guard;

gst::plugin_define!(
    stbeacon,
    env!("CARGO_PKG_DESCRIPTION"),
    plugin_init,
    env!("CARGO_PKG_VERSION"),
    "MIT/X11",
    "stbeacon",
    "stbeacon",
    env!("CARGO_PKG_NAME")
);

fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Tracer::register(Some(plugin), "stbeacon", <Loader as ObjectSubclassType>::type_())
}

#[derive(Default)]
pub struct Loader;

#[glib::object_subclass]
impl ObjectSubclass for Loader {
    const NAME: &'static str = "GstStBeaconTracer";
    type Type = LoaderObject;
    type ParentType = gst::Tracer;
}

glib::wrapper! {
    pub struct LoaderObject(ObjectSubclass<Loader>) @extends gst::Tracer, gst::Object;
}

impl ObjectImpl for Loader {
    fn constructed(&self) {
        self.parent_constructed();
        guard((), attach::attach);
    }
}

impl GstObjectImpl for Loader {}

impl TracerImpl for Loader {}
