//! Every field of a container's settings that the Engine API knows, set to something: it is honoured and
//! shown, told to be beyond this machine, or refused by name. Nothing is ignored in silence.

use anyhow::Result;
use dhow_conformance::engine;
use dhow_testkit::Engine;
use serde_json::{Value, json};

/// Docker's `HostConfig` in API 1.56.
fn host_config() -> Vec<(&'static str, Value)> {
    let throttle = json!([{"Path": "/dev/null", "Rate": 1_000_000}]);
    vec![
        ("Annotations", json!({"a": "b"})),
        ("AutoRemove", json!(true)),
        ("Binds", json!(["/tmp:/x"])),
        ("BlkioDeviceReadBps", throttle.clone()),
        ("BlkioDeviceReadIOps", throttle.clone()),
        ("BlkioDeviceWriteBps", throttle.clone()),
        ("BlkioDeviceWriteIOps", throttle),
        ("BlkioWeight", json!(100)),
        ("BlkioWeightDevice", json!([{"Path": "/dev/null", "Weight": 100}])),
        ("CapAdd", json!(["SYS_ADMIN"])),
        ("CapDrop", json!(["ALL"])),
        ("Cgroup", json!("x")),
        ("CgroupParent", json!("/dhow-test/fields")),
        ("CgroupnsMode", json!("host")),
        ("ConsoleSize", json!([10, 20])),
        ("ContainerIDFile", json!("/x")),
        ("CpuCount", json!(1)),
        ("CpuPercent", json!(1)),
        ("CpuPeriod", json!(100_000)),
        ("CpuQuota", json!(50_000)),
        ("CpuRealtimePeriod", json!(1_000_000)),
        ("CpuRealtimeRuntime", json!(1000)),
        ("CpuShares", json!(100)),
        ("CpusetCpus", json!("0")),
        ("CpusetMems", json!("0")),
        ("DeviceCgroupRules", json!(["c 1:3 r"])),
        ("DeviceRequests", json!([{"Count": 1, "Capabilities": [["gpu"]]}])),
        (
            "Devices",
            json!([{"PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "r"}]),
        ),
        ("Dns", json!(["1.2.3.4"])),
        ("DnsOptions", json!(["ndots:2"])),
        ("DnsSearch", json!(["x.y"])),
        ("ExtraHosts", json!(["a:1.2.3.4"])),
        ("GroupAdd", json!(["5"])),
        ("IOMaximumBandwidth", json!(1)),
        ("IOMaximumIOps", json!(1)),
        ("Init", json!(true)),
        ("IpcMode", json!("host")),
        ("Isolation", json!("hyperv")),
        ("KernelMemoryTCP", json!(67_108_864)),
        ("Links", json!(["a:b"])),
        ("LogConfig", json!({"Type": "none", "Config": {}})),
        ("MaskedPaths", json!(["/proc/kcore"])),
        ("Memory", json!(67_108_864)),
        ("MemoryReservation", json!(33_554_432)),
        ("MemorySwap", json!(-1)),
        ("MemorySwappiness", json!(50)),
        ("Mounts", json!([{"Type": "bind", "Source": "/tmp", "Target": "/x"}])),
        ("NanoCpus", json!(1_000_000_000)),
        ("NetworkMode", json!("none")),
        ("OomKillDisable", json!(true)),
        ("OomScoreAdj", json!(5)),
        ("PidMode", json!("host")),
        ("PidsLimit", json!(50)),
        ("PortBindings", json!({"80/tcp": [{"HostPort": "1"}]})),
        ("Privileged", json!(true)),
        ("PublishAllPorts", json!(true)),
        ("ReadonlyPaths", json!(["/proc/sys"])),
        ("ReadonlyRootfs", json!(true)),
        ("RestartPolicy", json!({"Name": "always"})),
        ("Runtime", json!("other")),
        ("SecurityOpt", json!(["no-new-privileges"])),
        ("ShmSize", json!(1_048_576)),
        ("StorageOpt", json!({"size": "1G"})),
        ("Sysctls", json!({"net.ipv4.ip_forward": "1"})),
        ("Tmpfs", json!({"/t": "size=1m"})),
        ("UTSMode", json!("host")),
        ("Ulimits", json!([{"Name": "nofile", "Soft": 10, "Hard": 20}])),
        ("UsernsMode", json!("host")),
        ("VolumeDriver", json!("other")),
        ("VolumesFrom", json!(["nobody"])),
    ]
}

/// Docker's `Config`.
fn config() -> Vec<(&'static str, Value)> {
    vec![
        ("ArgsEscaped", json!(true)),
        ("AttachStderr", json!(true)),
        ("AttachStdin", json!(true)),
        ("AttachStdout", json!(true)),
        ("Cmd", json!(["true"])),
        ("Domainname", json!("d")),
        ("Entrypoint", json!(["true"])),
        ("Env", json!(["A=b"])),
        ("ExposedPorts", json!({"80/tcp": {}})),
        ("Healthcheck", json!({"Test": ["CMD", "true"]})),
        ("Hostname", json!("h")),
        ("Labels", json!({"a": "b"})),
        ("MacAddress", json!("02:42:ac:11:00:02")),
        ("NetworkDisabled", json!(true)),
        ("OnBuild", json!(["RUN x"])),
        ("OpenStdin", json!(true)),
        ("Shell", json!(["/bin/sh"])),
        ("StdinOnce", json!(true)),
        ("StopSignal", json!("SIGINT")),
        ("StopTimeout", json!(5)),
        ("Tty", json!(true)),
        ("User", json!("1")),
        ("Volumes", json!({"/v": {}})),
        ("WorkingDir", json!("/tmp")),
    ]
}

/// Creates a container, and says what is wrong with how the field was taken.
fn judged(engine: &Engine, body: &Value, parent: &str, field: &str, value: &Value) -> Result<Option<String>> {
    let answer = engine.connect()?.request("POST", "/v1.56/containers/create", body)?;
    let told = answer.json()?;
    let text = told.to_string();
    if answer.status != 201 {
        let words =
            ["not supported yet", "unknown or invalid runtime", "invalid isolation", "No such container"];
        let named = words.iter().any(|words| text.contains(words));
        return Ok((!named).then(|| format!("{field}: {} {text}", answer.status)));
    }
    if text.contains("discarded") {
        return Ok(None);
    }
    let id = told["Id"].as_str().unwrap_or_default();
    let shown = engine.connect()?.request("GET", &format!("/v1.56/containers/{id}/json"), &Value::Null)?;
    let shown = &shown.json()?[parent][field];
    Ok((shown != value).then(|| format!("{field}: {value} is shown as {shown}")))
}

#[test]
fn every_field_is_honoured_or_refused_by_name() -> Result<()> {
    let engine = engine()?;
    let mut wrong = Vec::new();
    for (field, value) in host_config() {
        let body = json!({"Image": "busybox", "HostConfig": {field: value}});
        wrong.extend(judged(&engine, &body, "HostConfig", field, &value)?);
    }
    for (field, value) in config() {
        let mut body = json!({"Image": "busybox"});
        body[field] = value.clone();
        wrong.extend(judged(&engine, &body, "Config", field, &value)?);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn members_of_a_mount_are_honoured_or_refused_by_name() -> Result<()> {
    let engine = engine()?;
    let bind =
        |options: Value| json!({"Type": "bind", "Source": "/tmp", "Target": "/x", "BindOptions": options});
    let volume =
        |options: Value| json!({"Type": "volume", "Source": "vol", "Target": "/x", "VolumeOptions": options});
    for (mount, status, words) in [
        (bind(json!({"Propagation": "rslave"})), 201, ""),
        (bind(json!({"NonRecursive": true})), 201, ""),
        (bind(json!({"IDMapping": {"x": 1}})), 400, "IDMapping.x is not supported yet"),
        (volume(json!({"NoCopy": true})), 201, ""),
        (volume(json!({"DriverConfig": {"Name": "other"}})), 404, "error looking up volume plugin other"),
        (volume(json!({"Subpath": "../out"})), 400, "must be a relative path within the volume"),
        (
            json!({"Type": "image", "Source": "busybox", "Target": "/x"}),
            501,
            "\"image\" is not supported yet",
        ),
        (json!({"Type": "cluster", "Source": "x", "Target": "/x"}), 501, "\"cluster\" is not supported yet"),
        (json!({"Type": "nope", "Target": "/x"}), 400, "mount type unknown"),
        (
            json!({"type": "tmpfs", "target": "/x", "tmpfsoptions": {"options": [["nope"]]}}),
            400,
            "invalid tmpfs option",
        ),
    ] {
        let body = json!({"Image": "busybox", "HostConfig": {"Mounts": [mount]}});
        let answer = engine.connect()?.request("POST", "/v1.56/containers/create", &body)?;
        let text = answer.json()?.to_string().replace("\\\"", "\"");
        assert!(answer.status == status && text.contains(words), "{mount}: {} {text}", answer.status);
    }
    Ok(())
}
