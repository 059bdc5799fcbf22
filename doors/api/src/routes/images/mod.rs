//! `/images/…` and `/commit`: the table; handlers by what they do.
//!
//! The name of an image may have slashes, so it is all that stands between `images` and the verb.

use super::system::unserved;
use super::{Handling, not_found};
use crate::server::call::Call;

mod archive;
mod change;
mod importing;
mod layers;
mod look;

pub(super) use change::commit;
pub(super) use layers::{all as all_layers, route as own};
pub(super) use look::{SharedSizes, Users};

/// The handler of `/images/{rest}`.
pub(super) fn route(call: Call, rest: &[&str]) -> Handling {
    match (call.method.as_str(), rest) {
        ("GET", ["json"]) => Box::pin(look::list(call)),
        ("GET", ["search"]) => unserved("searching a registry"),
        ("GET", ["get"]) => Box::pin(archive::get_many(call)),
        ("POST", ["create"]) => Box::pin(archive::import(call)),
        ("POST", ["load"]) => Box::pin(archive::load(call)),
        ("POST", ["prune"]) => Box::pin(change::prune(call)),
        ("GET", [name @ .., "json"]) if !name.is_empty() => Box::pin(look::inspect(call, name.join("/"))),
        ("GET", [name @ .., "history"]) if !name.is_empty() => Box::pin(look::history(call, name.join("/"))),
        ("GET", [name @ .., "get"]) if !name.is_empty() => Box::pin(archive::get_one(call, name.join("/"))),
        ("GET", [name @ .., "attestations"]) if !name.is_empty() => unserved("attestations"),
        ("POST", [name @ .., "tag"]) if !name.is_empty() => Box::pin(change::tag(call, name.join("/"))),
        ("POST", [name @ .., "push"]) if !name.is_empty() => unserved("pushing an image"),
        ("DELETE", name) if !name.is_empty() => Box::pin(change::remove(call, name.join("/"))),
        _ => not_found(),
    }
}
