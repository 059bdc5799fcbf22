//! Blobs, layers, snapshots, image names, records and volumes on disk.
//!
//! In reading order: [`Store`] opens everything; [`layout`] shows what lies where; [`staging`] is how
//! a thing appears whole and goes at once; [`database`] names things, and [`catalog`] is what of it is
//! held in memory, so that listing and looking reads no disk. Then the four ports: [`images`],
//! [`snapshots`], [`records`], [`volumes`]. [`blobs`] and [`stack`] hold what images are made of;
//! [`mod@tar`] and [`layer`] turn layers into tars and back, [`erofs`] makes a tar a file system;
//! [`quota`] limits what volumes and writable layers take; [`repair`] is what each start mends, and [`check`] what is
//! looked through when somebody asks.
//!
//! What must never be:
//! - a name that points to something not whole: files first, then a sync, then the record;
//! - a layer deleted that a record needs: who needs it is read off the records, under the same lock
//!   that admits new ones;
//! - a path from an archive joined to a string.

mod blobs;
mod catalog;
mod check;
mod copy_up;
mod database;
pub mod erofs;
mod error;
mod fill;
mod images;
pub mod layer;
mod layout;
mod networks;
mod quota;
mod records;
mod repair;
mod side_by_side;
mod snapshots;
mod sparse;
mod stack;
mod staging;
pub mod tar;
mod volumes;

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub use check::UpkeepStore;
pub use dhow_model::image::LayerFormat;
pub use error::{Error, Kind, Result};
pub use images::ImageStore;
#[doc(hidden)]
pub use images::archive::read_any_document;
pub use records::RecordStore;
pub use snapshots::SnapshotStore;
pub use volumes::VolumeStore;

use catalog::Catalog;
use database::Database;
use error::Context as _;
use layout::Layout;
use quota::Quotas;
use stack::{Formats, Mounts, Pins};
use staging::Trash;

/// The store of one engine: the four ports over one directory.
///
/// Cloning it is cheap. The directory is locked until the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Store {
    /// Images.
    pub images: ImageStore,
    /// Writable layers.
    pub snapshots: SnapshotStore,
    /// Containers on record.
    pub records: RecordStore,
    /// Volumes.
    pub volumes: VolumeStore,
    /// How all of it looks after itself.
    pub upkeep: UpkeepStore,
}

/// How a store is opened.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// What new layers become; none is what this machine does best.
    pub layers: Option<LayerFormat>,
}

impl Store {
    /// Opens the store below `root`, makes it when there is none, and mends what a crash left.
    ///
    /// # Errors
    /// Those of [`open_with`](Self::open_with).
    pub fn open(root: &Path) -> Result<Self> {
        Self::open_with(root, Options::default())
    }

    /// The same with options.
    ///
    /// # Errors
    /// Conflict when another engine has it open; unavailable when this machine has not the layer format
    /// that is wanted; otherwise what the file system says.
    pub fn open_with(root: &Path, options: Options) -> Result<Self> {
        let layout = Arc::new(Layout::create(root)?);
        let lock = acquire(&layout)?;
        let quotas = Arc::new(Quotas::new(layout.root(), layout.staging()));
        let trash = Trash::start(Arc::clone(&layout), Arc::clone(&quotas))?;
        trash.take_over()?;
        let database = repair::open_database(&layout)?;
        if database.was_looked_through() {
            repair::mend(&database, &layout)?;
        }
        let mut catalog = Catalog::read(&database, &layout)?;
        repair::hide_damaged(&mut catalog, &layout)?;
        repair::measure(&mut catalog, &database, &layout)?;
        let formats = stack::choose(&layout, options.layers)?;
        let core = Arc::new(Core {
            database,
            catalog: RwLock::new(catalog),
            changes: Mutex::new(()),
            pins: Pins::default(),
            readers: Pins::default(),
            formats,
            mounts: Mounts::default(),
            small_files: snapshots::SmallFiles::default(),
            turns: snapshots::Turns::default(),
            networks_copy: Mutex::new(()),
            copy_ups: Mutex::new(()),
            quotas,
            trash,
            layout,
            _lock: lock,
        });
        repair::sweep(&core)?;
        Ok(Self {
            images: ImageStore { core: Arc::clone(&core) },
            snapshots: SnapshotStore { core: Arc::clone(&core) },
            records: RecordStore { core: Arc::clone(&core) },
            volumes: VolumeStore { core: Arc::clone(&core) },
            upkeep: UpkeepStore { core },
        })
    }
}

impl Store {
    /// What new layers become.
    #[must_use]
    pub fn layer_format(&self) -> LayerFormat {
        self.images.core.formats.new
    }

    /// Whether the file system keeps limits of size.
    ///
    /// # Errors
    /// Invalid argument: `words`, why it does not, and what would have to be done.
    pub fn keeps_limits(&self, words: &str) -> Result<()> {
        self.images.core.quotas.available(words)
    }
}

/// What the ports share.
#[derive(Debug)]
pub(crate) struct Core {
    database: Database,
    catalog: RwLock<Catalog>,
    /// Held by whoever changes images or volumes, from the check to the record.
    changes: Mutex<()>,
    pins: Pins,
    /// Layers that somebody reads.
    readers: Pins,
    formats: Formats,
    mounts: Mounts,
    small_files: snapshots::SmallFiles,
    turns: snapshots::Turns,
    /// Held by whoever writes the networks beside the database: the last to write has read last.
    networks_copy: Mutex<()>,
    /// Held by whoever fills an empty volume.
    copy_ups: Mutex<()>,
    quotas: Arc<Quotas>,
    trash: Trash,
    layout: Arc<Layout>,
    /// Dropped last: nothing of ours touches the directory after it.
    _lock: Lock,
}

impl Core {
    fn catalog(&self) -> RwLockReadGuard<'_, Catalog> {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn catalog_mut(&self) -> RwLockWriteGuard<'_, Catalog> {
        self.catalog.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin_change(&self) -> MutexGuard<'_, ()> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything written so far outlives a power cut.
    fn sync_files(&self) -> Result<()> {
        let root = self.layout.root();
        File::open(root)
            .map_err(error::Cause::from)
            .and_then(|root| rustix::fs::syncfs(root).map_err(Into::into))
            .on("sync", root)
    }
}

/// Held by the one engine that has the store open.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    /// Closing is not enough: a child that is about to execute its program has a copy.
    fn drop(&mut self) {
        let _ = rustix::fs::flock(&self.0, rustix::fs::FlockOperation::Unlock);
    }
}

fn acquire(layout: &Layout) -> Result<Lock> {
    let path = layout.lock();
    let file = File::options().create(true).append(true).open(&path).on("open", &path)?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Lock(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err(Error::conflict(format!("another engine uses {}", layout.root().display())))
        }
        Err(error) => Err(error).on("lock", &path),
    }
}
