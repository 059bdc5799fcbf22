//! Installs what a task needs from Debian's packages and the crate registry, when it is missing.

use anyhow::{Result, bail};

use crate::shell;

/// What the tests use beside Rust: `(program, package)`.
pub(crate) const TEST_PACKAGES: &[(&str, &str)] = &[
    ("busybox", "busybox-static"),
    ("ip", "iproute2"),
    ("getcap", "libcap2-bin"),
    ("getfattr", "attr"),
    ("skopeo", "skopeo"),
    ("umoci", "umoci"),
    ("zstd", "zstd"),
    ("xz", "xz-utils"),
    ("bzip2", "bzip2"),
    ("crun", "crun"),
    ("docker", "docker.io"),
    ("strace", "strace"),
];

/// Installs the packages whose program is not on the PATH.
pub(crate) fn packages(wanted: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<&str> =
        wanted.iter().filter(|(program, _)| !shell::has(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !shell::has("apt-get") {
        bail!("these packages are missing, and this is no Debian: {}", missing.join(" "));
    }
    shell::run("apt-get update -q")?;
    let mut words = vec!["apt-get", "install", "-q", "-y", "--no-install-recommends"];
    words.extend(missing);
    shell::run_words(&words)
}

/// Installs cargo-deny.
pub(crate) fn cargo_deny() -> Result<()> {
    if shell::has("cargo-deny") {
        return Ok(());
    }
    shell::run("cargo install --quiet --locked cargo-deny")
}
