//! More feeds at once than the submission queue has entries, and than there are slots: nothing is lost between two of
//! them, and all of it comes back.

use flux::net::UdpSocket;

use super::*;

/// Numbers that look random, the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % limit
    }
}

/// Opens a feed if there is a slot, reads a part of what comes or all, and drops it wherever that is.
fn stream(random: &mut Random) {
    let (ours, mut theirs) = pair();
    let Ok(mut feed) = ours.into_feed() else {
        return;
    };
    let (total, piece) = (random.below(100 * KIB), 1 + random.below(9 * KIB));
    let writer = spawn(move || {
        for place in (0..total).step_by(piece) {
            let bytes = bytes_from(place, piece.min(total - place));
            if theirs.write_all(&bytes).is_err() {
                return;
            }
        }
    });
    let stop = random.below(2 * total + 1).min(total);
    let mut read = 0;
    while read < stop {
        let before = feed.unread().len();
        let filled = match random.below(4) {
            0 => timeout(MS / 20, || feed.fill()).unwrap_or_else(flux::Elapsed::into_inner),
            _ => feed.fill(),
        };
        check(&feed, read);
        match filled {
            Ok(count) if count == before => {
                assert_eq!(read + count, total);
                break;
            }
            Ok(_) => {}
            Err(error) => assert!(
                matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::StorageFull),
                "{error}"
            ),
        }
        let share = 1 + random.below(3);
        let taken = feed.unread().len().div_ceil(share);
        feed.consume(taken);
        read += taken;
    }
    drop(feed);
    writer.join().unwrap();
}

/// The same, for packets.
fn packets(random: &mut Random) {
    let from = UdpSocket::bind("127.0.0.1:0").unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = socket.local_addr().unwrap();
    let Ok(mut feed) = socket.into_feed() else {
        return;
    };
    for _ in 0..random.below(40) {
        from.send_to(&[7; 100], to).unwrap();
    }
    for _ in 0..random.below(20) {
        match random.below(3) {
            0 => drop(feed.try_recv().unwrap()),
            1 => {
                let _late = timeout(MS / 20, || feed.recv().map(drop));
            }
            _ => yield_now().unwrap(),
        }
    }
}

#[test]
fn feeds_that_come_and_go_in_a_crowd_lose_nothing_and_leave_nothing_behind() {
    for entries in [1, 2, 4] {
        let limits = config().feeds(6).feed_buffer(BUFFER);
        run(limits.submission_entries(entries), move || {
            let crowd: Vec<_> = (1..=12_u64)
                .map(|number| {
                    spawn(move || {
                        let mut random = Random(number * 104_729);
                        for _ in 0..30 {
                            match random.below(3) {
                                0 => packets(&mut random),
                                _ => stream(&mut random),
                            }
                        }
                    })
                })
                .collect();
            for one in crowd {
                one.join().unwrap();
            }
            assert_eq!(settled_feeds(), 0);
            assert_eq!(flux::stats().ops_in_flight, 0);
        })
        .unwrap();
    }
}
