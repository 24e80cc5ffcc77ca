//! The handshake of RFC 6455, section 4: HTTP, once.

pub(super) mod client;
mod head;
pub(super) mod server;
