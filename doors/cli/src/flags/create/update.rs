//! What `update` sends: the limits that were given, a restart policy if one was, and beyond Docker what comes and goes
//! of ports and networks.

use std::collections::BTreeMap;

use serde::Serialize;

use super::host::{RestartPolicy, restart_policy};
use super::resources::size;
use crate::flags::network::{self, EndpointSettings};
use crate::flags::ports::{Binding, Ports};
use crate::flags::{Parsed, limits};

/// The body of `POST /containers/{id}/update`; what is zero or missing stays as it is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct UpdateRequest {
    blkio_weight: i64,
    cpu_period: i64,
    cpu_quota: i64,
    cpu_realtime_period: i64,
    cpu_realtime_runtime: i64,
    cpu_shares: i64,
    cpuset_cpus: String,
    cpuset_mems: String,
    memory: i64,
    memory_reservation: i64,
    memory_swap: i64,
    nano_cpus: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pids_limit: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restart_policy: Option<RestartPolicy>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    publish_add: BTreeMap<String, Vec<Binding>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    publish_remove: BTreeMap<String, Vec<Binding>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    network_add: BTreeMap<String, EndpointSettings>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    network_remove: Vec<String>,
}

impl UpdateRequest {
    /// Reads the flags.
    pub(crate) fn of(parsed: &Parsed) -> Result<UpdateRequest, String> {
        let number = |name: &str| parsed.integer(name).unwrap_or(0);
        let text = |name: &str| parsed.text_or_empty(name).to_owned();
        Ok(UpdateRequest {
            blkio_weight: number("blkio-weight"),
            cpu_period: number("cpu-period"),
            cpu_quota: number("cpu-quota"),
            cpu_realtime_period: number("cpu-rt-period"),
            cpu_realtime_runtime: number("cpu-rt-runtime"),
            cpu_shares: number("cpu-shares"),
            cpuset_cpus: text("cpuset-cpus"),
            cpuset_mems: text("cpuset-mems"),
            memory: size(parsed, "memory"),
            memory_reservation: size(parsed, "memory-reservation"),
            memory_swap: size(parsed, "memory-swap"),
            nano_cpus: parsed.text("cpus").map_or(Ok(0), limits::cpus)?,
            pids_limit: parsed.integer("pids-limit"),
            restart_policy: parsed.text("restart").map(|_| restart_policy(parsed)).transpose()?,
            publish_add: Ports::parse(&parsed.list("publish-add"), &[])?.published,
            publish_remove: Ports::parse(&parsed.list("publish-rm"), &[])?.published,
            network_add: network::added(parsed)?,
            network_remove: parsed.list("network-rm"),
        })
    }
}
