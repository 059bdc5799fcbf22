//! `cargo xtask quotas`: the tests of limits of size, on a kernel that has project quotas.
//!
//! The machine is emulated (`tools/xtask/vm`), because the kernels of developers and of CI may lack them.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// What the script ends with when something that it needs is missing.
const LEFT_OUT: i32 = 77;

/// Tests that make themselves file systems with quotas.
const TESTS: [(&str, &str); 2] = [("dhow-store", "quotas"), ("dhow-journeys", "quotas")];

pub(crate) fn run() -> Result<()> {
    let binary = crate::bench::build()?;
    let tests =
        TESTS.map(|(package, test)| executable(package, test)).into_iter().collect::<Result<Vec<_>>>()?;
    let mut script = Command::new("tools/xtask/vm/quotas.sh");
    script.arg("target/vm").arg(binary).args(tests);
    let status = script.status().context("cannot run tools/xtask/vm/quotas.sh")?;
    match status.code() {
        Some(0) => Ok(()),
        Some(LEFT_OUT) => {
            eprintln!(
                "apt-get install --no-install-recommends qemu-system-x86 busybox-static cpio binutils kmod xfsprogs"
            );
            Ok(())
        }
        _ => bail!("limits of size: {status}"),
    }
}

/// Builds a test, and answers where it is.
pub(crate) fn executable(package: &str, test: &str) -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--no-run", "--message-format", "json", "--package", package, "--test", test]);
    let output = cargo.stderr(Stdio::inherit()).output().context("cannot run cargo")?;
    let lines = String::from_utf8(output.stdout).context("what cargo says")?;
    let messages = lines.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut found = messages.filter(|message| message["target"]["name"] == test);
    let path = found.find_map(|message| message["executable"].as_str().map(PathBuf::from));
    path.with_context(|| format!("the test {test} of {package} was not built"))
}
