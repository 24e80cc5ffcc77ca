//! Snapshots over HTTP, fetched by a fiber of their own while the stream goes on.
//!
//! One fiber per connection takes the requests one after another, which is also what an exchange's
//! request limits ask for. It ends with the session whose books wait for it.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use flux::net::TcpStream;
use flux::sync::{Receiver, Sender, channel};
use flux::{JoinHandle, Stopped};
use flux_examples::backoff::Backoff;
use flux_examples::books::Fault;
use flux_examples::http::{self, HttpError};
use flux_examples::sync::Answer;

use crate::feed::Feed;

/// How often a snapshot is asked for once the stream has ended: nobody waits for it any more.
const ATTEMPTS_AT_THE_END: u32 = 5;

/// The longest that a server may ask to be left alone.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(2);

/// For each book, whether it has asked and has no answer yet.
type Asked = Rc<[Cell<bool>]>;

/// The fiber that fetches snapshots, and the way to ask it.
pub(crate) struct Snapshots {
    feed: Rc<Feed>,
    asked: Asked,
    requests: Option<Sender<usize>>,
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
                asked.set(requests.try_send(index).is_ok());
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
fn fetch_snapshots(feed: Rc<Feed>, asked: Asked, requests: Receiver<usize>) -> Result<(), Stopped> {
    while let Ok(index) = requests.recv() {
        let mut backoff = Backoff::new(feed.seed.wrapping_add(1));
        let mut attempts = 0;
        while feed.wants_snapshot(index) && !(feed.is_stopping() && attempts >= ATTEMPTS_AT_THE_END)
        {
            attempts += 1;
            let wait = match fetch(&feed, index) {
                Ok(Answer::Load { .. } | Answer::NotWanted) => break,
                Ok(Answer::TooOld) => {
                    feed.tell(format!(
                        "the snapshot of {} is older than its diffs",
                        feed.symbol(index)
                    ));
                    backoff.wait()
                }
                Err(error) if error.is_cancelled() => return Err(Stopped::Cancelled),
                Err(error) => {
                    feed.tell(format!("no snapshot of {}: {error}", feed.symbol(index)));
                    backoff.wait().max(error.retry_after())
                }
            };
            flux::time::sleep(wait)?;
        }
        asked[index].set(false);
    }
    Ok(())
}

/// One request over a connection of its own.
fn fetch(feed: &Feed, index: usize) -> Result<Answer, FetchError> {
    let endpoint = &feed.endpoint;
    let target = format!("{}{}", endpoint.rest_target, feed.symbol(index));
    let body = flux::timeout(feed.patience, || {
        let mut stream = TcpStream::connect(endpoint.rest)?;
        stream.set_nodelay(true)?;
        http::get(&mut stream, &endpoint.rest_host, &target)
    });
    let body = body
        .map_err(|_| FetchError::Slow(feed.patience))?
        .map_err(FetchError::Http)?;
    feed.on_snapshot(index, &body).map_err(FetchError::Fault)
}

/// Why there is no snapshot.
#[derive(Debug)]
enum FetchError {
    Slow(Duration),
    Http(HttpError),
    Fault(Fault),
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
            Self::Slow(patience) => write!(f, "waited {patience:?} for the answer"),
            Self::Http(error) => error.fmt(f),
            Self::Fault(fault) => write!(f, "the answer is no snapshot: {fault}"),
        }
    }
}
