//! The harness: real programs, real sockets, a real HTTP server, real pipelines.
//!
//! | part | stands for |
//! |---|---|
//! | [`Artifacts`] | what the build made: daemon, tracer, test elements |
//! | [`Receiver`] | the operator's server that takes the reports, and refuses what it should |
//! | [`Daemon`] | `stbeacon run` with a provisioning file, a socket and a state directory of its own |
//! | [`Player`] | any program that plays, with the tracer loaded by either [`Way`] |
//! | [`Stb`] | a daemon and its receiver together: a box in small |
//! | [`PlayerSocket`] | the daemon's end of the player protocol, to see the tracer's messages themselves |
//! | [`clips`] | streams with a known number of frames, made on demand and kept |
//! | [`ts`] | cutting packets out of a transport stream, and counting what is in it |
//! | [`FileServer`] | a web server for HLS, as fast or as slow as wanted |
//! | [`LineReceiver`] | an analytics endpoint that takes lines |
//! | [`Remote`] | a player of an application's own, controlled from here |
//! | [`show`] | a play-back with all that can happen in one, and what lines must say of it |
//! | [`torture`] | kills at random instants, while the server is at its worst |
//! | [`FakeSuspend`] | a fake: the clocks of a box that was suspended |
//! | [`FakeSmallBuffers`] | a fake: a socket to the daemon that is soon full |
//! | [`Netns`] | a network namespace with traffic in it |
//!
//! Everything gives [`Error`], never a panic: the demo is built on it too. Nothing sleeps for a time that
//! "should do": [`wait::until`] waits for what is to come, with a limit.

#![forbid(unsafe_code)]

mod artifacts;
pub mod clips;
mod daemon;
mod error;
mod fakes;
mod file_server;
mod line_receiver;
mod netns;
mod player;
mod player_socket;
mod process;
mod receiver;
mod remote;
pub mod report;
pub mod show;
mod stb;
pub mod torture;
pub mod ts;
pub mod wait;

pub use artifacts::Artifacts;
pub use daemon::{Daemon, DaemonOptions};
pub use error::Error;
pub use fakes::{FakeSmallBuffers, FakeSuspend};
pub use file_server::FileServer;
pub use line_receiver::{LineReceiver, ReceivedLine};
pub use netns::{Netns, skipped};
pub use player::{Player, Way};
pub use player_socket::{Heard, PlayerSocket, Session};
pub use process::{Finished, Process};
pub use receiver::{Answer, Post, Receiver};
pub use remote::{Remote, Said};
pub use report::{Media, Network, Report};
pub use stb::{Run, Stb};
