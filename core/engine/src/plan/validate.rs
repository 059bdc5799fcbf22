//! What is wrong, and what is not served yet: each refused by name, nothing ignored in silence.

use dhow_model::container::{Config, HostConfig, Ulimit, donor};
use dhow_model::ports::HostFacts;
use dhow_model::{Error, Result};

use super::files::HOST_GATEWAY;
use super::{logs, merge, resources, rights, signal};
use crate::health;
use crate::restart::policy;

/// The least memory that Docker accepts, in bytes.
const LEAST_MEMORY: i64 = 6 << 20;
/// HOST_NAME_MAX of Linux.
const LONGEST_HOSTNAME: usize = 64;

/// Checks completed settings.
///
/// # Errors
/// Invalid argument or not implemented, naming the field.
pub fn check(config: &Config, host: &HostConfig, facts: &HostFacts) -> Result<()> {
    command(config)?;
    health::policy::check(config)?;
    unserved(host)?;
    modes(host)?;
    memory(host)?;
    processors(host, facts)?;
    list("cpus", &host.cpuset_cpus)?;
    list("mems", &host.cpuset_mems)?;
    rights::possible(&rights::options(host)?, host, facts)?;
    rights::capability_set(host, facts.capabilities)?;
    logs::check(&host.log_config)?;
    host.device_cgroup_rules.iter().flatten().try_for_each(|rule| resources::parse_rule(rule).map(drop))?;
    let access = host.devices.iter().flatten().map(|device| &device.cgroup_permissions);
    if let Some(odd) = access.into_iter().find(|access| !access.bytes().all(|b| b"rwm".contains(&b))) {
        return Err(Error::invalid(format!("invalid permissions of a device: {odd}")));
    }
    if !(-1000..=1000).contains(&host.oom_score_adj) {
        return Err(Error::invalid(format!(
            "Invalid value {}, range for oom score adj is [-1000, 1000]",
            host.oom_score_adj
        )));
    }
    if !config.stop_signal.is_empty() {
        signal::parse(&config.stop_signal)?;
    }
    ulimits(host)?;
    hosts(host)
}

/// Checks the settings of an update, each by itself.
///
/// # Errors
/// Invalid argument, in Docker's words.
pub(crate) fn check_update(wanted: &HostConfig, facts: &HostFacts) -> Result<()> {
    policy::check(&wanted.restart_policy)?;
    // Whether swap without memory is too little depends on what is set already.
    let memory_alone =
        if wanted.memory == 0 { HostConfig { memory_swap: 0, ..wanted.clone() } } else { wanted.clone() };
    memory(&memory_alone)?;
    processors(wanted, facts)?;
    list("cpus", &wanted.cpuset_cpus)?;
    list("mems", &wanted.cpuset_mems)
}

/// `0-3,5`: what a list of processors or memory nodes looks like.
fn list(what: &str, text: &str) -> Result<()> {
    let number = |part: &str| part.parse::<u32>().ok();
    let valid = |part: &str| match part.split_once('-') {
        Some((first, last)) => matches!((number(first), number(last)), (Some(a), Some(b)) if a <= b),
        None => number(part).is_some(),
    };
    if text.is_empty() || text.split(',').map(str::trim).all(valid) {
        return Ok(());
    }
    Err(Error::invalid(format!("Invalid value {text} for cpuset {what}: invalid format: {text}")))
}

fn command(config: &Config) -> Result<()> {
    let first = merge::command(config).next();
    if first.is_none() {
        return Err(Error::invalid("no command specified"));
    }
    if !config.working_dir.is_empty() && !config.working_dir.starts_with('/') {
        return Err(Error::invalid(format!(
            "the working directory '{}' is invalid, it needs to be an absolute path",
            config.working_dir
        )));
    }
    variables(config.env.iter().filter(|pair| !pair.is_empty()))?;
    hostname(&config.hostname)
}

/// Refuses variables that no process can have.
///
/// Those that say nothing are left out where Docker leaves them out: in images, and in what is executed.
///
/// # Errors
/// In Docker's words, with the first of them.
pub fn variables<'a>(pairs: impl IntoIterator<Item = &'a String>) -> Result<()> {
    let odd = |pair: &&String| pair.is_empty() || pair.starts_with('=') || pair.contains('\0');
    match pairs.into_iter().find(odd) {
        Some(pair) => Err(Error::invalid(format!("invalid environment variable: {pair}"))),
        None => Ok(()),
    }
}

