//! The same handler with tungstenite and rustls, unmodified, for comparison: `--client tungstenite`.
//!
//! A fiber has a stack, so that libraries for blocking streams run in it as they are. What they cost
//! more is in the report: the same clock is asked at the same place, right above the socket.

use std::cell::Cell;
use std::io::{Read, Write};
use std::rc::Rc;
use std::time::Duration;

use flux::net::TcpStream;
use flux::time::Instant;
use flux_examples::backoff::Backoff;
use flux_examples::stamp::Stamped;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{HandshakeError, Message, WebSocket};

use crate::broken::{Broken, within};
use crate::feed::{Feed, Server};
use crate::snapshots::Snapshots;
use crate::trust::Trust;

/// tungstenite's default of 128 KiB is cleared before each read, which costs more than the message.
const READ_BUFFER: usize = 8 << 10;

/// The longest message that is taken.
const MESSAGE_MAX: usize = 16 << 20;

/// One connection, from the first byte to the close frame.
pub(crate) fn session(feed: &Rc<Feed>, backoff: &mut Backoff) -> Result<(), Broken> {
    feed.on_connecting();
    let (server, patience) = (&feed.endpoint.stream, feed.patience);
    let arrived = Cell::new(Instant::now());
    let stream = within(patience, "the connection", || {
        TcpStream::connect(server.address)
    })?;
    stream.set_nodelay(true)?;
    let stream = Stamped::new(stream, Instant::now, &arrived);
    match &server.trust {
        None => talk(feed, backoff, upgrade(feed, stream)?, &arrived),
        Some(trust) => {
            let stream = secure(server, trust, stream, patience)?;
            talk(feed, backoff, upgrade(feed, stream)?, &arrived)
        }
    }
}

/// Shakes hands over TLS.
fn secure<S: Read + Write>(
    server: &Server,
    trust: &Trust,
    stream: S,
    patience: Duration,
) -> Result<StreamOwned<ClientConnection, S>, Broken> {
    let name = ServerName::try_from(server.host.clone()).map_err(std::io::Error::other)?;
    let connection =
        ClientConnection::new(trust.rustls.clone(), name).map_err(std::io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    within(patience, "the TLS handshake", || {
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok::<_, std::io::Error>(stream)
    })
}

fn upgrade<S: Read + Write>(feed: &Feed, stream: S) -> Result<WebSocket<S>, Broken> {
    const WHAT: &str = "the upgrade";
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(MESSAGE_MAX))
        .max_frame_size(Some(MESSAGE_MAX));
    within(feed.patience, WHAT, || {
        let url = feed.endpoint.url();
        match tungstenite::client::client_with_config(url, stream, Some(config)) {
            Ok((socket, _)) => Ok(socket),
            Err(HandshakeError::Failure(error)) => Err(Broken::from(error)),
            // A fiber's reads and writes never answer "later", so this cannot come.
            Err(HandshakeError::Interrupted(_)) => Err(Broken::Slow(WHAT, feed.patience)),
        }
    })
}

fn talk<S: Read + Write>(
    feed: &Rc<Feed>,
    backoff: &mut Backoff,
    mut socket: WebSocket<S>,
    arrived: &Cell<Instant>,
) -> Result<(), Broken> {
    feed.on_connected();
    let mut snapshots = Snapshots::start(feed);
    loop {
        match next_data(&mut socket, feed.patience)? {
            Message::Text(text) => feed.apply(text.as_bytes(), arrived.get())?,
            Message::Binary(packet) => feed.apply(&packet, arrived.get())?,
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

/// The next message with data, or the close.
fn next_data<S: Read + Write>(
    socket: &mut WebSocket<S>,
    patience: Duration,
) -> Result<Message, Broken> {
    within(patience, "data", || {
        loop {
            match socket.read() {
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                result => return result,
            }
        }
    })
}

/// Answers a close frame and waits until the server has closed, but not for ever.
fn say_goodbye<S: Read + Write>(socket: &mut WebSocket<S>) {
    // Any end of this is an end of the connection, which is all that is wanted.
    let _ = flux::timeout(Duration::from_secs(1), || while socket.read().is_ok() {});
}
