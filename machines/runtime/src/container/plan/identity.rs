//! Who the program is and what it may do.

use dhow_oci::runtime::{ExecCpuAffinity, IoPriority, Linux, Process, Scheduler};
use dhow_sys::process::SchedulerAttributes;

use super::super::error::{Error, Result};

/// Identity and rights of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdentityPlan {
    /// User, in the container's user namespace.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// umask(2); nothing is 022.
    pub umask: Option<u32>,
    /// Names of the five sets; a configuration that says nothing gives none.
    pub capabilities: dhow_oci::runtime::Capabilities,
    /// `(resource, soft, hard)` of setrlimit(2).
    pub limits: Vec<(u32, u64, u64)>,
    /// No program that it executes gains rights.
    pub no_new_privileges: bool,
    /// The AppArmor profile; empty for none.
    pub apparmor: String,
    /// The SELinux label; empty for none.
    pub selinux: String,
    /// The badness adjustment.
    pub oom_score: Option<i32>,
    /// sched_setattr(2).
    pub scheduler: Option<SchedulerAttributes>,
    /// ioprio_set(2): class and level.
    pub io_priority: Option<(u32, u32)>,
    /// Processors before the process is in its cgroup: of an exec alone.
    pub first_affinity: Vec<usize>,
    /// Processors, from the program's execution on: of an exec alone.
    pub affinity: Vec<usize>,
    /// personality(2).
    pub personality: Option<u64>,
}

impl IdentityPlan {
    /// It can make no device nodes.
    pub fn forgo_device_nodes(&mut self) {
        let sets = &mut self.capabilities;
        for set in [
            &mut sets.bounding,
            &mut sets.effective,
            &mut sets.permitted,
            &mut sets.inheritable,
            &mut sets.ambient,
        ] {
            set.retain(|name| name != "CAP_MKNOD");
        }
    }
}

/// The limits of setrlimit(2), by number.
/// The limits by their numbers.
pub(crate) const LIMITS: [&str; 16] = [
    "CPU",
    "FSIZE",
    "DATA",
    "STACK",
    "CORE",
    "RSS",
    "NPROC",
    "NOFILE",
    "MEMLOCK",
    "AS",
    "LOCKS",
    "SIGPENDING",
    "MSGQUEUE",
    "NICE",
    "RTPRIO",
    "RTTIME",
];
const POLICIES: [(&str, u32); 7] = [
    ("SCHED_OTHER", 0),
    ("SCHED_FIFO", 1),
    ("SCHED_RR", 2),
    ("SCHED_BATCH", 3),
    ("SCHED_ISO", 4),
    ("SCHED_IDLE", 5),
    ("SCHED_DEADLINE", 6),
];
const SCHEDULER_FLAGS: [(&str, u64); 7] = [
    ("SCHED_FLAG_RESET_ON_FORK", 0x01),
    ("SCHED_FLAG_RECLAIM", 0x02),
    ("SCHED_FLAG_DL_OVERRUN", 0x04),
    ("SCHED_FLAG_KEEP_POLICY", 0x08),
    ("SCHED_FLAG_KEEP_PARAMS", 0x10),
    ("SCHED_FLAG_UTIL_CLAMP_MIN", 0x20),
    ("SCHED_FLAG_UTIL_CLAMP_MAX", 0x40),
];

/// The name of a limit: `RLIMIT_NOFILE`.
pub(in super::super) fn limit_name(resource: u32) -> String {
    let name = usize::try_from(resource).ok().and_then(|number| LIMITS.get(number));
    format!("RLIMIT_{}", name.unwrap_or(&"?"))
}

/// Works out the identity of a process.
///
/// # Errors
/// Stage `Configuration`, naming the member that is wrong.
pub fn plan(process: &Process) -> Result<IdentityPlan> {
    if process.user.umask.is_some_and(|mask| mask > 0o777) {
        return Err(Error::configuration("process.user.umask is no mask of permissions"));
    }
    Ok(IdentityPlan {
        uid: process.user.uid,
        gid: process.user.gid,
        groups: process.user.additional_gids.clone(),
        umask: process.user.umask,
        capabilities: process.capabilities.clone().unwrap_or_default(),
        limits: limits(process)?,
        no_new_privileges: process.no_new_privileges,
        apparmor: process.apparmor_profile.clone(),
        selinux: process.selinux_label.clone(),
        oom_score: oom_score(process)?,
        scheduler: process.scheduler.as_ref().map(scheduler).transpose()?,
        io_priority: process.io_priority.as_ref().map(io_priority).transpose()?,
        ..IdentityPlan::default()
    })
}

