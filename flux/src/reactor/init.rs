//! Making a reactor: the environment, the checks, the core, the memory, the engine, in that order.
//!
//! Whatever fails, nothing is left half-started: the thread runs where it ran, and another try may follow.

use std::cell::{Cell, RefCell};
use std::io;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::callbacks::Callbacks;
use crate::clock::Clock;
use crate::config::{Config, Core, EventEngine, StackClass};
use crate::engine::Engine;
use crate::error::{InitError, RunError};
use crate::reactor::Reactor;
use crate::reactor::current::{self, Claim};
use crate::reactor::idle::Idling;
use crate::reactor::overflow;
use crate::sched::Sched;
use crate::stack::Slab;
use crate::sys::signal::FaultGuard;
use crate::sys::{affinity, memory};

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
        config.check()?;
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

/// Refuses stacks that the machine has no memory for: it would kill the process while it backs them.
fn fits(config: &Config) -> Result<(), InitError> {
    let backed = config.stacks.iter().map(|pool| {
        let bytes = pool.bytes.min(config.prefault) as u64;
        bytes.saturating_mul(pool.count as u64)
    });
    let wanted = backed.fold(0, u64::saturating_add);
    match memory::available() {
        Some(available) if wanted > available => {
            let [small, medium, large] = config.stacks.map(|pool| pool.count);
            let mib = |bytes: u64| bytes.div_ceil(1 << 20);
            Err(InitError::Memory {
                what: format!(
                    "{small} small, {medium} medium and {large} large stacks, of which {} MiB are to be \
                     backed at init",
                    mib(wanted)
                ),
                error: io::Error::new(
                    io::ErrorKind::OutOfMemory,
                    format!(
                        "{} MiB are available; lower `stacks` (or `FLUX_STACKS`), or `prefault` in `Config`",
                        mib(available)
                    ),
                ),
            })
        }
        _ => Ok(()),
    }
}

fn make(config: Config, pinned: Pinned, claim: Claim) -> Result<Reactor, InitError> {
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
    let (engine, refused) = Engine::new(&config)?;
    match &refused {
        None => log::info!("engine: {}", engine.name()),
        Some(refused) => log::info!("engine: {}; {refused}", engine.name()),
    }
    Ok(Reactor {
        sched: Sched::new(config.fibers, config.timers),
        callbacks: Callbacks::new(config.timers),
        engine: RefCell::new(engine),
        // Kept for as long as the process: whoever asks gets it without a copy.
        refused: refused.map(|error| &*error.to_string().leak()),
        slabs: RefCell::new(slabs),
        idling: Idling::new(config.idle),
        config,
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

/// The calling thread on its core, until this is dropped: then it may run where it could before.
pub(super) struct Pinned {
    cores_before: Vec<usize>,
}

impl Pinned {
    fn new(core: Core, variable: Option<&'static str>) -> Result<Self, InitError> {
        let allowed = affinity::allowed().map_err(InitError::Pin)?;
        CORES_BEFORE.get_or_init(|| allowed.clone());
        let core = match core {
            Core::None => None,
            Core::Number(core) if allowed.contains(&core) => Some(core),
            Core::Number(core) => {
                return Err(InitError::Core {
                    core,
                    allowed,
                    variable,
                });
            }
            Core::Auto => affinity::isolated()
                .into_iter()
                .find(|core| allowed.contains(core))
                .or_else(affinity::current),
        };
        if let Some(core) = core {
            pin_reactor(core)?;
        }
        Ok(Self {
            cores_before: allowed,
        })
    }
}

impl Pinned {
    /// Lets the thread run where it could before, while what is left of its reactor stays in memory.
    pub(super) fn give_up(&self) {
        // It was allowed there before; should the system have taken those cores away meanwhile, the
        // thread stays where it is.
        let _unchanged = affinity::pin(&self.cores_before);
        REACTOR_CORE.store(usize::MAX, Ordering::Relaxed);
    }
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
    current::with(|_| {
        let allowed = cores_before()?;
        if !allowed.contains(&core) {
            return Err(InitError::Core {
                core,
                allowed,
                variable: None,
            });
        }
        pin_reactor(core)
    })
}

/// Pins the calling thread, and remembers the core as the reactor's.
fn pin_reactor(core: usize) -> Result<(), InitError> {
    affinity::pin(&[core]).map_err(InitError::Pin)?;
    REACTOR_CORE.store(core, Ordering::Relaxed);
    Ok(())
}

/// Lets the calling thread run on every core that the process may use, but for the reactor's.
///
/// A thread inherits the core of the thread that starts it: one that a fiber starts shares the reactor's
/// core, and slows it down, until it has called this. Where there is one core alone, it stays there.
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
