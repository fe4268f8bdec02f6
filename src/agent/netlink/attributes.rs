//! Netlink attributes (`struct nlattr`, linux/netlink.h): length, type, value, padded to four bytes.

use std::net::Ipv4Addr;

use netlink_packet_core::NlasIterator;

/// The attributes of a message or of a nest. What is malformed ends the list.
pub(super) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(bytes).map_while(Result::ok).filter_map(|attribute| {
        // The value is what lies behind the four bytes of header; an attribute borrows only for itself.
        let length = usize::from(attribute.length());
        attribute.into_inner().get(4..length).map(|value| (attribute.kind(), value))
    })
}

/// The fixed part that stands before the attributes, and the attributes.
pub(super) fn split_header(payload: &[u8], length: usize) -> Option<(&[u8], &[u8])> {
    payload.split_at_checked(length)
}

pub(super) fn u8_at(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).copied()
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|chunk| u16::from_ne_bytes(*chunk))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_ne_bytes(*chunk))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|chunk| u64::from_ne_bytes(*chunk))
}

pub(super) fn ipv4(bytes: &[u8]) -> Option<Ipv4Addr> {
    <[u8; 4]>::try_from(bytes).ok().map(Ipv4Addr::from)
}

/// Text up to the NUL that ends it. An interface may be named in any bytes but `/` and white space.
pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

/// Appends one attribute.
pub(super) fn push(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let Ok(length) = u16::try_from(value.len() + 4) else { return };
    out.extend_from_slice(&length.to_ne_bytes());
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_is_read_again() {
        let mut bytes = Vec::new();
        push(&mut bytes, 3, b"eth0\0");
        push(&mut bytes, 4, &1400_u32.to_ne_bytes());
        let read: Vec<_> = attributes(&bytes).collect();
        assert_eq!(read, [(3, b"eth0\0".as_slice()), (4, &1400_u32.to_ne_bytes())]);
        assert_eq!(text(read[0].1), "eth0");
        assert_eq!(u32_at(read[1].1, 0), Some(1400));
    }

    #[test]
    fn a_malformed_attribute_ends_the_list() {
        let mut bytes = Vec::new();
        push(&mut bytes, 3, b"eth0\0");
        for garbage in [&[200, 0, 1, 0][..], &[2, 0, 1, 0], &[0, 0, 0, 0], &[8]] {
            let mut bytes = bytes.clone();
            bytes.extend_from_slice(garbage);
            assert_eq!(attributes(&bytes).count(), 1, "{garbage:?}");
        }
    }
}
