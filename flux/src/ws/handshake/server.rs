//! The server's side of the handshake: what was asked, and the answer to it.
//!
//! Knows nothing of frames.

use httparse::Status;

use crate::net::Wire;
use crate::ws::config::Config;
use crate::ws::error::{Error, HandshakeError, Misuse};
use crate::ws::frame::Role;
use crate::ws::socket::WebSocket;

use super::head::{self, Headers, Parsed};

/// The length of the key of a handshake, before it is encoded.
const KEY_LEN: usize = 16;

/// Makes a WebSocket of a connection, as its server, whatever the client asks for: to look at that first, or refuse it,
/// there is [`Handshake`].
///
/// # Suspends
/// Until the client has asked. Put a [`timeout`](crate::timeout) around it.
///
/// # Errors
/// Those of [`Handshake::read`].
pub fn accept<W: Wire>(wire: W, config: Config) -> Result<WebSocket<W>, Error> {
    Handshake::read(wire, config)?.accept()
}

/// A client's request for a WebSocket, to be accepted or refused.
///
/// # Example
/// ```
/// use flux::net::Wire;
/// use flux::ws::{Config, Error, Handshake, WebSocket};
///
/// /// Takes those who want the feed, and no others.
/// fn serve<W: Wire>(wire: W) -> Result<Option<WebSocket<W>>, Error> {
///     let handshake = Handshake::read(wire, Config::new())?;
///     if handshake.path() == "/feed" {
///         handshake.accept().map(Some)
///     } else {
///         handshake.refuse(404, "there is `/feed`, and nothing else\n").map(|_| None)
///     }
/// }
/// ```
#[derive(Debug)]
#[must_use = "a client waits for the answer"]
pub struct Handshake<W> {
    wire: W,
    config: Config,
    request: Asked,
    accept: String,
    protocol: Option<String>,
    added: Vec<(String, String)>,
}

#[derive(Debug)]
struct Asked {
    method: String,
    path: String,
    version: u8,
    headers: Headers,
}

impl<W: Wire> Handshake<W> {
    /// Waits for a client's request.
    ///
    /// # Suspends
    /// Until all of it has arrived.
    ///
    /// # Errors
    /// - [`Error::Handshake`] when it is none: the client has been told, with a status of 400, or of 405 or 426 where
    ///   they say it better;
    /// - [`Error::Limit`] for more headers, or more bytes of them, than [`Config`] allows: it has been told 431;
    /// - [`Error::UnexpectedEof`] when it goes away; [`Error::Io`] for what the wire brings;
    /// - [`Error::Misuse`] for settings that cannot work.
    ///
    /// The wire is gone with each of them.
    pub fn read(mut wire: W, config: Config) -> Result<Self, Error> {
        config.check(wire.capacity())?;
        let request = head::read(&mut wire, &config, parse);
        let checked = request.and_then(|request| match check(&request) {
            Ok(accept) => Ok((request, accept)),
            Err(error) => Err(Error::Handshake(error)),
        });
        match checked {
            Ok((request, accept)) => Ok(Self {
                wire,
                config,
                request,
                accept,
                protocol: None,
                added: Vec::new(),
            }),
            Err(error) => {
                let status = match &error {
                    Error::Handshake(HandshakeError::Method(_)) => Some(405),
                    Error::Handshake(HandshakeError::WebSocketVersion) => Some(426),
                    Error::Handshake(_) => Some(400),
                    Error::Limit(_) => Some(431),
                    _ => None,
                };
                if let Some(status) = status {
                    // That the client does not hear of it is not what the caller has to know.
                    drop(answer_refusal(&mut wire, status, &format!("{error}\n")));
                }
                Err(error)
            }
        }
    }

    /// What the client asks for, with the query.
    pub fn path(&self) -> &str {
        &self.request.path
    }

