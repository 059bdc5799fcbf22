//! Layers: their bytes, their indexes, their rows.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use dhow_model::{Error, Kind, Result, Timestamp};
use dhow_oci::Digest;
use dhow_oci::image::DiffId;
use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use super::Check;
use crate::Core;
use crate::error::Context as _;
use crate::images::register::layer_rows;
use crate::stack::size_on_disk;

/// A file in a layer's directory: it is other bytes than its name says.
const DAMAGED: &str = "damaged";

impl Check<'_> {
    pub(super) fn layers(&mut self) -> Result<()> {
        let needed: BTreeSet<DiffId> = self.core.catalog().stacks().flatten().copied().collect();
        for diff_id in needed {
            self.layer(&diff_id)?;
        }
        self.strays()
    }

    fn layer(&mut self, diff_id: &DiffId) -> Result<()> {
        let _pin = self.core.pins.pin(*diff_id);
        if !self.core.catalog().needs_layer(diff_id) {
            return Ok(());
        }
        self.report.layers += 1;
        let object = format!("layer {diff_id}");
        let bytes = match self.core.write_tar(diff_id, &mut std::io::sink()) {
            Ok(bytes) => bytes,
            Err(error) => return self.damaged(diff_id, object, &error),
        };
        self.report.bytes += bytes;
        self.core.unmark_damaged(diff_id)?;
        if !self.core.knows_tar_size(diff_id, bytes) {
            let problem = "layer.json does not say how many bytes its tar has".to_owned();
            self.mend(object.clone(), problem, |core| core.write_tar_size(diff_id, bytes));
            if !self.repair {
                return Ok(());
            }
        }
        let problem = match self.core.verify_index(diff_id) {
            Ok(true) => return self.row(diff_id, object),
            Ok(false) => "the index is not that of the tar".to_owned(),
            Err(error) => error.report(),
        };
        self.mend(object.clone(), problem, |core| core.renew_index(diff_id));
        if self.repair { self.row(diff_id, object) } else { Ok(()) }
    }

    /// Set aside when it may be touched: then a load brings it again.
    fn damaged(&mut self, diff_id: &DiffId, object: String, error: &Error) -> Result<()> {
        self.core.mark_damaged(diff_id);
        self.core.mounts.forget(diff_id);
        let mut problem = error.report();
        if self.repair
            && let Some(aside) = self.core.set_aside(diff_id)?
        {
            problem = format!("{problem}; it is set aside as {}", aside.display());
        }
        let users = self.users(diff_id);
        self.lost(object, problem, users);
        Ok(())
    }

    fn row(&mut self, diff_id: &DiffId, object: String) -> Result<()> {
        let known = self.core.catalog().layers.get(diff_id).copied();
        let size = size_on_disk(&self.core.layout.layer(diff_id))?;
        if known == Some(size) {
            return Ok(());
        }
        let problem = match known {
            Some(known) => format!("its record says {known} bytes, its files have {size}"),
            None => "it has no record".to_owned(),
        };
        let id = *diff_id;
        self.mend(object, problem, |core| {
            core.catalog_mut().layers.insert(id, size);
            core.database.post(move |connection| layer_rows(connection, &[(id, size)]))
        });
        Ok(())
    }

    /// What lies among the layers and is needed by nobody.
    fn strays(&mut self) -> Result<()> {
        for (name, path) in crate::repair::entries(&self.core.layout.layers())? {
            let diff_id = name.to_str().and_then(|name| Digest::from_hex(name).ok());
            let needed = |core: &Core, id: &DiffId| {
                core.pins.lock().contains_key(id) || core.catalog().needs_layer(id)
            };
            if diff_id.as_ref().is_some_and(|id| needed(self.core, id)) {
                continue;
            }
            let problem = "no record needs it".to_owned();
            self.mend(path.display().to_string(), problem, |core| match diff_id {
                Some(id) => core.collect_layers(&[id]).map(drop),
                None => core.trash.discard(&path).map(drop),
            });
        }
        Ok(())
    }
}

impl Core {
    /// Moves a damaged layer out of the way. Containers that have it mounted keep it.
    fn set_aside(&self, diff_id: &DiffId) -> Result<Option<PathBuf>> {
        let aside = self.layout.damaged();
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&aside).on("make", &aside)?;
        let now = Timestamp::now().unix_seconds();
        let from = self.layout.layer(diff_id);
        // The same layer may be set aside more than once.
        for number in 0.. {
            let to = aside.join(format!("{}-{now}-{number}", diff_id.hex()));
            match rustix::fs::renameat_with(CWD, &from, CWD, &to, RenameFlags::NOREPLACE) {
                Ok(()) => return Ok(Some(to)),
                Err(Errno::EXIST) => {}
                Err(Errno::NOENT) => break,
                Err(error) => return Err(error).on("set aside", &from),
            }
        }
        Ok(None)
    }

    /// Says in the layer itself that it is other bytes than its name says: no engine uses it, and who puts another
    /// one in its place takes the mark away with it.
    fn mark_damaged(&self, diff_id: &DiffId) {
        let mark = self.layout.layer(diff_id).join(DAMAGED);
        if let Err(error) = std::fs::File::create(&mark) {
            tracing::error!(mark = %mark.display(), "a damaged layer cannot be marked: {error}");
        }
    }

    fn unmark_damaged(&self, diff_id: &DiffId) -> Result<()> {
        let mark = self.layout.layer(diff_id).join(DAMAGED);
        match std::fs::remove_file(&mark) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).on("remove", &mark),
            _ => Ok(()),
        }
    }

    /// Whether a check found it to be other bytes than its name says.
    pub(crate) fn is_marked_damaged(&self, diff_id: &DiffId) -> bool {
        self.layout.layer(diff_id).join(DAMAGED).exists()
    }

    /// Why the layer is not used, if it is not.
    pub(crate) fn refuse_damaged(&self, diff_id: &DiffId) -> Result<()> {
        if self.is_marked_damaged(diff_id) || !self.layout.layer(diff_id).is_dir() {
            return Err(Error::new(
                Kind::Corrupt,
                format!("layer {diff_id} is damaged or lost: load its image again"),
            ));
        }
        Ok(())
    }
}
