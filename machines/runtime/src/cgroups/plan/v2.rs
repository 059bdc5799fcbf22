//! Resources as files of version 2: the specification's values are those of version 1, so that some
//! of them are converted.

use dhow_model::error::{Error, Result};
use dhow_oci::runtime::{BlockIo, Cpu, Memory, Resources};

use super::{Plan, line_name, name_part, number_list, set};
use crate::cgroups::controller::Controller;

/// The writes of everything but device rules.
///
/// # Errors
/// When a value is out of its range, or is for version 1 only and cannot be left out.
pub fn plan(resources: &Resources) -> Result<Plan> {
    let mut plan = Plan::default();
    if let Some(cpu) = &resources.cpu {
        plan_cpu(&mut plan, cpu)?;
    }
    if let Some(memory) = &resources.memory {
        plan_memory(&mut plan, memory)?;
    }
    if let Some(pids) = &resources.pids {
        plan.write(Controller::Pids, "pids.max", pids_max(pids.limit));
    }
    if let Some(block_io) = &resources.block_io {
        plan_block_io(&mut plan, block_io);
    }
    for limit in &resources.hugepage_limits {
        let size = name_part(&limit.page_size)?;
        plan.write(Controller::Hugetlb, format!("hugetlb.{size}.max"), limit.limit);
        plan.write(Controller::Hugetlb, format!("hugetlb.{size}.rsvd.max"), limit.limit).if_there();
    }
    plan_rdma(&mut plan, resources)?;
    if resources.network.as_ref().is_some_and(|n| n.class_id.is_some() || !n.priorities.is_empty()) {
        plan.note("cgroup v2 has no classes and priorities of packets: network limits are left out");
    }
    plan_unified(&mut plan, resources)?;
    Ok(plan)
}

fn plan_cpu(plan: &mut Plan, cpu: &Cpu) -> Result<()> {
    if set(cpu.realtime_period).is_some() || set(cpu.realtime_runtime).is_some() {
        return Err(Error::invalid("cgroup v2 has no real-time limits: realtimeRuntime and realtimePeriod"));
    }
    if !cpu.cpus.is_empty() {
        plan.write(Controller::Cpuset, "cpuset.cpus", number_list(&cpu.cpus)?);
    }
    if !cpu.mems.is_empty() {
        plan.write(Controller::Cpuset, "cpuset.mems", number_list(&cpu.mems)?);
    }
    if let Some(idle) = cpu.idle {
        plan.write(Controller::Cpu, "cpu.idle", idle);
    }
    // The weight of an idle cgroup is fixed; the kernel refuses another.
    if let Some(shares) = set(cpu.shares).filter(|_| cpu.idle != Some(1)) {
        plan.write(Controller::Cpu, "cpu.weight", weight_of_shares(shares));
    }
    let (quota, period) = (set(cpu.quota), set(cpu.period));
    let quota_text = quota.filter(|quota| *quota > 0).map_or_else(|| "max".to_owned(), |q| q.to_string());
    match (quota, period) {
        (None, None) => {}
        // The period remains what it is.
        (Some(_), None) => {
            plan.write(Controller::Cpu, "cpu.max", quota_text);
        }
        (_, Some(period)) => {
            plan.write(Controller::Cpu, "cpu.max", format!("{quota_text} {period}"));
        }
    }
    if let Some(burst) = cpu.burst {
        let write = plan.write(Controller::Cpu, "cpu.max.burst", burst);
        if burst == 0 {
            write.if_there();
        }
    }
    Ok(())
}

fn plan_memory(plan: &mut Plan, memory: &Memory) -> Result<()> {
    let max = |bytes: i64| if bytes < 0 { "max".to_owned() } else { bytes.to_string() };
    if let Some(swap) = swap_alone(memory)? {
        let write = plan.write(Controller::Memory, "memory.swap.max", max(swap));
        // Where there is no swap, none at all and no limit are both so already.
        if swap <= 0 {
            write.if_there();
        }
    }
    if let Some(limit) = set(memory.limit) {
        plan.write(Controller::Memory, "memory.max", max(limit));
    }
    if let Some(reservation) = set(memory.reservation) {
        plan.write(Controller::Memory, "memory.low", max(reservation));
    }
    if memory.disable_oom_killer == Some(true) {
        plan.note("cgroup v2 cannot disable the OOM killer: disableOOMKiller is left out");
    }
    if swappiness(memory)?.is_some() {
        plan.note("cgroup v2 has no swappiness of its own: swappiness is left out");
    }
    note_kernel_memory(plan, memory);
    Ok(())
}

