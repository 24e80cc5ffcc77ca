//! What a fiber may do with fibers: make, spawn, join, cancel and shield them, and wait its turn.

mod control;
mod fiber;
mod handle;
mod scope;
mod spawn;

pub use control::{no_suspend, shielded, shutdown, timeout, yield_now};
pub use fiber::{Fiber, IntoFiber};
pub use handle::JoinHandle;
pub use scope::{Scope, ScopedJoinHandle, scope};
pub(crate) use spawn::try_spawn_at;
pub use spawn::{Builder, spawn, try_spawn};
