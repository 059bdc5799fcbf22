//! The files that are made for a container: its name, who is who, and how names are resolved.

use std::net::IpAddr;

use dhow_model::Container;
use dhow_model::network::Assigned;
use dhow_oci::runtime::Mount;

use super::{Facts, spec};

/// The beginning of every /etc/hosts.
const LOCAL: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n\
                     ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n";
/// What `--add-host name:host-gateway` says in place of an address.
pub(super) const HOST_GATEWAY: &str = "host-gateway";
/// Where our own server of names is, in every network namespace that has one.
const OWN_SERVER: &str = "127.0.0.11";

const NAMES: [&str; 3] = ["hostname", "hosts", "resolv.conf"];

/// What is written into the container's own directory before it starts.
#[must_use]
pub fn contents(record: &Container, facts: &Facts) -> Vec<(&'static str, Vec<u8>)> {
    if shares_files(record) {
        return Vec::new();
    }
    vec![
        ("hostname", format!("{}\n", name(record, &facts.host.name)).into_bytes()),
        ("hosts", hosts(record, facts).into_bytes()),
        ("resolv.conf", resolv_conf(record, facts).into_bytes()),
    ]
}

/// Where those files are laid over the container's own.
pub(super) fn mounts(record: &Container, facts: &Facts) -> Vec<Mount> {
    let other = record.host_config.network_donor().and_then(|name| facts.joined.get(name));
    let directory = other.map_or(&facts.directory, |other| &other.directory);
    let writable = if record.host_config.readonly_rootfs { "ro" } else { "rw" };
    let bind = |name: &str| {
        let source = directory.join(name).to_string_lossy().into_owned();
        spec::mount(&format!("/etc/{name}"), "bind", &source, &["rbind", writable, "rprivate"])
    };
    NAMES.map(bind).to_vec()
}

/// Who shares a network shares the files that belong to it.
fn shares_files(record: &Container) -> bool {
    record.host_config.network_donor().is_some()
}

fn name<'a>(record: &'a Container, host: &'a str) -> &'a str {
    if record.config.hostname.is_empty() { host } else { &record.config.hostname }
}

fn hosts(record: &Container, facts: &Facts) -> String {
    let network = record.host_config.network_mode.as_str();
    let mut text = if network == "host" { facts.hosts.clone() } else { LOCAL.to_owned() };
    for pair in record.host_config.extra_hosts.iter().flatten() {
        if let Some((name, address)) = pair.split_once(':').or_else(|| pair.split_once('=')) {
            for address in meant(address, record, facts) {
                text.push_str(&format!("{address}\t{name}\n"));
            }
        }
    }
    text.push_str(&facts.linked.hosts);
    if network != "host" {
        let own = own_names(record, &facts.host.name);
        let addresses = assigned(record).flat_map(Assigned::addresses);
        text.extend(addresses.map(|address| host_line(address, &own)));
    }
    text
}

/// One line of /etc/hosts.
#[must_use]
pub fn host_line(address: IpAddr, names: &str) -> String {
    format!("{address}\t{names}\n")
}

/// The names by which a container knows itself: the whole one, and its first part. The domain may be said in either.
#[must_use]
pub fn own_names(record: &Container, host: &str) -> String {
    let whole = match (name(record, host), record.config.domainname.as_str()) {
        (own, "") => own.to_owned(),
        (own, domain) => format!("{own}.{domain}"),
    };
    whole.split_once('.').map(|(first, _)| format!("{whole} {first}")).unwrap_or(whole)
}

fn assigned(record: &Container) -> impl Iterator<Item = &Assigned> {
    record.networks.values().filter_map(|endpoint| endpoint.assigned.as_ref())
}

/// The word for the host stands for its address on the container's network, unless the engine was told another.
fn meant(address: &str, record: &Container, facts: &Facts) -> Vec<String> {
    if address != HOST_GATEWAY {
        return vec![address.trim_matches(['[', ']']).to_owned()];
    }
    if !facts.settings.host_gateway.is_empty() {
        return facts.settings.host_gateway.iter().map(ToString::to_string).collect();
    }
    let gateways = assigned(record).flat_map(|assigned| [assigned.gateway4, assigned.gateway6]);
    gateways.flatten().map(|gateway| gateway.to_string()).collect()
}

