//! Lengths of time as Go writes them (`1h2m`, `300ms`, `-1.5s`) and as Docker words them (`2 weeks`).

use crate::{Error, Result};

/// Reads a length of time, in nanoseconds.
///
/// # Errors
/// Invalid argument, in the words of Go's `time.ParseDuration`.
pub fn parse(text: &str) -> Result<i64> {
    let invalid = || Error::invalid(format!("time: invalid duration {text:?}"));
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(end);
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        // A number that Go cannot hold is wrong before its unit is.
        let digits = number.split('.').next().unwrap_or_default();
        if !digits.is_empty() && digits.parse::<u64>().map_or(true, |it| it > 1 << 63) {
            return Err(invalid());
        }
        if unit.is_empty() && !number.is_empty() {
            return Err(Error::invalid(format!("time: missing unit in duration {text:?}")));
        }
        let scale = match unit_nanoseconds(unit) {
            Some(scale) => scale,
            None if number.is_empty() => return Err(invalid()),
            None => {
                return Err(Error::invalid(format!("time: unknown unit {unit:?} in duration {text:?}")));
            }
        };
        total = scaled(number, scale).and_then(|more| total.checked_add(more)).ok_or_else(invalid)?;
        rest = tail;
    }
    i64::try_from(if negative { -total } else { total }).map_err(|_| invalid())
}

fn unit_nanoseconds(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

fn scaled(number: &str, scale: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') || number.len() > 38 {
        return None;
    }
    let mut total = if whole.is_empty() { 0 } else { whole.parse::<i128>().ok()?.checked_mul(scale)? };
    let mut place = scale;
    for digit in fraction.bytes() {
        place /= 10;
        total += i128::from(digit - b'0') * place;
    }
    Some(total)
}

/// Writes nanoseconds as Go's `time.Duration` prints itself: `1m30s`, `1.5ms`, `0s`.
#[must_use]
pub fn in_go(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let length = nanoseconds.unsigned_abs();
    let part = |of: u64, unit: u64| {
        let digits = format!("{:09}", of % unit * (1_000_000_000 / unit));
        match digits.trim_end_matches('0') {
            "" => (of / unit).to_string(),
            digits => format!("{}.{digits}", of / unit),
        }
    };
    match length {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{length}ns"),
        1_000..1_000_000 => format!("{sign}{}µs", part(length, 1_000)),
        1_000_000..1_000_000_000 => format!("{sign}{}ms", part(length, 1_000_000)),
        _ => {
            let (minutes, rest) = (length / 60_000_000_000, length % 60_000_000_000);
            let seconds = part(rest, 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{sign}{seconds}s"),
                (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
                (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

/// Says whole seconds as Docker does: `About a minute`, `2 weeks`.
#[must_use]
pub fn in_words(seconds: i64) -> String {
    let minutes = seconds / 60;
    // Hours are rounded to the nearest, as Docker's are; years are not.
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
    fn durations_are_written_as_go_writes_them() {
        let written = [
            (0, "0s"),
            (999, "999ns"),
            (1_500, "1.5µs"),
            (2_000_000, "2ms"),
            (30_000_000_000, "30s"),
            (90_500_000_000, "1m30.5s"),
            (7_200_000_000_000, "2h0m0s"),
            (-1_000_000_000, "-1s"),
        ];
        assert!(written.iter().all(|(length, words)| in_go(*length) == *words));
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let read = [
            ("0", 0),
            ("1h2m3s", 3_723_000_000_000),
            ("-1.5s", -1_500_000_000),
            ("300ms", 300_000_000),
            (".5us", 500),
        ];
        for (text, length) in read {
            assert_eq!(parse(text).unwrap(), length, "{text}");
        }
        let twice_the_most = "99999999999999999999999999999999999999ns".repeat(2);
        let refused = [
            ("x", "time: invalid duration \"x\""),
            ("", "time: invalid duration \"\""),
            ("10", "time: missing unit in duration \"10\""),
            ("10q", "time: unknown unit \"q\" in duration \"10q\""),
            ("9999999999h", "time: invalid duration \"9999999999h\""),
            (&twice_the_most, &format!("time: invalid duration {twice_the_most:?}")),
        ];
        for (text, words) in refused {
            assert_eq!(parse(text).unwrap_err().to_string(), words);
        }
    }

    #[test]
    fn times_are_said_in_words() {
        for (seconds, words) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
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
            assert_eq!(in_words(seconds), words, "{seconds}");
        }
    }
}
