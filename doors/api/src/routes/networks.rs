//! `/networks/…`: the three that are built in.

use std::collections::BTreeMap;

use dhow_model::Error;
use serde_json::json;

use super::system::{ready, unserved};
use super::{Handling, not_found};
use crate::server::answer::{self, Answer};
use crate::server::call::Call;
use crate::types::network::{self, BUILT_IN, Member, Network};

const FILTERS: &[&str] = &["dangling", "driver", "id", "label", "name", "scope", "type"];

/// The handler of `/networks/{rest}`.
pub(super) fn route(call: Call, rest: &[&str]) -> Handling {
    match (call.method.as_str(), rest) {
        ("GET", []) => Box::pin(list(call)),
        ("POST", ["create"]) => unserved("creating a network"),
        ("POST", ["prune"]) => ready(answer::ok(&json!({"NetworksDeleted": null}))),
        ("GET", [name]) => Box::pin(inspect(call, (*name).into())),
        ("DELETE", [name]) => Box::pin(remove(call, (*name).into())),
        ("POST", [_, "connect" | "disconnect"]) => unserved("connecting containers to networks"),
        _ => not_found(),
    }
}

async fn list(call: Call) -> Answer {
    let filters = call.filters(FILTERS)?;
    let shown = BUILT_IN.into_iter().map(|network| Network::built_in(network, BTreeMap::new()));
    Ok(answer::ok(&shown.filter(|network| network.meets(&filters.0)).collect::<Vec<_>>()))
}

async fn inspect(call: Call, name: String) -> Answer {
    let found = find(&name)?;
    let members = call.engine.containers().into_iter().filter_map(|container| {
        let inside =
            network::of(&container.host_config) == Some(found.0) && container.state.running().is_some();
        inside.then(|| (container.id.to_string(), Member::named(container.name.to_string())))
    });
    Ok(answer::ok(&Network::built_in(found, members.collect())))
}

async fn remove(_call: Call, name: String) -> Answer {
    let (name, _) = find(&name)?;
    Err(Error::new(
        dhow_model::Kind::Forbidden,
        format!("{name} is a pre-defined network and cannot be removed"),
    ))
}

/// By name, by id, or by the beginning of the id.
fn find(text: &str) -> dhow_model::Result<(&'static str, &'static str)> {
    let named = BUILT_IN.into_iter().find(|(name, _)| *name == text);
    let starts = |(name, _): &(&str, &str)| text.len() > 2 && network::id(name).starts_with(text);
    named
        .or_else(|| BUILT_IN.into_iter().find(starts))
        .ok_or_else(|| Error::not_found(format!("network {text} not found")))
}
