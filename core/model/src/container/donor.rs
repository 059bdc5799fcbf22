//! Modes of namespaces that name a donor: `container:NAME` joins those of that container.

use super::HostConfig;

const PREFIX: &str = "container:";

/// The container whose namespace a mode joins, as the mode names it; it may name nobody.
#[must_use]
pub fn donor(mode: &str) -> Option<&str> {
    mode.strip_prefix(PREFIX)
}

/// The mode that joins a namespace of that container.
#[must_use]
pub fn joins(name: &str) -> String {
    format!("{PREFIX}{name}")
}

impl HostConfig {
    /// The containers whose namespaces are joined, as they are named: that of the network first.
    pub fn donors(&self) -> impl Iterator<Item = &str> {
        [&self.network_mode, &self.ipc_mode, &self.pid_mode].into_iter().filter_map(|mode| donor(mode))
    }

    /// Old links: ids of containers and what they are called here.
    pub fn old_links(&self) -> impl Iterator<Item = (&str, &str)> {
        self.links.iter().flatten().filter_map(|link| link.split_once(':'))
    }

    /// The container whose network is joined, as it is named.
    #[must_use]
    pub fn network_donor(&self) -> Option<&str> {
        donor(&self.network_mode)
    }
}
