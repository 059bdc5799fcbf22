//! Volumes: `volumes/<name>/data`, and what is known of them beside it.

mod address;
mod attach;
mod whole;

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use dhow_model::ports::{Durability, LookUp, VolumeCopy, VolumeLimit, VolumeRequest, Volumes};
use dhow_model::volume::{check_name, check_options};
use dhow_model::{ContainerId, Error, Kind, Result, Timestamp, Volume};
use rusqlite::Connection;

use crate::Core;
use crate::error::Context as _;
use crate::layout::make_directory;
use crate::snapshots::disk_usage;
use crate::staging::Stage;

/// Volumes on the local disk.
#[derive(Debug, Clone)]
pub struct VolumeStore {
    pub(crate) core: Arc<Core>,
}

impl Volumes for VolumeStore {
    fn create(&self, request: VolumeRequest) -> Result<Volume> {
        check_name(&request.name)?;
        check_driver(&request)?;
        let _change = self.core.begin_change();
        if let Some(volume) = self.get(&request.name)? {
            return Ok(volume);
        }
        check_options(&request.options)?;
        let volume = Volume {
            mountpoint: self.core.layout.volume(&request.name).join("data"),
            name: request.name,
            driver: "local".into(),
            created: Timestamp::now(),
            labels: request.labels,
            options: request.options,
            anonymous: request.anonymous,
            read_only: false,
            origin: String::new(),
            size: request.size,
            made_for: request.made_for,
        };
        self.make(&volume)?;
        Ok(volume)
    }

    /// Nobody waits for the disk: the container's record is on it before this.
    fn keep(&self, name: &str) -> Result<()> {
        let _change = self.core.begin_change();
        match self.get(name)? {
            Some(volume) if volume.made_for.is_some() => {
                self.core.record_volume(&Volume { made_for: None, ..volume }, Durability::Relaxed)
            }
            _ => Ok(()),
        }
    }

    fn get(&self, name: &str) -> Result<Option<Volume>> {
        Ok(self.core.catalog().volumes.get(name).cloned())
    }

    fn list(&self) -> Result<Vec<Volume>> {
        Ok(self.core.catalog().volumes.values().cloned().collect())
    }

    fn remove(&self, name: &str) -> Result<()> {
        let _change = self.core.begin_change();
        let volume = self.get(name)?.ok_or_else(|| no_such(name))?;
        // What is mounted there is not ours to delete.
        attach::detach(&volume)?;
        // The data first: a record without data is forgotten at the next start, data without a
        // record would come back.
        self.core.trash.discard(&self.core.layout.volume(name))?;
        self.core.forget_volume(name)
    }

    fn populate(
        &self,
        name: &str,
        container: &ContainerId,
        path: &Path,
        durability: Durability,
    ) -> Result<()> {
        let volume = self.get(name)?.ok_or_else(|| no_such(name))?;
        // A named volume outlives a container that owes the disk nothing.
        let durability = if volume.anonymous { durability } else { Durability::Committed };
        self.core.copy_up(&volume, container, path, durability)
    }

    fn rename(&self, name: &str, to: &str) -> Result<Volume> {
        self.rename_to(name, to)
    }

    fn copy(&self, name: &str, to: &str, kind: VolumeCopy) -> Result<Volume> {
        self.copy_to(name, to, kind)
    }

    fn export(&self, name: &str, out: &mut dyn Write) -> Result<()> {
        self.write_tar(name, out)
    }

    fn import_new(&self, name: &str, tar: &mut dyn Read) -> Result<Volume> {
        self.read_new(name, tar)
    }

    fn receive(&self, tar: &mut dyn Read) -> Result<File> {
        self.spool(tar)
    }

    fn import_whole(&self, name: &str, tar: &mut dyn Read) -> Result<()> {
        self.read_tar_whole(name, tar)
    }

    fn import(&self, name: &str, tar: &mut dyn Read) -> Result<()> {
        self.read_tar(name, tar)
    }

    fn attach(&self, name: &str, look_up: LookUp<'_>) -> Result<()> {
        let volume = self.get(name)?.ok_or_else(|| no_such(name))?;
        if !volume.mountpoint.is_dir() {
            return Err(Error::new(Kind::Corrupt, format!("the data of volume {name} are lost: remove it")));
        }
        self.core.limit_volume(&volume.mountpoint, volume.size)?;
        let Some(asked) = volume.mount() else { return Ok(()) };
        let asked = address::resolved(asked, look_up).map_err(|error| {
            let place = volume.mountpoint.display();
            Error::internal(format!("error while mounting volume '{place}': {error}"))
        })?;
        attach::attach(&volume, &asked)
    }

