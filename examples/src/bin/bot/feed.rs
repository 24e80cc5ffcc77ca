//! One connection's state, shared by the fibers that work on it: books, counters, news.
//!
//! All fibers run on one core, so a `Cell` or a `RefCell` is all it takes. No borrow is held over a
//! call that suspends: every method here borrows, works, and gives back.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use flux::time::Instant;
use flux_examples::books::{Books, Effect, Fault};
use flux_examples::report::Latency;
use flux_examples::sync::{Answer, Cause};

use crate::broken::Broken;
use crate::options::Options;
use crate::tally;
use crate::trust::Trust;

/// How many sentences wait to be printed; more are counted and dropped.
const NEWS_MAX: usize = 32;

/// Which libraries stand between a socket and the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    /// `flux::ws` over `flux::tls` over a feed, all in place.
    Flux,
    /// tungstenite over rustls over a stream, unmodified.
    Tungstenite,
}

/// A server, and how to speak to it.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// Its name in requests, with the port if that is none of the usual ones.
    pub(crate) authority: String,
    /// Its name in its certificate.
    pub(crate) host: String,
    /// Whom to believe over TLS; none where it is spoken to plain.
    pub(crate) trust: Option<Trust>,
}

/// Where a feed comes from, and what to ask for there.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// The server of the stream.
    pub(crate) stream: Server,
    /// Path and query of the stream.
    pub(crate) target: String,
    /// The server of the snapshots.
    pub(crate) rest: Server,
    /// Path and query of a snapshot, up to the symbol.
    pub(crate) rest_target: String,
    /// Whether a normal close is the end of everything, as it is at the embedded exchange.
    pub(crate) finite: bool,
}

impl Endpoint {
    /// The address of the stream, as people write it.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.stream.trust.is_some() {
            "wss"
        } else {
            "ws"
        };
        format!("{scheme}://{}{}", self.stream.authority, self.target)
    }
}

/// What has been counted on a connection.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Messages with data.
    pub(crate) messages: Cell<u64>,
    /// Their bytes.
    pub(crate) bytes: Cell<u64>,
    /// How often the connection was up.
    pub(crate) connects: Cell<u64>,
    /// How often it, or an attempt at it, failed.
    pub(crate) failures: Cell<u64>,
    /// Messages that could not be read.
    pub(crate) refused: Cell<u64>,
    /// Snapshots loaded.
    pub(crate) snapshots: Cell<u64>,
}

/// One connection and its books.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) name: String,
    pub(crate) endpoint: Endpoint,
    pub(crate) client: Client,
    pub(crate) patience: Duration,
    pub(crate) seed: u64,
    pub(crate) counters: Counters,
    symbols: Vec<String>,
    books: RefCell<Books>,
    latency: RefCell<Latency>,
    news: RefCell<VecDeque<String>>,
    news_lost: Cell<u64>,
    /// Held from the first step of a connection until every book is there.
    building: RefCell<Option<tally::Cold>>,
    connected: Cell<bool>,
    finished: Cell<bool>,
    /// Whether everybody was told to come to an end.
    stopping: Cell<bool>,
}

/// Adds to a counter.
pub(crate) fn count(counter: &Cell<u64>, more: u64) {
    counter.set(counter.get() + more);
}

impl Feed {
    pub(crate) fn new(
        name: String,
        endpoint: Endpoint,
        symbols: Vec<String>,
        books: Books,
        options: &Options,
        seed: u64,
    ) -> Self {
        Self {
            name,
            endpoint,
            client: options.client,
            patience: options.patience,
            seed,
            counters: Counters::default(),
            symbols,
            books: RefCell::new(books),
            latency: RefCell::default(),
            news: RefCell::new(VecDeque::with_capacity(NEWS_MAX)),
            news_lost: Cell::new(0),
            building: RefCell::default(),
            connected: Cell::new(false),
            finished: Cell::new(false),
            stopping: Cell::new(false),
        }
    }

