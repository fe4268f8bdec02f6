//! What the kernel says about the box's interfaces.
//!
//! [`Socket`] asks, [`messages`] reads the answers, [`interfaces`] makes of them what a report needs, and
//! [`ethtool`] adds the speed of a link. Attributes are read one by one, and one that is not understood is left
//! out alone: a newer kernel's attribute of another shape costs no interface.

mod attributes;
mod ethtool;
mod interfaces;
mod messages;
mod socket;

use std::io;

pub(crate) use self::ethtool::LinkModes;
pub(crate) use self::interfaces::{Interfaces, Selection};
pub(crate) use self::socket::{Monitor, Socket};

/// Asks the kernel for everything a report needs but the links' speed.
///
/// # Errors
/// Where the kernel refuses or does not answer.
pub(crate) fn dump(socket: &mut Socket) -> io::Result<Interfaces> {
    let mut interfaces = Interfaces::default();
    socket.dump(&messages::links_request(), |kind, payload| {
        if let Some(link) = messages::parse_link(kind, payload) {
            interfaces.add_link(link);
        }
    })?;
    socket.dump(&messages::addresses_request(), |kind, payload| {
        if let Some(address) = messages::parse_address(kind, payload) {
            interfaces.add_address(address);
        }
    })?;
    socket.dump(&messages::routes_request(), |kind, payload| {
        if let Some(route) = messages::parse_route(kind, payload) {
            interfaces.add_route(route);
        }
    })?;
    Ok(interfaces)
}
