//! What the kernel may write to, and until when; each in a process of its own.

use super::*;
use crate::common::passes_alone;

#[test]
fn a_feed_that_is_leaked_ends_with_the_reactor_and_not_before() {
    passes_alone(
        "soundness::a_feed_that_is_leaked_ends_with_the_reactor_and_not_before",
        &[],
        || {
            for _ in 0..20 {
                let _peers = run(config().feeds(4).feed_buffer(BUFFER), || {
                    let mut peers = Vec::new();
                    for _ in 0..4 {
                        let (mut feed, mut peer) = feed(false);
                        peer.write_all(b"something").unwrap();
                        feed.fill().unwrap();
                        std::mem::forget(feed);
                        peers.push(peer);
                    }
                    assert_eq!(flux::stats().feeds_in_use, 4);
                    peers
                })
                .unwrap();
            }
        },
    );
}

#[test]
fn a_slot_is_nobody_elses_before_the_last_bytes_for_the_one_before_have_landed() {
    passes_alone(
        "soundness::a_slot_is_nobody_elses_before_the_last_bytes_for_the_one_before_have_landed",
        &[],
        || {
            run(config().feeds(1).feed_buffer(BUFFER), || {
                for round in 0..300_usize {
                    let (mut old, mut to_old) = feed(false);
                    to_old.write_all(b"old").unwrap();
                    old.fill().unwrap();
                    // On their way while the feed goes.
                    to_old.write_all(&[0xEE; 3000]).unwrap();
                    drop(old);
                    let mut new = loop {
                        let (ours, theirs) = pair();
                        match ours.into_feed() {
                            Ok(feed) => break (feed, theirs),
                            // Not answered yet.
                            Err(error) => assert_eq!(error.kind(), ErrorKind::QuotaExceeded),
                        }
                    };
                    let _closed = to_old.write_all(&[0xEE; 3000]);
                    new.1.write_all(&bytes_from(round, 2000)).unwrap();
                    while new.0.unread().len() < 2000 {
                        new.0.fill().unwrap();
                    }
                    assert_eq!(new.0.unread(), bytes_from(round, 2000));
                }
            })
            .unwrap();
        },
    );
}

#[test]
fn a_deadlock_is_seen_though_a_feed_that_nobody_reads_is_open() {
    passes_alone(
        "soundness::a_deadlock_is_seen_though_a_feed_that_nobody_reads_is_open",
        &[],
        || {
            let stuck = run(config().feed_buffer(BUFFER), || {
                let (mut feed, mut peer) = feed(false);
                peer.write_all(b"x").unwrap();
                feed.fill().unwrap();
                let (_sender, receiver) = flux::sync::channel::<u8>(1);
                let other = spawn(move || receiver.recv().is_err());
                let error = other.join();
                drop((feed, peer));
                error
            });
            // `_sender` lives: nothing can come.
            assert!(
                matches!(stuck, Err(flux::RunError::Deadlock(_))),
                "{stuck:?}"
            );
        },
    );
}

#[test]
fn a_feed_that_ends_in_a_panic_or_with_its_fiber_comes_back() {
    passes_alone(
        "soundness::a_feed_that_ends_in_a_panic_or_with_its_fiber_comes_back",
        &[],
        || {
            run(config().feeds(2).feed_buffer(BUFFER), || {
                for _ in 0..100 {
                    let (mut feed, mut peer) = feed(false);
                    let reader = spawn(move || {
                        feed.fill().unwrap();
                        assert_eq!(feed.unread(), b"another", "as wanted");
                    });
                    peer.write_all(b"one").unwrap();
                    assert!(reader.join().is_err());
                    assert_eq!(settled_feeds(), 0);
                }
            })
            .unwrap();
        },
    );
}

#[test]
fn a_wait_in_no_suspend_panics_and_leaves_the_feed_as_it_was() {
    passes_alone(
        "soundness::a_wait_in_no_suspend_panics_and_leaves_the_feed_as_it_was",
        &[],
        || {
            run(config().feed_buffer(BUFFER), || {
                let (mut feed, mut peer) = feed(false);
                peer.write_all(b"1").unwrap();
                feed.fill().unwrap();
                for _ in 0..3 {
                    let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        flux::no_suspend(|| feed.fill())
                    }));
                    assert!(waited.is_err());
                }
                peer.write_all(b"2").unwrap();
                assert_eq!(feed.fill().unwrap(), 2);
                drop(feed);
                assert_eq!(settled_feeds(), 0);
            })
            .unwrap();
        },
    );
}
