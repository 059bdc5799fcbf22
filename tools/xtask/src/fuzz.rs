//! `cargo xtask fuzz`: every fuzz target for a while, one after the other.
//!
//! The targets are files of `fuzz/fuzz_targets`, a crate of its own, as cargo-fuzz wants it. They begin with what is in
//! `fuzz/seeds`: small inputs of each kind, and what once broke one. What they have met is kept in `fuzz/corpus`, and
//! what breaks one in `fuzz/artifacts`: both stay on the machine, and the next run begins with them. It needs cargo-fuzz (`cargo install cargo-fuzz`), and a nightly compiler for the address
//! sanitizer; without one the compiler at hand builds them, and only what panics or hangs is found.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Runs the targets whose names contain `only`, each for so many seconds.
pub(crate) fn run(only: Option<&str>, seconds: u64) -> Result<()> {
    let targets: Vec<String> =
        targets()?.into_iter().filter(|name| name.contains(only.unwrap_or(""))).collect();
    ensure!(!targets.is_empty(), "no such target");
    let nightly = Command::new("cargo").args(["+nightly", "--version"]).output()?.status.success();
    let mut broken = Vec::new();
    for target in targets {
        println!("== {target}");
        let corpus = format!("fuzz/corpus/{target}");
        std::fs::create_dir_all(&corpus)?;
        let done = cargo_fuzz(nightly)
            .args([&target, &corpus, &seeds(&target)])
            .args(["--", "-timeout=20", "-rss_limit_mb=4096"])
            .arg(format!("-max_total_time={seconds}"))
            .status()
            .context("cargo fuzz")?;
        if !done.success() {
            broken.push(target);
        }
    }
    ensure!(broken.is_empty(), "broken: {} (see fuzz/artifacts)", broken.join(", "));
    Ok(())
}

fn cargo_fuzz(nightly: bool) -> Command {
    let mut command = Command::new("cargo");
    if nightly {
        // SQLite's C code is linked in twice as far as the sanitizer can tell.
        command.arg("+nightly").env("ASAN_OPTIONS", "detect_odr_violation=0");
    } else {
        command.env("RUSTC_BOOTSTRAP", "1");
    }
    command.args(["fuzz", "run", "--fuzz-dir", "fuzz"]);
    if !nightly {
        command.args(["--sanitizer", "none"]);
    }
    command
}

/// Where the inputs are with which a target begins.
fn seeds(target: &str) -> String {
    let kind = match target {
        "erofs_index" | "layer_extract" | "tar_reader" => "tars",
        own => own,
    };
    format!("fuzz/seeds/{kind}")
}

fn targets() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir("fuzz/fuzz_targets")? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}
