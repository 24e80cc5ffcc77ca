//! WebSocket: what the RFC says of each byte, over a wire made of memory; and what others make of it, over sockets.

#![allow(
    clippy::disallowed_methods,
    reason = "std's sockets and threads are what flux meets here; each call is answered without a fiber"
)]

mod common;

#[path = "ws/autobahn.rs"]
mod autobahn;
#[path = "ws/handshakes.rs"]
mod handshakes;
#[path = "ws/interop.rs"]
mod interop;
#[path = "ws/reading.rs"]
mod reading;
#[path = "ws/sending.rs"]
mod sending;
#[path = "ws/wire.rs"]
mod wire;
