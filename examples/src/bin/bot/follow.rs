//! The handler: one fiber per connection, straight-line code, tungstenite unmodified.
//!
//! This is the part that a trader would copy. Every call that waits suspends this fiber alone; the
//! core goes on with the others.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use flux::Stopped;
use flux::net::TcpStream;
use flux::time::Instant;
use flux_examples::backoff::Backoff;
use flux_examples::books::Fault;
use flux_examples::stamp::Stamped;
use tungstenite::error::ProtocolError;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{HandshakeError, Message, WebSocket};

use crate::feed::Feed;
use crate::snapshots::Snapshots;

/// tungstenite's default of 128 KiB is cleared before each read, which costs more than the message.
const READ_BUFFER: usize = 8 << 10;

/// The longest message that is taken.
const MESSAGE_MAX: usize = 16 << 20;

type Socket = WebSocket<Stamped<TcpStream, Instant>>;

/// Follows a feed until it is finished or the fiber is cancelled: whatever breaks, it comes back.
#[flux::fiber(stack = "medium")]
pub(crate) fn follow(feed: Rc<Feed>) -> Result<(), Stopped> {
    let mut backoff = Backoff::new(feed.seed);
    loop {
        match session(&feed, &mut backoff) {
            Ok(()) => {
                feed.on_finished();
                return Ok(());
            }
            // The end was wanted: the books stay as they are, for the report.
            Err(_) if feed.is_stopping() => return Ok(()),
            Err(why) => {
                let wait = backoff.wait();
                feed.on_lost(&why.to_string(), wait);
                flux::time::sleep(wait)?;
            }
        }
    }
}

/// One connection, from the first byte to the close frame.
fn session(feed: &Rc<Feed>, backoff: &mut Backoff) -> Result<(), Broken> {
    let mut socket = connect(feed)?;
    feed.on_connected();
    let mut snapshots = Snapshots::start(feed);
    loop {
        match next_data(&mut socket, feed.patience)? {
            Message::Text(text) => feed.apply(text.as_bytes(), socket.get_ref().arrived())?,
            Message::Binary(packet) => feed.apply(&packet, socket.get_ref().arrived())?,
            Message::Close(frame) => {
                let normal = frame
                    .as_ref()
                    .is_some_and(|frame| frame.code == CloseCode::Normal);
                if !(feed.endpoint.finite && normal || feed.is_stopping()) {
                    return Err(Broken::Closed(
                        frame.map_or_else(String::new, |frame| frame.reason.to_string()),
                    ));
                }
                say_goodbye(&mut socket);
                snapshots.finish();
                return Ok(());
            }
            _ => {}
        }
        backoff.reset();
        snapshots.ask();
    }
}

/// Connects and upgrades, within the feed's patience.
fn connect(feed: &Feed) -> Result<Socket, Broken> {
    let deadline = feed.patience;
    let stream = flux::timeout(deadline, || TcpStream::connect(feed.endpoint.stream))
        .map_err(|_| Broken::Slow("the connection", deadline))?
        .map_err(Broken::Refused)?;
    stream.set_nodelay(true).map_err(Broken::Refused)?;
    let stream = Stamped::new(stream, Instant::now);
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(MESSAGE_MAX))
        .max_frame_size(Some(MESSAGE_MAX));
    let upgraded = flux::timeout(deadline, || {
        let url = feed.endpoint.url.as_str();
        match tungstenite::client::client_with_config(url, stream, Some(config)) {
            Ok((socket, _)) => Ok(socket),
            Err(HandshakeError::Failure(error)) => Err(error.into()),
            // A fiber's reads and writes never answer "later", so this cannot come.
            Err(HandshakeError::Interrupted(_)) => Err(Broken::Slow("the upgrade", deadline)),
        }
    });
    upgraded.map_err(|_| Broken::Slow("the upgrade", deadline))?
}

/// The next message with data, or the close. Pings are answered on the way, and don't count as a
/// sign of life: a feed can be dead behind a live connection.
fn next_data(socket: &mut Socket, patience: Duration) -> Result<Message, Broken> {
    let message = flux::timeout(patience, || {
        loop {
            match socket.read() {
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                result => return result,
            }
        }
    });
    Ok(message.map_err(|_| Broken::Slow("data", patience))??)
}

/// Answers a close frame and waits until the server has closed, but not for ever.
fn say_goodbye(socket: &mut Socket) {
    // Any end of this is an end of the connection, which is all that is wanted.
    let _ = flux::timeout(Duration::from_secs(1), || while socket.read().is_ok() {});
}

/// Why a session ended before its time.
#[derive(Debug)]
enum Broken {
    Refused(std::io::Error),
    Slow(&'static str, Duration),
    WebSocket(Box<tungstenite::Error>),
    Closed(String),
    Fault(Fault),
}

impl From<tungstenite::Error> for Broken {
    fn from(error: tungstenite::Error) -> Self {
        Self::WebSocket(Box::new(error))
    }
}

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => write!(f, "no connection: {error}"),
            Self::Slow(what, deadline) => write!(f, "waited {deadline:?} for {what}"),
            Self::WebSocket(error) => match &**error {
                tungstenite::Error::Io(error) => write!(f, "connection lost: {error}"),
                tungstenite::Error::ConnectionClosed
                | tungstenite::Error::AlreadyClosed
                | tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
                    f.write_str("connection lost: the exchange ended it without a close frame")
                }
                error => write!(f, "the exchange does not speak WebSocket: {error}"),
            },
            Self::Closed(reason) if reason.is_empty() => {
                f.write_str("the exchange closed the stream")
            }
            Self::Closed(reason) => write!(f, "the exchange closed the stream: {reason}"),
            Self::Fault(fault) => write!(f, "the books cannot be trusted: {fault}"),
        }
    }
}
