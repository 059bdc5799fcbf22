//! Limits of size: a volume, or a container's writable layer, is a project of the file system, and that is limited.
//!
//! Nothing is on record here: which project a directory has is written in its inode, and its limit in the file system's own
//! list. A start finds both as they are.
//!
//! ```text
//! made:  the directory gets a number → nobody else has a file of that number → its limit → its place → the record
//! gone:  trash → every file is deleted → the limit is lifted
//! ```
//! A crash leaves a limit of a number that no file has: a start lifts it ([`Quotas::sweep`]). A limit that is not there, because
//! the data were carried to another disk, is set when the volume or the container is used next.
//!
//! Numbers are drawn from a range of our own by chance, and taken when the file system counts no other file of that
//! number: so they are not those of other programs, nor of another engine on the same file system.

mod give;
mod obeying;
mod words;

pub(crate) use obeying::Obeying;

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, Hasher as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use dhow_sys::quota::{self, Project};
use rustix::fs::{Mode, OFlags};

use crate::error::{Context as _, Error, Result};

/// Ours; Docker counts up from 1, and so do those who write /etc/projid.
const OURS: std::ops::Range<u32> = 0x4400_0000..0x4500_0000;
/// So many numbers are tried.
const TRIES: usize = 64;
/// With less, the first file may be refused: XFS asks for room for many when it makes one, and overlayfs makes some
/// of its own.
const LEAST: u64 = 256 << 10;

/// What a mount may take beyond a limit.
const SPARE: u64 = 1 << 20;

/// Where the limited directory is, in what the trash deletes: of a volume, a container, and what was staged.
const INSIDE: [&str; 3] = ["data", "rw", "volume/data"];

/// The limits of one store.
#[derive(Debug)]
pub(crate) struct Quotas {
    root: PathBuf,
    /// Where a node of the device can be made for a moment.
    scratch: PathBuf,
    /// Something here may have a limit.
    used: AtomicBool,
    /// Numbers whose files are being deleted. Held from the choice of a number to its limit, and while one is lifted.
    leaving: Mutex<BTreeSet<u32>>,
}

impl Quotas {
    pub(crate) fn new(root: &Path, scratch: PathBuf) -> Self {
        let quotas =
            Self { root: root.to_owned(), scratch, used: AtomicBool::default(), leaving: Mutex::default() };
        quotas.used.store(quotas.missing().is_ok_and(|missing| missing.is_none()), Ordering::Relaxed);
        quotas
    }

    /// Whether the file system keeps limits.
    ///
    /// # Errors
    /// Invalid argument: `words`, why it does not, and what would have to be done.
    pub(crate) fn available(&self, words: &str) -> Result<()> {
        match self.missing()? {
            Some(why) => Err(Error::invalid(format!("{words}: {why}"))),
            None => Ok(()),
        }
    }

    fn missing(&self) -> Result<Option<String>> {
        let root = open(&self.root)?;
        let state = quota::state(&root, &self.scratch).on("ask for quotas of", &self.root)?;
        if !state.enforced {
            return Ok(Some(words::why_not(&self.root, &root, state)));
        }
        let own = quota::project(&root).on("ask for the project of", &self.root)?;
        // What leaves it would leave the limit that somebody set for all of this.
        Ok(own.inherits.then(|| words::nested(&self.root, own.id)))
    }

    /// Limits what directories of one owner take together, where that is [available](Self::available). What is so
    /// already stays; what they have counts.
    pub(crate) fn limit(&self, directories: &[&Path], bytes: u64) -> Result<()> {
        if bytes < LEAST {
            return Err(Error::invalid(format!(
                "size {bytes} is too small: at least {LEAST} bytes are needed"
            )));
        }
        let id = self.assign(directories)?;
        let told = || format!("cannot limit {} to {bytes} bytes", self.shown(directories));
        let root = open(&self.root)?;
        if quota::usage(&root, &self.scratch, id).context(told)?.limit != bytes.next_multiple_of(1024) {
            quota::set_limit(&root, &self.scratch, id, bytes).context(told)?;
        }
        Ok(())
    }

    /// Gives the directories, and all that is in them, a number of their own, unless they have one.
    pub(crate) fn assign(&self, directories: &[&Path]) -> Result<u32> {
        self.used.store(true, Ordering::Relaxed);
        let told = || format!("cannot make a project of {}", self.shown(directories));
        let handles = directories.iter().map(|path| open(path)).collect::<Result<Vec<_>>>()?;
        let known: std::io::Result<BTreeSet<Option<u32>>> =
            handles.iter().map(|handle| quota::project(handle).map(of_ours)).collect();
        let known = known.context(told)?;
        if let (1, Some(Some(id))) = (known.len(), known.first()) {
            return Ok(*id);
        }
        let leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        let first = handles.first().ok_or_else(|| Error::internal(told()))?;
        let id = self.draw(first).context(told)?;
        drop(leaving);
        handles.iter().try_for_each(|handle| give::all(handle, id)).context(told)?;
        Ok(id)
    }

