//! What a fiber may say of its own running: let others go first, by when to be done, not to be stopped.

#![allow(
    unsafe_code,
    reason = "a deadline in this frame is known to the fiber's block while the closure runs"
)]

use std::cell::Cell;
use std::time::Duration;

use crate::error::{Elapsed, Stopped};
use crate::fiber::block::Deadline;
use crate::reactor::{current, park};

/// Lets every fiber run that is ready now, then goes on.
///
/// A fiber that computes for long calls this now and then: nothing else takes the core from it.
///
/// # Suspends
/// Always, but for no longer than the others run.
///
/// # Errors
/// [`Stopped::Cancelled`] when the fiber was cancelled, so that a loop can end; also in a destructor that
/// runs while a panic unwinds, where nothing switches. [`Stopped::TimedOut`] once the deadline of an
/// enclosing [`timeout`] has ended a call. It has not yielded then.
///
/// # Panics
/// Outside of a fiber, and inside [`no_suspend`].
#[inline]
#[track_caller]
pub fn yield_now() -> Result<(), Stopped> {
    current::with(|reactor| {
        reactor.may_wait()?;
        reactor.yield_now();
        Ok(())
    })
}

/// Runs `body` with a deadline for everything that suspends inside it.
///
/// Once the deadline has passed, I/O fails with [`TimedOut`](std::io::ErrorKind::TimedOut), and other
/// suspending calls with [`Stopped::TimedOut`]. Deadlines nest, and the nearest counts: when an outer one
/// passes, the outer `timeout` says so, and the inner one does not.
///
/// Nothing is interrupted in the middle: a call that has succeeded when the time is over delivers, and
/// `body` returns by itself.
///
/// # Errors
/// [`Elapsed`], with what `body` returned, when this very deadline ended at least one call in it.
///
/// # Panics
/// With what `body` panicked with. Outside of a fiber.
///
/// # Example
/// ```
/// use std::io::Read;
/// use std::time::Duration;
///
/// # fn answer(stream: &mut flux::net::TcpStream) -> std::io::Result<[u8; 8]> {
/// let mut reply = [0; 8];
/// // The first `?` is for the deadline, the second for the stream.
/// flux::timeout(Duration::from_millis(50), || stream.read_exact(&mut reply))??;
/// # Ok(reply)
/// # }
/// ```
#[track_caller]
pub fn timeout<T>(after: Duration, body: impl FnOnce() -> T) -> Result<T, Elapsed<T>> {
    let deadline = Deadline {
        at_ns: current::with(|reactor| park::end_of(reactor.clock.precise(), after)),
        passed: Cell::new(false),
    };
    // SAFETY: the deadline stays in this frame, below `Undo`, whose drop takes it back whether `body`
    // returns or panics; a suspended frame is not left otherwise.
    let enclosed = current::with(|reactor| unsafe { reactor.enclose(&deadline) });
    let undo = Undo(|| current::with(|reactor| reactor.restore(enclosed)));
    let value = body();
    drop(undo);
    if deadline.passed.get() {
        Err(Elapsed::new(value))
    } else {
        Ok(value)
    }
}

/// Cancels every fiber, the calling one and the main fiber included, and starts the grace period.
///
/// Suspending calls fail from now on, in fibers that are spawned later too; work that must be finished runs in
/// [`shielded`]. Fibers that have not ended when [`Config::grace`](crate::Config::grace) is over are named
/// on stderr, and left.
///
/// # Panics
/// Outside of a fiber.
///
/// # Example
/// ```
/// use std::time::Duration;
///
/// # fn main() -> Result<(), flux::RunError> {
/// let ended = flux::Config::new().run(|| {
///     drop(flux::spawn(flux::shutdown));
///     flux::time::sleep(Duration::from_secs(3600))
/// })?;
/// assert_eq!(ended, Err(flux::Stopped::Cancelled));
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn shutdown() {
    current::with(|reactor| {
        reactor.close();
        reactor.cancel(reactor.sched.current());
    });
}

/// Runs `body` with the cancelled flag hidden, for work that must be finished: to cancel all orders, say.
///
/// A cancel that comes meanwhile, or came before, is heard by the first suspending call afterwards.
/// Deadlines count as ever: put a [`timeout`] inside.
///
/// # Panics
/// With what `body` panicked with. Outside of a fiber.
///
/// # Example
/// ```
/// use std::time::Duration;
///
/// # fn main() -> Result<(), flux::RunError> {
/// flux::Config::new().run(|| {
///     let fiber = flux::spawn(|| {
///         let finished = flux::shielded(|| flux::time::sleep(Duration::from_millis(1)));
///         (finished, flux::yield_now())
///     });
///     fiber.cancel();
///     let (finished, after) = fiber.join().unwrap();
///     assert_eq!(finished, Ok(()));
///     assert_eq!(after, Err(flux::Stopped::Cancelled));
/// })
/// # }
/// ```
#[track_caller]
pub fn shielded<T>(body: impl FnOnce() -> T) -> T {
    current::with(|reactor| reactor.shield(true));
    let _undo = Undo(|| current::with(|reactor| reactor.shield(false)));
    body()
}

/// Runs `body`, in which nothing may suspend: a call that would panics.
///
/// For what must not be interleaved with other fibers: a `RefCell` borrow, a lock of std, a scoped
/// thread-local. See the soundness contract in the crate's docs.
///
/// # Panics
/// With what `body` panicked with, and where it would suspend. Outside of a fiber.
///
/// # Example
/// ```should_panic
/// flux::Config::new()
///     .run(|| flux::no_suspend(|| flux::yield_now()))
///     .unwrap()
///     .unwrap();
/// ```
#[track_caller]
pub fn no_suspend<T>(body: impl FnOnce() -> T) -> T {
    current::with(|reactor| reactor.ban_suspending(true));
    let _undo = Undo(|| current::with(|reactor| reactor.ban_suspending(false)));
    body()
}

/// Calls its closure when dropped: on return and on panic alike.
struct Undo<F: Fn()>(F);

impl<F: Fn()> Drop for Undo<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
