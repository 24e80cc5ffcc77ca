//! Fibers on one pinned core: blocking-looking code, `io_uring` underneath, no allocation after init.
//!
//! flux is for programs that watch a few sockets very closely: a trading bot that follows some exchange
//! feeds, keeps order books, and acts. One process, one reactor, one pinned core, many fibers; ordinary
//! Rust and two attributes:
//!
//! ```no_run
//! use std::io::{self, Read};
//! use std::net::SocketAddr;
//!
//! #[flux::fiber(stack = "small")]
//! fn follow(feed: SocketAddr) -> io::Result<u64> {
//!     let mut stream = flux::net::TcpStream::connect(feed)?;
//!     let (mut seen, mut message) = (0, [0; 64]);
//!     while stream.read(&mut message)? > 0 {
//!         seen += 1; // suspends this fiber while it waits, never the core
//!     }
//!     Ok(seen)
//! }
//!
//! #[flux::main(core = 1)]
//! fn main() -> io::Result<()> {
//!     let eth = flux::spawn(follow(([127, 0, 0, 1], 9001).into()));
//!     let btc = flux::spawn(follow(([127, 0, 0, 1], 9002).into()));
//!     println!("{} messages", eth.join()?? + btc.join()??);
//!     Ok(())
//! }
//! ```
//!
//! # Promises
//!
//! 1. **One reactor.** A second one is a compile error where the compiler can see it, a link error across
//!    crates, and an `Err` otherwise.
//! 2. **No allocation after init.** Spawning, switching, I/O, sleeping, channels: none calls the allocator.
//!    Every capacity is a number in [`Config`]; a full one is a typed error or back-pressure.
//! 3. **A fiber's frame outlives every request that points into it.** Nothing is unwound from outside, and
//!    no stack is used again before the last completion that names it was seen.
//! 4. **Nothing is dropped.** A full submission queue overflows into a queue that keeps the order, and a
//!    cancel is never lost.
//!
//! # Sockets and feeds
//!
//! [`net`] has those of std under their names: [`TcpListener`](net::TcpListener) and
//! [`TcpStream`](net::TcpStream), [`UdpSocket`](net::UdpSocket), [`UnixListener`](net::UnixListener) and
//! [`UnixStream`](net::UnixStream). Streams are [`Read`](std::io::Read) and [`Write`](std::io::Write), so that
//! libraries work on them as they are.
//!
//! A **feed** is memory that the kernel receives into: what arrives is read there, neither copied nor moved.
//! [`TcpStream::into_feed`](net::TcpStream::into_feed) gives a [`Feed`](net::Feed),
//! [`UdpSocket::into_feed`](net::UdpSocket::into_feed) a [`UdpFeed`](net::UdpFeed), and [`sequence`] makes one stream
//! of the lines A and B of an exchange. How many feeds there can be, and the memory of each, is
//! [`Config::feeds`] and [`Config::feed_buffer`].
//!
//! # Features
//!
//! Both are off by default, and bring the dependencies that they name in `Cargo.toml`:
//!
//! - **`ws`**: `flux::ws`, WebSocket in place on a feed, client and server;
//! - **`tls`**: `flux::tls`, a TLS client in place on a feed, which is read like one.
//!
//! ```toml
//! flux = { path = "../flux/flux", features = ["ws", "tls"] }
//! ```
//!
//! Their pages are there when the documentation is made with them: `cargo doc -p flux --features ws,tls`.
//!
//! # Time
//!
//! [`time`] sleeps, keeps intervals and reads the clock: the processor's counter, where that can be trusted. [`timer`]
//! runs closures when their time has come, on the loop or as fibers, and [`timeout`] puts a deadline around whatever
//! waits. Nothing is ever early; how late it is depends on how the core waits, which [`Idle`] says: asleep it takes
//! the kernel tens of microseconds to answer, spinning a few. What of a machine helps or hurts is for
//! `cargo run --release --bin doctor` to say.
//!
//! # Cancelling
//!
//! Cancellation is a value. [`JoinHandle::cancel`] sets a flag that stays: the call that the fiber is
//! suspended in, and every later one that suspends, returns it, I/O as `ECANCELED`, the others as
//! [`Stopped::Cancelled`]. The fiber leaves by `?`, and its destructors run. When the main fiber returns,
//! the others are cancelled, and have [`Config::grace`] to end.
//!
//! # What must not block
//!
//! All fibers share one core. [`#[flux::fiber]`](fiber) and [`#[flux::main]`](main) refuse calls that plainly take it
//! away (`std::thread::sleep`, `std::fs`, blocking sockets of std), as far as the function itself shows them. Clippy
//! finds the rest, by this `clippy.toml` beside the program's `Cargo.toml` (`flux/lints/clippy.toml`):
//!
//! ```toml
#![doc = include_str!("../lints/clippy.toml")]
//! ```
//!
//! # Tests
//!
//! [`#[flux::test]`](test) runs a test as the main fiber of a reactor of its own, one at a time in a process.
//!
//! # The soundness contract
//!
//! All that belongs to a reactor stays on its thread, so that addresses of thread-locals never go stale.
//! What a fiber must know is that **a suspending call is a call to unknown code, which need not return in
//! nested order**:
//!
//! - a `std::sync::MutexGuard`, or an initialiser of a `OnceLock` or a `LazyLock`, that is held over a
//!   suspending call can hang the core: another fiber that wants it waits for a thread that is its own;
//! - a `RefCell` borrow that is held over a suspending call can make another fiber panic;
//! - scoped thread-local pointers (crate `scoped-tls`) and `thread_local!` initialisers **must not suspend**:
//!   their users rely on nesting for memory safety, and no library can see that it is called from there;
//! - neither must the destructors of thread-locals, which run on the fiber that calls
//!   [`std::process::exit`]; nor may a fiber that ignores its cancel be inside `LocalKey::with` when the
//!   reactor's thread ends, since it is left behind there with its borrow;
//! - coroutines of another library that are dropped, or moved to another fiber, in the middle of
//!   [`timeout`] or [`scope`] end the process, where that is seen.
//!
//! [`no_suspend`] asserts that nothing in a closure suspends.
//!
//! While a panic unwinds, nothing switches: I/O from a destructor tries once, and fails with `ECANCELED`
//! where it would have to wait. A panic ends its fiber alone; [`JoinHandle::join`] hands it on.

