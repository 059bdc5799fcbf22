//! `cargo xtask links`: the tests of networks on a kernel with ipvlan, VLANs, dummy links and SCTP.
//!
//! The machine is emulated (`tools/xtask/vm`), because the kernels of developers and of CI may lack them.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::quotas::executable;

/// What the script ends with when something that it needs is missing.
const LEFT_OUT: i32 = 77;

const TESTS: [&str; 2] = ["direct_networks", "publishing"];

pub(crate) fn run() -> Result<()> {
    let binary = crate::bench::build()?;
    let tests =
        TESTS.map(|test| executable("dhow-journeys", test)).into_iter().collect::<Result<Vec<_>>>()?;
    let mut script = Command::new("tools/xtask/vm/links.sh");
    script.arg("target/vm").arg(binary).args(tests).env("VM_PATIENCE", "900");
    let status = script.status().context("cannot run tools/xtask/vm/links.sh")?;
    match status.code() {
        Some(0) => Ok(()),
        Some(LEFT_OUT) => {
            eprintln!(
                "apt-get install --no-install-recommends qemu-system-x86 busybox-static cpio binutils kmod nftables"
            );
            Ok(())
        }
        _ => bail!("kinds of links: {status}"),
    }
}
