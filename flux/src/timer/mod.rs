//! When to wake whom: pure, so that tests script it.

pub(crate) mod heap;
#[cfg(test)]
pub(crate) mod wheel;
