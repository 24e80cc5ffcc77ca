//! Who has nothing to do with a fault, and is not to notice it: an echo that goes on.

use std::cell::Cell;
use std::io::{Read, Write};
use std::rc::Rc;
use std::time::Duration;

use flux::JoinHandle;
use flux::time::{Instant, sleep};

use crate::{PATIENCE, pair};

/// An echo between two fibers, with sleeps and deadlines in between, until it is told to end.
pub(crate) struct Bystander {
    shared: Rc<Shared>,
    client: JoinHandle<()>,
    server: JoinHandle<u64>,
}

struct Shared {
    rounds: Cell<u64>,
    stop: Cell<bool>,
}

impl Bystander {
    pub(crate) fn start() -> Self {
        let (mut near, far) = pair();
        let shared = Rc::new(Shared {
            rounds: Cell::new(0),
            stop: Cell::new(false),
        });
        let server = flux::spawn(move || {
            std::io::copy(&mut &far, &mut &far).expect("nobody harms the server")
        });
        let seen = Rc::clone(&shared);
        let client = flux::spawn(move || {
            while !seen.stop.get() {
                let round = seen.rounds.get();
                let mut answer = [0; 8];
                near.write_all(&round.to_le_bytes())
                    .expect("nobody harms a write");
                flux::timeout(PATIENCE, || near.read_exact(&mut answer))
                    .expect("an answer comes in time")
                    .expect("nobody harms a read");
                assert_eq!(u64::from_le_bytes(answer), round, "bytes are in order");
                if round.is_multiple_of(8) {
                    let (began, time) = (Instant::now(), Duration::from_micros(200));
                    sleep(time).expect("nobody stops a sleep");
                    assert!(began.elapsed() >= time, "a sleep is never short");
                }
                seen.rounds.set(round + 1);
            }
        });
        Self {
            shared,
            client,
            server,
        }
    }

    /// Waits until it has gone round so many times more.
    pub(crate) fn goes_on(&self, times: u64) {
        let (began, end) = (Instant::now(), self.shared.rounds.get() + times);
        while self.shared.rounds.get() < end {
            assert!(
                began.elapsed() < PATIENCE && !self.client.is_finished(),
                "the echo stopped after {} rounds",
                self.shared.rounds.get()
            );
            sleep(Duration::from_micros(500)).expect("nobody stops the main fiber");
        }
    }

    /// Ends it, and expects that every byte was sent back.
    pub(crate) fn end(self) {
        self.goes_on(10);
        self.shared.stop.set(true);
        self.client.join().expect("the client was not harmed");
        let bytes = self.server.join().expect("the server was not harmed");
        assert_eq!(bytes, 8 * self.shared.rounds.get());
    }
}
