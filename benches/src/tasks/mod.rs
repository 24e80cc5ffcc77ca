//! The work without I/O: yielding, spawning, handing over; written for flux and for tokio.
//!
//! Each function runs inside a runtime that is up already, and is told how much to do; the caller measures. Each checks its own
//! answer.

pub mod flux;
pub mod tokio;

use crate::Fault;

/// Whether what came out is what must come out.
fn check(what: &str, found: u64, expected: u64) -> Result<(), Fault> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("the {what} is {found} and should be {expected}").into())
    }
}

/// Whether `sum` is that of `0..count`.
fn check_sum(sum: u64, count: u64) -> Result<(), Fault> {
    check("sum", sum, count * count.saturating_sub(1) / 2)
}
