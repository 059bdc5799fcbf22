//! Capabilities, filter, labels, and what is hidden.

use dhow_model::container::HostConfig;
use dhow_model::ports::HostFacts;
use dhow_model::{Container, Error, Result};
use dhow_oci::capabilities::{self, CapabilitySet};
use dhow_oci::profile::{self, Circumstances, Profile};
use dhow_oci::runtime::{Capabilities, Seccomp};

use super::{Facts, limited};

/// Paths that nobody in a container may look at (Docker's list).
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
/// Paths that nobody in a container may write (Docker's list).
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The default list, as it is recorded and shown: of every processor its heat, too, which tells what others
/// compute (GHSA-7ww5-4wqc is of the kind).
#[must_use]
pub fn masked_paths(facts: &HostFacts) -> Vec<String> {
    MASKED.iter().map(ToString::to_string).chain(facts.thermal.iter().cloned()).collect()
}

/// The default list, as it is recorded and shown.
#[must_use]
pub fn readonly_paths() -> Vec<String> {
    READ_ONLY.map(str::to_owned).to_vec()
}

/// The security options, read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// A profile's JSON or `unconfined`; nothing is the default.
    pub seccomp: Option<String>,
    /// The AppArmor profile; nothing is the default.
    pub apparmor: Option<String>,
    /// SELinux label options.
    pub labels: Vec<String>,
    /// Nothing gains rights.
    pub no_new_privileges: Option<bool>,
    /// No path is hidden.
    pub unmasked: bool,
    /// The container's own cgroups can be written.
    pub writable_cgroups: bool,
}

/// Reads `SecurityOpt`.
///
/// # Errors
/// Invalid argument, in Docker's words.
pub fn options(host: &HostConfig) -> Result<Options> {
    let mut options = Options::default();
    for text in host.security_opt.iter().flatten() {
        let (name, value) = text.split_once('=').or_else(|| text.split_once(':')).unwrap_or((text, ""));
        match (name, value) {
            ("no-new-privileges", "" | "true") => options.no_new_privileges = Some(true),
            ("no-new-privileges", "false") => options.no_new_privileges = Some(false),
            ("seccomp", value) if !value.is_empty() => options.seccomp = Some(value.into()),
            ("apparmor", value) if !value.is_empty() => options.apparmor = Some(value.into()),
            ("label", value) if !value.is_empty() => options.labels.push(value.into()),
            ("systempaths", "unconfined") => options.unmasked = true,
            ("writable-cgroups", "true" | "1") => options.writable_cgroups = true,
            ("writable-cgroups", "false" | "0") => options.writable_cgroups = false,
            _ => {
                let place = if text.contains(['=', ':']) { 2 } else { 1 };
                return Err(Error::invalid(format!("invalid --security-opt {place}: {text:?}")));
            }
        }
    }
    Ok(options)
}

/// Refuses what this machine cannot do, or we cannot on it.
///
/// # Errors
/// Invalid argument or not implemented, naming the option.
pub fn possible(options: &Options, host: &HostConfig, facts: &HostFacts) -> Result<()> {
    // Without SELinux a label says nothing, and Docker takes any.
    if facts.selinux && options.labels.iter().any(|label| label != "disable") {
        return Err(Error::not_implemented(
            "security option \"label\" is not supported yet, but for label=disable",
        ));
    }
    // In version 1, and where the host's groups are seen, whoever writes there is not kept in its own group.
    if options.writable_cgroups && (facts.cgroup_version != 2 || host.cgroupns_mode == "host") {
        return Err(Error::invalid(
            "security option writable-cgroups needs cgroup version 2 and a private cgroup namespace",
        ));
    }
    Ok(())
}

