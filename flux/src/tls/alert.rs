//! The words in which one side of TLS tells the other why it ends.
//!
//! Knows the numbers and their names (RFC 8446 section 6, RFC 5246 section 7.2), and not when they are sent.

use std::fmt;

/// An alert of TLS: one number, whose name its [`Display`](fmt::Display) says.
///
/// # Example
/// ```
/// # #[cfg(feature = "tls")] {
/// let alert = flux::tls::Alert::BAD_RECORD_MAC;
/// assert_eq!(alert.to_string(), "`bad_record_mac` (20)");
/// assert_eq!(alert.number(), 20);
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Alert(u8);

impl Alert {
    /// The sender has finished, and all that it sent before counts.
    pub const CLOSE_NOTIFY: Self = Self(0);
    /// A record or a message that does not belong there.
    pub const UNEXPECTED_MESSAGE: Self = Self(10);
    /// A record that was changed on its way, or was made with another key.
    pub const BAD_RECORD_MAC: Self = Self(20);
    /// A record that is longer than any may be.
    pub const RECORD_OVERFLOW: Self = Self(22);
    /// A value that no message may hold.
    pub const ILLEGAL_PARAMETER: Self = Self(47);
    /// A message that does not read as one.
    pub const DECODE_ERROR: Self = Self(50);
    /// A version that was not agreed on.
    pub const PROTOCOL_VERSION: Self = Self(70);
    /// The sender failed for a reason that is not the protocol's.
    pub const INTERNAL_ERROR: Self = Self(80);
    /// A person ended it; nothing is wrong, and a `close_notify` follows.
    pub const USER_CANCELED: Self = Self(90);
    /// No new handshake on this connection (TLS 1.2).
    pub const NO_RENEGOTIATION: Self = Self(100);

    /// The alert of that number, which a peer may have made up.
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// Its number on the wire.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Its name in the RFCs, or `unknown`.
    pub const fn name(self) -> &'static str {
        match self.0 {
            0 => "close_notify",
            10 => "unexpected_message",
            20 => "bad_record_mac",
            21 => "decryption_failed",
            22 => "record_overflow",
            30 => "decompression_failure",
            40 => "handshake_failure",
            41 => "no_certificate",
            42 => "bad_certificate",
            43 => "unsupported_certificate",
            44 => "certificate_revoked",
            45 => "certificate_expired",
            46 => "certificate_unknown",
            47 => "illegal_parameter",
            48 => "unknown_ca",
            49 => "access_denied",
            50 => "decode_error",
            51 => "decrypt_error",
            60 => "export_restriction",
            70 => "protocol_version",
            71 => "insufficient_security",
            80 => "internal_error",
            86 => "inappropriate_fallback",
            90 => "user_canceled",
            100 => "no_renegotiation",
            109 => "missing_extension",
            110 => "unsupported_extension",
            111 => "certificate_unobtainable",
            112 => "unrecognized_name",
            113 => "bad_certificate_status_response",
            114 => "bad_certificate_hash_value",
            115 => "unknown_psk_identity",
            116 => "certificate_required",
            120 => "no_application_protocol",
            _ => "unknown",
        }
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({})", self.name(), self.0)
    }
}
