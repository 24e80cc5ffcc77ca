//! A priority that is not permitted, memory that may not be locked: one sentence, and nothing half-started.

use flux::{Config, InitError};

use crate::common::config;
use crate::common::says;
use crate::{SYS_NICE, State, drop_capability, in_a_process_of_its_own, ordinary_user, root};

/// Expects that init refuses, leaves everything as it was, and works once it is asked for less.
#[track_caller]
fn refuses(config: &Config, is: fn(&InitError) -> bool, parts: &[&str]) {
    let before = State::now();
    for pinned in [flux::Core::None, flux::Core::Auto] {
        for _ in 0..3 {
            let error = config.clone().core(pinned).init().map(drop).unwrap_err();
            assert!(is(&error), "{error:?}");
            says(&error, parts);
            assert_eq!(State::now(), before);
        }
    }
    let works = crate::common::config().run(|| 7).unwrap();
    assert_eq!(works, 7);
    assert_eq!(State::now(), before);
}

fn of_priority(error: &InitError) -> bool {
    matches!(error, InitError::Realtime { .. }) && std::error::Error::source(error).is_some()
}

fn of_locking(error: &InitError) -> bool {
    matches!(error, InitError::LockMemory { .. }) && std::error::Error::source(error).is_some()
}

#[test]
fn a_priority_out_of_range_is_refused_with_the_range() {
    in_a_process_of_its_own(
        "refused::a_priority_out_of_range_is_refused_with_the_range",
        || {
            for priority in [0, 100, 255] {
                refuses(
                    &config().realtime(priority),
                    |error| matches!(error, InitError::Config(_)),
                    &[&format!(
                        "`realtime` is {priority}, but must be from 1 to 99"
                    )],
                );
            }
        },
    );
}

#[test]
fn a_user_who_may_take_no_priority_is_told_the_limit_and_how_to_raise_it() {
    in_a_process_of_its_own(
        "refused::a_user_who_may_take_no_priority_is_told_the_limit_and_how_to_raise_it",
        || {
            if ordinary_user(8 << 20, 0) {
                for priority in [1, 50, 99] {
                    refuses(
                        &config().realtime(priority),
                        of_priority,
                        &[
                            &format!("cannot run at the real-time priority {priority}: "),
                            "may take up to 0 (`ulimit -r`)",
                            &format!("`LimitRTPRIO={priority}`"),
                            "CAP_SYS_NICE",
                        ],
                    );
                }
            }
        },
    );
}

#[test]
fn a_user_who_may_lock_nothing_is_told_the_limit_and_how_to_raise_it() {
    in_a_process_of_its_own(
        "refused::a_user_who_may_lock_nothing_is_told_the_limit_and_how_to_raise_it",
        || {
            if ordinary_user(0, 0) {
                refuses(
                    &config().lock_memory(),
                    of_locking,
                    &[
                        "cannot lock the program's memory: ",
                        "the limit is 0 KiB (`ulimit -l`)",
                        "`LimitMEMLOCK=infinity`",
                        "CAP_IPC_LOCK",
                    ],
                );
            }
        },
    );
}

#[test]
fn a_user_who_may_lock_less_than_is_mapped_is_refused_before_anything_is_locked() {
    in_a_process_of_its_own(
        "refused::a_user_who_may_lock_less_than_is_mapped_is_refused_before_anything_is_locked",
        || {
            // The limit of most systems; the stacks of a reactor are 32 MiB.
            if ordinary_user(8 << 20, 0) {
                let config = config().engine(flux::EventEngine::Epoll).lock_memory();
                refuses(
                    &config,
                    of_locking,
                    &["the limit is 8192 KiB (`ulimit -l`)"],
                );
            }
        },
    );
}

#[test]
fn memory_that_was_locked_is_free_again_when_the_priority_is_refused() {
    in_a_process_of_its_own(
        "refused::memory_that_was_locked_is_free_again_when_the_priority_is_refused",
        || {
            if !root() {
                return;
            }
            if config().lock_memory().init().map(drop).is_err() {
                println!("SKIPPED: this root may not lock memory");
                return;
            }
            assert_eq!(State::now().locked_kib, 0);
            drop_capability(SYS_NICE);
            let config = config().lock_memory().realtime(1);
            refuses(&config, of_priority, &["`ulimit -r`"]);
        },
    );
}
