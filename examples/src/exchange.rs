//! An exchange on loopback: real HTTP, real WebSocket, and books whose truth it knows.
//!
//! Plain std threads, std sockets, and tungstenite's server half, on purpose: the bot shall meet a
//! foreign implementation and not its own mirror image. One port takes both kinds of request, as
//! Binance's paths have it:
//!
//! | request | answer |
//! |---|---|
//! | `GET /stream?streams=btcusdt@depth@100ms/..`, upgraded | made-up spot diffs |
//! | `GET /public/stream?streams=btcusdt@depth@0ms/..`, upgraded | made-up futures diffs |
//! | `GET /api/v3/depth?symbol=..`, `GET /fapi/v1/depth?symbol=..` | the whole book at this moment |
//! | `GET /replay/N/stream?..`, upgraded | the N-th recording, verbatim |
//! | `GET /replay/N/..depth?..` | its recorded snapshot, and later the book as replayed so far |
//!
//! All of it plain, or all of it over TLS (rustls) with a certificate that is made at the start:
//! [`Exchange::authority`] is what clients have to trust. A request that comes plain to an exchange
//! with TLS is told so.
//!
//! IEX's packets are sent as binary WebSocket messages, one UDP payload each; real multicast comes
//! with the runtime's UDP feeds.
//!
//! Knows nothing of the bot. What it did wrong on demand is in [`faults`].

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::recording::Recording;
use certificate::Security;
use faults::{Fault, Faults};
use flow::Truth;
use market::Market;
use replay::Replay;

mod certificate;
pub mod faults;
pub mod flow;
mod link;
mod market;
mod replay;
mod session;
mod web;

/// How long connections are refused when that fault is asked for.
const REFUSED_FOR: Duration = Duration::from_millis(400);

/// How often a thread that waits looks whether the exchange is to stop.
const SLICE: Duration = Duration::from_millis(20);

/// The two kinds of diff-depth stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarketKind {
    /// Diffs with `U` and `u`, ten a second.
    Spot,
    /// Diffs with `U`, `u`, and `pu`, as they happen.
    Futures,
}

impl MarketKind {
    /// The update speed in the name of a depth stream.
    #[must_use]
    pub fn interval(self) -> &'static str {
        match self {
            Self::Spot => "100ms",
            Self::Futures => "0ms",
        }
    }
}

/// How fast time passes at the exchange.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// So many times as fast as in life.
    Times(f64),
    /// As fast as the reader reads.
    Max,
}

/// A made-up market.
#[derive(Debug, Clone)]
pub struct MarketPlan {
    /// Spot or futures.
    pub kind: MarketKind,
    /// Its symbols, in upper case.
    pub symbols: Vec<String>,
}

/// What the exchange does.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The port on the loopback interface; 0 takes a free one.
    pub port: u16,
    /// Whether it is spoken to over TLS, and not plain.
    pub tls: bool,
    /// Made-up markets, at most one of each kind.
    pub markets: Vec<MarketPlan>,
    /// What the made-up flows follow from.
    pub seed: u64,
    /// How long made-up markets are open, from their first subscriber on; none means until
    /// [`Exchange::finish`].
    pub open_for: Option<Duration>,
    /// Recordings to replay.
    pub recordings: Vec<Recording>,
    /// How fast.
    pub speed: Speed,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// Called first on every thread of the exchange. A thread inherits the cores of the one that
    /// starts it: a bot that is pinned to one core sends them elsewhere here.
    pub on_thread: fn(),
}

impl Default for Plan {
    /// An exchange without markets or recordings, at the speed of life.
    fn default() -> Self {
        Self {
            port: 0,
            tls: false,
            markets: Vec::new(),
            seed: 1,
            open_for: None,
            recordings: Vec::new(),
            speed: Speed::Times(1.0),
            faults: Vec::new(),
            on_thread: || {},
        }
    }
}

/// What all threads of the exchange share.
#[derive(Debug)]
struct Shared {
    markets: Vec<Arc<Market>>,
    replays: Vec<Replay>,
    speed: Speed,
    faults: Faults,
    /// What connections over TLS are made with; none while they are plain.
    security: Option<Security>,
    /// Streams are to end; snapshots are still served.
    stop: AtomicBool,
    /// Nothing is served any more.
    closing: AtomicBool,
    diffs_sent: AtomicU64,
    snapshots_asked: AtomicU64,
    pings: AtomicU64,
    pongs: AtomicU64,
    failures: Mutex<Vec<String>>,
    on_thread: fn(),
}

impl Shared {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn fail(&self, sentence: String) {
        lock(&self.failures).push(sentence);
    }

