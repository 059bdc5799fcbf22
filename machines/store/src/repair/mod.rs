//! What each start mends: a crash leaves garbage, never a lie; the garbage goes here.
//!
//! A database that is damaged is set aside and made again from the plain files ([`rebuild`]); single
//! records that cannot be read are made again from theirs ([`rows`]).

mod rebuild;
mod rows;

pub(crate) use rebuild::{read_json, read_volume};
pub(crate) use rows::{container, mend};

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use dhow_model::container::State;
use dhow_model::ports::Durability;
use dhow_model::{Container, ContainerId, Kind, Result, Volume};
use dhow_oci::Digest;

use crate::Core;
use crate::catalog::Catalog;
use crate::database::Database;
use crate::error::Context as _;
use crate::images::register::layer_rows;
use crate::layout::Layout;
use crate::stack::size_on_disk;

/// Opens the database; one that is damaged is set aside and rebuilt.
pub(crate) fn open_database(layout: &Layout) -> Result<Database> {
    let path = layout.database();
    match Database::open(&path) {
        Err(error) if error.kind() == Kind::Corrupt => {
            let aside = rebuild::set_aside(&path)?;
            tracing::error!(
                error = error.report(),
                kept = %aside.display(),
                "the database is damaged: it is set aside, and rebuilt from the files"
            );
            let database = Database::open(&path)?;
            rebuild::rebuild(&database, layout)?;
            Ok(database)
        }
        done => done,
    }
}

/// Clears what no record names, and what records name in vain.
pub(crate) fn sweep(core: &Core) -> Result<()> {
    snapshots(core)?;
    volumes(core)?;
    core.quotas.sweep()?;
    blobs(core)?;
    if core.catalog().hides_layers() {
        // Which layers a damaged image needs is not known: loading it again will tell.
        return Ok(());
    }
    layers(core)
}

/// A snapshot without a container is of a `create` that did not end, or of a container that owed the
/// disk nothing. A container without its directory lost it in a power cut before it ever ran, or it lost data: then
/// it is left for a check to name, and starts no more.
fn snapshots(core: &Core) -> Result<()> {
    let containers: HashSet<String> = core.database.read(|connection| {
        connection.prepare("SELECT id FROM container")?.query_map([], |row| row.get(0))?.collect()
    })?;
    // One listing shows whose directory is there.
    let present = names(&core.layout.containers())?;
    for id in lost(core, |id| !containers.contains(id)) {
        core.forget_snapshot(&id)?;
    }
    for id in lost(core, |id| !present.contains(OsStr::new(id)) || !is_whole(core, id)) {
        if has_run(core, &id)? {
            tracing::error!(container = %id, "its writable layer is lost");
            continue;
        }
        tracing::warn!(container = %id, "its writable layer was lost before it ran; it has an empty one");
        core.trash.discard(&core.layout.container(&id))?;
        let snapshot = core.snapshot(&id)?;
        core.make_snapshot(&id, &snapshot)?;
    }
    adopt(core, &containers)?;
    discard_others(core, &core.layout.containers(), &present, |name| containers.contains(name))
}

/// The snapshots that `is_lost` names; mostly none.
fn lost(core: &Core, is_lost: impl Fn(&str) -> bool) -> Vec<ContainerId> {
    core.catalog().snapshots.keys().filter(|id| is_lost(id.as_str())).cloned().collect()
}

/// One whose record cannot be read may have.
fn has_run(core: &Core, id: &ContainerId) -> Result<bool> {
    let container: Option<Container> = serde_json::from_str(&body(core, id)?).ok();
    Ok(container.is_none_or(|container| !matches!(container.state, State::Created { .. })))
}

fn body(core: &Core, id: &ContainerId) -> Result<String> {
    let text = id.to_string();
    core.database.read(|connection| {
        connection.query_row("SELECT body FROM container WHERE id = ?1", [text], |row| row.get(0))
    })
}

/// To look into each directory is for when the machine went down.
fn is_whole(core: &Core, id: &str) -> bool {
    let directory = core.layout.containers().join(id);
    !core.database.was_looked_through() || directory.join("rw").is_dir() && directory.join("work").is_dir()
}

/// A container whose snapshot was not recorded (the disk was full) lies on its image.
fn adopt(core: &Core, containers: &HashSet<String>) -> Result<()> {
    let unknown: Vec<ContainerId> = {
        let catalog = core.catalog();
        let unknown = containers.iter().filter(|id| !catalog.snapshots.contains_key(id.as_str()));
        unknown.filter_map(|id| id.parse().ok()).collect()
    };
    for id in unknown.into_iter().filter(|id| core.layout.container(id).join("rw").is_dir()) {
        let container =
            serde_json::from_str(&body(core, &id)?).context(|| format!("the record of {id} is damaged"))?;
        if let Some(snapshot) = rebuild::snapshot(&core.layout, &container) {
            core.record_snapshot(&id, &snapshot)?;
            core.catalog_mut().snapshots.insert(id, snapshot);
        }
    }
    Ok(())
}

