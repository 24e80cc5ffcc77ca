//! Fibers as the scheduler sees them: a control block each, and a context once they have started.

pub(crate) mod arena;
pub(crate) mod block;
pub(crate) mod context;
