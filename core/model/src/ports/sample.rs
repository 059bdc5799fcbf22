//! What a running container uses, at one instant.

use std::collections::BTreeMap;

use crate::Timestamp;

/// All that is counted of a container; what a machine does not count is 0 or empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    /// When it was taken.
    pub at: Timestamp,
    /// 1 (also hybrid) or 2: names and meanings of some counts differ.
    pub cgroup_version: u32,
    /// Processors.
    pub cpu: CpuSample,
    /// Memory.
    pub memory: MemorySample,
    /// Bytes read and written, by device.
    pub block_bytes: Vec<BlockCount>,
    /// Reads and writes, by device.
    pub block_operations: Vec<BlockCount>,
    /// Processes and threads.
    pub processes: u64,
    /// How many it may have; 0 is any number.
    pub processes_limit: u64,
    /// By interface, without the loopback; none when the network is the host's own.
    pub networks: BTreeMap<String, InterfaceCounts>,
}

/// Nanoseconds, where nothing else is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuSample {
    /// Used by the container.
    pub total: u64,
    /// Of it, by processor (cgroup version 1).
    pub by_processor: Vec<u64>,
    /// Of it, in the kernel.
    pub kernel: u64,
    /// Of it, in programs.
    pub user: u64,
    /// Periods of the quota that have passed.
    pub periods: u64,
    /// Those in which it was used up.
    pub throttled_periods: u64,
    /// For how long processes were held back.
    pub throttled_time: u64,
    /// Passed on all processors of the machine, idle or not.
    pub system: u64,
    /// Processors of the machine.
    pub online: u32,
}

/// Bytes, where nothing else is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemorySample {
    /// Used.
    pub usage: u64,
    /// The most that was used (cgroup version 1).
    pub peak: u64,
    /// What may be used: the limit, or all that the machine has.
    pub limit: u64,
    /// How often the limit was met.
    pub failures: u64,
    /// The lines of `memory.stat`.
    pub details: BTreeMap<String, u64>,
}

/// A count of one device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockCount {
    /// The device.
    pub major: u64,
    /// The device.
    pub minor: u64,
    /// `Read`, `Write`, `Sync`, …
    pub operation: String,
    /// Bytes or operations.
    pub value: u64,
}

/// What went through an interface.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InterfaceCounts {
    /// What came in.
    pub received: DirectionCounts,
    /// What went out.
    pub sent: DirectionCounts,
}

/// What went through an interface one way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DirectionCounts {
    /// Bytes.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// Packets that were broken.
    pub errors: u64,
    /// Packets that were dropped.
    pub dropped: u64,
}
