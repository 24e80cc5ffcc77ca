//! One record of TLS: its header, its nonce, opened and sealed where it lies.
//!
//! ```text
//! TLS 1.3              header 5 │ content, its type, zeros          │ tag 16
//! TLS 1.2, AES-GCM     header 5 │ explicit nonce 8 │ content        │ tag 16
//! TLS 1.2, ChaCha20    header 5 │ content                           │ tag 16
//! ```
//!
//! **Invariant:** one key protects one direction, and its sequence number moves on with each record that was opened,
//! or has left; it never repeats under one key.
//!
//! Knows RFC 8446 section 5, RFC 5246 section 6.2, RFC 5288 and RFC 7905, and nothing of where bytes come from.

use ring::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};

use super::fault::Fault;

/// The types of records.
pub(super) mod kind {
    pub(in crate::tls) const CHANGE_CIPHER_SPEC: u8 = 20;
    pub(in crate::tls) const ALERT: u8 = 21;
    pub(in crate::tls) const HANDSHAKE: u8 = 22;
    pub(in crate::tls) const APPLICATION_DATA: u8 = 23;
}

/// A record's header: its type, its version, its length.
pub(super) const HEADER: usize = 5;
/// The nonce that AES-GCM of TLS 1.2 sends along.
const EXPLICIT_NONCE: usize = 8;
/// What authenticates, of each of the three ciphers.
const TAG: usize = 16;
/// The most bytes of content.
pub(super) const CONTENT_MAX: usize = 1 << 14;
/// The most bytes behind the header that a peer may send.
const EXPANDED_MAX_13: usize = CONTENT_MAX + 256;
const EXPANDED_MAX_12: usize = CONTENT_MAX + 2048;
/// The most bytes of a record that comes.
pub(super) const RECORD_MAX: usize = HEADER + EXPANDED_MAX_12;
/// The most bytes of a record that leaves.
pub(super) const SEALED_MAX: usize = HEADER + EXPLICIT_NONCE + CONTENT_MAX + 1 + TAG;
/// The version that every record names, whatever was agreed on.
const VERSION: [u8; 2] = [3, 3];
/// Where a sequence number ends, short of repeating.
const SEQUENCE_END: u64 = u64::MAX;

/// How a record is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Tls13,
    Tls12Gcm,
    Tls12ChaCha,
}

/// What protects the records of one direction.
pub(super) struct Key {
    cipher: LessSafeKey,
    iv: [u8; NONCE_LEN],
    sequence: u64,
    form: Form,
}

/// What was found in a record, at an offset into the memory that it was opened in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) kind: u8,
    pub(super) start: usize,
    pub(super) len: usize,
}

impl Key {
    pub(super) fn new(cipher: LessSafeKey, iv: [u8; NONCE_LEN], sequence: u64, form: Form) -> Self {
        Self {
            cipher,
            iv,
            sequence,
            form,
        }
    }

    /// How many records it has protected.
    #[inline]
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The record that was sealed last has left.
    #[inline]
    pub(super) fn advance(&mut self) {
        self.sequence += 1;
    }

    /// The bytes before the content.
    fn head(&self) -> usize {
        match self.form {
            Form::Tls12Gcm => HEADER + EXPLICIT_NONCE,
            Form::Tls13 | Form::Tls12ChaCha => HEADER,
        }
    }

    /// The bytes of the record that begins here, header included, or `None` while its header is not there.
    #[inline]
    pub(super) fn measure(&self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        let Some(&[kind, major, minor, high, low]) = bytes.first_chunk() else {
            return Ok(None);
        };
        let len = usize::from(u16::from_be_bytes([high, low]));
        let max = match self.form {
            // All is data from outside, once there are keys; the version says nothing (RFC 8446 section 5.2).
            Form::Tls13 => {
                if kind != kind::APPLICATION_DATA {
                    return Err(Fault::UnexpectedRecord(kind));
                }
                EXPANDED_MAX_13
            }
            Form::Tls12Gcm | Form::Tls12ChaCha => {
                if !(kind::ALERT..=kind::APPLICATION_DATA).contains(&kind) {
                    return Err(Fault::UnexpectedRecord(kind));
                }
                if [major, minor] != VERSION {
                    return Err(Fault::RecordVersion(u16::from_be_bytes([major, minor])));
                }
                EXPANDED_MAX_12
            }
        };
        if len > max {
            return Err(Fault::RecordOverflow { len, max });
        }
        let least = self.head() - HEADER + TAG + usize::from(self.form == Form::Tls13);
        if len < least {
            return Err(Fault::RecordTooShort { len });
        }
        Ok(Some(HEADER + len))
    }

    /// The most bytes of content that a record of `total` bytes can hold.
    #[inline]
    pub(super) fn content_max(&self, total: usize) -> usize {
        total - self.head() - TAG
    }

