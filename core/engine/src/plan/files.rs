//! The files that are made for a container: its name, who is who, and how names are resolved.

use dhow_model::Container;
use dhow_oci::runtime::Mount;

use super::{Facts, spec};

const NAMES: [&str; 3] = ["hostname", "hosts", "resolv.conf"];

/// What is written into the container's own directory before it starts.
#[must_use]
pub fn contents(record: &Container, facts: &Facts) -> Vec<(&'static str, Vec<u8>)> {
    if shares_files(record) {
        return Vec::new();
    }
    vec![
        ("hostname", format!("{}\n", name(record, facts)).into_bytes()),
        ("hosts", hosts(record, facts).into_bytes()),
        ("resolv.conf", resolv_conf(record, facts).into_bytes()),
    ]
}

/// Where those files are laid over the container's own.
pub(super) fn mounts(record: &Container, facts: &Facts) -> Vec<Mount> {
    let other =
        record.host_config.network_mode.strip_prefix("container:").and_then(|name| facts.joined.get(name));
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
    record.host_config.network_mode.starts_with("container:")
}

fn name<'a>(record: &'a Container, facts: &'a Facts) -> &'a str {
    if record.config.hostname.is_empty() { &facts.host.name } else { &record.config.hostname }
}

fn hosts(record: &Container, facts: &Facts) -> String {
    let mut text = if record.host_config.network_mode == "host" {
        facts.hosts.clone()
    } else {
        let own = name(record, facts);
        let full = match record.config.domainname.as_str() {
            "" => own.to_owned(),
            domain => format!("{own}.{domain} {own}"),
        };
        format!(
            "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n\
             ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n127.0.0.1\t{full}\n"
        )
    };
    for pair in record.host_config.extra_hosts.iter().flatten() {
        if let Some((name, address)) = pair.split_once(':').or_else(|| pair.split_once('=')) {
            text.push_str(&format!("{}\t{name}\n", address.trim_matches(['[', ']'])));
        }
    }
    text
}

/// The host's, with what the container or the engine says in its place.
fn resolv_conf(record: &Container, facts: &Facts) -> String {
    let host = &record.host_config;
    let chosen = |own: &Option<Vec<String>>, general: &[String]| -> Vec<String> {
        own.clone().filter(|list| !list.is_empty()).unwrap_or_else(|| general.to_vec())
    };
    let servers = chosen(&host.dns, &facts.settings.dns);
    let search = chosen(&host.dns_search, &facts.settings.dns_search);
    let options = chosen(&host.dns_options, &facts.settings.dns_options);
    let kept = |line: &&str| {
        let word = line.split_whitespace().next().unwrap_or_default();
        let replaced = (word == "nameserver" && !servers.is_empty())
            || (matches!(word, "search" | "domain") && !search.is_empty())
            || (word == "options" && !options.is_empty());
        !word.is_empty() && !word.starts_with(['#', ';']) && !replaced
    };
    let mut lines: Vec<String> = facts.resolv_conf.lines().filter(kept).map(str::to_owned).collect();
    lines.extend(servers.iter().map(|server| format!("nameserver {server}")));
    if !search.is_empty() && search != ["."] {
        lines.push(format!("search {}", search.join(" ")));
    }
    if !options.is_empty() {
        lines.push(format!("options {}", options.join(" ")));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}
