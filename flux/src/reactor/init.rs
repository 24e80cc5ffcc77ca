//! Making a reactor: the environment, the checks, the core, the memory, the engine, and what of the machine's
//! favours was asked for, in that order.
//!
//! Whatever fails, nothing is left half-started: the thread runs where it ran, and another try may follow.

use std::cell::{Cell, RefCell};
use std::io;
use std::marker::PhantomData;
use std::panic::Location;
#[cfg(unix)]
use std::rc::Rc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::budget;
use crate::callbacks::Callbacks;
use crate::clock::Clock;
use crate::config::{Config, Core, EventEngine, StackClass};
use crate::engine::Engine;
use crate::error::{InitError, RunError};
#[cfg(unix)]
use crate::feeds::Feeds;
use crate::reactor::Reactor;
use crate::reactor::current::{self, Claim};
use crate::reactor::idle::Idling;
use crate::reactor::kernel_timers::KernelTimers;
use crate::reactor::overflow;
use crate::sched::Sched;
use crate::sched::bounds::Bounds;
use crate::stack::Slab;
use crate::sys::limits::{self, Limit};
use crate::sys::signal::FaultGuard;
use crate::sys::{affinity, memory, realtime, resident, say};

/// The cores that this process could use before a reactor pinned its thread.
static CORES_BEFORE: OnceLock<Vec<usize>> = OnceLock::new();
/// The core that the reactor's thread is pinned to; `usize::MAX` while it is not.
static REACTOR_CORE: AtomicUsize = AtomicUsize::new(usize::MAX);

impl Config {
    /// Makes the reactor of this process on the calling thread, and pins that.
    ///
    /// # Errors
    /// [`InitError`], which says in one sentence what is wrong and what to do; above all
    /// [`InitError::AlreadyRunning`] when there is a reactor, with the place where it was made.
    #[track_caller]
    pub fn init(self) -> Result<Reactor, InitError> {
        let claim = Claim::take(Location::caller())?;
        let config = self.with_environment(|variable| {
            std::env::var_os(variable).map(|value| value.to_string_lossy().into_owned())
        })?;
        let config = budget::settle(config, budget::all())?;
        config.check()?;
        if config.report {
            say(format_args!("{}", budget::table(&config, budget::all())));
        }
        let pinned = Pinned::new(config.core, config.core_variable)?;
        make(config, pinned, claim)
    }

    /// Makes the reactor of this process and runs `main` as its main fiber: see [`Reactor::run`].
    ///
    /// # Errors
    /// What [`init`](Self::init) and [`Reactor::run`] say.
    ///
    /// # Panics
    /// With what `main` panicked with.
    #[track_caller]
    pub fn run<T>(self, main: impl FnOnce() -> T + 'static) -> Result<T, RunError> {
        self.init()?.run(main)
    }
}

/// Makes the reactor of this process with the defaults: see [`Config::init`].
///
/// `flux::init!(..)`, the macro, takes the keys of `#[flux::main]`, and makes a second one in the program
/// an error while building.
///
/// # Errors
/// What [`Config::init`] says.
#[track_caller]
pub fn init(engine: EventEngine) -> Result<Reactor, InitError> {
    Config::new().engine(engine).init()
}

