//! How long a connection is waited for, at little cost: hyper makes a timer for the head of each request, and the runtime
//! would be told of each, and told again that it is not needed. Here it is a moment that is looked at whenever the
//! connection is, and who serves the connection looks at it now and then.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

/// With whom it is at its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// How long the head of a request may take, and how long a connection may be idle.
    pub(crate) head: Duration,
    /// How often that is looked at, and so how much longer it may be.
    pub(crate) look_every: Duration,
}

/// Makes timers that wake nobody up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Looks;

/// Is over from then on, for who looks.
struct Until(Instant);

// === impl Looks ===

impl Timer for Looks {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Until(deadline))
    }
}

// === impl Until ===

impl Future for Until {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if Instant::now() < self.0 { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl Sleep for Until {}
