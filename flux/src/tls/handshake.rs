//! The handshake: rustls's, on the bytes of the wire where they lie.
//!
//! rustls is shown one record at a time, and the next when it asks for more: what the server sends right behind its
//! last message is a record of data, which is ours to open.
//!
//! Knows rustls's unbuffered connection, and how its errors read as ours.

use std::io;
use std::sync::Arc;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::kernel::KernelConnection;
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus};
use rustls::{CertificateError, ClientConfig, ExtractedSecrets, HandshakeKind, InvalidMessage};

use super::alert::Alert;
use super::error::{CertificateFault, Error};
use super::record::{HEADER, RECORD_MAX, kind};
use crate::net::Wire;

/// The most bytes that a server may need for its side: a chain of certificates is at most 64 KiB of them.
const BYTES_MAX: usize = 128 << 10;

/// What comes of a handshake.
pub(super) struct Shaken {
    pub(super) secrets: ExtractedSecrets,
    pub(super) kernel: KernelConnection<ClientConnectionData>,
    pub(super) alpn: Option<Box<[u8]>>,
    pub(super) resumed: bool,
}

/// What rustls wants next.
enum Next {
    Encoded(usize),
    Send,
    More,
    Done,
    Ended,
}

/// Shakes hands over `wire`, with `out` for what leaves. The records behind the handshake stay unread.
pub(super) fn shake<W: Wire>(
    wire: &mut W,
    config: Arc<ClientConfig>,
    host: &str,
    out: &mut [u8],
) -> Result<Shaken, Error> {
    let name = ServerName::try_from(host)
        .map_err(|_| Error::Host(host.into()))?
        .to_owned();
    let mut connection =
        UnbufferedClientConnection::new(config, name).map_err(|error| told(host, &error))?;
    // How much of `out` is to be sent, how much of what is unread rustls may see, and how much it is done with.
    let (mut queued, mut shown, mut done) = (0, 0, 0);
    loop {
        let UnbufferedStatus { discard, state } =
            connection.process_tls_records(&mut wire.unread_mut()[..shown]);
        let next = match state {
            Ok(ConnectionState::EncodeTlsData(mut data)) => match data.encode(&mut out[queued..]) {
                Ok(count) => Ok(Next::Encoded(count)),
                Err(error) => Err(unsent(host, &error)),
            },
            Ok(ConnectionState::TransmitTlsData(data)) => {
                data.done();
                Ok(Next::Send)
            }
            Ok(ConnectionState::BlockedHandshake) => Ok(Next::More),
            Ok(ConnectionState::WriteTraffic(_)) => Ok(Next::Done),
            Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Ok(Next::Ended),
            Ok(_) => Err(failed(host, "data came in mid-handshake")),
            Err(error) => Err(told(host, &error)),
        };
        wire.consume(discard);
        shown -= discard;
        done += discard;
        match next {
            Ok(Next::Encoded(count)) => queued += count,
            Ok(Next::Send) => {
                wire.write_all(&out[..queued])?;
                wire.flush()?;
                queued = 0;
            }
            Ok(Next::More) => shown = more(wire, shown, done, host)?,
            Ok(Next::Done) => break,
            Ok(Next::Ended) => return Err(Error::HandshakeEnded { host: host.into() }),
            Err(error) => {
                say_why(wire, &mut connection, out);
                return Err(error);
            }
        }
    }
    if shown > 0 {
        return Err(failed(
            host,
            "a message behind the last one is not complete",
        ));
    }
    let alpn = connection.alpn_protocol().map(Into::into);
    let resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
    let (secrets, kernel) = connection
        .dangerous_into_kernel_connection()
        .map_err(|error| told(host, &error))?;
    Ok(Shaken {
        secrets,
        kernel,
        alpn,
        resumed,
    })
}

