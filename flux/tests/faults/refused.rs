//! Engines that a system refuses: `auto` takes the next one and says why, and a named one is refused in a
//! sentence.

use std::time::Duration;

use flux::time::{Instant, sleep};
use flux::{EventEngine, RunError};

use crate::bystander::Bystander;
use crate::common::config;
use crate::filter::{Refused, refuse};
use crate::{code, in_each, pair, refuses, unharmed, works};

const CODE: &str = "FLUX_TEST_CODE";

/// Expects that `auto` works on epoll and says the parts of the sentence with which io_uring is refused.
fn falls_back(parts: &[&str]) {
    let (engine, why) = works(config().engine(EventEngine::Auto));
    let why = why.expect("io_uring is refused, which is told");
    assert_eq!(engine, "epoll", "{why}");
    for part in parts {
        assert!(why.contains(part), "`{part}` is not in: {why}");
    }
    refuses(EventEngine::IoUring, parts);
    assert_eq!(works(config().engine(EventEngine::Epoll)).0, "epoll");
    // And nothing of that stays: once more.
    assert_eq!(works(config().engine(EventEngine::Auto)).0, "epoll");
}

#[test]
fn where_io_uring_cannot_be_set_up_auto_takes_epoll_and_says_why() {
    in_each(
        "refused::where_io_uring_cannot_be_set_up_auto_takes_epoll_and_says_why",
        &[
            &[(CODE, "EPERM")],
            &[(CODE, "EACCES")],
            &[(CODE, "ENOSYS")],
            &[(CODE, "ENOMEM")],
            &[(CODE, "EMFILE")],
        ],
        || {
            let (code, parts) = match std::env::var(CODE).expect("it is set").as_str() {
                "EPERM" => (libc::EPERM, ["a filter forbids it", "seccomp"]),
                "EACCES" => (libc::EACCES, ["a filter forbids it", "seccomp"]),
                "ENOSYS" => (libc::ENOSYS, ["this kernel has no io_uring", "seccomp"]),
                "ENOMEM" => (libc::ENOMEM, ["`ulimit -l`", "`submission_entries`"]),
                _ => (libc::EMFILE, ["no file descriptor", "`ulimit -n`"]),
            };
            if refuse(&[Refused::all(libc::SYS_io_uring_setup, code)]) {
                falls_back(&["the `io_uring` engine cannot be used here"]);
                falls_back(&parts);
            }
        },
    );
}

#[test]
fn where_a_ring_can_be_made_and_not_entered_auto_takes_epoll_and_says_why() {
    in_each(
        "refused::where_a_ring_can_be_made_and_not_entered_auto_takes_epoll_and_says_why",
        &[&[]],
        || {
            if refuse(&[Refused::all(libc::SYS_io_uring_enter, libc::EPERM)]) {
                falls_back(&["the `io_uring` engine cannot be used here", "seccomp"]);
            }
        },
    );
}

#[test]
fn where_no_buffer_ring_can_be_registered_auto_takes_epoll_and_says_why() {
    in_each(
        "refused::where_no_buffer_ring_can_be_registered_auto_takes_epoll_and_says_why",
        &[&[]],
        || {
            if refuse(&[Refused::all(libc::SYS_io_uring_register, libc::EPERM)]) {
                falls_back(&["no buffer ring can be registered", "io_uring_register"]);
            }
        },
    );
}

#[test]
fn where_every_engine_is_refused_so_is_the_reactor() {
    in_each(
        "refused::where_every_engine_is_refused_so_is_the_reactor",
        &[&[]],
        || {
            if refuse(&[
                Refused::all(libc::SYS_io_uring_setup, libc::EPERM),
                Refused::all(libc::SYS_epoll_create1, libc::EPERM),
            ]) {
                refuses(EventEngine::Epoll, &["engine cannot be used here"]);
                // Both reasons, since both have to be seen to.
                let both = [
                    "`epoll` engine cannot be used here",
                    "`io_uring` engine cannot be used here",
                ];
                refuses(EventEngine::Auto, &both);
                if !cfg!(flux_kqueue_compat) {
                    refuses(EventEngine::Kqueue, &["`kqueue`"]);
                }
            }
        },
    );
}

