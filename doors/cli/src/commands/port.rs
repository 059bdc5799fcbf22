//! `dhow port`: where a container's ports are published.

use std::collections::BTreeMap;

use dhow_api::client::Request;
use serde::Deserialize;

use super::each::checked;
use super::{Arity, Command};
use crate::error::{Error, Result};
use crate::flags::{Parsed, number};
use crate::format::names;
use crate::session::Session;

pub(crate) const COMMAND: Command = Command {
    paths: &["container port", "port"],
    usage: "CONTAINER [PRIVATE_PORT[/PROTO]]",
    about: "Show where a container's ports are published",
    arity: Arity::Between(1, 2),
    arguments_end_flags: false,
    flags: &[],
    run,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    network_settings: NetworkSettings,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings {
    #[serde(default, deserialize_with = "super::nullable")]
    ports: BTreeMap<String, Option<Vec<Binding>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Binding {
    host_ip: String,
    host_port: String,
}

fn run(session: &Session, parsed: &Parsed) -> Result<()> {
    let name = checked(parsed.argument(0))?;
    let container: Container = session.send(Request::get(&["containers", name, "json"]))?.json()?;
    let ports = container.network_settings.ports;
    let mut lines = match parsed.arguments.get(1) {
        Some(port) => of_port(&ports, name, port)?,
        None => {
            let line = |port: &String, binding: &Binding| format!("{port} -> {}", address(binding));
            let all =
                ports.iter().flat_map(|(port, bindings)| bindings.iter().flatten().map(move |it| (port, it)));
            all.map(|(port, binding)| line(port, binding)).collect()
        }
    };
    lines.sort_by(|a, b| names::natural(a).cmp(&names::natural(b)));
    session.print(&lines.into_iter().map(|line| line + "\n").collect::<String>())
}

fn of_port(ports: &BTreeMap<String, Option<Vec<Binding>>>, name: &str, wanted: &str) -> Result<Vec<String>> {
    let (port, protocol) = wanted.split_once('/').filter(|(_, it)| !it.is_empty()).unwrap_or((wanted, "tcp"));
    let port = port.trim_end_matches('/');
    if number::decimal(port).is_none_or(|port| port > 65_535) {
        return Err(Error::said(format!(
            "Error: invalid port ({port}): strconv.ParseUint: parsing \"{port}\": invalid syntax"
        )));
    }
    let bindings = ports.get(&format!("{port}/{protocol}")).and_then(Option::as_ref);
    match bindings.filter(|bindings| !bindings.is_empty()) {
        Some(bindings) => Ok(bindings.iter().map(address).collect()),
        None => Err(Error::said(format!("Error: No public port '{wanted}' published for {name}"))),
    }
}

fn address(binding: &Binding) -> String {
    match binding.host_ip.contains(':') {
        true => format!("[{}]:{}", binding.host_ip, binding.host_port),
        false => format!("{}:{}", binding.host_ip, binding.host_port),
    }
}
