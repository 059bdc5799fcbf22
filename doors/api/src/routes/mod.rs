//! Which operation is for whom: the path as a slice of its parts, and a table for each noun.
//!
//! A handler parses, makes one engine call and encodes. Parts of a path are decoded; the name of an
//! image may be many of them (`/images/registry/team/app/json`).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use dhow_engine::Engine;
use http::header::SERVER;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use hyper::body::Incoming;

use crate::server::accept::Service;
use crate::server::answer::{Answer, Response};
use crate::server::call::Call;
use crate::server::end::End;
use crate::server::version::ApiVersion;
use crate::server::{manners, problem};

mod containers;
mod disk;
mod exec;
mod images;
mod logs;
pub(crate) mod metrics;
mod networks;
mod swarm;
mod system;
mod volumes;

/// A handler at work.
type Handling = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// The engine's operations as a service.
#[derive(Clone)]
pub(crate) struct Routes(pub(crate) Arc<Engine>);

impl Service for Routes {
    async fn answer(&self, request: Request<Incoming>, end: End) -> Response {
        let mut response = match manners::answer(&request) {
            Some(response) => response,
            None => match Call::new(self.0.clone(), request, end) {
                Ok(call) => told(call).await,
                Err(error) => problem::answer(&error),
            },
        };
        common_headers(response.headers_mut());
        response
    }
}

/// Answers a request and tells the log of it: what was asked for by name, no values. The table of what is tested
/// (docs/coverage.md) is made of that.
async fn told(call: Call) -> Response {
    let (method, path, version) = (call.method.clone(), call.path.clone(), call.version);
    let query = if tracing::enabled!(tracing::Level::DEBUG) { call.query.keys() } else { String::new() };
    let response = route(call).await.unwrap_or_else(|error| problem::answer(&error));
    let status = response.status().as_u16();
    tracing::debug!(method, path, %version, query, status, "request");
    response
}

fn route(call: Call) -> Handling {
    let path = call.path.clone();
    // No operation's path ends with a slash.
    if path.len() > 1 && path.ends_with('/') {
        return not_found();
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        ["containers", rest @ ..] => containers::route(call, rest),
        ["exec", id, verb] => exec::route(call, id, verb),
        ["images", rest @ ..] => images::route(call, rest),
        ["commit"] => Box::pin(images::commit(call)),
        ["volumes", rest @ ..] => volumes::route(call, rest),
        ["networks", rest @ ..] => networks::route(call, rest),
        ["swarm" | "nodes" | "services" | "tasks" | "secrets" | "configs" | "plugins", ..] => {
            Box::pin(std::future::ready(swarm::answer(&call.method, &parts)))
        }
        ["dhow", "containers", id, "logs", "clear"] if call.is("POST") => {
            Box::pin(logs::clear(call, (*id).to_owned()))
        }
        ["dhow", "volumes", name, verb] => volumes::whole(call, (*name).to_owned(), verb),
        ["dhow", "images", rest @ ..] => images::own(call, rest),
        ["dhow", "layers"] if call.is("GET") => Box::pin(images::all_layers(call)),
        ["dhow", "system", "logs"] if call.is("GET") => Box::pin(logs::sizes(call)),
        _ => system::route(call, &parts),
    }
}

/// What no route is for.
fn not_found() -> Handling {
    Box::pin(std::future::ready(Err(problem::page_not_found())))
}

fn common_headers(headers: &mut HeaderMap) {
    let newest = HeaderValue::from_str(&ApiVersion::NEWEST.to_string());
    headers.extend(newest.ok().map(|value| (HeaderName::from_static("api-version"), value)));
    headers.insert("ostype", HeaderValue::from_static("linux"));
    headers.insert("docker-experimental", HeaderValue::from_static("false"));
    headers.insert(SERVER, HeaderValue::from_static(concat!("Dhow/", env!("CARGO_PKG_VERSION"), " (linux)")));
}
