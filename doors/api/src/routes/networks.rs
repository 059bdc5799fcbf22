//! `/networks/…`.

use dhow_model::Error;
use http::StatusCode;
use serde_json::json;

use super::{Handling, not_found};
use crate::server::answer::{self, Answer};
use crate::server::call::Call;
use crate::types::container_filter::truth;
use crate::types::network::{ConnectBody, DisconnectBody, Filter, Shown, create_request};
use crate::types::prune::PruneFilter;

/// The handler of `/networks/{rest}`.
pub(super) fn route(call: Call, rest: &[&str]) -> Handling {
    match (call.method.as_str(), rest) {
        ("GET", []) => Box::pin(list(call)),
        ("POST", ["create"]) => Box::pin(create(call)),
        ("POST", ["prune"]) => Box::pin(prune(call)),
        // A name may have slashes in it.
        ("GET", name) => Box::pin(inspect(call, name.join("/"))),
        ("DELETE", name @ [_, ..]) => Box::pin(remove(call, name.join("/"))),
        ("POST", [name @ .., "connect"]) if !name.is_empty() => Box::pin(connect(call, name.join("/"))),
        ("POST", [name @ .., "disconnect"]) if !name.is_empty() => Box::pin(disconnect(call, name.join("/"))),
        _ => not_found(),
    }
}

async fn list(call: Call) -> Answer {
    let filter = Filter::new(call.filters(Filter::KEYS)?)?;
    let engine = &call.engine;
    let networks = engine.networks();
    let shown =
        networks.iter().filter(|network| filter.shows(network, || engine.network_has_containers(network)));
    Ok(answer::ok(&shown.map(|network| Shown::new(network, Vec::new())).collect::<Vec<_>>()))
}

async fn create(mut call: Call) -> Answer {
    let body = call.json("network.CreateRequest").await?.unwrap_or_default();
    let request = create_request(body)?;
    let network = call.run(move |engine| engine.create_network(request)).await?;
    Ok(answer::created(&json!({"Id": network.id, "Warning": ""})))
}

async fn inspect(call: Call, name: String) -> Answer {
    if let Some(verbose) = call.query.given("verbose").filter(|text| !text.is_empty()) {
        // What more is told is of swarms; what it says has to be said well all the same.
        truth("verbose", verbose)
            .map_err(|_| Error::invalid(format!("invalid value for verbose: {verbose}")))?;
    }
    let network = call.engine.network(&name)?;
    let members = call.engine.network_members(&network);
    Ok(answer::ok(&Shown::new(&network, members)))
}

async fn remove(call: Call, name: String) -> Answer {
    call.run(move |engine| engine.remove_network(&name)).await?;
    Ok(answer::no_content())
}

async fn prune(call: Call) -> Answer {
    let filter = PruneFilter::new(call.filters(&["until", "label", "label!"])?)?;
    let pruned = call
        .run(move |engine| engine.prune_networks(|network| filter.lets(network.created, &network.labels)))
        .await?;
    Ok(answer::ok(&json!({"NetworksDeleted": Some(pruned).filter(|names| !names.is_empty())})))
}

async fn connect(mut call: Call, network: String) -> Answer {
    let body: ConnectBody = call.json("network.ConnectRequest").await?.unwrap_or_default();
    let container = body.container.clone();
    let settings = body.settings()?;
    call.run(move |engine| engine.connect_network(&network, &container, settings)).await?;
    Ok(answer::empty(StatusCode::OK))
}

async fn disconnect(mut call: Call, network: String) -> Answer {
    let body: Option<DisconnectBody> = call.json("network.DisconnectRequest").await?;
    let DisconnectBody { container, force } = body.unwrap_or_default();
    call.run(move |engine| engine.disconnect_network(&network, &container, force)).await?;
    Ok(answer::empty(StatusCode::OK))
}
