//! What older clients mean by the settings of a container: fields that came later are not theirs, and
//! defaults that changed are the old ones.

use dhow_model::{Error, Result};
use serde_json::{Map, Value, json};

use super::defaults::first_set;
use crate::server::version::ApiVersion;

type Members = Map<String, Value>;

/// Which options belong to which type of mount.
const OPTIONS: [(&str, &str); 3] =
    [("VolumeOptions", "volume"), ("BindOptions", "bind"), ("TmpfsOptions", "tmpfs")];

/// Fields that [`discard`] takes away.
pub(crate) const DISCARDED: &[&str] =
    &["CpuPercent", "IOMaximumBandwidth", "IOMaximumIOps", "KernelMemory", "KernelMemoryTCP"];

/// Adjusts `HostConfig` to what a client of that version can mean.
///
/// # Errors
/// Invalid argument for what a newer version is needed for, in Docker's words.
pub(crate) fn adjust(host_config: &mut Members, version: ApiVersion) -> Result<()> {
    if version.before(43) {
        host_config.remove("Annotations");
    }
    if version.before(42) {
        host_config.remove("ConsoleSize");
    }
    if version.before(40) && text(host_config, "IpcMode").is_empty() {
        host_config.insert("IpcMode".into(), json!("shareable"));
    }
    let mounts = host_config.get_mut("Mounts").and_then(Value::as_array_mut);
    for mount in mounts.into_iter().flatten().filter_map(Value::as_object_mut) {
        mount_options(mount, version)?;
        newer_options(mount, version)?;
    }
    Ok(())
}

/// Before 1.44 a container came into one network, and into others later.
///
/// # Errors
/// Invalid argument, in Docker's words.
pub(crate) fn one_network<'a>(names: impl Iterator<Item = &'a String>, version: ApiVersion) -> Result<()> {
    let names: Vec<&str> = names.map(String::as_str).collect();
    if names.len() < 2 || !version.before(44) {
        return Ok(());
    }
    let words = format!("Container cannot be created with multiple network endpoints: {}", names.join(", "));
    Err(Error::invalid(words))
}

/// Limits that no kernel has any more, and those of Windows: what Docker discards is discarded, and told to who may have
/// counted on it.
///
/// # Errors
/// Invalid argument, in Docker's words, for what it refuses.
pub(crate) fn discard(host_config: &mut Members, version: ApiVersion) -> Result<Vec<String>> {
    let mut set =
        |name: &str| host_config.remove(name).is_some_and(|value| first_set(name, &value).is_some());
    let mut warnings = Vec::new();
    for (name, what, until) in
        [("KernelMemory", "kernel memory", 42), ("KernelMemoryTCP", "kernel memory TCP", 52)]
    {
        // Newer clients do not have it.
        if set(name) && version.before(until) {
            warnings.push(format!(
                "Your kernel does not support {what} limit capabilities or the cgroup is not mounted. Limitation discarded."
            ));
        }
    }
    if set("CpuPercent") {
        warnings.push("linux does not support CPU percent. Percent discarded.".to_owned());
    }
    // Both are looked at, for both are to go.
    let (bandwidth, operations) = (set("IOMaximumBandwidth"), set("IOMaximumIOps"));
    for (is_set, what) in [(bandwidth, "bandwidth"), (operations, "IOPs")] {
        if is_set {
            let words = format!("invalid option: QoS maximum {what} configuration is not supported on linux");
            return Err(Error::invalid(words));
        }
    }
    Ok(warnings)
}

/// Options of another type are refused since 1.42; before, they said nothing.
fn mount_options(mount: &mut Members, version: ApiVersion) -> Result<()> {
    let kind = text(mount, "Type").to_owned();
    for (options, of) in OPTIONS.into_iter().filter(|(_, of)| *of != kind) {
        if mount.get(options).is_none_or(Value::is_null) {
            continue;
        }
        if !version.before(42) {
            return Err(Error::invalid(format!("{options} must not be specified on mount type {kind:?}")));
        }
        // What is none of its own is refused later.
        if of != "bind" {
            mount.remove(options);
        }
    }
    Ok(())
}

