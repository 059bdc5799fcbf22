//! What is tried on kernels that those of developers and of CI may not be: machines emulated by `tools/xtask/vm`.
//!
//! - `cargo xtask pure-v2`: an engine and its containers where cgroup v2 is alone: limits, stats, updates, freezing,
//!   running out of memory, devices, health, and an engine that is killed.
//! - `cargo xtask quotas`: the tests of limits of size, on a kernel that has project quotas.
//! - `cargo xtask links`: the tests of networks, on a kernel with ipvlan, VLANs, dummy links and SCTP.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// What a script ends with when something that it needs is missing.
const LEFT_OUT: i32 = 77;

/// What all of them need.
const PACKAGES: &str = "qemu-system-x86 busybox-static cpio binutils kmod";

/// One machine, and what is done there.
pub(crate) struct Machine {
    script: &'static str,
    /// Packages that it needs beside those of all.
    packages: &'static str,
    /// Packages and tests of theirs that it runs; they may not leave anything out.
    tests: &'static [(&'static str, &'static str)],
}

pub(crate) const PURE_V2: Machine = Machine { script: "tools/xtask/vm/pure_v2.sh", packages: "", tests: &[] };

pub(crate) const QUOTAS: Machine = Machine {
    script: "tools/xtask/vm/quotas.sh",
    packages: "xfsprogs",
    tests: &[("dhow-store", "quotas"), ("dhow-journeys", "quotas")],
};

pub(crate) const LINKS: Machine = Machine {
    script: "tools/xtask/vm/links.sh",
    packages: "nftables",
    tests: &[("dhow-journeys", "direct_networks"), ("dhow-journeys", "publishing")],
};

impl Machine {
    pub(crate) fn run(&self) -> Result<()> {
        let binary = crate::bench::build()?;
        let tests = self.tests.iter().map(|(package, test)| executable(package, test));
        let tests = tests.collect::<Result<Vec<_>>>()?;
        let mut script = Command::new(self.script);
        script.arg("target/vm").arg(binary).args(tests);
        let status = script.status().with_context(|| format!("cannot run {}", self.script))?;
        match status.code() {
            Some(0) => Ok(()),
            Some(LEFT_OUT) => {
                eprintln!("apt-get install --no-install-recommends {PACKAGES} {}", self.packages);
                Ok(())
            }
            _ => bail!("{}: {status}", self.script),
        }
    }
}

/// Builds a test, and answers where it is.
fn executable(package: &str, test: &str) -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--no-run", "--message-format", "json", "--package", package, "--test", test]);
    let output = cargo.stderr(Stdio::inherit()).output().context("cannot run cargo")?;
    let lines = String::from_utf8(output.stdout).context("what cargo says")?;
    let messages = lines.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut found = messages.filter(|message| message["target"]["name"] == test);
    let path = found.find_map(|message| message["executable"].as_str().map(PathBuf::from));
    path.with_context(|| format!("the test {test} of {package} was not built"))
}
