//! Numbers and truth values as Go's `strconv` reads them, with its words.

/// Reads a truth value: `1`, `t`, `TRUE`, `false`, …
pub(crate) fn boolean(value: &str) -> Result<bool, String> {
    match value {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing \"{value}\": invalid syntax")),
    }
}

/// Reads a whole number, also as `0x1f`, `0o17`, `0b1`, `017` and `1_000`.
pub(crate) fn integer(value: &str) -> Result<i64, String> {
    let (negative, digits) = match value.as_bytes().first() {
        Some(b'-') => (true, &value[1..]),
        Some(b'+') => (false, &value[1..]),
        _ => (false, value),
    };
    let magnitude =
        magnitude(digits).map_err(|why| format!("strconv.ParseInt: parsing \"{value}\": {why}"))?;
    let signed = if negative { -i128::from(magnitude) } else { i128::from(magnitude) };
    i64::try_from(signed).map_err(|_| format!("strconv.ParseInt: parsing \"{value}\": value out of range"))
}

/// Reads a whole number that is not negative.
pub(crate) fn unsigned(value: &str) -> Result<u64, String> {
    magnitude(value).map_err(|why| format!("strconv.ParseUint: parsing \"{value}\": {why}"))
}

/// Reads a whole number below 65536.
pub(crate) fn unsigned_16(value: &str) -> Result<u16, String> {
    u16::try_from(unsigned(value)?)
        .map_err(|_| format!("strconv.ParseUint: parsing \"{value}\": value out of range"))
}

/// Reads decimal digits only, no sign, no underscore.
pub(crate) fn decimal(value: &str) -> Option<u64> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|_| digits)
}

/// Reads decimal digits with an optional sign.
pub(crate) fn signed_decimal(value: &str) -> Option<i64> {
    let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|_| plain)
}

/// What is wrong with digits that [`signed_decimal`] does not take.
pub(crate) fn why_not_signed(value: &str) -> &'static str {
    let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { "value out of range" } else { "invalid syntax" }
}

fn magnitude(digits: &str) -> Result<u64, &'static str> {
    let lower = digits.to_ascii_lowercase();
    let (radix, rest) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    let plain: String = rest.chars().filter(|character| *character != '_').collect();
    if plain.is_empty() || !plain.chars().all(|character| character.is_digit(radix)) {
        return Err("invalid syntax");
    }
    u64::from_str_radix(&plain, radix).map_err(|_| "value out of range")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        assert_eq!(integer("-12"), Ok(-12));
        assert_eq!(integer("0x10"), Ok(16));
        assert_eq!(integer("010"), Ok(8));
        assert_eq!(integer("x").unwrap_err(), "strconv.ParseInt: parsing \"x\": invalid syntax");
        assert_eq!(integer("9223372036854775807"), Ok(i64::MAX));
        assert!(integer("9223372036854775808").unwrap_err().ends_with("value out of range"));
        assert!(unsigned_16("65536").unwrap_err().ends_with("value out of range"));
        assert_eq!(boolean("foo").unwrap_err(), "strconv.ParseBool: parsing \"foo\": invalid syntax");
        assert_eq!((decimal("12"), decimal("+1"), decimal("")), (Some(12), None, None));
        assert_eq!(why_not_signed("-x"), "invalid syntax");
        assert_eq!(why_not_signed("-99999999999999999999"), "value out of range");
        assert_eq!((signed_decimal("-1"), signed_decimal("--1")), (Some(-1), None));
    }
}
