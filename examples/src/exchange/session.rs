//! One upgraded connection: messages out, pings out and pongs back, faults on demand, a clean close.

use std::io::Write as _;
use std::net::Shutdown;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tungstenite::{Bytes, Error, Message, Utf8Bytes, WebSocket};

use super::faults::FaultKind;
use super::link::{Link, is_timeout};
use super::{SLICE, Shared, Speed};

/// How often a ping is sent. Real exchanges take seconds or minutes; a demonstration has ten seconds.
const PING_EVERY: Duration = Duration::from_millis(500);

/// How long a peer may take to answer a ping or to take data, and to agree to a close.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a stalled connection is kept open.
const STALL: Duration = Duration::from_mins(1);

/// The session is over; nothing more can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The connection is gone.
    Gone,
    /// The fault was asked for: no more data on this connection, which is to be kept open with
    /// [`Session::stall`].
    Stalled,
}

/// An upgraded connection.
#[derive(Debug)]
pub(super) struct Session<'a> {
    socket: WebSocket<Link>,
    shared: &'a Shared,
    /// Whether each message leaves at once, or many together.
    eager: bool,
    pinged: Option<Instant>,
    pings: u64,
}

impl<'a> Session<'a> {
    /// Answers the upgrade that stands at the start of `link`.
    pub(super) fn accept(link: Link, shared: &'a Shared) -> Result<Self, Ended> {
        let ready = || {
            link.socket().set_read_timeout(Some(PATIENCE))?;
            link.socket().set_write_timeout(Some(PATIENCE))
        };
        ready().map_err(|_| Ended::Gone)?;
        let config = WebSocketConfig::default()
            .read_buffer_size(4 << 10)
            .write_buffer_size(16 << 10);
        let socket =
            tungstenite::accept_with_config(link, Some(config)).map_err(|_| Ended::Gone)?;
        Ok(Self {
            socket,
            shared,
            eager: shared.speed != Speed::Max,
            pinged: None,
            pings: 0,
        })
    }

    /// Sends a text message; `is_diff` says whether faults may strike it.
    pub(super) fn send_text(&mut self, text: &str, is_diff: bool) -> Result<(), Ended> {
        let fault = if is_diff {
            let count = self.shared.diffs_sent.fetch_add(1, Ordering::Relaxed) + 1;
            self.shared.faults.of_stream(count)
        } else {
            None
        };
        let message = Message::Text(Utf8Bytes::from(text));
        match fault {
            None => self.send(message),
            Some(FaultKind::Gap) => Ok(()),
            Some(FaultKind::Duplicate) => {
                self.send(message.clone()).and_then(|()| self.send(message))
            }
            Some(FaultKind::Crossed) => self.send(Message::Text(crossed(text).into())),
            Some(FaultKind::TruncatedJson) => {
                let half = text.chars().take(text.len() / 2).collect::<String>();
                self.send(Message::Text(half.into()))
            }
            Some(kind) => self.break_down(kind, text.as_bytes()),
        }
    }

    /// Sends a binary message; every one may be struck by a fault.
    pub(super) fn send_binary(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        let count = self.shared.diffs_sent.fetch_add(1, Ordering::Relaxed) + 1;
        let message = |bytes: &[u8]| Message::Binary(Bytes::copy_from_slice(bytes));
        match self.shared.faults.of_stream(count) {
            None | Some(FaultKind::Crossed) => self.send(message(bytes)),
            Some(FaultKind::Gap) => Ok(()),
            Some(FaultKind::Duplicate) => self
                .send(message(bytes))
                .and_then(|()| self.send(message(bytes))),
            Some(FaultKind::TruncatedJson) => self.send(message(&bytes[..bytes.len() / 2])),
            Some(kind) => self.break_down(kind, bytes),
        }
    }

    fn send(&mut self, message: Message) -> Result<(), Ended> {
        let sent = if self.eager {
            self.socket.send(message)
        } else {
            self.socket.write(message)
        };
        sent.map_err(|_| Ended::Gone)?;
        if self.pinged.is_none_or(|at| at.elapsed() >= PING_EVERY) {
            self.ping()?;
        }
        Ok(())
    }

    /// Hands everything to the kernel.
    pub(super) fn flush(&mut self) -> Result<(), Ended> {
        self.socket.flush().map_err(|_| Ended::Gone)
    }

