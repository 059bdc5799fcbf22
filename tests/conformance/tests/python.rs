//! docker-py, the SDK of Ansible and of many test suites.

use anyhow::Result;
use dhow_conformance::python;

#[test]
fn docker_py_runs_and_inspects_containers() -> Result<()> {
    python("containers.py")
}

#[test]
fn docker_py_executes_in_containers_and_attaches_to_them() -> Result<()> {
    python("streams.py")
}

#[test]
fn docker_py_makes_loads_and_saves_images() -> Result<()> {
    python("images.py")
}
