//! The database and what is written beside it; snapshots and volumes.

use std::collections::HashMap;

use dhow_model::{Container, ContainerId, Result, Volume};

use super::Check;
use crate::catalog::Snapshot;
use crate::error::Context as _;
use crate::networks;
use crate::records::replace_file;
use crate::repair;

impl Check<'_> {
    pub(super) fn database(&mut self) -> Result<()> {
        let answer = self.core.database.read(|connection| {
            connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0))
        });
        let problem = match answer {
            Ok(answer) if answer == "ok" => return Ok(()),
            Ok(answer) => answer,
            Err(error) => error.report(),
        };
        let problem = format!("{problem}; the next start of the engine makes it again from the files");
        self.lost("the database".into(), problem, (Vec::new(), Vec::new()));
        Ok(())
    }

    pub(super) fn images(&mut self) -> Result<()> {
        let rows: Vec<String> = self.core.database.read(|connection| {
            connection.prepare("SELECT id FROM image")?.query_map([], |row| row.get(0))?.collect()
        })?;
        self.report.records += rows.len() as u64;
        for id in rows {
            // What one that is hidden has lost has been told.
            let known = id.parse().is_ok_and(|id| self.core.catalog().on_record(&id).is_some());
            if !known {
                let problem = "its record cannot be read".to_owned();
                let containers = self.containers_that_name(&id)?;
                self.lost(format!("image {id}"), problem, (vec![id], containers));
            }
        }
        let _change = self.core.begin_change();
        let path = self.core.layout.images();
        let copy = serde_json::to_vec_pretty(&self.core.catalog().copy()).unwrap_or_default();
        if std::fs::read(&path).ok().as_deref() != Some(&*copy)
            && self.core.catalog().all_on_record().next().is_some()
        {
            let problem = "it is not what the database has".to_owned();
            self.mend(path.display().to_string(), problem, |core| {
                core.write_copy();
                Ok(())
            });
        }
        Ok(())
    }

    pub(super) fn containers(&mut self) -> Result<()> {
        let bodies: Vec<(String, String)> = self.core.database.read(|connection| {
            let mut query = connection.prepare("SELECT id, body FROM container")?;
            query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })?;
        self.report.records += bodies.len() as u64;
        let bodies: HashMap<ContainerId, String> =
            bodies.into_iter().filter_map(|(id, body)| Some((id.parse().ok()?, body))).collect();
        for (id, body) in &bodies {
            self.container(id, body);
        }
        Ok(())
    }

    fn container(&mut self, id: &ContainerId, body: &str) {
        let directory = self.core.layout.container(id);
        let snapshot = self.core.catalog().snapshots.get(id).cloned();
        let whole = ["rw", "work"].iter().all(|name| directory.join(name).is_dir());
        let object = format!("container {id}");
        match snapshot {
            // Only one that still is on record: it may have been removed just now.
            _ if !self.is_on_record(id) => return,
            None => self.lost(object, "it has no file system".into(), (Vec::new(), vec![id.to_string()])),
            Some(_) if !whole => {
                self.lost(
                    object,
                    "its writable layer is not there".into(),
                    (Vec::new(), vec![id.to_string()]),
                );
            }
            Some(snapshot) => self.snapshot(id, &snapshot),
        }
        if serde_json::from_str::<Container>(body).is_err() {
            return self.unreadable(id);
        }
        // What owes the disk nothing has no copy.
        let copy = std::fs::read(directory.join("config.json")).ok();
        if copy.is_some_and(|copy| copy != body.as_bytes()) {
            let (path, body) = (directory.join("config.json"), body.to_owned());
            let problem = "it is not what the database has".to_owned();
            self.mend(path.display().to_string(), problem, |_| {
                replace_file(&directory, "config.json", body.as_bytes())
            });
        }
    }

    /// While its image is here its layers are known twice.
    fn snapshot(&mut self, id: &ContainerId, snapshot: &Snapshot) {
        let image = snapshot.image.and_then(|image| self.core.catalog().images.get(&image).cloned());
        let Some(image) = image.filter(|image| image.layers() != &*snapshot.layers) else { return };
        let problem = "the layers on record are not those of its image".to_owned();
        self.mend(format!("container {id}"), problem, |core| {
            let snapshot = Snapshot { image: snapshot.image, layers: image.layers().into() };
            core.record_snapshot(id, &snapshot)?;
            core.catalog_mut().snapshots.insert(id.clone(), snapshot);
            Ok(())
        });
    }

    fn unreadable(&mut self, id: &ContainerId) {
        let (object, problem) = (format!("container {id}"), "its record cannot be read".to_owned());
        let copy = std::fs::read(self.core.layout.container(id).join("config.json")).ok();
        if copy.is_some_and(|copy| serde_json::from_slice::<Container>(&copy).is_ok()) {
            self.mend(object, problem, |core| {
                repair::container(&core.database, &core.layout, id.as_str()).map(drop)
            });
        } else {
            self.lost(object, problem, (Vec::new(), vec![id.to_string()]));
        }
    }

    fn is_on_record(&self, id: &ContainerId) -> bool {
        let id = id.to_string();
        let count = self.core.database.read(|connection| {
            connection
                .query_row("SELECT count(*) FROM container WHERE id = ?1", [id], |row| row.get::<_, u32>(0))
        });
        count.is_ok_and(|count| count == 1)
    }

    pub(super) fn networks(&mut self) -> Result<()> {
        let rows = networks::rows(&self.core.database)?;
        self.report.records += rows.len() as u64;
        for (id, _) in rows.iter().filter(|(_, network)| network.is_none()) {
            let (object, problem) = (format!("network {id}"), "its record cannot be read".to_owned());
            if networks::copies(&self.core.layout).iter().any(|network| network.id == *id) {
                self.mend(object, problem, |core| networks::mend(&core.database, &core.layout, id).map(drop));
            } else {
                let containers = self.containers_that_name(id)?;
                self.lost(object, problem, (Vec::new(), containers));
            }
        }
        let all_read = rows.iter().all(|(_, network)| network.is_some());
        let path = self.core.layout.networks();
        let copy = networks::copy(&self.core.database)?;
        if all_read && !rows.is_empty() && std::fs::read(&path).ok().as_deref() != Some(&*copy) {
            let problem = "it is not what the database has".to_owned();
            self.mend(path.display().to_string(), problem, |core| {
                core.write_networks();
                Ok(())
            });
        }
        Ok(())
    }

    /// The containers in whose records there is this text.
    fn containers_that_name(&self, text: &str) -> Result<Vec<String>> {
        let text = format!("\"{text}\"");
        self.core.database.read(move |connection| {
            let mut query =
                connection.prepare("SELECT id FROM container WHERE instr(body, ?1) > 0 ORDER BY id")?;
            query.query_map([&text], |row| row.get(0))?.collect()
        })
    }

    pub(super) fn volumes(&mut self) -> Result<()> {
        let _change = self.core.begin_change();
        let known: Vec<Volume> = self.core.catalog().volumes.values().cloned().collect();
        self.report.records += known.len() as u64;
        for volume in known {
            let object = format!("volume {}", volume.name);
            let directory = self.core.layout.volume(&volume.name);
            if !volume.mountpoint.is_dir() {
                let containers = self.containers_that_name(&volume.name)?;
                self.lost(object, "its data are not there".into(), (Vec::new(), containers));
            } else if !repair::read_volume(&directory).is_ok_and(|read| read == volume) {
                let problem = "its volume.json is not what the database has".to_owned();
                self.mend(object, problem, |_| {
                    let body = serde_json::to_vec(&volume).context(|| "cannot write down a volume")?;
                    replace_file(&directory, "volume.json", &body)
                });
            }
        }
        let strays = repair::entries(&self.core.layout.volumes())?;
        for (file, path) in strays {
            let known = file.to_str().is_some_and(|file| self.core.catalog().volumes.contains_key(file));
            if !known {
                // Data are never deleted for want of a record.
                let problem = "no record names it: the next start of the engine adopts it if it can";
                self.lost(path.display().to_string(), problem.into(), (Vec::new(), Vec::new()));
            }
        }
        Ok(())
    }
}