    /// Applies a message whose bytes arrived at `arrived`.
    ///
    /// A message that cannot be read voids the books. Binance's are then built anew from snapshots;
    /// for the other venues this is an error, since only a new connection brings new snapshots.
    pub(crate) fn apply(&self, message: &[u8], arrived: Instant) -> Result<(), Fault> {
        tally::message();
        count(&self.counters.messages, 1);
        count(&self.counters.bytes, message.len() as u64);
        let effect = self.books.borrow_mut().apply(message);
        match effect {
            Ok(Effect::Updated(_)) => self.latency.borrow_mut().record(arrived.elapsed()),
            Ok(Effect::Nothing) => {}
            Ok(Effect::Void(index, cause)) => self.on_void(index, cause),
            Err(fault) => {
                count(&self.counters.refused, 1);
                if self.books.borrow().snapshots_come_in_band() {
                    return Err(fault);
                }
                self.tell(format_args!(
                    "a message was refused, and every book is built anew: {fault}"
                ));
            }
        }
        if self.building.borrow().is_some() && self.is_settled() {
            self.building.take();
        }
        Ok(())
    }

    /// Gives a book the snapshot that it asked for.
    pub(crate) fn on_snapshot(&self, index: usize, text: &[u8]) -> Result<Answer, Fault> {
        let (answer, effect) = self.books.borrow_mut().on_snapshot(index, text)?;
        match effect {
            Effect::Updated(_) => {
                count(&self.counters.snapshots, 1);
                if self.counters.snapshots.get() > self.symbols.len() as u64 {
                    self.tell(format_args!("{} has a book again", self.symbol(index)));
                }
            }
            Effect::Nothing => {}
            Effect::Void(index, cause) => self.on_void(index, cause),
        }
        Ok(answer)
    }

    /// What a strategy must hear before anything else: quotes on this book must go.
    fn on_void(&self, index: usize, cause: Cause) {
        self.tell(format_args!(
            "{} has no book: {cause}; asking for a snapshot",
            self.symbol(index)
        ));
    }

    /// A connection is about to be made.
    pub(crate) fn on_connecting(&self) {
        self.building.replace(Some(tally::cold()));
    }

    /// The connection is up.
    pub(crate) fn on_connected(&self) {
        if self.counters.connects.get() > 0 {
            self.tell(format_args!("connected again"));
        }
        count(&self.counters.connects, 1);
        self.connected.set(true);
    }

    /// The connection is down, and so are the books until it is back.
    pub(crate) fn on_lost(&self, why: &Broken, wait: Duration) {
        self.building.replace(Some(tally::cold()));
        count(&self.counters.failures, 1);
        self.connected.set(false);
        self.books.borrow_mut().on_lost();
        self.tell(format_args!(
            "{why}; trying again in {} ms",
            wait.as_millis()
        ));
    }

    /// The exchange has said that nothing more comes.
    pub(crate) fn on_finished(&self) {
        self.building.take();
        self.connected.set(false);
        self.finished.set(true);
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connected.get()
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.finished.get()
    }

    /// From now on, a close of any kind is the end.
    pub(crate) fn stop(&self) {
        self.stopping.set(true);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    pub(crate) fn symbol(&self, index: usize) -> &str {
        self.symbols.get(index).map_or("?", String::as_str)
    }

    pub(crate) fn wants_snapshot(&self, index: usize) -> bool {
        self.books.borrow().wants_snapshot(index)
    }

    /// Whether every book that is made of a snapshot has had one.
    fn is_settled(&self) -> bool {
        match &*self.books.borrow() {
            Books::Binance(books) => books.books().iter().all(|book| book.book_id().is_some()),
            _ => true,
        }
    }

    pub(crate) fn snapshot_books(&self) -> usize {
        self.books.borrow().snapshot_books()
    }

    /// Whether the whole stream came over one connection, every message readable.
    pub(crate) fn is_unbroken(&self) -> bool {
        self.counters.connects.get() == 1 && self.counters.refused.get() == 0
    }

    /// Looks at the books; `look` must not suspend.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Books) -> T) -> T {
        look(&self.books.borrow())
    }

    /// Adds this feed's latencies to `all`.
    pub(crate) fn add_latency(&self, all: &mut Latency) {
        all.add(&self.latency.borrow());
    }

    /// Something happened that people should know.
    pub(crate) fn tell(&self, sentence: fmt::Arguments<'_>) {
        let _cold = tally::cold();
        let mut news = self.news.borrow_mut();
        if news.len() < NEWS_MAX {
            news.push_back(sentence.to_string());
        } else {
            count(&self.news_lost, 1);
        }
    }

    /// What has happened since the last call.
    pub(crate) fn take_news(&self) -> Vec<String> {
        let mut news: Vec<String> = self.news.borrow_mut().drain(..).collect();
        let lost = self.news_lost.take();
        if lost > 0 {
            news.push(format!("and {lost} more events of this kind"));
        }
        news
    }
}
