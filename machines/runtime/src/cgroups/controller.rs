//! The controllers, by their names in both versions of cgroups.

use std::fmt;

/// One controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names are the kernel's")]
pub enum Controller {
    Cpu,
    Cpuacct,
    Cpuset,
    Memory,
    Pids,
    Devices,
    Freezer,
    Blkio,
    Hugetlb,
    Rdma,
    Misc,
    PerfEvent,
    NetCls,
    NetPrio,
}

impl Controller {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Cpu,
        Self::Cpuacct,
        Self::Cpuset,
        Self::Memory,
        Self::Pids,
        Self::Devices,
        Self::Freezer,
        Self::Blkio,
        Self::Hugetlb,
        Self::Rdma,
        Self::Misc,
        Self::PerfEvent,
        Self::NetCls,
        Self::NetPrio,
    ];

    /// Its name in version 1: a mount option, and what its files begin with.
    #[must_use]
    pub const fn v1_name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cpuacct => "cpuacct",
            Self::Cpuset => "cpuset",
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Devices => "devices",
            Self::Freezer => "freezer",
            Self::Blkio => "blkio",
            Self::Hugetlb => "hugetlb",
            Self::Rdma => "rdma",
            Self::Misc => "misc",
            Self::PerfEvent => "perf_event",
            Self::NetCls => "net_cls",
            Self::NetPrio => "net_prio",
        }
    }

    /// Its name in version 2, in `cgroup.controllers`; none for what is part of every cgroup there,
    /// or is not there at all.
    #[must_use]
    pub const fn v2_name(self) -> Option<&'static str> {
        match self {
            Self::Cpu | Self::Cpuacct => Some("cpu"),
            Self::Blkio => Some("io"),
            Self::Cpuset | Self::Memory | Self::Pids | Self::Hugetlb | Self::Rdma | Self::Misc => {
                Some(self.v1_name())
            }
            Self::Devices | Self::Freezer | Self::PerfEvent | Self::NetCls | Self::NetPrio => None,
        }
    }

    /// The controller of a version 1 mount option.
    #[must_use]
    pub fn from_v1_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|controller| controller.v1_name() == name)
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.v1_name())
    }
}
