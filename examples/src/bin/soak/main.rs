//! Soak: everything that fibers can do to each other, at once and at random, while all that could leak is
//! counted.
//!
//! ```text
//! cargo run --release --bin soak -- --seconds 60 --engine epoll
//! ```
//!
//! Drivers (a [`talk`] with a server over TCP or within this machine, [`feeds`], [`datagrams`], and the other [`acts`]) run beside each other for an interval; then they
//! end, and a [`census`] must find what it found after the first interval, to the last descriptor. The
//! same seed makes the same choices, though not the same interleaving: that is the kernel's.
//!
//! A thread of its own, the [`watchdog`], ends a run that hangs. The exit status is 0 if nothing drifted,
//! 1 if something did, and 2 if the request makes no sense or the reactor cannot be made.

mod acts;
mod cancels;
mod census;
mod counting;
mod datagrams;
mod feeds;
mod options;
mod panics;
mod serve;
mod stream;
mod talk;
mod tally;
mod watchdog;
mod world;

use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flux::time::{Instant, sleep};
use flux::{Config, Fiber, StackClass};
use flux_examples::random::Random;
use options::{Options, Plant, Request};
use signal_hook::consts::{SIGINT, SIGTERM};
use watchdog::Watchdog;
use world::{Act, World};

/// The stacks of each class: enough for all drivers and what they wait for, and few enough to run out now
/// and then, when what is spawned waits for one.
const STACKS: [(StackClass, usize); 3] = [
    (StackClass::Small, 128),
    (StackClass::Medium, 40),
    (StackClass::Large, 10),
];
/// Control blocks: enough for the same, and few enough that a burst of spawns is refused now and then.
const FIBERS: usize = 212;
/// Feeds: fewer than there are drivers who want one.
const FEEDS: usize = 9;
/// The length of the submission queue: short enough that requests wait for room in it now and then.
const SUBMISSIONS: u32 = 16;
/// How often the watchdog is told that the core is alive, and Ctrl-C looked for.
const TICK: Duration = Duration::from_millis(20);
/// How long what the drivers left running may take to end.
const SETTLING: Duration = Duration::from_secs(10);

const WRONG: u8 = 1;
const REFUSED: u8 = 2;

/// What runs beside each other: a name, how many of it, on which stacks, and what each does over and over.
const DRIVERS: [Driver; 10] = [
    Driver("talk", 24, StackClass::Small, talk::over_tcp),
    Driver("talk at a path", 8, StackClass::Small, talk::over_unix),
    Driver("feeds", 12, StackClass::Small, feeds::act),
    Driver("datagrams", 8, StackClass::Small, datagrams::act),
    Driver("cancels", world::PRIVATE, StackClass::Medium, cancels::act),
    Driver(
        "timeouts",
        world::PRIVATE,
        StackClass::Medium,
        acts::timeouts,
    ),
    Driver("spawns", 3, StackClass::Medium, acts::spawns),
    Driver("scopes", 3, StackClass::Medium, acts::scopes),
    Driver(
        "channels",
        world::PRIVATE,
        StackClass::Large,
        acts::channels,
    ),
    Driver("panics", 3, StackClass::Medium, panics::act),
];

struct Driver(
    &'static str,
    usize,
    StackClass,
    fn(&Rc<World>, &mut Random, usize) -> Act,
);

fn main() -> ExitCode {
    let options = match options::parse(std::env::args_os().skip(1)) {
        Ok(Request::Run(options)) => options,
        Ok(Request::Help) => {
            print!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => return end(REFUSED, &error.to_string()),
    };
    let mut config = Config::new()
        .engine(options.engine)
        .fibers(FIBERS)
        .feeds(FEEDS)
        .submission_entries(SUBMISSIONS);
    for (class, count) in STACKS {
        config = config.stacks(class, count);
    }
    let reactor = match config.init() {
        Ok(reactor) => reactor,
        Err(error) => return end(REFUSED, &error.to_string()),
    };
    match reactor.run(move || soak(&options)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(sentence)) => end(WRONG, &sentence),
        Err(error) => end(WRONG, &error.to_string()),
    }
}

fn end(status: u8, sentence: &str) -> ExitCode {
    eprintln!("soak: {sentence}");
    ExitCode::from(status)
}

/// Runs interval after interval, and compares the census of each with that of the first.
fn soak(options: &Options) -> Act {
    let interrupted = catch_signals()?;
    panics::silence();
    println!(
        "seed {}, engine {}, {} s in intervals of {} s",
        options.seed,
        flux::stats().engine,
        options.time.as_secs_f64(),
        options.interval().as_secs_f64()
    );
    if let Some(why) = flux::stats().engine_refused {
        println!("{why}");
    }
    let world = Rc::new(World::new().map_err(|error| format!("cannot set up: {error}"))?);
    let watchdog = Watchdog::start(options.seed)?;
    let mut random = Random::new(options.seed);
    touch_every_stack()?;

    let began = Instant::now();
    let (mut first, mut compared) = (None, 0);
    let outcome = loop {
        let left = options.time.saturating_sub(began.elapsed());
        if interrupted.load(Ordering::Relaxed) || (left.is_zero() && compared > 0) {
            break Ok(());
        }
        // However slow a machine is, one interval is compared.
        let time = match compared {
            0 => options.interval(),
            _ => left.min(options.interval()),
        };
        let made = match interval(&world, &watchdog, &interrupted, &mut random, time) {
            Ok(made) => made,
            Err(sentence) => break Err(sentence),
        };
        plant(options.plant, first.is_some());
        let now = census::take(&world);
        census::line(began.elapsed(), &world, &now, made);
        let Some(first) = &first else {
            // The first interval warms up: what is made once has been made.
            first = Some(now);
            continue;
        };
        if let Some(drift) = census::drift(first, &now, made) {
            break Err(drift);
        }
        compared += 1;
    };
    watchdog.stop();
    world.tally.report();
    census::report();
    outcome.map_err(|sentence| format!("{sentence} (seed {})", options.seed))?;
    println!(
        "{}",
        match compared {
            0 => "ended before a second interval was over: nothing was compared",
            _ => "nothing drifted",
        }
    );
    Ok(())
}

