//! What `run` and `create` send: the flags as docker's `Config`, `HostConfig` and
//! `NetworkingConfig`, field by field, with the same empty values where nothing was said.

mod host;
mod resources;
pub(crate) mod update;

use std::collections::BTreeMap;

use dhow_model::container::donor;
use serde::Serialize;

use super::health::{self, Health};
use super::network::{EndpointSettings, Networking};
use super::ports::{Empty, Ports};
use super::volume::Volume;
use super::{Parsed, environment, validate};
use crate::error::{Error, Result};

use host::HostConfig;

/// The body of `POST /containers/create`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateRequest {
    #[serde(flatten)]
    pub(crate) config: Config,
    pub(crate) host_config: HostConfig,
    networking_config: NetworkingConfig,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkingConfig {
    endpoints_config: BTreeMap<String, EndpointSettings>,
}

/// What belongs to the container wherever it runs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Config {
    hostname: String,
    domainname: String,
    user: String,
    pub(crate) attach_stdin: bool,
    pub(crate) attach_stdout: bool,
    pub(crate) attach_stderr: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    exposed_ports: BTreeMap<String, Empty>,
    pub(crate) tty: bool,
    pub(crate) open_stdin: bool,
    pub(crate) stdin_once: bool,
    env: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthcheck: Option<Health>,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthcheck_on_failure_action: Option<String>,
    pub(crate) image: String,
    volumes: BTreeMap<String, Empty>,
    working_dir: String,
    entrypoint: Option<Vec<String>>,
    on_build: Option<Vec<String>>,
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    stop_signal: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_timeout: Option<i64>,
}
impl CreateRequest {
    /// Reads the flags; what contradicts itself is refused here, before the engine is asked.
    pub(crate) fn of(parsed: &Parsed) -> Result<CreateRequest> {
        let networking = Networking::of(parsed).map_err(Error::refused)?;
        let ports = Ports::parse(&parsed.list("publish"), &parsed.list("expose")).map_err(Error::refused)?;
        let volumes = volumes(parsed).map_err(Error::refused)?;
        check_modes(parsed).map_err(Error::refused)?;
        let mut config = Config::of(parsed)?;
        config.exposed_ports = ports.exposed;
        config.volumes = volumes.unnamed;
        let mut host_config = HostConfig::of(parsed).map_err(Error::refused)?;
        host_config.binds = some(volumes.bound);
        host_config.port_bindings = ports.published;
        host_config.network_mode = networking.mode;
        let networking_config = NetworkingConfig { endpoints_config: networking.endpoints };
        Ok(CreateRequest { config, host_config, networking_config })
    }
}
impl Config {
    fn of(parsed: &Parsed) -> Result<Config> {
        let text = |name: &str| parsed.text_or_empty(name).to_owned();
        let attached = |name: &str| parsed.all("attach").any(|stream| stream.eq_ignore_ascii_case(name));
        let by_default = !parsed.is_given("attach");
        let open_stdin = parsed.is_on("interactive");
        let attach_stdin = attached("stdin") || open_stdin;
        let entrypoint = parsed.text("entrypoint").map(|program| vec![program.to_owned()]);
        let variables = environment::variables(&parsed.list("env-file"), &parsed.list("env"))?;
        Ok(Config {
            hostname: text("hostname"),
            domainname: text("domainname"),
            user: text("user"),
            attach_stdin,
            attach_stdout: by_default || attached("stdout"),
            attach_stderr: by_default || attached("stderr"),
            exposed_ports: BTreeMap::new(),
            tty: parsed.is_on("tty"),
            open_stdin,
            // What is attached to standard input closes it when it leaves.
            stdin_once: open_stdin && attach_stdin,
            env: some(variables),
            cmd: some(parsed.arguments.iter().skip(1).cloned().collect()),
            healthcheck: Health::of(parsed).map_err(Error::refused)?,
            healthcheck_on_failure_action: health::on_failure(parsed).map_err(Error::refused)?,
            image: parsed.argument(0).to_owned(),
            volumes: BTreeMap::new(),
            working_dir: text("workdir"),
            entrypoint,
            on_build: None,
            labels: environment::labels(&parsed.list("label-file"), &parsed.list("label"))?,
            stop_signal: text("stop-signal"),
            stop_timeout: parsed.integer("stop-timeout"),
        })
    }
}

impl Config {
    /// Adds variables that the command line did not set itself.
    pub(crate) fn add_variables(&mut self, variables: Vec<(String, &str)>) {
        for (name, value) in variables {
            if !self.has_variable(&name) {
                self.env.get_or_insert_default().push(format!("{name}={value}"));
            }
        }
    }

    /// Whether the environment has this variable.
    pub(crate) fn has_variable(&self, name: &str) -> bool {
        self.env.iter().flatten().any(|known| known.split('=').next() == Some(name))
    }
}
/// An empty list of docker's is null.
fn some(list: Vec<String>) -> Option<Vec<String>> {
    Some(list).filter(|list| !list.is_empty())
}
#[derive(Default)]
struct Volumes {
    unnamed: BTreeMap<String, Empty>,
    bound: Vec<String>,
}

fn volumes(parsed: &Parsed) -> Result<Volumes, String> {
    let mut volumes = Volumes::default();
    for spec in parsed.all("volume") {
        match Volume::parse(spec)? {
            Volume::Unnamed(path) => drop(volumes.unnamed.insert(path, Empty {})),
            Volume::Bound(bind) => volumes.bound.push(bind),
        }
    }
    Ok(volumes)
}
/// Namespaces are the container's own, the host's, or (for some) another container's.
fn check_modes(parsed: &Parsed) -> Result<(), String> {
    let of_container = |mode: &str| donor(mode).is_some_and(|name| !name.is_empty());
    let mac_address = parsed.text_or_empty("mac-address");
    if !mac_address.is_empty() && !validate::is_mac_address(mac_address) {
        return Err(format!("{mac_address} is not a valid mac address"));
    }
    for (flag, name, container) in [("pid", "PID", true), ("uts", "UTS", false), ("userns", "USER", false)] {
        match parsed.text_or_empty(flag) {
            "" | "host" => {}
            mode if container && of_container(mode) => {}
            _ => return Err(format!("--{flag}: invalid {name} mode")),
        }
    }
    match parsed.text_or_empty("cgroupns") {
        "" | "host" | "private" => Ok(()),
        _ => Err("--cgroupns: invalid CGROUP mode".to_owned()),
    }
}
