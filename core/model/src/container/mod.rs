//! A container: a file system of its own plus settings; it exists whether or not a process runs in it.

mod config;
mod donor;
mod health;
mod host_config;
mod id;
mod id_map;
mod state;
pub mod user_map;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use dhow_oci::Platform;
use serde::{Deserialize, Serialize};

pub use config::Config;
pub use donor::{donor, joins};
pub use health::{Health, HealthAction, HealthStatus, Probe};
pub use host_config::{
    BindOptions, DeviceMapping, DeviceRequest, DriverConfig, HostConfig, ImageOptions, LogConfig, Mount,
    PortBinding, RestartPolicy, ThrottleDevice, TmpfsOptions, Ulimit, VolumeOptions, WeightDevice,
};
pub use id::{ContainerId, ContainerName, InvalidName, is_restricted_name};
pub use id_map::{IdMap, IdRange};
pub use state::{Exit, Refusal, Running, State};
pub use user_map::UserMap;

use crate::network::Endpoint;
use crate::{ImageId, Timestamp};

/// A container as it is recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Container {
    /// 64 hexadecimal digits.
    pub id: ContainerId,
    /// Without the slash that the API puts in front.
    pub name: ContainerName,
    /// When it was created.
    pub created: Timestamp,
    /// The image it was made from; none for an empty root.
    pub image: Option<ImageId>,
    /// The image as the user named it.
    pub image_name: String,
    /// What the image runs on.
    pub platform: Option<Platform>,
    /// The settings, completed by the image's defaults.
    pub config: Config,
    /// The settings that concern the host, as asked for. Thousands of containers have the same ones, and share them.
    pub host_config: Arc<HostConfig>,
    /// Binds and volumes, resolved when it was created.
    pub mounts: Vec<MountPoint>,
    /// What runs, or how it ended.
    pub state: State,
    /// Times that the restart policy started it again.
    pub restart_count: u32,
    /// What users asked for, as far as the restart policy has to know.
    #[serde(default)]
    pub intent: Intent,
    /// Limits were changed on record, and the running process may not have them yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub limits_pending: bool,
    /// Who its users are on the host, since it started last; none where they are the host's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_map: Option<Arc<UserMap>>,
    /// What probing found; none where nothing is probed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// The networks that it is in, by name.
    #[serde(default)]
    pub networks: BTreeMap<String, Endpoint>,
}

impl Container {
    /// It has nothing on the host any more.
    pub fn disconnect(&mut self) {
        self.networks.values_mut().for_each(|endpoint| endpoint.assigned = None);
    }

    /// The names that it has in a network: its own, those that were asked for, its short id and its host name.
    #[must_use]
    pub fn names_in(&self, endpoint: &Endpoint) -> Vec<String> {
        let aliases = endpoint.settings.aliases.iter().flatten().cloned();
        let own = [self.name.to_string()].into_iter().chain(aliases);
        let names = own.chain([self.id.short().to_owned(), self.config.hostname.clone()]);
        let mut seen = std::collections::BTreeSet::new();
        names.filter(|name| !name.is_empty() && seen.insert(name.clone())).collect()
    }

    /// The images that it mounts beside its own.
    #[must_use]
    pub fn mounted_images(&self) -> Vec<ImageId> {
        self.mounts.iter().filter_map(|mount| mount.image).collect()
    }

    /// Whether it was made from the image, or mounts it.
    #[must_use]
    pub fn uses_image(&self, id: &ImageId) -> bool {
        self.image.as_ref() == Some(id) || self.mounts.iter().any(|mount| mount.image.as_ref() == Some(id))
    }

    /// The volumes that it mounts.
    pub fn volumes(&self) -> impl Iterator<Item = &MountPoint> {
        self.mounts.iter().filter(|mount| mount.kind == MountKind::Volume)
    }

    /// Whether it has anything on the host, by its record.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.networks.values().any(|endpoint| endpoint.assigned.is_some())
    }
}

/// What users did since the last start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Intent {
    /// Somebody stopped it, or sent it a signal: `unless-stopped` does not start it again, nor does the next
    /// engine.
    pub stopped: bool,
    /// Its next end is its last: no policy starts it again until somebody starts it.
    pub ends: bool,
}

/// One bind, volume, image or tmpfs of a container, resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountPoint {
    /// What it is.
    pub kind: MountKind,
    /// The volume's name, or the image as it was asked for; empty otherwise.
    pub name: String,
    /// On the host; empty for a tmpfs and an image.
    pub source: PathBuf,
    /// In the container, absolute and clean.
    pub destination: PathBuf,
    /// `local` for volumes; empty otherwise.
    pub driver: String,
    /// The option string as given: `ro`, `z`, `rprivate`, …
    pub mode: String,
    /// Whether it can be written.
    pub writable: bool,
    /// `rprivate`, `rslave`, …; empty for volumes and tmpfs.
    pub propagation: String,
    /// A tmpfs' options: `size=64m`, `mode=1777`, …
    #[serde(default)]
    pub options: Vec<String>,
    /// An empty volume is filled with what the image has there.
    #[serde(default)]
    pub copy_up: bool,
    /// A path inside the volume or image that is mounted instead of its root.
    #[serde(default)]
    pub subpath: Option<PathBuf>,
    /// Read-only applies to the mounts below too, where the kernel can.
    #[serde(default)]
    pub recursive_read_only: bool,
    /// Mounts below the source are not brought along.
    #[serde(default)]
    pub non_recursive: bool,
    /// Owners of files are seen as others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_map: Option<IdMap>,
    /// The image whose files are mounted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageId>,
}

impl MountPoint {
    /// One that nothing is said of but its kind and its place: it can be written.
    #[must_use]
    pub const fn new(kind: MountKind, destination: PathBuf) -> Self {
        Self {
            kind,
            name: String::new(),
            source: PathBuf::new(),
            destination,
            driver: String::new(),
            mode: String::new(),
            writable: true,
            propagation: String::new(),
            options: Vec::new(),
            copy_up: false,
            subpath: None,
            recursive_read_only: false,
            non_recursive: false,
            id_map: None,
            image: None,
        }
    }
}

/// The kinds of mounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MountKind {
    /// A path of the host.
    Bind,
    /// A volume.
    Volume,
    /// The files of an image.
    Image,
    /// Memory.
    Tmpfs,
}
