//! tokio, `current_thread`.

use std::io;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task::yield_now;

use super::{check, check_sum};
use crate::Fault;

/// Which of tokio's drivers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drivers {
    /// I/O and timers, as with `#[tokio::main(flavor = "current_thread")]`: what a user has, and what
    /// corresponds to a reactor that has its engine running.
    All,
    /// Neither: the least that tokio can cost.
    None,
}

/// A runtime on this thread.
///
/// # Errors
/// The system's.
pub fn runtime(drivers: Drivers) -> io::Result<Runtime> {
    let mut builder = Builder::new_current_thread();
    if drivers == Drivers::All {
        builder.enable_all();
    }
    builder.build()
}

/// `tasks` tasks, each of which yields `times` times.
///
/// # Errors
/// If a task panics, or the answer is wrong.
pub async fn yields(tasks: u64, times: u64) -> Result<(), Fault> {
    let running: Vec<_> = (0..tasks)
        .map(|_| {
            tokio::spawn(async move {
                let mut done = 0;
                for _ in 0..times {
                    yield_now().await;
                    done += 1;
                }
                done
            })
        })
        .collect();
    let mut total = 0;
    for task in running {
        total += task.await?;
    }
    check("number of yields", total, tasks * times)
}

/// Spawns and awaits `count` tasks, one at a time.
///
/// # Errors
/// If a task panics, or the answer is wrong.
pub async fn spawn_one_by_one(count: u64) -> Result<(), Fault> {
    let mut sum = 0;
    for i in 0..count {
        sum += tokio::spawn(async move { i }).await?;
    }
    check_sum(sum, count)
}

/// Spawns `batch` tasks, then awaits them, until `count` are done.
///
/// # Errors
/// If a task panics, or the answer is wrong.
pub async fn spawn_in_batches(count: u64, batch: u64) -> Result<(), Fault> {
    let mut running = Vec::with_capacity(usize::try_from(batch).unwrap_or(0));
    let mut sum = 0;
    let mut next = 0;
    while next < count {
        for i in next..count.min(next + batch) {
            running.push(tokio::spawn(async move { i }));
        }
        next += batch;
        for task in running.drain(..) {
            sum += task.await?;
        }
    }
    check_sum(sum, count)
}

/// Hands `count` numbers from one task to another.
///
/// # Errors
/// If a task panics, or the answer is wrong.
pub async fn hand_over(count: u64, capacity: usize) -> Result<(), Fault> {
    let (sender, mut receiver) = mpsc::channel(capacity);
    let giving = tokio::spawn(async move {
        for i in 0..count {
            if sender.send(i).await.is_err() {
                break;
            }
        }
    });
    let taking = tokio::spawn(async move {
        let mut sum = 0;
        while let Some(i) = receiver.recv().await {
            sum += i;
        }
        sum
    });
    giving.await?;
    check_sum(taking.await?, count)
}
