//! Containers in user namespaces: which are in one, in whose, and what they cannot have then.
//!
//! With `userns-remap` every container has a user namespace of its own, unless it says `--userns=host`. Who joins the
//! network, the processes or the memory of another container is in that one's, for they belong to it.

use std::path::PathBuf;
use std::sync::Arc;

use dhow_model::container::{HostConfig, MountKind, UserMap};
use dhow_model::ports::UserSpace;
use dhow_model::{Container, Error, Result};

use crate::Engine;
use crate::plan::Facts;

/// The user namespace that a container is to be in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InUserSpace {
    /// By what it is joined.
    pub path: PathBuf,
    /// Who its users are.
    pub map: Arc<UserMap>,
}

/// Refuses what cannot be had in a user namespace, in Docker's words.
///
/// # Errors
/// Invalid argument.
pub(crate) fn check(host: &HostConfig, map: Option<&Arc<UserMap>>) -> Result<()> {
    if map.is_none() || host.userns_mode == "host" {
        return Ok(());
    }
    let conflicts = [
        (
            host.privileged,
            "privileged mode is incompatible with user namespaces.  You must run the container in the host namespace when running privileged mode",
        ),
        (
            host.network_mode == "host",
            "cannot share the host's network namespace when user namespaces are enabled",
        ),
        (host.pid_mode == "host", "cannot share the host PID namespace when user namespaces are enabled"),
    ];
    let found = conflicts.into_iter().find_map(|(set, words)| set.then_some(words));
    found.map_or(Ok(()), |words| Err(Error::invalid(words)))
}

impl Engine {
    /// The user namespace of a container that is about to start, with a network namespace if it has links.
    ///
    /// # Errors
    /// Conflict when it joins containers that are not all in one; what the kernel says.
    pub(crate) fn user_space(&self, record: &Container) -> Result<Option<UserSpace>> {
        let host = &record.host_config;
        let Some(map) = self.map_of(host) else { return Ok(None) };
        check(host, Some(&map))?;
        let network = !record.networks.is_empty() && host.network_donor().is_none();
        match self.donor_of_users(host)? {
            Some(donor) => self.space_of(&donor, network).map(Some),
            None => self.ports.host.user_space(&map, network).map(Some),
        }
    }

    /// Who its users are when it is started, where they are not those of the host.
    pub(crate) fn map_of(&self, host: &HostConfig) -> Option<Arc<UserMap>> {
        self.settings().user_map.clone().filter(|_| host.userns_mode != "host")
    }

    /// The one container that it shares namespaces with.
    fn donor_of_users(&self, host: &HostConfig) -> Result<Option<Arc<Container>>> {
        // Whoever is not there, or does not run, is told of in the words of what is joined.
        let donors = host.donors().filter_map(|name| self.container(name).ok());
        let mut running = donors.map(|entry| entry.record()).filter(|donor| donor.state.running().is_some());
        let Some(donor) = running.next() else { return Ok(None) };
        if running.any(|other| other.id != donor.id) {
            let words =
                "cannot join the namespaces of several containers: each is in a user namespace of its own";
            return Err(Error::conflict(words));
        }
        Ok(Some(donor))
    }

    fn space_of(&self, donor: &Container, network: bool) -> Result<UserSpace> {
        let pid = donor.state.running().map_or(0, |running| running.pid);
        self.ports.host.user_space_of(pid, network)?.ok_or_else(|| {
            let name = &donor.name;
            Error::conflict(format!(
                "cannot join the namespaces of container {name}: it is in the host's user namespace (hint: --userns=host)"
            ))
        })
    }
}

impl InUserSpace {
    /// One that is about to be joined.
    pub(crate) fn of(space: &UserSpace) -> Self {
        Self { path: space.path().to_owned(), map: Arc::clone(space.map()) }
    }

    /// That of a container that runs.
    pub(crate) fn of_running(record: &Container) -> Option<Self> {
        let path = format!("/proc/{}/ns/user", record.state.running()?.pid);
        record.user_map.clone().map(|map| Self { path: path.into(), map })
    }
}

/// Whether the files of a mount belong to users of the container, and not of the host.
pub(crate) fn is_own(kind: MountKind) -> bool {
    kind == MountKind::Volume
}

/// The highest of the groups that follow each other from root's on.
pub(crate) fn last_group(facts: &Facts) -> u32 {
    let of_map = |space: &InUserSpace| {
        let first = space.map.groups.iter().find(|span| span.inside == 0);
        first.map_or(0, |span| span.count.saturating_sub(1))
    };
    facts.user.as_ref().map_or(facts.host.last_group, of_map)
}