#[test]
fn a_kernel_without_nanoseconds_in_epoll_waits_in_milliseconds_and_never_too_short() {
    in_each(
        "refused::a_kernel_without_nanoseconds_in_epoll_waits_in_milliseconds_and_never_too_short",
        &[&[]],
        || {
            if refuse(&[Refused::all(libc::SYS_epoll_pwait2, libc::ENOSYS)]) {
                works(config().engine(EventEngine::Epoll));
                let naps = config().engine(EventEngine::Epoll).run(|| {
                    for time in [1, 999, 1001, 1999, 3500].map(Duration::from_micros) {
                        let began = Instant::now();
                        sleep(time).expect("nobody stops it");
                        assert!(began.elapsed() >= time, "{time:?}");
                    }
                });
                naps.expect("it works");
            }
        },
    );
}

#[test]
fn a_kernel_that_watches_no_more_descriptors_fails_the_call_that_would_wait() {
    in_each(
        "refused::a_kernel_that_watches_no_more_descriptors_fails_the_call_that_would_wait",
        &[&[("FLUX_ENGINE", "epoll")]],
        || {
            unharmed(|| {
                use std::io::{Read, Write};
                let (mut near, mut far) = pair();
                let echo = Bystander::start();
                echo.goes_on(1);
                if !refuse(&[Refused::all(libc::SYS_epoll_ctl, libc::ENOSPC)]) {
                    return echo.end();
                }
                for _ in 0..3 {
                    assert_eq!(code(far.read(&mut [0; 8])), Some(libc::ENOSPC));
                }
                // Who is watched goes on, and so does what need not wait.
                near.write_all(b"x").expect("the socket has room");
                echo.end();
            });
        },
    );
}

#[test]
fn a_read_that_need_not_wait_gets_its_bytes_where_nothing_more_can_be_watched() {
    in_each(
        "refused::a_read_that_need_not_wait_gets_its_bytes_where_nothing_more_can_be_watched",
        &[&[("FLUX_ENGINE", "epoll")]],
        || {
            unharmed(|| {
                use std::io::{Read, Write};
                let (mut near, mut far) = pair();
                if refuse(&[Refused::all(libc::SYS_epoll_ctl, libc::ENOSPC)]) {
                    // A read that failed to wait has not been told that anything is to come.
                    assert_eq!(code(far.read(&mut [0; 8])), Some(libc::ENOSPC));
                    near.write_all(b"x").expect("the socket has room");
                    assert_eq!(far.read(&mut [0; 8]).expect("a byte is there"), 1);
                }
            });
        },
    );
}

#[test]
fn a_ring_that_is_taken_away_while_the_program_runs_ends_it_with_a_sentence() {
    in_each(
        "refused::a_ring_that_is_taken_away_while_the_program_runs_ends_it_with_a_sentence",
        &[&[]],
        || {
            let outcome = config().engine(EventEngine::IoUring).run(|| {
                let (near, _far) = pair();
                drop(flux::spawn(move || {
                    std::io::Read::read(&mut &near, &mut [0; 8]).map_err(drop)
                }));
                flux::yield_now().expect("nobody stops it");
                let refused = refuse(&[Refused::all(libc::SYS_io_uring_enter, libc::EPERM)]);
                if refused {
                    sleep(Duration::from_secs(1)).expect("the reactor ends first");
                }
                refused
            });
            match outcome {
                Ok(refused) => assert!(!refused, "a reactor that cannot enter its ring went on"),
                Err(RunError::Init(error)) => println!("SKIPPED: {error}"),
                Err(error) => {
                    let sentence = error.to_string();
                    assert!(matches!(error, RunError::Engine(_)), "{error:?}");
                    assert!(sentence.starts_with("the engine failed: "), "{sentence}");
                }
            }
        },
    );
}