    /// Sends a ping and waits for the pong that carries its payload back.
    fn ping(&mut self) -> Result<(), Ended> {
        self.pings += 1;
        let payload = Bytes::from(self.pings.to_string());
        self.shared.pings.fetch_add(1, Ordering::Relaxed);
        self.socket
            .send(Message::Ping(payload.clone()))
            .map_err(|_| Ended::Gone)?;
        loop {
            match self.socket.read() {
                Ok(Message::Pong(found)) if found == payload => {
                    self.shared.pongs.fetch_add(1, Ordering::Relaxed);
                    self.pinged = Some(Instant::now());
                    return Ok(());
                }
                Ok(Message::Close(_)) => {
                    // Its answer is with tungstenite, and leaves now. It is over either way.
                    let _ = self.socket.flush();
                    let _ = self.socket.get_mut().finish();
                    return Err(Ended::Gone);
                }
                Err(_) => return Err(Ended::Gone),
                // Subscriptions and pongs that nobody asked for mean nothing here.
                Ok(_) => {}
            }
        }
    }

    /// Ends the connection as the fault says.
    fn break_down(&mut self, kind: FaultKind, payload: &[u8]) -> Result<(), Ended> {
        self.flush()?;
        if kind == FaultKind::Stall {
            return Err(Ended::Stalled);
        }
        let link = self.socket.get_mut();
        // A text frame that announces 1,000 bytes and has half of what it had to say, at most.
        let mut bytes = vec![0x81, 126, 0x03, 0xe8];
        bytes.extend_from_slice(&payload[..(payload.len() / 2).min(500)]);
        if kind == FaultKind::Garbage {
            // Reserved bits and an opcode that does not exist.
            bytes = vec![0xff; 64];
        }
        // The connection ends here anyway, so an error of it changes nothing.
        let _ = match kind {
            FaultKind::CutRecord => link.cut_within_a_record(&bytes),
            FaultKind::ChangedRecord => link.write_a_changed_record(&bytes),
            _ => link.write_all(&bytes).and_then(|()| link.flush()),
        };
        match kind {
            FaultKind::Reset => {
                let _ = socket2::SockRef::from(link.socket()).set_linger(Some(Duration::ZERO));
            }
            FaultKind::HalfClose => {
                let _ = link.socket().shutdown(Shutdown::Write);
                self.wait_for_the_peer_to_leave(PATIENCE);
            }
            _ => self.wait_for_the_peer_to_leave(PATIENCE),
        }
        Err(Ended::Gone)
    }

    /// Keeps the connection open without data, and goes on sending and answering pings.
    pub(super) fn stall(&mut self) {
        self.wait_for_the_peer_to_leave(STALL);
    }

    fn wait_for_the_peer_to_leave(&mut self, at_most: Duration) {
        let until = Instant::now() + at_most;
        let socket = self.socket.get_ref().socket();
        if socket.set_read_timeout(Some(SLICE)).is_err() {
            return;
        }
        let mut next_ping = Instant::now();
        while Instant::now() < until && !self.shared.stopped() {
            if at_most == STALL && Instant::now() >= next_ping {
                next_ping += PING_EVERY / 5;
                if self
                    .socket
                    .send(Message::Ping(Bytes::from_static(b"stalled")))
                    .is_err()
                {
                    return;
                }
            }
            match self.socket.read() {
                Ok(_) => {}
                Err(Error::Io(error)) if is_timeout(&error) => {}
                Err(_) => return,
            }
        }
    }

    /// Whether the peer has closed or reset the connection; costs a slice of time if not.
    pub(super) fn peer_has_left(&mut self) -> bool {
        let link = self.socket.get_mut();
        let wait = |link: &Link, time| link.socket().set_read_timeout(Some(time)).is_ok();
        !wait(link, SLICE) || link.has_ended() || !wait(link, PATIENCE)
    }

    /// Says goodbye and waits for the peer to agree.
    pub(super) fn close(mut self, code: CloseCode, reason: &str) {
        let frame = CloseFrame {
            code,
            reason: Utf8Bytes::from(reason),
        };
        if self.socket.close(Some(frame)).is_err() {
            return;
        }
        // Whatever ends this, the connection is over.
        while self.socket.read().is_ok() {}
        let _ = self.socket.get_mut().finish();
    }
}

/// The same diff with a bid that no ask can be above.
fn crossed(text: &str) -> String {
    const BID: &str = "\"b\":[[\"90000000.0\",\"1\"]";
    text.replacen("\"b\":[[", &format!("{BID},["), 1)
        .replacen("\"b\":[]", &format!("{BID}]"), 1)
}
