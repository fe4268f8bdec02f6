//! Messages of the routing tables (rtnetlink(7)), taken apart no further than anybody here reads.
//!
//! A link is told with about sixty attributes, and five are read. A decoder that knows them all is a fifth of a daemon,
//! and refuses the whole message, and with it the interface, where one of them has an unexpected shape: a nested one that
//! a vendor numbered for himself, a number that has become wider, an alias that is no UTF-8.

use std::convert::Infallible;

use netlink_packet_core::{
    Emitable, NLA_HEADER_SIZE, NetlinkDeserializable, NetlinkHeader, NetlinkPayload, NetlinkSerializable,
    NlasIterator,
};

/// One message, its body unread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// RTM_NEWLINK and its like.
    pub(super) kind: u16,
    /// A fixed part, then attributes.
    pub(super) body: Vec<u8>,
}

/// The attributes in a message's body, or nested in another: kind without flags, and value. What is malformed ends the
/// list.
pub(super) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(bytes).map_while(|attribute| {
        let attribute = attribute.ok()?;
        let (kind, length) = (attribute.kind(), usize::from(attribute.length()));
        Some((kind, attribute.into_inner().get(NLA_HEADER_SIZE..length)?))
    })
}

/// Text up to a NUL; what is no UTF-8 is replaced.
pub(super) fn text(value: &[u8]) -> String {
    let text = value.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// `None` for a number of another width.
pub(super) fn number(value: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(value.try_into().ok()?))
}

// === impl Message ===

impl Message {
    /// A question: a fixed part that says of what family.
    pub(super) fn question(kind: u16, fixed: &impl Emitable) -> Self {
        let mut body = vec![0; fixed.buffer_len()];
        fixed.emit(&mut body);
        Self { kind, body }
    }
}

impl From<Message> for NetlinkPayload<Message> {
    fn from(message: Message) -> Self {
        Self::InnerMessage(message)
    }
}

impl NetlinkSerializable for Message {
    fn message_type(&self) -> u16 {
        self.kind
    }

    fn buffer_len(&self) -> usize {
        self.body.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.body);
    }
}

impl NetlinkDeserializable for Message {
    type Error = Infallible;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, Infallible> {
        Ok(Self { kind: header.message_type, body: payload.to_vec() })
    }
}
