//! How long each message takes from its send to the book.
//!
//! The messages are real ones, with no room for a stamp: when each was sent stands beside them, where both threads see it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use crate::Fault;
use crate::harness::Sample;
use crate::watch::{Watch, nanoseconds};

/// When each message was sent, and how old it was when the book had it, in nanoseconds.
#[derive(Debug)]
pub(super) struct Lags {
    since: Instant,
    sent_ns: Box<[AtomicU64]>,
    lag_ns: Box<[AtomicU64]>,
    seen: AtomicUsize,
}

impl Lags {
    pub(super) fn new(messages: usize) -> Self {
        let room = || (0..messages).map(|_| AtomicU64::new(0)).collect();
        Self {
            since: Instant::now(),
            sent_ns: room(),
            lag_ns: room(),
            seen: AtomicUsize::new(0),
        }
    }

    /// This message is about to be sent. The socket carries the order between the threads: what was stored before the
    /// send is there for whoever has received it.
    pub(super) fn sent(&self, message: usize) {
        if let Some(sent) = self.sent_ns.get(message) {
            sent.store(nanoseconds(self.since.elapsed()), Relaxed);
        }
    }

    /// The median and the 99th percentile, of all but the first `warm_up` messages.
    pub(super) fn samples(&self, warm_up: usize) -> Result<[Sample; 2], Fault> {
        let (seen, wanted) = (self.seen.load(Relaxed), self.lag_ns.len());
        if seen != wanted || warm_up >= wanted {
            return Err(format!("saw {seen} messages, and {wanted} were expected").into());
        }
        let lags = self.lag_ns[warm_up..].iter();
        let lags: Vec<u64> = lags.map(|lag| lag.load(Relaxed)).collect();
        Ok(Sample::middle_and_tail(&lags))
    }
}

impl Watch for Lags {
    #[inline]
    fn seen(&self, units: u64) {
        for _ in 0..units {
            let now = nanoseconds(self.since.elapsed());
            let seen = self.seen.load(Relaxed);
            self.seen.store(seen + 1, Relaxed);
            if let (Some(lag), Some(sent)) = (self.lag_ns.get(seen), self.sent_ns.get(seen)) {
                lag.store(now.saturating_sub(sent.load(Relaxed)), Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lags_are_of_all_messages_or_an_error() {
        let lags = Lags::new(2);
        lags.sent(0);
        lags.seen(1);
        assert!(lags.samples(0).is_err());
        lags.sent(1);
        lags.seen(1);
        let [middle, tail] = lags.samples(1).expect("two came");
        assert!(middle.cost <= tail.cost);
    }
}
