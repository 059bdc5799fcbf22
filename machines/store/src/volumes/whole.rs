//! What is done with a volume as a whole: another name, a copy, a tar of it.
//!
//! ```text
//! rename: volume.json has the new name → the directory has it → the record has it
//! copy:   staging/<unique>/volume/{data, volume.json} → volumes/<name> → the record; a new volume of an archive as well
//! import: staging/<unique>/volume/data: a copy, with the archive over it ⇄ volumes/<name>/data
//! ```
//! A start finds either the old volume or the new one: a directory without a record is adopted when its volume.json
//! has its name, a record without a directory is forgotten.

use std::fs::File;
use std::io::{Read, Seek as _, Write};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use dhow_model::ports::{Durability, VolumeCopy};
use dhow_model::volume::{ANONYMOUS, check_name};
use dhow_model::{Error, Result, Timestamp, Volume};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::{VolumeStore, no_such};
use crate::error::Context as _;
use crate::layer::{CreateOptions, ExtractOptions, copy_tree, create, extract_unhashed};
use crate::layout::make_directory;
use crate::records::replace_file;
use crate::staging::Stage;

impl VolumeStore {
    pub(super) fn rename_to(&self, name: &str, to: &str) -> Result<Volume> {
        check_name(to)?;
        let core = &self.core;
        let _change = core.begin_change();
        let before = self.must_get(name)?;
        self.must_be_free(to)?;
        let mut after = before.clone();
        to.clone_into(&mut after.name);
        after.anonymous = false;
        after.labels.remove(ANONYMOUS);
        after.mountpoint = core.layout.volume(to).join("data");
        let (from, place) = (core.layout.volume(name), core.layout.volume(to));
        write_down(&from, &after)?;
        if let Err(errno) = renameat_with(CWD, &from, CWD, &place, RenameFlags::NOREPLACE) {
            write_down(&from, &before)?;
            return match errno {
                Errno::EXIST => Err(taken(to)),
                errno => Err(errno).on("rename to", &place),
            };
        }
        core.sync_files()?;
        core.rename_volume(name, &after)?;
        Ok(after)
    }

    pub(super) fn copy_to(&self, name: &str, to: &str, kind: VolumeCopy) -> Result<Volume> {
        check_name(to)?;
        let source = self.must_get(name)?;
        self.must_be_free(to)?;
        let (stage, _) = self.copy_data(&source)?;
        let mut copy = Volume {
            labels: source.labels,
            // What it stood for was copied; how large it may be stays.
            options: source.options.into_iter().filter(|(key, _)| key == "size").collect(),
            read_only: kind == VolumeCopy::Snapshot,
            origin: source.name,
            size: source.size,
            ..self.plain(to)
        };
        copy.labels.remove(ANONYMOUS);
        self.publish(&stage, copy)
    }

    /// A copy of its data on a stage, limited as they are.
    fn copy_data(&self, source: &Volume) -> Result<(Stage, PathBuf)> {
        let core = &self.core;
        let stage = Stage::new(&core.layout)?;
        let data = make_data(&stage)?;
        if source.size != 0 {
            // What is copied counts; its limit comes after it.
            core.quotas.available("no quota support")?;
            core.quotas.assign(&[&data])?;
        }
        let bound = core.quotas.obey()?;
        let (from, into) = (open(&source.mountpoint)?, open(&data)?);
        let told = || Error::internal(format!("cannot copy volume {}", source.name));
        copy_tree(from.as_fd(), into.as_fd()).map_err(|error| told().because(error))?;
        drop(bound);
        core.limit_volume(&data, source.size)?;
        Ok((stage, data))
    }

    /// A crash until it is published leaves nothing of it.
    pub(super) fn read_new(&self, name: &str, tar: &mut dyn Read) -> Result<Volume> {
        check_name(name)?;
        self.must_be_free(name)?;
        let stage = Stage::new(&self.core.layout)?;
        self.unpack(&make_data(&stage)?, tar)?;
        self.publish(&stage, self.plain(name))
    }

