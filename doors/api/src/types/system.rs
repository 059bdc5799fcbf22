//! `GET /version` and `GET /info`.

use dhow_engine::plan::logs::DRIVERS;
use dhow_engine::{Settings, system};
use dhow_model::ports::{HostFacts, RuntimeProgram};
use serde_json::{Value, json};

use super::inspect::DRIVER;
use crate::server::version::ApiVersion;

/// Where this build came from, when whoever built it said so.
pub(super) const COMMIT: &str = match option_env!("DHOW_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};
const BUILD_TIME: &str = match option_env!("DHOW_BUILD_TIME") {
    Some(time) => time,
    None => "",
};

/// The answer of `/version`: as Docker's, the same facts twice.
pub(crate) fn version(engine_version: &str, host: &HostFacts) -> Value {
    let (newest, oldest) = (ApiVersion::NEWEST.to_string(), ApiVersion::OLDEST.to_string());
    let architecture = go_architecture(&host.architecture);
    json!({
        "Platform": {"Name": "Dhow"},
        "Components": [{
            "Name": "Engine",
            "Version": engine_version,
            "Details": {
                "ApiVersion": newest, "Arch": architecture, "BuildTime": BUILD_TIME,
                "Experimental": "false", "GitCommit": COMMIT, "GoVersion": "",
                "KernelVersion": host.kernel, "MinAPIVersion": oldest, "Os": "linux",
            },
        }],
        "Version": engine_version,
        "ApiVersion": newest,
        "MinAPIVersion": oldest,
        "GitCommit": COMMIT,
        "GoVersion": "",
        "Os": "linux",
        "Arch": architecture,
        "KernelVersion": host.kernel,
        "BuildTime": BUILD_TIME,
    })
}

/// The kernel's name of an architecture in the words of images.
pub(super) fn go_architecture(machine: &str) -> &str {
    match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "armv7l" | "armv6l" => "arm",
        "i686" | "i586" => "386",
        other => other,
    }
}

/// The answer of `/info`.
pub(crate) fn info(info: &system::Info<'_>, version: ApiVersion) -> Value {
    let mut members = counts(info);
    for more in [host(info.host, &info.settings), limits(info.host), configuration(info), nothing(version)] {
        if let (Value::Object(members), Value::Object(more)) = (&mut members, more) {
            members.extend(more);
        }
    }
    if !version.before(50) {
        let device = |name: &String| json!({"Source": "cdi", "ID": name});
        members["DiscoveredDevices"] = info.devices.iter().map(device).collect();
    }
    members
}

fn counts(info: &system::Info<'_>) -> Value {
    json!({
        "ID": info.settings.id,
        "Containers": info.running + info.paused + info.stopped,
        "ContainersRunning": info.running,
        "ContainersPaused": info.paused,
        "ContainersStopped": info.stopped,
        "Images": info.images,
        "NEventsListener": info.listeners,
        "SystemTime": info.now,
        "Warnings": Some(&info.warnings).filter(|warnings| !warnings.is_empty()),
        // Threads stand for Go's routines.
        "NFd": info.own.descriptors,
        "NGoroutines": info.own.threads,
    })
}

fn host(host: &HostFacts, settings: &Settings) -> Value {
    json!({
        "Name": host.name,
        "KernelVersion": host.kernel,
        "OperatingSystem": host.operating_system,
        "OSVersion": host.os_version,
        "OSType": "linux",
        "Architecture": host.architecture,
        "NCPU": host.processors,
        "MemTotal": host.memory,
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": host.cgroup_version.to_string(),
        "SecurityOptions": security_options(host, settings),
    })
}

fn security_options(host: &HostFacts, settings: &Settings) -> Vec<&'static str> {
    let options = [
        (host.apparmor, "name=apparmor"),
        (host.seccomp, "name=seccomp,profile=builtin"),
        (host.selinux, "name=selinux"),
        (!host.lacks_namespace("cgroup"), "name=cgroupns"),
        (settings.user_map.is_some(), "name=userns"),
        (settings.no_new_privileges, "name=no-new-privileges"),
    ];
    options.into_iter().filter_map(|(has, option)| has.then_some(option)).collect()
}

/// What containers can be limited in here; clients warn about what is false.
fn limits(host: &HostFacts) -> Value {
    let has = |name: &str| host.controllers.iter().any(|controller| controller == name);
    json!({
        "MemoryLimit": has("memory"),
        "SwapLimit": has("memory") && has("memory.swap"),
        "CpuCfsPeriod": has("cpu"),
        "CpuCfsQuota": has("cpu"),
        "CPUShares": has("cpu"),
        "CPUSet": has("cpuset"),
        "PidsLimit": has("pids"),
        "OomKillDisable": has("memory") && host.cgroup_version == 1,
        "IPv4Forwarding": host.forwards_packets,
    })
}

fn configuration(info: &system::Info<'_>) -> Value {
    let settings = &info.settings;
    json!({
        "ServerVersion": settings.version,
        "DockerRootDir": settings.data_root,
        "Debug": settings.debug,
        "Labels": settings.labels,
        "LoggingDriver": settings.log.kind,
        "Driver": DRIVER,
        "DriverStatus": settings.storage,
        "Plugins": {
            "Volume": ["local"], "Network": ["bridge", "host", "ipvlan", "macvlan", "null"], "Authorization": null,
            "Log": DRIVERS,
        },
        "Runtimes": runtimes(info),
        "DefaultRuntime": settings.default_runtime,
        "CDISpecDirs": settings.cdi_directories,
        "LiveRestoreEnabled": settings.live_restore,
        "InitBinary": "dhow",
    })
}

fn runtimes(info: &system::Info<'_>) -> Value {
    let runtime = |(name, program): &(String, RuntimeProgram)| {
        let mut value = json!({"path": program.path});
        if !program.arguments.is_empty() {
            value["runtimeArgs"] = json!(program.arguments);
        }
        (name.clone(), value)
    };
    Value::Object(info.runtimes.iter().map(runtime).collect())
}

/// What Docker has and this engine has nothing of.
fn nothing(version: ApiVersion) -> Value {
    let mut members = json!({
        "IndexServerAddress": "https://index.docker.io/v1/",
        "RegistryConfig": {
            "InsecureRegistryCIDRs": [],
            "IndexConfigs": {
                "docker.io": {"Name": "docker.io", "Mirrors": [], "Secure": true, "Official": true},
            },
            "Mirrors": [],
        },
        "GenericResources": null,
        "HttpProxy": "",
        "HttpsProxy": "",
        "NoProxy": "",
        "ExperimentalBuild": false,
        "Swarm": {
            "NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": false,
            "Error": "", "RemoteManagers": null,
        },
        "Isolation": "",
        "ContainerdCommit": {"ID": "N/A"},
        "RuncCommit": {"ID": "N/A"},
        "InitCommit": {"ID": "N/A"},
    });
    if version.before(49) {
        for commit in ["ContainerdCommit", "RuncCommit", "InitCommit"] {
            members[commit]["Expected"] = members[commit]["ID"].clone();
        }
    }
    if version.before(47) {
        members["RegistryConfig"]["AllowNondistributableArtifactsCIDRs"] = Value::Null;
        members["RegistryConfig"]["AllowNondistributableArtifactsHostnames"] = Value::Null;
    }
    if version.before(50) {
        // Removed from Docker with the kernel's bridge filter.
        members["BridgeNfIptables"] = false.into();
        members["BridgeNfIp6tables"] = false.into();
    }
    if version.before(42) {
        members["KernelMemory"] = false.into();
        members["KernelMemoryTCP"] = false.into();
    }
    members
}
