//! Connected pairs of TCP sockets on loopback, made before anything is measured.
//!
//! All contenders get the same: accepting is not what is compared.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

/// How long a peer waits for a contender before it gives up with an error: a hang becomes a sentence.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The two ends of some connections, in the same order.
#[derive(Debug)]
pub struct Pairs {
    /// For the contender.
    pub server: Vec<TcpStream>,
    /// For whoever drives it. Blocking, with [`PATIENCE`].
    pub client: Vec<TcpStream>,
}

/// Makes `count` connections.
///
/// # Errors
/// The system's.
pub fn pairs(count: usize) -> io::Result<Pairs> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let mut pairs = Pairs {
        server: Vec::with_capacity(count),
        client: Vec::with_capacity(count),
    };
    for _ in 0..count {
        let client = TcpStream::connect(address)?;
        let (server, _) = listener.accept()?;
        for end in [&client, &server] {
            end.set_nodelay(true)?;
        }
        client.set_read_timeout(Some(PATIENCE))?;
        client.set_write_timeout(Some(PATIENCE))?;
        pairs.client.push(client);
        pairs.server.push(server);
    }
    Ok(pairs)
}
