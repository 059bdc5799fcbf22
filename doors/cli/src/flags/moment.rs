//! `--since` and `--until`: a moment, or a length of time before now, as the API takes it.

use dhow_model::duration;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use super::number;
use crate::error::{Error, Result};

/// Reads a moment; the answer is in seconds with nanoseconds.
pub(crate) fn timestamp(value: &str) -> Result<String> {
    if let Ok(length) = duration::parse(value) {
        let moment = Timestamp::now().checked_sub(length.nanoseconds());
        // Whole seconds, as docker's.
        return moment.map(|it| it.as_second().to_string()).map_err(|error| Error::said(error.to_string()));
    }
    if let Ok(moment) = value.parse::<Timestamp>() {
        return Ok(seconds(moment));
    }
    if is_seconds(value) {
        return Ok(value.to_owned());
    }
    let local = civil(value).and_then(|local| local.to_zoned(TimeZone::system()).ok());
    match local {
        Some(zoned) => Ok(seconds(zoned.timestamp())),
        None => Err(Error::said(format!("failed to parse value as time or duration: \"{value}\""))),
    }
}

fn seconds(moment: Timestamp) -> String {
    format!("{}.{:09}", moment.as_second(), moment.subsec_nanosecond())
}

fn is_seconds(value: &str) -> bool {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, "0"));
    number::decimal(whole).is_some() && number::decimal(fraction).is_some()
}

/// A date or a date and time without a zone, which means local time.
fn civil(value: &str) -> Option<DateTime> {
    let filled = match value.len() {
        10 => format!("{value}T00:00:00"),
        13 => format!("{value}:00:00"),
        16 => format!("{value}:00"),
        _ => value.to_owned(),
    };
    filled.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_sent_in_seconds() {
        assert_eq!(timestamp("1136073845").unwrap(), "1136073845");
        assert_eq!(timestamp("1136073845.5").unwrap(), "1136073845.5");
        assert_eq!(timestamp("2006-01-02T15:04:05.5Z").unwrap(), "1136214245.500000000");
        assert!(timestamp("2006-01-02").is_ok() && timestamp("2006-01-02T15:04").is_ok());
        let ago: f64 = timestamp("1h").unwrap().parse().unwrap();
        let now: f64 = seconds(Timestamp::now()).parse().unwrap();
        assert!((now - ago - 3600.0).abs() < 60.0);
        let words = timestamp("yesterday").unwrap_err().to_string();
        assert_eq!(words, "failed to parse value as time or duration: \"yesterday\"");
    }
}
