//! Real root file systems, without any registry: Debian's busybox, linked statically.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\nweb:x:1000:1000::/home/web:/bin/sh\n";
const GROUP: &str = "root:x:0:\nnogroup:x:65534:\nweb:x:1000:\naudio:x:29:web\nvideo:x:44:web\n";

/// Where Debian's `busybox-static` is.
///
/// # Errors
/// When it is not installed.
pub fn busybox() -> Result<PathBuf> {
    process::find("busybox").context("busybox is missing: apt-get install busybox-static")
}

/// Fills `root` with a busybox userland: every applet, the usual directories, users and groups.
///
/// # Errors
/// When busybox is missing or a file cannot be written.
pub fn busybox_tree(root: &Path) -> Result<()> {
    for directory in ["bin", "dev", "etc", "home/web", "proc", "root", "sys", "tmp", "usr/bin", "var"] {
        fs::create_dir_all(root.join(directory))?;
    }
    let busybox = busybox()?;
    fs::copy(&busybox, root.join("bin/busybox"))?;
    for applet in process::must(Command::new(&busybox).arg("--list"))?.lines().filter(|a| *a != "busybox") {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    fs::write(root.join("etc/passwd"), PASSWD)?;
    fs::write(root.join("etc/group"), GROUP)?;
    Ok(())
}

/// Writes the same tree as a tar, for `import`.
///
/// # Errors
/// As [`busybox_tree`], or when GNU tar fails.
pub fn busybox_tar(tar: &Path) -> Result<()> {
    let tree = tempfile::tempdir()?;
    busybox_tree(tree.path())?;
    let mut command = Command::new("tar");
    command.arg("--numeric-owner").arg("--owner=0").arg("--group=0").arg("-C").arg(tree.path());
    process::must(command.arg("-cf").arg(tar).arg("."))?;
    Ok(())
}
