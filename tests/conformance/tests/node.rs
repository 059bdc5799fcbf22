//! dockerode, the SDK of testcontainers and of many tools in JavaScript.

use anyhow::Result;
use dhow_conformance::node;

#[test]
fn dockerode_runs_attaches_executes_and_listens() -> Result<()> {
    node("stories.js")
}
