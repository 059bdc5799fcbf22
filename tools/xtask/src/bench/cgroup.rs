//! A cgroup for each contender: what it and all its children cost in processor time.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

/// The parent of all cgroups of a benchmark.
pub(crate) const PARENT: &str = "dhow-bench";

/// A contender's cgroup, removed with the value.
pub(crate) struct Group {
    directory: PathBuf,
}

impl Group {
    /// Makes `dhow-bench/<name>` in the hierarchy that counts processor time.
    pub(crate) fn new(name: &str) -> Result<Self> {
        let directory = hierarchy()?.join(PARENT).join(name);
        fs::create_dir_all(&directory).with_context(|| format!("make cgroup {}", directory.display()))?;
        Ok(Self { directory })
    }

    /// Moves this process, and so all that it starts from now on, into the group.
    pub(crate) fn enter(&self) -> Result<()> {
        fs::write(self.directory.join("cgroup.procs"), "0").context("enter a cgroup")
    }

    /// Processor time of all that ever was in it or below.
    pub(crate) fn processor_time(&self) -> Result<Duration> {
        if let Ok(nanos) = fs::read_to_string(self.directory.join("cpuacct.usage")) {
            return Ok(Duration::from_nanos(nanos.trim().parse()?));
        }
        let stat = fs::read_to_string(self.directory.join("cpu.stat"))?;
        let micros =
            stat.lines().find_map(|line| line.strip_prefix("usage_usec ")).context("no usage_usec")?;
        Ok(Duration::from_micros(micros.parse()?))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let Ok(root) = hierarchy() else { return };
        drop(fs::write(root.join("cgroup.procs"), "0"));
        drop(fs::remove_dir(&self.directory));
        drop(fs::remove_dir(root.join(PARENT)));
    }
}

fn hierarchy() -> Result<PathBuf> {
    let v1 = Path::new("/sys/fs/cgroup/cpuacct");
    let v2 = Path::new("/sys/fs/cgroup");
    if v1.join("cpuacct.usage").exists() {
        return Ok(v1.into());
    }
    v2.join("cgroup.controllers")
        .exists()
        .then(|| v2.into())
        .context("no cgroup hierarchy counts processor time")
}