/// The same for one more process in a container, which has processors of its own.
///
/// # Errors
/// As [`plan`].
pub fn plan_exec(process: &Process) -> Result<IdentityPlan> {
    let none = ExecCpuAffinity::default();
    let affinity = process.exec_cpu_affinity.as_ref().unwrap_or(&none);
    Ok(IdentityPlan {
        first_affinity: processors(&affinity.initial)?,
        affinity: processors(&affinity.last)?,
        ..plan(process)?
    })
}

/// The execution domain of a container's processes.
///
/// # Errors
/// A domain that is unknown; flags, of which the specification has none.
pub fn personality(linux: &Linux) -> Result<Option<u64>> {
    let Some(given) = &linux.personality else { return Ok(None) };
    if !given.flags.is_empty() {
        return Err(Error::configuration("linux.personality: flags are not supported"));
    }
    match given.domain.as_str() {
        "LINUX" => Ok(Some(0)),
        "LINUX32" => Ok(Some(8)),
        other => Err(Error::configuration(format!("linux.personality: domain {other:?} is unknown"))),
    }
}

fn limits(process: &Process) -> Result<Vec<(u32, u64, u64)>> {
    let mut seen: Vec<(u32, u64, u64)> = Vec::new();
    for limit in &process.rlimits {
        let name = limit.kind.strip_prefix("RLIMIT_").unwrap_or_default();
        let number = LIMITS.iter().position(|known| *known == name).and_then(|n| u32::try_from(n).ok());
        let number =
            number.ok_or_else(|| Error::configuration(format!("invalid rlimit type: {}", limit.kind)))?;
        if seen.iter().any(|(other, ..)| *other == number) {
            return Err(Error::configuration(format!("rlimit {} is given twice", limit.kind)));
        }
        seen.push((number, limit.soft, limit.hard));
    }
    Ok(seen)
}

fn oom_score(process: &Process) -> Result<Option<i32>> {
    match process.oom_score_adj {
        Some(score) if !(-1000..=1000).contains(&score) => {
            Err(Error::configuration(format!("process.oomScoreAdj {score} is not in -1000..1000")))
        }
        score => Ok(score),
    }
}

fn scheduler(given: &Scheduler) -> Result<SchedulerAttributes> {
    let wrong = |what: &str| Error::configuration(format!("process.scheduler: {what}"));
    let policy = POLICIES.iter().find(|(name, _)| *name == given.policy);
    let (_, policy) = policy.ok_or_else(|| wrong(&format!("policy {:?} is unknown", given.policy)))?;
    let mut flags = 0;
    for flag in &given.flags {
        let known = SCHEDULER_FLAGS.iter().find(|(name, _)| name == flag);
        flags |= known.ok_or_else(|| wrong(&format!("flag {flag:?} is unknown")))?.1;
    }
    let nice = given.nice.unwrap_or(0);
    if !(-20..=19).contains(&nice) {
        return Err(wrong("nice is not in -20..19"));
    }
    Ok(SchedulerAttributes {
        policy: *policy,
        flags,
        nice,
        priority: u32::try_from(given.priority.unwrap_or(0)).map_err(|_| wrong("priority is negative"))?,
        runtime: given.runtime.unwrap_or(0),
        deadline: given.deadline.unwrap_or(0),
        period: given.period.unwrap_or(0),
    })
}

fn io_priority(given: &IoPriority) -> Result<(u32, u32)> {
    let class = match given.class.as_str() {
        "IOPRIO_CLASS_RT" => 1,
        "IOPRIO_CLASS_BE" => 2,
        "IOPRIO_CLASS_IDLE" => 3,
        other => return Err(Error::configuration(format!("invalid ioPriority.Class: {other}"))),
    };
    match u32::try_from(given.priority) {
        Ok(level @ 0..=7) => Ok((class, level)),
        _ => Err(Error::configuration("ioPriority.priority is not in 0..7")),
    }
}

/// Reads `0-3,7`.
pub(crate) fn processors(list: &str) -> Result<Vec<usize>> {
    let wrong = || Error::configuration(format!("{list:?} is no list of processors"));
    let mut all = Vec::new();
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: usize = first.parse().map_err(|_| wrong())?;
        let last: usize = last.parse().map_err(|_| wrong())?;
        if first > last || last > 1023 {
            return Err(wrong());
        }
        all.extend(first..=last);
    }
    Ok(all)
}
