//! Layers: their bytes, their indexes, their rows.

use std::collections::BTreeSet;
use std::error::Error as _;

use dhow_model::ports::FindingState;
use dhow_model::{Error, Result};
use dhow_oci::Digest;
use dhow_oci::image::DiffId;
use rustix::io::Errno;

use super::Check;
use crate::Core;
use crate::images::register::layer_rows;
use crate::repair::entries;
use crate::stack::size_on_disk;

impl Check<'_> {
    pub(super) fn layers(&mut self) -> Result<()> {
        let needed: BTreeSet<DiffId> = self.core.catalog().stacks().flatten().copied().collect();
        for diff_id in needed {
            // What cannot be looked at keeps nobody from looking at the others.
            if let Err(error) = self.layer(&diff_id) {
                let problem = format!("it cannot be looked through: {}", error.report());
                let users = self.users(&diff_id);
                self.note(format!("layer {diff_id}"), problem, FindingState::Repairable, users);
            }
        }
        if self.core.catalog().hides_layers() {
            // Any may be of an image whose configuration is lost.
            return Ok(());
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
            Err(error) if says_nothing(&error) => return Err(error),
            Err(error) => return self.damaged(diff_id, object, &error),
        };
        self.report.bytes += bytes;
        if self.core.has_tree(diff_id) && !self.tree(diff_id, &object)? {
            return Ok(());
        }
        self.core.unmark_damaged(diff_id)?;
        for stray in self.core.strays_of(diff_id)? {
            let problem = "it belongs to no layer of this format".to_owned();
            self.mend(stray.display().to_string(), problem, |core| core.trash.discard(&stray).map(drop));
        }
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

    /// Tells whether it is right now. One that is not is not used until it is.
    fn tree(&mut self, diff_id: &DiffId, object: &str) -> Result<bool> {
        let anew = self.core.tree_again(diff_id)?;
        let Some(how) = self.core.tree_differs(&anew)? else { return Ok(true) };
        self.core.mark_damaged(diff_id);
        self.core.mounts.forget(diff_id);
        let problem = format!("its tree is not that of its tar: {how}");
        let users = self.users(diff_id);
        Ok(self.mend_for(users, object.to_owned(), problem, |core| core.put_tree(&anew)))
    }

    /// Set aside when it may be touched: then a load brings it again.
    fn damaged(&mut self, diff_id: &DiffId, object: String, error: &Error) -> Result<()> {
        self.core.mark_damaged(diff_id);
        self.core.mounts.forget(diff_id);
        let mut problem = error.report();
        if self.repair
            && let Some(aside) = self.core.set_aside(diff_id, &self.core.layout.layer(diff_id))?
        {
            problem = format!("{problem}; it is set aside as {}", aside.display());
            self.core.forget_size(diff_id)?;
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
        for (name, path) in entries(&self.core.layout.layers())? {
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

/// Whether it was this process that failed: then nothing is known of the layer.
fn says_nothing(error: &Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        let errno = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
        if matches!(errno.map(Errno::from_raw_os_error), Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM)) {
            return true;
        }
        cause = error.source();
    }
    false
}
