//! The least that reading a WebSocket can cost: a frame's header, and whether its text is UTF-8. Written by hand.
//!
//! A server's frames, whole and unmasked, over bytes that are there; it refuses whatever else comes, by one sentence.

use crate::Fault;

/// Who says whether text is UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// The standard library.
    Std,
    /// The crate simdutf8.
    Simd,
}

/// The header's two bytes: a whole text frame.
const TEXT: u8 = 0x81;
/// In the second byte: as many bytes of length follow.
const LENGTH_16: u8 = 126;
const LENGTH_64: u8 = 127;

/// The text of the frame that `bytes` begin with, and how many bytes the frame has; none if it is not whole yet.
///
/// # Errors
/// If it is no frame that a server would send here, or not UTF-8.
#[inline]
pub fn frame(bytes: &[u8], check: Check) -> Result<Option<(&str, usize)>, Fault> {
    let Some(&[first, second]) = bytes.first_chunk::<2>() else {
        return Ok(None);
    };
    let (header, length) = match second {
        0..LENGTH_16 => (2, u64::from(second)),
        LENGTH_16 => match bytes[2..].first_chunk() {
            Some(length) => (4, u64::from(u16::from_be_bytes(*length))),
            None => return Ok(None),
        },
        LENGTH_64 => match bytes[2..].first_chunk() {
            Some(length) => (10, u64::from_be_bytes(*length)),
            None => return Ok(None),
        },
        _ => return Err("a server's frame is masked".into()),
    };
    if first != TEXT {
        return Err("a frame is no whole text".into());
    }
    let end = usize::try_from(length)?.saturating_add(header);
    let Some(payload) = bytes.get(header..end) else {
        return Ok(None);
    };
    let text = match check {
        Check::Std => std::str::from_utf8(payload)?,
        Check::Simd => simdutf8::basic::from_utf8(payload)?,
    };
    Ok(Some((text, end)))
}

/// Puts a server's text frame behind what is in `frames`.
///
/// # Panics
/// If the text is longer than 2^64 bytes.
pub fn write(text: &[u8], frames: &mut Vec<u8>) {
    frames.push(TEXT);
    if let Ok(short) = u8::try_from(text.len())
        && short < LENGTH_16
    {
        frames.push(short);
    } else if let Ok(length) = u16::try_from(text.len()) {
        frames.push(LENGTH_16);
        frames.extend_from_slice(&length.to_be_bytes());
    } else {
        frames.push(LENGTH_64);
        frames.extend_from_slice(&(text.len() as u64).to_be_bytes());
    }
    frames.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_not_before_it_is_whole() {
        for length in [0, 125, 126, 278, 65_535, 65_536] {
            let text = "x".repeat(length);
            let mut bytes = Vec::new();
            write(text.as_bytes(), &mut bytes);
            let whole = bytes.len();
            for check in [Check::Std, Check::Simd] {
                let found = frame(&bytes, check).expect("a frame");
                assert_eq!(found, Some((&text[..], whole)));
                for cut in [0, 1, 2, 3, 9, whole - 1] {
                    let cut = cut.min(whole - 1);
                    assert_eq!(frame(&bytes[..cut], check).expect("a part"), None);
                }
            }
        }
    }

    #[test]
    fn what_a_server_does_not_send_is_refused() {
        for bytes in [&b"\x81\x80"[..], b"\x89\x00", b"\x01\x00", b"\x81\x01\xff"] {
            assert!(frame(bytes, Check::Std).is_err());
            assert!(frame(bytes, Check::Simd).is_err());
        }
    }
}
