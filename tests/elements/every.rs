//! "Every n-th frame", as a property value.

/// True on the n-th frame, the 2n-th and so on, counted from 1; never if n is 0.
pub(crate) const fn hits(every: u32, frame: u64) -> bool {
    every != 0 && frame != 0 && frame % every as u64 == 0
}
