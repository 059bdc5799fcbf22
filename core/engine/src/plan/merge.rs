//! What was asked for, completed by the image's defaults and the engine's settings.

use std::collections::BTreeMap;

use dhow_model::container::{Config, HostConfig};
use dhow_model::ports::HostFacts;
use dhow_model::{ContainerId, Image};
use dhow_oci::image::{ContainerDefaults, Healthcheck};

use crate::Settings;

/// Completes the settings with the image's defaults, by Docker's rules.
#[must_use]
pub fn with_image(mut config: Config, image: Option<&Image>) -> Config {
    let Some(image) = image else { return config };
    let defaults = &image.config.config;
    if config.user.is_empty() {
        config.user.clone_from(&defaults.user);
    }
    if config.working_dir.is_empty() {
        config.working_dir.clone_from(&defaults.working_dir);
    }
    if config.stop_signal.is_empty() {
        config.stop_signal.clone_from(&defaults.stop_signal);
    }
    config.stop_timeout = config.stop_timeout.or(defaults.stop_timeout);
    config.shell = config.shell.or_else(|| defaults.shell.clone());
    // The image's command are arguments of the image's entry point: a new entry point takes them away.
    if config.entrypoint.as_ref().is_none_or(Vec::is_empty) {
        let without = config.entrypoint.as_ref().is_some_and(Vec::is_empty) && config.cmd.is_some();
        if config.cmd.as_ref().is_none_or(Vec::is_empty) {
            config.cmd.clone_from(&defaults.cmd);
        }
        if !without && config.entrypoint.is_none() {
            config.entrypoint.clone_from(&defaults.entrypoint);
        }
    }
    // An entry point of one empty word is how clients say that there is none.
    if config.entrypoint.as_ref().is_some_and(|words| *words == [String::new()]) {
        config.entrypoint = None;
    }
    config.env = env(config.env, &defaults.env);
    merge_maps(&mut config.labels, defaults.labels.as_ref());
    merge_maps(&mut config.exposed_ports, defaults.exposed_ports.as_ref());
    if let Some(volumes) = &defaults.volumes {
        merge_maps(config.volumes.get_or_insert_default(), Some(volumes));
    }
    config.healthcheck = health(config.healthcheck, defaults.healthcheck.as_ref());
    config
}

/// What was not said about a check is as in the image.
fn health(own: Option<Healthcheck>, image: Option<&Healthcheck>) -> Option<Healthcheck> {
    let (Some(own), Some(image)) = (&own, image) else { return own.or_else(|| image.cloned()) };
    let time = |own: i64, image: i64| if own == 0 { image } else { own };
    Some(Healthcheck {
        test: own.test.clone().filter(|test| !test.is_empty()).or_else(|| image.test.clone()),
        interval: time(own.interval, image.interval),
        timeout: time(own.timeout, image.timeout),
        start_period: time(own.start_period, image.start_period),
        start_interval: time(own.start_interval, image.start_interval),
        retries: time(own.retries, image.retries),
    })
}

/// What was given first, then the image's pairs of other names. A name alone stays among the settings,
/// as Docker shows it, and takes the variable away from the program (see [`variables`]).
fn env(own: Vec<String>, image: &[String]) -> Vec<String> {
    let given: Vec<&str> = own.iter().map(|pair| variable(pair)).collect();
    let kept: Vec<String> = image.iter().filter(|pair| !given.contains(&variable(pair))).cloned().collect();
    own.into_iter().chain(kept).collect()
}

/// The variables of a program: `first`, each replaced or taken away by the one of the same name in `then`.
#[must_use]
pub fn variables(first: Vec<String>, then: &[String]) -> Vec<String> {
    then.iter().fold(first, |mut variables, pair| {
        let place = variables.iter().position(|other| variable(other) == variable(pair));
        match (place, pair.contains('=')) {
            (Some(place), true) => variables[place].clone_from(pair),
            (None, true) => variables.push(pair.clone()),
            (Some(place), false) => drop(variables.remove(place)),
            (None, false) => {}
        }
        variables
    })
}

fn variable(pair: &str) -> &str {
    pair.split('=').next().unwrap_or_default()
}

fn merge_maps<V: Clone>(own: &mut BTreeMap<String, V>, image: Option<&BTreeMap<String, V>>) {
    for (key, value) in image.into_iter().flatten() {
        own.entry(key.clone()).or_insert_with(|| value.clone());
    }
}

/// With a limit of memory and none of swap, as much swap may be used again.
pub fn limit_swap(host: &mut HostConfig) {
    if host.memory > 0 && host.memory_swap == 0 {
        host.memory_swap = host.memory.saturating_mul(2);
    }
}

