//! Limits: `HostConfig` to the resources of the OCI configuration.

use std::collections::BTreeMap;

use dhow_model::container::{DeviceMapping, HostConfig, ThrottleDevice};
use dhow_model::ports::DeviceNode;
use dhow_model::{Error, Result};
use dhow_oci::runtime::{BlockIo, Cpu, Device, DeviceRule, Memory, Pids, Resources};
use dhow_oci::runtime::{ThrottleDevice as OciThrottle, WeightDevice as OciWeight};

use super::Facts;

/// Devices of the host by the path that was asked for.
type Nodes = BTreeMap<String, Vec<DeviceNode>>;

/// Microseconds of a period where only a number of processors is given.
const PERIOD: u64 = 100_000;

/// Devices that every container may use: null, zero, full, random, urandom, tty, console, ptmx and
/// terminals; any node may be made but not used.
const ALWAYS: [(&str, Option<i64>, Option<i64>, &str); 11] = [
    ("c", None, None, "m"),
    ("b", None, None, "m"),
    ("c", Some(1), Some(3), "rwm"),
    ("c", Some(1), Some(5), "rwm"),
    ("c", Some(1), Some(7), "rwm"),
    ("c", Some(1), Some(8), "rwm"),
    ("c", Some(1), Some(9), "rwm"),
    ("c", Some(5), Some(0), "rwm"),
    ("c", Some(5), Some(1), "rwm"),
    ("c", Some(5), Some(2), "rwm"),
    ("c", Some(136), None, "rwm"),
];

/// Paths whose device numbers a plan needs.
pub(super) fn throttled_devices(host: &HostConfig) -> impl Iterator<Item = &str> {
    let rates = [
        &host.blkio_device_read_bps,
        &host.blkio_device_write_bps,
        &host.blkio_device_read_iops,
        &host.blkio_device_write_iops,
    ];
    let rates = rates.into_iter().flatten().flatten().map(|device| device.path.as_str());
    rates.chain(host.blkio_weight_device.iter().flatten().map(|device| device.path.as_str()))
}

/// The limits of a container.
///
/// # Errors
/// Invalid argument for a device rule that is none.
pub fn plan(host: &HostConfig, facts: &Facts) -> Result<Resources> {
    let limit = |value: i64| (value != 0).then_some(value);
    Ok(Resources {
        devices: rules(host, facts)?,
        memory: Some(Memory {
            limit: limit(host.memory),
            reservation: limit(host.memory_reservation),
            swap: limit(swap(host)),
            swappiness: host.memory_swappiness.and_then(|value| u64::try_from(value).ok()),
            disable_oom_killer: host.oom_kill_disable.filter(|disable| *disable),
            ..Memory::default()
        })
        .filter(|memory| *memory != Memory::default()),
        cpu: Some(cpu(host)).filter(|cpu| *cpu != Cpu::default()),
        pids: host.pids_limit.filter(|limit| *limit > 0).map(|limit| Pids { limit }),
        block_io: Some(block_io(host, &facts.devices)).filter(|block_io| *block_io != BlockIo::default()),
        ..Resources::default()
    })
}

/// Limits that are set on a container that runs: what says nothing stays as it is.
#[must_use]
pub fn update(host: &HostConfig, nodes: &Nodes) -> Resources {
    let limit = |value: i64| (value != 0).then_some(value);
    let memory = Memory {
        limit: limit(host.memory),
        reservation: limit(host.memory_reservation),
        swap: limit(host.memory_swap),
        ..Memory::default()
    };
    Resources {
        memory: Some(memory).filter(|memory| *memory != Memory::default()),
        cpu: Some(cpu(host)).filter(|cpu| *cpu != Cpu::default()),
        pids: host.pids_limit.map(|limit| Pids { limit: if limit > 0 { limit } else { -1 } }),
        block_io: Some(block_io(host, nodes)).filter(|block_io| *block_io != BlockIo::default()),
        ..Resources::default()
    }
}

/// With a limit of memory and none of swap Docker allows as much swap again. Without a limit of memory
/// there is nothing to set: there may be no controller to set it.
const fn swap(host: &HostConfig) -> i64 {
    match (host.memory, host.memory_swap) {
        (0, _) => 0,
        (memory, 0) => memory.saturating_mul(2),
        (_, swap) => swap,
    }
}

fn cpu(host: &HostConfig) -> Cpu {
    let number = |value: i64| u64::try_from(value).ok().filter(|value| *value > 0);
    let mut cpu = Cpu {
        shares: number(host.cpu_shares),
        quota: (host.cpu_quota != 0).then_some(host.cpu_quota),
        period: number(host.cpu_period),
        realtime_runtime: (host.cpu_realtime_runtime != 0).then_some(host.cpu_realtime_runtime),
        realtime_period: number(host.cpu_realtime_period),
        cpus: host.cpuset_cpus.clone(),
        mems: host.cpuset_mems.clone(),
        ..Cpu::default()
    };
    if host.nano_cpus > 0 {
        cpu.period = Some(PERIOD);
        cpu.quota = Some(host.nano_cpus.saturating_mul(100_000) / 1_000_000_000);
    }
    cpu
}

