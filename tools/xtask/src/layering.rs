//! The layering check: which crate may use which.
//!
//! The list is the architecture's (ARCHITECTURE.md, "Edges"). An edge that is not in it fails the
//! build, and so does a core crate that depends on a library which opens files or sockets.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::shell;

/// Each crate of ours, and the crates of ours that it may use.
const EDGES: &[(&str, &[&str])] = &[
    ("dhow-oci", &[]),
    ("dhow-model", &["dhow-oci"]),
    ("dhow-engine", &["dhow-oci", "dhow-model"]),
    ("dhow-sys", &[]),
    ("dhow-tls", &[]),
    ("dhow-store", &["dhow-oci", "dhow-model", "dhow-sys"]),
    ("dhow-runtime", &["dhow-oci", "dhow-model", "dhow-sys", "dhow-tls"]),
    ("dhow-net", &["dhow-model", "dhow-sys"]),
    ("dhow-web", &["dhow-model", "dhow-tls"]),
    ("dhow-api", &["dhow-oci", "dhow-model", "dhow-engine", "dhow-tls"]),
    ("dhow-cli", &["dhow-oci", "dhow-model", "dhow-engine", "dhow-api"]),
    (
        "dhow",
        &[
            "dhow-oci",
            "dhow-model",
            "dhow-engine",
            "dhow-sys",
            "dhow-tls",
            "dhow-store",
            "dhow-runtime",
            "dhow-net",
            "dhow-web",
            "dhow-api",
            "dhow-cli",
        ],
    ),
    ("dhow-testkit", &["dhow-model", "dhow-net"]),
    ("dhow-journeys", &["dhow-sys", "dhow-testkit"]),
    ("dhow-conformance", &["dhow-testkit"]),
    ("xtask", &["dhow-testkit"]),
];

/// Libraries that reach the world, and have no place below a crate that only decides.
const WORLDLY: &[&str] = &["rustix", "libc", "hyper", "axum", "rusqlite", "tempfile", "nix"];
const CORE: &[&str] = &["dhow-oci", "dhow-model", "dhow-engine"];

/// Fails with every edge that is not allowed. Dependencies of tests only are free but for the core's.
pub(crate) fn check() -> Result<()> {
    let metadata: Value =
        serde_json::from_str(&shell::read("cargo metadata --format-version 1 --no-deps --locked")?)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let allowed: BTreeMap<&str, &[&str]> = EDGES.iter().copied().collect();
    let wrong: Vec<String> = packages.iter().flat_map(|package| violations(package, &allowed)).collect();
    if !wrong.is_empty() {
        bail!("layering (tools/xtask/src/layering.rs):\n  {}", wrong.join("\n  "));
    }
    Ok(())
}

fn violations(package: &Value, allowed: &BTreeMap<&str, &[&str]>) -> Vec<String> {
    let name = package["name"].as_str().unwrap_or_default();
    let Some(edges) = allowed.get(name) else {
        return vec![format!("{name} is not in the list of crates")];
    };
    let dependencies = package["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
    let shipped = dependencies.iter().filter(|d| d["kind"].as_str() != Some("dev"));
    shipped
        .filter_map(|dependency| dependency["name"].as_str())
        .filter(|to| {
            let ours = to.starts_with("dhow") && !edges.contains(to);
            ours || (CORE.contains(&name) && WORLDLY.contains(to))
        })
        .map(|to| format!("{name} may not depend on {to}"))
        .collect()
}
