//! What the kernel is asked to do with network cards on the reactor's behalf.
//!
//! Owns the setting and its range. Does not know which engine can have it.

use std::time::Duration;

use crate::config::Config;
use crate::error::InitError;

/// The longest busy poll, in microseconds: what the kernel's field holds, and far beyond what makes sense.
const BUSY_POLL_MAX_US: u128 = 1_000_000;

impl Config {
    /// Lets the ring poll the cards of its sockets by itself (`IORING_REGISTER_NAPI`), for so long at a time, in
    /// place of waiting for their interrupts. For `io_uring` on Linux 6.9 or later; off unless asked for.
    ///
    /// Only what comes in through a card whose driver has NAPI gains by it: nothing on loopback. It happens within
    /// an entry into the kernel that waits, so that it is for [`Idle::Block`](crate::Idle::Block) and for the
    /// sleeping part of [`Idle::SpinThenBlock`](crate::Idle::SpinThenBlock).
    ///
    /// # What it costs
    /// The core is busy for as long as it polls, and the card's other queues may have to wait. What it gains was not
    /// measured by us: it takes a card that we have not. See `io_uring_register_napi(3)`.
    ///
    /// # Errors
    /// Init fails with [`InitError::Config`](crate::InitError::Config): the time is zero, is not whole
    /// microseconds, or is more than a second; the engine in use is not `io_uring`; or the kernel has no such
    /// registration.
    ///
    /// # Example
    /// ```
    /// use std::time::Duration;
    ///
    /// match flux::Config::new().napi_busy_poll(Duration::from_micros(50)).init() {
    ///     Ok(reactor) => reactor.run(|| println!("{}", flux::stats().engine))?,
    ///     Err(error) => println!("{error}"),
    /// }
    /// # Ok::<(), flux::RunError>(())
    /// ```
    pub const fn napi_busy_poll(mut self, longest: Duration) -> Self {
        self.napi_busy_poll = Some(longest);
        self
    }

    /// Refuses what is no time for a busy poll.
    pub(super) fn check_network(&self) -> Result<(), InitError> {
        match self.napi_busy_poll {
            Some(time)
                if !(1..=BUSY_POLL_MAX_US).contains(&time.as_micros())
                    || time.subsec_nanos() % 1000 != 0 =>
            {
                Err(InitError::Config(format!(
                    "`napi_busy_poll` is {time:?}, but must be whole microseconds, from 1 us to 1 s"
                )))
            }
            _ => Ok(()),
        }
    }
}
