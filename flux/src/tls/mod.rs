//! TLS for clients, over whatever brings bytes: records are decrypted where they were received.
//!
//! Behind the feature `tls`.
//!
//! The handshake, the certificates and the keys are rustls's. The records behind it are opened and sealed here, with
//! the same cipher (ring's): in place, without an allocation.
//!
//! A [`Connector`] is made once, up front. [`Connector::connect`] takes a [`Wire`](crate::net::Wire), a feed of a socket
//! say, and gives a [`Stream`], which is a wire again: what is read in place over TCP is read in place over TLS, by the
//! same code.
//!
//! # What suspends
//!
//! [`Connector::connect`], `fill` and `read`, and whatever writes, as the wire below does. A deadline or a cancel ends
//! them as it ends any I/O, and nothing is lost: after the handshake they may be called again. A write whose record was
//! half gone is the exception: what the server has of it cannot be taken back, and [`Fault::PartialWrite`] says so.
//!
//! # What allocates
//!
//! [`Connector::new`] and [`Connector::connect`], and the few session tickets that a server sends right after the
//! handshake. Data never does.
//!
//! # What is not there
//!
//! Servers, certificates of clients, early data, and renegotiation, which TLS 1.3 has done away with.
//!
//! # Example
//!
//! A server of rustls on a thread, and a client over a feed:
//!
//! ```
//! use std::io::{self, Read, Write};
//! use std::sync::Arc;
//!
//! use flux::net::{TcpStream, Wire};
//! use flux::tls::{Connector, Roots};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
//! let roots = Roots::from_pem(signed.cert.pem().as_bytes())?;
//! let provider = rustls::crypto::ring::default_provider();
//! let config = rustls::ServerConfig::builder_with_provider(Arc::new(provider))
//!     .with_safe_default_protocol_versions()?
//!     .with_no_client_auth()
//!     .with_single_cert(
//!         vec![signed.cert.der().clone()],
//!         signed.signing_key.serialize_der().try_into()?,
//!     )?;
//! let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
//! let address = listener.local_addr()?;
//! let server = std::thread::spawn(move || -> io::Result<()> {
//!     let connection = rustls::ServerConnection::new(Arc::new(config)).map_err(io::Error::other)?;
//!     let mut stream = rustls::StreamOwned::new(connection, listener.accept()?.0);
//!     let mut question = [0; 4];
//!     stream.read_exact(&mut question)?;
//!     stream.write_all(b"pong")?;
//!     stream.conn.send_close_notify();
//!     stream.flush()
//! });
//!
//! flux::Config::new().run(move || -> io::Result<()> {
//!     let feed = TcpStream::connect(address)?.into_feed()?;
//!     let mut stream = Connector::new(roots).connect(feed, "localhost")?;
//!     stream.write_all(b"ping")?;
//!     assert_eq!(stream.fill()?, 4);
//!     assert_eq!(stream.unread(), b"pong"); // decrypted in the memory of the feed
//!     assert_eq!(stream.fill()?, 4); // as many as before: the server has finished
//!     stream.close()
//! })??;
//! server.join().unwrap()?;
//! # Ok(())
//! # }
//! ```
//!
//! A WebSocket goes over it as it goes over a feed (feature `ws`). The stack is a medium one: a handshake takes room.
//!
//! ```no_run
//! # #[cfg(feature = "ws")] {
//! use std::net::SocketAddr;
//!
//! use flux::net::TcpStream;
//! use flux::tls::Connector;
//! use flux::ws::{self, Request};
//!
//! #[flux::fiber(stack = "medium")]
//! fn follow(
//!     connector: Connector,
//!     address: SocketAddr,
//!     host: &'static str,
//! ) -> Result<(), ws::Error> {
//!     let feed = TcpStream::connect(address)?.into_feed()?;
//!     let stream = connector.connect(feed, host).map_err(std::io::Error::from)?;
//!     let mut socket = ws::connect(stream, Request::new(host, "/ws/btcusdt@bookTicker"))?;
//!     while let Some(message) = socket.read()? {
//!         println!("{} bytes", message.as_bytes().len());
//!     }
//!     Ok(())
//! }
//! # let _ = follow;
//! # }
//! ```

mod alert;
mod connector;
mod control;
mod error;
mod fault;
mod handshake;
mod keys;
mod post;
mod record;
mod send;
mod stream;

pub use alert::Alert;
pub use connector::{Connector, Roots};
pub use error::{CertificateFault, Error};
pub use fault::Fault;
pub use stream::Stream;

/// A version of TLS that a connection may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// TLS 1.2, RFC 5246.
    Tls12,
    /// TLS 1.3, RFC 8446.
    Tls13,
}
