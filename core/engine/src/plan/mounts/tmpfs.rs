//! File systems in memory, and the options that they may have.

use std::path::PathBuf;

use dhow_model::container::{Mount, MountKind, MountPoint, TmpfsOptions};
use dhow_model::{Error, Result};

use super::{Wanted, place};

/// What each has unless it says otherwise.
const SAFE: [&str; 3] = ["noexec", "nosuid", "nodev"];

/// `--tmpfs destination:options`.
pub(super) fn tmpfs(destination: &str, options: &str) -> Result<Wanted> {
    let mut point = MountPoint::new(MountKind::Tmpfs, place(destination)?);
    point.options = SAFE.map(str::to_owned).to_vec();
    for option in options.split(',').filter(|option| !option.is_empty()) {
        point.options.push(tmpfs_option(option)?);
    }
    point.writable = !point.options.iter().any(|option| option == "ro");
    Ok(point.into())
}

fn tmpfs_option(option: &str) -> Result<String> {
    const FLAGS: [&str; 14] = [
        "ro",
        "rw",
        "exec",
        "noexec",
        "suid",
        "nosuid",
        "dev",
        "nodev",
        "atime",
        "noatime",
        "relatime",
        "norelatime",
        "diratime",
        "nodiratime",
    ];
    const KEYS: [&str; 6] = ["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks"];
    let key = option.split('=').next().unwrap_or_default();
    let known = FLAGS.contains(&option) || (option.contains('=') && KEYS.contains(&key));
    if known {
        return Ok(option.to_owned());
    }
    let parts: Vec<String> = option.splitn(2, '=').map(|part| format!("{part:?}")).collect();
    Err(Error::invalid(format!("invalid tmpfs option [{}]", parts.join(" "))))
}

pub(super) fn tmpfs_mount(mount: &Mount, destination: PathBuf) -> Result<Wanted> {
    let TmpfsOptions { size_bytes, mode, options } = mount.tmpfs_options.clone().unwrap_or_default();
    if let Some(size) = size_bytes.filter(|size| *size < 0) {
        let words = format!("invalid mount config for type \"tmpfs\": invalid size: {size}");
        return Err(Error::invalid(words));
    }
    let mut point = MountPoint::new(MountKind::Tmpfs, destination);
    point.writable = !mount.read_only;
    point.options = SAFE.map(str::to_owned).to_vec();
    point.options.extend(size_bytes.filter(|size| *size > 0).map(|size| format!("size={size}")));
    point.options.extend(mode.map(|mode| format!("mode={mode:o}")));
    for pair in options.iter().flatten() {
        point.options.push(tmpfs_option(&pair.join("="))?);
    }
    point.options.extend(mount.read_only.then(|| "ro".to_owned()));
    Ok(point.into())
}
