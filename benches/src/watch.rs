//! What a server tells while it works: how much it has done.
//!
//! Owns the moments at which the measured window opens and closes. Does not know what the units are.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::Fault;
use crate::harness::Sample;
use crate::sys::Stopwatch;

/// Is told of each piece of work, by the one thread that does the work.
///
/// `Send + Sync` because tokio's tasks demand it of what they hold; no two threads ever call it at once.
pub trait Watch: Send + Sync + 'static {
    /// `units` more are done.
    fn seen(&self, units: u64);
}

/// Measures from the moment that `from` units are done until `until` are: connecting, warming up and the
/// last stragglers stay outside.
#[derive(Debug)]
pub struct Meter {
    seen: AtomicU64,
    next_mark: AtomicU64,
    until: u64,
    window: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    opened: Option<(Stopwatch, u64)>,
    closed: Option<(Duration, Duration, u64)>,
}

impl Meter {
    /// A meter whose window is still to open.
    #[must_use]
    pub fn new(from: u64, until: u64) -> Self {
        Self {
            seen: AtomicU64::new(0),
            next_mark: AtomicU64::new(from),
            until,
            window: Mutex::default(),
        }
    }

    /// Cost and rate of one operation of `units` units within the window.
    ///
    /// # Errors
    /// If the window never closed: the server saw less than it was sent.
    pub fn sample(&self, units: u64) -> Result<Sample, Fault> {
        let seen = self.seen_so_far();
        let window = self.window.lock().map_err(|error| error.to_string())?;
        let (cpu, wall, total) = window
            .closed
            .ok_or_else(|| format!("saw {seen} units, and {} were expected", self.until))?;
        Ok(Sample::new(cpu, wall, total / units))
    }

    /// How many units are done.
    #[must_use]
    pub fn seen_so_far(&self) -> u64 {
        self.seen.load(Relaxed)
    }

    #[cold]
    fn mark(&self, seen: u64) {
        let Ok(mut window) = self.window.lock() else {
            return;
        };
        match window.opened {
            None => {
                window.opened = Some((Stopwatch::start(), seen));
                self.next_mark.store(self.until, Relaxed);
            }
            Some((watch, from)) => {
                let (cpu, wall) = watch.elapsed();
                window.closed = Some((cpu, wall, seen - from));
                self.next_mark.store(u64::MAX, Relaxed);
            }
        }
    }
}

impl Watch for Meter {
    fn seen(&self, units: u64) {
        // One thread: a load and a store, no locked instruction.
        let seen = self.seen.load(Relaxed) + units;
        self.seen.store(seen, Relaxed);
        if seen >= self.next_mark.load(Relaxed) {
            self.mark(seen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_counts_what_came_after_it_opened() {
        let meter = Meter::new(10, 20);
        for _ in 0..9 {
            meter.seen(3);
        }
        // Opened at 12, closed at 21.
        let window = meter.window.lock().expect("no panic under the lock");
        assert_eq!(window.closed.map(|(_, _, units)| units), Some(9));
    }

    #[test]
    fn a_window_that_never_closed_is_an_error() {
        let meter = Meter::new(1, 5);
        meter.seen(2);
        assert!(meter.sample(1).is_err());
    }
}
