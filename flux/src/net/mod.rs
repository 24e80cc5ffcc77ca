//! TCP for fibers, under std's names: what blocks a thread there suspends a fiber here.
//!
//! Sockets are plain descriptors that look the reactor up when they are used, so that they are [`Send`],
//! [`Sync`] and [`Debug`](std::fmt::Debug) as libraries demand. Used off the reactor's thread they fail with
//! a clear error; dropping one there is fine.

mod addr;
mod descriptor;
mod io;
mod listener;
mod stream;

pub use addr::ToSocketAddrs;
pub use listener::{Incoming, TcpListener};
pub use std::net::Shutdown;
pub use stream::TcpStream;