    /// Opens the record that is `memory` from `at` to its end, in place, or with its content moved to the front of
    /// `memory` while it is decrypted.
    ///
    /// [`measure`](Self::measure) has said that it is whole. When it does not authenticate, its bytes are lost, and
    /// those in front of it only if it was to be moved there.
    #[inline]
    pub(super) fn open(
        &mut self,
        memory: &mut [u8],
        at: usize,
        to_front: bool,
    ) -> Result<Opened, Fault> {
        if self.sequence == SEQUENCE_END {
            return Err(Fault::KeysWornOut {
                records_max: SEQUENCE_END,
            });
        }
        let content = at + self.head();
        let mut header = [0; HEADER];
        header.copy_from_slice(&memory[at..at + HEADER]);
        let mut nonce = self.nonce();
        if self.form == Form::Tls12Gcm {
            nonce[NONCE_LEN - EXPLICIT_NONCE..].copy_from_slice(&memory[at + HEADER..content]);
        }
        let associated = self.associated(header, memory.len() - content - TAG);
        let opened = {
            let nonce = Nonce::assume_unique_for_key(nonce);
            let associated = Aad::from(associated.bytes());
            if to_front {
                self.cipher
                    .open_within(nonce, associated, memory, content..)
            } else {
                self.cipher
                    .open_in_place(nonce, associated, &mut memory[content..])
            }
        };
        let Ok(opened) = opened else {
            return Err(Fault::BadMac);
        };
        self.sequence += 1;
        let start = if to_front { 0 } else { content };
        let (kind, len) = match self.form {
            Form::Tls13 => match opened.iter().rposition(|byte| *byte != 0) {
                Some(last) => (opened[last], last),
                None => return Err(Fault::NoContentType),
            },
            Form::Tls12Gcm | Form::Tls12ChaCha => (header[0], opened.len()),
        };
        // With its padding: what is inside of a record is no longer than its content may be (section 5.4).
        let inside = opened.len() - usize::from(self.form == Form::Tls13);
        if inside > CONTENT_MAX {
            return Err(Fault::RecordOverflow {
                len: inside,
                max: CONTENT_MAX,
            });
        }
        Ok(Opened { kind, start, len })
    }

    /// Seals as much of the parts as a record holds into `out`, and says how long the record is, and how much of the
    /// parts is in it.
    ///
    /// The sequence number stays until [`advance`](Self::advance): a record that never left may be sealed anew.
    #[inline]
    pub(super) fn seal<'p>(
        &self,
        kind: u8,
        parts: impl Iterator<Item = &'p [u8]>,
        out: &mut [u8],
    ) -> Result<(usize, usize), Fault> {
        let head = self.head();
        let mut len = 0;
        for part in parts {
            let taken = part.len().min(CONTENT_MAX - len);
            out[head + len..head + len + taken].copy_from_slice(&part[..taken]);
            len += taken;
        }
        let mut inside = len;
        let mut outer = kind;
        if self.form == Form::Tls13 {
            out[head + len] = kind;
            inside += 1;
            outer = kind::APPLICATION_DATA;
        }
        let nonce = self.nonce();
        let total = head + inside + TAG;
        let header = header(outer, total - HEADER);
        out[..HEADER].copy_from_slice(&header);
        if self.form == Form::Tls12Gcm {
            // The salt stays unsaid; the rest is as unique as the sequence number that it was mixed with.
            out[HEADER..head].copy_from_slice(&nonce[NONCE_LEN - EXPLICIT_NONCE..]);
        }
        let associated = self.associated(header, inside);
        let sealed = self.cipher.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(associated.bytes()),
            &mut out[head..head + inside],
        );
        let Ok(tag) = sealed else {
            return Err(Fault::Keys);
        };
        out[head + inside..total].copy_from_slice(tag.as_ref());
        Ok((total, len))
    }

    /// The nonce of the record of this sequence number: the two mixed, at the end (RFC 8446 section 5.3).
    fn nonce(&self) -> [u8; NONCE_LEN] {
        let mut nonce = self.iv;
        for (byte, mixed) in nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= mixed;
        }
        nonce
    }

    /// What is authenticated beside the content.
    fn associated(&self, header: [u8; HEADER], content: usize) -> Associated {
        let mut bytes = [0; 13];
        if self.form == Form::Tls13 {
            bytes[..HEADER].copy_from_slice(&header);
            return Associated { bytes, len: HEADER };
        }
        bytes[..8].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[8..11].copy_from_slice(&header[..3]);
        // Fits: a record's length is a `u16`.
        #[allow(clippy::cast_possible_truncation, reason = "see the line above")]
        let content = (content as u16).to_be_bytes();
        bytes[11..].copy_from_slice(&content);
        Associated { bytes, len: 13 }
    }
}

struct Associated {
    bytes: [u8; 13],
    len: usize,
}

impl Associated {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

fn header(kind: u8, len: usize) -> [u8; HEADER] {
    // Fits: what is sealed is at most `SEALED_MAX` long.
    const { assert!(SEALED_MAX <= u16::MAX as usize) };
    #[allow(clippy::cast_possible_truncation, reason = "see the line above")]
    let [high, low] = (len as u16).to_be_bytes();
    [kind, VERSION[0], VERSION[1], high, low]
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
