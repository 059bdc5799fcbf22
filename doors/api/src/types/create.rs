//! The body of `POST /containers/create`: `Config` with `HostConfig` and `NetworkingConfig` inside.
//!
//! A field that Docker knows and that is not served is refused by name when it says anything. A field
//! that Docker does not know either is ignored, as Docker does.

use std::collections::BTreeMap;

use dhow_model::container::{Config, HostConfig};
use dhow_model::network::EndpointSettings;
use dhow_model::{Error, Result};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::defaults::{drop_nulls, first_set, spell};
use super::{create_mac, create_versions, network, spelling};
use crate::server::json::{self, Place};
use crate::server::version::ApiVersion;

pub(super) type Members = Map<String, Value>;

/// Fields of Docker's `Config` that are read.
const CONFIG: &[&str] = &[
    "Hostname",
    "Domainname",
    "User",
    "AttachStdin",
    "AttachStdout",
    "AttachStderr",
    "ExposedPorts",
    "Tty",
    "OpenStdin",
    "StdinOnce",
    "Env",
    "Cmd",
    "Healthcheck",
    "HealthcheckOnFailureAction",
    "ArgsEscaped",
    "Image",
    "Volumes",
    "WorkingDir",
    "Entrypoint",
    "NetworkDisabled",
    "OnBuild",
    "Labels",
    "StopSignal",
    "StopTimeout",
    "Shell",
    "HostConfig",
    "NetworkingConfig",
];
/// Fields of Docker's `HostConfig` that are read.
pub(super) const HOST_CONFIG: &[&str] = &[
    "Binds",
    "ContainerIDFile",
    "LogConfig",
    "NetworkMode",
    "PortBindings",
    "RestartPolicy",
    "AutoRemove",
    "VolumeDriver",
    "VolumesFrom",
    "ConsoleSize",
    "Annotations",
    "CapAdd",
    "CapDrop",
    "CgroupnsMode",
    "Dns",
    "DnsOptions",
    "DnsSearch",
    "ExtraHosts",
    "GroupAdd",
    "IpcMode",
    "Cgroup",
    "Links",
    "OomScoreAdj",
    "PidMode",
    "Privileged",
    "PublishAllPorts",
    "ReadonlyRootfs",
    "SecurityOpt",
    "StorageOpt",
    "Tmpfs",
    "UTSMode",
    "UsernsMode",
    "ShmSize",
    "Sysctls",
    "Runtime",
    "Isolation",
    "CpuShares",
    "Memory",
    "NanoCpus",
    "CpuCount",
    "CgroupParent",
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
    "Devices",
    "DeviceCgroupRules",
    "DeviceRequests",
    "MemoryReservation",
    "MemorySwap",
    "MemorySwappiness",
    "OomKillDisable",
    "PidsLimit",
    "Ulimits",
    "Mounts",
    "MaskedPaths",
    "ReadonlyPaths",
    "Init",
];
/// What Go calls it.
const HOST: Place = Place { structure: "container.HostConfig", path: &["HostConfig"] };
/// Members of a mount that are not served.
const MOUNT_UNSERVED: &[&str] = &["ClusterOptions"];

/// Members of the options of a bind that are not served.
const BIND_UNSERVED: &[&str] = &["IDMapping"];

/// What a body says.
#[derive(Debug)]
pub(crate) struct Parsed {
    /// What runs.
    pub(crate) config: Config,
    /// Limits, mounts, privileges.
    pub(crate) host_config: HostConfig,
    /// What is asked for in each network, by its name.
    pub(crate) networks: BTreeMap<String, EndpointSettings>,
    /// What the user should know.
    pub(crate) warnings: Vec<String>,
}

