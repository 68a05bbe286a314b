//! Bytes in the letters that digests are written in.

use super::stream::hexadecimal as write;

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Lower-case hexadecimal.
pub fn hexadecimal(bytes: &[u8]) -> String {
    write(bytes)
}

/// The bytes that hexadecimal digits of either case stand for.
pub fn bytes(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| {
            let pair = std::str::from_utf8(pair)
                .ok()
                .filter(|pair| pair.len() == 2)?;
            u8::from_str_radix(pair, 16).ok()
        })
        .collect()
}

/// Base64 (RFC 4648, section 4) without padding.
pub fn base64(bytes: &[u8]) -> String {
    in_sixes(bytes, STANDARD)
}

/// URL-safe base64 (RFC 4648, section 5) without padding.
pub fn base64url(bytes: &[u8]) -> String {
    in_sixes(bytes, URL_SAFE)
}

fn in_sixes(bytes: &[u8], letters: &[u8; 64]) -> String {
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (24 - 8 * three.len());
        for index in 0..=three.len() {
            let letter = bits >> (18 - 6 * index) & 0x3f;
            let letter = usize::try_from(letter).ok().and_then(|at| letters.get(at));
            text.extend(letter.map(|letter| char::from(*letter)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc() {
        assert_eq!(base64(b"f"), "Zg");
        assert_eq!(base64(b"fo"), "Zm8");
        assert_eq!(base64(b"foobar"), "Zm9vYmFy");
        assert_eq!(base64url(b"\xfb\xff"), "-_8");
        assert_eq!(bytes("00fF"), Some(vec![0, 255]));
        assert_eq!(bytes("0"), None);
        assert_eq!(hexadecimal(&[0, 255]), "00ff");
    }
}
