//! The bytes of one connection: a socket, or rustls over it, with what was looked at ahead of time.
//!
//! Knows nothing of HTTP or WebSockets.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use rustls::{ServerConnection, StreamOwned};

use super::certificate::Security;

/// The first byte of whatever speaks TLS.
const HANDSHAKE_RECORD: u8 = 0x16;

/// How many bytes one look ahead brings at the most.
const STEP: usize = 4 << 10;

/// A connection.
#[derive(Debug)]
pub(super) struct Link {
    wire: Wire,
    /// What was looked at and not taken.
    ahead: Vec<u8>,
}

#[derive(Debug)]
enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Link {
    /// Shakes hands if the exchange has a certificate and the client begins with TLS; whether it
    /// should have is asked with [`is_tls`](Self::is_tls). Each read takes no longer than `patience`.
    pub(super) fn open(
        mut stream: TcpStream,
        security: Option<&Security>,
        patience: Duration,
    ) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        let mut first = [0];
        let wire = match security {
            Some(security) if stream.peek(&mut first)? == 1 && first[0] == HANDSHAKE_RECORD => {
                let mut connection =
                    ServerConnection::new(security.server.clone()).map_err(io::Error::other)?;
                while connection.is_handshaking() {
                    connection.complete_io(&mut stream)?;
                }
                Wire::Tls(Box::new(StreamOwned::new(connection, stream)))
            }
            _ => Wire::Plain(stream),
        };
        Ok(Self {
            wire,
            ahead: Vec::new(),
        })
    }

    pub(super) fn is_tls(&self) -> bool {
        matches!(self.wire, Wire::Tls(_))
    }

    /// The socket, for its settings.
    pub(super) fn socket(&self) -> &TcpStream {
        match &self.wire {
            Wire::Plain(stream) => stream,
            Wire::Tls(stream) => &stream.sock,
        }
    }

    /// What was looked at and not taken.
    pub(super) fn ahead(&self) -> &[u8] {
        &self.ahead
    }

    /// Looks further ahead, and says by how many bytes; 0 is the end.
    pub(super) fn look_ahead(&mut self) -> io::Result<usize> {
        let length = self.ahead.len();
        self.ahead.resize(length + STEP, 0);
        let result = self.wire.reader().read(&mut self.ahead[length..]);
        self.ahead
            .truncate(length + result.as_ref().map_or(0, |&count| count));
        result
    }

    /// Forgets what was looked at, up to `count` bytes.
    pub(super) fn take_ahead(&mut self, count: usize) {
        self.ahead.drain(..count.min(self.ahead.len()));
    }

    /// Whether the client has closed or reset the connection; costs a time-out of the socket if not.
    pub(super) fn has_ended(&mut self) -> bool {
        let result = match &mut self.wire {
            Wire::Plain(stream) => stream.peek(&mut [0]).map(|count| count == 0),
            Wire::Tls(stream) => stream.conn.read_tls(&mut stream.sock).map(|count| {
                let state = stream.conn.process_new_packets();
                count == 0 || state.map_or(true, |state| state.peer_has_closed())
            }),
        };
        result.unwrap_or_else(|error| !is_timeout(&error))
    }

    /// Says that nothing more comes, in TLS's words too, so that the client knows that it has all.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        if let Wire::Tls(stream) = &mut self.wire {
            stream.conn.send_close_notify();
            stream.flush()?;
        }
        self.socket().shutdown(Shutdown::Write)
    }

    /// Ends the connection within a record that was to hold these bytes.
    pub(super) fn cut_within_a_record(&mut self, bytes: &[u8]) -> io::Result<()> {
        let record = self.record(bytes)?;
        let mut socket = self.socket();
        socket.write_all(&record[..record.len() / 2])?;
        socket.shutdown(Shutdown::Write)
    }

    /// Sends a record of these bytes as if somebody had changed a bit of it on its way.
    pub(super) fn write_a_changed_record(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut record = self.record(bytes)?;
        if let Some(last) = record.last_mut() {
            *last ^= 1;
        }
        self.socket().write_all(&record)
    }

    /// The next record, as it goes over the line.
    fn record(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut record = Vec::new();
        match &mut self.wire {
            Wire::Plain(_) => record.extend_from_slice(bytes),
            Wire::Tls(stream) => {
                stream.conn.writer().write_all(bytes)?;
                while stream.conn.wants_write() {
                    stream.conn.write_tls(&mut record)?;
                }
            }
        }
        Ok(record)
    }
}

impl Wire {
    fn reader(&mut self) -> &mut dyn Read {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream,
        }
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream,
        }
    }
}

impl Read for Link {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.ahead.is_empty() {
            return self.wire.reader().read(into);
        }
        let count = self.ahead.len().min(into.len());
        into[..count].copy_from_slice(&self.ahead[..count]);
        self.take_ahead(count);
        Ok(count)
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wire.writer().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.wire.writer().flush()
    }
}

/// Whether a read came back because of the socket's time-out.
pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}
