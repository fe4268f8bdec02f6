//! Waiting for something to be so.

use std::thread;
use std::time::{Duration, Instant};

use crate::Error;

/// How often a condition is looked at.
const STEP: Duration = Duration::from_millis(5);

/// Waits until `ready` gives something, and gives that.
///
/// # Errors
/// After `limit`, naming `what` was waited for.
pub fn until<T>(what: &str, limit: Duration, mut ready: impl FnMut() -> Option<T>) -> Result<T, Error> {
    let start = Instant::now();
    loop {
        if let Some(value) = ready() {
            return Ok(value);
        }
        if start.elapsed() > limit {
            return Err(Error::new(format!("waited {} s in vain for {what}", limit.as_secs_f32())));
        }
        thread::sleep(STEP);
    }
}
