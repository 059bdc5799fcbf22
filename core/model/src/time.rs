//! Instants as Docker writes them: RFC 3339 with up to nine digits after the point, trailing zeros cut.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Go's zero time, which clients take for "never".
const ZERO: &str = "0001-01-01T00:00:00Z";

/// An instant with nanoseconds, or never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(Option<jiff::Timestamp>);

impl Timestamp {
    /// Never: written as Go's zero time.
    pub const NEVER: Self = Self(None);

    /// The wall clock.
    #[must_use]
    pub fn now() -> Self {
        Self(Some(jiff::Timestamp::now()))
    }

    /// From nanoseconds since 1970; [`NEVER`](Self::NEVER) when out of range.
    #[must_use]
    pub fn from_nanos(nanos: i128) -> Self {
        Self(jiff::Timestamp::from_nanosecond(nanos).ok())
    }

    /// Reads RFC 3339.
    ///
    /// # Errors
    /// The parser's, for anything else.
    pub fn parse(text: &str) -> Result<Self, jiff::Error> {
        if text == ZERO { Ok(Self::NEVER) } else { text.parse().map(|t| Self(Some(t))) }
    }

    /// Whether it is [`NEVER`](Self::NEVER).
    #[must_use]
    pub const fn is_never(self) -> bool {
        self.0.is_none()
    }

    /// Seconds since 1970; Go's zero time for never.
    #[must_use]
    pub fn unix_seconds(self) -> i64 {
        self.0.map_or(-62_135_596_800, jiff::Timestamp::as_second)
    }

    /// Nanoseconds since 1970; 0 for never.
    #[must_use]
    pub fn unix_nanos(self) -> i128 {
        self.0.map_or(0, jiff::Timestamp::as_nanosecond)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(instant) => instant.fmt(f),
            None => f.write_str(ZERO),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        if text.is_empty() { Ok(Self::NEVER) } else { Self::parse(&text).map_err(serde::de::Error::custom) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_as_go_writes_them() {
        for (nanos, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_500_000_000, "1970-01-01T00:00:01.5Z"),
            (1_000_000_001, "1970-01-01T00:00:01.000000001Z"),
        ] {
            assert_eq!(Timestamp::from_nanos(nanos).to_string(), text);
            assert_eq!(Timestamp::parse(text).unwrap().unix_nanos(), nanos);
        }
        assert_eq!(Timestamp::parse(ZERO).unwrap(), Timestamp::NEVER);
        assert_eq!(Timestamp::NEVER.to_string(), ZERO);
    }
}
