//! What is done with a volume as a whole: another name, a copy, a tar of it.

use std::io::{Read, Write};
use std::sync::Arc;

use dhow_model::ports::VolumeCopy;
use dhow_model::{Error, Kind, Result, Timestamp, Volume};

use super::claims::Claims;
use crate::registry::lock;
use crate::{Engine, Entry};

impl Engine {
    /// Gives a volume that no container has another name.
    ///
    /// # Errors
    /// Not found; conflict when a container has it, or the name is taken.
    pub fn rename_volume(&self, name: &str, to: &str) -> Result<Volume> {
        let claimed = lock(&self.claimed_volumes);
        self.volume(name)?;
        self.must_be_unused("rename", name, &claimed)?;
        let volume = self.ports.volumes.rename(name, to)?;
        self.tell_volume_more("rename", &volume, &[("oldName", name)]);
        Ok(volume)
    }

    /// Makes a volume that has what another one has at one moment: containers that may write in it are frozen
    /// meanwhile, unless that is not wanted. A snapshot without a name is called after the moment.
    ///
    /// # Errors
    /// Not found; conflict when the name is taken.
    pub fn copy_volume(&self, name: &str, to: &str, kind: VolumeCopy, pause: bool) -> Result<Volume> {
        let source = self.volume(name)?;
        let to = match (to, kind) {
            ("", VolumeCopy::Snapshot) => format!("{name}-{}", moment(Timestamp::now())),
            ("", VolumeCopy::Clone) => return Err(Error::invalid("a clone needs a name")),
            (to, _) => to.to_owned(),
        };
        let mut claims = Claims::new(self);
        claims.share(name)?;
        let _held = self.hold_volume(&source)?;
        let writers = if pause { self.writers(name) } else { Vec::new() };
        let copy = self.while_frozen(&writers, &mut || self.ports.volumes.copy(name, &to, kind))?;
        self.tell_volume_more("create", &copy, &[("origin", name)]);
        Ok(copy)
    }

    /// Writes a volume's files as a tar.
    ///
    /// # Errors
    /// Not found; what cannot be read or written.
    pub fn export_volume(&self, name: &str, pause: bool, out: &mut dyn Write) -> Result<()> {
        let source = self.volume(name)?;
        let mut claims = Claims::new(self);
        claims.share(name)?;
        let _held = self.hold_volume(&source)?;
        let writers = if pause { self.writers(name) } else { Vec::new() };
        self.while_frozen(&writers, &mut || self.ports.volumes.export(name, &mut *out))?;
        self.tell_volume("export", &source);
        Ok(())
    }

    /// Unpacks a tar into a volume, all of it or nothing, unless somebody uses the volume: who does sees it come. One that
    /// is not there is made.
    ///
    /// # Errors
    /// What is wrong with the tar; forbidden for a snapshot.
    pub fn import_volume(&self, name: &str, tar: &mut dyn Read) -> Result<Volume> {
        if name.is_empty() {
            return Err(Error::invalid("a volume needs a name"));
        }
        if self.ports.volumes.get(name)?.is_none() {
            let volume = self.ports.volumes.import_new(name, tar)?;
            self.tell_volume("create", &volume);
            self.tell_volume("import", &volume);
            return Ok(volume);
        }
        let mut claims = Claims::new(self);
        claims.share(name)?;
        let volume = self.volume(name)?;
        if volume.read_only {
            return Err(Error::new(
                Kind::Forbidden,
                format!("import {name}: volume is a snapshot, and read-only"),
            ));
        }
        let mut tar = self.ports.volumes.receive(tar)?;
        if self.alone(&volume, || self.ports.volumes.import_whole(name, &mut tar))?.is_none() {
            let _held = self.hold_volume(&volume)?;
            self.ports.volumes.import(name, &mut tar)?;
        }
        self.tell_volume("import", &volume);
        Ok(volume)
    }

    /// Containers that run and may write in a volume, in an order that is the same for everybody.
    fn writers(&self, name: &str) -> Vec<Arc<Entry>> {
        let writes = |entry: &Arc<Entry>| {
            let record = entry.record();
            record.state.running().is_some()
                && record.volumes().any(|mount| mount.name == name && mount.writable)
        };
        let mut writers: Vec<Arc<Entry>> = self.registry.all().into_iter().filter(writes).collect();
        writers.sort_by_key(|entry| entry.record().id.clone());
        writers
    }

    fn while_frozen<T>(&self, all: &[Arc<Entry>], work: &mut dyn FnMut() -> Result<T>) -> Result<T> {
        let Some((first, rest)) = all.split_first() else { return work() };
        let _turn = first.turn();
        self.frozen(&first.record(), true, || self.while_frozen(rest, work))
    }
}

/// `20260102T150405`, which names of volumes may have in them.
fn moment(now: Timestamp) -> String {
    now.to_string().chars().take_while(|digit| *digit != '.').filter(char::is_ascii_alphanumeric).collect()
}
