//! Beacon channels: which lines an endpoint is sent, when, and what they say.
//!
//! A [`Channel`] follows the journal of all sessions ([`Sessions::poll_entry`](crate::session::Sessions::poll_entry))
//! and adds up what has happened since its last line; what a line looks like is the business of
//! [`line`](crate::line). Several channels may stand side by side, each with its own configuration:
//!
//! ```
//! use stbeacon_core::beacon::{Channel, Identity};
//! use stbeacon_core::session::Sessions;
//! use stbeacon_core::time::Millis;
//!
//! /// After each message, and when a timer runs out.
//! fn turn(now: Millis, sessions: &mut Sessions, channels: &mut [Channel], random: &mut dyn FnMut() -> u128) {
//!     if channels.iter().filter_map(Channel::poll_timeout).any(|due| due <= now) {
//!         sessions.settle(now);
//!     }
//!     while let Some(entry) = sessions.poll_entry() {
//!         channels.iter_mut().for_each(|channel| channel.handle_entry(&entry, random));
//!     }
//!     for channel in channels {
//!         channel.handle_timeout(now);
//!         while let Some(line) = channel.poll_line() {
//!             println!("GET ?{}", line.text);
//!             channel.give_back(line);
//!         }
//!     }
//! }
//! # let mut sessions = Sessions::new();
//! # sessions.set_journal(true);
//! # turn(Millis(0), &mut sessions, &mut [Channel::new(Identity::default())], &mut || 4);
//! ```
//!
//! A line is due at a moment, not when somebody finds the time to write it: a stretch of time that a line falls
//! into is cut there, whether it is told on time or late.
//!
//! | line | when |
//! |---|---|
//! | I | the attempt begins |
//! | S | its first picture |
//! | P | `secondaryLogTime` after S, then on the grid S + n·`logInterval`, whatever happens meanwhile |
//! | C | it ends after S |
//! | E | it fails, ends before S, or has rebuffered for `rebufferDurationOutlier`; after S a P goes before it |
//! | V | the visit ends: the player says so, is gone, or has left the box alone for `visitTimeout` |
//! | H | every `heartBeatInterval` where the configuration has a group for it; numbered apart, resets nothing |
//!
//! What the specification of the values leaves open is decided so:
//! * `do`, `dp`, `ej`, `ek` are the part of `z`, `da`, `eh`, `ei` that came from resuming a pause.
//! * Between I and S nothing is reset: the first P tells of start-up too. Only `gb` is told by S.
//! * `gc` counts an ad when it begins, `gb` lists it when it ends.
//! * A switch without told reasons is in `fb`, `fd`, `fe` and not in `fg`, `fh`.
//! * `dm` is in percent, `dk` a ratio.
//! * `dq` is what was loaded less what the buffer holds at the nominal bit rate.
//! * A history of more than 64 to 128 elements in one line is cut; the sums beside it go on, and the times in
//!   `fi`, `fj` and `rs` are put to the last element.

mod ads;
mod attempt;
mod buckets;
mod channel;
mod coverage;
mod figures;
mod identity;
mod samples;
mod stalls;
mod stints;
mod stream;
mod switches;
mod text;
mod viewer;
mod visit;
mod writer;

pub use self::channel::Channel;
pub use self::identity::{Identity, guid};
pub use self::writer::Line;

#[cfg(test)]
mod tests;
