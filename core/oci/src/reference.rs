//! The name of an image: `[registry/]repository[:tag][@digest]`.
//!
//! The grammar is that of the distribution project (`reference` package), with Docker's
//! shorthand: no registry means `docker.io`, one path component there means `library/…`, no tag
//! and no digest mean `latest`.

use std::fmt;

use crate::digest::{Digest, shorten};

const DEFAULT_REGISTRY: &str = "docker.io";
const OFFICIAL: &str = "library/";
/// The longest name (registry and repository together) that the grammar takes, in bytes.
const NAME_MAX: usize = 255;

/// A normalised image name with a tag, a digest, or both.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is not a reference; the words are those of Docker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReference {
    /// Not of the grammar.
    #[error("invalid reference format")]
    Format,
    /// Upper case letters in the repository.
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    Uppercase(String),
    /// Longer than 255 bytes.
    #[error("repository name must not be more than 255 characters")]
    TooLong,
    /// 64 hexadecimal digits would be taken for an id.
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    LooksLikeId(String),
}

impl Reference {
    /// Reads a name as people write it, and completes registry and `library/`; the tag stays as written.
    ///
    /// # Errors
    /// [`InvalidReference`], in Docker's words.
    pub fn parse(text: &str) -> Result<Self, InvalidReference> {
        if is_id(text) {
            return Err(InvalidReference::LooksLikeId(text.into()));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse().map_err(|_| InvalidReference::Format)?)),
            None => (text, None),
        };
        let (name, tag) = split_tag(rest);
        let (registry, repository) = split_registry(name);
        if repository.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(InvalidReference::Uppercase(shorten(&repository)));
        }
        let valid = is_registry(&registry) && is_repository(&repository) && tag.is_none_or(is_tag);
        if !valid {
            return Err(InvalidReference::Format);
        }
        if registry.len() + 1 + repository.len() > NAME_MAX {
            return Err(InvalidReference::TooLong);
        }
        Ok(Self { registry, repository, tag: tag.map(str::to_owned), digest })
    }

    /// Reads a name as [`parse`](Self::parse) does and adds `:latest` where neither tag nor digest is given.
    ///
    /// # Errors
    /// As `parse`.
    pub fn parse_tagged(text: &str) -> Result<Self, InvalidReference> {
        Ok(Self::parse(text)?.or_latest())
    }

    /// The same name, with `:latest` where neither tag nor digest is given.
    #[must_use]
    pub fn or_latest(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some("latest".into());
        }
        self
    }

    /// The same repository with another tag and no digest.
    ///
    /// # Errors
    /// [`InvalidReference::Format`] when `tag` is not `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`.
    pub fn with_tag(&self, tag: &str) -> Result<Self, InvalidReference> {
        if !is_tag(tag) {
            return Err(InvalidReference::Format);
        }
        Ok(Self { tag: Some(tag.into()), digest: None, ..self.clone() })
    }

    /// `docker.io`, `localhost:5000`, …
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path below the registry: `library/busybox`.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, if one is given.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one is given.
    #[must_use]
    pub const fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The repository as people write it: `busybox`, `localhost:5000/app`.
    #[must_use]
    pub fn familiar_name(&self) -> String {
        if self.registry != DEFAULT_REGISTRY {
            return format!("{}/{}", self.registry, self.repository);
        }
        let short = match self.repository.strip_prefix(OFFICIAL) {
            Some(rest) if !rest.contains('/') => rest,
            _ => &self.repository,
        };
        // `docker.io/a.b/c` without its registry would be the repository `c` of a registry `a.b`, and 64 hexadecimal
        // digits without `library/` an id.
        let (registry, repository) = split_registry(short);
        if registry == self.registry && repository == self.repository && !is_id(short) {
            return short.to_owned();
        }
        format!("{}/{}", self.registry, self.repository)
    }

    /// The whole reference as people write it: `busybox:latest`.
    #[must_use]
    pub fn familiar(&self) -> String {
        self.familiar_name() + &self.suffix()
    }

    fn suffix(&self) -> String {
        let tag = self.tag.as_ref().map(|t| format!(":{t}"));
        let digest = self.digest.map(|d| format!("@{d}"));
        tag.unwrap_or_default() + &digest.unwrap_or_default()
    }
}

fn is_id(text: &str) -> bool {
    text.len() == 64 && Digest::from_hex(text).is_ok()
}

/// Written in full: `docker.io/library/busybox:latest`.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.registry, self.repository, self.suffix())
    }
}