/// It is written into files of the container: nothing but a name may get there.
fn hostname(name: &str) -> Result<()> {
    if name.len() > LONGEST_HOSTNAME {
        let words = format!("hostname {name:?} is too long (maximum {LONGEST_HOSTNAME} bytes)");
        return Err(Error::invalid(words));
    }
    let valid = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    if valid { Ok(()) } else { Err(Error::invalid(format!("invalid hostname: {name:?}"))) }
}

fn unserved(host: &HostConfig) -> Result<()> {
    if host.cgroup.is_empty() {
        return Ok(());
    }
    Err(Error::not_implemented("HostConfig.Cgroup is not supported yet"))
}

fn modes(host: &HostConfig) -> Result<()> {
    if !matches!(host.isolation.as_str(), "" | "default") {
        return Err(Error::invalid(format!(
            "invalid isolation ({}): linux only supports 'default'",
            host.isolation
        )));
    }
    let one = |what: &str, mode: &str, allowed: &[&str], joinable: bool| {
        let valid = mode.is_empty() || allowed.contains(&mode) || (joinable && donor(mode).is_some());
        if valid { Ok(()) } else { Err(Error::invalid(format!("invalid {what} mode: {mode}"))) }
    };
    one("IPC", &host.ipc_mode, &["private", "shareable", "host", "none"], true)?;
    one("PID", &host.pid_mode, &["host"], true)?;
    one("UTS", &host.uts_mode, &["host"], false)?;
    // Docker takes any word for one of its own; who asks for another map than there is should know.
    one("userns", &host.userns_mode, &["host", "private"], false)?;
    one("cgroup namespace", &host.cgroupns_mode, &["private", "host"], false)?;
    policy::check(&host.restart_policy)?;
    if host.auto_remove && policy::is_set(&host.restart_policy) {
        return Err(Error::invalid("can't create 'AutoRemove' container with restart policy"));
    }
    Ok(())
}

fn memory(host: &HostConfig) -> Result<()> {
    let wrong = |what: &str| Err(Error::invalid(what));
    let (memory, swap) = (host.memory, host.memory_swap);
    if memory != 0 && memory < LEAST_MEMORY {
        return wrong("Minimum memory limit allowed is 6MB");
    }
    if memory > 0 && swap > 0 && swap < memory {
        return wrong("Minimum memoryswap limit should be larger than memory limit, see usage");
    }
    if memory == 0 && swap > 0 {
        return wrong("You should always set the Memory limit when using Memoryswap limit, see usage");
    }
    if host.memory_swappiness.is_some_and(|value| !(-1..=100).contains(&value)) {
        let value = host.memory_swappiness.unwrap_or_default();
        return wrong(&format!("Invalid value: {value}, valid memory swappiness range is 0-100"));
    }
    if host.memory_reservation > 0 && memory > 0 && memory < host.memory_reservation {
        return wrong("Minimum memory limit can not be less than memory reservation limit, see usage");
    }
    if host.memory_reservation != 0 && host.memory_reservation < LEAST_MEMORY {
        return wrong("Minimum memory reservation allowed is 6MB");
    }
    if host.shm_size < 0 {
        return wrong("SHM size can not be less than 0");
    }
    Ok(())
}

fn processors(host: &HostConfig, facts: &HostFacts) -> Result<()> {
    let wrong = |what: String| Err(Error::invalid(what));
    if host.nano_cpus > 0 && host.cpu_period > 0 {
        return wrong("Conflicting options: Nano CPUs and CPU Period cannot both be set".into());
    }
    if host.nano_cpus > 0 && host.cpu_quota > 0 {
        return wrong("Conflicting options: Nano CPUs and CPU Quota cannot both be set".into());
    }
    if host.nano_cpus > 0 && !facts.controllers.iter().any(|controller| controller == "cpu") {
        return wrong("NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted".into());
    }
    let most = i64::try_from(facts.processors).unwrap_or(i64::MAX / 1_000_000_000).max(1);
    if host.nano_cpus < 0 || host.nano_cpus > most.saturating_mul(1_000_000_000) {
        return wrong(format!(
            "range of CPUs is from 0.01 to {most}.00, as there are only {most} CPUs available"
        ));
    }
    if host.cpu_period != 0 && !(1_000..=1_000_000).contains(&host.cpu_period) {
        return wrong(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)".into(),
        );
    }
    if host.cpu_quota > 0 && host.cpu_quota < 1_000 {
        return wrong("CPU cfs quota can not be less than 1ms (i.e. 1000)".into());
    }
    if host.cpu_shares < 0 {
        return wrong(format!("invalid CPU shares ({}): value must be a positive integer", host.cpu_shares));
    }
    available("CPUs", &host.cpuset_cpus, &facts.processors_allowed)?;
    available("memory nodes", &host.cpuset_mems, &facts.memory_nodes_allowed)?;
    if host.blkio_weight > 0 && !(10..=1000).contains(&host.blkio_weight) {
        return wrong("Range of blkio weight is from 10 to 1000".into());
    }
    Ok(())
}

