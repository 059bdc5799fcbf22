//! Numbers in a header: octal text, or GNU's base-256.

use super::error::{Error, Result};

/// Reads a field that must not be negative.
pub(super) fn unsigned(field: &[u8], what: &str) -> Result<u64> {
    let number = signed(field, what)?;
    u64::try_from(number).map_err(|_| wrong(format!("{what} {number} is negative")))
}

/// Reads a field: octal, or base-256 (two's complement) when the first bit is set.
pub(super) fn signed(field: &[u8], what: &str) -> Result<i64> {
    if field.first().is_some_and(|byte| byte & 0x80 != 0) {
        return base_256(field).ok_or_else(|| wrong(format!("{what} does not fit 64 bits")));
    }
    octal(field).ok_or_else(|| wrong(format!("{what} is no octal number: {}", super::shown(field))))
}

/// Spaces, digits, then only spaces and NULs. A field of nothing else is zero.
fn octal(field: &[u8]) -> Option<i64> {
    let digits = &field[field.iter().take_while(|&&byte| byte == b' ').count()..];
    let end = digits.iter().position(|byte| !(b'0'..=b'7').contains(byte)).unwrap_or(digits.len());
    if digits[end..].iter().any(|&byte| byte != b' ' && byte != 0) {
        return None;
    }
    digits[..end]
        .iter()
        .try_fold(0_i64, |value, byte| value.checked_mul(8)?.checked_add(i64::from(byte - b'0')))
}

/// The first bit marks the form, the second is the sign, the rest is big-endian.
fn base_256(field: &[u8]) -> Option<i64> {
    let (first, rest) = field.split_first()?;
    let negative = first & 0x40 != 0;
    let start = i128::from(first & 0x7f) - if negative { 0x80 } else { 0 };
    let value = rest.iter().try_fold(start, |value, &byte| {
        // Beyond 64 bits nothing is of use; stopping there keeps the 128 from overflowing.
        (i128::from(i64::MIN)..=i128::from(i64::MAX)).contains(&value).then(|| value * 256 + i128::from(byte))
    })?;
    i64::try_from(value).ok()
}

/// Writes `value` as zero-padded octal with a final NUL, or tells that it does not fit.
pub(super) fn write_octal(field: &mut [u8], mut value: u64) -> bool {
    let Some((last, digits)) = field.split_last_mut() else { return false };
    *last = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(value & 7).unwrap_or(0);
        value >>= 3;
    }
    value == 0
}

/// The words are those of Go's reader, which Docker's users know.
fn wrong(what: String) -> Error {
    Error::format(format!("archive/tar: invalid tar header: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_fields_end_with_spaces_or_nuls() {
        for (field, value) in [
            (&b"0000644\0"[..], 0o644),
            (b"   644 \0", 0o644),
            (b"000644 \0", 0o644),
            (b"\0\0\0\0\0\0\0\0", 0),
            (b"        ", 0),
            (b"777777777777", 0o777_777_777_777),
        ] {
            assert_eq!(signed(field, "mode").unwrap(), value, "{field:?}");
        }
    }

    #[test]
    fn what_is_no_octal_number_is_refused() {
        for field in [
            &b"-000001\0"[..],
            b"0000009\0",
            b"12 34\0\0\0",
            b"0x10\0\0\0\0",
            b"12\0garb\0",
            b"+1\0\0\0\0\0\0",
        ] {
            assert!(signed(field, "size").is_err(), "{field:?}");
        }
    }

    #[test]
    fn base_256_has_a_sign_and_64_bits() {
        let mut field = [0_u8; 12];
        field[0] = 0x80;
        field[11] = 5;
        assert_eq!(signed(&field, "size").unwrap(), 5);
        assert_eq!(signed(&[0xff; 12], "mtime").unwrap(), -1);
        assert!(unsigned(&[0xff; 12], "size").unwrap_err().to_string().contains("negative"));
        field[0] = 0xbf;
        assert!(signed(&field, "size").is_err());
        let mut most = [0_u8; 12];
        most[0] = 0x80;
        most[4..].fill(0xff);
        assert!(signed(&most, "size").is_err());
        most[4] = 0x7f;
        assert_eq!(signed(&most, "size").unwrap(), i64::MAX);
    }

    #[test]
    fn octal_is_written_when_it_fits() {
        let mut field = [0xff_u8; 8];
        assert!(write_octal(&mut field, 0o644));
        assert_eq!(&field, b"0000644\0");
        assert!(write_octal(&mut field, 0o7_777_777));
        assert!(!write_octal(&mut field, 0o10_000_000));
    }
}
