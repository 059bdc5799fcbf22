//! What a container uses: its cgroup, the machine's processors, and the interfaces of its network.

use std::collections::BTreeMap;
use std::fs;

use dhow_model::ports::{
    BlockCount, CpuSample, DirectionCounts, InterfaceCounts, MemorySample, Sample, Target,
};
use dhow_model::{ContainerId, Error, Result, Timestamp};

use super::table::Known;
use super::{Shared, not_running, release};
use crate::cgroups::stats::{BlkioEntry, Stats};
use crate::cgroups::{Cgroup, Version};

/// Nanoseconds of one tick of /proc/stat; the same on every Linux.
const TICK: u64 = 10_000_000;

/// Takes a sample.
pub(super) fn take(shared: &Shared, id: &ContainerId) -> Result<Sample> {
    let target = Target::container(id.clone());
    let known = shared.table.get(&target).ok_or_else(|| not_running(&target))?;
    let mut sample = match release::find(shared, &known.cgroup)? {
        Some(cgroup) => of_cgroup(&cgroup),
        None => Sample::default(),
    };
    let failed = |error| Error::internal("cannot read /proc/stat").because(error);
    // Right after the container's own, so that their share is of the same time.
    let processors = fs::read_to_string("/proc/stat").map_err(failed)?;
    (sample.cpu.system, sample.cpu.online) = system_time(&processors);
    sample.at = Timestamp::now();
    sample.networks = networks(&known);
    Ok(sample)
}

fn of_cgroup(cgroup: &Cgroup) -> Sample {
    let stats = cgroup.stats();
    let is_first = cgroup.version() == Version::V1;
    let mut sample = Sample {
        cgroup_version: if is_first { 1 } else { 2 },
        cpu: cpu(&stats),
        memory: memory(&stats),
        block_bytes: counts(stats.blkio.io_service_bytes_recursive),
        block_operations: counts(stats.blkio.io_serviced_recursive),
        processes: stats.pids.current,
        processes_limit: stats.pids.limit,
        ..Sample::default()
    };
    if !is_first {
        sample.memory.failures = cgroup.oom_events().unwrap_or_default();
    }
    sample
}

fn cpu(stats: &Stats) -> CpuSample {
    let (usage, throttling) = (&stats.cpu.usage, &stats.cpu.throttling);
    CpuSample {
        total: usage.total,
        by_processor: usage.percpu.clone(),
        kernel: usage.kernel,
        user: usage.user,
        periods: throttling.periods,
        throttled_periods: throttling.throttled_periods,
        throttled_time: throttling.throttled_time,
        ..CpuSample::default()
    }
}

fn memory(stats: &Stats) -> MemorySample {
    let usage = &stats.memory.usage;
    MemorySample {
        usage: usage.usage,
        peak: usage.max,
        limit: usage.limit,
        failures: usage.failcnt,
        details: stats.memory.raw.clone(),
    }
}

fn counts(entries: Vec<BlkioEntry>) -> Vec<BlockCount> {
    let count = |entry: BlkioEntry| BlockCount {
        major: entry.major,
        minor: entry.minor,
        operation: entry.op,
        value: entry.value,
    };
    entries.into_iter().map(count).collect()
}

/// Nanoseconds passed on all processors, and how many there are: proc_stat(5). What guests used is in
/// the time of programs already.
fn system_time(text: &str) -> (u64, u32) {
    let lines = || text.lines().take_while(|line| line.starts_with("cpu"));
    let all = lines().find_map(|line| line.strip_prefix("cpu "));
    let ticks = all.into_iter().flat_map(str::split_whitespace).take(7);
    let ticks: u64 = ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    let processors = lines().filter(|line| !line.starts_with("cpu ")).count();
    (ticks * TICK, u32::try_from(processors).unwrap_or(u32::MAX))
}

/// The interfaces of its network, as its first process sees them; those of the host are not its own.
fn networks(known: &Known) -> BTreeMap<String, InterfaceCounts> {
    let pid = known.running.pid;
    let namespace = |process: &str| fs::read_link(format!("/proc/{process}/ns/net")).ok();
    let theirs = namespace(&pid.to_string());
    if theirs.is_none() || theirs == namespace("self") {
        return BTreeMap::new();
    }
    let text = fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default();
    // Its number may be another process's, once it has ended and was reaped.
    if dhow_sys::signal::send(&known.process, 0).is_err() {
        return BTreeMap::new();
    }
    text.lines().filter_map(interface).filter(|(name, _)| name != "lo").collect()
}

/// A line of proc_net_dev(5): eight counts of what came in, eight of what went out.
fn interface(line: &str) -> Option<(String, InterfaceCounts)> {
    let (name, counts) = line.split_once(':')?;
    let counts: Vec<u64> =
        counts.split_whitespace().map(str::parse).collect::<std::result::Result<_, _>>().ok()?;
    let direction = |first: usize| {
        let &[bytes, packets, errors, dropped] = counts.get(first..first + 4)? else { return None };
        Some(DirectionCounts { bytes, packets, errors, dropped })
    };
    Some((name.trim().to_owned(), InterfaceCounts { received: direction(0)?, sent: direction(8)? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_of_the_machine_is_the_sum_of_its_processors() {
        let text = "cpu  10 1 20 300 4 0 5 6 7 8\ncpu0 5 0 10 150 2 0 2 3 0 0\ncpu1 5 1 10 150 2 0 3 3 0 0\nintr 1 2\n";
        assert_eq!(system_time(text), (340 * TICK, 2));
        assert_eq!(system_time(""), (0, 0));
    }

    #[test]
    fn interfaces_have_counts_of_both_directions() {
        let line = "  eth0: 1500 10 1 2 0 0 0 0 700 5 3 4 0 0 0 0";
        let (name, counts) = interface(line).unwrap();
        assert_eq!(name, "eth0");
        assert_eq!(counts.received, DirectionCounts { bytes: 1500, packets: 10, errors: 1, dropped: 2 });
        assert_eq!(counts.sent, DirectionCounts { bytes: 700, packets: 5, errors: 3, dropped: 4 });
        assert_eq!(interface(" face |bytes packets errs drop"), None);
        assert_eq!(interface("x: 1 2 3"), None);
    }
}
