//! The containers on record.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use dhow_model::container::HostConfig;
use dhow_model::ports::{Durability, Records};
use dhow_model::{Container, ContainerId, Network, Result};
use dhow_sys::trace::mark;
use rusqlite::Connection;

use crate::error::Context as _;
use crate::networks;
use crate::{Core, repair, side_by_side, sparse};

/// Records in the database; what people may want to read is also in `containers/<id>/config.json`.
#[derive(Debug, Clone)]
pub struct RecordStore {
    pub(crate) core: Arc<Core>,
}

impl Records for RecordStore {
    fn containers(&self) -> Result<Vec<Arc<Container>>> {
        let bodies: Vec<(String, String)> = self.core.database.read(|connection| {
            let mut query = connection.prepare_cached("SELECT id, body FROM container ORDER BY sequence")?;
            query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })?;
        let alike = Alike::default();
        let read = side_by_side::map(&bodies, |(_, body)| {
            serde_json::from_str(body).map(|container| Arc::new(alike.share(container)))
        });
        let named = bodies.iter().zip(read);
        Ok(named
            .filter_map(|((id, _), read)| read.map_or_else(|e| self.again(id, &e).map(Arc::new), Some))
            .collect())
    }

    fn put_container(&self, container: &Container, durability: Durability) -> Result<()> {
        let body =
            sparse::body(container).context(|| format!("cannot write down container {}", container.id))?;
        let id = container.id.to_string();
        let copy = (durability != Durability::Relaxed)
            .then(|| write_copy(self.core.layout.container(&container.id), body.clone()));
        let work = move |connection: &Connection| body_row(connection, &id, &body);
        let written = self.core.database.write_then(durability, work, copy);
        mark("record written");
        written
    }

    fn delete_container(&self, id: &ContainerId, durability: Durability) -> Result<()> {
        let id = id.to_string();
        self.core.database.write(durability, move |connection| {
            connection.prepare_cached("DELETE FROM container WHERE id = ?1")?.execute([&id]).map(drop)
        })
    }

    fn networks(&self) -> Result<Vec<Network>> {
        networks::whole(&self.core.database)
    }

    fn put_network(&self, network: &Network) -> Result<()> {
        let network = network.clone();
        let write = move |connection: &Connection| networks::row(connection, &network);
        self.core.database.write(Durability::Committed, write)?;
        self.core.write_networks();
        Ok(())
    }

    fn delete_network(&self, id: &str) -> Result<()> {
        let id = id.to_owned();
        self.core.database.write(Durability::Committed, move |connection| {
            connection.prepare_cached("DELETE FROM network WHERE id = ?1")?.execute([&id]).map(drop)
        })?;
        self.core.write_networks();
        Ok(())
    }
}

/// Settings of containers that were read last: what is alike is kept once, for thousands of records are pages of
/// memory first of all.
#[derive(Debug, Default)]
struct Alike(Mutex<VecDeque<Arc<HostConfig>>>);

impl Alike {
    /// As many different ones are compared with.
    const MOST: usize = 16;

    fn share(&self, mut container: Container) -> Container {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.iter().find(|known| **known == container.host_config) {
            Some(same) => container.host_config = Arc::clone(same),
            None => {
                known.truncate(Self::MOST - 1);
                known.push_front(Arc::clone(&container.host_config));
            }
        }
        container
    }
}

impl RecordStore {
    /// One that cannot be read, here or in its copy, is left out, and nothing of it is removed.
    fn again(&self, id: &str, unreadable: &serde_json::Error) -> Option<Container> {
        match repair::container(&self.core.database, &self.core.layout, id) {
            Ok(container) => {
                tracing::error!(container = id, %unreadable, "a record is made again from its config.json");
                Some(container)
            }
            Err(error) => {
                tracing::error!(container = id, %unreadable, error = error.report(), "a record is lost");
                None
            }
        }
    }
}

pub(crate) fn container_row(connection: &Connection, container: &Container) -> rusqlite::Result<()> {
    let body =
        sparse::body(container).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    body_row(connection, container.id.as_str(), &body)
}

fn body_row(connection: &Connection, id: &str, body: &str) -> rusqlite::Result<()> {
    let mut upsert = connection.prepare_cached(
        "INSERT INTO container (id, body) VALUES (?1, ?2)
         ON CONFLICT (id) DO UPDATE SET body = excluded.body",
    )?;
    upsert.execute((id, body)).map(drop)
}

/// Writes `config.json` behind the answer: it is for people, and for a database that got lost.
fn write_copy(directory: std::path::PathBuf, body: String) -> Box<dyn FnOnce() + Send> {
    Box::new(move || {
        // The container may be gone by now: then there is nothing to keep.
        if directory.is_dir()
            && let Err(error) = replace_file(&directory, "config.json", body.as_bytes())
        {
            tracing::warn!(directory = %directory.display(), error = error.report(), "no copy of the record");
        }
    })
}

/// Replaces a small file in one step, without waiting for the disk.
pub(crate) fn replace_file(directory: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let (path, new) = (directory.join(name), directory.join(format!(".{name}.new")));
    std::fs::write(&new, bytes).on("write", &new)?;
    std::fs::rename(&new, &path).on("write", &path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(network_mode: &str) -> Container {
        let text = format!(
            r#"{{"id":"{}","name":"web","created":"2026-01-01T00:00:00Z","image":null,"image_name":"base","platform":null,
                "config":{{}},"host_config":{{"NetworkMode":"{network_mode}"}},"mounts":[],
                "state":{{"status":"created","failure":null}},"restart_count":0}}"#,
            "0a".repeat(32)
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn settings_that_are_alike_are_kept_once() {
        let alike = Alike::default();
        let first = alike.share(container("none"));
        let other = alike.share(container("host"));
        let again = alike.share(container("none"));
        assert!(Arc::ptr_eq(&first.host_config, &again.host_config));
        assert_eq!(other.host_config.network_mode, "host");
        for number in 0..Alike::MOST {
            assert_eq!(alike.share(container(&format!("container:{number}"))).name, first.name);
        }
        assert!(!Arc::ptr_eq(&first.host_config, &alike.share(container("none")).host_config));
    }
}
