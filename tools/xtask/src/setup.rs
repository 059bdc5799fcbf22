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
    ("docker-compose", "docker-compose"),
    ("openssl", "openssl"),
    ("curl", "curl"),
    ("perl", "perl-base"),
    ("strace", "strace"),
    ("podman", "podman"),
    ("containerd", "containerd"),
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

/// Installs the SDKs that judge the engine, in their pinned versions, below `target/`.
pub(crate) fn judges() -> Result<()> {
    packages(&[("python3", "python3"), ("node", "nodejs"), ("npm", "npm")])?;
    let python = judge("python", "requirements.txt", |into| {
        if !shell::succeeds("python3 -m pip --version") {
            packages(&[("pip3", "python3-pip")])?;
        }
        let wanted = format!("{into}/requirements.txt");
        shell::run(&format!("python3 -m pip install --quiet --target {into} --requirement {wanted}"))
    });
    let node = judge("node", "package-lock.json", |into| {
        std::fs::copy("tests/conformance/node/package.json", format!("{into}/package.json"))?;
        shell::run(&format!("npm ci --prefix {into} --ignore-scripts --no-audit --no-fund --loglevel=error"))
    });
    python.and(node)
}

/// Runs `install` unless what the list names is there already.
fn judge(language: &str, list: &str, install: impl FnOnce(&str) -> Result<()>) -> Result<()> {
    let wanted = std::fs::read(format!("tests/conformance/{language}/{list}"))?;
    let into = format!("target/conformance/{language}");
    let done = format!("{into}/installed");
    if std::fs::read(&done).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    if std::fs::exists(&into)? {
        std::fs::remove_dir_all(&into)?;
    }
    std::fs::create_dir_all(&into)?;
    std::fs::write(format!("{into}/{list}"), &wanted)?;
    install(&into)?;
    Ok(std::fs::write(done, wanted)?)
}

/// Installs cargo-deny.
pub(crate) fn cargo_deny() -> Result<()> {
    if shell::has("cargo-deny") {
        return Ok(());
    }
    shell::run("cargo install --quiet --locked cargo-deny")
}