    /// Makes a new directory one of the project that another one has, if it has one.
    pub(crate) fn join(&self, directory: &Path, other: &Path) -> Result<()> {
        if !self.used.load(Ordering::Relaxed) {
            return Ok(());
        }
        let project = quota::project(open(other)?).on("ask for the project of", other)?;
        match of_ours(project) {
            Some(_) => quota::set_project(open(directory)?, project).on("set the project of", directory),
            None => Ok(()),
        }
    }

    /// Does something with room to spare: overlayfs makes directories of its own when it is mounted, and where it cannot,
    /// the mount is one that nothing can be written to or deleted from.
    pub(crate) fn with_room<T>(&self, directory: &Path, work: impl FnOnce() -> T) -> Result<T> {
        if !self.used.load(Ordering::Relaxed) {
            return Ok(work());
        }
        let _one_at_a_time = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(usage) = self.usage(directory)?.filter(|usage| usage.limit != 0) else { return Ok(work()) };
        let handle = open(directory)?;
        let set = |bytes| {
            quota::set_limit(&handle, &self.scratch, usage.id, bytes).on("set the quota of", directory)
        };
        set(usage.limit.max(usage.space) + SPARE)?;
        let done = work();
        set(usage.limit)?;
        Ok(done)
    }

    /// Until this is dropped, the thread is bound by limits.
    pub(crate) fn obey(&self) -> Result<Option<Obeying>> {
        if !self.used.load(Ordering::Relaxed) {
            return Ok(None);
        }
        Obeying::begin().context(|| "cannot lower a capability").map(Some)
    }

    /// What a directory's project has and may have.
    pub(crate) fn usage(&self, directory: &Path) -> Result<Option<quota::Usage>> {
        let handle = open(directory)?;
        let Some(id) = quota::project(&handle).ok().and_then(of_ours) else { return Ok(None) };
        quota::usage(&handle, &self.scratch, id).on("ask for quotas of", directory).map(Some)
    }

    /// The projects of what is about to be deleted.
    pub(crate) fn of(&self, path: &Path) -> Vec<u32> {
        if !self.used.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let inside = INSIDE.iter().filter_map(|name| open(&path.join(name)).ok());
        inside.filter_map(|handle| quota::project(handle).ok().and_then(of_ours)).collect()
    }

    /// Lifts the limits of projects whose files were deleted; of one that still has some later. It is no error when that
    /// does not succeed: the next start does it.
    pub(crate) fn release(&self, ids: &[u32]) {
        let mut leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        leaving.extend(ids);
        let Ok(root) = open(&self.root) else { return };
        leaving.retain(|id| match quota::usage(&root, &self.scratch, *id) {
            Ok(usage) if usage.files == 0 => quota::set_limit(&root, &self.scratch, *id, 0).is_err(),
            found => found.is_ok(),
        });
    }

    /// Whether there are limits that could not be lifted yet.
    pub(crate) fn are_leaving(&self) -> bool {
        !self.leaving.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Lifts limits of numbers that no file has: a crash left them.
    pub(crate) fn sweep(&self) -> Result<()> {
        if !self.used.load(Ordering::Relaxed) {
            return Ok(());
        }
        let root = open(&self.root)?;
        let mut id = OURS.start;
        while let Some(found) = quota::next(&root, &self.scratch, id).on("list the quotas of", &self.root)? {
            if !OURS.contains(&found.id) {
                break;
            }
            if found.files == 0 && found.limit != 0 {
                tracing::info!(project = found.id, "no file has this limit: lifted");
                quota::set_limit(&root, &self.scratch, found.id, 0).on("set a quota of", &self.root)?;
            }
            id = found.id + 1;
        }
        Ok(())
    }

    /// Takes a number for a directory that nothing else has. It is not passed on before all below it have it: a crash
    /// until then leaves what the next one begins again.
    fn draw(&self, directory: &OwnedFd) -> std::io::Result<u32> {
        let before = quota::project(directory)?;
        for _ in 0..TRIES {
            let id = OURS.start + chance() % (OURS.end - OURS.start);
            match quota::set_project(directory, Project { id, inherits: false }) {
                // Somebody has it, and it is full.
                Err(error) if error.kind() == std::io::ErrorKind::QuotaExceeded => continue,
                done => done?,
            }
            if quota::usage(directory, &self.scratch, id)?.files == 1 {
                return Ok(id);
            }
            quota::set_project(directory, before)?;
        }
        Err(std::io::Error::other(format!("no number of {OURS:?} is free")))
    }

    fn shown(&self, directories: &[&Path]) -> String {
        directories.first().map_or(&*self.root, |path| path).display().to_string()
    }
}

fn of_ours(project: Project) -> Option<u32> {
    (project.inherits && OURS.contains(&project.id)).then_some(project.id)
}

fn chance() -> u32 {
    let drawn = std::hash::RandomState::new().build_hasher().finish();
    u32::try_from(drawn >> 32).unwrap_or_default()
}

fn open(directory: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(directory, flags, Mode::empty()).on("open", directory)
}