    fn market(&self, kind: MarketKind) -> Option<&Arc<Market>> {
        self.markets.iter().find(|market| market.kind() == kind)
    }
}

/// A thread that panicked while it held a lock has been reported; the others go on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running exchange; it stops when dropped.
#[derive(Debug)]
pub struct Exchange {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<thread::JoinHandle<()>>,
}

impl Exchange {
    /// Opens the exchange on the loopback interface.
    ///
    /// # Errors
    /// No socket or no thread can be had, or no certificate can be made.
    pub fn open(plan: Plan) -> io::Result<Self> {
        // The address is taken at once and listened on when it is time: until then the kernel
        // refuses connections to it.
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        // A port that was just left by another run is free again.
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, plan.port)).into())?;
        let address = socket
            .local_addr()?
            .as_socket()
            .ok_or(io::ErrorKind::AddrNotAvailable)?;
        let market = |of: &MarketPlan| Arc::new(Market::new(of, plan.seed));
        let shared = Arc::new(Shared {
            markets: plan.markets.iter().map(market).collect(),
            replays: plan.recordings.into_iter().map(Replay::new).collect(),
            speed: plan.speed,
            faults: Faults::new(&plan.faults),
            security: plan.tls.then(Security::new).transpose()?,
            stop: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            diffs_sent: AtomicU64::new(0),
            snapshots_asked: AtomicU64::new(0),
            pings: AtomicU64::new(0),
            pongs: AtomicU64::new(0),
            failures: Mutex::new(Vec::new()),
            on_thread: plan.on_thread,
        });
        for market in &shared.markets {
            let (market, shared, open_for) =
                (Arc::clone(market), Arc::clone(&shared), plan.open_for);
            start("market", plan.on_thread, move || {
                market.run(&shared, open_for);
            })?;
        }
        let refused = shared.faults.refuses();
        if !refused {
            socket.listen(128)?;
        }
        let for_acceptor = Arc::clone(&shared);
        let acceptor = start("exchange", plan.on_thread, move || {
            if refused {
                thread::sleep(REFUSED_FOR);
                if let Err(error) = socket.listen(128) {
                    return for_acceptor.fail(format!("the exchange cannot listen: {error}"));
                }
            }
            accept(&TcpListener::from(socket), &for_acceptor);
        })?;
        Ok(Self {
            address,
            shared,
            acceptor: Some(acceptor),
        })
    }

    /// Where the exchange is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate in PEM that clients have to trust; none if the exchange is plain.
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        self.shared
            .security
            .as_ref()
            .map(|security| &*security.authority)
    }

    /// Ends all streams with a close frame. Books can still be asked for.
    pub fn finish(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }

    /// The book of a made-up symbol as it is now.
    #[must_use]
    pub fn truth(&self, kind: MarketKind, symbol: &str) -> Option<Truth> {
        self.shared.market(kind)?.truth(symbol)
    }

    /// Whether the N-th recording has been sent to its end.
    #[must_use]
    pub fn replayed_to_the_end(&self, number: usize) -> bool {
        self.shared
            .replays
            .get(number)
            .is_some_and(Replay::is_finished)
    }

    /// How many pings were sent, and how many of them were answered.
    #[must_use]
    pub fn pings_and_pongs(&self) -> (u64, u64) {
        (
            self.shared.pings.load(Ordering::Relaxed),
            self.shared.pongs.load(Ordering::Relaxed),
        )
    }

    /// What went wrong that was not asked for: sentences.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        lock(&self.shared.failures).clone()
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.finish();
        self.shared.closing.store(true, Ordering::Relaxed);
        // A connection to itself ends the wait for the next one; if it cannot be made, the thread
        // has ended already.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        if let Some(acceptor) = self.acceptor.take() {
            // If it panicked, it has said so on stderr.
            let _ = acceptor.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    loop {
        match listener.accept() {
            Ok(_) if shared.closing.load(Ordering::Relaxed) => return,
            Ok((stream, _)) => {
                let shared_too = Arc::clone(shared);
                if let Err(error) = start("connection", shared.on_thread, move || {
                    web::serve(stream, &shared_too);
                }) {
                    shared.fail(format!("the exchange cannot start a thread: {error}"));
                }
            }
            // Out of descriptors, or the peer is gone already: neither ends an exchange.
            Err(_) => thread::sleep(SLICE),
        }
    }
}

/// Starts a thread, which first does what the plan wants done on every one of them.
fn start(
    name: &str,
    on_thread: fn(),
    body: impl FnOnce() + Send + 'static,
) -> io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        on_thread();
        body();
    })
}
