//! Waiting for signals of the process: Ctrl-C, a supervisor's "please end".

use std::fmt;
use std::io;

use crate::reactor::current;
use crate::sys::interrupt;

/// A signal, by its number on this system.
///
/// # Example
/// ```
/// use flux::signal::Signal;
///
/// assert_eq!(Signal::INTERRUPT.to_string(), "SIGINT");
/// assert_eq!(Signal::from_raw(Signal::TERMINATE.as_raw()), Signal::TERMINATE);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Signal(i32);

impl Signal {
    /// `SIGINT`: Ctrl-C.
    pub const INTERRUPT: Self = Self(interrupt::SIGINT);
    /// `SIGTERM`: a supervisor wants the process to end.
    pub const TERMINATE: Self = Self(interrupt::SIGTERM);
    /// `SIGHUP`: the terminal is gone; by custom, "read the configuration again".
    pub const HANGUP: Self = Self(interrupt::SIGHUP);
    /// `SIGUSR1`.
    pub const USER1: Self = Self(interrupt::SIGUSR1);
    /// `SIGUSR2`.
    pub const USER2: Self = Self(interrupt::SIGUSR2);

    /// The signal of this number.
    pub const fn from_raw(number: i32) -> Self {
        Self(number)
    }

    /// The signal's number.
    pub const fn as_raw(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::INTERRUPT => f.write_str("SIGINT"),
            Self::TERMINATE => f.write_str("SIGTERM"),
            Self::HANGUP => f.write_str("SIGHUP"),
            Self::USER1 => f.write_str("SIGUSR1"),
            Self::USER2 => f.write_str("SIGUSR2"),
            Self(number) => write!(f, "signal {number}"),
        }
    }
}

/// Waits for one of these signals, and returns which one came.
///
/// From the first call that names a signal on, that signal does not end the process any more, for as long as
/// the process lives; what comes while nobody waits is kept, once, for the next call. With no signal named
/// it waits until it is stopped.
///
/// # Suspends
/// Until a signal comes, the fiber is cancelled, or the deadline of an enclosing [`timeout`](crate::timeout)
/// passes.
///
/// # Errors
/// - `InvalidInput`: a signal that cannot be caught (`SIGKILL`, `SIGSTOP`), or none of this system.
/// - `ECANCELED` and `TimedOut` as every call that waits; `Unsupported` outside of a fiber.
///
/// # Example
/// ```no_run
/// use flux::signal::{self, Signal};
///
/// # fn trade() {}
/// #[flux::main]
/// fn main() -> std::io::Result<()> {
///     drop(flux::spawn(trade));
///     let signal = signal::wait(&[Signal::INTERRUPT, Signal::TERMINATE])?;
///     println!("{signal}: pulling quotes");
///     Ok(()) // the others are cancelled, and have `grace` to end
/// }
/// ```
#[track_caller]
pub fn wait(signals: &[Signal]) -> io::Result<Signal> {
    // The bell, and what has come, are for fibers alone.
    if current::try_with(|_| ()).is_none() {
        return Err(current::outside_error());
    }
    for signal in signals {
        interrupt::catch(signal.0)?;
    }
    // A fiber that was stopped takes no signal from those that go on.
    current::try_with(|reactor| reactor.may_wait()).transpose()?;
    let _wanted = Wanted::note(signals);
    loop {
        // In this order: a signal that comes in between rings again.
        interrupt::silence();
        let signal = signals.iter().find(|signal| interrupt::take(signal.0));
        // The bell is everybody's: it goes on to ring for those that have not looked yet.
        let others = current::try_with(|reactor| {
            let mut counts = reactor.signals_wanted.iter().enumerate();
            counts.any(|(number, count)| count.get() > 0 && interrupt::has_come(number))
        });
        if others == Some(true) {
            interrupt::ring();
        }
        if let Some(signal) = signal {
            return Ok(*signal);
        }
        let bell = interrupt::bell()?;
        let rung = current::try_with(|reactor| reactor.wait_ready(bell, false, None));
        rung.unwrap_or_else(|| Err(current::outside_error()))?;
    }
}

/// Counts these signals, which are caught, as wanted until it is dropped.
struct Wanted<'a>(&'a [Signal]);

impl<'a> Wanted<'a> {
    fn note(signals: &'a [Signal]) -> Self {
        Self::count(signals, |count| count + 1);
        Self(signals)
    }

    fn count(signals: &[Signal], change: impl Fn(u32) -> u32) {
        current::try_with(|reactor| {
            for signal in signals {
                // What is caught is the number of a signal, neither negative nor too large.
                let count = &reactor.signals_wanted[signal.0.cast_unsigned() as usize];
                count.set(change(count.get()));
            }
        });
    }
}

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        Self::count(self.0, |count| count - 1);
    }
}
