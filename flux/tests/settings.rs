//! The environment, the core, and the limits: what an operator may say, and what a refusal leaves behind.
//!
//! Variables and cores belong to a whole process, so each case here has one of its own.

#![allow(
    unsafe_code,
    reason = "each changes what its own process may do: a variable, a limit of memory"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "a thread beside the reactor is joined by the fiber that has nothing else to do"
)]

mod common;

use std::io::{Read, Write};
use std::time::Duration;

use common::{allowed_cores, alone, config, descriptors, says, text};
use flux::net::{TcpListener, TcpStream};
use flux::time::{Instant, sleep};
use flux::{Config, Core, EventEngine, Idle, InitError, RunError, StackClass, spawn, yield_now};

const SHORT: Duration = Duration::from_millis(5);
/// What a sentence must say, for a process that is to be refused; parts are told apart by this mark.
const EXPECTED: &str = "FLUX_TEST_EXPECTED";
const AND: char = '|';

/// Runs `body` once for each environment, in a process of its own each time.
fn passes_in(test: &str, environments: &[&[(&str, &str)]], body: fn()) {
    for environment in environments {
        let Some(output) = alone(test, environment, body) else {
            return;
        };
        let text = text(&output);
        assert!(text.contains("1 passed"), "{environment:?}: {text}");
    }
}

