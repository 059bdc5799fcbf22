//! The members of a container's settings in their canonical spelling: Go's decoder, which clients were
//! written against, does not mind upper and lower case at any depth.

use serde_json::{Map, Value};

use super::defaults::spell;

type Names = &'static [&'static str];

/// Members of `HostConfig` that have members of their own, alone or in a list.
const NESTED: &[(&str, Names)] = &[
    ("LogConfig", &["Type", "Config"]),
    ("RestartPolicy", &["Name", "MaximumRetryCount"]),
    ("Devices", &["PathOnHost", "PathInContainer", "CgroupPermissions"]),
    ("DeviceRequests", &["Driver", "Count", "DeviceIDs", "Capabilities", "Options"]),
    ("Ulimits", &["Name", "Hard", "Soft"]),
    ("BlkioWeightDevice", &["Path", "Weight"]),
    ("BlkioDeviceReadBps", THROTTLE),
    ("BlkioDeviceWriteBps", THROTTLE),
    ("BlkioDeviceReadIOps", THROTTLE),
    ("BlkioDeviceWriteIOps", THROTTLE),
    ("Mounts", MOUNT),
];
const THROTTLE: Names = &["Path", "Rate"];
const MOUNT: Names = &[
    "Type",
    "Source",
    "Target",
    "ReadOnly",
    "Consistency",
    "BindOptions",
    "VolumeOptions",
    "ImageOptions",
    "TmpfsOptions",
    "ClusterOptions",
];
/// Members of a mount that have members of their own.
const MOUNT_NESTED: &[(&str, Names)] = &[
    (
        "BindOptions",
        &[
            "Propagation",
            "NonRecursive",
            "CreateMountpoint",
            "ReadOnlyNonRecursive",
            "IdMap",
            "ReadOnlyForceRecursive",
            "IDMapping",
        ],
    ),
    ("VolumeOptions", &["NoCopy", "Labels", "DriverConfig", "Subpath"]),
    ("ImageOptions", &["Subpath"]),
    ("TmpfsOptions", &["SizeBytes", "Mode", "Options"]),
];

/// Spells what is below the members of `HostConfig`.
pub(crate) fn nested(host_config: &mut Map<String, Value>) {
    spell_below(host_config, NESTED);
    for mount in host_config.get_mut("Mounts").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(mount) = mount.as_object_mut() else { continue };
        spell_below(mount, MOUNT_NESTED);
        if let Some(options) = mount.get_mut("VolumeOptions").and_then(Value::as_object_mut) {
            spell_below(options, &[("DriverConfig", &["Name", "Options"])]);
        }
    }
}

fn spell_below(members: &mut Map<String, Value>, table: &[(&str, Names)]) {
    for (name, names) in table {
        match members.get_mut(*name) {
            Some(Value::Object(below)) => spell(below, names),
            Some(Value::Array(items)) => {
                items.iter_mut().filter_map(Value::as_object_mut).for_each(|item| spell(item, names));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_depth_is_spelt_and_maps_of_users_are_left_alone() {
        let mut value = json!({
            "LogConfig": {"type": "json-file", "config": {"max-size": "1m"}},
            "Mounts": [{"type": "volume", "volumeoptions": {"nocopy": true, "labels": {"type": "x"}}}],
        });
        nested(value.as_object_mut().unwrap());
        assert_eq!(
            value,
            json!({
                "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
                "Mounts": [{"Type": "volume", "VolumeOptions": {"NoCopy": true, "Labels": {"type": "x"}}}],
            })
        );
    }
}
