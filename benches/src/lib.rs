//! What the benches share: the harness, the contenders, and the load that drives them.
//!
//! ```text
//! benches/*.rs ──▶ harness   rounds in alternation, ratios, tables, goals
//!              ──▶ servers   raw (the limits), flux, tokio: the same work for each
//!              ──▶ load      the peer on the other core
//!              ──▶ hot       from a WebSocket's frame to the order book, with all that is between
//!              ──▶ timers    deadlines by the thousand, for flux, tokio, and std
//!                  frames, sockets, watch: what all servers and the load have in common
//! ```
//!
//! A figure is CPU time of the measured thread per operation, unless its unit says that it is a latency; and every claim
//! is a ratio between contenders of one run: absolute figures of one machine prove nothing.

pub mod frames;
pub mod harness;
pub mod sys;
pub mod tasks;
pub mod timers;
pub mod watch;

#[cfg(target_os = "linux")]
pub mod bare;
#[cfg(target_os = "linux")]
mod epoll;
#[cfg(target_os = "linux")]
pub mod floor;
#[cfg(target_os = "linux")]
pub mod hot;
#[cfg(target_os = "linux")]
pub mod load;
#[cfg(target_os = "linux")]
pub mod memory;
#[cfg(target_os = "linux")]
pub mod network;
#[cfg(target_os = "linux")]
pub mod raw_epoll;
#[cfg(target_os = "linux")]
pub mod raw_uring;
#[cfg(target_os = "linux")]
pub mod servers;
#[cfg(target_os = "linux")]
pub mod sockets;
#[cfg(target_os = "linux")]
pub mod step;

/// Whatever ends a bench early: a sentence for stderr.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;
