//! What containers have that do not say: limits, servers, cgroups, runtimes, and where their output goes.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use dhow_engine::Settings;
use dhow_engine::runtimes::{OWN, is_known};
use dhow_model::container::{LogConfig, Ulimit};
use dhow_model::ports::RuntimeProgram;

use super::super::file::File;
use super::super::flags::{ContainerFlags, Flags};
use super::super::networks;
use super::{absolute, both, either, pairs};

/// The settings of flags and file that concern containers.
pub(super) fn of_containers(flags: &Flags, file: &File) -> Result<Settings> {
    let flags = &flags.containers;
    let mut settings = Settings {
        log: log(
            either(&flags.log_driver, &file.log_driver),
            pairs(&flags.log_opts, "log-opt")?,
            &file.log_opts,
        )?,
        ulimits: flags.default_ulimits.iter().map(|text| ulimit(text)).collect::<Result<_>>()?,
        init: either(&flags.init, &file.init).unwrap_or(false),
        no_new_privileges: either(&flags.no_new_privileges, &file.no_new_privileges).unwrap_or(false),
        dns: both(&flags.dns, &file.dns),
        dns_options: both(&flags.dns_opts, &file.dns_opts),
        dns_search: both(&flags.dns_search, &file.dns_search),
        seccomp_profile: seccomp(either(&flags.seccomp_profile, &file.seccomp_profile).as_deref())?,
        ..Settings::default()
    };
    let of_file = file.default_ulimits.iter();
    settings.ulimits.extend(of_file.map(|(name, limit)| Ulimit {
        name: name.clone(),
        soft: limit.soft,
        hard: limit.hard,
    }));
    settings.ulimits.iter().try_for_each(check_ulimit)?;
    servers(&settings)?;
    let cdi = both(&flags.cdi_directories, &file.cdi_spec_dirs);
    if !cdi.is_empty() {
        // An empty name is how dockerd says that there are none.
        let named = cdi.iter().filter(|path| !path.as_os_str().is_empty());
        settings.cdi_directories = named.map(|path| absolute(path)).collect::<Result<_>>()?;
    }
    cgroup_driver(&both(&flags.exec_opts, &file.exec_opts))?;
    if let Some(parent) = either(&flags.cgroup_parent, &file.cgroup_parent).filter(|it| !it.is_empty()) {
        settings.cgroup_parent = of_slice(&parent);
    }
    modes(flags, file, &mut settings)?;
    networks::apply(flags, file, &mut settings)?;
    let in_file = file.default_shm_size.as_ref().map(ToString::to_string);
    if let Some(size) = either(&flags.default_shm_size, &in_file) {
        let size = dhow_engine::plan::logs::size(&size)
            .map_err(|error| anyhow::anyhow!("default-shm-size: {error}"))?;
        settings.shm_size = i64::try_from(size)?;
    }
    Ok(settings)
}

fn modes(flags: &ContainerFlags, file: &File, settings: &mut Settings) -> Result<()> {
    if let Some(mode) = either(&flags.default_ipc_mode, &file.default_ipc_mode).filter(|it| !it.is_empty()) {
        let hint = "use \"shareable\" or \"private\"";
        ensure!(
            ["private", "shareable"].contains(&mode.as_str()),
            "IPC mode \"{mode}\" is not supported as default value; {hint}"
        );
        settings.ipc_mode = mode;
    }
    let mode = either(&flags.default_cgroupns_mode, &file.default_cgroupns_mode).unwrap_or_default();
    ensure!(
        ["", "private", "host"].contains(&mode.as_str()),
        "invalid default cgroup namespace ({mode}): use \"host\" or \"private\""
    );
    settings.cgroupns_mode = mode;
    Ok(())
}

fn seccomp(profile: Option<&str>) -> Result<Option<String>> {
    match profile {
        None | Some("" | "builtin" | "default") => Ok(None),
        Some("unconfined") => Ok(Some("unconfined".into())),
        Some(file) => {
            let text = std::fs::read_to_string(file);
            Ok(Some(text.with_context(|| format!("read the seccomp profile {file}"))?))
        }
    }
}

/// The directory of a slice: `a-b.slice` is in `a.slice` (systemd.slice(5)), and so below the limits of both. Other
/// paths are as they are.
fn of_slice(parent: &str) -> String {
    let Some(name) = parent.strip_suffix(".slice").filter(|name| !name.contains('/')) else {
        return parent.into();
    };
    let ends = name.match_indices('-').map(|(end, _)| end).chain([name.len()]).filter(|end| *end > 0);
    ends.map(|end| format!("/{}.slice", &name[..end])).collect()
}

