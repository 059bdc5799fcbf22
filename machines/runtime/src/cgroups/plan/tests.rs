//! Plans as text.

use dhow_oci::runtime::Resources;

use super::{Plan, v1, v2};

fn resources(json: &str) -> Resources {
    serde_json::from_str(json).unwrap()
}

fn text(plan: Plan) -> String {
    let notes = plan.notes.iter().map(|note| format!("# {note}\n"));
    plan.writes.iter().map(|write| format!("{write}\n")).chain(notes).collect()
}

const EVERYTHING: &str = r#"{
    "memory": {"limit": 536870912, "reservation": 268435456, "swap": 1073741824, "swappiness": 10,
               "disableOOMKiller": true, "useHierarchy": true, "kernel": 1048576},
    "cpu": {"shares": 512, "quota": 50000, "period": 100000, "burst": 10000, "cpus": "0-1", "mems": "0",
            "idle": 0},
    "pids": {"limit": 100},
    "blockIO": {"weight": 500, "leafWeight": 300,
                "weightDevice": [{"major": 8, "minor": 0, "weight": 700, "leafWeight": 20}],
                "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1048576}],
                "throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 0}],
                "throttleReadIOPSDevice": [{"major": 8, "minor": 16, "rate": 10}],
                "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 20}]},
    "hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}],
    "rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}},
    "network": {"classID": 1048577, "priorities": [{"name": "eth0", "priority": 500}]}
}"#;

#[test]
fn everything_in_version_1() {
    let expected = "\
cpuset.cpus = 0-1
cpuset.mems = 0
cpu.shares = 512
cpu.cfs_period_us = 100000
cpu.cfs_quota_us = 50000
cpu.cfs_burst_us = 10000
cpu.idle = 0
memory.use_hierarchy = 1 (if there)
memory.limit_in_bytes = 536870912
memory.memsw.limit_in_bytes = 1073741824
memory.soft_limit_in_bytes = 268435456
memory.oom_control = 1
memory.swappiness = 10
pids.max = 100
blkio.weight = 500 | blkio.bfq.weight = 500
blkio.leaf_weight = 300
blkio.weight_device = 8:0 700 | blkio.bfq.weight_device = 8:0 700
blkio.leaf_weight_device = 8:0 20
blkio.throttle.read_bps_device = 8:0 1048576
blkio.throttle.write_bps_device = 8:0 0
blkio.throttle.read_iops_device = 8:16 10
blkio.throttle.write_iops_device = 8:16 20
hugetlb.2MB.limit_in_bytes = 4194304
hugetlb.2MB.rsvd.limit_in_bytes = 4194304 (if there)
rdma.max = mlx5_1 hca_handle=3 hca_object=10000
net_cls.classid = 1048577
net_prio.ifpriomap = eth0 500
# kernel memory has no limit of its own any more: kernel and kernelTCP are left out
";
    assert_eq!(text(v1::plan(&resources(EVERYTHING)).unwrap()), expected);
}

#[test]
fn everything_in_version_2() {
    let expected = "\
cpuset.cpus = 0-1
cpuset.mems = 0
cpu.idle = 0
cpu.weight = 59
cpu.max = 50000 100000
cpu.max.burst = 10000
memory.swap.max = 536870912
memory.max = 536870912
memory.low = 268435456
pids.max = 100
io.bfq.weight = 500 | io.weight = 4950
io.bfq.weight = 8:0 700 | io.weight = 8:0 6970
io.max = 8:0 rbps=1048576
io.max = 8:0 wbps=max
io.max = 8:16 riops=10
io.max = 8:16 wiops=20
hugetlb.2MB.max = 4194304
hugetlb.2MB.rsvd.max = 4194304 (if there)
rdma.max = mlx5_1 hca_handle=3 hca_object=10000
# cgroup v2 cannot disable the OOM killer: disableOOMKiller is left out
# cgroup v2 has no swappiness of its own: swappiness is left out
# kernel memory has no limit of its own any more: kernel and kernelTCP are left out
# cgroup v2 has no leaf weights: leafWeight is left out
# cgroup v2 has no classes and priorities of packets: network limits are left out
";
    assert_eq!(text(v2::plan(&resources(EVERYTHING)).unwrap()), expected);
}

