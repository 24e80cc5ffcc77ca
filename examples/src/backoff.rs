//! How long to wait before the next attempt: doubling, bounded, with jitter.
//!
//! Attempts never end: an exchange that is back after an hour finds the bot waiting. Jitter keeps
//! many connections that were cut together from coming back together.
//!
//! Knows nothing of clocks: it gives durations.

use std::time::Duration;

use crate::random::Random;

/// The wait before the second attempt, before jitter.
pub const FIRST: Duration = Duration::from_millis(100);

/// The longest wait, before jitter.
pub const LONGEST: Duration = Duration::from_secs(30);

/// The waits of one connection.
#[derive(Debug, Clone)]
pub struct Backoff {
    next: Duration,
    random: Random,
}

impl Backoff {
    /// Waits whose jitter follows from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            next: FIRST,
            random: Random::new(seed),
        }
    }

    /// How long to wait now: between half and all of a time that doubles with each call.
    pub fn wait(&mut self) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(LONGEST);
        let half_us = u64::try_from(full.as_micros()).unwrap_or(u64::MAX) / 2;
        Duration::from_micros(half_us + self.random.below(half_us + 1))
    }

    /// The attempt was a success: the next wait is a short one again.
    pub fn reset(&mut self) {
        self.next = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_start_over() {
        let mut backoff = Backoff::new(1);
        let mut full = FIRST;
        for _ in 0..20 {
            let wait = backoff.wait();
            assert!(wait >= full / 2 && wait <= full, "{wait:?} of {full:?}");
            full = (full * 2).min(LONGEST);
        }
        backoff.reset();
        assert!(backoff.wait() <= FIRST);
        assert_ne!(Backoff::new(1).wait(), Backoff::new(2).wait());
    }
}