/// Whether all of a list of numbers (`0-3,7`) are in another one.
fn available(what: &str, wanted: &str, have: &str) -> Result<()> {
    let ranges = |list: &str| -> Option<Vec<(u32, u32)>> {
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let range = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            (range.0 <= range.1).then_some(range)
        };
        list.split(',').filter(|part| !part.trim().is_empty()).map(range).collect()
    };
    let setting = if what == "CPUs" { "cpuset cpus" } else { "cpuset mems" };
    let Some(parts) = ranges(wanted) else {
        return Err(Error::invalid(format!(
            "Invalid value {wanted} for {setting}: invalid format: {wanted}"
        )));
    };
    let have_ranges = ranges(have).unwrap_or_default();
    let is_had = |number: u32| have_ranges.iter().any(|(first, last)| (*first..=*last).contains(&number));
    // The bound is the kernel's greatest number of processors.
    let all = parts.iter().all(|(first, last)| last - first <= 8192 && (*first..=*last).all(is_had));
    if all || have_ranges.is_empty() {
        return Ok(());
    }
    Err(Error::invalid(format!("Requested {what} are not available - requested {wanted}, available: {have}")))
}

fn ulimits(host: &HostConfig) -> Result<()> {
    for limit in host.ulimits.iter().flatten() {
        if !Ulimit::NAMES.contains(&limit.name.as_str()) {
            return Err(Error::invalid(format!("invalid ulimit type: {}", limit.name)));
        }
        if limit.hard >= 0 && (limit.soft > limit.hard || limit.soft == -1) {
            return Err(Error::invalid(format!(
                "ulimit soft limit must be less than or equal to hard limit: {} > {}",
                limit.soft, limit.hard
            )));
        }
    }
    Ok(())
}

fn hosts(host: &HostConfig) -> Result<()> {
    for pair in host.extra_hosts.iter().flatten() {
        let parts = pair.split_once(':').or_else(|| pair.split_once('='));
        let wrong = |what: &str| Error::invalid(format!("bad format for add-host: {what:?}"));
        let named = parts.filter(|(name, _)| !name.is_empty() && !name.contains(char::is_whitespace));
        let (_, address) = named.ok_or_else(|| wrong(pair))?;
        let valid =
            address == HOST_GATEWAY || address.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
        if !valid {
            return Err(Error::invalid(format!("invalid IP address in add-host: {address:?}")));
        }
    }
    let lines = host.dns.iter().chain(&host.dns_options).chain(&host.dns_search).flatten();
    for text in lines {
        if text.contains(char::is_whitespace) || text.contains('\0') {
            return Err(Error::invalid(format!("invalid DNS setting: {text:?}")));
        }
    }
    for server in host.dns.iter().flatten() {
        server
            .parse::<std::net::IpAddr>()
            .map_err(|_| Error::invalid(format!("bad IP address: {server:?}")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_that_are_not_there_are_refused_in_dockers_words() {
        for good in ["", "0", "0-3", "1,3", "0-1,7", "0,"] {
            assert!(available("CPUs", good, "0-3,7").is_ok(), "{good}");
        }
        let error = available("CPUs", "3-5", "0-3,7").unwrap_err().to_string();
        assert_eq!(error, "Requested CPUs are not available - requested 3-5, available: 0-3,7");
        for wrong in ["x", "3-1", "1-", "-1", "0-99999999999"] {
            let error = available("memory nodes", wrong, "0").unwrap_err().to_string();
            assert_eq!(error, format!("Invalid value {wrong} for cpuset mems: invalid format: {wrong}"));
        }
        assert!(available("CPUs", "0-4294967295", "0-3").is_err());
    }
}
