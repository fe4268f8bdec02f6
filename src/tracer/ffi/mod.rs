//! The edge to C: the only modules of this crate with `unsafe` in them, one concern each.

pub(crate) mod element_added;
pub(crate) mod error_code;
pub(crate) mod leaked;
pub(crate) mod preload;
pub(crate) mod vtable;
