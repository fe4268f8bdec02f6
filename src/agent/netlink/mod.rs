//! What the kernel says about the box's interfaces.
//!
//! [`Netlink`] asks and [`Monitor`] listens (rtnetlink(7)), [`messages`] takes from the answers what a report needs,
//! [`interfaces`] makes a report of it, and [`ethtool`] adds the speed of a link. [`wire`] is below
//! all of them: it decodes nothing that nobody here reads, so that neither a newer kernel's nor a vendor's attribute can
//! cost an interface.

mod connection;
mod ethtool;
mod interfaces;
mod messages;
mod wire;

pub(crate) use self::connection::{Monitor, Netlink};
pub(crate) use self::ethtool::LinkModes;
pub(crate) use self::interfaces::{Interfaces, Selection};
