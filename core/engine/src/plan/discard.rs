//! What this machine's kernel cannot limit: taken away before anything is made, and told in Docker's
//! words, so that the rest works.

use dhow_model::container::HostConfig;
use dhow_model::ports::HostFacts;

/// Takes away what cannot be had, and answers what the user should know.
pub fn discard(host: &mut HostConfig, facts: &HostFacts) -> Vec<String> {
    let has = |name: &str| facts.controllers.iter().any(|controller| controller == name);
    let mut warnings = Vec::new();
    memory(host, facts, has("memory"), &mut warnings);
    if !has("pids") && host.pids_limit.take().is_some_and(|limit| limit > 0) {
        warnings.push("Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.".into());
    }
    processors(host, has("cpu"), has("cpuset"), &mut warnings);
    block(host, has("blkio"), has("blkio.weight"), &mut warnings);
    profile(host, facts, &mut warnings);
    processes(host, facts, &mut warnings);
    warnings
}

/// Docker's runtime fails at the start. What there is is more than nothing, but less than what was asked for.
fn processes(host: &mut HostConfig, facts: &HostFacts, warnings: &mut Vec<String>) {
    if host.oom_score_adj < facts.least_oom_score {
        let (asked, least) = (host.oom_score_adj, facts.least_oom_score);
        warnings.push(format!("OOM score {asked} cannot be had here. It is {least}."));
        host.oom_score_adj = least;
    }
    for limit in host.ulimits.iter_mut().flatten() {
        let most = facts.hard_limits.get(&limit.name).and_then(|most| i64::try_from(*most).ok());
        let Some(most) = most.filter(|most| limit.hard < 0 || limit.hard > *most) else { continue };
        warnings.push(format!("Ulimit {} of {} cannot be had here. It is {most}.", limit.name, limit.hard));
        limit.hard = most;
        limit.soft = if limit.soft < 0 { most } else { limit.soft.min(most) };
    }
}

/// Docker says nothing here; whoever asks for confinement should know that there is none.
fn profile(host: &HostConfig, facts: &HostFacts, warnings: &mut Vec<String>) {
    let options = host.security_opt.iter().flatten();
    let mut asked = options
        .filter_map(|option| option.strip_prefix("apparmor").map(|rest| rest.trim_start_matches(['=', ':'])));
    if let Some(profile) = asked.find(|profile| !facts.apparmor && *profile != "unconfined") {
        warnings.push(format!("Your kernel does not support AppArmor. Profile {profile} discarded."));
    }
}

fn memory(host: &mut HostConfig, facts: &HostFacts, limited: bool, warnings: &mut Vec<String>) {
    if host.memory > 0 && !limited {
        warnings.push("Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.".into());
        (host.memory, host.memory_swap) = (0, -1);
    }
    if host.memory_reservation > 0 && !limited {
        warnings.push("Your kernel does not support memory soft limit capabilities or the cgroup is not mounted. Limitation discarded.".into());
        host.memory_reservation = 0;
    }
    // Version 2 has neither.
    let first = limited && facts.cgroup_version == 1;
    if host.memory_swappiness == Some(-1) {
        host.memory_swappiness = None;
    }
    if !first && host.memory_swappiness.take().is_some() {
        warnings.push("Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.".into());
    }
    if !first && host.oom_kill_disable.take() == Some(true) {
        warnings.push("Your kernel does not support OomKillDisable. OomKillDisable discarded.".into());
    }
    if host.oom_kill_disable == Some(true) && host.memory == 0 {
        warnings.push("OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.".into());
    }
}

fn processors(host: &mut HostConfig, timed: bool, chosen: bool, warnings: &mut Vec<String>) {
    if host.cpu_shares > 0 && !timed {
        warnings.push(
            "Your kernel does not support CPU shares or the cgroup is not mounted. Shares discarded.".into(),
        );
        host.cpu_shares = 0;
    }
    if (host.cpu_period != 0 || host.cpu_quota != 0) && !timed {
        warnings.push("Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.".into());
        (host.cpu_period, host.cpu_quota) = (0, 0);
    }
    let wanted = !host.cpuset_cpus.is_empty() || !host.cpuset_mems.is_empty();
    if wanted && !chosen {
        warnings.push(
            "Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.".into(),
        );
        host.cpuset_cpus.clear();
        host.cpuset_mems.clear();
    }
}

