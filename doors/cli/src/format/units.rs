//! Sizes as docker says them: `1.98MB`, `1.5GiB`.

/// A size in units of 1000, four digits: `1.98MB`.
pub(crate) fn human_size(size: f64) -> String {
    scaled(size, 4, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"])
}

/// A size in units of 1000, three digits: `1.2GB`.
pub(crate) fn human_size_short(size: f64) -> String {
    scaled(size, 3, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"])
}

/// A size in units of 1024, four digits: `1.5GiB`.
pub(crate) fn binary_size(size: f64) -> String {
    scaled(size, 4, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"])
}

/// A byte count as a number to be scaled; beyond 2^53 the last digits do not matter.
#[expect(clippy::cast_precision_loss, reason = "shown with four digits")]
pub(crate) fn float(count: i64) -> f64 {
    count as f64
}

fn scaled(mut size: f64, digits: usize, base: f64, units: &[&str]) -> String {
    let mut unit = 0;
    while size >= base && unit + 1 < units.len() {
        size /= base;
        unit += 1;
    }
    format!("{}{}", general(size, digits), units[unit])
}

/// C's `%.<digits>g`: so many significant digits, no trailing zeros, `1e+03` beyond them.
fn general(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    match usize::try_from(exponent) {
        Ok(exponent) if exponent >= digits => format!("{}e+{exponent:02}", trim(mantissa)),
        Ok(exponent) => trim(&format!("{value:.*}", digits - 1 - exponent)),
        Err(_) if exponent < -4 => format!("{}e-{:02}", trim(mantissa), exponent.abs()),
        Err(_) => {
            let places = digits - 1 + usize::try_from(exponent.unsigned_abs()).unwrap_or(0);
            trim(&format!("{value:.places$}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_four_significant_digits() {
        for (size, words) in [
            (0.0, "0B"),
            (1.0, "1B"),
            (999.0, "999B"),
            (1000.0, "1kB"),
            (1_976_320.0, "1.976MB"),
            (123_456_789.0, "123.5MB"),
            (999_999.0, "1000kB"),
            (0.001_234, "0.001234B"),
        ] {
            assert_eq!(human_size(size), words);
        }
        assert_eq!(human_size_short(1_976_320.0), "1.98MB");
        assert_eq!(human_size_short(999_900.0), "1e+03kB");
        assert_eq!(binary_size(1_610_612_736.0), "1.5GiB");
        assert_eq!(binary_size(1023.0), "1023B");
    }
}
