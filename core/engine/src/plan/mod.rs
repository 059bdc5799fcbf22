//! What a container needs, worked out as values by pure code.
//!
//! [`conflicts`] refuses what contradicts itself, [`merge`] completes what was asked for, [`discard`] takes away what the
//! kernel cannot do, [`validate`] refuses what is wrong or not served, [`mounts`] resolves binds and volumes;
//! [`gather`](crate::Engine::gather) then looks up all that the plan depends on, as [`Facts`], and [`spec`] makes the OCI
//! configuration of it, into which [`cdi`] brings devices that vendors describe.

pub mod cdi;
pub(crate) mod conflicts;
pub mod discard;
pub mod exec;
pub mod files;
pub mod limited;
pub mod logs;
pub mod merge;
pub mod mounts;
mod propagation;
pub mod resources;
pub mod rights;
pub mod signal;
pub mod spec;
pub mod storage;
pub(crate) mod update;
pub mod user;
pub mod validate;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dhow_model::container::{HostConfig, State, donor, joins};
use dhow_model::ports::{DeviceNode, Donor, HostFacts};
use dhow_model::{Container, Error, Result};

use crate::networks::Linked;
use crate::user_space::InUserSpace;
use crate::{Engine, Entry, Settings};

/// The most that is read of a file of a container or of the host.
const LONGEST_FILE: u64 = 4 << 20;

/// Everything that a plan depends on beside the record.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The host.
    pub host: HostFacts,
    /// The engine's configuration.
    pub settings: Arc<Settings>,
    /// `/etc/passwd` of the container.
    pub passwd: String,
    /// `/etc/group` of the container.
    pub group: String,
    /// Devices of the host by the path that was asked for.
    pub devices: BTreeMap<String, Vec<DeviceNode>>,
    /// First processes of the containers whose namespaces are joined, by what was asked for.
    pub joined: BTreeMap<String, Joined>,
    /// `/etc/resolv.conf` of the host.
    pub resolv_conf: String,
    /// `/etc/hosts` of the host.
    pub hosts: String,
    /// The container's own directory on the host.
    pub directory: PathBuf,
    /// The network namespace that was made for it.
    pub network: Option<PathBuf>,
    /// The user namespace that it is in.
    pub user: Option<InUserSpace>,
    /// What it is told of those that it is linked to.
    pub linked: Linked,
    /// Our own server answers its questions for names.
    pub own_server: bool,
    /// Who the sources of binds belong to whose owners are mapped.
    pub owners: BTreeMap<PathBuf, (u32, u32)>,
    /// It writes where a size is limited.
    pub limited: bool,
}

/// A container whose namespaces are joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Which, and its first process.
    pub donor: Donor,
    /// Its own directory on the host.
    pub directory: PathBuf,
}

impl Engine {
    /// Looks up all that the plan of a container depends on.
    ///
    /// # Errors
    /// A device that is not there, a joined container that does not run.
    pub(crate) fn gather(&self, record: &Container) -> Result<Facts> {
        let pid = record.state.running().map(|running| running.pid);
        let of_container = |path: &str| -> Result<String> {
            Ok(text(self.ports.snapshots.read_file(&record.id, pid, Path::new(path), LONGEST_FILE)?))
        };
        let of_host = |path: &str| -> Result<String> {
            Ok(text(self.ports.host.read_file(Path::new(path), LONGEST_FILE)?))
        };
        Ok(Facts {
            host: self.ports.host.facts().clone(),
            settings: self.settings(),
            passwd: of_container("/etc/passwd")?,
            group: of_container("/etc/group")?,
            devices: self.devices(&record.host_config)?,
            joined: self.joined(record)?,
            resolv_conf: of_host("/etc/resolv.conf")?,
            hosts: of_host("/etc/hosts")?,
            directory: self.ports.snapshots.directory(&record.id),
            network: None,
            user: InUserSpace::of_running(record),
            own_server: false,
            linked: Linked::default(),
            owners: self.owners(record)?,
            limited: self.is_limited(record),
        })
    }

    fn is_limited(&self, record: &Container) -> bool {
        !record.host_config.storage_opt.is_empty()
            || self.known_volumes(record).any(|volume| volume.size != 0)
    }

    fn owners(&self, record: &Container) -> Result<BTreeMap<PathBuf, (u32, u32)>> {
        let mapped = record.mounts.iter().filter(|mount| mount.id_map.is_some());
        mapped.map(|mount| Ok((mount.source.clone(), self.ports.host.owner(&mount.source)?))).collect()
    }