#[test]
fn swap_in_version_2_is_what_is_left_of_memory_and_swap() {
    for (memory, expected) in [
        (r#"{"limit": 100, "swap": 300}"#, "memory.swap.max = 200\nmemory.max = 100\n"),
        (r#"{"limit": 100, "swap": 100}"#, "memory.swap.max = 0 (if there)\nmemory.max = 100\n"),
        (r#"{"limit": 100, "swap": -1}"#, "memory.swap.max = max (if there)\nmemory.max = 100\n"),
        (r#"{"limit": -1}"#, "memory.swap.max = max (if there)\nmemory.max = max\n"),
        (r#"{"limit": -1, "swap": 50}"#, "memory.swap.max = 50\nmemory.max = max\n"),
        (r#"{"limit": 100}"#, "memory.max = 100\n"),
    ] {
        let resources = resources(&format!(r#"{{"memory": {memory}}}"#));
        assert_eq!(text(v2::plan(&resources).unwrap()), expected, "{memory}");
    }
}

#[test]
fn values_that_cannot_be_are_refused_by_name() {
    type Planner = fn(&Resources) -> super::Result<Plan>;
    let (one, two): (Planner, Planner) = (v1::plan, v2::plan);
    for (planner, json, expected) in [
        (one, r#"{"cpu": {"shares": 1}}"#, "the minimum allowed cpu-shares is 2"),
        (one, r#"{"cpu": {"shares": 300000}}"#, "the maximum allowed cpu-shares is 262144"),
        (
            one,
            r#"{"memory": {"swappiness": 101}}"#,
            "invalid memory swappiness value: 101 (valid range is 0-100)",
        ),
        (
            one,
            r#"{"unified": {"memory.high": "1"}}"#,
            "invalid configuration: cannot use unified on cgroup v1",
        ),
        (one, r#"{"hugepageLimits": [{"pageSize": "../x"}]}"#, "invalid name \"../x\" in the limits"),
        (two, r#"{"memory": {"swap": 1}}"#, "unable to set swap limit without memory limit"),
        (two, r#"{"memory": {"limit": 2, "swap": 1}}"#, "memory+swap limit should be >= memory limit"),
        (two, r#"{"cpu": {"cpus": "0\n1"}}"#, "invalid list of processors or memory nodes \"0\\n1\""),
        (
            two,
            r#"{"cpu": {"realtimeRuntime": 1}}"#,
            "cgroup v2 has no real-time limits: realtimeRuntime and realtimePeriod",
        ),
        (
            two,
            r#"{"unified": {"../cgroup.procs": "1"}}"#,
            "unified resource \"../cgroup.procs\" must be in the form CONTROLLER.PARAMETER",
        ),
    ] {
        assert_eq!(planner(&resources(json)).unwrap_err().to_string(), expected);
    }
}

#[test]
fn unified_files_are_written_line_by_line() {
    let json = r#"{"unified": {"io.max": "8:0 rbps=1\n8:16 rbps=2", "memory.high": "1000"}}"#;
    let expected = "io.max = 8:0 rbps=1\nio.max = 8:16 rbps=2\nmemory.high = 1000\n";
    assert_eq!(text(v2::plan(&resources(json)).unwrap()), expected);
}

#[test]
fn no_limit_and_half_a_limit_of_time() {
    for (cpu, expected) in [
        (r#"{"quota": -1, "period": 50000}"#, "cpu.max = max 50000\n"),
        (r#"{"quota": 20000}"#, "cpu.max = 20000\n"),
        (r#"{"period": 50000}"#, "cpu.max = max 50000\n"),
        (r#"{"shares": 1024, "idle": 1}"#, "cpu.idle = 1\n"),
        (r#"{"quota": 0, "shares": 0}"#, ""),
    ] {
        let resources = resources(&format!(r#"{{"cpu": {cpu}}}"#));
        assert_eq!(text(v2::plan(&resources).unwrap()), expected, "{cpu}");
    }
}

#[test]
fn weights_meet_both_ends_and_the_default() {
    let weights = [0, 2, 3, 512, 1024, 2048, 262_144, u64::MAX].map(v2::weight_of_shares);
    assert_eq!(weights, [1, 1, 2, 59, 100, 174, 10_000, 10_000]);
}
