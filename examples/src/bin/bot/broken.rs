//! Why a session ended before its time, by name, whichever client it was.

use std::fmt;
use std::io;
use std::time::Duration;

use flux::tls::{self, CertificateFault};
use flux::ws;
use flux_examples::books::Fault;
use tungstenite::error::ProtocolError;

/// Why a session ended before its time.
#[derive(Debug)]
pub(crate) enum Broken {
    /// There was no connection.
    Refused(io::Error),
    /// Something took longer than it may.
    Slow(&'static str, Duration),
    /// There was no TLS.
    Tls(tls::Error),
    /// The WebSocket ended, or never began.
    WebSocket(ws::Error),
    /// The same, of tungstenite.
    Foreign(Box<tungstenite::Error>),
    /// The exchange said goodbye when it was not its time, for this reason.
    Closed(String),
    /// Its messages can no longer be believed.
    Fault(Fault),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Refused(error)
    }
}

impl From<tls::Error> for Broken {
    fn from(error: tls::Error) -> Self {
        Self::Tls(error)
    }
}

impl From<ws::Error> for Broken {
    fn from(error: ws::Error) -> Self {
        Self::WebSocket(error)
    }
}

impl From<tungstenite::Error> for Broken {
    fn from(error: tungstenite::Error) -> Self {
        Self::Foreign(Box::new(error))
    }
}

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Runs a step of a session, but not for ever.
pub(crate) fn within<T, E: Into<Broken>>(
    patience: Duration,
    what: &'static str,
    step: impl FnOnce() -> Result<T, E>,
) -> Result<T, Broken> {
    flux::timeout(patience, step)
        .map_err(|_| Broken::Slow(what, patience))?
        .map_err(Into::into)
}

/// What an error of TLS means to who runs this program.
pub(crate) struct TlsSentence<'a>(pub(crate) &'a tls::Error);

impl fmt::Display for TlsSentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            tls::Error::Certificate {
                host,
                fault: CertificateFault::UnknownIssuer,
            } => write!(
                f,
                "the certificate of `{host}` is refused: nobody who is trusted stands behind it; \
                 `--ca FILE` says whom to trust"
            ),
            error => error.fmt(f),
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => write!(f, "no connection: {error}"),
            Self::Slow(what, deadline) => {
                write!(f, "waited {} ms for {what}", deadline.as_millis())
            }
            Self::Tls(error) => write!(f, "no connection: {}", TlsSentence(error)),
            Self::WebSocket(error) => websocket(error, f),
            Self::Foreign(error) => foreign(error, f),
            Self::Closed(reason) if reason.is_empty() => {
                f.write_str("the exchange closed the stream")
            }
            Self::Closed(reason) => write!(f, "the exchange closed the stream: {reason}"),
            Self::Fault(fault) => write!(f, "the books cannot be trusted: {fault}"),
        }
    }
}

const NO_CLOSE_FRAME: &str = "connection lost: the exchange ended it without a close frame";

fn websocket(error: &ws::Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match error {
        ws::Error::Io(error) => write!(f, "connection lost: {error}"),
        ws::Error::UnexpectedEof => f.write_str(NO_CLOSE_FRAME),
        ws::Error::Refused(refusal) => write!(f, "the exchange refuses the stream: {refusal}"),
        ws::Error::Limit(limit) => write!(f, "the exchange goes beyond a limit: {limit}"),
        ws::Error::Misuse(misuse) => write!(f, "the stream cannot be asked for: {misuse}"),
        error => write!(f, "the exchange does not speak WebSocket: {error}"),
    }
}

fn foreign(error: &tungstenite::Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match error {
        tungstenite::Error::Io(error) => write!(f, "connection lost: {error}"),
        tungstenite::Error::ConnectionClosed
        | tungstenite::Error::AlreadyClosed
        | tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            f.write_str(NO_CLOSE_FRAME)
        }
        tungstenite::Error::Http(answer) => {
            let body = answer.body().as_deref().unwrap_or_default();
            let body = String::from_utf8_lossy(body);
            write!(
                f,
                "the exchange refuses the stream: status {}: {body}",
                answer.status()
            )
        }
        tungstenite::Error::Capacity(error) => {
            write!(f, "the exchange goes beyond a limit: {error}")
        }
        error => write!(f, "the exchange does not speak WebSocket: {error}"),
    }
}
