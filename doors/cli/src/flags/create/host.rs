//! The part of a container that belongs to this host.

use std::collections::BTreeMap;

use serde::Serialize;

use super::resources::{Resources, size};
use super::some;
use crate::flags::mount::Mount;
use crate::flags::ports::Binding;
use crate::flags::security::{self, SecurityOptions};
use crate::flags::{Parsed, environment, number, validate};

/// What belongs to this host.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct HostConfig {
    pub(super) binds: Option<Vec<String>>,
    #[serde(rename = "ContainerIDFile")]
    container_id_file: String,
    log_config: LogConfig,
    pub(super) network_mode: String,
    pub(super) port_bindings: BTreeMap<String, Vec<Binding>>,
    restart_policy: RestartPolicy,
    pub(crate) auto_remove: bool,
    volume_driver: String,
    volumes_from: Option<Vec<String>>,
    pub(crate) console_size: [u16; 2],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    cap_add: Option<Vec<String>>,
    cap_drop: Option<Vec<String>>,
    cgroupns_mode: String,
    dns: Vec<String>,
    dns_options: Vec<String>,
    dns_search: Vec<String>,
    extra_hosts: Option<Vec<String>>,
    group_add: Option<Vec<String>>,
    ipc_mode: String,
    cgroup: String,
    links: Option<Vec<String>>,
    oom_score_adj: i64,
    pid_mode: String,
    privileged: bool,
    publish_all_ports: bool,
    readonly_rootfs: bool,
    security_opt: Option<Vec<String>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    storage_opt: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tmpfs: BTreeMap<String, String>,
    #[serde(rename = "UTSMode")]
    uts_mode: String,
    userns_mode: String,
    shm_size: i64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    sysctls: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    runtime: String,
    isolation: String,
    #[serde(flatten)]
    resources: Resources,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mounts: Vec<Mount>,
    masked_paths: Option<Vec<String>>,
    readonly_paths: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    init: Option<bool>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct LogConfig {
    r#type: String,
    config: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RestartPolicy {
    name: String,
    maximum_retry_count: i64,
}
impl HostConfig {
    /// Shows a file of the host in the container.
    pub(crate) fn bind(&mut self, source: &str, target: &str) -> Result<(), String> {
        let quoted = source.replace('"', "\"\"");
        self.mounts.push(Mount::parse(&format!("type=bind,\"source={quoted}\",target={target}"))?);
        Ok(())
    }

    pub(super) fn of(parsed: &Parsed) -> Result<HostConfig, String> {
        let text = |name: &str| parsed.text_or_empty(name).to_owned();
        let list = |name: &str| some(parsed.list(name));
        let options = SecurityOptions::parse(&parsed.list("security-opt"))?;
        let unmasked = options.system_paths_unconfined.then(Vec::new);
        Ok(HostConfig {
            binds: None,
            container_id_file: text("cidfile"),
            log_config: log_config(parsed)?,
            network_mode: String::new(),
            port_bindings: BTreeMap::new(),
            restart_policy: restart_policy(parsed)?,
            auto_remove: parsed.is_on("rm"),
            volume_driver: text("volume-driver"),
            volumes_from: list("volumes-from"),
            console_size: [0, 0],
            annotations: environment::pairs(&parsed.list("annotation")),
            cap_add: some(security::capabilities(&parsed.list("cap-add"))),
            cap_drop: some(security::capabilities(&parsed.list("cap-drop"))),
            cgroupns_mode: text("cgroupns"),
            dns: parsed.all("dns").map(validate::address).collect::<Result<_, _>>()?,
            dns_options: parsed.list("dns-option"),
            dns_search: parsed.all("dns-search").map(validate::dns_search).collect::<Result<_, _>>()?,
            extra_hosts: some(parsed.all("add-host").map(validate::extra_host).collect::<Result<_, _>>()?),
            group_add: list("group-add"),
            ipc_mode: text("ipc"),
            cgroup: String::new(),
            links: list("link"),
            oom_score_adj: parsed.integer("oom-score-adj").unwrap_or(0),
            pid_mode: text("pid"),
            privileged: parsed.is_on("privileged"),
            publish_all_ports: parsed.is_on("publish-all"),
            readonly_rootfs: parsed.is_on("read-only"),
            security_opt: if parsed.is_given("security-opt") { Some(options.options) } else { None },
            storage_opt: storage_options(parsed)?,
            tmpfs: parsed.all("tmpfs").map(tmpfs).collect(),
            uts_mode: text("uts"),
            userns_mode: text("userns"),
            shm_size: size(parsed, "shm-size"),
            sysctls: environment::pairs(&parsed.list("sysctl")),
            runtime: text("runtime"),
            isolation: text("isolation"),
            resources: Resources::of(parsed)?,
            mounts: parsed.all("mount").map(Mount::parse).collect::<Result<_, _>>()?,
            masked_paths: unmasked.clone(),
            readonly_paths: unmasked,
            init: parsed.is_given("init").then(|| parsed.is_on("init")),
        })
    }
}
fn tmpfs(spec: &str) -> (String, String) {
    let (path, options) = spec.split_once(':').unwrap_or((spec, ""));
    (path.to_owned(), options.to_owned())
}

fn storage_options(parsed: &Parsed) -> Result<BTreeMap<String, String>, String> {
    let pair = |option: &str| match option.split_once('=') {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Err("invalid storage option".to_owned()),
    };
    parsed.all("storage-opt").map(pair).collect()
}

fn log_config(parsed: &Parsed) -> Result<LogConfig, String> {
    let driver = parsed.text_or_empty("log-driver").to_owned();
    if driver == "none" && parsed.is_given("log-opt") {
        return Err(format!("invalid logging opts for driver {driver}"));
    }
    Ok(LogConfig { r#type: driver, config: environment::pairs(&parsed.list("log-opt")) })
}

pub(super) fn restart_policy(parsed: &Parsed) -> Result<RestartPolicy, String> {
    let policy = parsed.text("restart").unwrap_or("no");
    let (name, count) = match policy.split_once(':') {
        Some(("", _)) => {
            return Err("invalid restart policy format: no policy provided before colon".to_owned());
        }
        Some((name, count)) => (name, count),
        None => (policy, ""),
    };
    let maximum_retry_count = match count {
        "" => 0,
        count => number::signed_decimal(count)
            .ok_or("invalid restart policy format: maximum retry count must be an integer")?,
    };
    if parsed.is_on("rm") && !matches!(name, "no" | "") {
        return Err("conflicting options: cannot specify both --restart and --rm".to_owned());
    }
    Ok(RestartPolicy { name: name.to_owned(), maximum_retry_count })
}
