//! What a layer deletes: `.wh.` names become overlayfs' own marks (OCI image specification, "Whiteouts").

use super::index::Index;
use super::tree::{Body, Id, Inode, Missing};
use super::xattrs::SetId;
use crate::layer::{OPAQUE_NAME, PREFIX};
use crate::tar::{Entry, Error, Result, shown};

impl Index {
    /// Does what a `.wh.` name says. Its contents, mode and owner say nothing.
    pub(super) fn whiteout(&mut self, entry: &Entry, directory: &[u8], name: &[u8]) -> Result<()> {
        let target = &name[PREFIX.len()..];
        let missing = Missing::Make(entry.modified);
        if name == OPAQUE_NAME {
            let parent = self.tree.enter(directory, missing)?;
            self.set_opaque(parent)
        } else if matches!(target, b"" | b"." | b"..") {
            Err(Error::refused(format!("invalid whiteout {}: it names no file", shown(name))))
        } else if target.starts_with(PREFIX) {
            // Other `.wh..wh.` names were aufs' bookkeeping; they mean nothing elsewhere.
            Ok(())
        } else {
            let parent = self.tree.enter(directory, missing)?;
            self.deleted(entry, parent, target)
        }
    }

    /// Where the layer itself has something at the name, that stays, for a whiteout is about the
    /// layers below only; a directory stops showing what is below it.
    fn deleted(&mut self, entry: &Entry, parent: Id, target: &[u8]) -> Result<()> {
        match self.tree.child(parent, target) {
            Some(id) if self.tree.directory(id).is_some() => self.set_opaque(id),
            Some(_) => Ok(()),
            None => {
                let xattrs = SetId::default();
                let body = Body::Character(0);
                let inode = Inode { body, modified: entry.modified, uid: 0, gid: 0, xattrs, mode: 0 };
                self.tree.insert(parent, target, inode).map(drop)
            }
        }
    }

    /// Nothing of the layers below shows in this directory.
    pub(super) fn set_opaque(&mut self, directory: Id) -> Result<()> {
        let opaque = self.xattrs.opaque(self.tree.inode(directory).xattrs)?;
        self.tree.inode_mut(directory).xattrs = opaque;
        Ok(())
    }
}
