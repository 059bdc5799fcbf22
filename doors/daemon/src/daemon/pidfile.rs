//! The file with the engine's process id.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// Removed with the value.
#[derive(Debug)]
pub(super) struct Pidfile {
    path: PathBuf,
}

impl Pidfile {
    /// Writes the file; one of an engine that runs is respected.
    pub(super) fn claim(path: &Path) -> Result<Self> {
        if let Some(pid) = living(path) {
            bail!("process with PID {pid} is still running ({})", path.display());
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