#[cfg(not(any(
    target_os = "linux",
    target_os = "macos",
    target_os = "freebsd",
    windows
)))]
compile_error!(
    "flux has engines for Linux (`io_uring`, `epoll`), macOS and FreeBSD (`kqueue`), and Windows (time and wake-ups \
     alone, no sockets), and none for this system"
);

// Tests of the crate's folder are played inside it too, and name it as its users do.
#[cfg(test)]
extern crate self as flux;

mod budget;
mod callbacks;
mod clock;
mod config;
#[cfg_attr(
    windows,
    allow(
        dead_code,
        reason = "much of it serves requests, and none is made there"
    )
)]
mod engine;
mod error;
#[cfg_attr(
    windows,
    allow(
        dead_code,
        reason = "much of it serves requests, and none is made there"
    )
)]
#[cfg(unix)]
mod feeds;
mod fiber;
#[cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, reason = "some of it serves `io_uring` alone")
)]
#[cfg(unix)]
mod landing;
mod list;
#[doc(hidden)]
pub mod macro_support;
#[cfg(unix)]
// Windows: flux has no sockets there, its fibers wait for time and for each other alone
pub mod net;
#[cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, reason = "some of it serves `io_uring` alone")
)]
mod op;
#[cfg_attr(
    windows,
    allow(
        dead_code,
        reason = "much of it serves requests, and none is made there"
    )
)]
mod reactor;
mod sched;
pub mod sequence;
#[cfg(unix)] // Windows: there are no signals to wait for
pub mod signal;
mod stack;
mod stats;
pub mod sync;
mod sys;
mod task;
pub mod time;
pub mod timer;
#[cfg(all(unix, feature = "tls"))]
pub mod tls;
#[cfg(unix)]
#[cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, reason = "much of it serves `io_uring` alone")
)]
mod tray;
mod wheel;
#[cfg(all(feature = "ws", unix))] // Windows: flux has no sockets there
pub mod ws;

pub use flux_macros::{fiber, init, main, test};

pub use config::{Config, Core, EventEngine, Idle, StackClass};
pub use error::{Elapsed, Full, InitError, JoinError, RunError, Stopped};
pub use reactor::{Reactor, idle, init, pin_to_core, set_idle, unpin_thread};
pub use stats::{StackStats, Stats, stats};
pub use task::{
    Builder, Fiber, IntoFiber, JoinHandle, Scope, ScopedJoinHandle, no_suspend, scope, shielded,
    shutdown, spawn, timeout, try_spawn, yield_now,
};
