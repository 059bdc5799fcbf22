//! What Go prints for a field that holds nothing. Docker reads a document into typed structs before a
//! template sees it; so a list that is null prints `[]`, and a text that was left out prints as empty.

/// How nothing is printed, and how `json` writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Empty {
    pub(crate) printed: &'static str,
    pub(crate) json: &'static str,
}

const POINTER: Empty = Empty { printed: "<nil>", json: "null" };
const LIST: Empty = Empty { printed: "[]", json: "null" };
const MAP: Empty = Empty { printed: "map[]", json: "null" };
/// A key that a map of texts does not have.
const NO_VALUE: Empty = Empty { printed: "<no value>", json: "null" };
const TEXT: Empty = Empty { printed: "", json: "\"\"" };

const LISTS: &[&str] = &[
    "Aliases",
    "Args",
    "Binds",
    "BlkioDeviceReadBps",
    "BlkioDeviceReadIOps",
    "BlkioDeviceWriteBps",
    "BlkioDeviceWriteIOps",
    "BlkioWeightDevice",
    "CapAdd",
    "CapDrop",
    "Cmd",
    "DNSNames",
    "DeviceCgroupRules",
    "DeviceRequests",
    "Devices",
    "Dns",
    "DnsOptions",
    "DnsSearch",
    "Entrypoint",
    "Env",
    "ExecIDs",
    "ExtraHosts",
    "GroupAdd",
    "Layers",
    "Links",
    "MaskedPaths",
    "Mounts",
    "OnBuild",
    "ReadonlyPaths",
    "RepoDigests",
    "RepoTags",
    "SecondaryIPAddresses",
    "SecondaryIPv6Addresses",
    "SecurityOpt",
    "Shell",
    "Ulimits",
    "VolumesFrom",
    "Warnings",
];
const MAPS: &[&str] = &[
    "Annotations",
    "DriverOpts",
    "ExposedPorts",
    "Labels",
    "Networks",
    "Options",
    "PortBindings",
    "Ports",
    "StorageOpt",
    "Sysctls",
    "Tmpfs",
    "Volumes",
];
const TEXTS: &[&str] = &[
    "Author",
    "Comment",
    "Container",
    "DockerVersion",
    "MacAddress",
    "Parent",
    "Runtime",
    "StopSignal",
    "Variant",
];
const POINTERS: &[&str] = &[
    "Health",
    "Healthcheck",
    "IPAMConfig",
    "ImageManifestDescriptor",
    "Init",
    "SizeRootFs",
    "SizeRw",
    "StopTimeout",
    "UsageData",
];
/// What an image's document leaves out at the top.
const AT_THE_TOP: &[&str] = &[
    "Author",
    "Comment",
    "Container",
    "DockerVersion",
    "Parent",
    "RepoDigests",
    "RepoTags",
    "Variant",
    "SizeRw",
    "SizeRootFs",
];

/// How a field that is null is shown.
pub(crate) fn of_null(name: &str) -> Empty {
    match name {
        name if LISTS.contains(&name) => LIST,
        name if MAPS.contains(&name) => MAP,
        name if TEXTS.contains(&name) => TEXT,
        _ => POINTER,
    }
}

/// How a field is shown that an engine leaves out when it is empty; `None` for a field that docker's
/// types do not have.
pub(crate) fn of_missing(path: &[String]) -> Option<Empty> {
    let name = path.last()?.as_str();
    if path.iter().rev().nth(1).is_some_and(|parent| MAPS.contains(&parent.as_str())) {
        return Some(NO_VALUE);
    }
    let known = [LISTS, MAPS, TEXTS, POINTERS].iter().any(|names| names.contains(&name));
    let placed = path.len() > 1 || AT_THE_TOP.contains(&name);
    (known && placed).then(|| of_null(name))
}
