//! Instants as clients write them: `1700000000`, `1700000000.123456789`, RFC 3339, or `10m` ago.

use dhow_model::{Error, Result, Timestamp, duration};

/// Reads the instant of a filter; a duration counts back from `now`.
///
/// # Errors
/// Invalid argument that quotes the text, in Docker's words.
pub(crate) fn parse(text: &str, now: Timestamp) -> Result<Timestamp> {
    let wrong = || {
        let why = if text.trim().is_empty() { "value is empty".into() } else { no_seconds(text) };
        Error::invalid(format!("failed to parse value as time or duration: {why}"))
    };
    read(text, now).ok_or_else(wrong)
}

/// The instant of a query parameter; nothing where it is not given, or is `0`.
///
/// # Errors
/// Invalid argument that quotes the text, in Docker's words.
pub(crate) fn optional(text: &str) -> Result<Option<Timestamp>> {
    if text.is_empty() || text == "0" {
        return Ok(None);
    }
    let wrong = || Error::invalid(format!("invalid timestamp {text:?}: {}", no_seconds(text)));
    read(text, Timestamp::now()).map(Some).ok_or_else(wrong)
}

fn no_seconds(text: &str) -> String {
    let seconds = text.split_once('.').map_or(text, |(seconds, _)| seconds);
    format!("invalid seconds {seconds:?}: invalid syntax")
}

fn read(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Some(nanos) = unix(text) {
        return Some(Timestamp::from_nanos(nanos));
    }
    if let Ok(ago) = duration::parse(text) {
        return Some(Timestamp::from_nanos(now.unix_nanos() - i128::from(ago)));
    }
    civil(text)
}

/// Nanoseconds of `seconds[.fraction]`.
fn unix(text: &str) -> Option<i128> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let seconds: i64 = seconds.parse().ok()?;
    if fraction.len() > 20 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // Less than a nanosecond is cut off.
    let nanos: i128 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    Some(i128::from(seconds) * 1_000_000_000 + nanos)
}

/// RFC 3339, or less: without offset it is UTC, without time it is midnight.
fn civil(text: &str) -> Option<Timestamp> {
    if let Ok(instant) = Timestamp::parse(text) {
        return Some(instant);
    }
    let local = text.strip_suffix('Z').unwrap_or(text);
    let instant = local.parse::<jiff::civil::DateTime>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(Timestamp::from_nanos(instant.timestamp().as_nanosecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_in_all_forms_of_docker() {
        let now = Timestamp::from_nanos(1_700_000_000_000_000_000);
        for (text, seconds, nanos) in [
            ("1600000000", 1_600_000_000, 0),
            ("1600000000.5", 1_600_000_000, 500_000_000),
            ("1600000000.000000001", 1_600_000_000, 1),
            ("2020-09-13T12:26:40Z", 1_600_000_000, 0),
            ("2020-09-13T14:26:40.25+02:00", 1_600_000_000, 250_000_000),
            ("2020-09-13T12:26:40", 1_600_000_000, 0),
            ("2020-09-13", 1_599_955_200, 0),
            ("10m", 1_699_999_400, 0),
            ("1h30m", 1_699_994_600, 0),
            ("1.5h", 1_699_994_600, 0),
            ("-10m", 1_700_000_600, 0),
            ("1600000000.", 1_600_000_000, 0),
            ("1600000000.0000000019", 1_600_000_000, 1),
            ("2020-09-13T12:26", 1_599_999_960, 0),
        ] {
            let read = parse(text, now).unwrap().unix_nanos();
            assert_eq!(read, i128::from(seconds) * 1_000_000_000 + nanos, "{text}");
        }
    }

    #[test]
    fn what_is_no_instant_is_quoted() {
        for text in ["yesterday", "1.2.3", "5x", "1600000000.000000000000000000001", "m"] {
            assert!(parse(text, Timestamp::now()).is_err(), "{text}");
        }
        assert_eq!(optional("").unwrap(), None);
        assert_eq!(optional("0").unwrap(), None);
    }
}
