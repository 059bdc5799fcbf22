//! `GET /containers/{id}/stats`: a sample, and the processors' part of the one before.

use std::collections::BTreeMap;

use dhow_engine::containers::stats::Measurement;
use dhow_model::ports::{BlockCount, CpuSample, InterfaceCounts, MemorySample, Sample};
use dhow_model::{Container, Timestamp};
use serde::Serialize;

use crate::server::version::ApiVersion;

/// The answer, or a line of it.
#[derive(Debug, Serialize)]
pub(crate) struct Stats<'a> {
    read: Timestamp,
    preread: Timestamp,
    pids_stats: Processes,
    blkio_stats: BlockIo<'a>,
    num_procs: u32,
    storage_stats: BTreeMap<(), ()>,
    cpu_stats: Cpu<'a>,
    precpu_stats: Cpu<'a>,
    memory_stats: Memory<'a>,
    name: String,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    os_type: Option<&'static str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    networks: BTreeMap<&'a str, Interface>,
}

impl<'a> Stats<'a> {
    /// Of a measurement, and the one that this client was given before; what does not run uses nothing.
    pub(crate) fn new(
        measured: &'a Measurement,
        before: Option<&'a Measurement>,
        version: ApiVersion,
    ) -> Self {
        let before = before.and_then(|before| before.sample.as_ref());
        let mut stats = Self::nothing(&measured.container, version);
        stats.preread = before.map_or(Timestamp::NEVER, |before| before.at);
        stats.precpu_stats = before.map(|before| Cpu::new(&before.cpu)).unwrap_or_default();
        let Some(sample) = &measured.sample else { return stats };
        Self {
            read: sample.at,
            pids_stats: Processes { current: sample.processes, limit: sample.processes_limit },
            blkio_stats: BlockIo::new(sample),
            cpu_stats: Cpu::new(&sample.cpu),
            memory_stats: Memory::new(&sample.memory, sample.cgroup_version),
            networks: sample.networks.iter().map(|(name, counts)| (name.as_str(), counts.into())).collect(),
            ..stats
        }
    }

    fn nothing(container: &'a Container, version: ApiVersion) -> Self {
        Self {
            read: Timestamp::NEVER,
            preread: Timestamp::NEVER,
            pids_stats: Processes::default(),
            blkio_stats: BlockIo::default(),
            num_procs: 0,
            storage_stats: BTreeMap::new(),
            cpu_stats: Cpu::default(),
            precpu_stats: Cpu::default(),
            memory_stats: Memory::default(),
            name: format!("/{}", container.name),
            id: container.id.as_str(),
            os_type: (!version.before(52)).then_some("linux"),
            networks: BTreeMap::new(),
        }
    }
}

/// Left out where it is nothing, as most numbers here are.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[derive(Debug, Default, Serialize)]
struct Processes {
    #[serde(skip_serializing_if = "is_zero")]
    current: u64,
    #[serde(skip_serializing_if = "is_zero")]
    limit: u64,
}

#[derive(Debug, Default, Serialize)]
struct Cpu<'a> {
    cpu_usage: CpuUsage<'a>,
    #[serde(skip_serializing_if = "is_zero")]
    system_cpu_usage: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    online_cpus: Option<u32>,
    throttling_data: Throttling,
}

#[derive(Debug, Default, Serialize)]
struct CpuUsage<'a> {
    total_usage: u64,
    #[serde(skip_serializing_if = "<[u64]>::is_empty")]
    percpu_usage: &'a [u64],
    usage_in_kernelmode: u64,
    usage_in_usermode: u64,
}

#[derive(Debug, Default, Serialize)]
struct Throttling {
    periods: u64,
    throttled_periods: u64,
    throttled_time: u64,
}