fn newer_options(mount: &mut Members, version: ApiVersion) -> Result<()> {
    if version.before(48) && text(mount, "Type") == "image" {
        return Err(Error::invalid("Mount type \"Image\" needs API v1.48 or newer"));
    }
    let subpath =
        mount.get("VolumeOptions").and_then(Value::as_object).map(|options| text(options, "Subpath"));
    if version.before(45) && subpath.is_some_and(|path| !path.is_empty()) {
        return Err(Error::invalid("VolumeOptions.Subpath needs API v1.45 or newer"));
    }
    let Some(bind) = mount.get_mut("BindOptions").and_then(Value::as_object_mut) else { return Ok(()) };
    if version.before(44) && bind.get("ReadOnlyForceRecursive") == Some(&Value::Bool(true)) {
        return Err(Error::invalid("BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer"));
    }
    if version.before(42) {
        bind.remove("CreateMountpoint");
    }
    if version.before(40) {
        bind.remove("NonRecursive");
    }
    Ok(())
}

fn text<'a>(members: &'a Members, name: &str) -> &'a str {
    members.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adjusted(mut value: Value, minor: u16) -> Result<Value> {
        adjust(value.as_object_mut().unwrap(), ApiVersion::of(minor)).map(|()| value)
    }

    #[test]
    fn limits_that_cannot_be_had_are_discarded_and_told() {
        for (given, minor, told) in [
            (json!({"KernelMemory": 5}), 41, 1),
            (json!({"KernelMemory": 5}), 42, 0),
            (json!({"KernelMemoryTCP": 5, "KernelMemory": 0}), 51, 1),
            (json!({"KernelMemoryTCP": 5}), 52, 0),
            (json!({"CpuPercent": 5, "IOMaximumIOps": 0, "IOMaximumBandwidth": null}), 50, 1),
            (json!({"Memory": 5}), 41, 0),
        ] {
            let mut members = given.as_object().unwrap().clone();
            assert_eq!(discard(&mut members, ApiVersion::of(minor)).unwrap().len(), told, "{given}");
            assert_eq!(members.len(), usize::from(given.get("Memory").is_some()));
        }
        let mut members = json!({"IOMaximumBandwidth": 1}).as_object().unwrap().clone();
        assert!(discard(&mut members, ApiVersion::of(50)).is_err());
    }

    #[test]
    fn older_clients_mean_less() {
        let bind = |options: Value| json!({"Mounts": [{"Type": "bind", "BindOptions": options}]});
        let volume = json!({"Mounts": [{"Type": "bind", "VolumeOptions": {"NoCopy": true}}]});
        let subpath = json!({"Mounts": [{"Type": "volume", "VolumeOptions": {"Subpath": "a"}}]});
        for (given, minor, meant) in [
            (json!({"Annotations": {"a": "b"}}), 42, json!({})),
            (json!({"ConsoleSize": [1, 2]}), 41, json!({})),
            (json!({"ConsoleSize": [1, 2]}), 42, json!({"ConsoleSize": [1, 2]})),
            (json!({}), 39, json!({"IpcMode": "shareable"})),
            (json!({"IpcMode": "private"}), 39, json!({"IpcMode": "private"})),
            (bind(json!({"CreateMountpoint": true})), 41, bind(json!({}))),
            (bind(json!({"CreateMountpoint": true})), 42, bind(json!({"CreateMountpoint": true}))),
            (volume.clone(), 41, json!({"Mounts": [{"Type": "bind"}]})),
            (subpath.clone(), 45, subpath.clone()),
        ] {
            assert_eq!(adjusted(given, minor).unwrap(), meant);
        }
        for (given, minor, words) in [
            (volume, 42, "VolumeOptions must not be specified on mount type \"bind\""),
            (subpath, 44, "VolumeOptions.Subpath needs API v1.45 or newer"),
            (json!({"Mounts": [{"Type": "image"}]}), 47, "Mount type \"Image\" needs API v1.48 or newer"),
            (
                bind(json!({"ReadOnlyForceRecursive": true})),
                43,
                "BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer",
            ),
        ] {
            assert_eq!(adjusted(given, minor).unwrap_err().to_string(), words);
        }
    }
}
