//! `dhow ps`: the containers.

use std::collections::BTreeMap;

use dhow_api::client::Request;
use serde::Deserialize;
use serde_json::Value as Json;

use super::{Arity, Command};
use crate::error::Result;
use crate::flags::filter::Filters;
use crate::flags::{FILTER, INT, Parsed, STRING, SWITCH, flag};
use crate::format::{Listing, Row, names, quote, time, units};
use crate::session::Session;

pub(crate) const COMMAND: Command = Command {
    paths: &["container ls", "container list", "container ps", "ps"],
    usage: "[OPTIONS]",
    about: "List containers",
    arity: Arity::None,
    arguments_end_flags: false,
    flags: &[&[
        flag("all", SWITCH, "Show all containers, not only the running ones").short('a'),
        flag("filter", FILTER, "Show only what meets the condition").short('f'),
        flag("format", STRING, super::FORMAT_HELP),
        flag("last", INT, "Show the n newest containers, whatever their state (default -1)").short('n'),
        flag("latest", SWITCH, "Show the newest container, whatever its state").short('l'),
        flag("no-trunc", SWITCH, "Show ids and commands in full"),
        flag("quiet", SWITCH, "Show ids only").short('q'),
        flag("size", SWITCH, "Show sizes too").short('s'),
    ]],
    run,
};

const TABLE: &str =
    "table {{.ID}}\\t{{.Image}}\\t{{.Command}}\\t{{.RunningFor}}\\t{{.Status}}\\t{{.Ports}}\\t{{.Names}}";
const RAW: &str = "container_id: {{.ID}}\\nimage: {{.Image}}\\ncommand: {{.Command}}\\n\
    created_at: {{.CreatedAt}}\\nstate: {{- pad .State 1 0}}\\nstatus: {{- pad .Status 1 0}}\\n\
    names: {{.Names}}\\nlabels: {{- pad .Labels 1 0}}\\nports: {{- pad .Ports 1 0}}\\n";

fn run(session: &Session, parsed: &Parsed) -> Result<()> {
    let format = match parsed.text("format") {
        Some(format) => {
            if parsed.is_on("quiet") && !format.is_empty() {
                let words = "Ignoring custom format, because both --format and --quiet are set.";
                eprintln!("WARNING: {words}");
            }
            format
        }
        None if parsed.is_on("quiet") => "table",
        None => session.settings().ps_format.as_str(),
    };
    let custom = Listing::new(format);
    // `json` alone is no template to docker, and does not ask for sizes.
    let size = parsed.is_on("size") || (format != "json" && custom.mentions("Size"));
    let listing = listing(format, parsed.is_on("quiet"), size);
    let limit =
        if parsed.is_on("latest") { Some(1) } else { parsed.integer("last").filter(|last| *last > 0) };
    let request = Request::get(&["containers", "json"])
        .query_flag("all", parsed.is_on("all"))
        .query_some("limit", limit.map(|limit| limit.to_string()).as_deref())
        .query_flag("size", size)
        .query_some("filters", Filters::of(parsed).to_query().as_deref());
    let containers: Vec<Container> = session.send(request)?.json()?;
    let cut = !parsed.is_on("no-trunc");
    let rows = containers.into_iter().map(|container| ContainerRow { container, cut });
    session.print(&listing.show(rows)?)
}

fn listing(format: &str, quiet: bool, size: bool) -> Listing {
    match (format, quiet) {
        ("raw", true) => Listing::new("container_id: {{.ID}}"),
        (_, true) => Listing::new("{{.ID}}"),
        ("table" | "", false) if size => Listing::new(&format!("{TABLE}\\t{{{{.Size}}}}")),
        ("table" | "", false) => Listing::new(TABLE),
        ("raw", false) if size => Listing::new(&format!("{RAW}size: {{{{.Size}}}}\\n")),
        ("raw", false) => Listing::new(RAW),
        (custom, false) => Listing::new(custom),
    }
}

