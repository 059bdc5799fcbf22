//! What can go wrong between a configuration and a running program.

use std::io;

use serde::{Deserialize, Serialize};

/// What the runtime answers.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure: the step, what it was done to, and why.
///
/// It travels from the container's process to its parent as JSON, so the cause is an error number
/// or a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{what}")]
pub struct Error {
    /// The step.
    pub stage: Stage,
    /// What failed, with its object and cause.
    pub what: String,
    /// The error number, where the kernel refused.
    pub errno: Option<i32>,
}

/// The steps that clients tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// The configuration is wrong.
    Configuration,
    /// Namespaces, cgroups, mounts, rights.
    Setup,
    /// A hook failed.
    Hook,
    /// The program cannot be found.
    ProgramNotFound,
    /// The program cannot be executed.
    ProgramNotExecutable,
    /// The other process is gone.
    Lost,
}

impl Error {
    /// The configuration is wrong.
    pub(crate) fn configuration(what: impl Into<String>) -> Self {
        Self { stage: Stage::Configuration, what: what.into(), errno: None }
    }

    /// A step that the kernel refused: `what` names the step and its object.
    pub(crate) fn setup(what: impl std::fmt::Display, cause: impl Into<io::Error>) -> Self {
        let cause = cause.into();
        let mut what = format!("{what}: {}", words(&cause));
        if cause.raw_os_error() == Some(libc::ENOSYS)
            && let Some(lack) = dhow_sys::features::lack()
        {
            what.push_str(&format!(" ({lack})"));
        }
        Self { stage: Stage::Setup, what, errno: cause.raw_os_error() }
    }

    /// The same for another step than setting up.
    pub(crate) fn at(stage: Stage, what: impl Into<String>) -> Self {
        Self { stage, what: what.into(), errno: None }
    }

    /// The status that clients see: 127 not found, 126 cannot be executed, 128 everything else. Docker
    /// makes it of the kernel's words, whatever the step.
    #[must_use]
    pub const fn exit_code(&self) -> i32 {
        match (self.stage, self.errno) {
            (Stage::ProgramNotFound, _) | (_, Some(libc::ENOENT | libc::ENOTDIR)) => 127,
            (Stage::ProgramNotExecutable, _) | (_, Some(libc::EACCES | libc::EISDIR)) => 126,
            _ => 128,
        }
    }
}

impl From<Error> for dhow_model::Error {
    fn from(error: Error) -> Self {
        let kind = match error.stage {
            Stage::Configuration | Stage::ProgramNotFound | Stage::ProgramNotExecutable => {
                dhow_model::Kind::InvalidArgument
            }
            Stage::Setup | Stage::Hook | Stage::Lost => dhow_model::Kind::Internal,
        };
        Self::new(kind, format!("unable to start container process: {error}"))
    }
}

/// Adds the step to an error on its way up.
pub(crate) trait Context<T> {
    /// `what` names the step and its object.
    fn doing<D: std::fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T>;
}

impl<T, E: Into<io::Error>> Context<T> for std::result::Result<T, E> {
    fn doing<D: std::fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|cause| Error::setup(what(), cause))
    }
}

/// The kernel's words in the form that the field knows: lower case, without the number.
pub(crate) fn words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_lowercase().to_string()).unwrap_or_default();
    first + letters.as_str()
}
