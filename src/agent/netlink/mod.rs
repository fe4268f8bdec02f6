//! What the kernel says about the box's interfaces.
//!
//! [`Netlink`] asks and [`Monitor`] listens (rtnetlink(7)), [`messages`] takes from the answers what a report needs,
//! [`interfaces`] makes a report of it, and [`ethtool`] adds the speed of a link. [`trimmed`] stands before all of
//! them: what nobody here reads is cut out of an answer before it is decoded, so that neither a newer kernel's nor
//! a vendor's attribute can cost an interface.

mod connection;
mod ethtool;
mod interfaces;
mod messages;
mod trimmed;

pub(crate) use self::connection::{Monitor, Netlink};
pub(crate) use self::ethtool::LinkModes;
pub(crate) use self::interfaces::{Interfaces, Selection};