impl<'a> Cpu<'a> {
    fn new(cpu: &'a CpuSample) -> Self {
        Self {
            cpu_usage: CpuUsage {
                total_usage: cpu.total,
                percpu_usage: &cpu.by_processor,
                usage_in_kernelmode: cpu.kernel,
                usage_in_usermode: cpu.user,
            },
            system_cpu_usage: cpu.system,
            online_cpus: Some(cpu.online).filter(|online| *online > 0),
            throttling_data: Throttling {
                periods: cpu.periods,
                throttled_periods: cpu.throttled_periods,
                throttled_time: cpu.throttled_time,
            },
        }
    }
}

#[derive(Debug, Default, Serialize)]
struct Memory<'a> {
    #[serde(skip_serializing_if = "is_zero")]
    usage: u64,
    #[serde(skip_serializing_if = "is_zero")]
    max_usage: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    stats: BTreeMap<&'a str, u64>,
    #[serde(skip_serializing_if = "is_zero")]
    failcnt: u64,
    #[serde(skip_serializing_if = "is_zero")]
    limit: u64,
}

/// What Docker tells of version 1's `memory.stat`: these, and the same with `total_` in front.
const MEMORY_FIRST: &[&str] = &[
    "cache",
    "rss",
    "rss_huge",
    "mapped_file",
    "dirty",
    "writeback",
    "pgpgin",
    "pgpgout",
    "pgfault",
    "pgmajfault",
    "inactive_anon",
    "active_anon",
    "inactive_file",
    "active_file",
    "unevictable",
];
const MEMORY_LIMITS: &[&str] = &["hierarchical_memory_limit", "hierarchical_memsw_limit"];

/// What Docker tells of version 2's.
const MEMORY_SECOND: &[&str] = &[
    "anon",
    "file",
    "kernel_stack",
    "slab",
    "sock",
    "shmem",
    "file_mapped",
    "file_dirty",
    "file_writeback",
    "anon_thp",
    "inactive_anon",
    "active_anon",
    "inactive_file",
    "active_file",
    "unevictable",
    "slab_reclaimable",
    "slab_unreclaimable",
    "pgfault",
    "pgmajfault",
    "workingset_refault",
    "workingset_activate",
    "workingset_nodereclaim",
    "pgrefill",
    "pgscan",
    "pgsteal",
    "pgactivate",
    "pgdeactivate",
    "pglazyfree",
    "pglazyfreed",
    "thp_fault_alloc",
    "thp_collapse_alloc",
];

impl<'a> Memory<'a> {
    fn new(memory: &'a MemorySample, cgroup_version: u32) -> Self {
        let is_told = |name: &str| match cgroup_version {
            1 => {
                let plain = name.strip_prefix("total_").unwrap_or(name);
                MEMORY_FIRST.contains(&plain) || MEMORY_LIMITS.contains(&name)
            }
            _ => MEMORY_SECOND.contains(&name),
        };
        let details = memory.details.iter().map(|(name, value)| (name.as_str(), *value));
        Self {
            usage: memory.usage,
            // Docker has none of version 2.
            max_usage: if cgroup_version == 1 { memory.peak } else { 0 },
            stats: details.filter(|(name, _)| is_told(name)).collect(),
            failcnt: memory.failures,
            limit: memory.limit,
        }
    }
}

/// Lists of which version 2 has only the first: the others are null there, and where nothing runs.
#[derive(Debug, Default, Serialize)]
struct BlockIo<'a> {
    io_service_bytes_recursive: Option<Vec<BlockEntry<'a>>>,
    io_serviced_recursive: Option<Vec<BlockEntry<'a>>>,
    io_queue_recursive: Option<[(); 0]>,
    io_service_time_recursive: Option<[(); 0]>,
    io_wait_time_recursive: Option<[(); 0]>,
    io_merged_recursive: Option<[(); 0]>,
    io_time_recursive: Option<[(); 0]>,
    sectors_recursive: Option<[(); 0]>,
}

#[derive(Debug, Serialize)]
struct BlockEntry<'a> {
    major: u64,
    minor: u64,
    op: &'a str,
    value: u64,
}

