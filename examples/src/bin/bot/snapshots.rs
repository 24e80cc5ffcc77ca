//! Snapshots over HTTP, fetched by a fiber of their own while the stream goes on.
//!
//! One fiber per connection takes the requests one after another, which is also what an exchange's
//! request limits ask for. It ends with the session whose books wait for it. TLS is flux's, whichever
//! client follows the stream.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use flux::net::TcpStream;
use flux::sync::{Receiver, Sender, channel};
use flux::{JoinHandle, Stopped, tls};
use flux_examples::backoff::Backoff;
use flux_examples::books::Fault;
use flux_examples::http::{self, HttpError};
use flux_examples::sync::Answer;

use crate::broken::TlsSentence;
use crate::feed::{Feed, Server};
use crate::tally::{self, Cold};

/// How often a snapshot is asked for once the stream has ended: nobody waits for it any more.
const ATTEMPTS_AT_THE_END: u32 = 5;

/// The longest that a server may ask to be left alone.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(2);

/// For each book, whether it has asked and has no answer yet.
type Asked = Rc<[Cell<bool>]>;

/// The index of a book, and the leave to allocate until it has its snapshot.
type Request = (usize, Cold);

/// The fiber that fetches snapshots, and the way to ask it.
pub(crate) struct Snapshots {
    feed: Rc<Feed>,
    asked: Asked,
    requests: Option<Sender<Request>>,
    fiber: Option<JoinHandle<Result<(), Stopped>>>,
}

impl Snapshots {
    /// Starts the fiber, if the venue's snapshots are not in the stream.
    pub(crate) fn start(feed: &Rc<Feed>) -> Self {
        let books = feed.snapshot_books();
        let asked: Asked = (0..books).map(|_| Cell::new(false)).collect();
        let mut snapshots = Self {
            feed: Rc::clone(feed),
            asked,
            requests: None,
            fiber: None,
        };
        if books > 0 {
            // A book has one request at a time, so there is always room.
            let (sender, receiver) = channel(books);
            snapshots.requests = Some(sender);
            let asked = Rc::clone(&snapshots.asked);
            snapshots.fiber = Some(flux::spawn(fetch_snapshots(
                Rc::clone(feed),
                asked,
                receiver,
            )));
        }
        snapshots
    }

    /// Asks for what the books want and have not asked for yet.
    pub(crate) fn ask(&self) {
        let Some(requests) = &self.requests else {
            return;
        };
        for (index, asked) in self.asked.iter().enumerate() {
            if !asked.get() && self.feed.wants_snapshot(index) {
                asked.set(requests.try_send((index, tally::cold())).is_ok());
            }
        }
    }

    /// The stream has ended: waits for what has been asked for.
    pub(crate) fn finish(&mut self) {
        self.ask();
        self.feed.stop();
        self.requests = None;
        if let Some(fiber) = self.fiber.take() {
            // It has told what went wrong; a book without snapshot says so itself.
            let _ = fiber.join();
        }
    }
}

impl Drop for Snapshots {
    fn drop(&mut self) {
        if let Some(fiber) = &self.fiber {
            fiber.cancel();
        }
    }
}

/// Answers requests until nobody can ask any more.
#[flux::fiber(stack = "medium")]
fn fetch_snapshots(
    feed: Rc<Feed>,
    asked: Asked,
    requests: Receiver<Request>,
) -> Result<(), Stopped> {
    while let Ok((index, _cold)) = requests.recv() {
        let mut backoff = Backoff::new(feed.seed.wrapping_add(1));
        let mut attempts = 0;
        while feed.wants_snapshot(index) && !(feed.is_stopping() && attempts >= ATTEMPTS_AT_THE_END)
        {
            attempts += 1;
            let wait = match fetch(&feed, index) {
                Ok(Answer::Load { .. } | Answer::NotWanted) => break,
                Ok(Answer::TooOld) => {
                    feed.tell(format_args!(
                        "the snapshot of {} is older than its diffs",
                        feed.symbol(index)
                    ));
                    backoff.wait()
                }
                Err(error) if error.is_cancelled() => return Err(Stopped::Cancelled),
                Err(error) => {
                    feed.tell(format_args!(
                        "no snapshot of {}: {error}",
                        feed.symbol(index)
                    ));
                    backoff.wait().max(error.retry_after())
                }
            };
            flux::time::sleep(wait)?;
        }
        asked[index].set(false);
    }
    Ok(())
}

/// Asks for a snapshot, and gives it to the book.
fn fetch(feed: &Feed, index: usize) -> Result<Answer, FetchError> {
    let target = format!("{}{}", feed.endpoint.rest_target, feed.symbol(index));
    let body = flux::timeout(feed.patience, || get(&feed.endpoint.rest, &target))
        .map_err(|_| FetchError::Slow(feed.patience))??;
    feed.on_snapshot(index, &body).map_err(FetchError::Fault)
}

/// One request over a connection of its own.
fn get(server: &Server, target: &str) -> Result<Vec<u8>, FetchError> {
    let mut stream = TcpStream::connect(server.address)?;
    stream.set_nodelay(true)?;
    Ok(match &server.trust {
        None => http::get(&mut stream, &server.authority, target)?,
        Some(trust) => {
            let feed = stream.into_feed()?;
            let mut stream = trust.connector.connect(feed, &server.host)?;
            http::get(&mut stream, &server.authority, target)?
        }
    })
}

/// Why there is no snapshot.
#[derive(Debug)]
enum FetchError {
    Slow(Duration),
    Http(HttpError),
    Tls(tls::Error),
    Fault(Fault),
}

impl From<std::io::Error> for FetchError {
    fn from(error: std::io::Error) -> Self {
        Self::Http(error.into())
    }
}

impl From<HttpError> for FetchError {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}

impl From<tls::Error> for FetchError {
    fn from(error: tls::Error) -> Self {
        match error {
            // The socket's, being cancelled among it.
            tls::Error::Io(error) => error.into(),
            error => Self::Tls(error),
        }
    }
}

impl FetchError {
    fn is_cancelled(&self) -> bool {
        let cancelled = std::io::Error::from(Stopped::Cancelled).raw_os_error();
        matches!(self, Self::Http(HttpError::Io(error)) if error.raw_os_error() == cancelled)
    }

    /// How long the server wants to be left alone.
    fn retry_after(&self) -> Duration {
        match self {
            Self::Http(HttpError::Status {
                retry_after: Some(seconds),
                ..
            }) => Duration::from_secs(*seconds).min(RETRY_AFTER_MAX),
            _ => Duration::ZERO,
        }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slow(patience) => {
                write!(f, "waited {} ms for the answer", patience.as_millis())
            }
            Self::Http(error) => error.fmt(f),
            Self::Tls(error) => TlsSentence(error).fmt(f),
            Self::Fault(fault) => write!(f, "the answer is no snapshot: {fault}"),
        }
    }
}