/// One interval of everything at once, until all of it has ended; the allocations that it made.
fn interval(
    world: &Rc<World>,
    watchdog: &Watchdog,
    interrupted: &AtomicBool,
    random: &mut Random,
    time: Duration,
) -> Result<u64, String> {
    world.begin(Instant::now() + time);
    watchdog.expect_end_in(time);
    let before = counting::made();
    flux::scope(|scope| {
        let servers: [_; world::LISTENERS] = std::array::from_fn(|number| {
            let body = move || serve::accept(world, number);
            scope.spawn_fiber(Fiber::new(StackClass::Small, "accept", body))
        });
        let datagram_servers: [_; world::DATAGRAM_SERVERS] = std::array::from_fn(|number| {
            let body = move || datagrams::serve(world, number);
            scope.spawn_fiber(Fiber::new(StackClass::Small, "datagrams", body))
        });
        flux::scope(|drivers| {
            for Driver(name, count, class, act) in DRIVERS {
                for which in 0..count {
                    let mut random = Random::new(random.next_u64());
                    let body = move || {
                        while !world.over() {
                            if let Err(sentence) = act(world, &mut random, which) {
                                world.fail(format!("{name}: {sentence}"));
                            }
                        }
                    };
                    drivers.spawn_fiber(Fiber::new(class, name, body));
                }
            }
            while !world.over() {
                watchdog.alive();
                if interrupted.load(Ordering::Relaxed) {
                    world.begin(Instant::now());
                }
                if sleep(TICK).is_err() {
                    world.fail("the main fiber's sleep was ended early".into());
                }
            }
        });
        for server in servers.into_iter().chain(datagram_servers) {
            server.cancel();
            if let Err(error) = server.join() {
                world.fail(format!("a server: {error}"));
            }
        }
    });
    world.failure().map_or(Ok(()), Err)?;
    settle(world)?;
    watchdog.alive();
    // Panics are std's machinery, which allocates; each counts its own.
    Ok(counting::made() - before - world.excused.take())
}

/// Waits for the fibers that nobody joins: one that ended its conversation a moment ago, say.
fn settle(world: &World) -> Act {
    let began = Instant::now();
    while flux::stats().fibers_live > 1 {
        if began.elapsed() > SETTLING {
            let left = flux::stats().fibers_live - 1;
            return Err(format!(
                "{left} fibers run on, {SETTLING:?} after what they were for had ended"
            ));
        }
        sleep(Duration::from_millis(1)).map_err(|stopped| stopped.to_string())?;
    }
    // What the last of them did may have gone wrong too.
    world.failure().map_or(Ok(()), Err)
}

/// Runs fibers on all stacks at once, so that each has touched what it will touch: memory that is used
/// for the first time is no drift.
fn touch_every_stack() -> Act {
    for (class, count) in STACKS {
        // The main fiber has a large one already.
        let free = count - usize::from(class == StackClass::Large);
        let handles: Vec<_> = (0..free)
            .map(|_| {
                flux::spawn(Fiber::new(class, "warm-up", || {
                    let deep = std::hint::black_box([1_u8; 16 * 1024]);
                    flux::yield_now().map(|()| deep[deep.len() / 2])
                }))
            })
            .collect();
        for handle in handles {
            handle
                .join()
                .map_err(|error| format!("the warm-up failed: {error}"))?
                .map_err(|stopped| format!("the warm-up was stopped: {stopped}"))?;
        }
    }
    Ok(())
}

/// Leaks on purpose, if that was asked for: an alarm counts once it has been heard.
fn plant(plant: Option<Plant>, warm: bool) {
    if !warm {
        return;
    }
    match plant {
        None => {}
        Some(Plant::Descriptor) => {
            std::mem::forget(std::fs::File::open("/dev/null"));
        }
        Some(Plant::Fiber) => {
            std::mem::forget(flux::spawn(|| ()));
        }
        Some(Plant::Memory) => {
            std::mem::forget(std::hint::black_box(Box::new(1_u64)));
        }
        Some(Plant::Hang) => loop {
            std::hint::spin_loop();
        },
    }
}

/// The first Ctrl-C asks for the end, the second one is it.
fn catch_signals() -> Result<Arc<AtomicBool>, String> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
            .map_err(|error| format!("cannot catch signal {signal}: {error}"))?;
    }
    Ok(stop)
}
