//! What Docker answers that is in no swarm and has no plug-ins: clients that probe for them go on.

use anyhow::Result;
use dhow_testkit::Engine;
use serde_json::Value;

/// Every operation of the Engine API; `none` stands before those that are meant here.
const OPERATIONS: &str = include_str!("../operations.txt");

const NOT_A_MANAGER: &str = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to \
                             connect this node to swarm and try again.";
/// Operations that say something else than that: status and words.
const OTHERS: &[(&str, u16, &str)] = &[
    ("POST /swarm/init", 501, "swarm mode is not supported"),
    ("POST /swarm/join", 501, "swarm mode is not supported"),
    ("POST /swarm/leave", 503, "This node is not part of a swarm"),
    ("GET /plugins", 200, ""),
    ("GET /plugins/privileges", 501, "plugins are not supported"),
    ("POST /plugins/pull", 501, "plugins are not supported"),
    ("POST /plugins/create", 501, "plugins are not supported"),
    ("PUT /volumes/{name}", 503, "volume update only valid for cluster volumes, but swarm is unavailable"),
];

fn expected(operation: &str) -> (u16, &str) {
    let other = OTHERS.iter().find(|(name, _, _)| *name == operation);
    match other {
        Some((_, status, words)) => (*status, words),
        None if operation.contains(" /plugins/") => (404, "plugin \"x\" not found"),
        None => (503, NOT_A_MANAGER),
    }
}

#[test]
fn operations_of_swarm_and_plugins_are_answered_as_by_an_engine_without_them() -> Result<()> {
    let engine = Engine::start()?;
    let mut connection = engine.connect()?;
    let operations: Vec<&str> = OPERATIONS.lines().filter_map(|line| line.strip_prefix("none ")).collect();
    assert!(operations.len() > 40, "{operations:?}");
    for operation in operations {
        let (method, path) = operation.split_once(' ').unwrap_or_default();
        let path = path.replace("{id}", "x").replace("{name}", "x");
        let answer = connection.request(method, &format!("/v1.44{path}"), &Value::Null)?;
        let told = answer.json()?["message"].as_str().unwrap_or_default().to_owned();
        assert_eq!((answer.status, told.as_str()), expected(operation), "{operation}");
    }
    Ok(())
}
