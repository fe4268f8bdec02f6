//! How much one address may send: so many requests a second on average, and some at once.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Most addresses that are remembered; when there are more, those that have been silent longest enough are forgotten.
const MAX_ADDRESSES: usize = 100_000;
/// How much may come at once, as the time that it takes to be allowed again, in ns.
const AT_ONCE: u64 = 20 * SECOND;
const SECOND: u64 = 1_000_000_000;

/// Counts what each address sends.
#[derive(Debug)]
pub(crate) struct Limit {
    /// A second; `None` for as much as there is.
    rate: Option<NonZeroU32>,
    started: Instant,
    /// When each address has used up nothing again, in ns since the start.
    free_at: Mutex<HashMap<IpAddr, u64>>,
}

// === impl Limit ===

impl Limit {
    /// So many a second from each address; as many as there are for 0.
    pub(crate) fn new(rate: u32) -> Self {
        Self { rate: NonZeroU32::new(rate), started: Instant::now(), free_at: Mutex::default() }
    }

    /// Counts what an address sends; `false` where that is too much, and then it does not count.
    pub(crate) fn admit(&self, address: IpAddr, weight: u64) -> bool {
        let now = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.admit_at(now, address, weight)
    }

    fn admit_at(&self, now: u64, address: IpAddr, weight: u64) -> bool {
        let Some(rate) = self.rate else { return true };
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        if free_at.len() >= MAX_ADDRESSES {
            free_at.retain(|_, free_at| *free_at > now);
            if free_at.len() >= MAX_ADDRESSES {
                return false;
            }
        }
        let free_at = free_at.entry(network(address)).or_insert(now);
        let cost = weight.saturating_mul(SECOND / u64::from(rate.get()));
        let used = (*free_at).max(now).saturating_add(cost);
        let fits = used <= now.saturating_add(AT_ONCE);
        if fits {
            *free_at = used;
        }
        fits
    }
}

/// A customer has a whole /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn so_many_a_second() {
        let limit = Limit::new(10);
        let one = address("192.0.2.1");
        let taken = (0..1000).filter(|_| limit.admit_at(0, one, 1)).count();
        assert_eq!(taken, 200);
        assert!(limit.admit_at(0, address("192.0.2.2"), 1), "another address has its own");
        assert_eq!((0..1000).filter(|_| limit.admit_at(SECOND, one, 1)).count(), 10);
        assert!(!limit.admit_at(5 * SECOND, one, 41) && limit.admit_at(5 * SECOND, one, 40));
        assert_eq!((0..1000).filter(|_| limit.admit_at(1000 * SECOND, one, 1)).count(), 200);
    }

    #[test]
    fn a_v6_customer_is_one() {
        let limit = Limit::new(1);
        let taken = (0..1000).filter(|n| limit.admit_at(0, address(&format!("2001:db8::{n:x}")), 1)).count();
        assert_eq!(taken, 20);
    }

    #[test]
    fn no_limit() {
        let limit = Limit::new(0);
        assert!((0..10_000).all(|_| limit.admit_at(0, address("192.0.2.1"), 100)));
    }
}
