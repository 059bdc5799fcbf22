//! What an update makes of the settings of a container (pure).

use dhow_model::container::HostConfig;
use dhow_model::{Error, Result};

use crate::restart::policy;

/// The settings after an update: what `wanted` says nothing about stays.
///
/// # Errors
/// Conflict or invalid argument, in Docker's words, for what does not fit together.
pub(crate) fn merged(old: &HostConfig, wanted: &HostConfig) -> Result<HostConfig> {
    processors(old, wanted)?;
    let mut new = old.clone();
    for (to, from) in [
        (&mut new.cpu_shares, wanted.cpu_shares),
        (&mut new.nano_cpus, wanted.nano_cpus),
        (&mut new.cpu_period, wanted.cpu_period),
        (&mut new.cpu_quota, wanted.cpu_quota),
        (&mut new.cpu_realtime_period, wanted.cpu_realtime_period),
        (&mut new.cpu_realtime_runtime, wanted.cpu_realtime_runtime),
        (&mut new.memory_reservation, wanted.memory_reservation),
        (&mut new.memory_swap, wanted.memory_swap),
        (&mut new.memory, wanted.memory),
    ] {
        if from != 0 {
            *to = from;
        }
    }
    memory(old, wanted, &new)?;
    if wanted.blkio_weight != 0 {
        new.blkio_weight = wanted.blkio_weight;
    }
    for (to, from) in
        [(&mut new.cpuset_cpus, &wanted.cpuset_cpus), (&mut new.cpuset_mems, &wanted.cpuset_mems)]
    {
        if !from.is_empty() {
            to.clone_from(from);
        }
    }
    if wanted.blkio_weight_device.is_some() {
        new.blkio_weight_device.clone_from(&wanted.blkio_weight_device);
    }
    for (to, from) in [
        (&mut new.blkio_device_read_bps, &wanted.blkio_device_read_bps),
        (&mut new.blkio_device_write_bps, &wanted.blkio_device_write_bps),
        (&mut new.blkio_device_read_iops, &wanted.blkio_device_read_iops),
        (&mut new.blkio_device_write_iops, &wanted.blkio_device_write_iops),
    ] {
        if from.is_some() {
            to.clone_from(from);
        }
    }
    new.pids_limit = wanted.pids_limit.or(new.pids_limit);
    restart_policy(&mut new, wanted)?;
    Ok(new)
}

fn processors(old: &HostConfig, wanted: &HostConfig) -> Result<()> {
    for (set, already, what, other) in [
        (wanted.nano_cpus, old.cpu_period, "Nano CPUs", "CPU Period"),
        (wanted.nano_cpus, old.cpu_quota, "Nano CPUs", "CPU Quota"),
        (wanted.cpu_period, old.nano_cpus, "CPU Period", "NanoCPUs"),
        (wanted.cpu_quota, old.nano_cpus, "CPU Quota", "NanoCPUs"),
    ] {
        if set > 0 && already > 0 {
            return Err(Error::conflict(format!(
                "Conflicting options: {what} cannot be updated as {other} has already been set"
            )));
        }
    }
    Ok(())
}

fn memory(old: &HostConfig, wanted: &HostConfig, new: &HostConfig) -> Result<()> {
    // No limit of memory and swap together is no number that could be too small.
    if wanted.memory > old.memory_swap && wanted.memory_swap == 0 && old.memory_swap != -1 {
        return Err(Error::conflict(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
        ));
    }
    if wanted.memory_swap > 0 && new.memory > new.memory_swap {
        return Err(Error::conflict(
            "Minimum memoryswap limit should be larger than memory limit, see usage",
        ));
    }
    Ok(())
}

fn restart_policy(new: &mut HostConfig, wanted: &HostConfig) -> Result<()> {
    if wanted.restart_policy.name.is_empty() {
        return Ok(());
    }
    if new.auto_remove && policy::is_set(&wanted.restart_policy) {
        return Err(Error::conflict(
            "Restart policy cannot be updated because AutoRemove is enabled for the container",
        ));
    }
    new.restart_policy.clone_from(&wanted.restart_policy);
    Ok(())
}

#[cfg(test)]
mod tests {
    use dhow_model::container::RestartPolicy;

    use super::*;

    const MIB: i64 = 1 << 20;

    #[test]
    fn what_is_not_said_stays() {
        let old = HostConfig {
            memory: 64 * MIB,
            memory_swap: 128 * MIB,
            cpu_shares: 512,
            pids_limit: Some(9),
            cpuset_cpus: "0".into(),
            ..HostConfig::default()
        };
        let wanted = HostConfig { cpu_shares: 256, pids_limit: Some(0), ..HostConfig::default() };
        let expected = HostConfig { cpu_shares: 256, pids_limit: Some(0), ..old.clone() };
        assert_eq!(merged(&old, &wanted).unwrap(), expected);
        let wanted = HostConfig { memory: 100 * MIB, cpuset_cpus: "1".into(), ..HostConfig::default() };
        let expected = HostConfig { memory: 100 * MIB, cpuset_cpus: "1".into(), ..old.clone() };
        assert_eq!(merged(&old, &wanted).unwrap(), expected);
        assert_eq!(merged(&old, &HostConfig::default()).unwrap(), old);
    }

    #[test]
    fn what_does_not_fit_is_refused_in_dockers_words() {
        let limited = HostConfig { memory: 64 * MIB, memory_swap: 128 * MIB, ..HostConfig::default() };
        let timed = HostConfig { cpu_period: 1000, cpu_quota: 1000, ..HostConfig::default() };
        let shared = HostConfig { nano_cpus: 5, ..HostConfig::default() };
        let once = HostConfig { auto_remove: true, ..HostConfig::default() };
        let always = RestartPolicy { name: "always".into(), maximum_retry_count: 0 };
        for (old, wanted, words) in [
            (
                &limited,
                HostConfig { memory: 200 * MIB, ..HostConfig::default() },
                "Memory limit should be smaller than already set memoryswap limit",
            ),
            (
                &HostConfig::default(),
                HostConfig { memory: 200 * MIB, ..HostConfig::default() },
                "Memory limit should be smaller than already set memoryswap limit",
            ),
            (
                &limited,
                HostConfig { memory_swap: 10 * MIB, ..HostConfig::default() },
                "Minimum memoryswap limit should be larger than memory limit",
            ),
            (&timed, shared.clone(), "Nano CPUs cannot be updated as CPU Period has already been set"),
            (&shared, timed.clone(), "CPU Period cannot be updated as NanoCPUs has already been set"),
            (
                &once,
                HostConfig { restart_policy: always, ..HostConfig::default() },
                "Restart policy cannot be updated because AutoRemove is enabled for the container",
            ),
        ] {
            let error = merged(old, &wanted).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
