//! Staging and trash: nothing is ever seen half made or half deleted.
//!
//! An object is made below `staging/`, on the file system of its place, and renamed there when it is
//! whole. It goes by one rename to `trash/`, and is deleted there by a thread of its own: deleting
//! thousands of files holds up no answer. Both are emptied at each start.

use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::{Context as _, Result};
use crate::layout::{Layout, make_directory};
use crate::quota::Quotas;

/// A directory in which something is made; deleted when dropped.
#[derive(Debug)]
pub(crate) struct Stage {
    path: PathBuf,
}

impl Stage {
    pub(crate) fn new(layout: &Layout) -> Result<Self> {
        let path = layout.staging().join(layout.unique());
        make_directory(&path, 0o700)?;
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Renames what was made under `name` to its place; tells whether it was not there before.
    pub(crate) fn publish(&self, name: &str, place: &Path) -> Result<bool> {
        let from = self.path.join(name);
        let here = rustix::fs::CWD;
        match rustix::fs::renameat_with(here, &from, here, place, rustix::fs::RenameFlags::NOREPLACE) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::EXIST | rustix::io::Errno::NOTEMPTY) => Ok(false),
            Err(error) => Err(error).on("put in its place", place),
        }
    }

    /// Puts what was made under `name` where something is already, which then is on the stage.
    pub(crate) fn exchange(&self, name: &str, place: &Path) -> Result<()> {
        let from = self.path.join(name);
        let here = rustix::fs::CWD;
        rustix::fs::renameat_with(here, &from, here, place, rustix::fs::RenameFlags::EXCHANGE)
            .on("put in its place", place)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Err(error) = delete_tree(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "staging directory stays until the next start");
        }
    }
}

/// Deletes in the background.
#[derive(Debug)]
pub(crate) struct Trash {
    layout: Arc<Layout>,
    work: Option<Sender<PathBuf>>,
    thread: Option<JoinHandle<()>>,
}

impl Trash {
    pub(crate) fn start(layout: Arc<Layout>, quotas: Arc<Quotas>) -> Result<Self> {
        let (work, incoming) = channel();
        let thread = std::thread::Builder::new()
            .name("store-trash".into())
            .spawn(move || empty(&incoming, &quotas))
            .context(|| "cannot start the thread that deletes")?;
        Ok(Self { layout, work: Some(work), thread: Some(thread) })
    }

    /// Takes `path` out of sight; tells whether it was there.
    pub(crate) fn discard(&self, path: &Path) -> Result<bool> {
        let target = self.layout.trash().join(self.layout.unique());
        match fs::rename(path, &target) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error).on("remove", path),
        }
        self.delete_later(target);
        Ok(true)
    }

    /// Goes on with what an earlier engine left in staging and trash.
    pub(crate) fn take_over(&self) -> Result<()> {
        let mut left = Vec::new();
        for place in [self.layout.staging(), self.layout.trash()] {
            // All names of both first: what is renamed here is listed again otherwise, and may be deleted by then.
            let entries: std::io::Result<Vec<PathBuf>> =
                fs::read_dir(&place).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
            left.extend(entries.on("read", &place)?);
        }
        for path in left {
            // Renamed first: the names of this process start over.
            let target = self.layout.trash().join(format!("old-{}", self.layout.unique()));
            fs::rename(&path, &target).on("remove", &path)?;
            self.delete_later(target);
        }
        Ok(())
    }

    fn delete_later(&self, path: PathBuf) {
        if let Some(work) = &self.work {
            // The thread ends only after this sender; were it gone, the next start deletes.
            drop(work.send(path));
        }
    }
}

impl Drop for Trash {
    fn drop(&mut self) {
        self.work = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// XFS counts what is deleted until a while later: limits that could not be lifted yet are tried again, ever more seldom.
fn empty(incoming: &Receiver<PathBuf>, quotas: &Quotas) {
    let (soon, seldom) = (Duration::from_millis(500), Duration::from_secs(60));
    let mut pause = soon;
    loop {
        let next = match quotas.are_leaving() {
            true => incoming.recv_timeout(pause),
            false => incoming.recv().map_err(RecvTimeoutError::from),
        };
        pause = match next {
            Ok(path) => {
                delete(&path, quotas);
                soon
            }
            Err(RecvTimeoutError::Timeout) => {
                quotas.release(&[]);
                seldom.min(pause * 2)
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
    }
}

fn delete(path: &Path, quotas: &Quotas) {
    let projects = quotas.of(path);
    if let Err(error) = delete_tree(path) {
        tracing::warn!(path = %path.display(), %error, "cannot delete; the next start tries again");
    }
    if !projects.is_empty() {
        quotas.release(&projects);
    }
}

/// Deletes a file or a tree, however deep a container made it; what is gone already is no error.
fn delete_tree(path: &Path) -> std::io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let parent = fs::File::open(parent)?;
    Ok(crate::layer::remove(parent.as_fd(), name.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What came from staging is listed in the trash as well, and may be deleted before it is looked at there.
    #[test]
    fn what_an_earlier_engine_left_is_taken_over_while_it_is_deleted() {
        let root = tempfile::tempdir().unwrap();
        let layout = Arc::new(Layout::create(root.path()).unwrap());
        for round in 0..20 {
            for number in 0..50 {
                fs::create_dir(layout.staging().join(format!("{round}-{number}"))).unwrap();
                fs::create_dir(layout.trash().join(format!("{round}-{number}"))).unwrap();
            }
            let quotas = Arc::new(Quotas::new(root.path(), root.path().join("scratch")));
            let trash = Trash::start(Arc::clone(&layout), quotas).unwrap();
            trash.take_over().unwrap();
            drop(trash);
            let left = |place: PathBuf| fs::read_dir(place).unwrap().count();
            assert_eq!((left(layout.staging()), left(layout.trash())), (0, 0));
        }
    }
}
