//! The benchmarks, each with a peer that does comparable work.

mod busy;
mod line;
mod player;
mod stb;
mod tick;
mod ts;

pub(crate) use self::busy::playing_line;
pub(crate) use self::ts::{ways, write_mux};

/// One benchmark.
pub(crate) struct Case {
    /// What is done, for people to read.
    pub(crate) what: String,
    /// What time and instructions are given for.
    pub(crate) unit: &'static str,
    /// How many of them one go makes.
    pub(crate) units: u64,
    /// Bytes that are read or written, a unit.
    pub(crate) bytes: f64,
    pub(crate) work: Box<dyn FnMut()>,
    /// Who does comparable work.
    pub(crate) peer: &'static str,
    pub(crate) peer_work: Box<dyn FnMut()>,
}

/// Sets one up.
type Setup = fn() -> Case;

const CASES: [(&str, Setup); 8] = [
    ("p-line", line::playing),
    ("p-line-split", line::split),
    ("p-line-decode", line::decode),
    ("stb-report", stb::encode),
    ("player-datagram", player::decode),
    ("tick", tick::tick),
    ("ts-clean", ts::clean),
    ("ts-tr101290", ts::full),
];

/// All of them with their names, set up one after the other.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, Case)> {
    CASES.into_iter().map(|(name, setup)| (name, setup()))
}

/// One of them.
pub(crate) fn named(name: &str) -> Option<Case> {
    CASES.into_iter().find(|(known, _)| *known == name).map(|(_, setup)| setup())
}
