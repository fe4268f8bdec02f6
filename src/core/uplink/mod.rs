//! When reports go to the server, and what becomes of those that it does not take.
//!
//! Three machines, none of which knows a clock or a socket:
//!
//! * [`Accumulator`] says when a period is over and what has gathered in the spool is to go;
//! * [`Delivery`] queues the batches, says when which is to be sent, and decides by the outcome;
//! * [`Lanes`] does the same for lines, which go one by one and in the order of their session.
//!
//! | outcome | what happens |
//! |---|---|
//! | 2xx | delivered |
//! | 408, 425, 429, 3xx, timeout, refused, DNS, TLS | all waits: backoff, and `Retry-After` if there is one |
//! | 5xx | the same, others first; a batch to which it happens repeatedly is split |
//! | other 4xx | the batch is split; a single report, or line, is dropped and counted |
//!
//! A batch is split so that no part holds two reports of the same type and time, for some servers cannot store
//! such; after that, in halves. What is too old, or too much, is dropped, the oldest first, and counted.

mod accumulate;
mod backoff;
mod delivery;
mod gate;
mod lanes;
mod name;
mod outcome;
mod policy;

pub use self::accumulate::Accumulator;
pub use self::backoff::{Backoff, retry_after};
pub use self::delivery::{Delivery, Request};
pub use self::lanes::{Gone, LaneRequest, Lanes};
pub use self::name::Origin;
pub use self::outcome::{DeliveryCounts, DropReason, Outcome, RequestId, Verdict};
pub use self::policy::DeliveryPolicy;

#[cfg(test)]
mod tests;