impl<'a> BlockIo<'a> {
    fn new(sample: &'a Sample) -> Self {
        let is_first = sample.cgroup_version == 1;
        let entry = |count: &'a BlockCount| {
            let op = match count.operation.as_str() {
                "Read" if !is_first => "read",
                "Write" if !is_first => "write",
                as_is => as_is,
            };
            BlockEntry { major: count.major, minor: count.minor, op, value: count.value }
        };
        let bytes: Vec<_> = sample.block_bytes.iter().map(entry).collect();
        if !is_first {
            let some = Some(bytes).filter(|bytes| !bytes.is_empty());
            return Self { io_service_bytes_recursive: some, ..Self::default() };
        }
        let none = Some([]);
        Self {
            io_service_bytes_recursive: Some(bytes),
            io_serviced_recursive: Some(sample.block_operations.iter().map(entry).collect()),
            io_queue_recursive: none,
            io_service_time_recursive: none,
            io_wait_time_recursive: none,
            io_merged_recursive: none,
            io_time_recursive: none,
            sectors_recursive: none,
        }
    }
}

#[derive(Debug, Serialize)]
struct Interface {
    rx_bytes: u64,
    rx_packets: u64,
    rx_errors: u64,
    rx_dropped: u64,
    tx_bytes: u64,
    tx_packets: u64,
    tx_errors: u64,
    tx_dropped: u64,
}

impl From<&InterfaceCounts> for Interface {
    fn from(counts: &InterfaceCounts) -> Self {
        let (received, sent) = (counts.received, counts.sent);
        Self {
            rx_bytes: received.bytes,
            rx_packets: received.packets,
            rx_errors: received.errors,
            rx_dropped: received.dropped,
            tx_bytes: sent.bytes,
            tx_packets: sent.packets,
            tx_errors: sent.errors,
            tx_dropped: sent.dropped,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn sample(cgroup_version: u32) -> Sample {
        let count =
            |operation: &str, value| BlockCount { major: 8, minor: 0, operation: operation.into(), value };
        let details = ["anon", "inactive_file", "total_inactive_file", "percpu"];
        Sample {
            cgroup_version,
            memory: MemorySample {
                usage: 100,
                peak: 200,
                limit: 300,
                details: details.into_iter().map(|name| (name.to_owned(), 7)).collect(),
                ..MemorySample::default()
            },
            block_bytes: vec![count("Read", 1), count("Write", 2)],
            block_operations: vec![count("Read", 3)],
            processes: 4,
            ..Sample::default()
        }
    }

    fn shown(version: u32) -> (Value, Value) {
        let sample = sample(version);
        (json!(Memory::new(&sample.memory, version)), json!(BlockIo::new(&sample)))
    }

    #[test]
    fn numbers_of_cgroups_have_the_shape_that_docker_gives_their_version() {
        let (memory, block) = shown(1);
        let details = json!({"inactive_file": 7, "total_inactive_file": 7});
        assert_eq!(memory, json!({"usage": 100, "max_usage": 200, "stats": details, "limit": 300}));
        assert_eq!(
            block["io_service_bytes_recursive"][1],
            json!({"major": 8, "minor": 0, "op": "Write", "value": 2})
        );
        assert_eq!(
            (&block["io_serviced_recursive"][0]["value"], &block["io_time_recursive"]),
            (&json!(3), &json!([]))
        );

        let (memory, block) = shown(2);
        let details = json!({"anon": 7, "inactive_file": 7});
        assert_eq!(memory, json!({"usage": 100, "stats": details, "limit": 300}));
        assert_eq!(
            block["io_service_bytes_recursive"][1],
            json!({"major": 8, "minor": 0, "op": "write", "value": 2})
        );
        assert_eq!(
            (&block["io_serviced_recursive"], &block["io_time_recursive"]),
            (&Value::Null, &Value::Null)
        );
    }
}
