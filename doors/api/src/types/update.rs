//! The body of `POST /containers/{id}/update`.
//!
//! Docker changes limits and the restart policy only, and does not look at what else there is. With us it may also
//! say `PortBindings` (all that is published), or `PublishAdd` and `PublishRemove` (what comes and goes, in the same
//! form), `NetworkAdd` (by name, as `EndpointsConfig`), and `NetworkRemove` (names).

use std::collections::BTreeSet;

use dhow_engine::networks::{Bindings, PortChange, Update};
use dhow_model::container::HostConfig;
use dhow_model::{Error, Result};
use serde_json::{Value, json};

use super::create::{HOST_CONFIG, Members, fill_nulls, read};
use super::create_versions::DISCARDED;
use super::defaults::{first_set, spell};
use super::{network, spelling};
use crate::server::json::{self, Place};
use crate::server::version::ApiVersion;

/// What Go calls the body.
const UPDATE: Place = Place::body("container.UpdateConfig");
/// Fields beyond Docker's.
const OURS: &[&str] = &["PublishAdd", "PublishRemove", "NetworkAdd", "NetworkRemove"];
/// Fields of `HostConfig` that an update changes.
const UPDATED: &[&str] = &[
    "RestartPolicy",
    "CpuShares",
    "Memory",
    "NanoCpus",
    "BlkioWeight",
    "BlkioWeightDevice",
    "BlkioDeviceReadBps",
    "BlkioDeviceWriteBps",
    "BlkioDeviceReadIOps",
    "BlkioDeviceWriteIOps",
    "CpuPeriod",
    "CpuQuota",
    "CpuRealtimePeriod",
    "CpuRealtimeRuntime",
    "CpusetCpus",
    "CpusetMems",
    "MemoryReservation",
    "MemorySwap",
    "PidsLimit",
];

/// Reads it.
///
/// # Errors
/// Invalid argument that names the member.
pub(crate) fn parse(body: Option<Members>, version: ApiVersion) -> Result<Update> {
    let mut members = body.unwrap_or_default();
    spell(&mut members, HOST_CONFIG);
    spell(&mut members, OURS);
    Ok(Update {
        ports: ports(&mut members)?,
        connect: network::endpoints_named(&["NetworkAdd"], members.remove("NetworkAdd").unwrap_or_default())?,
        disconnect: names(members.remove("NetworkRemove").unwrap_or_default())?,
        limits: limits(members, version)?,
    })
}

fn ports(members: &mut Members) -> Result<Option<PortChange>> {
    let (these, add) = (bindings(members, "PortBindings")?, bindings(members, "PublishAdd")?);
    let remove = bindings(members, "PublishRemove")?;
    match (these, add, remove) {
        (None, None, None) => Ok(None),
        (Some(these), None, None) => Ok(Some(PortChange::These(these))),
        (None, add, remove) => {
            Ok(Some(PortChange::Edit { add: add.unwrap_or_default(), remove: remove.unwrap_or_default() }))
        }
        (Some(_), ..) => {
            Err(Error::invalid("PortBindings says all that is published: nothing can be added or removed"))
        }
    }
}

fn bindings(members: &mut Members, name: &str) -> Result<Option<Bindings>> {
    let Some(ports) = members.remove(name).filter(|ports| !ports.is_null()) else { return Ok(None) };
    let mut members: Members = [("PortBindings".to_owned(), ports)].into_iter().collect();
    fill_nulls(&mut members, "PortBindings", &json!([]));
    Ok(Some(read::<HostConfig>(members, UPDATE)?.port_bindings))
}

fn names(names: Value) -> Result<BTreeSet<String>> {
    json::read(Place { path: &["NetworkRemove"], ..UPDATE }, names)
}

fn limits(mut members: Members, version: ApiVersion) -> Result<HostConfig> {
    spelling::nested(&mut members);
    spell(&mut members, DISCARDED);
    let set = |name: &str| members.get(name).and_then(|value| first_set(name, value)).is_some();
    if set("IOMaximumBandwidth") || set("IOMaximumIOps") {
        return Err(Error::invalid(
            "Invalid QoS settings: linux does not support Maximum IO Bandwidth or Maximum IO IOps",
        ));
    }
    members.retain(|name, _| UPDATED.contains(&name.as_str()));
    if version.before(40) {
        members.remove("PidsLimit");
    }
    if version.before(55) {
        members.retain(|name, _| !name.starts_with("BlkioDevice") && name != "BlkioWeightDevice");
    }
    let wanted: HostConfig = read(members, UPDATE)?;
    // No limit has one spelling.
    Ok(HostConfig { pids_limit: wanted.pids_limit.map(|limit| limit.max(0)), ..wanted })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(body: Value) -> Result<Update> {
        let Value::Object(body) = body else { unreachable!("a body is an object") };
        parse(Some(body), ApiVersion::NEWEST)
    }

    #[test]
    fn what_linux_cannot_limit_is_refused() {
        assert!(parsed(json!({"IOMaximumIOps": 0, "ioMaximumBandwidth": null})).is_ok());
        let told = parsed(json!({"iomaximumiops": 1})).unwrap_err().to_string();
        assert!(told.starts_with("Invalid QoS settings"), "{told}");
    }

    #[test]
    fn what_is_not_said_stays() {
        let update = parsed(json!({"Memory": 5, "PortBindings": null, "NetworkAdd": null})).unwrap();
        assert_eq!((update.limits.memory, update.ports), (5, None));
        assert!(update.connect.is_empty() && update.disconnect.is_empty());
    }

    #[test]
    fn ports_and_networks_come_and_go() {
        let update = parsed(json!({
            "PublishAdd": {"80/tcp": [{"HostPort": "8080"}]},
            "publishremove": {"81/tcp": null},
            "NetworkAdd": {"app": {"Aliases": ["db"], "IPAMConfig": {"IPv4Address": "10.1.2.3"}}},
            "NetworkRemove": ["bridge"],
        }))
        .unwrap();
        let Some(PortChange::Edit { add, remove }) = update.ports else { unreachable!("they change") };
        assert_eq!((add["80/tcp"][0].host_port.as_str(), remove["81/tcp"].len()), ("8080", 0));
        assert_eq!(update.connect["app"].aliases.as_deref(), Some(&["db".to_owned()][..]));
        assert!(update.disconnect.contains("bridge"));
    }

    #[test]
    fn contradictions_and_wrong_types_are_refused() {
        for body in [
            json!({"PortBindings": {}, "PublishAdd": {}}),
            json!({"NetworkRemove": "bridge"}),
            json!({"NetworkRemove": [5]}),
            json!({"PublishRemove": ["80"]}),
            json!({"NetworkAdd": {"app": {"Aliases": 5}}}),
        ] {
            assert!(parsed(body.clone()).is_err(), "{body}");
        }
    }
}