/// Waits until a record more than is shown has come, and says how many bytes may be shown then.
fn more<W: Wire>(wire: &mut W, shown: usize, done: usize, host: &str) -> Result<usize, Error> {
    loop {
        let unread = wire.unread();
        if let Some(len) = record(&unread[shown..]) {
            return Ok(shown + len);
        }
        let before = unread.len();
        if done + before > BYTES_MAX {
            return Err(Error::HandshakeTooLong {
                host: host.into(),
                bytes_max: BYTES_MAX,
            });
        }
        match wire.fill() {
            Ok(count) if count > before => {}
            Ok(_) => return Err(Error::HandshakeEnded { host: host.into() }),
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                let capacity = wire.capacity();
                return Err(Error::SmallWire {
                    capacity,
                    least: capacity + RECORD_MAX,
                });
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// The bytes of the record that begins here, if all are there. What is no record is shown to rustls as it is, which
/// says why.
fn record(bytes: &[u8]) -> Option<usize> {
    let &[kind, major, _, high, low] = bytes.first_chunk::<HEADER>()?;
    let len = HEADER + usize::from(u16::from_be_bytes([high, low]));
    let known = (kind::CHANGE_CIPHER_SPEC..=kind::APPLICATION_DATA).contains(&kind);
    if !known || major != 3 || len > RECORD_MAX {
        return Some(bytes.len());
    }
    (len <= bytes.len()).then_some(len)
}

/// Sends the alert that rustls has for an error, if it has one.
fn say_why<W: Wire>(wire: &mut W, connection: &mut UnbufferedClientConnection, out: &mut [u8]) {
    let mut queued = 0;
    // Asked only while it has something to send: after an error it must not look at what came once more.
    while connection.wants_write()
        && let Ok(ConnectionState::EncodeTlsData(mut data)) =
            connection.process_tls_records(&mut []).state
    {
        match data.encode(&mut out[queued..]) {
            Ok(count) => queued += count,
            Err(_) => break,
        }
    }
    // The handshake has failed whether the server hears why or not.
    drop(wire.write_all(&out[..queued]).and_then(|()| wire.flush()));
}

fn failed(host: &str, why: &str) -> Error {
    Error::Handshake {
        host: host.into(),
        why: why.into(),
    }
}

fn unsent(host: &str, error: &EncodeError) -> Error {
    failed(host, &error.to_string())
}

/// An error of rustls's, as ours.
#[cold]
fn told(host: &str, error: &rustls::Error) -> Error {
    match error {
        rustls::Error::InvalidCertificate(error) => Error::Certificate {
            host: host.into(),
            fault: certificate(error),
        },
        rustls::Error::AlertReceived(alert) => Error::Refused {
            host: host.into(),
            alert: Alert::new(u8::from(*alert)),
        },
        rustls::Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::UnknownProtocolVersion
            | InvalidMessage::MessageTooLarge,
        ) => failed(host, "what came is not TLS"),
        _ => failed(host, &error.to_string()),
    }
}

fn certificate(error: &CertificateError) -> CertificateFault {
    match error {
        CertificateError::ExpiredContext { time, not_after } => CertificateFault::Expired {
            not_after: not_after.as_secs(),
            now: time.as_secs(),
        },
        CertificateError::NotValidYetContext { time, not_before } => {
            CertificateFault::NotYetValid {
                not_before: not_before.as_secs(),
                now: time.as_secs(),
            }
        }
        CertificateError::UnknownIssuer => CertificateFault::UnknownIssuer,
        CertificateError::NotValidForNameContext { presented, .. } => CertificateFault::WrongHost {
            presented: presented.clone(),
        },
        other => CertificateFault::Other(other.to_string().into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A wire on which a byte comes at a time.
    #[derive(Default)]
    struct Trickle(Vec<u8>);

    impl Wire for Trickle {
        fn fill(&mut self) -> io::Result<usize> {
            self.0.push(kind::HANDSHAKE);
            Ok(self.0.len())
        }

        fn unread(&self) -> &[u8] {
            &self.0
        }

        fn unread_mut(&mut self) -> &mut [u8] {
            &mut self.0
        }

        fn consume(&mut self, count: usize) {
            self.0.drain(..count);
        }

        fn capacity(&self) -> usize {
            1 << 20
        }
    }

    impl Write for Trickle {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    // rustls has limits of its own, which the peers of `tests/tls` reach first.
    #[test]
    fn no_more_is_waited_for_than_a_handshake_may_be() {
        let mut wire = Trickle::default();
        assert!(more(&mut wire, 0, BYTES_MAX - 10, "host").is_ok());
        let mut wire = Trickle::default();
        let error = more(&mut wire, 0, BYTES_MAX - 3, "host").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the handshake with `host` takes no end: more than 131072 bytes came"
        );
        assert_eq!(wire.0.len(), 4);
    }
}