/// Addresses and domains, in dockerd's words.
fn servers(settings: &Settings) -> Result<()> {
    for address in &settings.dns {
        ensure!(address.parse::<std::net::IpAddr>().is_ok(), "{address} is not an ip address");
    }
    for domain in &settings.dns_search {
        let odd = |c: char| c.is_whitespace() || c.is_control();
        ensure!(!domain.trim().is_empty() && !domain.contains(odd), "{domain} is not a valid domain");
    }
    Ok(())
}

fn check_ulimit(limit: &Ulimit) -> Result<()> {
    ensure!(Ulimit::NAMES.contains(&limit.name.as_str()), "invalid ulimit type: {}", limit.name);
    let (soft, hard) = (limit.soft, limit.hard);
    ensure!(
        hard < 0 || (0..=hard).contains(&soft),
        "ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
    );
    Ok(())
}

fn cgroup_driver(options: &[String]) -> Result<()> {
    for (key, value) in pairs(options, "exec-opt")? {
        ensure!(key == "native.cgroupdriver", "unknown option: '{key}'");
        ensure!(
            ["cgroupfs", "systemd"].contains(&value.as_str()),
            "native.cgroupdriver={value}: it is neither cgroupfs nor systemd"
        );
    }
    Ok(())
}

/// Runtimes of the flags and of the file, by name, and which of them is for who does not say.
pub(super) fn runtimes(flags: &Flags, file: &File) -> Result<(BTreeMap<String, RuntimeProgram>, String)> {
    let mut runtimes: BTreeMap<String, RuntimeProgram> = BTreeMap::new();
    for (name, runtime) in &file.runtimes {
        ensure!(!runtime.is_both(), "runtime '{name}': cannot have both a runtimeType and a path");
        if let Some(program) = runtime.program() {
            runtimes.insert(name.clone(), program);
        }
    }
    for (name, path) in pairs(&flags.containers.runtimes, "add-runtime")? {
        ensure!(!runtimes.contains_key(&name), "runtime '{name}' was already defined");
        runtimes.insert(name, RuntimeProgram { path: path.into(), arguments: Vec::new() });
    }
    for (name, runtime) in &runtimes {
        ensure!(name != OWN, "runtime name '{name}' is reserved");
        ensure!(!name.is_empty() && !name.contains('/'), "'{name}' is no name of a runtime");
        ensure!(
            !runtime.path.as_os_str().is_empty(),
            "runtime '{name}': either a runtimeType or a path must be configured"
        );
    }
    let default = either(&flags.containers.default_runtime, &file.default_runtime);
    let default = default.filter(|name| !name.is_empty()).unwrap_or_else(|| OWN.into());
    ensure!(
        runtimes.contains_key(&default) || is_known(&default),
        "specified default runtime '{default}' does not exist"
    );
    Ok((runtimes, default))
}

fn log(
    driver: Option<String>,
    mut options: BTreeMap<String, String>,
    more: &BTreeMap<String, String>,
) -> Result<LogConfig> {
    options.extend(more.clone());
    let log = LogConfig { kind: driver.unwrap_or_else(|| "json-file".into()), config: options };
    dhow_engine::plan::logs::check(&log).map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(log)
}

/// `NAME=SOFT[:HARD]`.
fn ulimit(text: &str) -> Result<Ulimit> {
    let wrong = || format!("default-ulimit {text:?} is no NAME=SOFT[:HARD]");
    let (name, values) = text.split_once('=').with_context(wrong)?;
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    Ok(Ulimit {
        name: name.into(),
        soft: soft.parse().with_context(wrong)?,
        hard: hard.parse().with_context(wrong)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_of_something_that_the_kernel_limits() {
        let refused = |text| check_ulimit(&ulimit(text).unwrap()).unwrap_err().to_string();
        assert_eq!(refused("files=1"), "invalid ulimit type: files");
        assert_eq!(
            refused("nofile=2:1"),
            "ulimit soft limit must be less than or equal to hard limit: 2 > 1"
        );
        check_ulimit(&ulimit("nofile=1:2").unwrap()).unwrap();
    }

    #[test]
    fn a_slice_is_below_those_that_it_is_named_after() {
        for (parent, place) in [
            ("a.slice", "/a.slice"),
            ("a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice"),
            ("/x/y", "/x/y"),
            ("/x/a-b.slice", "/x/a-b.slice"),
        ] {
            assert_eq!(of_slice(parent), place);
        }
    }
}
