//! Docker's format of seccomp profiles, and its default profile.
//!
//! A profile has rules that hold on some architectures, kernels or with some capabilities only.
//! [`Profile::resolve`] takes those that hold here and leaves the filter of the runtime specification.
//! A profile without conditions is one of the runtime specification already, so that either is read.

mod default;

use serde::{Deserialize, Serialize};

use crate::capabilities::CapabilitySet;
use crate::runtime::{Seccomp, SeccompArgument, SeccompRule, null_as_default};

/// A profile longer than this is refused; Docker's own has 20 kB.
pub const LONGEST: usize = 4 << 20;

/// A profile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Profile {
    /// What is common with the runtime specification.
    #[serde(flatten)]
    pub common: Common,
    /// Architectures with those whose programs run there too.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub arch_map: Vec<ArchitectureFamily>,
    /// The rules.
    #[serde(deserialize_with = "null_as_default")]
    pub syscalls: Vec<Rule>,
}

/// What a profile has in common with the runtime specification's filter, which is explained there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs, reason = "as in the runtime specification")]
pub struct Common {
    pub default_action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_errno_ret: Option<u32>,
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub architectures: Vec<String>,
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub listener_path: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub listener_metadata: String,
}

/// An architecture, and those whose programs run there too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ArchitectureFamily {
    /// `SCMP_ARCH_X86_64`, …
    pub architecture: String,
    /// `SCMP_ARCH_X86`, …
    #[serde(rename = "subArchitectures", deserialize_with = "null_as_default")]
    pub others: Vec<String>,
}

/// A rule with its conditions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rule {
    /// Names of system calls.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// One name, in old profiles.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What is done.
    pub action: String,
    /// The error, or the data of a trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u32>,
    /// Conditions on arguments.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<SeccompArgument>,
    /// It holds only where all of this is so.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Conditions::is_empty")]
    pub includes: Conditions,
    /// It does not hold where any of this is so.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Conditions::is_empty")]
    pub excludes: Conditions,
}

/// Conditions of a rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Conditions {
    /// Capabilities in the container's bounding set, with `CAP_`.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub caps: Vec<String>,
    /// The machine's architecture in Docker's words: `amd64`, `arm64`, …
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub arches: Vec<String>,
    /// `4.8` or later.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub min_kernel: String,
}

/// What the conditions of rules are about.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances {
    /// The container's bounding set.
    pub capabilities: CapabilitySet,
    /// The machine's architecture, in Rust's words (`std::env::consts::ARCH`).
    pub architecture: &'static str,
    /// The first two numbers of the kernel's version.
    pub kernel: (u32, u32),
}

/// What is wrong with a profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// It is longer than [`LONGEST`].
    #[error("seccomp profile of {0} bytes is too long")]
    TooLong(usize),
    /// It is no JSON, or a member has the wrong type.
    #[error("decoding seccomp profile failed: {0}")]
    Json(#[from] serde_json::Error),
    /// Both ways to name architectures.
    #[error(
        "both 'architectures' and 'archMap' are specified in the seccomp profile, use either 'architectures' or 'archMap'"
    )]
    TwoArchitectures,
    /// Both ways to name system calls.
    #[error("both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'")]
    TwoNames,
    /// A version that is none.
    #[error("invalid kernel version: {0:?}, expected \"<kernel>.<major>\"")]
    KernelVersion(String),
}

/// Docker's default profile as it holds in some circumstances.
#[must_use]
pub fn default_profile(circumstances: Circumstances) -> Seccomp {
    default::build(circumstances)
}

/// The first two numbers of a kernel release (`6.1.0-56-amd64`); none when it has no such form.
#[must_use]
pub fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let (kernel, rest) = release.split_once('.')?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).map_or(rest, |end| &rest[..end]);
    Some((kernel.parse().ok()?, digits.parse().ok()?))
}

