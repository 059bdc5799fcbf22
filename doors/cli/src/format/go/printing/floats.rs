//! Numbers with a point as Go's `strconv` writes them.

/// A number with its sign, which may be `+`, by a verb; without a precision it has as many digits as tell it apart.
pub(super) fn float(value: f64, verb: char, precision: Option<usize>) -> String {
    let sign = if value.is_sign_negative() { '-' } else { '+' };
    if value.is_nan() || value.is_infinite() {
        return if value.is_nan() { "+NaN".to_owned() } else { format!("{sign}Inf") };
    }
    let value = value.abs();
    let digits = match verb {
        'f' | 'F' => format!("{value:.*}", precision.unwrap_or(6)),
        'e' => exponential(value, Some(precision.unwrap_or(6))),
        'E' => exponential(value, Some(precision.unwrap_or(6))).to_uppercase(),
        'x' => hexadecimal(value),
        'X' => hexadecimal(value).to_uppercase(),
        'b' => binary(value),
        'G' => general(value, precision).to_uppercase(),
        _ => general(value, precision),
    };
    format!("{sign}{digits}")
}

/// As `encoding/json` writes it.
pub(in super::super) fn in_json(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        return format!("{value}");
    }
    let (mantissa, exponent) = exponential_parts(size, None);
    let sign = if value < 0.0 { "-" } else { "" };
    format!("{sign}{mantissa}e{exponent:+}")
}

/// Digits with a point, and the exponent.
fn exponential_parts(value: f64, precision: Option<usize>) -> (String, i32) {
    let written = match precision {
        Some(precision) => format!("{value:.precision$e}"),
        None => format!("{value:e}"),
    };
    let (mantissa, exponent) = written.split_once('e').unwrap_or((&written, "0"));
    (mantissa.to_owned(), exponent.parse().unwrap_or(0))
}

fn exponential(value: f64, precision: Option<usize>) -> String {
    let (mantissa, exponent) = exponential_parts(value, precision);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

/// `%g`: with an exponent where that is small or great.
fn general(value: f64, precision: Option<usize>) -> String {
    let precision = precision.map(|precision| precision.max(1));
    let (mantissa, exponent) = exponential_parts(value, precision.map(|precision| precision - 1));
    let mantissa =
        if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { &mantissa };
    let digits = mantissa.chars().filter(char::is_ascii_digit).count();
    let whole = usize::try_from(exponent + 1).unwrap_or(0);
    let bound = match precision {
        None => 6,
        Some(precision) if precision > digits && digits >= whole => digits,
        Some(precision) => precision,
    };
    let bound = i32::try_from(bound).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= bound {
        return exponential(value, Some(digits.saturating_sub(1)));
    }
    let behind = i32::try_from(digits).unwrap_or(i32::MAX) - exponent - 1;
    format!("{value:.*}", usize::try_from(behind).unwrap_or(0))
}

/// Mantissa and exponent to the base of two, the mantissa whole.
fn parts(value: f64) -> (u64, i64) {
    let bits = value.to_bits();
    let (exponent, fraction) = ((bits >> 52) & 0x7ff, bits & ((1 << 52) - 1));
    match i64::try_from(exponent).unwrap_or(0) {
        0 => (fraction, -1074),
        exponent => (fraction | (1 << 52), exponent - 1075),
    }
}

fn binary(value: f64) -> String {
    let (mantissa, exponent) = parts(value);
    format!("{mantissa}p{exponent:+}")
}

fn hexadecimal(value: f64) -> String {
    let (mut mantissa, mut exponent) = parts(value);
    if mantissa == 0 {
        return "0x0p+00".to_owned();
    }
    while mantissa < 1 << 52 {
        (mantissa, exponent) = (mantissa << 1, exponent - 1);
    }
    let digits = format!("{:013x}", mantissa & ((1 << 52) - 1));
    let digits = digits.trim_end_matches('0');
    let point = if digits.is_empty() { "" } else { "." };
    let exponent = exponent + 52;
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("0x1{point}{digits}p{sign}{:02}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_as_many_digits_as_in_go() {
        for (value, expected) in [
            (1.0, "+1"),
            (1e3, "+1000"),
            (1e5, "+100000"),
            (1e6, "+1e+06"),
            (123_456_789.0, "+1.23456789e+08"),
            (0.1, "+0.1"),
            (1e-4, "+0.0001"),
            (1e-5, "+1e-05"),
            (-1.5, "-1.5"),
            (0.0, "+0"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(float(value, 'g', None), expected);
        }
        assert_eq!(float(1234.5, 'g', Some(2)), "+1.2e+03");
        assert_eq!(float(2.5, 'f', Some(0)), "+2");
        assert_eq!(float(1.0, 'b', None), "+4503599627370496p-52");
        assert_eq!(float(0.75, 'x', None), "+0x1.8p-01");
    }

    #[test]
    fn json_has_its_own_way() {
        for (value, expected) in
            [(1e21, "1e+21"), (1e-7, "1e-7"), (100.0, "100"), (-1.5, "-1.5"), (1e20, "100000000000000000000")]
        {
            assert_eq!(in_json(value), expected);
        }
    }
}