fn block_io(host: &HostConfig, nodes: &Nodes) -> BlockIo {
    let rates = |devices: &Option<Vec<ThrottleDevice>>| -> Vec<OciThrottle> {
        let devices = devices.iter().flatten();
        let rate = |device: &ThrottleDevice| {
            let node = first(nodes, &device.path)?;
            Some(OciThrottle { major: node.major.into(), minor: node.minor.into(), rate: device.rate })
        };
        devices.filter_map(rate).collect()
    };
    let weights = host.blkio_weight_device.iter().flatten().filter_map(|device| {
        let node = first(nodes, &device.path)?;
        let weight = Some(device.weight);
        Some(OciWeight { major: node.major.into(), minor: node.minor.into(), weight, leaf_weight: None })
    });
    BlockIo {
        weight: Some(host.blkio_weight).filter(|weight| *weight > 0),
        leaf_weight: None,
        weight_device: weights.collect(),
        throttle_read_bps_device: rates(&host.blkio_device_read_bps),
        throttle_write_bps_device: rates(&host.blkio_device_write_bps),
        throttle_read_iops_device: rates(&host.blkio_device_read_iops),
        throttle_write_iops_device: rates(&host.blkio_device_write_iops),
    }
}

fn first<'a>(nodes: &'a Nodes, path: &str) -> Option<&'a DeviceNode> {
    nodes.get(path)?.first()
}

/// Everything is denied but what every container may use and what was asked for.
fn rules(host: &HostConfig, facts: &Facts) -> Result<Vec<DeviceRule>> {
    let rule = |allow, kind: &str, major, minor, access: &str| DeviceRule {
        allow,
        kind: kind.into(),
        major,
        minor,
        access: access.into(),
    };
    if host.privileged {
        return Ok(vec![rule(true, "a", None, None, "rwm")]);
    }
    let mut rules = vec![rule(false, "a", None, None, "rwm")];
    rules.extend(ALWAYS.iter().map(|(kind, major, minor, access)| rule(true, kind, *major, *minor, access)));
    for mapping in host.devices.iter().flatten() {
        let access = if mapping.cgroup_permissions.is_empty() { "rwm" } else { &mapping.cgroup_permissions };
        for node in facts.devices.get(&mapping.path_on_host).into_iter().flatten() {
            rules.push(rule(
                true,
                &node.kind.to_string(),
                Some(node.major.into()),
                Some(node.minor.into()),
                access,
            ));
        }
    }
    for text in host.device_cgroup_rules.iter().flatten() {
        rules.push(parse_rule(text)?);
    }
    Ok(rules)
}

/// Reads `c 1:3 rwm`, `b *:* m`.
///
/// # Errors
/// Invalid argument, in Docker's words.
pub(super) fn parse_rule(text: &str) -> Result<DeviceRule> {
    let wrong = || Error::invalid(format!("invalid device cgroup rule format: '{text}'"));
    let words: Vec<&str> = text.split_whitespace().collect();
    let [kind, numbers, access] = words.as_slice() else { return Err(wrong()) };
    let (major, minor) = numbers.split_once(':').ok_or_else(wrong)?;
    let number = |text: &str| match text {
        "*" => Ok(None),
        digits => digits.parse::<u32>().map(|number| Some(i64::from(number))).map_err(|_| wrong()),
    };
    let valid =
        matches!(*kind, "a" | "b" | "c") && !access.is_empty() && access.bytes().all(|b| b"rwm".contains(&b));
    if !valid {
        return Err(wrong());
    }
    let (major, minor) = (number(major)?, number(minor)?);
    Ok(DeviceRule { allow: true, kind: (*kind).into(), major, minor, access: (*access).into() })
}

/// The device nodes of a container.
pub(super) fn nodes(host: &HostConfig, facts: &Facts) -> Vec<Device> {
    if host.privileged {
        let all = facts.devices.get("/dev").into_iter().flatten();
        return all.map(|node| device(node, node.path.clone())).collect();
    }
    host.devices.iter().flatten().flat_map(|mapping| mapped(mapping, facts)).collect()
}

fn mapped(mapping: &DeviceMapping, facts: &Facts) -> Vec<Device> {
    let inside =
        if mapping.path_in_container.is_empty() { &mapping.path_on_host } else { &mapping.path_in_container };
    let nodes = facts.devices.get(&mapping.path_on_host).into_iter().flatten();
    let place = |node: &DeviceNode| match node.path.strip_prefix(&mapping.path_on_host) {
        Ok(rest) if !rest.as_os_str().is_empty() => std::path::Path::new(inside).join(rest),
        _ => inside.into(),
    };
    nodes.map(|node| device(node, place(node))).collect()
}

fn device(node: &DeviceNode, path: std::path::PathBuf) -> Device {
    Device {
        kind: node.kind.to_string(),
        path,
        major: node.major.into(),
        minor: node.minor.into(),
        file_mode: Some(node.mode),
        uid: Some(node.uid),
        gid: Some(node.gid),
    }
}
