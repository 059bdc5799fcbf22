//! API versions: `/v1.41/…` or no prefix; what an answer looks like follows from the version asked for.

use std::fmt;

use dhow_model::{Error, Result};

/// A version of the Engine API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ApiVersion {
    major: u16,
    minor: u16,
}

impl ApiVersion {
    /// The newest that is served, and what a path without a version means.
    pub(crate) const NEWEST: Self = Self::of(56);
    /// The oldest that is served.
    pub(crate) const OLDEST: Self = Self::of(24);

    /// Version 1.`minor`.
    pub(crate) const fn of(minor: u16) -> Self {
        Self { major: 1, minor }
    }

    /// Whether it is older than 1.`minor`.
    pub(crate) fn before(self, minor: u16) -> bool {
        self < Self::of(minor)
    }

    /// Splits `/v1.41/containers/json` into the version and `/containers/json`.
    ///
    /// # Errors
    /// In Docker's words when the version is not served. A first component that is no version at all
    /// belongs to the path.
    pub(crate) fn split(path: &str) -> Result<(Self, &str)> {
        let Some((version, rest)) = path.strip_prefix("/v").and_then(|rest| rest.split_once('/')) else {
            return Ok((Self::NEWEST, path));
        };
        if version.is_empty() || !version.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return Ok((Self::NEWEST, path));
        }
        let rest = &path[path.len() - rest.len() - 1..];
        Ok((Self::negotiated(version)?, rest))
    }

    fn negotiated(text: &str) -> Result<Self> {
        let asked = Self::parse(text)
            .ok_or_else(|| Error::invalid(format!("API version {text:?} is not of the form 1.NN")))?;
        if asked > Self::NEWEST {
            return Err(Error::invalid(format!(
                "client version {text} is too new. Maximum supported API version is {}",
                Self::NEWEST
            )));
        }
        if asked < Self::OLDEST {
            return Err(Error::invalid(format!(
                "client version {text} is too old. Minimum supported API version is {}, please upgrade your \
                 client to a newer version",
                Self::OLDEST
            )));
        }
        Ok(asked)
    }

    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_its_version_or_means_the_newest() {
        for (path, version, rest) in [
            ("/v1.41/containers/json", ApiVersion::of(41), "/containers/json"),
            ("/v1.24/_ping", ApiVersion::of(24), "/_ping"),
            ("/_ping", ApiVersion::NEWEST, "/_ping"),
            ("/version", ApiVersion::NEWEST, "/version"),
            ("/volumes/json", ApiVersion::NEWEST, "/volumes/json"),
            ("/v1.56/images/a/b/json", ApiVersion::NEWEST, "/images/a/b/json"),
        ] {
            assert_eq!(ApiVersion::split(path).unwrap(), (version, rest), "{path}");
        }
    }

    #[test]
    fn versions_out_of_range_are_refused_in_dockers_words() {
        for (path, words) in [
            ("/v1.99/info", "client version 1.99 is too new. Maximum supported API version is 1.56"),
            (
                "/v1.23/info",
                "client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade your \
                 client to a newer version",
            ),
            ("/v2/info", "client version 2 is too new. Maximum supported API version is 1.56"),
            ("/v1.2.3/info", "API version \"1.2.3\" is not of the form 1.NN"),
        ] {
            assert_eq!(ApiVersion::split(path).unwrap_err().to_string(), words, "{path}");
        }
    }
}
