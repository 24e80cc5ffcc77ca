//! The client's side of the handshake: what is asked, and what must be answered.
//!
//! Knows nothing of frames.

use httparse::Status;

use crate::net::Wire;
use crate::ws::config::Config;
use crate::ws::error::{Error, HandshakeError, Misuse, Refusal};
use crate::ws::frame::Role;
use crate::ws::send::Keys;
use crate::ws::socket::WebSocket;

use super::head::{self, Headers, Parsed};

/// The most bytes of the body that [`Error::Refused`] holds.
pub const REFUSAL_BODY_MAX: usize = 1024;

/// What a client asks for: a host, a path, and what else its server wants to know.
///
/// # Example
/// ```
/// use flux::ws::{Config, Request};
///
/// let request = Request::new("fstream.binance.com", "/public/stream?streams=btcusdt@depth@0ms")
///     .header("User-Agent", "quoter")
///     .config(Config::new().message_max(1 << 20));
/// # let _ = request;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Request {
    host: String,
    path: String,
    headers: Vec<(String, String)>,
    protocols: Vec<String>,
    config: Config,
}

impl Request {
    /// Asks `host` for `path`: the host as in the URL, with the port if it is none of 80 and 443; the path with its
    /// query, beginning with `/`.
    pub fn new(host: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            path: path.into(),
            headers: Vec::new(),
            protocols: Vec::new(),
            config: Config::new(),
        }
    }

    /// Adds a header: `Origin`, `Authorization`, what the server wants. Those of the handshake itself are not for this.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Offers a subprotocol; the first is preferred. [`WebSocket::protocol`] says which one the server took, if any.
    pub fn protocol(mut self, name: impl Into<String>) -> Self {
        self.protocols.push(name.into());
        self
    }

    /// Sets limits and sizes.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// The bytes of the request, or what of it cannot be one.
    fn encode(&self, key: &str) -> Result<Vec<u8>, Error> {
        head::check("host", &self.host, false)?;
        head::check("path", &self.path, false)?;
        if !self.path.starts_with('/') {
            return Err(Error::Misuse(Misuse::Head("path")));
        }
        let (path, host) = (&self.path, &self.host);
        let mut text = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        );
        for protocol in &self.protocols {
            head::check_token("subprotocol", protocol)?;
        }
        if !self.protocols.is_empty() {
            let all = self.protocols.join(", ");
            head::add(&mut text, "Sec-WebSocket-Protocol", &all);
        }
        for (name, value) in &self.headers {
            head::check_header(name, value)?;
            head::add(&mut text, name, value);
        }
        text.push_str("\r\n");
        Ok(text.into_bytes())
    }
}

/// Makes a WebSocket of a connection, as its client.
///
/// Frames that the server sent together with its answer come out of the first [`read`](WebSocket::read).
///
/// # Suspends
/// Until the server has answered. Put a [`timeout`](crate::timeout) around it.
///
/// # Errors
/// - [`Error::Refused`] when the server answers with another status than 101;
/// - [`Error::Handshake`] when its answer is none, or claims what it was not asked for;
/// - [`Error::Limit`] for more headers, or more bytes of them, than [`Config`] allows;
/// - [`Error::UnexpectedEof`] when it goes away; [`Error::Io`] for what the wire brings;
/// - [`Error::Misuse`] for a request that cannot be sent.
///
/// The wire is gone with each of them: a handshake cannot be gone on with.
pub fn connect<W: Wire>(mut wire: W, request: Request) -> Result<WebSocket<W>, Error> {
    request.config.check(wire.capacity())?;
    let mut keys = Keys::new()?;
    let key = data_encoding::BASE64.encode(&keys.nonce());
    wire.write_all(&request.encode(&key)?)?;
    wire.flush()?;
    let answer = head::read(&mut wire, &request.config, parse)?;
    if answer.status != 101 {
        return Err(refused(&mut wire, answer));
    }
    let protocol = check(&answer, &key, &request.protocols).map_err(Error::Handshake)?;
    Ok(WebSocket::new(
        wire,
        Role::Client,
        Some(keys),
        request.config,
        protocol,
    ))
}

struct Answer {
    version: u8,
    status: u16,
    reason: String,
    headers: Headers,
}

fn parse(head: &[u8], headers_max: usize) -> Parsed<Answer> {
    let mut headers = vec![httparse::EMPTY_HEADER; headers_max];
    let mut response = httparse::Response::new(&mut headers);
    let Status::Complete(size) = response.parse(head)? else {
        return Ok(None);
    };
    let answer = Answer {
        version: response.version.unwrap_or(0),
        status: response.code.unwrap_or(0),
        reason: response.reason.unwrap_or("").to_owned(),
        headers: Headers::copy(response.headers),
    };
    Ok(Some((size, answer)))
}

/// Checks that the answer is one to this request (section 4.1), and returns the subprotocol that it chose.
fn check(answer: &Answer, key: &str, offered: &[String]) -> Result<Option<String>, HandshakeError> {
    if answer.version < 1 {
        return Err(HandshakeError::Version);
    }
    let headers = &answer.headers;
    headers.expect("Upgrade", "websocket")?;
    headers.expect("Connection", "Upgrade")?;
    if headers.only("Sec-WebSocket-Accept")? != head::accept_for(key.as_bytes()).as_bytes() {
        return Err(HandshakeError::Accept);
    }
    if let Some(name) = headers.words("Sec-WebSocket-Extensions").next() {
        let name = String::from_utf8_lossy(name).into_owned();
        return Err(HandshakeError::Extension(name));
    }
    if headers.all("Sec-WebSocket-Protocol").next().is_none() {
        return Ok(None);
    }
    let chosen = String::from_utf8_lossy(headers.only("Sec-WebSocket-Protocol")?).into_owned();
    if offered.contains(&chosen) {
        Ok(Some(chosen))
    } else {
        Err(HandshakeError::Protocol(chosen))
    }
}

/// What the server said instead, with as much of the body as it announced, within bounds.
#[cold]
fn refused(wire: &mut impl Wire, answer: Answer) -> Error {
    let announced = answer
        .headers
        .only("Content-Length")
        .ok()
        .and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
    let wanted = REFUSAL_BODY_MAX
        .min(announced.unwrap_or(0))
        .min(wire.capacity());
    while wire.unread().len() < wanted {
        let before = wire.unread().len();
        // What is here of the body is enough, should the rest not come.
        if !matches!(wire.fill(), Ok(arrived) if arrived > before) {
            break;
        }
    }
    let body = wire.unread();
    let len = body.len().min(announced.unwrap_or(REFUSAL_BODY_MAX));
    Error::Refused(Box::new(Refusal {
        status: answer.status,
        reason: answer.reason,
        body: body[..len.min(REFUSAL_BODY_MAX)].to_vec(),
    }))
}
