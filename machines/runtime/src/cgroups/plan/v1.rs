//! Resources as files of version 1.

use dhow_model::error::{Error, Result};
use dhow_oci::runtime::{BlockIo, Cpu, Memory, Resources};

use super::{Plan, line_name, name_part, number_list, set};
use crate::cgroups::controller::Controller;

/// The writes of everything but device rules.
///
/// # Errors
/// When a value is out of its range, or is for version 2 only.
pub fn plan(resources: &Resources) -> Result<Plan> {
    let mut plan = Plan::default();
    if !resources.unified.is_empty() {
        return Err(Error::invalid("invalid configuration: cannot use unified on cgroup v1"));
    }
    if let Some(cpu) = &resources.cpu {
        plan_cpuset(&mut plan, cpu)?;
        plan_cpu(&mut plan, cpu)?;
    }
    if let Some(memory) = &resources.memory {
        plan_memory(&mut plan, memory)?;
    }
    if let Some(pids) = &resources.pids {
        plan.write(Controller::Pids, "pids.max", super::v2::pids_max(pids.limit));
    }
    if let Some(block_io) = &resources.block_io {
        plan_block_io(&mut plan, block_io);
    }
    plan_others(&mut plan, resources)?;
    Ok(plan)
}

fn plan_cpuset(plan: &mut Plan, cpu: &Cpu) -> Result<()> {
    if !cpu.cpus.is_empty() {
        plan.write(Controller::Cpuset, "cpuset.cpus", number_list(&cpu.cpus)?);
    }
    if !cpu.mems.is_empty() {
        plan.write(Controller::Cpuset, "cpuset.mems", number_list(&cpu.mems)?);
    }
    Ok(())
}

fn plan_cpu(plan: &mut Plan, cpu: &Cpu) -> Result<()> {
    if let Some(shares) = set(cpu.shares) {
        // The kernel takes any number and cuts it to its range without a word.
        if shares < 2 {
            return Err(Error::invalid("the minimum allowed cpu-shares is 2"));
        }
        if shares > 262_144 {
            return Err(Error::invalid("the maximum allowed cpu-shares is 262144"));
        }
        plan.write(Controller::Cpu, "cpu.shares", shares);
    }
    if let Some(period) = set(cpu.period) {
        plan.write(Controller::Cpu, "cpu.cfs_period_us", period);
    }
    if let Some(quota) = set(cpu.quota) {
        plan.write(Controller::Cpu, "cpu.cfs_quota_us", quota);
    }
    if let Some(burst) = cpu.burst {
        let write = plan.write(Controller::Cpu, "cpu.cfs_burst_us", burst);
        if burst == 0 {
            write.if_there();
        }
    }
    if let Some(idle) = cpu.idle {
        plan.write(Controller::Cpu, "cpu.idle", idle);
    }
    if let Some(period) = set(cpu.realtime_period) {
        plan.write(Controller::Cpu, "cpu.rt_period_us", period);
    }
    if let Some(runtime) = set(cpu.realtime_runtime) {
        plan.write(Controller::Cpu, "cpu.rt_runtime_us", runtime);
    }
    Ok(())
}

fn plan_memory(plan: &mut Plan, memory: &Memory) -> Result<()> {
    if memory.use_hierarchy == Some(true) {
        plan.write(Controller::Memory, "memory.use_hierarchy", 1).if_there();
    }
    if let Some(limit) = set(memory.limit) {
        plan.write(Controller::Memory, "memory.limit_in_bytes", limit);
    }
    match set(memory.swap) {
        Some(swap) => {
            plan.write(Controller::Memory, "memory.memsw.limit_in_bytes", swap);
        }
        // Without a limit of memory, the limit of memory and swap together would remain one.
        None if memory.limit == Some(-1) => {
            plan.write(Controller::Memory, "memory.memsw.limit_in_bytes", -1).if_there();
        }
        None => {}
    }
    if let Some(reservation) = set(memory.reservation) {
        plan.write(Controller::Memory, "memory.soft_limit_in_bytes", reservation);
    }
    if memory.disable_oom_killer == Some(true) {
        plan.write(Controller::Memory, "memory.oom_control", 1);
    }
    if let Some(swappiness) = super::v2::swappiness(memory)? {
        plan.write(Controller::Memory, "memory.swappiness", swappiness);
    }
    super::v2::note_kernel_memory(plan, memory);
    Ok(())
}

fn plan_block_io(plan: &mut Plan, io: &BlockIo) {
    if let Some(weight) = set(io.weight) {
        plan.write(Controller::Blkio, "blkio.weight", weight).or("blkio.bfq.weight", weight);
    }
    if let Some(weight) = set(io.leaf_weight) {
        plan.write(Controller::Blkio, "blkio.leaf_weight", weight);
    }
    for device in &io.weight_device {
        let (major, minor) = (device.major, device.minor);
        if let Some(weight) = set(device.weight) {
            let line = format!("{major}:{minor} {weight}");
            plan.write(Controller::Blkio, "blkio.weight_device", &line).or("blkio.bfq.weight_device", &line);
        }
        if let Some(weight) = set(device.leaf_weight) {
            let line = format!("{major}:{minor} {weight}");
            plan.write(Controller::Blkio, "blkio.leaf_weight_device", line);
        }
    }
    for (file, devices) in [
        ("blkio.throttle.read_bps_device", &io.throttle_read_bps_device),
        ("blkio.throttle.write_bps_device", &io.throttle_write_bps_device),
        ("blkio.throttle.read_iops_device", &io.throttle_read_iops_device),
        ("blkio.throttle.write_iops_device", &io.throttle_write_iops_device),
    ] {
        for device in devices {
            let line = format!("{}:{} {}", device.major, device.minor, device.rate);
            plan.write(Controller::Blkio, file, line);
        }
    }
}

fn plan_others(plan: &mut Plan, resources: &Resources) -> Result<()> {
    for limit in &resources.hugepage_limits {
        let size = name_part(&limit.page_size)?;
        plan.write(Controller::Hugetlb, format!("hugetlb.{size}.limit_in_bytes"), limit.limit);
        plan.write(Controller::Hugetlb, format!("hugetlb.{size}.rsvd.limit_in_bytes"), limit.limit)
            .if_there();
    }
    super::v2::plan_rdma(plan, resources)?;
    if let Some(network) = &resources.network {
        if let Some(class) = set(network.class_id) {
            plan.write(Controller::NetCls, "net_cls.classid", class);
        }
        for interface in &network.priorities {
            let line = format!("{} {}", line_name(&interface.name)?, interface.priority);
            plan.write(Controller::NetPrio, "net_prio.ifpriomap", line);
        }
    }
    Ok(())
}
