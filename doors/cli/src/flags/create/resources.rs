//! What a container may use of the host.

use std::collections::BTreeMap;

use serde::Serialize;

use super::some;
use crate::flags::device::{self, DeviceRequest, Mapping, Throttle, Weight};
use crate::flags::limits::{self, Ulimit};
use crate::flags::{Parsed, bytes, number};

/// What the container may use.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Resources {
    cpu_shares: i64,
    memory: i64,
    nano_cpus: i64,
    cgroup_parent: String,
    blkio_weight: i64,
    blkio_weight_device: Vec<Weight>,
    blkio_device_read_bps: Vec<Throttle>,
    blkio_device_write_bps: Vec<Throttle>,
    #[serde(rename = "BlkioDeviceReadIOps")]
    blkio_device_read_iops: Vec<Throttle>,
    #[serde(rename = "BlkioDeviceWriteIOps")]
    blkio_device_write_iops: Vec<Throttle>,
    cpu_period: i64,
    cpu_quota: i64,
    cpu_realtime_period: i64,
    cpu_realtime_runtime: i64,
    cpuset_cpus: String,
    cpuset_mems: String,
    devices: Vec<Mapping>,
    device_cgroup_rules: Option<Vec<String>>,
    device_requests: Option<Vec<DeviceRequest>>,
    memory_reservation: i64,
    memory_swap: i64,
    memory_swappiness: i64,
    oom_kill_disable: bool,
    pids_limit: i64,
    ulimits: Vec<Ulimit>,
    cpu_count: i64,
    cpu_percent: i64,
    #[serde(rename = "IOMaximumIOps")]
    io_maximum_iops: u64,
    #[serde(rename = "IOMaximumBandwidth")]
    io_maximum_bandwidth: i64,
}
impl Resources {
    pub(super) fn of(parsed: &Parsed) -> Result<Resources, String> {
        let text = |name: &str| parsed.text_or_empty(name).to_owned();
        let number = |name: &str| parsed.integer(name).unwrap_or(0);
        let swappiness = parsed.integer("memory-swappiness").unwrap_or(-1);
        if !(-1..=100).contains(&swappiness) {
            return Err(format!("invalid value: {swappiness}. Valid memory swappiness range is 0-100"));
        }
        let (devices, requests) = devices(parsed)?;
        Ok(Resources {
            cpu_shares: number("cpu-shares"),
            memory: size(parsed, "memory"),
            nano_cpus: parsed.text("cpus").map_or(Ok(0), limits::cpus)?,
            cgroup_parent: text("cgroup-parent"),
            blkio_weight: number("blkio-weight"),
            blkio_weight_device: parsed
                .all("blkio-weight-device")
                .map(device::weight)
                .collect::<Result<_, _>>()?,
            blkio_device_read_bps: rates(parsed, "device-read-bps", device::bytes_per_second)?,
            blkio_device_write_bps: rates(parsed, "device-write-bps", device::bytes_per_second)?,
            blkio_device_read_iops: rates(parsed, "device-read-iops", device::operations_per_second)?,
            blkio_device_write_iops: rates(parsed, "device-write-iops", device::operations_per_second)?,
            cpu_period: number("cpu-period"),
            cpu_quota: number("cpu-quota"),
            cpu_realtime_period: number("cpu-rt-period"),
            cpu_realtime_runtime: number("cpu-rt-runtime"),
            cpuset_cpus: text("cpuset-cpus"),
            cpuset_mems: text("cpuset-mems"),
            devices,
            device_cgroup_rules: some(parsed.list("device-cgroup-rule")),
            device_requests: requests,
            memory_reservation: size(parsed, "memory-reservation"),
            memory_swap: size(parsed, "memory-swap"),
            memory_swappiness: swappiness,
            oom_kill_disable: parsed.is_on("oom-kill-disable"),
            pids_limit: number("pids-limit"),
            ulimits: ulimits(parsed)?,
            cpu_count: number("cpu-count"),
            cpu_percent: number("cpu-percent"),
            io_maximum_iops: parsed.text("io-maxiops").map_or(Ok(0), number::unsigned)?,
            io_maximum_bandwidth: size(parsed, "io-maxbandwidth"),
        })
    }
}
/// A size whose form was checked when it was read.
pub(super) fn size(parsed: &Parsed, name: &str) -> i64 {
    match parsed.text(name) {
        Some("-1") => -1,
        Some(text) => bytes::binary(text).unwrap_or(0),
        None => 0,
    }
}

fn rates(
    parsed: &Parsed,
    name: &str,
    read: fn(&str) -> Result<Throttle, String>,
) -> Result<Vec<Throttle>, String> {
    parsed.all(name).map(read).collect()
}

/// The last limit of each name, by name.
fn ulimits(parsed: &Parsed) -> Result<Vec<Ulimit>, String> {
    let mut limits = BTreeMap::new();
    for value in parsed.all("ulimit") {
        let limit = Ulimit::parse(value)?;
        limits.insert(limit.name.clone(), limit);
    }
    Ok(limits.into_values().collect())
}

type Devices = (Vec<Mapping>, Option<Vec<DeviceRequest>>);

fn devices(parsed: &Parsed) -> Result<Devices, String> {
    let mut mappings = Vec::new();
    let mut cdi = Vec::new();
    for name in parsed.all("device") {
        if device::is_cdi_name(name) {
            cdi.push(name.to_owned());
        } else {
            mappings.push(Mapping::parse(name)?);
        }
    }
    let mut requests = parsed.all("gpus").map(device::gpus).collect::<Result<Vec<_>, _>>()?;
    if !cdi.is_empty() {
        requests.push(DeviceRequest::cdi(cdi));
    }
    Ok((mappings, Some(requests).filter(|requests| !requests.is_empty())))
}