fn block(host: &mut HostConfig, throttled: bool, weighed: bool, warnings: &mut Vec<String>) {
    if host.blkio_weight > 0 && !weighed {
        warnings.push(
            "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded."
                .into(),
        );
        host.blkio_weight = 0;
    }
    let set = |list: &Option<Vec<_>>| list.as_ref().is_some_and(|list| !list.is_empty());
    if host.blkio_weight_device.as_ref().is_some_and(|list| !list.is_empty()) && !weighed {
        warnings.push("Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.".into());
        host.blkio_weight_device = None;
    }
    let limits = [
        (&mut host.blkio_device_read_bps, "BPS Block I/O read", "Block I/O BPS read"),
        (&mut host.blkio_device_write_bps, "BPS Block I/O write", "Block I/O BPS write"),
        (&mut host.blkio_device_read_iops, "IOPS Block read", "Block I/O IOPS read"),
        (&mut host.blkio_device_write_iops, "IOPS Block write", "Block I/O IOPS write"),
    ];
    for (limit, what, which) in limits {
        if set(limit) && !throttled {
            warnings.push(format!(
                "Your kernel does not support {what} limit or the cgroup is not mounted. {which} limit discarded."
            ));
            *limit = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use dhow_model::container::Ulimit;

    use super::*;

    fn asked() -> HostConfig {
        HostConfig {
            memory: 64 << 20,
            cpu_shares: 5,
            blkio_weight: 100,
            memory_swappiness: Some(5),
            oom_kill_disable: Some(true),
            pids_limit: Some(9),
            ..HostConfig::default()
        }
    }

    fn facts(controllers: &[&str], cgroup_version: u32) -> HostFacts {
        let controllers = controllers.iter().map(|name| (*name).to_owned()).collect();
        HostFacts { controllers, cgroup_version, ..HostFacts::default() }
    }

    #[test]
    fn what_can_be_had_stays_and_the_rest_is_told() {
        let mut host = asked();
        assert!(
            discard(&mut host, &facts(&["memory", "cpu", "pids", "blkio", "blkio.weight"], 1)).is_empty()
        );
        assert_eq!(host, asked());

        host.security_opt = Some(vec!["apparmor=unconfined".into()]);
        assert!(
            discard(&mut host, &facts(&["memory", "cpu", "pids", "blkio", "blkio.weight"], 1)).is_empty()
        );
        host.security_opt = Some(vec!["apparmor=strict".into()]);
        let told = discard(&mut host, &facts(&["memory", "cpu", "pids", "blkio", "blkio.weight"], 1));
        assert_eq!(told, ["Your kernel does not support AppArmor. Profile strict discarded."]);
        host.security_opt = None;

        let told = discard(&mut host, &facts(&["memory", "cpu", "pids", "blkio"], 2));
        assert_eq!(told.len(), 3, "{told:?}");
        assert_eq!((host.memory, host.blkio_weight, host.memory_swappiness), (64 << 20, 0, None));

        let mut poor = facts(&["memory", "cpu", "pids", "blkio", "blkio.weight"], 1);
        poor.hard_limits = [("nofile".to_owned(), 1024), ("nproc".to_owned(), 50)].into();
        let limit = |name: &str, soft, hard| Ulimit { name: name.into(), soft, hard };
        let limits = [limit("nofile", -1, -1), limit("nproc", 9, 50), limit("core", -1, -1)];
        let mut host = HostConfig { oom_score_adj: -5, ulimits: Some(limits.into()), ..asked() };
        let told = discard(&mut host, &poor);
        assert_eq!(
            told,
            [
                "OOM score -5 cannot be had here. It is 0.",
                "Ulimit nofile of -1 cannot be had here. It is 1024."
            ]
        );
        let lowered = [limit("nofile", 1024, 1024), limit("nproc", 9, 50), limit("core", -1, -1)];
        assert_eq!((host.oom_score_adj, host.ulimits), (0, Some(lowered.into())));

        let mut host = asked();
        let told = discard(&mut host, &facts(&[], 1));
        assert_eq!(told.len(), 6, "{told:?}");
        assert_eq!(
            (host.memory, host.cpu_shares, host.pids_limit, host.oom_kill_disable),
            (0, 0, None, None)
        );
    }
}
