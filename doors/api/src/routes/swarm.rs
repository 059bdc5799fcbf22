//! Swarm's operations and plugins, answered as by an engine that is in no swarm and has no plugins.

use dhow_model::{Error, Kind};

use crate::server::answer::{self, Answer};
use crate::server::problem;

/// The words of an engine that is in no swarm, on which clients match.
const NOT_A_MANAGER: &str = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm \
                             join\" to connect this node to swarm and try again.";

/// The answer to any of them.
pub(crate) fn answer(method: &str, parts: &[&str]) -> Answer {
    match parts {
        ["plugins", rest @ ..] => plugins(method, rest),
        ["swarm", rest @ ..] => swarm(method, rest),
        [noun, rest @ ..] => Err(cluster(method, noun, rest)),
        [] => Err(problem::page_not_found()),
    }
}

fn not_a_manager() -> Error {
    Error::new(Kind::Unavailable, NOT_A_MANAGER)
}

fn swarm(method: &str, rest: &[&str]) -> Answer {
    Err(match (method, rest) {
        ("POST", ["init" | "join"]) => Error::not_implemented("swarm mode is not supported"),
        ("POST", ["leave"]) => Error::new(Kind::Unavailable, "This node is not part of a swarm"),
        ("GET", [] | ["unlockkey"]) | ("POST", ["update" | "unlock"]) => not_a_manager(),
        _ => problem::page_not_found(),
    })
}

/// Nodes, services, tasks, secrets and configs.
fn cluster(method: &str, noun: &str, rest: &[&str]) -> Error {
    let (has_logs, is_made) =
        (matches!(noun, "services" | "tasks"), matches!(noun, "services" | "secrets" | "configs"));
    match (method, rest) {
        ("GET", [] | [_]) => not_a_manager(),
        ("GET", [_, "logs"]) if has_logs => not_a_manager(),
        ("POST", ["create"]) if is_made => not_a_manager(),
        ("POST", [_, "update"]) | ("DELETE", [_]) if noun != "tasks" => not_a_manager(),
        _ => problem::page_not_found(),
    }
}

/// None is installed, and none can be.
fn plugins(method: &str, rest: &[&str]) -> Answer {
    let missing = |name: &[&str]| Err(Error::not_found(format!("plugin {:?} not found", name.join("/"))));
    match (method, rest) {
        ("GET", []) => Ok(answer::ok(&[(); 0])),
        ("GET", ["privileges"]) | ("POST", ["pull" | "create"]) => {
            Err(Error::not_implemented("plugins are not supported"))
        }
        ("GET", [name @ .., "json"])
        | ("POST", [name @ .., "enable" | "disable" | "push" | "upgrade" | "set"])
        | ("DELETE", name)
            if !name.is_empty() =>
        {
            missing(name)
        }
        _ => Err(problem::page_not_found()),
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn an_engine_without_a_swarm_says_so() {
        for parts in [&["swarm"][..], &["services"], &["nodes", "self"], &["tasks"], &["secrets", "x"]] {
            let error = answer("GET", parts).unwrap_err();
            assert_eq!(error.kind(), Kind::Unavailable);
            assert!(error.to_string().starts_with("This node is not a swarm manager."));
        }
        assert_eq!(answer("GET", &["plugins"]).unwrap().status(), StatusCode::OK);
        for (method, parts) in [("DELETE", &["plugins", "team/x"][..]), ("POST", &["plugins", "x", "enable"])]
        {
            assert_eq!(answer(method, parts).unwrap_err().kind(), Kind::NotFound);
        }
        for (method, parts) in
            [("PUT", &["swarm"][..]), ("POST", &["tasks", "create"]), ("GET", &["nodes", "x", "y"])]
        {
            assert_eq!(answer(method, parts).unwrap_err().to_string(), "page not found", "{parts:?}");
        }
    }
}