    /// A volume of no options.
    fn plain(&self, name: &str) -> Volume {
        Volume {
            name: name.to_owned(),
            driver: "local".into(),
            mountpoint: self.core.layout.volume(name).join("data"),
            created: Timestamp::now(),
            labels: std::collections::BTreeMap::new(),
            options: std::collections::BTreeMap::new(),
            anonymous: false,
            read_only: false,
            origin: String::new(),
            size: 0,
            made_for: None,
        }
    }

    /// Puts what is whole on the stage in its place, and on record.
    fn publish(&self, stage: &Stage, volume: Volume) -> Result<Volume> {
        let core = &self.core;
        write_down(&stage.path().join("volume"), &volume)?;
        core.sync_files()?;
        let _change = core.begin_change();
        self.must_be_free(&volume.name)?;
        if !stage.publish("volume", &core.layout.volume(&volume.name))? {
            return Err(taken(&volume.name));
        }
        core.record_volume(&volume, Durability::Committed)?;
        Ok(volume)
    }

    pub(super) fn write_tar(&self, name: &str, out: &mut dyn Write) -> Result<()> {
        let directory = open(&self.must_get(name)?.mountpoint)?;
        let options = CreateOptions { root_entry: true, ..CreateOptions::plain() };
        Ok(create(directory.as_fd(), &options, out).map(drop)?)
    }

    /// A file that has no name: it is gone with its handle.
    pub(super) fn spool(&self, tar: &mut dyn Read) -> Result<File> {
        let stage = Stage::new(&self.core.layout)?;
        let path = stage.path().join("archive");
        let mut file =
            File::options().read(true).write(true).create_new(true).open(&path).on("make", &path)?;
        std::io::copy(tar, &mut file).context(|| "cannot take in an archive".to_owned())?;
        file.rewind().on("read", &path)?;
        Ok(file)
    }

    /// A crash leaves the volume as it was, or as it is to be.
    pub(super) fn read_tar_whole(&self, name: &str, tar: &mut dyn Read) -> Result<()> {
        let volume = self.must_get(name)?;
        let (stage, data) = self.copy_data(&volume)?;
        let exchanged = self
            .unpack(&data, tar)
            .and_then(|()| self.core.sync_files())
            .and_then(|()| stage.exchange("volume/data", &volume.mountpoint));
        // Which of the two it is now: its limit goes with it.
        self.core.trash.discard(&stage.path().join("volume"))?;
        exchanged?;
        self.core.sync_files()
    }

    pub(super) fn read_tar(&self, name: &str, tar: &mut dyn Read) -> Result<()> {
        self.unpack(&self.must_get(name)?.mountpoint, tar)?;
        self.core.sync_files()
    }

    fn unpack(&self, directory: &Path, tar: &mut dyn Read) -> Result<()> {
        let directory = open(directory)?;
        let _bound = self.core.quotas.obey()?;
        let options = ExtractOptions { root_attributes: true, ..ExtractOptions::copy_in() };
        Ok(extract_unhashed(tar, directory.as_fd(), &options).map(drop)?)
    }

    fn must_get(&self, name: &str) -> Result<Volume> {
        let found = self.core.catalog().volumes.get(name).cloned();
        found.ok_or_else(|| no_such(name))
    }

    fn must_be_free(&self, name: &str) -> Result<()> {
        if self.core.catalog().volumes.contains_key(name) { Err(taken(name)) } else { Ok(()) }
    }
}

fn taken(name: &str) -> Error {
    Error::conflict(format!("volume {name} already exists"))
}

/// A volume's directory, and its data in it, on a stage.
fn make_data(stage: &Stage) -> Result<PathBuf> {
    let staged = stage.path().join("volume");
    make_directory(&staged, 0o700)?;
    make_directory(&staged.join("data"), 0o755)?;
    Ok(staged.join("data"))
}

fn open(directory: &Path) -> Result<File> {
    File::open(directory).on("open", directory)
}

/// All of it or nothing.
fn write_down(directory: &Path, volume: &Volume) -> Result<()> {
    let body = serde_json::to_vec(volume).context(|| format!("cannot write down volume {}", volume.name))?;
    replace_file(directory, "volume.json", &body)
}
