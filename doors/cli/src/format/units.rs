//! Sizes and lengths of time as docker says them: `1.98MB`, `2 weeks`.

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

/// A length of time in words: `About a minute`, `2 weeks`.
pub(crate) fn human_duration(seconds: i64) -> String {
    let minutes = seconds / 60;
    // Hours are rounded to the nearest, as docker's are.
    let hours = (seconds + 1800) / 3600;
    match seconds {
        ..1 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        _ if minutes == 1 => "About a minute".to_owned(),
        _ if minutes < 60 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".to_owned(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / 3600 / 24 / 365),
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

    #[test]
    fn times_are_said_in_words() {
        for (seconds, words) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (120, "2 minutes"),
            (3599, "59 minutes"),
            (3600, "About an hour"),
            (5400, "2 hours"),
            (47 * 3600, "47 hours"),
            (48 * 3600, "2 days"),
            (14 * 86400, "2 weeks"),
            (61 * 86400, "2 months"),
            (730 * 86400, "2 years"),
        ] {
            assert_eq!(human_duration(seconds), words, "{seconds}");
        }
    }
}
