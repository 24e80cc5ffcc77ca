//! std alone, as one would write it: an ordered map of what is due, and a thread that parks until the first is.
//!
//! A map rather than a `BinaryHeap` where timers are taken back, since a heap cannot give up one from its middle. A
//! thread for each sleep is not among the contenders: a hundred thousand of them this machine does not start.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use super::{Churn, Pick, Sleeps, check_came};
use crate::Fault;
use crate::harness::{Sample, timed};

/// What a timer is known by: equal moments are told apart by a number.
type Key = (Instant, u64);

/// Timers whose closures run when somebody asks for what is due.
#[derive(Default)]
struct Timers {
    set: BTreeMap<Key, Box<dyn FnOnce()>>,
    made: u64,
}

impl Timers {
    fn after(&mut self, time: Duration, closure: impl FnOnce() + 'static) -> Key {
        let key = (Instant::now() + time, self.made);
        self.made += 1;
        self.set.insert(key, Box::new(closure));
        key
    }

    fn cancel(&mut self, key: Key) {
        self.set.remove(&key);
    }

    fn run_due(&mut self) {
        let now = Instant::now();
        while let Some(first) = self.set.first_entry()
            && first.key().0 <= now
        {
            first.remove()();
        }
    }
}

/// Sets timers and takes them back.
///
/// # Errors
/// If a timer comes that was taken back.
pub fn churn(churn: &Churn) -> Result<Sample, Fault> {
    let came = Rc::new(Cell::new(0));
    let mut timers = Timers::default();
    let set = |timers: &mut Timers, time| {
        let came = Rc::clone(&came);
        timers.after(time, move || came.set(came.get() + 1))
    };
    let mut live: Vec<Key> = churn
        .live
        .iter()
        .map(|&time| set(&mut timers, time))
        .collect();
    let (sample, outcome) = timed(churn.operations, || {
        churn.each(|time, which| {
            let key = set(&mut timers, time);
            timers.cancel(match churn.pick {
                Pick::Newest => key,
                Pick::Random => std::mem::replace(&mut live[which], key),
            });
            Ok(())
        })
    });
    outcome?;
    if timers.set.len() != churn.live.len() {
        return Err(format!("{} timers are set", timers.set.len()).into());
    }
    set(&mut timers, Duration::ZERO);
    timers.run_due();
    check_came(came.get())?;
    Ok(sample)
}

/// Sleeps through many deadlines on one thread that parks until the next.
///
/// # Errors
/// If a deadline is not kept.
pub fn sleep_on_a_heap(sleeps: &Sleeps) -> Result<[Sample; 3], Fault> {
    let (due, board) = sleeps.begin();
    let (sample, ()) = timed(sleeps.count() as u64, || {
        let mut heap = BinaryHeap::with_capacity(due.len());
        for (number, &due) in due.iter().enumerate() {
            heap.push(Reverse((due, number)));
        }
        while let Some(&Reverse((due, number))) = heap.peek() {
            let early = due.saturating_duration_since(Instant::now());
            if early.is_zero() {
                heap.pop();
                board.woke(number, due);
            } else {
                thread::park_timeout(early);
            }
        }
    });
    board.samples(sample)
}
