//! `create`: adds a writable layer and settings to an image; nothing runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use dhow_model::container::{Config, HostConfig, Intent, State};
use dhow_model::network::EndpointSettings;
use dhow_model::ports::Durability;
use dhow_model::{Container, ContainerId, ContainerName, Error, Image, Result, Timestamp};
use dhow_oci::Platform;

use crate::images::platform_of;
use crate::plan::{conflicts, discard, merge, storage, validate};
use crate::registry::durability;
use crate::volumes::Claims;
use crate::{Engine, names, user_space};

/// What a client asks for.
#[derive(Debug, Clone, Default)]
pub struct CreateRequest {
    /// The container's name; empty for one of ours.
    pub name: String,
    /// The platform that the image must have.
    pub platform: Option<Platform>,
    /// What runs.
    pub config: Config,
    /// Limits, mounts, privileges.
    pub host_config: HostConfig,
    /// What is asked for in each network, by its name.
    pub networks: BTreeMap<String, EndpointSettings>,
}

/// A container that was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Its id.
    pub id: ContainerId,
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl Engine {
    /// Creates a container.
    ///
    /// # Errors
    /// In Docker's words: a wrong setting, a missing image, a name that is taken.
    pub fn create_container(&self, request: CreateRequest) -> Result<Created> {
        let _timer = self.counts.time("create");
        let CreateRequest { name, platform, config, host_config, networks } = request;
        conflicts::check(&config, &host_config, &networks)?;
        validate::variables(&config.env)?;
        let (image, image_name) = self.image_for(&config.image, platform.as_ref())?;
        let config = merge::with_image(config, image.as_ref());
        let facts = self.ports.host.facts();
        let mut host_config = merge::with_settings(host_config, &self.settings(), facts);
        self.pin_donors(&mut host_config);
        let mut warnings = discard::discard(&mut host_config, facts);
        warnings.extend(conflicts::discarded(&host_config));
        validate::check(&config, &host_config, facts)?;
        user_space::check(&host_config, self.settings().user_map.as_ref())?;
        merge::limit_swap(&mut host_config);
        self.check_donors(&host_config)?;
        self.runtime_program(&host_config.runtime)?;
        storage::layer_size(&host_config.storage_opt)?;
        let id = ContainerId::from_random(self.ports.host.random());
        let name = self.take_name(&name, &id)?;
        let mut record = Container {
            config: merge::with_id(config, &id, &host_config, &facts.name),
            created: Timestamp::now(),
            image: image.as_ref().map(|image| image.id),
            platform: image.as_ref().map(platform_of),
            mounts: Vec::new(),
            state: State::created(),
            restart_count: 0,
            intent: Intent::default(),
            limits_pending: false,
            user_map: None,
            health: None,
            networks: BTreeMap::new(),
            id,
            name,
            image_name,
            host_config: Arc::new(host_config),
        };
        let name = record.name.clone();
        let id = record.id.clone();
        match self.endpoints(&mut record, networks).and_then(|()| self.prepare(record)) {
            Ok(()) => Ok(Created { id, warnings }),
            Err(error) => {
                self.registry.release(&name);
                Err(error)
            }
        }
    }

    /// Makes the writable layer and the volumes, and writes the record last: a crash before that leaves
    /// what the next start clears.
    fn prepare(&self, mut record: Container) -> Result<()> {
        let durability = durability(&record);
        let size = storage::layer_size(&record.host_config.storage_opt)?;
        self.ports.snapshots.prepare(&record.id, record.image.as_ref(), durability, size)?;
        let mut claims = Claims::new(self);
        let directory = record.config.working_dir.clone();
        let made = self.resolve_mounts(&mut record, &mut claims).and_then(|()| {
            if !["", "/"].contains(&directory.as_str()) {
                self.ports.snapshots.make_directory(&record.id, Path::new(&directory))?;
            }
            self.populate(&record, durability)?;
            claims.missing.iter().try_for_each(|source| self.ports.host.make_directory(source))?;
            self.ports.records.put_container(&record, durability)?;
            claims.keep().inspect_err(|_| self.forget_again(&record, durability))
        });
        if let Err(error) = made {
            self.undo_create(&record);
            claims.undo();
            return Err(error);
        }
        for mount in record.volumes() {
            tracing::debug!(volume = mount.name, "mounted by {}", record.id.short());
        }
        let entry = self.registry.add(Arc::new(record));
        self.tell_container(&entry.record(), "create", &[]);
        Ok(())
    }

    fn forget_again(&self, record: &Container, durability: Durability) {
        if let Err(error) = self.ports.records.delete_container(&record.id, durability) {
            tracing::warn!(container = record.id.short(), "undo create: {}", error.report());
        }
    }

    fn undo_create(&self, record: &Container) {
        if let Err(error) = self.ports.snapshots.remove(&record.id) {
            tracing::warn!(container = record.id.short(), "undo create: {}", error.report());
        }
    }

    /// Fills empty volumes with what the image has at their place.
    fn populate(&self, record: &Container, durability: Durability) -> Result<()> {
        for mount in record.mounts.iter().filter(|mount| mount.copy_up) {
            // What is mounted from elsewhere is filled when it is there: at the start.
            if self.volume(&mount.name)?.mount().is_some() {
                continue;
            }
            self.ports.volumes.populate(&mount.name, &record.id, &mount.destination, durability)?;
        }
        Ok(())
    }

    fn image_for(&self, name: &str, platform: Option<&Platform>) -> Result<(Option<Image>, String)> {
        if name.is_empty() {
            // Nothing but what is mounted, as with Docker.
            return Ok((None, String::new()));
        }
        Ok((Some(self.image_on(name, platform)?), name.to_owned()))
    }

    fn take_name(&self, wanted: &str, id: &ContainerId) -> Result<ContainerName> {
        if !wanted.is_empty() {
            let name: ContainerName = wanted.parse().map_err(|error| Error::invalid(format!("{error}")))?;
            self.registry.reserve(&name, id)?;
            return Ok(name);
        }
        let generated = (0..64).filter_map(|attempt| names::generate(self.ports.host.random(), attempt));
        for name in generated {
            if self.registry.reserve(&name, id).is_ok() {
                return Ok(name);
            }
        }
        let name: ContainerName = id.short().parse().map_err(|error| Error::internal(format!("{error}")))?;
        self.registry.reserve(&name, id)?;
        Ok(name)
    }
}
