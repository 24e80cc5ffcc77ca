//! tokio, `current_thread`, with its drivers.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::task::unconstrained;
use tokio::time::{Instant as Moment, Sleep, sleep, sleep_until};

use super::{Churn, Pick, Sleeps, check_came};
use crate::Fault;
use crate::harness::{Sample, timed};
use crate::tasks::tokio::{Drivers, runtime};

/// How a timer is set and taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// As one writes it: `sleep(time)`, polled once by its task, which is what sets it.
    Sleep,
    /// The least it can cost: `sleep_until` a moment that needs no clock, polled with a waker that counts nothing.
    /// Of a random one, `reset` rather than another in its place.
    Least,
}

/// Sets timers and takes them back, from a task.
///
/// # Errors
/// If a timer comes that was taken back.
pub fn churn(churn: &Churn, how: How) -> Result<Sample, Fault> {
    // All within one poll: unconstrained, since a task's budget would be used up, and then no timer is set.
    runtime(Drivers::All)?.block_on(unconstrained(async {
        let begin = Moment::now();
        let mut live: Vec<Pin<Box<Sleep>>> = churn
            .live
            .iter()
            .map(|&time| Box::pin(sleep_until(begin + time)))
            .collect();
        poll_fn(|context| {
            let mut set = live.iter_mut().map(|timer| timer.as_mut());
            Poll::Ready(set.try_for_each(|timer| waits(timer, context)))
        })
        .await?;
        let (sample, outcome) = poll_fn(|context| {
            Poll::Ready(timed(churn.operations, || {
                let mut silent = Context::from_waker(Waker::noop());
                churn.each(|time, which| {
                    match (how, churn.pick) {
                        (How::Sleep, Pick::Newest) => waits(pin!(sleep(time)), context)?,
                        (How::Least, Pick::Newest) => {
                            waits(pin!(sleep_until(begin + time)), &mut silent)?;
                        }
                        (How::Sleep, Pick::Random) => {
                            let mut timer = Box::pin(sleep(time));
                            waits(timer.as_mut(), context)?;
                            live[which] = timer;
                        }
                        (How::Least, Pick::Random) => {
                            let mut timer = live[which].as_mut();
                            timer.as_mut().reset(begin + time);
                            waits(timer, &mut silent)?;
                        }
                    }
                    Ok(())
                })
            }))
        })
        .await;
        outcome?;
        sleep(Duration::ZERO).await;
        let came = live.iter().filter(|timer| timer.is_elapsed()).count();
        check_came(1 + came as u64)?;
        Ok(sample)
    }))
}

/// Polls a timer, which sets it.
#[inline]
fn waits(timer: Pin<&mut Sleep>, context: &mut Context<'_>) -> Result<(), Fault> {
    match timer.poll(context) {
        Poll::Pending => Ok(()),
        Poll::Ready(()) => Err("a timer of a minute came at once".into()),
    }
}

/// Sleeps through many deadlines in a task for each.
///
/// # Errors
/// If a task does not wake up.
pub fn sleep_in_tasks(sleeps: &Sleeps) -> Result<[Sample; 3], Fault> {
    let runtime = runtime(Drivers::All)?;
    let (due, board) = sleeps.begin();
    let (sample, outcome) = timed(sleeps.count() as u64, || {
        let board = Arc::clone(&board);
        // In a task of its own, as in a fiber of its own.
        runtime.block_on(async { tokio::spawn(all(due, board)).await? })
    });
    outcome?;
    board.samples(sample)
}

async fn all(due: Vec<Instant>, board: Arc<super::Board>) -> Result<(), Fault> {
    for (number, &due) in due.iter().enumerate() {
        let board = Arc::clone(&board);
        // Its handle is let go: the board says when it has come.
        drop(tokio::spawn(async move {
            sleep_until(Moment::from_std(due)).await;
            board.woke(number, due);
        }));
    }
    let last: Option<Instant> = due.iter().max().copied();
    sleep_until(last.ok_or("there are no deadlines")?.into()).await;
    for _ in 0..super::STRAGGLER_ROUNDS {
        if board.left() == 0 {
            break;
        }
        sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}
