//! WebSocket: what the RFC says of each byte, over a wire made of memory; and what others make of it, over sockets.

#[path = "ws/autobahn.rs"]
mod autobahn;
#[path = "ws/reading.rs"]
mod reading;
#[path = "ws/wire.rs"]
mod wire;
