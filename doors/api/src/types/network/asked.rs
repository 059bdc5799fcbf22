//! Bodies that ask for networks.

use std::collections::BTreeMap;
use std::net::IpAddr;

use dhow_engine::networks::NetworkRequest;
use dhow_model::network::{EndpointSettings, Pool, Prefix};
use dhow_model::{Error, Result};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::server::json::{self, Place};

/// The body of `POST /networks/create`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct CreateBody {
    name: String,
    driver: String,
    scope: String,
    internal: bool,
    attachable: bool,
    ingress: bool,
    config_only: bool,
    #[serde(rename = "EnableIPv4")]
    ipv4: Option<bool>,
    #[serde(rename = "EnableIPv6")]
    ipv6: Option<bool>,
    #[serde(rename = "IPAM")]
    ipam: Ipam,
    config_from: ConfigFrom,
    options: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ConfigFrom {
    network: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename = "IPAM", rename_all = "PascalCase", default)]
struct Ipam {
    driver: String,
    config: Vec<IPAMConfig>,
    options: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct IPAMConfig {
    subnet: String,
    #[serde(rename = "IPRange")]
    range: String,
    gateway: String,
    #[serde(alias = "AuxAddress")]
    auxiliary_addresses: BTreeMap<String, String>,
}

/// The body of `POST /networks/{id}/connect`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ConnectBody {
    pub(crate) container: String,
    endpoint_config: Map<String, Value>,
}

impl ConnectBody {
    /// What is asked for.
    ///
    /// # Errors
    /// Invalid argument that names the member.
    pub(crate) fn settings(self) -> Result<EndpointSettings> {
        settings(&["EndpointConfig"], Value::Object(self.endpoint_config))
    }
}

/// The body of `POST /networks/{id}/disconnect`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct DisconnectBody {
    pub(crate) container: String,
    pub(crate) force: bool,
}

/// Reads a network that is to be made.
///
/// # Errors
/// Invalid argument that names what is wrong or not served.
pub(crate) fn create_request(body: CreateBody) -> Result<NetworkRequest> {
    let unserved = [("Ingress", body.ingress), ("Scope", !matches!(body.scope.as_str(), "" | "local"))];
    if let Some((name, _)) = unserved.iter().find(|(_, set)| *set) {
        return Err(Error::invalid(format!("{name} is not supported yet")));
    }
    Ok(NetworkRequest {
        name: body.name,
        driver: body.driver,
        internal: body.internal,
        attachable: body.attachable,
        ipv4: body.ipv4,
        ipv6: body.ipv6,
        ipam_driver: body.ipam.driver,
        pools: body.ipam.config.into_iter().filter(said).map(pool).collect::<Result<_>>()?,
        ipam_options: body.ipam.options,
        options: body.options,
        labels: body.labels,
        config_only: body.config_only,
        config_from: body.config_from.network,
    })
}

fn said(config: &IPAMConfig) -> bool {
    !(config.subnet.is_empty() && config.range.is_empty() && config.gateway.is_empty())
}

fn pool(config: IPAMConfig) -> Result<Pool> {
    let prefix = |text: &str| text.parse::<Prefix>().map_err(|error| Error::invalid(error.to_string()));
    let given = |text: &str| -> Result<Option<IpAddr>> {
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| Error::invalid(format!("invalid address: {text}")))
    };
    if config.subnet.is_empty() {
        return Err(Error::invalid("user specified IP address or range needs a user configured subnet"));
    }
    let reserved = config.auxiliary_addresses.iter();
    let reserved =
        reserved.filter_map(|(name, text)| Some(given(text).transpose()?.map(|a| (name.clone(), a))));
    Ok(Pool {
        subnet: prefix(&config.subnet)?,
        range: if config.range.is_empty() { None } else { Some(prefix(&config.range)?) },
        gateway: given(&config.gateway)?,
        reserved: reserved.collect::<Result<_>>()?,
    })
}

/// What a container that is to be made asks of networks.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NetworkingConfig {
    endpoints_config: Map<String, Value>,
}

/// Reads `NetworkingConfig` of a container that is to be made.
///
/// # Errors
/// Invalid argument that names the member.
pub(crate) fn endpoints_asked(networking: Value) -> Result<BTreeMap<String, EndpointSettings>> {
    let place = Place { structure: "network.NetworkingConfig", path: &["NetworkingConfig"] };
    let networking: NetworkingConfig = json::read(place, networking)?;
    endpoints_named(&["NetworkingConfig", "EndpointsConfig"], Value::Object(networking.endpoints_config))
}

/// Reads networks by their names, each with what a container asks for there.
///
/// # Errors
/// Invalid argument that names the member below `path`.
pub(crate) fn endpoints_named(
    path: &'static [&'static str],
    asked: Value,
) -> Result<BTreeMap<String, EndpointSettings>> {
    let endpoints: Map<String, Value> =
        json::read(Place { structure: "network.NetworkingConfig", path }, asked)?;
    endpoints.into_iter().map(|(name, value)| Ok((name, settings(path, value)?))).collect()
}

/// What a running container has is passed over: clients send back what they were shown.
fn settings(path: &'static [&'static str], value: Value) -> Result<EndpointSettings> {
    json::read(Place { structure: "network.EndpointSettings", path }, value)
}
