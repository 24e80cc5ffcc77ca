//! The masking of RFC 6455, section 5.3: a key of four bytes, laid over the payload again and again.
//!
//! Knows nothing of frames. What is masked twice with one key is as before.

/// Lays `key` over `bytes`, beginning with its first byte: eight bytes at a time, which compilers widen further.
#[inline]
pub(super) fn apply(bytes: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip([a, b, c, d, a, b, c]) {
        *byte ^= key;
    }
}

/// The key as it goes on after so many bytes.
#[inline]
pub(super) fn after(mut key: [u8; 4], count: usize) -> [u8; 4] {
    key.rotate_left(count % 4);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_masked_as_byte_by_byte_and_parts_as_the_whole() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        let plain: Vec<u8> = (0..100_u8).collect();
        for len in 0..=plain.len() {
            let expected: Vec<u8> = (0..len).map(|at| plain[at] ^ key[at % 4]).collect();
            let mut whole = plain[..len].to_vec();
            apply(&mut whole, key);
            assert_eq!(whole, expected);
            for cut in 0..=len {
                let mut parts = plain[..len].to_vec();
                apply(&mut parts[..cut], key);
                apply(&mut parts[cut..], after(key, cut));
                assert_eq!(parts, expected, "{len} bytes, cut at {cut}");
            }
        }
    }

    #[test]
    fn the_rfcs_own_example_comes_out() {
        let mut bytes = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
        apply(&mut bytes, [0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(&bytes, b"Hello");
    }
}
