//! What may come after the handshake that is not data: tickets, changes of keys, requests for another handshake,
//! and alerts.
//!
//! A message that is cut into several records is put together in memory of its own, which is allocated then; all
//! others are read where they lie. Knows what the messages mean, and nothing of keys or of who answers.

use super::Version;
use super::alert::Alert;
use super::fault::Fault;

/// The most bytes of a message that are put together: a ticket with all that may be in it fits.
pub(super) const MESSAGE_MAX: usize = 0xffff;
/// A message's type and its length.
const MESSAGE_HEADER: usize = 4;

const HELLO_REQUEST: u8 = 0;
const NEW_SESSION_TICKET: u8 = 4;
const KEY_UPDATE: u8 = 24;

/// What a message, or the last of several, asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Nothing,
    /// The peer's keys change behind this record; ours too, if it asks for that.
    KeyUpdate {
        ours_too: bool,
    },
    /// Another handshake, which it does not get.
    Renegotiation,
}

/// What an alert means for what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// No more will come.
    Finished,
    /// Nothing that changes anything.
    Warned,
}

/// Reads alerts: RFC 8446 section 6, RFC 5246 section 7.2.
pub(super) fn alert(content: &[u8], version: Version) -> Result<Told, Fault> {
    const WARNING: u8 = 1;
    let &[level, number] = content else {
        return Err(Fault::BadAlert);
    };
    match (version, Alert::new(number)) {
        (_, Alert::CLOSE_NOTIFY) => Ok(Told::Finished),
        // The level says nothing in TLS 1.3: all others are fatal.
        (Version::Tls13, Alert::USER_CANCELED) => Ok(Told::Warned),
        (Version::Tls12, _) if level == WARNING => Ok(Told::Warned),
        (_, alert) => Err(Fault::Alert(alert)),
    }
}

/// Handshake messages after the handshake, one record after the other.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// What has come of a message that is not complete.
    begun: Vec<u8>,
}

impl Messages {
    /// Whether a message was begun, and nothing else may come before the rest of it.
    #[inline]
    pub(super) fn is_begun(&self) -> bool {
        !self.begun.is_empty()
    }

    /// Reads the messages of one record. Tickets are handed over as they come.
    pub(super) fn read(
        &mut self,
        mut content: &[u8],
        version: Version,
        mut ticket: impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<Asked, Fault> {
        if content.is_empty() {
            return Err(Fault::BadMessage("handshake record without a byte"));
        }
        let mut asked = Asked::Nothing;
        while !content.is_empty() {
            if !self.is_begun()
                && let Some(len) = length(content)?
                && content.len() >= len
            {
                let (message, rest) = content.split_at(len);
                asked = one(message, version, &mut ticket)?;
                content = rest;
            } else {
                let taken = self.go_on(content)?;
                content = &content[taken..];
                match length(&self.begun)? {
                    Some(len) if self.begun.len() == len => {
                        asked = one(&self.begun, version, &mut ticket)?;
                        self.begun.clear();
                    }
                    _ => break,
                }
            }
            // The rest of the record would be under a key that is no more (RFC 8446 section 5.1).
            if matches!(asked, Asked::KeyUpdate { .. }) && !content.is_empty() {
                return Err(Fault::Interleaved);
            }
        }
        Ok(asked)
    }

    /// Adds what belongs to the message that was begun, and says how many bytes that is.
    fn go_on(&mut self, content: &[u8]) -> Result<usize, Fault> {
        let mut taken = 0;
        while length(&self.begun)?.is_none() && taken < content.len() {
            self.begun.push(content[taken]);
            taken += 1;
        }
        if let Some(len) = length(&self.begun)? {
            let more = (len - self.begun.len()).min(content.len() - taken);
            self.begun.extend_from_slice(&content[taken..taken + more]);
            taken += more;
        }
        Ok(taken)
    }
}

/// The bytes of the message that begins here, its header included, once that has come.
fn length(message: &[u8]) -> Result<Option<usize>, Fault> {
    let Some(&[_, high, middle, low]) = message.first_chunk() else {
        return Ok(None);
    };
    let len = u32::from_be_bytes([0, high, middle, low]) as usize;
    if len > MESSAGE_MAX {
        return Err(Fault::MessageTooLong {
            len,
            max: MESSAGE_MAX,
        });
    }
    Ok(Some(MESSAGE_HEADER + len))
}

/// Reads one message.
fn one(
    message: &[u8],
    version: Version,
    ticket: &mut impl FnMut(&[u8]) -> Result<(), Fault>,
) -> Result<Asked, Fault> {
    let (kind, body) = (message[0], &message[MESSAGE_HEADER..]);
    match (version, kind) {
        (Version::Tls13, NEW_SESSION_TICKET) => ticket(body).map(|()| Asked::Nothing),
        (Version::Tls13, KEY_UPDATE) => match body {
            [0] => Ok(Asked::KeyUpdate { ours_too: false }),
            [1] => Ok(Asked::KeyUpdate { ours_too: true }),
            _ => Err(Fault::BadMessage("key update")),
        },
        (Version::Tls12, HELLO_REQUEST) if body.is_empty() => Ok(Asked::Renegotiation),
        _ => Err(Fault::UnexpectedMessage(kind)),
    }
}

/// Our own change of keys, which asks for none in return.
pub(super) const OUR_KEY_UPDATE: [u8; MESSAGE_HEADER + 1] = [KEY_UPDATE, 0, 0, 1, 0];

#[cfg(test)]
#[path = "post_tests.rs"]
mod tests;
