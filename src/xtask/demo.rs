//! `cargo xtask demo`
use crate::Failure;
pub(crate) fn main(_: lexopt::Parser) -> Result<(), Failure> {
    Err(Failure::Failed("not yet".into()))
}