/// The name servers that a container is given: those that it asked for, those of the engine, or those of the host that
/// it can reach.
#[must_use]
pub fn servers(record: &Container, general: &[String], of_host: &str) -> Vec<String> {
    let asked = chosen(&record.host_config.dns, general);
    if !asked.is_empty() {
        return asked;
    }
    let servers = of_host.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let servers = servers.filter_map(|rest| rest.split_whitespace().next().map(str::to_owned));
    let shares_host = record.host_config.network_mode == "host";
    servers.filter(|server| shares_host || !is_loopback(server)).collect()
}

fn is_loopback(server: &str) -> bool {
    let address = server.split('%').next().unwrap_or_default();
    address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether a resolv.conf is one that [`contents`] made for a container that our own server answers.
#[must_use]
pub fn names_own_server(text: &str) -> bool {
    text.lines().any(|line| line.split_whitespace().eq(["nameserver", OWN_SERVER]))
}

/// What the container says, or what the engine does.
#[must_use]
pub fn chosen(own: &Option<Vec<String>>, general: &[String]) -> Vec<String> {
    own.clone().filter(|list| !list.is_empty()).unwrap_or_else(|| general.to_vec())
}

/// How many dots a name must have to be asked for as it is: as the options say that were chosen, or the host where none
/// were.
#[must_use]
pub fn dots(chosen: &[String], of_host: &str) -> Option<u32> {
    let of_host = of_host.lines().filter_map(|line| line.trim().strip_prefix("options"));
    let of_host = of_host.filter(|_| chosen.is_empty()).flat_map(str::split_whitespace);
    let options = chosen.iter().map(String::as_str).chain(of_host);
    options.filter_map(|option| option.strip_prefix("ndots:")?.parse().ok()).next_back()
}

/// The host's, with what the container or the engine says in its place.
#[must_use]
pub fn resolv_conf(record: &Container, facts: &Facts) -> String {
    let host = &record.host_config;
    let search = chosen(&host.dns_search, &facts.settings.dns_search);
    let mut options = chosen(&host.dns_options, &facts.settings.dns_options);
    let kept_options = !facts.own_server && options.is_empty();
    // Some programs read only one line of them.
    if facts.own_server && options.is_empty() {
        let of_host = facts.resolv_conf.lines().filter_map(|line| line.trim().strip_prefix("options"));
        options.extend(of_host.flat_map(str::split_whitespace).map(str::to_owned));
    }
    let kept = |line: &&str| {
        let word = line.split_whitespace().next().unwrap_or_default();
        let replaced = word == "nameserver"
            || (matches!(word, "search" | "domain") && !search.is_empty())
            || (word == "options" && !kept_options);
        !word.is_empty() && !word.starts_with(['#', ';']) && !replaced
    };
    let mut lines: Vec<String> = facts.resolv_conf.lines().filter(kept).map(str::to_owned).collect();
    if facts.own_server {
        lines.insert(0, format!("nameserver {OWN_SERVER}"));
        // One name in a network of containers has no dots.
        if dots(&options, &facts.resolv_conf).is_none() {
            options.push("ndots:0".to_owned());
        }
    } else {
        lines.extend(
            servers(record, &facts.settings.dns, &facts.resolv_conf)
                .iter()
                .map(|server| format!("nameserver {server}")),
        );
    }
    if !search.is_empty() && search != ["."] {
        lines.push(format!("search {}", search.join(" ")));
    }
    if !options.is_empty() {
        lines.push(format!("options {}", options.join(" ")));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_says_how_many_dots_where_nobody_else_says_options() {
        let chosen = |options: &[&str]| options.iter().map(|&option| option.to_owned()).collect::<Vec<_>>();
        for (options, of_host, then) in [
            (&[][..], "nameserver 192.0.2.1\n", None),
            (&[], "options ndots:5\nnameserver 192.0.2.1\n", Some(5)),
            (&[], "options timeout:1 ndots:5\n options ndots:2\n", Some(2)),
            (&[], "options ndots: ndots:x\n# options ndots:3\n", None),
            (&["timeout:1"], "options ndots:5\n", None),
            (&["ndots:2", "ndots:0"], "options ndots:5\n", Some(0)),
        ] {
            assert_eq!(dots(&chosen(options), of_host), then, "{options:?} {of_host:?}");
        }
    }
}