impl Profile {
    /// Reads a profile.
    ///
    /// # Errors
    /// When it is too long, no JSON, or a member has the wrong type.
    pub fn parse(json: &str) -> Result<Self, ProfileError> {
        if json.len() > LONGEST {
            return Err(ProfileError::TooLong(json.len()));
        }
        Ok(serde_json::from_str(json)?)
    }

    /// The filter that the profile comes to; none for an empty profile, which is no filter at all.
    ///
    /// # Errors
    /// When it contradicts itself.
    pub fn resolve(self, circumstances: Circumstances) -> Result<Option<Seccomp>, ProfileError> {
        let Self { common, arch_map, syscalls } = self;
        if common.default_action.is_empty() && syscalls.is_empty() {
            return Ok(None);
        }
        if !common.architectures.is_empty() && !arch_map.is_empty() {
            return Err(ProfileError::TwoArchitectures);
        }
        let mut rules = Vec::with_capacity(syscalls.len());
        for rule in syscalls {
            if !rule.name.is_empty() && !rule.names.is_empty() {
                return Err(ProfileError::TwoNames);
            }
            if rule.holds(circumstances)? {
                let names = if rule.name.is_empty() { rule.names } else { vec![rule.name] };
                let Rule { action, errno_ret, args, .. } = rule;
                rules.push(SeccompRule { names, action, errno_ret, args });
            }
        }
        let native = native_architecture(circumstances.architecture);
        let family = arch_map.into_iter().find(|family| family.architecture == native);
        let mut architectures = common.architectures;
        if let Some(family) = family {
            architectures.push(family.architecture);
            architectures.extend(family.others);
        }
        Ok(Some(Seccomp {
            default_action: common.default_action,
            default_errno_ret: common.default_errno_ret,
            architectures,
            flags: common.flags,
            listener_path: common.listener_path,
            listener_metadata: common.listener_metadata,
            syscalls: rules,
        }))
    }
}

impl Rule {
    fn holds(&self, circumstances: Circumstances) -> Result<bool, ProfileError> {
        let Circumstances { capabilities, architecture, kernel } = circumstances;
        let architecture = docker_architecture(architecture);
        let has = |name: &String| name.starts_with("CAP_") && capabilities.contains(name);
        let is_here = |arches: &[String]| arches.iter().any(|each| each == architecture);

        let excluded = is_here(&self.excludes.arches)
            || self.excludes.caps.iter().any(has)
            || self.excludes.min_kernel()?.is_some_and(|least| kernel >= least);
        let included = (self.includes.arches.is_empty() || is_here(&self.includes.arches))
            && self.includes.caps.iter().all(has)
            && self.includes.min_kernel()?.is_none_or(|least| kernel >= least);
        Ok(included && !excluded)
    }
}

impl Conditions {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn min_kernel(&self) -> Result<Option<(u32, u32)>, ProfileError> {
        let text = &self.min_kernel;
        if text.is_empty() {
            return Ok(None);
        }
        let invalid = || ProfileError::KernelVersion(text.clone());
        let (kernel, major) = text.split_once('.').ok_or_else(invalid)?;
        let number = |part: &str| part.parse::<u8>().map(u32::from).map_err(|_| invalid());
        match (number(kernel)?, number(major)?) {
            (0, 0) => Err(invalid()),
            version => Ok(Some(version)),
        }
    }
}

/// The libseccomp name of an architecture that Rust names.
fn native_architecture(architecture: &str) -> &str {
    match architecture {
        "x86_64" => "SCMP_ARCH_X86_64",
        "x86" => "SCMP_ARCH_X86",
        "aarch64" => "SCMP_ARCH_AARCH64",
        "arm" => "SCMP_ARCH_ARM",
        "riscv64" => "SCMP_ARCH_RISCV64",
        other => other,
    }
}

/// The name that Docker's conditions have for it.
fn docker_architecture(architecture: &str) -> &str {
    match architecture {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests;
