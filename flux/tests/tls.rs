//! TLS as a client, against a rustls server in memory: what goes well, what a peer may do wrong, and what the wire
//! may do. The peers that are not rustls are in `.ci/tls-peers`.

#![cfg(all(unix, feature = "tls"))]

#[path = "tls/certificates.rs"]
mod certificates;
#[path = "tls/exchange.rs"]
mod exchange;
#[path = "tls/forged.rs"]
mod forged;
#[path = "tls/hostile.rs"]
mod hostile;
#[path = "tls/memory.rs"]
mod memory;
#[path = "tls/refused.rs"]
mod refused;
#[path = "tls/wire.rs"]
mod wire;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use certificates::{Authority, HOST, Offer, offers};
use flux::net::Wire;
use flux::tls::{Connector, Error, Fault, Stream};
use memory::{Memory, Peer};
use rustls::ServerConfig;

const CAPACITY: usize = 64 << 10;

fn tls13() -> Offer {
    offers()[0]
}

fn tls12() -> Offer {
    offers()[3]
}

/// What a test needs of both ends, before they are connected.
struct Ends {
    authority: Authority,
    config: Arc<ServerConfig>,
    connector: Connector,
}

impl Ends {
    fn new(offer: &Offer) -> Self {
        let authority = Authority::new();
        Self {
            config: authority.server(HOST, (2020, 2090), offer),
            connector: Connector::new(authority.roots()),
            authority,
        }
    }

    /// A connector that has no tickets.
    fn fresh(&self) -> Connector {
        Connector::new(self.authority.roots())
    }

    fn connect(&self) -> (Stream<Memory>, Rc<RefCell<Peer>>) {
        self.connect_over(CAPACITY)
    }

    fn connect_over(&self, capacity: usize) -> (Stream<Memory>, Rc<RefCell<Peer>>) {
        let peer = Peer::new(self.config.clone());
        let stream = self
            .connector
            .connect(Memory::new(&peer, capacity), HOST)
            .unwrap();
        (stream, peer)
    }
}

fn connected(offer: &Offer) -> (Stream<Memory>, Rc<RefCell<Peer>>) {
    Ends::new(offer).connect()
}

/// What broke a stream, by the error that it gave.
#[track_caller]
fn fault(error: &io::Error) -> Fault {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(Error::Broken(fault)) => *fault,
        _ => panic!("{error:?} is no fault of TLS"),
    }
}

/// Fills until nothing more is on its way, and says how much is unread.
fn fill_all(stream: &mut Stream<Memory>) -> usize {
    loop {
        match stream.fill() {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return stream.unread().len(),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Numbers that look random, the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % limit
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len)
            .map(|_| u8::try_from(self.below(256)).unwrap())
            .collect()
    }
}