    /// Devices of the host that settings name, by their names there.
    pub(crate) fn devices(&self, host: &HostConfig) -> Result<BTreeMap<String, Vec<DeviceNode>>> {
        let mut wanted: Vec<&str> =
            host.devices.iter().flatten().map(|device| device.path_on_host.as_str()).collect();
        wanted.extend(resources::throttled_devices(host));
        if host.privileged {
            wanted.push("/dev");
        }
        let look = |path: &str| -> Result<(String, Vec<DeviceNode>)> {
            let gathering = "error gathering device information while adding custom device";
            let wrong = |why: &str| Err(Error::invalid(format!("{gathering} {path:?}: {why}")));
            match self.ports.host.devices(Path::new(path))? {
                None => wrong("no such file or directory"),
                Some(found) if found.is_empty() => wrong("not a device node"),
                Some(found) => Ok((path.to_owned(), found)),
            }
        };
        wanted.into_iter().map(look).collect()
    }

    /// Containers whose namespaces are joined are named by id: they may be renamed, and their names given to others. Who
    /// is not there keeps the name that was given.
    pub(crate) fn pin_donors(&self, host: &mut HostConfig) {
        for mode in [&mut host.network_mode, &mut host.ipc_mode, &mut host.pid_mode] {
            let found = donor(mode).and_then(|name| self.container(name).ok());
            if let Some(found) = found {
                *mode = joins(found.record().id.as_str());
            }
        }
    }

    /// Whose processes or memory are shared must be there, as with Docker; whose network is, at the start only.
    pub(crate) fn check_donors(&self, host: &HostConfig) -> Result<()> {
        let names = [&host.ipc_mode, &host.pid_mode].into_iter().filter_map(|mode| donor(mode));
        names.into_iter().try_for_each(|name| self.donor_entry(name).map(drop))
    }

    // A container that is not found is a wrong setting of this one, not a wrong path of the request.
    fn donor_entry(&self, name: &str) -> Result<Arc<Entry>> {
        self.container(name).map_err(|error| Error::invalid(error.report()))
    }

    /// Who joins the network of another container is called as that one.
    pub(crate) fn name_of_donor(&self, record: &Container) -> Option<(String, String)> {
        let donor = self.container(record.host_config.network_donor()?).ok()?.record();
        Some((donor.config.hostname.clone(), donor.config.domainname.clone()))
    }

    fn joined(&self, record: &Container) -> Result<BTreeMap<String, Joined>> {
        if let Some(running) = record.state.running() {
            return Ok(self.joined_already(record, running.pid));
        }
        let host = &record.host_config;
        let mut joined = BTreeMap::new();
        if let Some(name) = host.network_donor() {
            joined.insert(name.to_owned(), self.network_donor(record, name)?);
        }
        for (mode, shares_memory) in [(&host.ipc_mode, true), (&host.pid_mode, false)] {
            if let Some(name) = donor(mode) {
                joined.insert(name.to_owned(), self.donor(name, shares_memory)?);
            }
        }
        Ok(joined)
    }

    /// What runs is in them: whoever they came from may have ended, and may run anew in others.
    fn joined_already(&self, record: &Container, pid: i32) -> BTreeMap<String, Joined> {
        let own = self.joined_in(record, pid);
        record.host_config.donors().map(|name| (name.to_owned(), own.clone())).collect()
    }

    fn network_donor(&self, record: &Container, name: &str) -> Result<Joined> {
        let entry = self.container(name).map_err(|error| {
            Error::internal(format!("joining network namespace of container: {}", error.report()))
        })?;
        let other = entry.record();
        if other.id == record.id {
            return Err(Error::internal("cannot join own network namespace"));
        }
        let Ok(running) = other.state.must_run() else {
            if matches!(other.state, State::Restarting(_)) {
                let joining = "cannot join network namespace of container";
                return Err(Error::conflict(format!("{joining}: {}", restarting(name).report())));
            }
            return Err(Error::conflict(format!(
                "cannot join network namespace of a non running container: container {} is {}",
                other.name,
                other.state.word()
            )));
        };
        entry.share_network();
        Ok(self.joined_in(&other, running.pid))
    }

    fn joined_in(&self, other: &Container, pid: i32) -> Joined {
        let donor = Donor { id: other.id.clone(), pid };
        Joined { donor, directory: self.ports.snapshots.directory(&other.id) }
    }

    fn donor(&self, name: &str, shares_memory: bool) -> Result<Joined> {
        let other = self.donor_entry(name)?.record();
        let Ok(running) = other.state.must_run() else {
            return Err(match other.state {
                State::Restarting(_) => restarting(name),
                _ => Error::conflict(format!("container {name} is not running")),
            });
        };
        if shares_memory && !matches!(other.host_config.ipc_mode.as_str(), "shareable" | "host") {
            return Err(Error::invalid(format!(
                "container {name}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)"
            )));
        }
        Ok(self.joined_in(&other, running.pid))
    }
}

/// Of one that runs sometimes.
fn restarting(name: &str) -> Error {
    Error::conflict(format!("Container {name} is restarting, wait until the container is running"))
}

fn text(bytes: Option<Vec<u8>>) -> String {
    String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
}
