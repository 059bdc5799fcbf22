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

/// What the parts are held against, as Docker shows it to the user.
const OF_SYSTEM: &str = r"^([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.%-]*)((?:\+[A-Za-z0-9_.%-]+)*)\))?$";
const OF_OTHERS: &str = "^[A-Za-z0-9_.-]+$";
/// Go's names.
const SYSTEMS: &[&str] = &[
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "linux",
    "nacl",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "windows",
    "zos",
];
const ARCHITECTURES: &[&str] = &[
    "386",
    "amd64",
    "amd64p32",
    "arm",
    "arm64",
    "arm64be",
    "armbe",
    "loong64",
    "mips",
    "mips64",
    "mips64le",
    "mips64p32",
    "mips64p32le",
    "mipsle",
    "ppc",
    "ppc64",
    "ppc64le",
    "riscv",
    "riscv64",
    "s390",
    "s390x",
    "sparc",
    "sparc64",
    "wasm",
];

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

    /// Reads `linux/arm64/v8`, `linux/amd64`, or one of both parts: `linux`, `arm64`.
    ///
    /// # Errors
    /// In the words of the library that Docker reads it with: an empty part or odd characters, a single part that is
    /// neither a system nor an architecture, or more than three.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: String| Err(format!("{why}: invalid argument"));
        let whole = super::digest::shorten(text);
        if text.contains('*') {
            return wrong(format!("{whole:?}: wildcards not yet supported"));
        }
        let parts: Vec<&str> = text.splitn(4, '/').collect();
        let plain = |part: &str, further: &[u8]| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || further.contains(&b))
        };
        if !plain(parts[0], b"_-") {
            return wrong(format!(
                "{:?} is an invalid OS component of {whole:?}: OSAndVersion specifier component must match {OF_SYSTEM:?}",
                super::digest::shorten(parts[0])
            ));
        }
        if let Some(odd) = parts[1..].iter().find(|part| !plain(part, b"_-.")) {
            return wrong(format!(
                "{:?} is an invalid component of {whole:?}: platform specifier component must match {OF_OTHERS:?}",
                super::digest::shorten(odd)
            ));
        }
        let host = Self::host();
        let mut platform = match parts.as_slice() {
            [one] if SYSTEMS.contains(one) => Self { os: (*one).into(), ..host },
            [architecture] => Self { architecture: (*architecture).into(), ..host },
            [os, architecture, rest @ ..] if rest.len() < 2 => Self {
                os: (*os).into(),
                architecture: (*architecture).into(),
                variant: rest.first().map_or(String::new(), |v| (*v).into()),
                os_version: String::new(),
            },
            _ => return wrong(format!("{whole:?}: cannot parse platform specifier")),
        };
        platform.normalize();
        if parts.len() == 1 && !ARCHITECTURES.contains(&platform.architecture.as_str()) {
            return wrong(format!("{whole:?}: unknown operating system or architecture"));
        }
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
        assert_eq!(Platform::parse("linux").unwrap(), Platform::host());
        assert_eq!(Platform::parse("aarch64").unwrap().to_string(), "linux/arm64");
        for (wrong, words) in [
            ("", "\"\" is an invalid OS component of \"\": OSAndVersion specifier component must match \"^("),
            ("/", "\"\" is an invalid OS component of \"/\": "),
            (
                "linux/",
                "\"\" is an invalid component of \"linux/\": platform specifier component must match \
                 \"^[A-Za-z0-9_.-]+$\": invalid argument",
            ),
            ("linux/am d64", "\"am d64\" is an invalid component of "),
            ("a/b/c/d", "\"a/b/c/d\": cannot parse platform specifier: invalid argument"),
            ("foo", "\"foo\": unknown operating system or architecture: invalid argument"),
            ("linux/*", "\"linux/*\": wildcards not yet supported: invalid argument"),
        ] {
            let said = Platform::parse(wrong).unwrap_err();
            assert!(said.starts_with(words), "{said}");
        }
    }
}
