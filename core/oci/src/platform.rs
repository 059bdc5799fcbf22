//! Where an image runs: operating system, architecture, variant.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An operating system and processor, in Go's names (OCI image specification, "Image Index").
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// `amd64`, `arm64`, …
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// `v8`, `v7`, …
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub variant: String,
    /// Windows only.
    #[serde(default, rename = "os.version", skip_serializing_if = "String::is_empty")]
    pub os_version: String,
}

impl Platform {
    /// The platform this program was built for.
    #[must_use]
    pub fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            "powerpc64" => "ppc64le",
            other => other,
        };
        Self {
            architecture: architecture.into(),
            os: "linux".into(),
            variant: String::new(),
            os_version: String::new(),
        }
    }

    /// Reads `os[/architecture[/variant]]` or a lone architecture, as `--platform` takes it.
    ///
    /// # Errors
    /// The text itself, when it has more than three parts, an empty part or odd characters.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let plain =
            |p: &&str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
        if parts.len() > 3 || !parts.iter().all(plain) {
            return Err(format!("{:?} is an invalid platform", super::digest::shorten(text)));
        }
        let host = Self::host();
        let mut platform = match parts.as_slice() {
            [one] if *one == "linux" => host,
            [architecture] => Self { architecture: (*architecture).into(), ..host },
            [os, architecture, rest @ ..] => Self {
                os: (*os).into(),
                architecture: (*architecture).into(),
                variant: rest.first().map_or(String::new(), |v| (*v).into()),
                os_version: String::new(),
            },
            [] => host,
        };
        platform.normalize();
        Ok(platform)
    }

    /// Whether an image for `self` runs on `host`: same system and processor, variant where both say one.
    #[must_use]
    pub fn runs_on(&self, host: &Self) -> bool {
        let variant = |p: &Self| match (p.architecture.as_str(), p.variant.as_str()) {
            ("arm64", "v8") => String::new(),
            (_, v) => v.to_owned(),
        };
        self.os == host.os
            && self.architecture == host.architecture
            && (variant(self) == variant(host) || variant(self).is_empty() || variant(host).is_empty())
    }

    fn normalize(&mut self) {
        let architecture = match self.architecture.as_str() {
            "x86_64" | "x86-64" => "amd64",
            "aarch64" => "arm64",
            "i386" => "386",
            _ => return,
        };
        self.architecture = architecture.into();
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, "/{}", self.variant) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_read_as_clients_write_them() {
        for (text, expect) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("linux/arm/v7", "linux/arm/v7"),
        ] {
            assert_eq!(Platform::parse(text).unwrap().to_string(), expect);
        }
        for wrong in ["", "/", "linux/", "a/b/c/d", "linux/am d64"] {
            assert!(Platform::parse(wrong).is_err(), "{wrong}");
        }
    }
}
