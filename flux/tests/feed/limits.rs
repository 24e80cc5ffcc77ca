//! What there is so many of: memory, feeds, and the sentences for when there are no more.

use super::*;

#[test]
fn a_reader_that_does_not_keep_up_stops_its_own_feed_alone_and_goes_on() {
    both_ways(|hot| {
        let (mut slow, mut to_slow) = feed(hot);
        let (mut quick, mut to_quick) = feed(hot);
        let sent = 4 << 20;
        let writer = spawn(move || {
            to_slow.write_all(&bytes_from(0, sent)).unwrap();
        });
        // All that fits is there, and no more is taken.
        let full = loop {
            match slow.fill() {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), ErrorKind::StorageFull);
        let sentence = full.to_string();
        assert!(
            sentence.contains("`feed_buffer`") && sentence.contains(&BUFFER.to_string()),
            "{sentence}"
        );
        assert!(slow.unread().len() >= slow.capacity());
        assert_eq!(slow.fill().unwrap_err().kind(), ErrorKind::StorageFull);
        for round in 1..100_usize {
            to_quick.write_all(b"quick").unwrap();
            while quick.unread().len() < 5 * round {
                quick.fill().unwrap();
            }
        }
        let mut read = 0;
        loop {
            let unread = slow.unread().len();
            check(&slow, read);
            slow.consume(unread);
            read += unread;
            if slow.fill().unwrap() == 0 {
                break;
            }
        }
        assert_eq!(read, sent);
        writer.join().unwrap();
    });
}

#[test]
fn after_it_was_full_a_feed_goes_on_once_a_part_was_consumed() {
    both_ways(|hot| {
        let (mut feed, mut peer) = feed(hot);
        let writer = spawn(move || {
            peer.write_all(&bytes_from(0, 3 * BUFFER)).unwrap();
            peer
        });
        while feed.fill().is_ok() {}
        let full = feed.unread().len();
        feed.consume(full - feed.capacity() + 1);
        let mut read = full - feed.capacity() + 1;
        if feed.unread().len() <= feed.capacity() {
            assert!(feed.fill().unwrap() > full - read, "there is room again");
        }
        while read < 3 * BUFFER {
            check(&feed, read);
            let unread = feed.unread().len();
            feed.consume(unread);
            read += unread;
            if read < 3 * BUFFER {
                feed.fill().unwrap();
            }
        }
        writer.join().unwrap();
    });
}

#[test]
fn more_feeds_than_there_are_is_an_error_that_names_the_setting_and_one_that_ends_makes_room() {
    run(config().feeds(2).feed_buffer(BUFFER), || {
        let (first, _peer_of_first) = feed(false);
        let (_second, _peer_of_second) = feed(true);
        let (third, _peer_of_third) = pair();
        let error = third.into_feed().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
        let sentence = error.to_string();
        assert!(
            sentence.contains("all 2 feeds") && sentence.contains("`feeds`"),
            "{sentence}"
        );
        drop(first);
        let (again, _peer) = pair();
        again.into_feed().unwrap();
        let stats = flux::stats();
        assert_eq!((stats.feeds_high_water, stats.feeds_max), (2, 2));
    })
    .unwrap();
    run(config().feeds(0), || {
        let (stream, _peer) = pair();
        let error = stream.into_feed().unwrap_err();
        assert!(error.to_string().contains("there are no feeds"), "{error}");
    })
    .unwrap();
}

#[test]
fn a_thousand_feeds_one_after_the_other_leave_nothing_behind() {
    both_ways(|hot| {
        for round in 0..1000 {
            let (mut feed, mut peer) = feed(hot);
            peer.write_all(b"something").unwrap();
            if round % 3 > 0 {
                feed.fill().unwrap();
            }
            if round % 3 == 2 {
                // Bytes are on their way while it ends.
                peer.write_all(&bytes_from(0, 1000)).unwrap();
            }
        }
        assert_eq!(settled_feeds(), 0);
        assert!(flux::stats().feeds_high_water <= 16);
        assert_eq!(flux::stats().ops_in_flight, 0);
    });
}

#[test]
fn outside_of_a_fiber_a_feed_says_so() {
    let mut left = run(config().feed_buffer(BUFFER), || {
        let (mut feed, mut peer) = feed(false);
        peer.write_all(b"kept").unwrap();
        while feed.fill().unwrap() < 4 {}
        feed
    })
    .unwrap();
    // Its memory is its own.
    assert_eq!(left.unread(), b"kept");
    assert_eq!(left.fill().unwrap_err().kind(), ErrorKind::Unsupported);
    left.unread_mut()[0] = b'K';
    left.consume(2);
    let mut left = run(config().feed_buffer(BUFFER), move || {
        let error = left.fill().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "another reactor's");
        let sentence = error.to_string();
        assert!(sentence.contains("reactor that has ended"), "{sentence}");
        left
    })
    .unwrap();
    assert_eq!(left.unread(), b"pt");
    left.consume(2);
}

#[test]
#[should_panic(expected = "cannot consume 3 bytes: 2 are unread")]
fn more_than_there_is_cannot_be_consumed() {
    fibers(|| {
        let (mut feed, mut peer) = feed(false);
        peer.write_all(b"ab").unwrap();
        while feed.fill().unwrap() < 2 {}
        feed.consume(3);
    });
}

#[test]
fn memory_that_is_exactly_full_is_said_at_once_and_not_waited_for() {
    both_ways(|hot| {
        let (mut feed, mut peer) = feed(hot);
        let writer = spawn(move || {
            peer.write_all(&bytes_from(0, BUFFER)).unwrap();
            peer
        });
        while feed.unread().len() < BUFFER {
            feed.fill().unwrap();
        }
        // It says no more before it is answered.
        let _peer = writer.join().unwrap();
        let filled = timeout(Duration::from_secs(5), || feed.fill());
        let error = filled.expect("it does not wait").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull, "hot: {hot}");
        assert_eq!(feed.unread(), bytes_from(0, BUFFER));
    });
}
