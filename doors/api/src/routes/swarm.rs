//! Swarm's operations and plugins, answered as by an engine that is in no swarm and has no plugins.

use dhow_model::{Error, Kind};

use crate::server::answer::{self, Answer};
use crate::server::problem;

/// The words of an engine that is in no swarm, on which clients match.
const NOT_A_MANAGER: &str = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm \
                             join\" to connect this node to swarm and try again.";

/// The answer to any of them.
pub(crate) fn answer(method: &str, parts: &[&str]) -> Answer {
    match (method, parts) {
        ("GET", ["plugins"]) => Ok(answer::ok(&[(); 0])),
        ("GET", ["plugins", name @ .., "json"]) => {
            Err(Error::not_found(format!("plugin {:?} not found", name.join("/"))))
        }
        (_, ["plugins", ..]) => Err(Error::not_implemented("plugins are not supported")),
        ("POST", ["swarm", "init" | "join"]) => Err(Error::not_implemented("swarm mode is not supported")),
        ("POST", ["swarm", "leave"]) => {
            Err(Error::new(Kind::Unavailable, "This node is not part of a swarm"))
        }
        ("GET" | "POST" | "PUT" | "DELETE", _) => Err(Error::new(Kind::Unavailable, NOT_A_MANAGER)),
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
    }
}