    fn detach(&self, name: &str) -> Result<()> {
        match self.get(name)? {
            Some(volume) if volume.mount().is_some() => attach::detach(&volume),
            _ => Ok(()),
        }
    }

    fn limit(&self, name: &str) -> Result<Option<VolumeLimit>> {
        let volume = self.get(name)?.ok_or_else(|| no_such(name))?;
        if volume.size == 0 || !volume.mountpoint.is_dir() {
            return Ok(None);
        }
        let found = self.core.quotas.usage(&volume.mountpoint)?;
        Ok(found.map(|found| VolumeLimit { size: found.limit, used: found.space, project: found.id }))
    }

    fn usage(&self, name: &str) -> Result<u64> {
        let volume = self.get(name)?.ok_or_else(|| no_such(name))?;
        if volume.mount().is_some() || !volume.mountpoint.is_dir() {
            return Ok(0);
        }
        disk_usage(&volume.mountpoint)
    }
}

impl VolumeStore {
    fn make(&self, volume: &Volume) -> Result<()> {
        let core = &self.core;
        // For whoever finds it without a record, which alone says that it may go again.
        let body = serde_json::to_string(&Volume { made_for: None, ..volume.clone() })
            .context(|| format!("cannot write down volume {}", volume.name))?;
        let stage = Stage::new(&core.layout)?;
        let staged = stage.path().join("volume");
        make_directory(&staged, 0o700)?;
        make_directory(&staged.join("data"), 0o755)?;
        core.limit_volume(&staged.join("data"), volume.size)?;
        std::fs::write(staged.join("volume.json"), &body).on("write", &staged)?;
        // What lies there without a record is no volume: a start would have adopted it.
        core.trash.discard(&core.layout.volume(&volume.name))?;
        stage.publish("volume", &core.layout.volume(&volume.name))?;
        // An anonymous one is durable with its container's record, which comes after it in the log.
        let durability = if volume.anonymous { Durability::Relaxed } else { Durability::Committed };
        core.record_volume(volume, durability)
    }
}

impl Core {
    /// Nothing, for a volume without a limit.
    fn limit_volume(&self, data: &Path, size: u64) -> Result<()> {
        if size == 0 {
            return Ok(());
        }
        self.quotas.available("quota size requested but no quota support")?;
        self.quotas.limit(&[data], size)
    }

    pub(crate) fn record_volume(&self, volume: &Volume, durability: Durability) -> Result<()> {
        let owned = volume.clone();
        self.database.write(durability, move |connection| volume_row(connection, &owned))?;
        self.catalog_mut().volumes.insert(volume.name.clone(), volume.clone());
        Ok(())
    }

    /// One step: the next start finds one of the names.
    fn rename_volume(&self, before: &str, after: &Volume) -> Result<()> {
        let (old, new) = (before.to_owned(), after.clone());
        self.database.write(Durability::Committed, move |connection| {
            connection.prepare_cached("DELETE FROM volume WHERE name = ?1")?.execute([&old])?;
            volume_row(connection, &new)
        })?;
        let mut catalog = self.catalog_mut();
        catalog.volumes.remove(before);
        catalog.volumes.insert(after.name.clone(), after.clone());
        Ok(())
    }

    pub(crate) fn forget_volume(&self, name: &str) -> Result<()> {
        let owned = name.to_owned();
        self.database.write(Durability::Committed, move |connection| {
            connection.prepare_cached("DELETE FROM volume WHERE name = ?1")?.execute([&owned]).map(drop)
        })?;
        self.catalog_mut().volumes.remove(name);
        Ok(())
    }
}

pub(crate) fn volume_row(connection: &Connection, volume: &Volume) -> rusqlite::Result<()> {
    let body = serde_json::to_string(volume)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    let mut insert =
        connection.prepare_cached("INSERT OR REPLACE INTO volume (name, body) VALUES (?1, ?2)")?;
    insert.execute((&volume.name, body)).map(drop)
}

fn check_driver(request: &VolumeRequest) -> Result<()> {
    if !matches!(request.driver.as_str(), "" | "local") {
        return Err(Error::not_found(format!(
            "create {}: error looking up volume plugin {1}: plugin {1:?} not found",
            request.name, request.driver
        )));
    }
    Ok(())
}

fn no_such(name: &str) -> Error {
    Error::not_found(format!("get {name}: no such volume"))
}