/// Refuses stacks and feeds that the machine has no memory for: it would kill the process while it backs them.
fn fits(config: &Config) -> Result<(), InitError> {
    let backed = config.stacks.iter().map(|pool| {
        let bytes = pool.bytes.min(config.prefault) as u64;
        bytes.saturating_mul(pool.count as u64)
    });
    let feeds = (config.feeds as u64).saturating_mul(config.feed_buffer as u64);
    let wanted = backed.fold(feeds, u64::saturating_add);
    match memory::available() {
        Some(available) if wanted > available => {
            let [small, medium, large] = config.stacks.map(|pool| pool.count);
            let mib = |bytes: u64| bytes.div_ceil(1 << 20);
            Err(InitError::Memory {
                what: format!(
                    "{small} small, {medium} medium and {large} large stacks and {} feeds, of which {} MiB \
                     are to be backed at init",
                    config.feeds,
                    mib(wanted)
                ),
                error: io::Error::new(
                    io::ErrorKind::OutOfMemory,
                    format!(
                        "{} MiB are available; lower `stacks` (or `FLUX_STACKS`), `feeds` (or `FLUX_FEEDS`), or \
                         `prefault` in `Config`",
                        mib(available)
                    ),
                ),
            })
        }
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn no_memory_for_feeds(config: &Config, error: io::Error) -> InitError {
    InitError::Memory {
        what: format!(
            "{} feeds of {} bytes (`feeds` and `feed_buffer`)",
            config.feeds, config.feed_buffer
        ),
        error,
    }
}

fn make(config: Config, mut pinned: Pinned, claim: Claim) -> Result<Reactor, InitError> {
    fits(&config)?;
    let slab = |class: StackClass| {
        let pool = config.stacks[class.index()];
        Slab::new(class.index(), pool.count, pool.bytes, config.prefault).map_err(|error| {
            InitError::Memory {
                what: format!("{} {class} stacks of {} bytes", pool.count, pool.bytes),
                error,
            }
        })
    };
    let [small, medium, large] = StackClass::ALL;
    let slabs = [slab(small)?, slab(medium)?, slab(large)?];
    #[cfg_attr(not(unix), allow(unused_mut, reason = "has no feeds there"))]
    let (mut engine, refused) = Engine::new(&config)?;
    // Behind the engine, which says more of a process without descriptors.
    #[cfg(unix)]
    let feeds = Feeds::new(config.feeds, config.feed_buffer)
        .map_err(|error| no_memory_for_feeds(&config, error))?;
    #[cfg(unix)]
    let feeds_by_kernel = engine
        .take_feeds(config.feeds)
        .map_err(|error| no_memory_for_feeds(&config, error))?;
    match &refused {
        None => log::info!("engine: {}", engine.name()),
        Some(refused) => log::info!("engine: {}; {refused}", engine.name()),
    }
    let mut sched = Sched::new(config.fibers, config.timers);
    sched.bounds = Bounds::new(budget::all(), config.fibers);
    let callbacks = Callbacks::new(config.timers);
    let kernel_timers = KernelTimers::new(config.timers);
    // Last, so that whatever else fails does so without them. Stacks come before the lock: a page that is
    // locked takes no guard but the dear kind.
    if config.lock_memory {
        pinned.lock_memory()?;
    }
    if let Some(priority) = config.realtime {
        pinned.go_first(priority)?;
    }
    Ok(Reactor {
        sched,
        callbacks,
        kernel_timers,
        engine: RefCell::new(engine),
        #[cfg(unix)]
        feeds: Rc::new(feeds),
        #[cfg(unix)]
        feeds_by_kernel,
        // Kept for as long as the process: whoever asks gets it without a copy.
        refused: refused.map(|error| &*error.to_string().leak()),
        slabs: RefCell::new(slabs),
        idling: Idling::new(config.idle),
        config,
        #[cfg(unix)]
        signals_wanted: [const { Cell::new(0) }; crate::sys::interrupt::SIGNALS],
        clock: Clock::new(),
        grace_ends_ns: Cell::new(None),
        turns: Cell::new(0),
        switches: Cell::new(0),
        _fault_guard: FaultGuard::install(overflow::on_fault).ok(),
        pinned,
        _claim: claim,
        _not_send: PhantomData,
    })
}

/// The calling thread on its core, and what else it was granted, until this is dropped: then all is as before.
pub(super) struct Pinned {
    cores_before: Vec<usize>,
    policy_before: Option<realtime::Policy>,
    locked: Option<resident::Locked>,
}

impl Pinned {
    fn new(core: Core, variable: Option<&'static str>) -> Result<Self, InitError> {
        let allowed = affinity::allowed().map_err(InitError::Pin)?;
        CORES_BEFORE.get_or_init(|| allowed.clone());
        match core {
            Core::None => {}
            Core::Number(core) => pin_reactor(core, &allowed, variable)?,
            Core::Auto => {
                let core = automatic(&affinity::isolated(), &allowed).or_else(affinity::current);
                if let Some(core) = core {
                    pin_reactor(core, &allowed, None)?;
                }
            }
        }
        Ok(Self {
            cores_before: allowed,
            policy_before: None,
            locked: None,
        })
    }

    /// Keeps the memory of the process where it is.
    fn lock_memory(&mut self) -> Result<(), InitError> {
        let locked = resident::lock().map_err(|error| InitError::LockMemory {
            remedy: match error.kind() {
                io::ErrorKind::Unsupported => "leave `lock_memory` out".into(),
                _ => format!(
                    "all that is mapped counts, and the limit is {} (`ulimit -l`): set it to `unlimited`, by \
                     `LimitMEMLOCK=infinity` in a systemd unit or `memlock` in limits.conf, or grant CAP_IPC_LOCK",
                    limits::in_words(Limit::LockedMemory)
                ),
            },
            error,
        })?;
        self.locked = Some(locked);
        Ok(())
    }

    /// Puts the thread before all ordinary ones.
    fn go_first(&mut self, priority: u8) -> Result<(), InitError> {
        let before = realtime::enter(priority).map_err(|error| InitError::Realtime {
            priority,
            #[cfg(target_os = "linux")]
            remedy: priority_remedy(priority, limits::soft_and_hard(Limit::Priority).0),
            #[cfg(not(target_os = "linux"))]
            remedy: "leave `realtime` out".into(),
            error,
        })?;
        self.policy_before = Some(before);
        Ok(())
    }

    /// Lets the thread run where and as it could before, while what is left of its reactor stays in memory.
    pub(super) fn give_up(&self) {
        if let Some(before) = self.policy_before {
            // Going back to what one was is allowed to everybody.
            let _unchanged = realtime::restore(before);
        }
        if let Some(locked) = self.locked {
            resident::unlock(locked);
        }
        // It was allowed there before; should the system have taken those cores away meanwhile, the
        // thread stays where it is.
        let _unchanged = affinity::pin(&self.cores_before);
        REACTOR_CORE.store(usize::MAX, Ordering::Relaxed);
    }
}

/// What to do where a priority is refused to a process whose limit is this one.
#[cfg(target_os = "linux")]
fn priority_remedy(priority: u8, limit: Option<u64>) -> String {
    match limit {
        Some(limit) if limit < u64::from(priority) => format!(
            "this process may take up to {limit} (`ulimit -r`): raise that, by `LimitRTPRIO={priority}` in a \
             systemd unit or `rtprio` in limits.conf, or grant CAP_SYS_NICE"
        ),
        _ => "the limit (`ulimit -r`) would allow it, and a seccomp filter, or a control group without \
              real-time time (`cpu.rt_runtime_us`), does not: ask whoever has set that up"
            .into(),
    }
}

/// The core that "auto" takes before all others: one that the system keeps free of other work.
fn automatic(isolated: &[usize], allowed: &[usize]) -> Option<usize> {
    let mut free = isolated.iter().copied();
    free.find(|core| allowed.contains(core))
}

/// Whether a core may be asked for by its number. An isolated one is in nobody's mask until somebody asks.
fn may_use(core: usize, allowed: &[usize], isolated: &[usize]) -> bool {
    allowed.contains(&core) || isolated.contains(&core)
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// Moves the reactor to another core, as a bot's own `--core` flag wants; the calling thread is the
/// reactor's.
///
/// # Errors
/// - [`InitError::Core`]: the core is not one that this process may use; the sentence lists those.
/// - [`InitError::Pin`]: the kernel refused.
///
/// # Panics
/// Outside of a fiber.
///
/// # Example
/// ```
/// # fn main() -> Result<(), flux::RunError> {
/// flux::Config::new().run(|| {
///     let error = flux::pin_to_core(9999).unwrap_err();
///     assert!(error.to_string().starts_with("core 9999 is not one that this process may use"));
/// })
/// # }
/// ```
#[track_caller]
pub fn pin_to_core(core: usize) -> Result<(), InitError> {
    current::with(|_| pin_reactor(core, &cores_before()?, None))
}

/// Pins the calling thread, and remembers the core as the reactor's.
fn pin_reactor(
    core: usize,
    allowed: &[usize],
    variable: Option<&'static str>,
) -> Result<(), InitError> {
    let refused = || InitError::Core {
        core,
        allowed: allowed.to_vec(),
        variable,
    };
    if !may_use(core, allowed, &affinity::isolated()) {
        return Err(refused());
    }
    affinity::pin(&[core]).map_err(|error| match error.kind() {
        // Isolated, and kept from this process by its control group.
        io::ErrorKind::InvalidInput => refused(),
        _ => InitError::Pin(error),
    })?;
    REACTOR_CORE.store(core, Ordering::Relaxed);
    Ok(())
}

/// Lets the calling thread run on every core that the process may use, but for the reactor's.
///
/// A thread inherits the core of the thread that starts it: one that a fiber starts shares the reactor's
/// core, and slows it down, until it has called this. Where there is one core alone, it stays there. (On Windows a
/// thread inherits nothing, and runs on every core of the process, the reactor's too, until it has called this.)
///
/// # Errors
/// [`InitError::Pin`]: the kernel refused.
///
/// # Example
/// ```
/// # fn main() -> Result<(), flux::RunError> {
/// flux::Config::new().run(|| {
///     let logger = std::thread::spawn(|| {
///         flux::unpin_thread().expect("this is allowed");
///         // .. work that must not share the reactor's core ..
///     });
///     # logger.join().unwrap();
/// })
/// # }
/// ```
pub fn unpin_thread() -> Result<(), InitError> {
    let mut cores = cores_before()?;
    let reactors = REACTOR_CORE.load(Ordering::Relaxed);
    if cores.len() > 1 {
        cores.retain(|core| *core != reactors);
    }
    affinity::pin(&cores).map_err(InitError::Pin)
}

fn cores_before() -> Result<Vec<usize>, InitError> {
    match CORES_BEFORE.get() {
        Some(cores) => Ok(cores.clone()),
        None => affinity::allowed().map_err(InitError::Pin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_isolated_core_goes_before_all_others_if_it_is_in_the_mask() {
        assert_eq!(automatic(&[2, 3], &[0, 1, 2, 3]), Some(2));
        assert_eq!(automatic(&[2, 3], &[0, 1, 3]), Some(3));
        assert_eq!(automatic(&[2, 3], &[0, 1]), None);
        assert_eq!(automatic(&[], &[0, 1]), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_priority_that_is_refused_though_the_limit_allows_it_is_not_put_down_to_the_limit() {
        let below = priority_remedy(50, Some(49));
        assert!(below.contains("up to 49 (`ulimit -r`)"), "{below}");
        for limit in [Some(50), Some(99), None] {
            let other = priority_remedy(50, limit);
            assert!(other.contains("`cpu.rt_runtime_us`"), "{other}");
        }
    }

    #[test]
    fn an_isolated_core_may_be_asked_for_though_it_is_in_no_mask() {
        assert!(may_use(1, &[0, 1], &[]));
        assert!(may_use(3, &[0, 1], &[2, 3]));
        assert!(!may_use(4, &[0, 1], &[2, 3]));
    }
}
