//! Every check and every test, as CI runs them.

use anyhow::Result;

use crate::{budget, check, coverage, setup, shell, soak};

/// Enough to see one thing a container that stays; by hand it is run with 10,000.
const SOAKED: usize = 200;

/// Installs what the tests need, then runs all of them.
pub(crate) fn run() -> Result<()> {
    setup::packages(setup::TEST_PACKAGES)?;
    setup::judges()?;
    check::run()?;
    // Journeys run the binary itself.
    shell::run("cargo build --package dhow --locked")?;
    let asked = coverage::record()?;
    shell::run_with(
        "cargo test --workspace --locked --no-fail-fast",
        dhow_testkit::coverage::VARIABLE,
        &asked,
    )?;
    coverage::check(&asked)?;
    budget::run()?;
    soak::run(SOAKED)
}
