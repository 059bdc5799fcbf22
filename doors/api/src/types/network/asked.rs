//! Bodies that ask for networks.

use std::collections::BTreeMap;
use std::net::IpAddr;

use dhow_engine::networks::NetworkRequest;
use dhow_model::network::{EndpointSettings, Pool, Prefix};
use dhow_model::{Error, Result};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::types::defaults::drop_nulls;

/// Members that say what a running container has: clients send back what they were shown.
const SHOWN_ONLY: [&str; 10] = [
    "NetworkID",
    "EndpointID",
    "Gateway",
    "IPAddress",
    "IPPrefixLen",
    "IPv6Gateway",
    "GlobalIPv6Address",
    "GlobalIPv6PrefixLen",
    "DNSNames",
    "Networks",
];

/// The body of `POST /networks/create`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct CreateBody {
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
#[serde(rename_all = "PascalCase", default)]
struct Ipam {
    driver: String,
    config: Vec<IpamConfig>,
    options: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct IpamConfig {
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
        settings("EndpointConfig", self.endpoint_config)
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
pub(crate) fn create_request(mut body: Map<String, Value>) -> Result<NetworkRequest> {
    drop_nulls(&mut body);
    let body: CreateBody = read("network", Value::Object(body))?;
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

fn said(config: &IpamConfig) -> bool {
    !(config.subnet.is_empty() && config.range.is_empty() && config.gateway.is_empty())
}

fn pool(config: IpamConfig) -> Result<Pool> {
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

/// Reads `NetworkingConfig` of a container that is to be made.
///
/// # Errors
/// Invalid argument that names the member.
pub(crate) fn endpoints_asked(networking: Value) -> Result<BTreeMap<String, EndpointSettings>> {
    let Value::Object(mut networking) = networking else { return Ok(BTreeMap::new()) };
    endpoints_named(
        "NetworkingConfig.EndpointsConfig",
        networking.remove("EndpointsConfig").unwrap_or_default(),
    )
}

/// Reads networks by their names, each with what a container asks for there.
///
/// # Errors
/// Invalid argument that names the member below `place`.
pub(crate) fn endpoints_named(place: &str, asked: Value) -> Result<BTreeMap<String, EndpointSettings>> {
    let endpoints = object(place, asked)?;
    let one = |(name, value): (String, Value)| {
        let members = object(&format!("{place}.{name}"), value)?;
        Ok((name.clone(), settings(&format!("{place}.{name}"), members)?))
    };
    endpoints.into_iter().map(one).collect()
}

fn object(place: &str, value: Value) -> Result<Map<String, Value>> {
    match value {
        Value::Object(members) => Ok(members),
        Value::Null => Ok(Map::new()),
        _ => Err(Error::invalid(format!("invalid JSON: {place} is no object"))),
    }
}

fn settings(name: &str, mut members: Map<String, Value>) -> Result<EndpointSettings> {
    drop_nulls(&mut members);
    SHOWN_ONLY.iter().for_each(|shown| drop(members.remove(*shown)));
    read(name, Value::Object(members))
}

/// Reads a member of a body.
///
/// # Errors
/// Invalid argument that names it.
pub(crate) fn read<T: serde::de::DeserializeOwned>(name: &str, value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|error| Error::invalid(format!("invalid JSON: {name}: {error}")))
}