/// Data are never deleted for want of a record. A volume without any directory was made right before a power cut; one that
/// lost its data only is left for a check to name.
fn volumes(core: &Core) -> Result<()> {
    let known: Vec<Volume> = core.catalog().volumes.values().cloned().collect();
    for volume in known.iter().filter(|volume| !core.layout.volume(&volume.name).is_dir()) {
        tracing::warn!(volume = volume.name, "it was lost; it is forgotten");
        core.forget_volume(&volume.name)?;
    }
    for volume in known.iter().filter(|volume| volume.made_for.is_some() && volume.mountpoint.is_dir()) {
        made_in_vain(core, volume)?;
    }
    // Those that just went have no directory any more.
    for volume in known.iter().filter(|volume| volume.mountpoint.is_dir()) {
        core.finish_copy_up(volume)?;
    }
    for (name, path) in entries(&core.layout.volumes())? {
        let Some(name) = name.to_str() else { continue };
        if core.catalog().volumes.contains_key(name) {
            continue;
        }
        let empty = std::fs::read_dir(path.join("data")).is_ok_and(|mut data| data.next().is_none());
        match rebuild::read_volume(&path) {
            Ok(volume) if !empty && volume.name == name => {
                core.record_volume(&volume, Durability::Committed)?
            }
            _ if empty => drop(core.trash.discard(&path)?),
            _ => tracing::warn!(path = %path.display(), "this is no volume, and not empty: left alone"),
        }
    }
    Ok(())
}

/// A volume of a `create` that did not end goes, unless a container that did come to be names it.
fn made_in_vain(core: &Core, volume: &Volume) -> Result<()> {
    let named = |text: &str| {
        core.database.read(|connection| {
            let asked = "SELECT EXISTS (SELECT 1 FROM container WHERE id = ?1 OR instr(body, ?2) > 0)";
            connection.query_row(asked, [text, &format!("{:?}", volume.name)], |row| row.get(0))
        })
    };
    if named(volume.made_for.as_ref().map_or("", ContainerId::as_str))? {
        return core.record_volume(&Volume { made_for: None, ..volume.clone() }, Durability::Committed);
    }
    tracing::warn!(
        volume = volume.name,
        "the container that it was made for never came to be; it is removed"
    );
    core.trash.discard(&core.layout.volume(&volume.name))?;
    core.forget_volume(&volume.name)
}

fn layers(core: &Core) -> Result<()> {
    let needed: HashSet<String> = {
        let catalog = core.catalog();
        let needed: HashSet<&Digest> = catalog.stacks().flatten().collect();
        needed.into_iter().map(Digest::hex).collect()
    };
    let directory = core.layout.layers();
    discard_others(core, &directory, &names(&directory)?, |name| needed.contains(name))
}

fn blobs(core: &Core) -> Result<()> {
    let needed: HashSet<String> = {
        let catalog = core.catalog();
        let rows = catalog.all_on_record().map(|entry| &entry.row);
        rows.flat_map(|row| [Some(row.id), row.manifest]).flatten().map(|digest| digest.hex()).collect()
    };
    let directory = core.layout.blobs();
    discard_others(core, &directory, &names(&directory)?, |name| needed.contains(name))
}

fn discard_others(
    core: &Core,
    directory: &Path,
    present: &HashSet<OsString>,
    keep: impl Fn(&str) -> bool,
) -> Result<()> {
    for name in present.iter().filter(|name| !name.to_str().is_some_and(&keep)) {
        let path = directory.join(name);
        tracing::info!(path = %path.display(), "no record needs this: removed");
        core.trash.discard(&path)?;
    }
    Ok(())
}

fn names(directory: &Path) -> Result<HashSet<OsString>> {
    let read = || -> std::io::Result<HashSet<_>> {
        std::fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
    };
    read().on("read", directory)
}

pub(crate) fn entries(directory: &Path) -> Result<Vec<(OsString, PathBuf)>> {
    let read = || -> std::io::Result<Vec<_>> {
        std::fs::read_dir(directory)?.map(|entry| entry.map(|e| (e.file_name(), e.path()))).collect()
    };
    read().on("read", directory)
}

/// Measures layers whose size is not on record: a crash cut their conversion off.
pub(crate) fn measure(catalog: &mut Catalog, database: &Database, layout: &Layout) -> Result<()> {
    let unknown = catalog.stacks().flatten().filter(|layer| !catalog.layers.contains_key(layer));
    let unknown: HashSet<Digest> = unknown.copied().collect();
    for diff_id in unknown {
        // One that is lost is found by whoever needs it.
        let Ok(size) = size_on_disk(&layout.layer(&diff_id)) else { continue };
        catalog.layers.insert(diff_id, size);
        database.post(move |connection| layer_rows(connection, &[(diff_id, size)]))?;
    }
    Ok(())
}

/// Hides the images whose layers are not there.
pub(crate) fn hide_damaged(catalog: &mut Catalog, layout: &Layout) -> Result<()> {
    let present = names(&layout.layers())?;
    let lost: Vec<_> = catalog
        .images
        .values()
        .filter(|entry| !entry.layers().iter().all(|layer| present.contains(&OsString::from(layer.hex()))))
        .map(|entry| entry.row.id)
        .collect();
    for id in lost {
        tracing::error!(image = %id, "an image has lost a layer; load or pull it again");
        catalog.hide(&id);
    }
    Ok(())
}
