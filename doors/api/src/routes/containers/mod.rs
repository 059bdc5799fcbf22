//! `/containers/…`: the table; handlers by what they do.

use crate::server::call::Call;

use super::system::unserved;
use super::{Handling, exec, not_found};

mod files;
mod life;
mod look;
mod stats;
pub(super) mod streams;

/// The handler of `/containers/{rest}`.
pub(super) fn route(call: Call, rest: &[&str]) -> Handling {
    match *rest {
        ["json"] if call.is("GET") => Box::pin(look::list(call)),
        ["create"] if call.is("POST") => Box::pin(life::create(call)),
        ["prune"] if call.is("POST") => Box::pin(life::prune(call)),
        // A link is known by two names.
        [_] | [_, _] if call.is("DELETE") => {
            let name = rest.join("/");
            Box::pin(life::remove(call, name))
        }
        [ref id @ .., "attach", "ws"] if call.is("GET") && is_name(id) => {
            let id = id.join("/");
            Box::pin(streams::attach_websocket(call, id))
        }
        [_, "checkpoints", ..] => unserved("checkpointing"),
        [ref id @ .., verb] if is_name(id) => one(call, id.join("/"), verb),
        _ => not_found(),
    }
}

/// One that another is linked to is also meant by the other's name and the alias.
const fn is_name(parts: &[&str]) -> bool {
    matches!(parts, [_] | [_, _])
}

fn one(call: Call, id: String, verb: &str) -> Handling {
    match (call.method.as_str(), verb) {
        ("POST", "start") => Box::pin(life::start(call, id)),
        ("POST", "stop") => Box::pin(life::stop(call, id)),
        ("POST", "restart") => Box::pin(life::restart(call, id)),
        ("POST", "kill") => Box::pin(life::kill(call, id)),
        ("POST", "pause") => Box::pin(life::pause(call, id)),
        ("POST", "unpause") => Box::pin(life::unpause(call, id)),
        ("POST", "wait") => Box::pin(life::wait(call, id)),
        ("POST", "rename") => Box::pin(life::rename(call, id)),
        ("POST", "update") => Box::pin(life::update(call, id)),
        ("GET", "json") => Box::pin(look::inspect(call, id)),
        ("GET", "top") => Box::pin(look::top(call, id)),
        ("GET", "changes") => Box::pin(look::changes(call, id)),
        ("GET", "stats") => Box::pin(stats::stats(call, id)),
        ("GET", "export") => Box::pin(files::export(call, id)),
        ("HEAD", "archive") => Box::pin(files::stat(call, id)),
        ("GET", "archive") => Box::pin(files::read(call, id)),
        ("PUT", "archive") => Box::pin(files::write(call, id)),
        ("POST", "attach") => Box::pin(streams::attach(call, id)),
        ("POST", "resize") => Box::pin(streams::resize(call, id)),
        ("GET", "logs") => Box::pin(streams::logs(call, id)),
        ("POST", "exec") => Box::pin(exec::create(call, id)),
        _ => not_found(),
    }
}
