//! The filter of system calls: compiled before rights are given up, installed as late as can be.

use std::os::fd::AsFd as _;

use dhow_oci::runtime::Spec;

use super::super::error::{Context as _, Error, Result};
use super::super::sync::{Talk, Word};
use crate::seccomp;

/// A compiled filter, or none.
#[derive(Debug)]
pub(in super::super) struct Filter(Option<seccomp::Filter>);

impl Filter {
    /// The filter that is compiled already, or that of a configuration.
    pub(in super::super) fn of(compiled: Option<&seccomp::Filter>, spec: &Spec) -> Result<Self> {
        if let Some(compiled) = compiled {
            return Ok(Self(Some(compiled.clone())));
        }
        let given = spec.linux.as_ref().and_then(|linux| linux.seccomp.as_ref());
        let compiled = given.map(seccomp::Filter::compile).transpose();
        compiled.map(Self).map_err(|error| Error::configuration(error.report()))
    }

    pub(super) const fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// Installs it. The descriptor of notifications, where it has any, goes to whoever opened the gate:
    /// the listener's socket is not to be found in the container.
    pub(super) fn install(&self, talk: &Talk) -> Result<()> {
        let Some(compiled) = &self.0 else { return Ok(()) };
        match compiled.install().doing(|| "install the seccomp filter")? {
            Some(listener) => talk.say(&Word::Listener, Some(listener.as_fd())),
            None => Ok(()),
        }
    }
}
