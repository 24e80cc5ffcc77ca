//! What both sides of a handshake read and write: heads of bounded size, headers by name, the proof of having read.
//!
//! Does not know what either side must say.

use sha1::{Digest, Sha1};

use crate::net::Wire;
use crate::ws::config::Config;
use crate::ws::error::{Error, HandshakeError, Limit, Misuse};

/// The fewest bytes of a header: a name, a colon, the end of its line.
const HEADER_MIN: usize = 3;

/// What every server adds to the client's key (section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The `Sec-WebSocket-Accept` that belongs to a `Sec-WebSocket-Key`.
pub(super) fn accept_for(key: &[u8]) -> String {
    let digest = Sha1::new_with_prefix(key).chain_update(GUID).finalize();
    data_encoding::BASE64.encode(&digest)
}

/// The headers of the other side: few, and looked at once, so that they are copied out of the wire.
#[derive(Debug)]
pub(super) struct Headers(Vec<(String, Vec<u8>)>);

impl Headers {
    pub(super) fn copy(parsed: &[httparse::Header<'_>]) -> Self {
        let copy =
            |header: &httparse::Header<'_>| (header.name.to_owned(), header.value.to_owned());
        Self(parsed.iter().map(copy).collect())
    }

    /// The values under a name, in their order.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.0
            .iter()
            .filter(move |(is, _)| is.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_slice())
    }

    /// The value under a name that must be there once.
    pub(super) fn only(&self, name: &'static str) -> Result<&[u8], HandshakeError> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (Some(value), None) => Ok(value.trim_ascii()),
            _ => Err(HandshakeError::Header(name)),
        }
    }

    /// The words under a name, which are lists with commas.
    pub(super) fn words(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.all(name)
            .flat_map(|value| value.split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|word| !word.is_empty())
    }

    /// Expects a word among those under a name.
    pub(super) fn expect(&self, name: &'static str, word: &str) -> Result<(), HandshakeError> {
        let found = self
            .words(name)
            .any(|is| is.eq_ignore_ascii_case(word.as_bytes()));
        found.then_some(()).ok_or(HandshakeError::Header(name))
    }
}

/// A head and how long it is, when all of it is there.
pub(super) type Parsed<T> = Result<Option<(usize, T)>, httparse::Error>;

/// Reads a head, takes it from the wire, and returns what `parse` made of it.
///
/// `parse` is given a head and how many headers it may have, and says how long it is. It is asked when a line has ended
/// or the bytes have doubled: one that comes byte by byte is not parsed as many times.
pub(super) fn read<T>(
    wire: &mut impl Wire,
    config: &Config,
    parse: impl Fn(&[u8], usize) -> Parsed<T>,
) -> Result<T, Error> {
    let max = config.head_max.min(wire.capacity());
    let (mut seen, mut parsed) = (0, 0);
    loop {
        let unread = wire.unread();
        let head = &unread[..unread.len().min(max)];
        if head[seen..].contains(&b'\n') || head.len() > 2 * parsed {
            parsed = head.len();
            // Room for as many as there can be in so few bytes: the setting may be without a bound.
            let headers = config.headers_max.min(head.len() / HEADER_MIN + 1);
            match parse(head, headers) {
                Ok(Some((size, made))) => {
                    wire.consume(size);
                    return Ok(made);
                }
                Ok(None) => {}
                Err(httparse::Error::TooManyHeaders) => {
                    let max = config.headers_max;
                    return Err(Error::Limit(Limit::Headers { max }));
                }
                Err(error) => {
                    let error = HandshakeError::Malformed(error.to_string());
                    return Err(Error::Handshake(error));
                }
            }
        }
        seen = head.len();
        if seen == max {
            return Err(Error::Limit(Limit::Head { max }));
        }
        let before = unread.len();
        if wire.fill()? == before {
            return Err(Error::UnexpectedEof);
        }
    }
}

/// Whether the text can stand in a line of a head: visible ASCII, and spaces where they are allowed.
pub(super) fn check(part: &'static str, text: &str, spaces: bool) -> Result<(), Error> {
    let stands = |byte: u8| byte.is_ascii_graphic() || (spaces && byte == b' ');
    if !text.is_empty() && text.bytes().all(stands) {
        Ok(())
    } else {
        Err(Error::Misuse(Misuse::Head(part)))
    }
}

/// Whether the text is a token of HTTP: the name of a header, a subprotocol.
pub(super) fn check_token(part: &'static str, text: &str) -> Result<(), Error> {
    let stands = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !text.is_empty() && text.bytes().all(stands) {
        Ok(())
    } else {
        Err(Error::Misuse(Misuse::Head(part)))
    }
}

/// Whether a header can be added to a handshake: one that can stand there, and is not the handshake's own.
pub(super) fn check_header(name: &str, value: &str) -> Result<(), Error> {
    const OWN: [&str; 9] = [
        "connection",
        "content-length",
        "host",
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-protocol",
        "sec-websocket-version",
        "upgrade",
    ];
    check_token("name of a header", name)?;
    if !value.is_empty() {
        check("value of a header", value, true)?;
    }
    if OWN.iter().any(|own| own.eq_ignore_ascii_case(name)) {
        return Err(Error::Misuse(Misuse::Head("name of a header")));
    }
    Ok(())
}

/// Adds a header to a head that is being written.
pub(super) fn add(head: &mut String, name: &str, value: &str) {
    for part in [name, ": ", value, "\r\n"] {
        head.push_str(part);
    }
}
