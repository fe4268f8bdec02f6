//! Waiting for a moment, with one wake-up: the runtime's own timers are kept in a wheel, and one that is half a minute ahead
//! wakes the program up to three times until it is due. This one is the kernel's, and of boot time: what was due while the
//! box slept is due when it wakes up.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd, RawFd};
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use stbeacon_core::time::Millis;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A timer of the kernel's.
#[derive(Debug)]
pub(super) struct Alarm(AsyncFd<Timer>);

/// As the runtime wants to have it.
#[derive(Debug)]
struct Timer(TimerFd);

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

// === impl Alarm ===

impl Alarm {
    /// Within a runtime.
    ///
    /// # Errors
    /// Where the kernel gives none.
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = match TimerFd::new(ClockId::CLOCK_BOOTTIME, flags) {
            // Linux before 3.15 has none of boot time; what was due during a sleep is noticed later, then.
            Err(Errno::EINVAL) => TimerFd::new(ClockId::CLOCK_MONOTONIC, flags),
            timer => timer,
        };
        let timer = Timer(timer?);
        #[allow(
            deprecated,
            reason = "its successor is unsafe; the descriptor is the value's own and stays open"
        )]
        let timer = AsyncFd::with_interest(timer, Interest::READABLE)?;
        Ok(Self(timer))
    }

    /// What comes, or `None` where nothing has come for so long.
    ///
    /// # Errors
    /// Where the kernel's timer fails.
    pub(super) async fn wait<T>(
        &self,
        most: Millis,
        comes: impl Future<Output = T>,
    ) -> io::Result<Option<T>> {
        let mut comes = pin!(comes);
        let mut is_set = false;
        poll_fn(|context| {
            if let Poll::Ready(came) = comes.as_mut().poll(context) {
                return Poll::Ready(Ok(Some(came)));
            }
            // No time at all would be no alarm to the kernel.
            if most == Millis(0) {
                return Poll::Ready(Ok(None));
            }
            if !std::mem::replace(&mut is_set, true) {
                let most = TimeSpec::from_duration(Duration::from_millis(most.0));
                self.0.get_ref().0.set(Expiration::OneShot(most), TimerSetTimeFlags::empty())?;
            }
            self.poll_rung(context).map_ok(|()| None)
        })
        .await
    }

    fn poll_rung(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut ready = match self.0.poll_read_ready(context)? {
                Poll::Ready(ready) => ready,
                Poll::Pending => return Poll::Pending,
            };
            // It may have been ready for an alarm that was set before.
            if let Ok(rung) = ready.try_io(|timer| Ok(timer.get_ref().0.wait()?)) {
                return Poll::Ready(rung);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::time::Instant;

    use super::*;

    fn run<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
    }

    #[test]
    fn it_rings_when_nothing_comes_and_not_before() {
        run(async {
            let alarm = Alarm::new().unwrap();
            for most in [0, 1, 30, 2] {
                let start = Instant::now();
                assert_eq!(alarm.wait(Millis(most), pending::<()>()).await.unwrap(), None);
                assert!(start.elapsed() >= Duration::from_millis(most), "{most}");
            }
        });
    }

    /// What comes is told even where no time is left; an alarm that has rung meanwhile is not the next one's.
    #[test]
    fn what_comes_is_told() {
        run(async {
            let alarm = Alarm::new().unwrap();
            assert_eq!(alarm.wait(Millis(0), ready(7)).await.unwrap(), Some(7));
            let later = async |ms| tokio::time::sleep(Duration::from_millis(ms)).await;
            assert_eq!(alarm.wait(Millis(60_000), later(5)).await.unwrap(), Some(()));
            assert_eq!(alarm.wait(Millis(1), later(60_000)).await.unwrap(), None);
            // It rings here while nobody looks.
            alarm
                .0
                .get_ref()
                .0
                .set(Expiration::OneShot(TimeSpec::new(0, 1)), TimerSetTimeFlags::empty())
                .unwrap();
            later(20).await;
            let start = Instant::now();
            assert_eq!(alarm.wait(Millis(40), pending::<()>()).await.unwrap(), None);
            assert!(start.elapsed() >= Duration::from_millis(40));
        });
    }
}