/// Runs a reactor in a process with a variable set, and expects a sentence with these parts.
fn refused(test: &str, cases: &[(&'static str, &str, &str)]) {
    for (variable, value, expected) in cases {
        passes_in(
            test,
            &[&[(variable, value), (EXPECTED, expected)]],
            expects_a_refusal,
        );
        if in_a_process_of_its_own() {
            return;
        }
    }
}

fn in_a_process_of_its_own() -> bool {
    std::env::var_os(EXPECTED).is_some()
}

fn expects_a_refusal() {
    let cores_before = allowed_cores();
    let descriptors_before = descriptors();
    for _ in 0..3 {
        let error = Config::new().run(|| panic!("it started")).unwrap_err();
        let RunError::Init(error) = error else {
            panic!("{error}");
        };
        let expected = std::env::var(EXPECTED).unwrap();
        says(&error, &expected.split(AND).collect::<Vec<_>>());
    }
    let settings = |name: &str| name.starts_with("FLUX_") && !name.starts_with("FLUX_TEST_");
    for (variable, _) in std::env::vars().filter(|(name, _)| settings(name)) {
        // SAFETY: no other thread of this process reads variables: it runs this test alone.
        unsafe { std::env::remove_var(variable) };
    }
    // Nothing was left half-started.
    assert_eq!(allowed_cores(), cores_before);
    assert_eq!(descriptors(), descriptors_before);
    works(Config::new());
}

/// Runs a small program that sleeps, spawns, and talks to itself.
#[track_caller]
fn works(config: Config) {
    let outcome = config.run(|| {
        let start = Instant::now();
        sleep(SHORT).unwrap();
        assert!(start.elapsed() >= SHORT);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let echo = spawn(move || {
            let (stream, _) = listener.accept()?;
            std::io::copy(&mut &stream, &mut &stream)
        });
        let mut stream = TcpStream::connect(address).unwrap();
        let late = flux::timeout(SHORT, || stream.read(&mut [0; 8]));
        assert!(late.is_err());
        for _ in 0..10 {
            let mut buffer = [0; 5];
            stream.write_all(b"price").unwrap();
            stream.read_exact(&mut buffer).unwrap();
            assert_eq!(&buffer, b"price");
        }
        drop(stream);
        assert_eq!(echo.join().unwrap().unwrap(), 50);
        42
    });
    assert_eq!(outcome.unwrap(), 42);
}

/// The last of the cores that the calling thread may run on.
fn last_core() -> usize {
    let cores = allowed_cores();
    let last = cores.rsplit([',', '-']).next().unwrap_or_default();
    last.parse().expect("a list ends with a number")
}

// The environment.

#[test]
fn the_engine_is_the_one_that_the_environment_names() {
    passes_in(
        "the_engine_is_the_one_that_the_environment_names",
        &[
            &[("FLUX_ENGINE", "io_uring")],
            &[("FLUX_ENGINE", "auto")],
            &[("FLUX_ENGINE", " io_uring ")],
        ],
        || {
            // The attribute says one thing; the environment overrides it.
            let config = Config::new().engine(EventEngine::Epoll).core(Core::None);
            let engine = config.clone().run(|| flux::stats().engine);
            assert_eq!(engine.unwrap(), "io_uring");
            works(config);
        },
    );
}

// With the double of kqueue, this system has every engine.
#[cfg(not(flux_kqueue_compat))]
#[test]
fn an_engine_of_another_system_is_refused() {
    refused(
        "an_engine_of_another_system_is_refused",
        &[(
            "FLUX_ENGINE",
            "kqueue",
            "the `kqueue` engine cannot be used here|macOS",
        )],
    );
}

#[test]
fn a_value_that_cannot_be_read_is_refused_with_its_variable_and_what_it_may_be() {
    refused(
        "a_value_that_cannot_be_read_is_refused_with_its_variable_and_what_it_may_be",
        &[
            (
                "FLUX_ENGINE",
                "nonsense",
                "`FLUX_ENGINE` is `nonsense`|`auto`, `io_uring`, `epoll`, `kqueue`",
            ),
            ("FLUX_ENGINE", "", "`FLUX_ENGINE` is ``"),
            (
                "FLUX_CORE",
                "first",
                "`FLUX_CORE` is `first`|`auto` or `none`",
            ),
            ("FLUX_IDLE", "fast", "`FLUX_IDLE` is `fast`|`spin 50us`"),
            ("FLUX_IDLE", "spin 50", "`FLUX_IDLE` is `spin 50`"),
            (
                "FLUX_STACKS",
                "tiny=4",
                "`FLUX_STACKS` is `tiny=4`|small=512,medium=32",
            ),
            ("FLUX_STACKS", "small=-1", "`FLUX_STACKS` is `small=-1`"),
            (
                "FLUX_FIBERS",
                "many",
                "`FLUX_FIBERS` is `many`|a number of fibers",
            ),
            ("FLUX_GRACE", "soon", "`FLUX_GRACE` is `soon`|`500ms`"),
        ],
    );
}

#[test]
fn a_value_that_makes_no_sense_is_refused_with_its_limit() {
    refused(
        "a_value_that_makes_no_sense_is_refused_with_its_limit",
        &[
            ("FLUX_FIBERS", "0", "`fibers` is 0|from 1 (the main fiber)"),
            ("FLUX_FIBERS", "99999999999999999999", "`fibers`|16777216"),
            ("FLUX_STACKS", "large=0", "`stacks(large = 0)`|main fiber"),
            ("FLUX_STACKS", "small=99999999999999999999", "too many"),
        ],
    );
}

#[test]
fn a_core_that_may_not_be_used_is_refused_with_those_that_may() {
    let allowed = format!(
        "core 9999 (from `FLUX_CORE`) is not one|it may use {}",
        allowed_cores().replace(',', ", ")
    );
    refused(
        "a_core_that_may_not_be_used_is_refused_with_those_that_may",
        &[("FLUX_CORE", "9999", &allowed)],
    );
}

#[test]
fn limits_are_those_that_the_environment_sets() {
    passes_in(
        "limits_are_those_that_the_environment_sets",
        &[&[
            ("FLUX_STACKS", "small=5, large=2"),
            ("FLUX_FIBERS", "9"),
            ("FLUX_GRACE", "1ms"),
        ]],
        || {
            let config = Config::new()
                .core(Core::None)
                .stacks(StackClass::Small, 7)
                .stacks(StackClass::Medium, 3)
                .grace(Duration::from_hours(1));
            let stats = config
                .run(|| {
                    // Does not hear its cancel: the grace period of an hour would be waited for.
                    drop(spawn(|| flux::shielded(|| sleep(Duration::from_hours(1)))));
                    yield_now().unwrap();
                    flux::stats()
                })
                .unwrap();
            assert_eq!(stats.stacks.map(|class| class.count), [5, 3, 2]);
            assert_eq!(stats.fibers_max, 9);
        },
    );
}

// Idle.

#[test]
fn a_program_works_however_the_core_idles() {
    passes_in(
        "a_program_works_however_the_core_idles",
        &[
            &[("FLUX_IDLE", "block")],
            &[("FLUX_IDLE", "spin")],
            &[("FLUX_IDLE", "spin 50us")],
            &[("FLUX_IDLE", "spin 0us")],
        ],
        || {
            works(Config::new().core(Core::None));
            let turns = config().run(|| {
                let before = flux::stats().turns;
                sleep(4 * SHORT).unwrap();
                flux::stats().turns - before
            });
            let turns = turns.unwrap();
            match std::env::var("FLUX_IDLE").unwrap().as_str() {
                "spin" => assert!(turns > 100, "{turns} turns"),
                "block" => assert!(turns < 20, "{turns} turns"),
                _ => {}
            }
            // What cannot go on is told, also by a core that never sleeps.
            let error = config().run(|| {
                let (_sender, receiver) = flux::sync::channel::<u8>(1);
                receiver.recv().ok()
            });
            assert!(matches!(error, Err(RunError::Deadlock(_))));
            // And the grace period ends.
            let grace = config().grace(SHORT);
            let answer = grace.run(|| {
                drop(spawn(|| flux::shielded(|| sleep(Duration::from_hours(1)))));
                yield_now().unwrap();
                7
            });
            assert_eq!(answer.unwrap(), 7);
        },
    );
}

#[test]
fn a_core_that_spins_for_a_time_does_so_each_time_that_nothing_is_ready() {
    passes_in(
        "a_core_that_spins_for_a_time_does_so_each_time_that_nothing_is_ready",
        &[&[]],
        || {
            const SPIN: Duration = Duration::from_millis(100);
            let config = config().idle(Idle::SpinThenBlock(SPIN));
            let turns = config.run(|| {
                [(); 6].map(|()| {
                    let before = flux::stats().turns;
                    sleep(SPIN / 3).unwrap();
                    flux::stats().turns - before
                })
            });
            // A turn or two wait where the core sleeps, thousands go by where it spins.
            let turns = turns.unwrap();
            assert!(turns.iter().all(|turns| *turns > 20), "{turns:?}");
            // After its time it does sleep.
            let config = self::config().idle(Idle::SpinThenBlock(Duration::from_micros(50)));
            let turns = config.run(|| {
                sleep(Duration::from_millis(1)).unwrap();
                let before = flux::stats();
                sleep(SPIN).unwrap();
                let after = flux::stats();
                after.turns - before.turns
            });
            let turns = turns.unwrap();
            assert!(turns < 5_000, "{turns} turns do not fit 50 us");
        },
    );
}

// The core.

#[test]
fn the_reactors_thread_is_pinned_while_it_runs_and_free_again_after_it() {
    passes_in(
        "the_reactors_thread_is_pinned_while_it_runs_and_free_again_after_it",
        &[&[]],
        || {
            let before = allowed_cores();
            let last = last_core();
            let pinned = Config::new().core(Core::Number(last)).run(allowed_cores);
            assert_eq!(pinned.unwrap(), last.to_string());
            assert_eq!(allowed_cores(), before);
            let automatic = Config::new().run(allowed_cores).unwrap();
            assert!(automatic.parse::<usize>().is_ok(), "one core: {automatic}");
            assert_eq!(allowed_cores(), before);
            let unpinned = Config::new().core(Core::None).run(allowed_cores);
            assert_eq!(unpinned.unwrap(), before);
            // A reactor that never ran, one whose main fiber panicked, one that could not be made.
            drop(Config::new().core(Core::Number(last)).init().unwrap());
            assert_eq!(allowed_cores(), before);
            let config = Config::new().core(Core::Number(last));
            let outcome = std::panic::catch_unwind(|| config.run(|| panic!("main")));
            assert!(outcome.is_err());
            assert_eq!(allowed_cores(), before);
            let config = Config::new().core(Core::Number(last));
            let too_large = config
                .stack_size(flux::StackClass::Large, 1 << 30)
                .stacks(flux::StackClass::Large, 1 << 20);
            assert!(too_large.run(|| ()).is_err());
            assert_eq!(allowed_cores(), before);
        },
    );
}

#[test]
fn a_reactor_whose_fibers_outlast_it_gives_the_core_up_with_them() {
    passes_in(
        "a_reactor_whose_fibers_outlast_it_gives_the_core_up_with_them",
        &[&[]],
        || {
            let before = allowed_cores();
            let config = Config::new().core(Core::Number(last_core())).grace(SHORT);
            let outcome = config.run(|| {
                drop(spawn(|| flux::shielded(|| sleep(Duration::from_hours(1)))));
                yield_now().unwrap();
            });
            outcome.unwrap();
            assert_eq!(allowed_cores(), before);
        },
    );
}

#[test]
fn the_environment_moves_the_reactor_to_another_core() {
    let last = last_core().to_string();
    passes_in(
        "the_environment_moves_the_reactor_to_another_core",
        &[
            &[("FLUX_CORE", &last)],
            &[("FLUX_CORE", "none")],
            &[("FLUX_CORE", "auto")],
        ],
        || {
            let before = allowed_cores();
            let inside = Config::new()
                .core(Core::Number(9999))
                .run(allowed_cores)
                .unwrap();
            match std::env::var("FLUX_CORE").unwrap().as_str() {
                "none" => assert_eq!(inside, before),
                "auto" => assert!(inside.parse::<usize>().is_ok(), "{inside}"),
                number => assert_eq!(inside, number),
            }
            assert_eq!(allowed_cores(), before);
        },
    );
}

#[test]
fn a_fiber_moves_the_reactor_and_a_thread_leaves_its_core() {
    passes_in(
        "a_fiber_moves_the_reactor_and_a_thread_leaves_its_core",
        &[&[]],
        || {
            let before = allowed_cores();
            let last = last_core();
            let known = before.clone();
            let outcome = Config::new().core(Core::None).run(move || {
                let before = known;
                assert_eq!(allowed_cores(), before);
                flux::pin_to_core(last).unwrap();
                assert_eq!(allowed_cores(), last.to_string());
                let thread = std::thread::spawn(|| {
                    let inherited = allowed_cores();
                    flux::unpin_thread().unwrap();
                    (inherited, allowed_cores())
                });
                let (inherited, left) = thread.join().unwrap();
                assert_eq!(inherited, last.to_string(), "a thread inherits the core");
                let alone = before == last.to_string();
                assert_eq!(
                    left == inherited,
                    alone,
                    "and leaves it, if there is another"
                );
                assert_eq!(allowed_cores(), last.to_string(), "the reactor stays");
                let error = flux::pin_to_core(9999).unwrap_err();
                says(
                    &error,
                    &["core 9999", "it may use", &before.replace(',', ", ")],
                );
                assert_eq!(allowed_cores(), last.to_string());
                // The first core is one that could be used before, though not at this moment.
                let first = before.split([',', '-']).next().unwrap();
                flux::pin_to_core(first.parse().unwrap()).unwrap();
                assert_eq!(allowed_cores(), first);
            });
            outcome.unwrap();
            assert_eq!(allowed_cores(), before);
            // Of a thread that nobody pinned, nothing changes.
            flux::unpin_thread().unwrap();
            assert_eq!(allowed_cores(), before);
            assert!(std::panic::catch_unwind(|| flux::pin_to_core(last)).is_err());
        },
    );
}

// Limits in code.

#[test]
fn what_a_configuration_cannot_mean_is_refused_and_the_next_one_works() {
    passes_in(
        "what_a_configuration_cannot_mean_is_refused_and_the_next_one_works",
        &[&[]],
        || {
            let base = || Config::new().core(Core::None);
            let before = descriptors();
            for (config, part) in [
                (base().fibers(0), "`fibers` is 0"),
                (base().submission_entries(0), "`submission_entries` is 0"),
                (base().submission_entries(1 << 20), "`submission_entries`"),
                (base().stacks(StackClass::Large, 0), "`stacks(large = 0)`"),
                (base().stack_size(StackClass::Small, 1), "1 bytes"),
                (
                    base().stack_size(StackClass::Small, 1 << 19),
                    "must not fall",
                ),
                (base().prefault(1 << 30), "`prefault`"),
            ] {
                let error = config.init().map(drop).unwrap_err();
                assert!(matches!(error, InitError::Config(_)), "{error}");
                says(&error, &[part]);
                works(base());
            }
            assert_eq!(descriptors(), before);
            works(base().fibers(3).submission_entries(1));
        },
    );
}

#[test]
fn stacks_beyond_the_memory_are_refused_by_their_number_and_class() {
    passes_in(
        "stacks_beyond_the_memory_are_refused_by_their_number_and_class",
        &[&[]],
        || {
            let refused = |config: Config, what: &str| {
                let error = config.core(Core::None).init().map(drop).unwrap_err();
                assert!(matches!(error, InitError::Memory { .. }), "{error}");
                says(&error, &["cannot get memory for", what]);
                assert!(std::error::Error::source(&error).is_some());
                works(Config::new().core(Core::None));
            };
            // More than any address space holds.
            let config = Config::new()
                .stack_size(StackClass::Large, 1 << 30)
                .prefault(0)
                .stacks(StackClass::Large, 1 << 24);
            refused(config, "16777216 large stacks of 1073741824 bytes");
            // More than the machine could back: it would kill the process instead of refusing.
            let config = Config::new().stacks(StackClass::Small, 1 << 24);
            refused(config, "16777216 small, 32 medium and 8 large stacks");
            // More than this process may have.
            let limit = libc::rlimit {
                rlim_cur: 4 << 30,
                rlim_max: libc::RLIM_INFINITY,
            };
            // SAFETY: the limit is valid during the call, in a process that runs nothing but this.
            let limited = unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
            assert_eq!(limited, 0);
            let config = Config::new().stacks(StackClass::Medium, 100_000);
            refused(config, "100000 medium stacks of 262144 bytes");
        },
    );
}

#[test]
fn a_busy_poll_of_the_cards_is_io_urings_alone_and_of_a_time_that_makes_sense() {
    passes_in(
        "a_busy_poll_of_the_cards_is_io_urings_alone_and_of_a_time_that_makes_sense",
        &[&[]],
        || {
            let base = || Config::new().core(Core::None);
            for time in [0, 999, 1_500, 1_000_001_000].map(Duration::from_nanos) {
                let error = base().napi_busy_poll(time).init().map(drop).unwrap_err();
                says(&error, &["`napi_busy_poll`", "from 1 us to 1 s"]);
            }
            let asked = |engine| {
                base()
                    .engine(engine)
                    .napi_busy_poll(Duration::from_micros(50))
            };
            let error = asked(EventEngine::Epoll).init().map(drop).unwrap_err();
            says(
                &error,
                &["`napi_busy_poll`", "the engine is `epoll`", "leave it out"],
            );
            match asked(EventEngine::IoUring).init() {
                Ok(reactor) => reactor
                    .run(|| assert_eq!(flux::stats().engine, "io_uring"))
                    .unwrap(),
                // Before Linux 6.9, or where the ring itself is refused.
                Err(error) => println!("SKIPPED: {error}"),
            }
            works(base());
        },
    );
}