/// Completes what the engine has defaults for.
#[must_use]
pub fn with_settings(mut host: HostConfig, settings: &Settings, facts: &HostFacts) -> HostConfig {
    if host.network_mode.is_empty() {
        host.network_mode = "default".into();
    }
    if host.ipc_mode.is_empty() {
        host.ipc_mode.clone_from(&settings.ipc_mode);
    }
    if host.cgroupns_mode.is_empty() {
        host.cgroupns_mode.clone_from(&settings.cgroupns_mode);
    }
    if host.cgroupns_mode.is_empty() {
        let private = !facts.lacks_namespace("cgroup") && (!host.privileged || facts.cgroup_version == 2);
        host.cgroupns_mode = if private { "private".into() } else { "host".into() };
    }
    if host.shm_size == 0 {
        host.shm_size = settings.shm_size;
    }
    if host.log_config.kind.is_empty() {
        host.log_config.kind.clone_from(&settings.log.kind);
    }
    if host.log_config.kind == settings.log.kind {
        merge_maps(&mut host.log_config.config, Some(&settings.log.config));
    }
    let cache = settings.log.config.iter().filter(|(name, _)| name.starts_with("cache-"));
    let cache = cache.map(|(name, value)| (name.clone(), value.clone())).collect();
    merge_maps(&mut host.log_config.config, Some(&cache));
    // Neither nothing nor less than nothing is a limit, and none is shown.
    host.pids_limit = host.pids_limit.filter(|limit| *limit > 0);
    if host.restart_policy.name.is_empty() {
        host.restart_policy.name = "no".into();
    }
    if host.runtime.is_empty() {
        host.runtime.clone_from(&settings.default_runtime);
    }
    if host.storage_opt.is_empty() && !settings.layer_size.is_empty() {
        // On record with the container: another default is for those that come after it.
        host.storage_opt.insert("size".into(), settings.layer_size.clone());
    }
    if !host.privileged {
        host.masked_paths.get_or_insert_with(|| super::rights::masked_paths(facts));
        host.readonly_paths.get_or_insert_with(super::rights::readonly_paths);
    }
    host
}

/// The host name, where nobody gave one: who is in the network of the host is called as it is.
#[must_use]
pub fn with_id(mut config: Config, id: &ContainerId, host: &HostConfig, host_name: &str) -> Config {
    if config.hostname.is_empty() {
        let name = if host.network_mode == "host" { host_name } else { id.short() };
        config.hostname = name.into();
    }
    config
}

/// The program and its arguments.
pub fn command(config: &Config) -> impl Iterator<Item = &String> {
    config.entrypoint.iter().flatten().chain(config.cmd.iter().flatten())
}

/// The settings as defaults of an image, for `commit`.
#[must_use]
pub fn to_defaults(config: &Config) -> ContainerDefaults {
    ContainerDefaults {
        user: config.user.clone(),
        exposed_ports: Some(config.exposed_ports.clone()).filter(|ports| !ports.is_empty()),
        env: config.env.clone(),
        entrypoint: config.entrypoint.clone(),
        cmd: config.cmd.clone(),
        volumes: config.volumes.clone().filter(|volumes| !volumes.is_empty()),
        working_dir: config.working_dir.clone(),
        labels: Some(config.labels.clone()).filter(|labels| !labels.is_empty()),
        stop_signal: config.stop_signal.clone(),
        stop_timeout: config.stop_timeout,
        args_escaped: false,
        healthcheck: config.healthcheck.clone(),
        on_build: config.on_build.clone(),
        shell: config.shell.clone(),
    }
}

/// What a client gave, completed by what the container has.
#[must_use]
pub fn completed(mut given: ContainerDefaults, own: &ContainerDefaults) -> ContainerDefaults {
    if given.user.is_empty() {
        given.user.clone_from(&own.user);
    }
    if given.working_dir.is_empty() {
        given.working_dir.clone_from(&own.working_dir);
    }
    if given.stop_signal.is_empty() {
        given.stop_signal.clone_from(&own.stop_signal);
    }
    if given.entrypoint.as_ref().is_none_or(Vec::is_empty) {
        if given.cmd.as_ref().is_none_or(Vec::is_empty) {
            given.cmd.clone_from(&own.cmd);
        }
        given.entrypoint.clone_from(&own.entrypoint);
    }
    given.env = env(given.env, &own.env);
    given.stop_timeout = given.stop_timeout.or(own.stop_timeout);
    given.healthcheck = given.healthcheck.or_else(|| own.healthcheck.clone());
    given.shell = given.shell.or_else(|| own.shell.clone());
    given.on_build = given.on_build.or_else(|| own.on_build.clone());
    merge_maps(given.labels.get_or_insert_default(), own.labels.as_ref());
    merge_maps(given.exposed_ports.get_or_insert_default(), own.exposed_ports.as_ref());
    merge_maps(given.volumes.get_or_insert_default(), own.volumes.as_ref());
    given
}
