//! What a thread or a process needs permission for: a real-time priority, and memory that stays.
//!
//! Owns the settings and their range. Does not know how the system grants them.

use std::ops::RangeInclusive;

use crate::config::Config;
use crate::error::InitError;

/// The priorities of `SCHED_FIFO`: sched(7).
const PRIORITIES: RangeInclusive<u8> = 1..=99;

impl Config {
    /// Runs the reactor's thread under `SCHED_FIFO` with this priority, from 1 to 99: no ordinary thread can
    /// take the core from it. Linux alone.
    ///
    /// Set once all else of init has gone well, and taken back when the reactor ends. Threads that fibers
    /// start are ordinary ones (`SCHED_RESET_ON_FORK`).
    ///
    /// # What it costs
    /// Whatever else must run on that core waits: the kernel's own threads, and the threads that fibers have
    /// started, until they call [`unpin_thread`](crate::unpin_thread). Together with
    /// [`Idle::Spin`](crate::Idle::Spin) the core never comes free by itself. Linux then stops the reactor
    /// for 50 ms of each second in which somebody waits (`kernel.sched_rt_runtime_us`, 950000 of 1000000 by
    /// default, or the fair server of Linux 6.12 and later, sched(7)); where an operator has set that to -1, a
    /// core that spins can hang the machine. An isolated core, on which nothing else is to run, is the place
    /// for both. A priority above 50 is above that of interrupt threads, where a kernel has them
    /// (`threadirqs`, `PREEMPT_RT`): those of the network card then wait too.
    ///
    /// # Errors
    /// Init fails, and leaves the thread as it was:
    /// - [`InitError::Config`](crate::InitError::Config): the priority is not from 1 to 99;
    /// - [`InitError::Realtime`](crate::InitError::Realtime): this user may not take it. The sentence says
    ///   what the limit is (`ulimit -r`, 0 for an ordinary user), and how to raise it.
    ///
    /// # Example
    /// ```
    /// use flux::{Config, InitError};
    ///
    /// match Config::new().realtime(50).init() {
    ///     Ok(reactor) => reactor.run(|| println!("nobody takes the core now"))?,
    ///     Err(error @ InitError::Realtime { .. }) => println!("{error}"),
    ///     Err(error) => return Err(error.into()),
    /// }
    /// # Ok::<(), flux::RunError>(())
    /// ```
    pub const fn realtime(mut self, priority: u8) -> Self {
        self.realtime = Some(priority);
        self
    }

    /// Keeps the memory of the process where it is, until the reactor ends: no page that has been touched is
    /// written to a disk or dropped, and the program's code, that of its libraries included, is brought in
    /// at once. Linux alone.
    ///
    /// By `mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)`, when stacks and rings are there. `ONFAULT`,
    /// since memory is what is touched: without it every stack would be backed in full. A first touch still
    /// costs its microseconds: [`prefault`](Self::prefault) is there for stacks, and data of your own is best
    /// written once before it matters.
    ///
    /// It holds for all threads. Memory that the process had locked before stays locked at the end, and the
    /// rest with it, since the two cannot be told apart.
    ///
    /// # What it costs
    /// Memory that nothing else can have. And the limit (`ulimit -l`) counts address space rather than what
    /// is touched: with one that is merely large enough, a mapping that passes it later fails, be it an
    /// allocation, which ends the program, or the stack of a thread. Set it to `unlimited`.
    ///
    /// # Errors
    /// Init fails, with nothing locked:
    /// - [`InitError::LockMemory`](crate::InitError::LockMemory): the process has more mapped than it may
    ///   lock. The sentence says what the limit is, and how to raise it.
    ///
    /// # Example
    /// ```
    /// use flux::{Config, InitError};
    ///
    /// match Config::new().lock_memory().init() {
    ///     Ok(reactor) => reactor.run(|| println!("nothing is swapped now"))?,
    ///     Err(error @ InitError::LockMemory { .. }) => println!("{error}"),
    ///     Err(error) => return Err(error.into()),
    /// }
    /// # Ok::<(), flux::RunError>(())
    /// ```
    pub const fn lock_memory(mut self) -> Self {
        self.lock_memory = true;
        self
    }

    pub(super) fn check_privileges(&self) -> Result<(), InitError> {
        match self.realtime {
            Some(priority) if !PRIORITIES.contains(&priority) => Err(InitError::Config(format!(
                "`realtime` is {priority}, but must be from {} to {}",
                PRIORITIES.start(),
                PRIORITIES.end()
            ))),
            _ => Ok(()),
        }
    }
}
