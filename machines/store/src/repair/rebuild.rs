//! Makes the database again from the plain files beside it.
//!
//! | record | from |
//! |---|---|
//! | images and names | `db/images.json`, and the configurations in `blobs/` |
//! | layers | the files in `layers/<diff id>/` |
//! | containers | `containers/<id>/config.json`; those that owed the disk nothing are not there |
//! | snapshots | the container's image |
//! | networks | `db/networks.json` |
//! | volumes | `volumes/<name>/volume.json` |

use std::path::{Path, PathBuf};

use dhow_model::ports::Durability;
use dhow_model::{Container, Result, Timestamp, Volume};
use serde::de::DeserializeOwned;

use super::entries;
use crate::blobs;
use crate::catalog::{CatalogCopy, Snapshot};
use crate::database::Database;
use crate::error::Context as _;
use crate::images::register;
use crate::layout::Layout;
use crate::networks;
use crate::snapshots::snapshot_row;
use crate::stack;

/// A record that is longer is none of ours.
const RECORD_MAX: u64 = 16 << 20;

/// Moves the database out of the way; people may still read something from it.
pub(super) fn set_aside(database: &Path) -> Result<PathBuf> {
    let aside = directory_for(database)?;
    for suffix in ["", "-wal", "-shm"] {
        let name = format!("state.sqlite{suffix}");
        let from = database.with_file_name(&name);
        match std::fs::rename(&from, aside.join(&name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).on("move", &from);
            }
            _ => {}
        }
    }
    Ok(aside)
}

fn directory_for(database: &Path) -> Result<PathBuf> {
    let now = Timestamp::now().unix_seconds();
    let mut number = 0;
    loop {
        let aside = database.with_file_name(format!("damaged-{now}-{number}"));
        match std::fs::create_dir(&aside) {
            Ok(()) => return Ok(aside),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error).on("make", &aside),
        }
    }
}

/// Writes all records that the files tell of.
pub(super) fn rebuild(database: &Database, layout: &Layout) -> Result<()> {
    let images: CatalogCopy = read_json(&layout.images()).unwrap_or_else(|error| {
        tracing::error!(error = error.report(), "names of images are lost");
        CatalogCopy { images: Vec::new() }
    });
    let layers = stack::present(layout)?;
    let volumes = volumes(layout)?;
    let containers = containers(layout)?;
    let networks = networks::copies(layout);
    database.write(Durability::Committed, move |connection| {
        for image in &images.images {
            register::image_row(connection, &image.row)?;
            let id = image.row.id.to_string();
            image.names.iter().try_for_each(|name| register::name_row(connection, name, &id))?;
        }
        register::layer_rows(connection, &layers)?;
        for volume in &volumes {
            crate::volumes::volume_row(connection, volume)?;
        }
        networks.iter().try_for_each(|network| networks::row(connection, network))?;
        for (container, snapshot) in &containers {
            crate::records::container_row(connection, container)?;
            if let Some(snapshot) = snapshot {
                snapshot_row(connection, container.id.as_str(), snapshot)?;
            }
        }
        Ok(())
    })
}

fn volumes(layout: &Layout) -> Result<Vec<Volume>> {
    let found = entries(&layout.volumes())?;
    Ok(found.iter().filter_map(|(_, path)| read_volume(path).ok()).collect())
}

/// Oldest first, as they were recorded.
fn containers(layout: &Layout) -> Result<Vec<(Container, Option<Snapshot>)>> {
    let mut found = Vec::new();
    for (name, path) in entries(&layout.containers())? {
        let container = match read_json::<Container>(&path.join("config.json")) {
            Ok(container) if name.to_str() == Some(container.id.as_str()) => container,
            _ => {
                tracing::warn!(path = %path.display(), "this container is not known any more");
                continue;
            }
        };
        let snapshot = snapshot(layout, &container);
        found.push((container, snapshot));
    }
    found.sort_by_key(|(container, _)| container.created);
    Ok(found)
}

pub(super) fn snapshot(layout: &Layout, container: &Container) -> Option<Snapshot> {
    let Some(image) = container.image else { return Some(Snapshot { image: None, layers: [].into() }) };
    match blobs::read_config(layout, &image) {
        Ok(config) => Some(Snapshot { image: Some(image), layers: config.rootfs.diff_ids.into() }),
        Err(error) => {
            tracing::error!(container = %container.id, error = error.report(), "its layers are not known");
            None
        }
    }
}

pub(crate) fn read_volume(path: &Path) -> Result<Volume> {
    read_json(&path.join("volume.json"))
}

pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    use std::io::Read as _;
    let file = std::fs::File::open(path).on("open", path)?;
    let mut bytes = Vec::new();
    file.take(RECORD_MAX).read_to_end(&mut bytes).on("read", path)?;
    serde_json::from_slice(&bytes).on("read", path)
}
