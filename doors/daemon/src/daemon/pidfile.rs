//! The file with the engine's process id, and the lock on its data: one engine has them.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use rustix::fs::{FlockOperation, flock};

/// Removed with the value.
#[derive(Debug)]
pub(super) struct Pidfile {
    path: PathBuf,
}

impl Pidfile {
    /// Writes the file; one of an engine that runs is respected, in dockerd's words.
    pub(super) fn claim(path: &Path) -> Result<Self> {
        if let Some(pid) = living(path) {
            bail!(
                "failed to start daemon, ensure docker is not running or delete {}: process with PID {pid} is \
                 still running",
                path.display()
            );
        }
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).with_context(|| format!("make {}", directory.display()))?;
        }
        std::fs::write(path, std::process::id().to_string())
            .with_context(|| format!("write {}", path.display()))?;
        Ok(Self { path: path.into() })
    }
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The process that an earlier engine left its number of, when it is an engine still.
fn living(path: &Path) -> Option<u32> {
    let pid: u32 = std::fs::read_to_string(path).ok()?.trim().parse().ok()?;
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let mut words = line.split(|byte| *byte == 0);
    let engine = words.nth(1) == Some(b"daemon");
    (engine && pid != std::process::id()).then_some(pid)
}

/// The lock of a data directory; the kernel gives it back however the engine ends.
#[derive(Debug)]
pub(super) struct DataLock {
    _held: File,
}

impl DataLock {
    /// Takes it; two engines on the same data would each believe that it alone knows them.
    pub(super) fn claim(data_root: &Path) -> Result<Self> {
        let path = data_root.join("engine.lock");
        let context = || format!("open {}", path.display());
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).with_context(context)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut pid = String::new();
            let _ = file.read_to_string(&mut pid);
            let shown = data_root.display();
            bail!("failed to start daemon: data root {shown} is used by another engine (process {pid})");
        }
        file.set_len(0).and_then(|()| write!(file, "{}", std::process::id())).with_context(context)?;
        Ok(Self { _held: file })
    }
}
