//! Stories on the real kernel, in whatever version it has, below a cgroup of our own.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use dhow_oci::runtime::Resources;
use rustix::process::Pid;

use super::*;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A cgroup that is removed at the end of the story, and its processes before.
struct Group {
    cgroup: Cgroup,
    above: Cgroup,
}

impl Group {
    /// None, with a word why, where there can be no cgroups.
    fn new() -> Option<Self> {
        let layout = Layout::detect().unwrap();
        let above = format!("/dhow-test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = CgroupPath::parse(&format!("{above}/container")).unwrap();
        let cgroup = Cgroup::create(&layout, &path).unwrap();
        if !cgroup.exists() {
            eprintln!("skipped: no cgroup can be made here: {:?}", cgroup.missing().collect::<Vec<_>>());
            return None;
        }
        let above = Cgroup::open(&layout, &CgroupPath::parse(&above).unwrap()).unwrap();
        Some(Self { cgroup, above })
    }

    fn read(&self, controller: Controller, v1: &str, v2: &str) -> Option<String> {
        let file = if self.cgroup.version() == Version::V1 { v1 } else { v2 };
        let directory = self.cgroup.directory(controller)?;
        Some(files::read_value(directory.fd(), file).ok()?.trim().to_owned())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = self.cgroup.kill_all();
        let _ = self.cgroup.delete();
        let _ = self.above.delete();
    }
}

fn resources(json: &str) -> Resources {
    serde_json::from_str(json).unwrap()
}

fn shell(script: &str) -> Child {
    Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

#[test]
fn limits_are_read_back_from_the_kernel() {
    let Some(group) = Group::new() else { return };
    let limits = r#"{"memory": {"limit": 104857600}, "pids": {"limit": 77},
                     "cpu": {"shares": 2048, "quota": 50000, "period": 200000, "cpus": "0"}}"#;
    group.cgroup.apply(&resources(limits)).unwrap();
    assert_eq!(group.read(Controller::Memory, "memory.limit_in_bytes", "memory.max").unwrap(), "104857600");
    assert_eq!(group.read(Controller::Pids, "pids.max", "pids.max").unwrap(), "77");
    assert_eq!(group.read(Controller::Cpuset, "cpuset.cpus", "cpuset.cpus").unwrap(), "0");
    let expected = if group.cgroup.version() == Version::V1 { "50000" } else { "50000 200000" };
    assert_eq!(group.read(Controller::Cpu, "cpu.cfs_quota_us", "cpu.max").unwrap(), expected);
    let stats = group.cgroup.stats();
    assert_eq!((stats.memory.usage.limit, stats.pids.limit), (104_857_600, 77));
    assert_eq!(stats.cpuset.cpus, [0]);
}

#[test]
fn a_live_container_is_given_more_and_less_in_either_order() {
    let Some(group) = Group::new() else { return };
    // With each step, one of a pair of limits does not fit the other's old value.
    for (quota, period) in [(50_000, 100_000), (400_000, 500_000), (2_000, 1_000), (20_000, 100_000)] {
        let limits = format!(r#"{{"cpu": {{"quota": {quota}, "period": {period}}}}}"#);
        group.cgroup.update(&resources(&limits)).unwrap();
    }
    for limit in [64 << 20, 256 << 20, 32 << 20] {
        let swap = if has_swap(&group) { limit * 2 } else { 0 };
        let limits = format!(r#"{{"memory": {{"limit": {limit}, "swap": {swap}}}}}"#);
        group.cgroup.update(&resources(&limits)).unwrap();
        assert_eq!(group.cgroup.stats().memory.usage.limit, limit);
    }
    let error = group.cgroup.update(&resources(r#"{"memory": {"limit": 4096, "checkBeforeUpdate": true}}"#));
    // Nothing is used yet, so that even this fits, or the kernel finds it too little.
    if let Err(error) = error {
        assert!(error.report().contains("limit"), "{}", error.report());
    }
    group.cgroup.update(&resources(r#"{"memory": {"limit": -1}}"#)).unwrap();
}

fn has_swap(group: &Group) -> bool {
    group.read(Controller::Memory, "memory.memsw.limit_in_bytes", "memory.swap.max").is_some()
}

#[test]
fn a_process_is_inside_with_its_children_and_all_are_killed() {
    let Some(group) = Group::new() else { return };
    let mut child = shell("read go; sleep 1000 & sleep 1000 & echo born; wait");
    group.cgroup.attach(pid(&child)).unwrap();
    drop(child.stdin.take());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line)
        .unwrap();
    assert_eq!(line, "born\n");
    assert_eq!(group.cgroup.processes().unwrap().len(), 3);
    assert_eq!(group.cgroup.stats().pids.current, 3);
    group.cgroup.kill_all().unwrap();
    assert!(!child.wait().unwrap().success());
    group.cgroup.delete().unwrap();
    assert!(!group.cgroup.directories()[0].path.exists());
    group.cgroup.delete().unwrap();
}

#[test]
fn an_empty_cgroup_goes_at_once_and_one_with_processes_stays_as_it_is() {
    let Some(group) = Group::new() else { return };
    let (layout, place) = (Layout::detect().unwrap(), group.cgroup.directories()[0].path.clone());
    let name = |path: &std::path::Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let path = format!("/{}/{}", name(place.parent().unwrap()), name(&place));
    let path = CgroupPath::parse(&path).unwrap();
    let processors = group.read(Controller::Cpuset, "cpuset.cpus", "cpuset.cpus");
    let mut child = shell("read go");
    group.cgroup.attach(pid(&child)).unwrap();
    assert!(!Cgroup::delete_empty(&layout, &path));
    assert_eq!(group.cgroup.processes().unwrap(), [pid(&child)]);
    assert_eq!(group.read(Controller::Cpuset, "cpuset.cpus", "cpuset.cpus"), processors);
    drop(child.stdin.take());
    child.wait().unwrap();
    assert!(Cgroup::delete_empty(&layout, &path));
    assert!(!group.cgroup.directories().iter().any(|directory| directory.path.exists()));
    assert!(Cgroup::delete_empty(&layout, &path), "that it is gone already is no error");
}

#[test]
fn a_frozen_container_stands_still_until_it_is_thawed() {
    let Some(group) = Group::new() else { return };
    let mut child = shell("while :; do :; done");
    group.cgroup.attach(pid(&child)).unwrap();
    group.cgroup.freeze().unwrap();
    assert!(group.cgroup.is_frozen());
    let before = group.cgroup.stats().cpu.usage.total;
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(group.cgroup.stats().cpu.usage.total, before, "it used time while it was frozen");
    group.cgroup.thaw().unwrap();
    assert!(!group.cgroup.is_frozen());
    group.cgroup.freeze().unwrap();
    group.cgroup.kill_all().unwrap();
    assert!(!child.wait().unwrap().success(), "it dies although it is frozen");
}

#[test]
fn without_the_one_write_that_kills_all_are_killed_all_the_same() {
    let Some(group) = Group::new() else { return };
    // A shell that forks as fast as it can, until it is killed.
    let mut child = shell("read go; f() { while :; do (sleep 9) & done; }; f");
    group.cgroup.apply(&resources(r#"{"pids": {"limit": 200}}"#)).unwrap();
    group.cgroup.attach(pid(&child)).unwrap();
    drop(child.stdin.take());
    group.cgroup.kill_one_by_one().unwrap();
    assert!(!child.wait().unwrap().success());
    group.cgroup.delete().unwrap();
}

#[test]
fn more_processes_than_allowed_are_not_born() {
    let Some(group) = Group::new() else { return };
    group.cgroup.apply(&resources(r#"{"pids": {"limit": 1}}"#)).unwrap();
    let mut child = shell("read go; sleep 0; echo born");
    group.cgroup.attach(pid(&child)).unwrap();
    drop(child.stdin.take());
    assert!(!child.wait().unwrap().success());
}

#[test]
fn the_device_rules_hold() {
    let Some(group) = Group::new() else { return };
    let deny_zero = r#"{"devices": [{"allow": false, "access": "rwm"}]}"#;
    group.cgroup.apply(&resources(deny_zero)).unwrap();
    assert_eq!(open_in(&group, "/dev/null /dev/kmsg"), "/dev/null\n");
    group
        .cgroup
        .update(&resources(
            r#"{"devices": [{"allow": true, "type": "c", "major": 1, "minor": 11, "access": "r"}]}"#,
        ))
        .unwrap();
    assert_eq!(open_in(&group, "/dev/null /dev/kmsg"), "/dev/null\n/dev/kmsg\n");
    group.cgroup.update(&resources(r#"{"pids": {"limit": 50}}"#)).unwrap();
    assert_eq!(open_in(&group, "/dev/kmsg"), "/dev/kmsg\n", "rules that are not given stay");
    group.cgroup.update(&resources(deny_zero)).unwrap();
    assert_eq!(open_in(&group, "/dev/kmsg"), "");
}

/// Which of some files a process inside can open for reading.
fn open_in(group: &Group, files: &str) -> String {
    let mut child = shell(&format!("read go; for f in {files}; do (: < $f) 2>/dev/null && echo $f; done"));
    group.cgroup.attach(pid(&child)).unwrap();
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn want_of_memory_is_told_and_counted() {
    let Some(group) = Group::new() else { return };
    let swap = if has_swap(&group) { r#", "swap": 20971520"# } else { "" };
    group.cgroup.apply(&resources(&format!(r#"{{"memory": {{"limit": 20971520{swap}}}}}"#))).unwrap();
    assert_eq!(group.cgroup.oom_kills(), Some(0));
    let watch = group.cgroup.oom_watch().unwrap();
    let mut child = shell("read go; head -c 200000000 /dev/zero | tail");
    group.cgroup.attach(pid(&child)).unwrap();
    drop(child.stdin.take());
    child.wait().unwrap();
    let mut polled = [rustix::event::PollFd::new(&watch, rustix::event::PollFlags::IN)];
    assert_eq!(
        rustix::event::poll(&mut polled, Some(&rustix::time::Timespec { tv_sec: 10, tv_nsec: 0 })),
        Ok(1)
    );
    watch.clear();
    assert!(group.cgroup.oom_kills().unwrap() > 0);
}

#[test]
fn cgroups_that_the_container_made_go_with_it() {
    let Some(group) = Group::new() else { return };
    for directory in group.cgroup.directories() {
        std::fs::create_dir_all(directory.path.join("inner/most")).unwrap();
    }
    group.cgroup.delete().unwrap();
    assert!(group.cgroup.directories().iter().all(|directory| !directory.path.exists()));
}

#[test]
fn it_is_found_again_by_its_path() {
    let Some(group) = Group::new() else { return };
    let above = group.above.directories()[0].relative.clone();
    let path = CgroupPath::parse(&format!("/{above}/container")).unwrap();
    let again = Cgroup::open(&Layout::detect().unwrap(), &path).unwrap();
    assert_eq!(again.directories().len(), group.cgroup.directories().len());
    let other = CgroupPath::parse(&format!("/{above}/other")).unwrap();
    assert!(!Cgroup::open(&Layout::detect().unwrap(), &other).unwrap().exists());
}

#[test]
fn a_limit_whose_controller_is_not_there_is_an_error_that_names_it() {
    let Some(group) = Group::new() else { return };
    let limits = resources(r#"{"rdma": {"mlx5_0": {"hcaHandles": 1}}}"#);
    if group.cgroup.directory(Controller::Rdma).is_some() && group.cgroup.version() == Version::V1 {
        eprintln!("skipped: there is an rdma controller");
        return;
    }
    let error = group.cgroup.apply(&limits).unwrap_err();
    assert!(error.report().contains("rdma"), "{}", error.report());
}

/// Runs itself again in a mount namespace whose hierarchies are read-only.
#[test]
fn read_only_hierarchies_are_told_and_the_rest_works() {
    if std::env::var_os("DHOW_TEST_READ_ONLY").is_none() {
        let script = "for m in $(while read a m t b; do case $t in cgroup*) echo $m;; esac; done < /proc/mounts); \
                      do mount -o remount,bind,ro $m || exit 77; done; \
                      exec \"$0\" --exact cgroups::tests::read_only_hierarchies_are_told_and_the_rest_works";
        let status = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", script])
            .arg(std::env::current_exe().unwrap())
            .env("DHOW_TEST_READ_ONLY", "1")
            .status();
        match status {
            Ok(status) if status.code() == Some(77) => eprintln!("skipped: mounts cannot be changed here"),
            Ok(status) => assert!(status.success(), "{status}"),
            Err(error) => eprintln!("skipped: no unshare(1): {error}"),
        }
        return;
    }
    let path = CgroupPath::parse("/dhow-test-read-only/container").unwrap();
    let cgroup = Cgroup::create(&Layout::detect().unwrap(), &path).unwrap();
    assert!(!cgroup.exists());
    assert!(cgroup.missing().all(|line| line.contains("Read-only file system")), "{:?}", cgroup.missing);
    assert!(cgroup.missing().count() > 0);

    let Applied { notes, devices } = cgroup.apply(&resources("{}")).unwrap();
    assert_eq!((notes.len(), devices), (1, DeviceRules::LeftOut));
    let everything = resources(r#"{"devices": [{"allow": true, "access": "rwm"}]}"#);
    assert_eq!(cgroup.apply(&everything).unwrap().devices, DeviceRules::InForce);
    assert!(notes[0].starts_with("device rules are left out"), "{notes:?}");
    let error = cgroup.apply(&resources(r#"{"memory": {"limit": 104857600}}"#)).unwrap_err().to_string();
    assert!(error.starts_with("the cgroup controller memory cannot be used"), "{error}");
    assert!(error.ends_with("Read-only file system (os error 30)"), "{error}");

    assert_eq!(cgroup.processes().unwrap(), []);
    assert_eq!(cgroup.stats(), stats::Stats::default());
    assert!(!cgroup.is_frozen());
    cgroup.kill_all().unwrap();
    cgroup.delete().unwrap();
}
