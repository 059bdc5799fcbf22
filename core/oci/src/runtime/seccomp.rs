//! `linux.seccomp`: the filter of system calls.

use serde::{Deserialize, Serialize};

use super::null_as_default;

/// The filter; names are those of the kernel and of libseccomp.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Seccomp {
    /// `SCMP_ACT_ERRNO`, … for what no rule names.
    pub default_action: String,
    /// The error of the default action; nothing is EPERM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_errno_ret: Option<u32>,
    /// `SCMP_ARCH_X86_64`, …; the native one is always there.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub architectures: Vec<String>,
    /// `SECCOMP_FILTER_FLAG_LOG`, …
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// The socket that gets the descriptor of `SCMP_ACT_NOTIFY`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub listener_path: String,
    /// What the listener gets beside it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub listener_metadata: String,
    /// The rules.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub syscalls: Vec<SeccompRule>,
}

/// One action for some system calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SeccompRule {
    /// Names; one that the architecture does not have is skipped.
    #[serde(deserialize_with = "null_as_default")]
    pub names: Vec<String>,
    /// `SCMP_ACT_ALLOW`, …
    pub action: String,
    /// The error, or the data of a trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u32>,
    /// Conditions; all must hold.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<SeccompArgument>,
}

/// A condition on one argument.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SeccompArgument {
    /// 0 to 5.
    pub index: u32,
    /// What it is compared with, or the mask.
    pub value: u64,
    /// For `SCMP_CMP_MASKED_EQ`: what the masked argument is compared with.
    #[serde(skip_serializing_if = "is_zero")]
    pub value_two: u64,
    /// `SCMP_CMP_EQ`, …
    pub op: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