/// Reads the body.
///
/// # Errors
/// Invalid argument that names the field.
pub(crate) fn parse(body: Option<Members>, version: ApiVersion) -> Result<Parsed> {
    let mut members = body.unwrap_or_default();
    spell(&mut members, CONFIG);
    spell(&mut members, &[create_mac::FIELD]);
    let host_config = members.remove("HostConfig");
    let networking = members.remove("NetworkingConfig").unwrap_or_default();
    if members.is_empty() {
        return Err(Error::invalid("config cannot be empty in order to create a container"));
    }
    let mut networks = network::endpoints_asked(networking)?;
    create_versions::one_network(networks.keys(), version)?;
    let mut warnings = Vec::new();
    let host_config = parse_host_config(host_config, version, &mut warnings)?;
    warnings.extend(create_mac::settle(&mut members, &host_config.network_mode, &mut networks, version)?);
    Ok(Parsed { config: config(members, "container.CreateRequest")?, host_config, networks, warnings })
}

/// Reads settings of a container alone, as `commit` sends them.
///
/// # Errors
/// As [`parse`].
pub(crate) fn config(mut members: Members, structure: &'static str) -> Result<Config> {
    spell(&mut members, CONFIG);
    for name in ["Cmd", "Entrypoint", "Shell"] {
        text_is_a_list(&mut members, name);
    }
    fill_nulls(&mut members, "Labels", &json!(""));
    fill_nulls(&mut members, "ExposedPorts", &json!({}));
    fill_nulls(&mut members, "Volumes", &json!({}));
    read(members, Place::body(structure))
}

fn parse_host_config(
    value: Option<Value>,
    version: ApiVersion,
    warnings: &mut Vec<String>,
) -> Result<HostConfig> {
    let mut members = match value {
        None | Some(Value::Null) => Members::new(),
        Some(Value::Object(members)) => members,
        Some(other) => return json::read(HOST, other),
    };
    spell(&mut members, HOST_CONFIG);
    spell(&mut members, create_versions::DISCARDED);
    spelling::nested(&mut members);
    create_versions::adjust(&mut members, version)?;
    warnings.extend(create_versions::discard(&mut members, version)?);
    for mount in members.get("Mounts").and_then(Value::as_array).into_iter().flatten() {
        let Some(mount) = mount.as_object() else { continue };
        refuse("HostConfig.Mounts.", mount, MOUNT_UNSERVED)?;
        if let Some(options) = mount.get("BindOptions").and_then(Value::as_object) {
            refuse("HostConfig.Mounts.BindOptions.", options, BIND_UNSERVED)?;
        }
    }
    fill_nulls(&mut members, "PortBindings", &json!([]));
    read(members, HOST)
}

fn refuse(parent: &str, members: &Members, unserved_names: &[&str]) -> Result<()> {
    let set = |name: &&str| members.get(*name).and_then(|value| first_set(&format!("{parent}{name}"), value));
    match unserved_names.iter().find_map(set) {
        Some(path) => Err(unserved(&path)),
        None => Ok(()),
    }
}

fn unserved(path: &str) -> Error {
    Error::invalid(format!("{path} is not supported yet"))
}

/// `"Cmd": "sh"` means `["sh"]`.
fn text_is_a_list(members: &mut Members, name: &str) {
    if let Some(value @ Value::String(_)) = members.get_mut(name) {
        *value = json!([value.take()]);
    }
}

/// In a map, null is the zero of the values' type, and the key stays.
pub(super) fn fill_nulls(members: &mut Members, name: &str, zero: &Value) {
    let values = members.get_mut(name).and_then(Value::as_object_mut);
    for value in values.into_iter().flat_map(Map::values_mut).filter(|value| value.is_null()) {
        *value = zero.clone();
    }
}