/// A container as the engine lists it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Container {
    pub(crate) id: String,
    #[serde(deserialize_with = "super::nullable")]
    pub(crate) names: Vec<String>,
    pub(crate) image: String,
    #[serde(rename = "ImageID")]
    pub(crate) image_id: String,
    pub(crate) command: String,
    pub(crate) created: i64,
    #[serde(deserialize_with = "super::nullable")]
    pub(crate) ports: Vec<Port>,
    pub(crate) size_rw: i64,
    pub(crate) size_root_fs: i64,
    #[serde(deserialize_with = "super::nullable")]
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) state: String,
    pub(crate) status: String,
    #[serde(deserialize_with = "super::nullable")]
    pub(crate) network_settings: Networks,
    #[serde(deserialize_with = "super::nullable")]
    pub(crate) mounts: Vec<Mount>,
}

/// A port of a container.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Port {
    #[serde(rename = "IP")]
    ip: String,
    private_port: u16,
    public_port: u16,
    r#type: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Networks {
    #[serde(deserialize_with = "super::nullable")]
    networks: BTreeMap<String, Json>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Mount {
    name: String,
    source: String,
    driver: String,
}

/// A container in a listing.
pub(crate) struct ContainerRow {
    pub(crate) container: Container,
    /// Whether ids, names and commands are cut short.
    pub(crate) cut: bool,
}

impl Row for ContainerRow {
    const TRIED_FIRST: bool = true;
    const TYPE: &'static str = "*formatter.ContainerContext";
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("Command", "COMMAND"),
        ("CreatedAt", "CREATED AT"),
        ("ID", "CONTAINER ID"),
        ("Image", "IMAGE"),
        ("Labels", "LABELS"),
        ("LocalVolumes", "LOCAL VOLUMES"),
        ("Mounts", "MOUNTS"),
        ("Names", "NAMES"),
        ("Networks", "NETWORKS"),
        ("Platform", "PLATFORM"),
        ("Ports", "PORTS"),
        ("RunningFor", "CREATED"),
        ("Size", "SIZE"),
        ("State", "STATE"),
        ("Status", "STATUS"),
    ];

    fn field(&self, name: &str) -> Option<Json> {
        let container = &self.container;
        let text = match name {
            "ID" if self.cut => names::short_id(&container.id).to_owned(),
            "ID" => container.id.clone(),
            "Names" => self.names(),
            "Image" => self.image(),
            "Command" if self.cut => quote::quoted(&names::ellipsis(&container.command, 20)),
            "Command" => quote::quoted(&container.command),
            "CreatedAt" => time::local(container.created),
            "RunningFor" => time::ago(container.created),
            "Ports" => ports(&container.ports),
            "State" => container.state.clone(),
            "Status" => container.status.clone(),
            "Size" => self.size(),
            "Labels" => super::labels_text(&container.labels),
            "Mounts" => self.mounts(),
            "LocalVolumes" => {
                container.mounts.iter().filter(|mount| mount.driver == "local").count().to_string()
            }
            "Networks" => container.network_settings.networks.keys().cloned().collect::<Vec<_>>().join(","),
            "Platform" => return Some(Json::Null),
            _ => return None,
        };
        Some(Json::String(text))
    }

    fn labels(&self) -> Option<Json> {
        serde_json::to_value(&self.container.labels).ok()
    }
}

impl ContainerRow {
    fn names(&self) -> String {
        let plain: Vec<&str> =
            self.container.names.iter().map(|name| name.strip_prefix('/').unwrap_or(name)).collect();
        // Names with a slash come from old links between containers.
        match plain.iter().find(|name| self.cut && !name.contains('/')) {
            Some(name) => (*name).to_owned(),
            None => plain.join(","),
        }
    }

    fn image(&self) -> String {
        let Container { image, image_id, .. } = &self.container;
        if image.is_empty() {
            return "<no image>".to_owned();
        }
        if !self.cut {
            return image.clone();
        }
        if !image_id.is_empty() && names::short_id(image_id) == names::short_id(image) {
            return names::short_id(image_id).to_owned();
        }
        let (name, _digest) = image.split_once('@').unwrap_or((image, ""));
        names::familiar(name).to_owned()
    }

    fn size(&self) -> String {
        let written = units::human_size_short(units::float(self.container.size_rw));
        match self.container.size_root_fs {
            ..=0 => written,
            all => format!("{written} (virtual {})", units::human_size_short(units::float(all))),
        }
    }

    fn mounts(&self) -> String {
        let name = |mount: &Mount| {
            let name = if mount.name.is_empty() { &mount.source } else { &mount.name };
            if self.cut { names::ellipsis(name, 15) } else { name.clone() }
        };
        self.container.mounts.iter().map(name).collect::<Vec<_>>().join(",")
    }
}