    /// The first header of that name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.request.headers.all(name).next()
    }

    /// The subprotocols that the client offers, the one that it prefers first.
    pub fn protocols(&self) -> impl Iterator<Item = &str> {
        self.request
            .headers
            .words("Sec-WebSocket-Protocol")
            .filter_map(|name| std::str::from_utf8(name).ok())
    }

    /// Chooses a subprotocol, of those that the client offers.
    pub fn protocol(mut self, name: impl Into<String>) -> Self {
        self.protocol = Some(name.into());
        self
    }

    /// Adds a header to the answer.
    pub fn add_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.added.push((name.into(), value.into()));
        self
    }

    /// Answers that it may be.
    ///
    /// # Suspends
    /// While the wire takes no more.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Misuse`] for a subprotocol that the client did not offer, or a header that cannot stand
    /// there.
    pub fn accept(mut self) -> Result<WebSocket<W>, Error> {
        let accept = &self.accept;
        let mut text = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n"
        );
        if let Some(protocol) = &self.protocol {
            head::check_token("subprotocol", protocol)?;
            if !self.protocols().any(|offered| offered == protocol) {
                return Err(Error::Misuse(Misuse::Protocol));
            }
            head::add(&mut text, "Sec-WebSocket-Protocol", protocol);
        }
        for (name, value) in &self.added {
            head::check_header(name, value)?;
            head::add(&mut text, name, value);
        }
        text.push_str("\r\n");
        self.wire.write_all(text.as_bytes())?;
        self.wire.flush()?;
        Ok(WebSocket::new(
            self.wire,
            Role::Server,
            None,
            self.config,
            self.protocol,
        ))
    }

    /// Answers that it may not be, with a status and a text for the body; the wire comes back to be dropped.
    ///
    /// # Suspends
    /// While the wire takes no more.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Misuse`] for a status that is none of 300 to 599.
    pub fn refuse(mut self, status: u16, body: &str) -> Result<W, Error> {
        if !(300..600).contains(&status) {
            return Err(Error::Misuse(Misuse::Status(status)));
        }
        answer_refusal(&mut self.wire, status, body)?;
        Ok(self.wire)
    }
}

/// What the common statuses are called.
fn reason_of(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Refused",
    }
}

fn answer_refusal(wire: &mut impl Wire, status: u16, body: &str) -> Result<(), Error> {
    let (reason, len) = (reason_of(status), body.len());
    let wanted = match status {
        405 => "Allow: GET\r\n",
        426 => "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
        _ => "",
    };
    let text = format!(
        "HTTP/1.1 {status} {reason}\r\n{wanted}Connection: close\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {len}\r\n\r\n{body}"
    );
    wire.write_all(text.as_bytes())?;
    wire.flush()?;
    Ok(())
}

fn parse(head: &[u8], headers_max: usize) -> Parsed<Asked> {
    let mut headers = vec![httparse::EMPTY_HEADER; headers_max];
    let mut request = httparse::Request::new(&mut headers);
    let Status::Complete(size) = request.parse(head)? else {
        return Ok(None);
    };
    let asked = Asked {
        method: request.method.unwrap_or("").to_owned(),
        path: request.path.unwrap_or("").to_owned(),
        version: request.version.unwrap_or(0),
        headers: Headers::copy(request.headers),
    };
    Ok(Some((size, asked)))
}

/// Checks that it is a request for a WebSocket (section 4.2.1), and returns the proof of having read it.
fn check(request: &Asked) -> Result<String, HandshakeError> {
    if request.method != "GET" {
        return Err(HandshakeError::Method(request.method.clone()));
    }
    if request.version < 1 {
        return Err(HandshakeError::Version);
    }
    let headers = &request.headers;
    headers.only("Host")?;
    headers.expect("Upgrade", "websocket")?;
    headers.expect("Connection", "Upgrade")?;
    if headers.only("Sec-WebSocket-Version")? != b"13" {
        return Err(HandshakeError::WebSocketVersion);
    }
    let key = headers.only("Sec-WebSocket-Key")?;
    match data_encoding::BASE64.decode(key) {
        Ok(decoded) if decoded.len() == KEY_LEN => Ok(head::accept_for(key)),
        _ => Err(HandshakeError::Header("Sec-WebSocket-Key")),
    }
}
