//! How a connection ends: the codes and reasons of RFC 6455, section 7.4, and how long the end may take.
//!
//! Does not know when a connection has to end.

use std::time::Duration;

use crate::net::Wire;
use crate::reactor::current;
use crate::task::timeout;

use super::error::{Misuse, Violation};
use super::frame::CONTROL_MAX;

/// The longest reason: a control frame less the code.
pub(super) const REASON_MAX: usize = CONTROL_MAX - 2;

/// The most bytes that are read and thrown away behind the last frame.
const DISCARDED_MAX: usize = 1 << 20;

/// The close codes that this module itself sends, and those that a program may want to send.
pub mod code {
    /// The purpose of the connection has been fulfilled.
    pub const NORMAL: u16 = 1000;
    /// This side goes away: a server that stops, a page that is left.
    pub const AWAY: u16 = 1001;
    /// The other side broke the protocol.
    pub const PROTOCOL_ERROR: u16 = 1002;
    /// The other side sent a kind of message that this one has no use for.
    pub const UNSUPPORTED: u16 = 1003;
    /// The other side sent text that is not UTF-8, or else not what it says it is.
    pub const INVALID_DATA: u16 = 1007;
    /// The other side did what this one does not allow, whatever that is.
    pub const POLICY_VIOLATION: u16 = 1008;
    /// The other side sent a message that is too long.
    pub const TOO_LARGE: u16 = 1009;
    /// The server cannot do what it was asked to.
    pub const INTERNAL_ERROR: u16 = 1011;
    /// The server starts anew: connect again, after a while.
    pub const RESTART: u16 = 1012;
    /// The server has too much to do.
    pub const TRY_AGAIN: u16 = 1013;
}

/// Whether a close frame may hold the code: those of section 7.4.1 and of IANA's registry, those of libraries (3000)
/// and of programs (4000); not 1005, 1006 and 1015, which stand for frames that never came.
pub(super) fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// What a close frame says: nothing, or a code and a reason that may be empty.
pub(super) fn parse(payload: &[u8]) -> Result<Option<(u16, &str)>, Violation> {
    match payload {
        [] => Ok(None),
        [_] => Err(Violation::CloseLength),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !may_be_sent(code) {
                return Err(Violation::CloseCode(code));
            }
            match std::str::from_utf8(reason) {
                Ok(reason) => Ok(Some((code, reason))),
                Err(_) => Err(Violation::CloseReason),
            }
        }
    }
}

/// The payload of a close frame in a buffer of its own, and how much of that it takes.
pub(super) fn payload(code: u16, reason: &str) -> Result<([u8; CONTROL_MAX], usize), Misuse> {
    if !may_be_sent(code) {
        return Err(Misuse::Code(code));
    }
    if reason.len() > REASON_MAX {
        return Err(Misuse::Reason(reason.len()));
    }
    let mut payload = [0; CONTROL_MAX];
    payload[..2].copy_from_slice(&code.to_be_bytes());
    payload[2..2 + reason.len()].copy_from_slice(reason.as_bytes());
    Ok((payload, 2 + reason.len()))
}

/// Runs what ends a connection, for so long at the most. A wire that is no socket works outside of a fiber too, where
/// nothing waits.
pub(super) fn within<T>(longest: Duration, body: impl FnOnce() -> T) -> T {
    if current::try_with(|_| ()).is_none() {
        return body();
    }
    match timeout(longest, body) {
        Ok(value) => value,
        Err(elapsed) => elapsed.into_inner(),
    }
}

/// Waits until the other side has ended the connection below, and throws away what it still sends.
pub(super) fn wait_for_end(wire: &mut impl Wire, longest: Duration) {
    within(longest, || {
        let mut discarded = 0;
        while discarded < DISCARDED_MAX {
            let unread = wire.unread().len();
            wire.consume(unread);
            discarded += unread;
            // The handshake is over: how the end looks, or that it is not waited for, is no error any more.
            if !matches!(wire.fill(), Ok(arrived) if arrived > 0) {
                break;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_wrong_is_named() {
        let (bytes, len) = payload(4001, "bye").unwrap();
        assert_eq!(parse(&bytes[..len]), Ok(Some((4001, "bye"))));
        assert_eq!(parse(b""), Ok(None));
        assert_eq!(parse(b"\x03"), Err(Violation::CloseLength));
        assert_eq!(parse(b"\x03\xe8\xff"), Err(Violation::CloseReason));
        assert_eq!(payload(1000, &"x".repeat(124)), Err(Misuse::Reason(124)));
        assert!(payload(1000, &"x".repeat(123)).is_ok());
        for code in [
            0,
            999,
            1004,
            1005,
            1006,
            1015,
            1016,
            1100,
            2000,
            2999,
            5000,
            u16::MAX,
        ] {
            assert_eq!(parse(&code.to_be_bytes()), Err(Violation::CloseCode(code)));
            assert_eq!(payload(code, ""), Err(Misuse::Code(code)));
        }
        for code in [
            1000_u16, 1001, 1002, 1003, 1007, 1011, 1012, 1014, 3000, 3999, 4000, 4999,
        ] {
            assert_eq!(parse(&code.to_be_bytes()), Ok(Some((code, ""))));
        }
    }
}