/// The ports in docker's short form: neighbours are shown as one range.
fn ports(ports: &[Port]) -> String {
    let mut sorted: Vec<&Port> = ports.iter().collect();
    sorted.sort_by(|a, b| {
        (a.private_port, &a.ip, a.public_port, &a.r#type).cmp(&(
            b.private_port,
            &b.ip,
            b.public_port,
            &b.r#type,
        ))
    });
    let mut shown = Vec::new();
    let mut mappings = Vec::new();
    let mut ranges: Vec<(&str, &str, u16, u16)> = Vec::new();
    for port in sorted {
        let Port { ip, private_port, public_port, r#type } = port;
        if !ip.is_empty() && public_port != private_port {
            mappings.push(format!("{}->{private_port}/{}", host_port(ip, public_port), r#type));
            continue;
        }
        match ranges.iter_mut().find(|range| range.0 == ip && range.1 == r#type) {
            Some(range) if range.3.checked_add(1) == Some(*private_port) => range.3 = *private_port,
            Some(range) => {
                shown.push(range_text(range));
                (range.2, range.3) = (*private_port, *private_port);
            }
            None => ranges.push((ip, r#type, *private_port, *private_port)),
        }
    }
    shown.extend(ranges.iter().map(range_text));
    shown.extend(mappings);
    shown.join(", ")
}

fn range_text(range: &(&str, &str, u16, u16)) -> String {
    let (ip, kind, first, last) = range;
    let numbers = if first == last { first.to_string() } else { format!("{first}-{last}") };
    match *ip {
        "" => format!("{numbers}/{kind}"),
        ip => format!("{}->{numbers}/{kind}", host_port(ip, &numbers)),
    }
}

fn host_port(ip: &str, port: impl std::fmt::Display) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(ip: &str, public: u16, private: u16, kind: &str) -> Port {
        Port { ip: ip.to_owned(), private_port: private, public_port: public, r#type: kind.to_owned() }
    }

    #[test]
    fn neighbouring_ports_are_one_range() {
        let list = [
            port("0.0.0.0", 80, 80, "tcp"),
            port("0.0.0.0", 81, 81, "tcp"),
            port("::", 80, 80, "tcp"),
            port("127.0.0.1", 8080, 90, "tcp"),
            port("", 0, 53, "udp"),
            port("", 0, 443, "tcp"),
        ];
        assert_eq!(
            ports(&list),
            "53/udp, 0.0.0.0:80-81->80-81/tcp, [::]:80->80/tcp, 443/tcp, 127.0.0.1:8080->90/tcp"
        );
    }

    #[test]
    fn a_row_reads_as_docker_prints_it() {
        let text = r#"{"Id":"608b86c35ee6904d92e8","Names":["/c1","/other/c1"],"Image":"docker.io/library/busybox:1@sha256:12",
            "ImageID":"sha256:b6dd","Command":"sh -c 'sleep 1000000'","Created":0,"Ports":null,"Labels":{"b":"2","a":"1"},
            "State":"running","Status":"Up","SizeRw":5,"SizeRootFs":1976320,
            "NetworkSettings":{"Networks":{"none":{}}},"Mounts":[{"Name":"","Source":"/a/rather/long/path","Driver":""}]}"#;
        let mut row = ContainerRow { container: serde_json::from_str(text).unwrap(), cut: true };
        let line =
            "{{.ID}} {{.Names}} {{.Image}} {{.Command}} {{.Labels}} {{.Size}} {{.Networks}} {{.Mounts}}";
        let show = |row| Listing::new(line).show([row]).unwrap();
        row.cut = false;
        let full = "608b86c35ee6904d92e8 c1,other/c1 docker.io/library/busybox:1@sha256:12 \
                    \"sh -c 'sleep 1000000'\" a=1,b=2 5B (virtual 1.98MB) none /a/rather/long/path\n";
        assert_eq!(show(row), full);
        let row = ContainerRow { container: serde_json::from_str(text).unwrap(), cut: true };
        let short = "608b86c35ee6 c1 busybox:1 \"sh -c 'sleep 100000…\" a=1,b=2 5B (virtual 1.98MB) none /a/rather/long…\n";
        assert_eq!(show(row), short);
    }
}
