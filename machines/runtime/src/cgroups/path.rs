//! `linux.cgroupsPath`: where a container's cgroup is, in every hierarchy.

use std::fmt;

use dhow_model::error::{Error, Result};

use super::layout::{HierarchyMount, Version};

/// The longest path the kernel takes.
const LONGEST: usize = 4095;

/// A cgroup's path, cleaned: no `.`, no `..`, no slash at either end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupPath {
    /// From the mount point; else from the cgroup of this process.
    absolute: bool,
    inner: String,
}

impl CgroupPath {
    /// Parses a `cgroupsPath`. A `..` never leaves what the path is relative to.
    ///
    /// # Errors
    /// When it is too long, has a control character, or names the root itself.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > LONGEST || text.contains(|c: char| c.is_control()) {
            return Err(Error::invalid(format!("invalid cgroup path {text:?}")));
        }
        let mut parts: Vec<&str> = Vec::new();
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop();
                }
                part => parts.push(part),
            }
        }
        if parts.is_empty() {
            return Err(Error::invalid(format!("cgroup path {text:?} names no cgroup of its own")));
        }
        Ok(Self { absolute: text.starts_with('/'), inner: parts.join("/") })
    }

    /// The path within one hierarchy, from its mount point.
    ///
    /// A relative path begins at the cgroup of this process; in version 2 at the parent of that, since
    /// a cgroup that holds processes cannot give controllers to its children.
    #[must_use]
    pub fn within(&self, hierarchy: &HierarchyMount) -> String {
        if self.absolute {
            return self.inner.clone();
        }
        let base = match hierarchy.version {
            Version::V1 => hierarchy.own.as_str(),
            Version::V2 => hierarchy.own.rsplit_once('/').map_or("", |(parent, _)| parent),
        };
        if base.is_empty() { self.inner.clone() } else { format!("{base}/{}", self.inner) }
    }
}

impl fmt::Display for CgroupPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.absolute { "/" } else { "" }, self.inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(path: &str, version: Version, own: &str) -> String {
        let mount = HierarchyMount {
            id: 0,
            mount_point: "/sys/fs/cgroup".into(),
            version,
            controllers: Vec::new(),
            name: None,
            own: own.to_owned(),
        };
        CgroupPath::parse(path).unwrap().within(&mount)
    }

    #[test]
    fn an_absolute_path_begins_at_the_mount_point_and_a_relative_one_at_home() {
        for (path, version, own, expected) in [
            ("/docker/abc", Version::V1, "user", "docker/abc"),
            ("docker/abc", Version::V1, "user", "user/docker/abc"),
            ("abc", Version::V1, "", "abc"),
            ("abc", Version::V2, "user/session", "user/abc"),
            ("abc", Version::V2, "session", "abc"),
            ("/a/../../../etc", Version::V2, "", "etc"),
            ("../../a//./b/", Version::V1, "user", "user/a/b"),
        ] {
            assert_eq!(within(path, version, own), expected, "{path}");
        }
    }

    #[test]
    fn a_path_that_is_none_is_refused() {
        for path in ["", "/", "a/..", "/../..", "a\nb", "a\0b", &"a".repeat(5000)] {
            assert!(CgroupPath::parse(path).is_err(), "{path:?}");
        }
    }
}
