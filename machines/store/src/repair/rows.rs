//! Rows that cannot be read while the database as a whole can be: made again from the files beside it.
//!
//! One spoiled record must not keep an engine from starting, and what it named must not be taken for
//! something that nobody needs.

use std::collections::HashSet;

use dhow_model::ports::Durability;
use dhow_model::{Container, ContainerId, Kind, Result, Volume};
use dhow_oci::{Digest, Reference};
use rusqlite::Connection;

use super::rebuild::{read_json, read_volume};
use crate::catalog::CatalogCopy;
use crate::database::Database;
use crate::error::Error;
use crate::images::register::{image_row, name_row};
use crate::layout::Layout;
use crate::networks;
use crate::volumes::volume_row;

/// Mends the rows that are read when the store is opened. Those of containers are read later: see
/// [`container`].
pub(crate) fn mend(database: &Database, layout: &Layout) -> Result<()> {
    images(database, layout)?;
    snapshots(database)?;
    networks(database, layout)?;
    volumes(database, layout)
}

fn networks(database: &Database, layout: &Layout) -> Result<()> {
    for (id, _) in networks::rows(database)?.into_iter().filter(|(_, network)| network.is_none()) {
        let mended = networks::mend(database, layout, &id)?;
        tracing::error!(network = id, mended, "the record of a network cannot be read");
    }
    Ok(())
}

fn images(database: &Database, layout: &Layout) -> Result<()> {
    let ids = column(database, "SELECT id FROM image")?;
    let names = column(database, "SELECT reference FROM name")?;
    let named = column(database, "SELECT image FROM name")?;
    let is_digest = |text: &String| text.parse::<Digest>().is_ok();
    let is_name = |text: &String| Reference::parse(text).is_ok();
    if ids.iter().all(is_digest) && named.iter().all(is_digest) && names.iter().all(is_name) {
        return Ok(());
    }
    let copy: CatalogCopy = read_json(&layout.images()).map_err(|error| {
        Error::new(Kind::Corrupt, "records of images cannot be read, and neither can their copy")
            .because(error)
    })?;
    tracing::error!("records of images cannot be read: they are made again from images.json");
    let (known, spoiled): (HashSet<String>, HashSet<String>) = ids.into_iter().partition(is_digest);
    database.write(Durability::Committed, move |connection| {
        for id in &spoiled {
            connection.execute("DELETE FROM image WHERE id = ?1", [id])?;
        }
        connection.execute("DELETE FROM name", ())?;
        for image in &copy.images {
            let id = image.row.id.to_string();
            if !known.contains(&id) {
                image_row(connection, &image.row)?;
            }
            image.names.iter().try_for_each(|name| name_row(connection, name, &id))?;
        }
        Ok(())
    })
}

/// A snapshot whose row is gone is adopted: it lies on the layers of its container's image.
fn snapshots(database: &Database) -> Result<()> {
    let rows = database.read(|connection| {
        let mut query = connection.prepare("SELECT id, image, layers FROM snapshot")?;
        query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
    })?;
    let rows: Vec<(String, Option<String>, String)> = rows;
    for (id, image, layers) in rows {
        let whole = image.is_none_or(|image| image.parse::<Digest>().is_ok())
            && layers.split_whitespace().all(|layer| Digest::from_hex(layer).is_ok());
        if !whole {
            tracing::error!(container = id, "the record of its layers cannot be read: it is made again");
            database.write(Durability::Committed, move |connection| {
                connection.execute("DELETE FROM snapshot WHERE id = ?1", [&id]).map(drop)
            })?;
        }
    }
    Ok(())
}

fn volumes(database: &Database, layout: &Layout) -> Result<()> {
    let rows: Vec<(String, String)> = database.read(|connection| {
        let mut query = connection.prepare("SELECT name, body FROM volume")?;
        query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    })?;
    for (name, body) in rows {
        if serde_json::from_str::<Volume>(&body).is_ok_and(|volume| volume.name == name) {
            continue;
        }
        let copy = read_volume(&layout.volume(&name)).ok().filter(|volume| volume.name == name);
        tracing::error!(volume = name, mended = copy.is_some(), "the record of a volume cannot be read");
        database.write(Durability::Committed, move |connection| match &copy {
            Some(volume) => volume_row(connection, volume),
            None => connection.execute("DELETE FROM volume WHERE name = ?1", [&name]).map(drop),
        })?;
    }
    Ok(())
}

/// A container whose record cannot be read, as its `config.json` tells; the record is written again.
pub(crate) fn container(database: &Database, layout: &Layout, id: &str) -> Result<Container> {
    let id: ContainerId = id.parse().map_err(|_| Error::new(Kind::Corrupt, "the id is none"))?;
    let container: Container = read_json(&layout.container(&id).join("config.json"))?;
    if container.id != id {
        return Err(Error::new(Kind::Corrupt, format!("config.json of container {id} is another's")));
    }
    let owned = container.clone();
    let write = move |connection: &Connection| crate::records::container_row(connection, &owned);
    database.write(Durability::Committed, write)?;
    Ok(container)
}

fn column(database: &Database, query: &str) -> Result<Vec<String>> {
    database.read(|connection| connection.prepare(query)?.query_map([], |row| row.get(0))?.collect())
}
