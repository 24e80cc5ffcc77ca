//! What the reactor counted, as plain numbers.

use crate::config::StackClass;
use crate::reactor::current;

/// What a reactor has done and has in use: see [`stats`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// The engine in use, as in `engine = ".."`; `"park"` on Windows, where `auto` is the only one.
    pub engine: &'static str,
    /// Why `auto` did not take a better one: who refuses it, and what to do.
    pub engine_refused: Option<&'static str>,
    /// What the time is reckoned from: `"tsc"`, `"cntvct_el0"`, or `"monotonic"`, the system's clock, where the
    /// processor's counter is not usable or proved bad.
    pub clock: &'static str,
    /// Turns of the loop.
    pub turns: u64,
    /// Times that a fiber was resumed.
    pub switches: u64,
    /// Fibers that have not ended, the main fiber included.
    pub fibers_live: usize,
    /// Control blocks in use: those of live fibers, and of results that nobody has taken.
    pub fibers_in_use: usize,
    /// The most control blocks that were in use at once.
    pub fibers_high_water: usize,
    /// The control blocks there are (`fibers`).
    pub fibers_max: usize,
    /// The stacks of each class, in the order of [`StackClass::ALL`].
    pub stacks: [StackStats; 3],
    /// Deadlines that are set, of fibers and of callback timers.
    pub deadlines: usize,
    /// Callback timers that are set, or whose handle is held.
    pub timers_in_use: usize,
    /// The most of them at once.
    pub timers_high_water: usize,
    /// As many as there can be (`timers`).
    pub timers_max: usize,
    /// Callbacks of timers that panicked, which ended them.
    pub timers_panicked: u64,
    /// Feeds that are open, or whose last request is not done.
    #[cfg(unix)]
    pub feeds_in_use: usize,
    /// The most of them at once.
    #[cfg(unix)]
    pub feeds_high_water: usize,
    /// As many as there can be (`feeds`).
    #[cfg(unix)]
    pub feeds_max: usize,
    /// Whether the kernel fills feeds by itself, rather than being asked for each piece.
    #[cfg(unix)]
    pub feeds_by_kernel: bool,
    /// Requests that were handed to the engine and are not done.
    pub ops_in_flight: usize,
    /// Requests that are done.
    pub ops_completed: u64,
    /// Entries into the kernel.
    pub kernel_entries: u64,
    /// Requests and cancels that wait for room in the submission queue.
    pub overflow_depth: u64,
    /// The most that waited at once.
    pub overflow_high_water: u64,
    /// Times that one had to wait; raise `submission_entries` if this grows.
    pub overflows: u64,
    /// Times that the kernel took nothing for the moment.
    pub kernel_refusals: u64,
    /// Times that completions did not fit the completion queue, and were kept in the kernel until they did;
    /// raise `submission_entries` if this grows.
    pub completion_overflows: u64,
}

/// The stacks of one class.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct StackStats {
    /// The class.
    pub class: StackClass,
    /// Stacks in use.
    pub in_use: usize,
    /// The most that were in use at once.
    pub high_water: usize,
    /// The stacks there are.
    pub count: usize,
    /// Fibers that wait for one, unstarted.
    pub waiting: usize,
}

/// What the reactor has done so far, and what of its limits is in use.
///
/// Costs a few hundred nanoseconds, and allocates nothing.
///
/// # Panics
/// Outside of a fiber.
///
/// # Example
/// ```
/// # fn main() -> Result<(), flux::RunError> {
/// flux::Config::new().run(|| {
///     let stats = flux::stats();
///     println!("{} {:?}", stats.engine, stats.engine_refused);
///     assert_eq!(stats.fibers_live, 1);
/// })
/// # }
/// ```
#[track_caller]
#[must_use]
pub fn stats() -> Stats {
    current::with(|reactor| {
        let engine = reactor.engine.borrow();
        let counters = engine.counters();
        let arena = &reactor.sched.arena;
        let slabs = reactor.slabs.borrow();
        Stats {
            engine: engine.name(),
            engine_refused: reactor.refused,
            clock: reactor.clock.source().name(),
            turns: reactor.turns.get(),
            switches: reactor.switches.get(),
            fibers_live: reactor.sched.live() as usize,
            fibers_in_use: arena.in_use() as usize,
            fibers_high_water: arena.high_water() as usize,
            fibers_max: arena.len(),
            stacks: StackClass::ALL.map(|class| {
                let slab = &slabs[class.index()];
                StackStats {
                    class,
                    in_use: slab.in_use(),
                    high_water: slab.high_water(),
                    count: slab.count(),
                    waiting: reactor.sched.waiting_for_stack(class) as usize,
                }
            }),
            deadlines: reactor.sched.deadlines(),
            timers_in_use: reactor.callbacks.in_use() as usize,
            timers_high_water: reactor.callbacks.high_water() as usize,
            timers_max: reactor.callbacks.len(),
            timers_panicked: reactor.callbacks.panics(),
            #[cfg(unix)]
            feeds_in_use: reactor.feeds.in_use(),
            #[cfg(unix)]
            feeds_high_water: reactor.feeds.high_water(),
            #[cfg(unix)]
            feeds_max: reactor.feeds.count(),
            #[cfg(unix)]
            feeds_by_kernel: reactor.feeds_by_kernel,
            ops_in_flight: engine.in_flight(),
            ops_completed: counters.completions,
            kernel_entries: counters.enters,
            overflow_depth: counters.overflow_depth,
            overflow_high_water: counters.overflow_high_water,
            overflows: counters.overflows,
            kernel_refusals: counters.refusals,
            completion_overflows: counters.completion_overflows,
        }
    })
}
