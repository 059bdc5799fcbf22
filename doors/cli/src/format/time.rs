//! Points in time: as docker prints them, as the API takes them, and how long ago they were.

use dhow_model::duration;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    Timestamp::now().as_second()
}

/// How long ago a moment was: `3 seconds ago`.
pub(crate) fn ago(seconds: i64) -> String {
    format!("{} ago", duration::in_words(now() - seconds))
}

/// A moment in local time as Go prints it: `2026-11-21 03:35:14 +0000 UTC`.
pub(crate) fn local(seconds: i64) -> String {
    match Timestamp::from_second(seconds) {
        Ok(moment) => moment.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string(),
        Err(_) => seconds.to_string(),
    }
}

/// A moment in local time by RFC 3339 in full seconds: `2026-11-21T03:35:14Z`.
pub(crate) fn local_rfc3339(seconds: i64) -> String {
    let Ok(moment) = Timestamp::from_second(seconds) else {
        return seconds.to_string();
    };
    let zoned = moment.to_zoned(TimeZone::system());
    format!("{}{}", zoned.strftime("%Y-%m-%dT%H:%M:%S"), offset(&zoned))
}

/// A moment with nanoseconds in local time: `2026-11-21T03:35:14.123456789Z`.
pub(crate) fn local_nanoseconds(nanoseconds: i64) -> String {
    let Ok(moment) = Timestamp::from_nanosecond(i128::from(nanoseconds)) else {
        return nanoseconds.to_string();
    };
    let zoned = moment.to_zoned(TimeZone::system());
    format!("{}{}", zoned.strftime("%Y-%m-%dT%H:%M:%S.%9f"), offset(&zoned))
}

/// A moment by RFC 3339 as `docker version` prints build times: `Thu May  7 21:09:36 2026`.
pub(crate) fn calendar(text: &str) -> String {
    match text.parse::<Timestamp>() {
        Ok(moment) => moment.to_zoned(TimeZone::UTC).strftime("%a %b %e %H:%M:%S %Y").to_string(),
        Err(_) => text.to_owned(),
    }
}

/// A moment by RFC 3339 as Go prints it: `2026-11-21 03:35:14.5 +0000 UTC`.
pub(crate) fn go(text: &str) -> String {
    match text.parse::<Timestamp>() {
        Ok(moment) => moment.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S%.f %z %Z").to_string(),
        Err(_) => text.to_owned(),
    }
}

fn offset(zoned: &Zoned) -> String {
    match zoned.offset().seconds() {
        0 => "Z".to_owned(),
        _ => zoned.strftime("%:z").to_string(),
    }
}
