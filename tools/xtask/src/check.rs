//! What needs no container: format, lints, layering, licences, documentation.

use anyhow::Result;

use crate::{layering, setup, shell};

/// Runs every check; the first that fails ends it.
pub(crate) fn run() -> Result<()> {
    shell::run("cargo fmt --all --check")?;
    layering::check()?;
    shell::run("cargo clippy --quiet --workspace --all-targets --locked -- -D warnings")?;
    setup::cargo_deny()?;
    // Advisories are left out: their database is a git repository, and CI reaches package registries only.
    shell::run("cargo deny --log-level error check licenses bans sources")?;
    shell::run("cargo doc --quiet --workspace --no-deps --document-private-items --locked")
}
