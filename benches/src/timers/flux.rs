//! flux, with its `io_uring` engine up where there is one: callbacks on the loop, and fibers that sleep.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use flux::time::{Instant, sleep, sleep_until};
use flux::timer::{self, Timer};
use flux::{Builder, Config, Core, Idle, StackClass};

use super::{Board, Churn, Pick, Sleeps, check_came};
use crate::Fault;
use crate::harness::{Sample, timed};
use crate::watch::nanoseconds;

/// A page of each stack is what a fiber that only sleeps touches.
const PREFAULT: usize = 4096;

fn config(idle: Idle) -> Config {
    // The harness has pinned this thread.
    Config::new().core(Core::None).idle(idle)
}

/// Sets timers and takes them back, from a fiber.
///
/// # Errors
/// If there is no room for a timer, or one comes that was taken back.
pub fn churn(churn: &Churn) -> Result<Sample, Fault> {
    let churn = churn.clone();
    // Room for the new one beside all that are live.
    config(Idle::Block)
        .timers(churn.live.len() + 1)
        .run(move || in_reactor(&churn))?
}

fn in_reactor(churn: &Churn) -> Result<Sample, Fault> {
    let came = Rc::new(Cell::new(0));
    let set = |time: Duration| {
        let came = Rc::clone(&came);
        timer::after(time).callback(move |_| came.set(came.get() + 1))
    };
    let full = |error: flux::timer::TimersFull<_>| Fault::from(error.to_string());
    let mut live = Vec::with_capacity(churn.live.len());
    for &time in churn.live.iter() {
        live.push(set(time).map_err(full)?);
    }
    let (sample, outcome) = timed(churn.operations, || {
        churn.each(|time, which| {
            let timer: Timer = set(time).map_err(full)?;
            match churn.pick {
                Pick::Newest => drop(timer),
                Pick::Random => live[which] = timer,
            }
            Ok(())
        })
    });
    outcome?;
    let still_set = flux::stats().timers_in_use;
    if still_set != churn.live.len() {
        return Err(format!("{still_set} timers are set").into());
    }
    set(Duration::ZERO).map_err(full)?.detach();
    sleep(Duration::from_millis(1))?;
    check_came(came.get())?;
    Ok(sample)
}

/// Sleeps through many deadlines in callbacks, each of which is set for the next whole `grain` (of no size: for the
/// deadline itself), so that those that are close to each other share a wake-up.
///
/// # Errors
/// If there is no room for a timer, or one does not come.
pub fn sleep_in_callbacks(
    sleeps: &Sleeps,
    idle: Idle,
    grain: Duration,
) -> Result<[Sample; 3], Fault> {
    let sleeps = sleeps.clone();
    let grain = nanoseconds(grain).max(1);
    config(idle).timers(sleeps.count()).run(move || {
        measured(&sleeps, |number, due, board| {
            let board = Arc::clone(board);
            let moment = Instant::from_std(due).as_monotonic_nanos();
            let moment = moment.next_multiple_of(grain);
            timer::at(Instant::from_monotonic_nanos(moment))
                .callback(move |_| board.woke(number, due))
                .map_err(|error| error.to_string())?
                .detach();
            Ok(())
        })
    })?
}

/// Sleeps through many deadlines in a fiber for each.
///
/// # Errors
/// If there is no memory for so many stacks, or a fiber does not wake up.
pub fn sleep_in_fibers(sleeps: &Sleeps, idle: Idle) -> Result<[Sample; 3], Fault> {
    let sleeps = sleeps.clone();
    let count = sleeps.count();
    config(idle)
        .fibers(count + 1)
        .stacks(StackClass::Small, count)
        .prefault(PREFAULT)
        .run(move || {
            measured(&sleeps, |number, due, board| {
                let board = Arc::clone(board);
                let fiber = Builder::new().stack(StackClass::Small);
                drop(fiber.spawn(move || {
                    if sleep_until(Instant::from_std(due)).is_ok() {
                        board.woke(number, due);
                    }
                }));
                Ok(())
            })
        })?
}

/// Sets all deadlines, and sleeps until the last one has been.
fn measured(
    sleeps: &Sleeps,
    set: impl Fn(usize, std::time::Instant, &Arc<Board>) -> Result<(), Fault>,
) -> Result<[Sample; 3], Fault> {
    let (due, board) = sleeps.begin();
    let (sample, outcome) = timed(sleeps.count() as u64, || {
        for (number, &due) in due.iter().enumerate() {
            set(number, due, &board)?;
        }
        let last = due.iter().max().copied();
        sleep_until(Instant::from_std(last.ok_or("there are no deadlines")?))?;
        super::wait_for_stragglers(&board, |time| Ok(sleep(time)?))
    });
    outcome?;
    board.samples(sample)
}