/// The limit of swap alone, of a limit of memory and swap together; -1 is none.
fn swap_alone(memory: &Memory) -> Result<Option<i64>> {
    let (limit, both) = (memory.limit.unwrap_or_default(), memory.swap.unwrap_or_default());
    match (limit, both) {
        (-1, 0) | (_, -1) => Ok(Some(-1)),
        (_, 0) => Ok(None),
        (_, both) if both < 0 => Err(Error::invalid(format!("invalid memory+swap limit {both}"))),
        (-1, both) => Ok(Some(both)),
        (0, _) => Err(Error::invalid("unable to set swap limit without memory limit")),
        (limit, _) if limit < 0 => Err(Error::invalid(format!("invalid memory limit {limit}"))),
        (limit, both) if both < limit => Err(Error::invalid("memory+swap limit should be >= memory limit")),
        (limit, both) => Ok(Some(both - limit)),
    }
}

fn plan_block_io(plan: &mut Plan, io: &BlockIo) {
    if let Some(weight) = set(io.weight) {
        plan.write(Controller::Blkio, "io.bfq.weight", weight).or("io.weight", weight_of_bfq(weight));
    }
    if set(io.leaf_weight).is_some() || io.weight_device.iter().any(|d| set(d.leaf_weight).is_some()) {
        plan.note("cgroup v2 has no leaf weights: leafWeight is left out");
    }
    for device in &io.weight_device {
        let Some(weight) = set(device.weight) else { continue };
        let (major, minor) = (device.major, device.minor);
        plan.write(Controller::Blkio, "io.bfq.weight", format!("{major}:{minor} {weight}"))
            .or("io.weight", format!("{major}:{minor} {}", weight_of_bfq(weight)));
    }
    for (key, devices) in [
        ("rbps", &io.throttle_read_bps_device),
        ("wbps", &io.throttle_write_bps_device),
        ("riops", &io.throttle_read_iops_device),
        ("wiops", &io.throttle_write_iops_device),
    ] {
        for device in devices {
            // In version 1 a rate of 0 takes the limit away.
            let rate = set(Some(device.rate)).map_or_else(|| "max".to_owned(), |rate| rate.to_string());
            let line = format!("{}:{} {key}={rate}", device.major, device.minor);
            plan.write(Controller::Blkio, "io.max", line);
        }
    }
}

/// Files that are named themselves, line by line: such a file takes one line at a time.
fn plan_unified(plan: &mut Plan, resources: &Resources) -> Result<()> {
    for (file, value) in &resources.unified {
        if name_part(file).is_err() || !file.contains('.') {
            let message = format!("unified resource {file:?} must be in the form CONTROLLER.PARAMETER");
            return Err(Error::invalid(message));
        }
        let prefix = file.split('.').next().unwrap_or_default();
        let controller = Controller::ALL.into_iter().find(|each| each.v2_name() == Some(prefix));
        for line in value.lines() {
            // What belongs to every cgroup is said to be the freezer's: the name serves messages only.
            plan.write(controller.unwrap_or(Controller::Freezer), file, line);
        }
    }
    Ok(())
}

/// Both versions have the same file.
pub(super) fn plan_rdma(plan: &mut Plan, resources: &Resources) -> Result<()> {
    for (device, limit) in &resources.rdma {
        let mut line = line_name(device)?.to_owned();
        if let Some(handles) = limit.hca_handles {
            line.push_str(&format!(" hca_handle={handles}"));
        }
        if let Some(objects) = limit.hca_objects {
            line.push_str(&format!(" hca_object={objects}"));
        }
        plan.write(Controller::Rdma, "rdma.max", line);
    }
    Ok(())
}

/// `max`, or the number of processes.
pub(super) fn pids_max(limit: i64) -> String {
    if limit > 0 { limit.to_string() } else { "max".to_owned() }
}

/// Checked for both versions.
pub(super) fn swappiness(memory: &Memory) -> Result<Option<u64>> {
    match memory.swappiness {
        // -1 in clients' words: leave it.
        Some(u64::MAX) | None => Ok(None),
        Some(swappiness) if swappiness <= 100 => Ok(Some(swappiness)),
        Some(swappiness) => {
            let message = format!("invalid memory swappiness value: {swappiness} (valid range is 0-100)");
            Err(Error::invalid(message))
        }
    }
}

/// Kernel memory has no limits any more in any version.
pub(super) fn note_kernel_memory(plan: &mut Plan, memory: &Memory) {
    if set(memory.kernel).is_some() || set(memory.kernel_tcp).is_some() {
        plan.note("kernel memory has no limit of its own any more: kernel and kernelTCP are left out");
    }
}

/// Version 1 counts shares from 2 to 262144 with a default of 1024; version 2 weights from 1 to 10000
/// with a default of 100. The curve meets both ends and the default; runc and crun have the same since
/// 2025, so that a container weighs the same under each.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
#[must_use]
pub fn weight_of_shares(shares: u64) -> u64 {
    if shares <= 2 {
        return 1;
    }
    if shares >= 262_144 {
        return 10_000;
    }
    let log = (shares as f64).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    10f64.powf(exponent).ceil() as u64
}

/// Weights from 10 to 1000, as BFQ and version 1 have them, to 1 to 10000.
#[must_use]
pub fn weight_of_bfq(weight: u16) -> u64 {
    1 + u64::from(weight).saturating_sub(10) * 9_999 / 990
}
