//! What was granted holds while the reactor runs, for its thread alone where it is the thread's, and is taken
//! back however the reactor ends.

#![allow(
    clippy::disallowed_methods,
    reason = "a thread beside the reactor is joined by the fiber that has nothing else to do"
)]

use std::fs;
use std::time::Duration;

use flux::time::sleep;
use flux::{Config, spawn, yield_now};

use crate::common::{config, status_kib};
use crate::{SYS_NICE, State, drop_capability, in_a_process_of_its_own, root};

const FIRST: i32 = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;

/// Whether this process gets what it asks for; a line that says so if not.
fn granted(config: &Config) -> bool {
    match config.clone().init() {
        Ok(_) => true,
        Err(error) => {
            println!("SKIPPED: {error}");
            false
        }
    }
}

#[test]
fn the_reactors_thread_goes_first_while_it_runs_and_those_that_it_starts_do_not() {
    in_a_process_of_its_own(
        "granted::the_reactors_thread_goes_first_while_it_runs_and_those_that_it_starts_do_not",
        || {
            let before = State::now();
            if !granted(&config().realtime(2)) {
                return;
            }
            assert_eq!(State::now(), before);
            let (inside, beside) = config()
                .realtime(2)
                .run(|| {
                    let beside = std::thread::spawn(State::now).join().unwrap();
                    (State::now(), beside)
                })
                .unwrap();
            assert_eq!((inside.policy, inside.priority), (FIRST, 2));
            assert_eq!((beside.policy, beside.priority), (libc::SCHED_OTHER, 0));
            assert_eq!(State::now(), before);
        },
    );
}

#[test]
fn all_is_as_before_however_the_reactor_ends() {
    in_a_process_of_its_own("granted::all_is_as_before_however_the_reactor_ends", || {
        let favoured = || Config::new().realtime(1).lock_memory();
        let before = State::now();
        if !granted(&favoured()) {
            return;
        }
        assert_eq!(State::now(), before);
        // It never runs.
        let reactor = favoured().init().unwrap();
        let between = State::now();
        assert_eq!(between.policy, FIRST);
        assert!(between.locked_kib > 0);
        drop(reactor);
        assert_eq!(State::now(), before);
        // Its main fiber panics.
        let outcome = std::panic::catch_unwind(|| favoured().run(|| panic!("main")));
        assert!(outcome.is_err());
        assert_eq!(State::now(), before);
        // A fiber outlasts it: what is left of the reactor stays in memory, and holds its descriptors.
        let descriptors = before.descriptors;
        let left = favoured().grace(Duration::from_millis(5)).run(|| {
            drop(spawn(|| flux::shielded(|| sleep(Duration::from_hours(1)))));
            yield_now().unwrap();
        });
        left.unwrap();
        let after = State {
            descriptors,
            ..State::now()
        };
        assert_eq!(after, before);
    });
}

#[test]
fn a_thread_that_may_go_first_no_more_goes_back_to_what_it_was() {
    in_a_process_of_its_own(
        "granted::a_thread_that_may_go_first_no_more_goes_back_to_what_it_was",
        || {
            if !root() || !granted(&config().realtime(3)) {
                return;
            }
            // As for a user whose limit allows the priority: all can be taken back but one flag, which means
            // nothing for an ordinary thread.
            config()
                .realtime(3)
                .run(|| drop_capability(SYS_NICE))
                .unwrap();
            let after = State::now();
            assert_eq!(after.policy & !libc::SCHED_RESET_ON_FORK, libc::SCHED_OTHER);
            assert_eq!(after.priority, 0);
        },
    );
}

#[test]
fn locked_memory_is_what_is_touched_and_the_code() {
    in_a_process_of_its_own(
        "granted::locked_memory_is_what_is_touched_and_the_code",
        || {
            if !granted(&config().lock_memory()) {
                return;
            }
            config()
                .lock_memory()
                .run(|| {
                    assert!(status_kib("VmLck") > 32 << 10, "the stacks are counted");
                    // And not backed: they have 32 MiB, of which a page or two each are used.
                    let resident = status_kib("VmRSS");
                    assert!(resident < 24 << 10, "{resident} KiB are resident");
                    let program = fs::read_link("/proc/self/exe").unwrap();
                    let maps = fs::read_to_string("/proc/self/smaps").unwrap();
                    let code = maps
                        .lines()
                        .skip_while(|line| {
                            !(line.contains(" r-xp ") && line.ends_with(program.to_str().unwrap()))
                        })
                        .skip(1);
                    let kib = |name: &str| -> u64 {
                        let line = code.clone().find_map(|line| line.strip_prefix(name));
                        let number = line.unwrap().trim().trim_end_matches("kB");
                        number.trim().parse().unwrap()
                    };
                    assert_eq!(kib("Rss:"), kib("Size:"), "all of the code is there");
                    // What comes later is locked as it is touched.
                    let before = status_kib("VmLck");
                    let books = vec![1_u8; 8 << 20];
                    assert!(status_kib("VmLck") >= before + (8 << 10));
                    assert_eq!(books[4096], 1);
                })
                .unwrap();
            assert_eq!(status_kib("VmLck"), 0);
        },
    );
}

#[test]
fn what_the_program_had_locked_itself_stays_locked() {
    in_a_process_of_its_own(
        "granted::what_the_program_had_locked_itself_stays_locked",
        || {
            if !granted(&config().lock_memory()) {
                return;
            }
            let page = vec![7_u8; 8192];
            // SAFETY: the memory is alive, and locking it changes nothing in it.
            let locked = unsafe { libc::mlock(page.as_ptr().cast(), page.len()) };
            assert_eq!(locked, 0);
            config().lock_memory().run(|| ()).unwrap();
            assert!(status_kib("VmLck") >= 8);
        },
    );
}
