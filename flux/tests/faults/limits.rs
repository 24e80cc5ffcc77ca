//! Limits of the process and of its user: memory that may be locked, descriptors.

use std::fs::File;
use std::io::{Read, Write};

use flux::EventEngine;
use flux::net::{TcpListener, TcpStream};
use flux::time::sleep;
use socket2::{Domain, Socket, Type};

use crate::bystander::Bystander;
use crate::common::{config, descriptors};
use crate::process::{becomes_ordinary, is_root, limit};
use crate::{LOCALHOST, code, in_each, on_each_engine, refuses, unharmed, works};

/// Becomes an ordinary user, who may lock so much memory; false, and a line that says so, if that cannot be.
#[must_use]
fn ordinary_user(memlock: libc::rlim_t) -> bool {
    limit(libc::RLIMIT_MEMLOCK, memlock);
    if !is_root() {
        if memlock > 0 {
            println!(
                "SKIPPED: what a user may lock is shared with the rest of what that user runs"
            );
        }
        return memlock == 0;
    }
    becomes_ordinary()
}

#[test]
fn a_user_who_may_lock_no_memory_gets_epoll_and_is_told_why() {
    in_each(
        "limits::a_user_who_may_lock_no_memory_gets_epoll_and_is_told_why",
        &[&[]],
        || {
            if config().engine(EventEngine::IoUring).run(|| ()).is_err() {
                println!("SKIPPED: this machine refuses io_uring altogether");
            } else if ordinary_user(0) {
                let (engine, why) = works(config());
                let why = why.expect("a ring is memory that is locked");
                assert_eq!(engine, "epoll");
                assert!(why.contains("ulimit -l"), "{why}");
                refuses(EventEngine::IoUring, &["ulimit -l", "`submission_entries`"]);
            }
        },
    );
}

#[test]
fn a_user_who_may_lock_little_gets_a_ring_that_fits() {
    in_each(
        "limits::a_user_who_may_lock_little_gets_a_ring_that_fits",
        &[&[]],
        || {
            if config().engine(EventEngine::IoUring).run(|| ()).is_err() {
                println!("SKIPPED: this machine refuses io_uring altogether");
            } else if ordinary_user(64 * 1024) {
                // Whichever it takes, it works.
                works(config().submission_entries(4096));
                refuses_large_ring();
                let fits = config().engine(EventEngine::IoUring).submission_entries(16);
                assert_eq!(works(fits).0, "io_uring");
            }
        },
    );
}

fn refuses_large_ring() {
    let error = config()
        .engine(EventEngine::IoUring)
        .submission_entries(4096)
        .run(|| ())
        .expect_err("it is over the limit");
    let sentence = error.to_string();
    assert!(
        sentence.contains("lower `submission_entries`"),
        "{sentence}"
    );
}

#[test]
fn a_process_without_descriptors_is_refused_at_init_and_works_once_it_has_some() {
    in_each(
        "limits::a_process_without_descriptors_is_refused_at_init_and_works_once_it_has_some",
        &[&[]],
        || {
            // Numbers count, not files: all below the limit are taken.
            let most = descriptors() + 8;
            limit(libc::RLIMIT_NOFILE, most as libc::rlim_t);
            let used_up: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
            let refused = |engine: EventEngine| {
                let error = config().engine(engine).run(|| panic!("it started"));
                error.expect_err("no descriptor is left").to_string()
            };
            let ring = refused(EventEngine::IoUring);
            assert!(ring.contains("`io_uring`"), "{ring}");
            assert!(
                ring.contains("`ulimit -n`") || ring.contains("seccomp"),
                "{ring}"
            );
            for engine in [EventEngine::Epoll, EventEngine::Auto] {
                let sentence = refused(engine);
                assert!(
                    sentence.contains("engine cannot be used here"),
                    "{sentence}"
                );
                assert!(!sentence.contains('\n'), "{sentence}");
            }
            drop(used_up);
            for engine in [EventEngine::Auto, EventEngine::Epoll] {
                works(config().engine(engine));
            }
        },
    );
}

#[test]
fn an_accept_that_waits_while_descriptors_run_out_fails_and_the_next_one_takes_who_waits() {
    on_each_engine(
        "limits::an_accept_that_waits_while_descriptors_run_out_fails_and_the_next_one_takes_who_waits",
        || {
            limit(libc::RLIMIT_NOFILE, 48);
            unharmed(|| {
                let echo = Bystander::start();
                let listener = TcpListener::bind(LOCALHOST).unwrap();
                let address = listener.local_addr().unwrap();
                let accepting = flux::spawn(move || {
                    let refused = code(listener.accept());
                    (refused, listener)
                });
                // It waits, and only then is there nothing left.
                echo.goes_on(5);
                let late = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                let used_up: Vec<File> =
                    std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
                late.connect(&address.into()).unwrap();
                let (refused, listener) = accepting.join().unwrap();
                assert_eq!(
                    refused,
                    Some(libc::EMFILE),
                    "the fiber that accepts is told"
                );
                for _ in 0..3 {
                    assert_eq!(code(listener.accept()), Some(libc::EMFILE));
                    assert_eq!(code(TcpStream::connect(address)), Some(libc::EMFILE));
                    assert_eq!(code(TcpListener::bind(LOCALHOST)), Some(libc::EMFILE));
                    echo.goes_on(5);
                }
                // A server that rests for a moment and tries again loses nobody.
                let freeing = flux::spawn(move || {
                    sleep(std::time::Duration::from_millis(5)).unwrap();
                    drop(used_up);
                });
                let mut accepted = loop {
                    match listener.accept() {
                        Ok((stream, _)) => break stream,
                        Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EMFILE)),
                    }
                    sleep(std::time::Duration::from_millis(1)).unwrap();
                };
                freeing.join().unwrap();
                (&late).write_all(b"here").unwrap();
                let mut bytes = [0; 4];
                accepted.read_exact(&mut bytes).unwrap();
                assert_eq!(&bytes, b"here");
                drop(TcpStream::connect(address).unwrap());
                echo.end();
            });
        },
    );
}