/// The capabilities that a container has.
///
/// # Errors
/// Invalid argument for a name that is none.
pub fn capability_set(host: &HostConfig, may: u64) -> Result<CapabilitySet> {
    let all = CapabilitySet(may);
    if host.privileged {
        return Ok(all);
    }
    let none = Vec::new();
    let (add, drop) = (host.cap_add.as_ref().unwrap_or(&none), host.cap_drop.as_ref().unwrap_or(&none));
    let invalid = |field, unknown| Error::invalid(format!("invalid {field}: {unknown}"));
    capabilities::DEFAULT.adjusted(add, &[], all).map_err(|unknown| invalid("CapAdd", unknown))?;
    let set = capabilities::DEFAULT.adjusted(add, drop, all);
    set.map(|set| set.and(all)).map_err(|unknown| invalid("CapDrop", unknown))
}

/// The five sets of a process: inheritable stays empty (CVE-2022-24769), and a user other than root
/// has none in force.
#[must_use]
pub fn process_sets(set: CapabilitySet, uid: u32) -> Capabilities {
    let names = set.names();
    let in_force = if uid == 0 { names.clone() } else { Vec::new() };
    Capabilities {
        bounding: names,
        effective: in_force.clone(),
        permitted: in_force,
        ..Capabilities::default()
    }
}

/// The filter of system calls; none for an unconfined container.
///
/// # Errors
/// Invalid argument for a profile that cannot be read.
pub fn seccomp(
    record: &Container,
    options: &Options,
    set: CapabilitySet,
    facts: &Facts,
) -> Result<Option<Seccomp>> {
    if !facts.host.seccomp {
        return Ok(None);
    }
    let circumstances = Circumstances {
        capabilities: set,
        architecture: std::env::consts::ARCH,
        kernel: profile::kernel_version(&facts.host.kernel).unwrap_or((0, 0)),
    };
    let chosen = options.seccomp.as_deref().or(facts.settings.seccomp_profile.as_deref());
    let filter = match chosen {
        Some("unconfined") => Ok(None),
        _ if record.host_config.privileged => Ok(None),
        None | Some("builtin") => Ok(Some(profile::default_profile(circumstances))),
        Some(json) => {
            let wrong = |error: profile::ProfileError| Error::invalid(error.to_string());
            Profile::parse(json).map_err(wrong)?.resolve(circumstances).map_err(wrong)
        }
    };
    let limit = |filter| if facts.limited { limited::without_projects(filter) } else { filter };
    filter.map(|filter| filter.map(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heat_of_every_processor_is_hidden() {
        let thermal = |cpu: u32| format!("/sys/devices/system/cpu/cpu{cpu}/thermal_throttle");
        let facts = HostFacts { thermal: (0..64).map(thermal).collect(), ..HostFacts::default() };
        let masked = masked_paths(&facts);
        assert!((0..64).all(|cpu| masked.contains(&thermal(cpu))));
        assert!(masked.iter().any(|path| path == "/proc/kcore"));
    }

    fn asked(option: &str, facts: &HostFacts) -> Result<Options> {
        let host = HostConfig {
            security_opt: Some(vec![option.into()]),
            cgroupns_mode: "private".into(),
            ..HostConfig::default()
        };
        let options = options(&host)?;
        possible(&options, &host, facts).map(|()| options)
    }

    #[test]
    fn what_an_option_says_depends_on_the_machine() {
        let second = HostFacts { cgroup_version: 2, ..HostFacts::default() };
        let labelled = HostFacts { selinux: true, ..HostFacts::default() };
        assert!(asked("writable-cgroups=true", &second).unwrap().writable_cgroups);
        assert!(!asked("writable-cgroups=false", &second).unwrap().writable_cgroups);
        assert!(asked("writable-cgroups=true", &HostFacts { cgroup_version: 1, ..second.clone() }).is_err());
        assert!(asked("writable-cgroups=maybe", &second).is_err());
        assert!(asked("label=type:some_t", &second).is_ok() && asked("label=disable", &labelled).is_ok());
        let words = asked("label=type:some_t", &labelled).unwrap_err().to_string();
        assert!(words.contains("\"label\" is not supported yet"), "{words}");
    }
}