impl std::str::FromStr for Reference {
    type Err = InvalidReference;
    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        Self::parse(text)
    }
}

impl serde::Serialize for Reference {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Reference {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// A colon after the last slash separates the tag; one before it belongs to a port.
fn split_tag(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (text, None),
    }
}

/// The first component is a registry when it has a dot, a colon or upper case, or is `localhost`.
fn split_registry(name: &str) -> (String, String) {
    let looks_like_host =
        |host: &str| host.contains(['.', ':', '[']) || host == "localhost" || host.to_lowercase() != host;
    let (registry, path) = match name.split_once('/') {
        Some((host, path)) if looks_like_host(host) => (host, path),
        _ => (DEFAULT_REGISTRY, name),
    };
    let registry = if registry == "index.docker.io" { DEFAULT_REGISTRY } else { registry };
    if registry == DEFAULT_REGISTRY && !path.contains('/') {
        return (registry.into(), format!("{OFFICIAL}{path}"));
    }
    (registry.into(), path.into())
}

fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let label = |l: &str| {
        let inner = l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        inner && !l.is_empty() && !l.starts_with('-') && !l.ends_with('-')
    };
    let v6 = |h: &str| {
        h.strip_prefix('[')
            .and_then(|h| h.strip_suffix(']'))
            .is_some_and(|h| !h.is_empty() && h.bytes().all(|b| b.is_ascii_hexdigit() || b == b':'))
    };
    let digits = |p: &str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit());
    (host.split('.').all(label) || v6(host)) && port.is_none_or(digits)
}

fn is_repository(text: &str) -> bool {
    text.split('/').all(is_component)
}

/// Runs of `[a-z0-9]` joined by one `.`, one or two `_`, or any number of `-`.
fn is_component(text: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let (Some(first), Some(last)) = (text.bytes().next(), text.bytes().last()) else {
        return false;
    };
    if !alphanumeric(first)
        || !alphanumeric(last)
        || !text.bytes().all(|b| alphanumeric(b) || b"._-".contains(&b))
    {
        return false;
    }
    text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        .all(|gap| matches!(gap, "" | "." | "_" | "__") || gap.bytes().all(|b| b == b'-'))
}

fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=128).contains(&text.len())
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_familiar_name_reads_as_what_it_is_of() {
        let like_an_id = format!("library/{}", "ab".repeat(32));
        let others = ["docker.io/1ker.io/1/j", "docker.io/localhost/x", "docker.io/library/a.b/c", "busybox"];
        for text in others.into_iter().chain([like_an_id.as_str()]) {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(Reference::parse(&reference.familiar()).as_ref(), Ok(&reference), "{text}");
        }
    }

    #[test]
    fn short_names_are_completed_and_shown_short() {
        for (text, full, familiar) in [
            ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
            ("user/app:1.0", "docker.io/user/app:1.0", "user/app:1.0"),
            ("localhost:5000/a/b", "localhost:5000/a/b:latest", "localhost:5000/a/b:latest"),
            ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
            ("index.docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
            ("[::1]:5000/x:t", "[::1]:5000/x:t", "[::1]:5000/x:t"),
            ("a__b/c---d.e", "docker.io/a__b/c---d.e:latest", "a__b/c---d.e:latest"),
        ] {
            let reference = Reference::parse_tagged(text).unwrap();
            assert_eq!((reference.to_string().as_str(), reference.familiar().as_str()), (full, familiar));
            assert_eq!(Reference::parse(full).unwrap(), reference);
        }
    }

    #[test]
    fn names_out_of_their_grammar_are_refused_in_dockers_words() {
        for wrong in [
            "",
            ":",
            "a:",
            "a//b",
            "/a",
            "a/",
            "a___b",
            "a..b",
            "-a",
            "a b",
            "a:b c",
            "a@sha256:00",
            "a:b:c/",
        ] {
            assert_eq!(Reference::parse(wrong), Err(InvalidReference::Format), "{wrong}");
        }
        assert!(matches!(Reference::parse("user/App"), Err(InvalidReference::Uppercase(_))));
        assert!(matches!(Reference::parse(&"a".repeat(64)), Err(InvalidReference::LooksLikeId(_))));
        assert_eq!(Reference::parse("a/".repeat(200).trim_end_matches('/')), Err(InvalidReference::TooLong));
        assert!(Reference::parse(&format!("a:{}", "t".repeat(129))).is_err());
    }
}