pub(super) fn read<T: DeserializeOwned>(mut members: Members, place: Place) -> Result<T> {
    drop_nulls(&mut members);
    json::read(place, Value::Object(members))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(body: &Value, minor: u16) -> Result<Parsed> {
        parse(body.as_object().cloned(), ApiVersion::of(minor))
    }

    /// Asks a type for the names of its fields, as serde knows them.
    struct Names<'a>(&'a mut Vec<&'static str>);

    impl<'de> serde::Deserializer<'de> for Names<'_> {
        type Error = serde::de::value::Error;

        fn deserialize_any<V: serde::de::Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
            Err(serde::de::Error::custom("only a structure has fields"))
        }

        fn deserialize_struct<V: serde::de::Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            visitor: V,
        ) -> Result<V::Value, Self::Error> {
            self.0.extend(fields);
            self.deserialize_any(visitor)
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    fn fields_of<'de, T: serde::Deserialize<'de>>() -> Vec<&'static str> {
        let mut names = Vec::new();
        drop(T::deserialize(Names(&mut names)));
        names.sort_unstable();
        names
    }

    /// `fields.json` is tried, each field of it, by `dhow-conformance`.
    #[test]
    fn no_field_is_forgotten() {
        let listed: Value =
            serde_json::from_str(include_str!("../../../../tests/conformance/fields.json")).unwrap();
        let sorted = |names: &mut Vec<&'static str>| {
            names.sort_unstable();
            names.clone()
        };
        let bodies = ["HostConfig", "NetworkingConfig"];
        let mut config: Vec<&str> = CONFIG.iter().copied().filter(|name| !bodies.contains(name)).collect();
        let mut host_config = HOST_CONFIG.to_vec();
        assert_eq!(fields_of::<Config>(), sorted(&mut config));
        assert_eq!(fields_of::<HostConfig>(), sorted(&mut host_config));
        for (parent, names) in [("Config", config), ("HostConfig", host_config)] {
            let others: &[&str] =
                if parent == "Config" { &[create_mac::FIELD] } else { create_versions::DISCARDED };
            let mut names = [names.as_slice(), others].concat();
            // For older clients only, tried elsewhere; and what every body has.
            names.retain(|name| !["KernelMemory", "KernelMemoryTCP", "Image"].contains(name));
            let tried: Vec<&str> = listed[parent].as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(sorted(&mut names), tried, "{parent}");
        }
    }

    #[test]
    fn what_clients_send_is_read() {
        let body = json!({
            "image": "busybox", "Cmd": "sh", "Env": null, "Labels": {"a": null}, "Volumes": {"/v": null},
            "HostConfig": {"Binds": null, "Memory": 5, "PortBindings": {"80/tcp": null}, "CpuCount": 0},
            "NetworkingConfig": {"EndpointsConfig": {"default": {"Aliases": null, "GwPriority": 0}}},
            "NobodyKnows": 7,
        });
        let Parsed { config, host_config, networks, .. } = parsed(&body, 50).unwrap();
        assert_eq!((config.image.as_str(), config.cmd), ("busybox", Some(vec!["sh".to_owned()])));
        assert_eq!(config.labels["a"], "");
        assert!(config.volumes.unwrap().contains_key("/v"));
        assert_eq!((host_config.memory, host_config.port_bindings.len()), (5, 1));
        assert_eq!(networks["default"], EndpointSettings::default());
    }

    #[test]
    fn what_is_set_and_not_served_is_refused_by_name() {
        for (body, words) in [
            (
                json!({"Image": "a", "HostConfig": {"Mounts": [{"type": "bind", "bindOptions": {"IDMapping": {"x": 1}}}]}}),
                "HostConfig.Mounts.BindOptions.IDMapping.x is not supported yet",
            ),
            (json!({}), "config cannot be empty in order to create a container"),
        ] {
            assert_eq!(parsed(&body, 50).unwrap_err().to_string(), words);
        }
        let mac = json!({"Image": "a", "macAddress": "02:42:ac:11:00:02"});
        assert_eq!(parsed(&mac, 50).unwrap().networks["default"].mac_address, "02:42:ac:11:00:02");
        let two = json!({"Image": "a", "NetworkingConfig": {"EndpointsConfig": {"b": {}, "a": {}}}});
        assert_eq!(
            parsed(&two, 43).unwrap_err().to_string(),
            "Container cannot be created with multiple network endpoints: a, b"
        );
        assert_eq!(parsed(&two, 44).unwrap().networks.len(), 2);
    }
}
