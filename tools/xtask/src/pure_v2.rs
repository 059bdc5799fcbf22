//! `cargo xtask pure-v2`: an engine and its containers on a machine that has cgroup v2 and nothing else:
//! limits, stats, updates, freezing, running out of memory, devices, health, and an engine that is killed.
//!
//! The machine is emulated (`tools/xtask/vm`), because those of developers and of CI have version 1 as well.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// What the script ends with when something that it needs is missing.
const LEFT_OUT: i32 = 77;

pub(crate) fn run() -> Result<()> {
    let binary = crate::bench::build()?;
    let mut script = Command::new("tools/xtask/vm/pure_v2.sh");
    script.arg(binary).arg("target/vm");
    let status = script.status().context("cannot run tools/xtask/vm/pure_v2.sh")?;
    match status.code() {
        Some(0) => Ok(()),
        Some(LEFT_OUT) => {
            eprintln!(
                "apt-get install --no-install-recommends qemu-system-x86 busybox-static cpio binutils kmod"
            );
            Ok(())
        }
        _ => bail!("cgroup v2 alone: {status}"),
    }
}
