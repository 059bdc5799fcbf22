//! `dhow network ls`: the networks that the engine knows.

use std::collections::BTreeMap;

use dhow_api::client::Request;
use serde::Deserialize;
use serde_json::Value as Json;

use super::{Arity, Command};
use crate::error::Result;
use crate::flags::filter::Filters;
use crate::flags::{FILTER, Parsed, STRING, SWITCH, flag};
use crate::format::{Forms, Listing, Row, names, time};
use crate::session::Session;

pub(crate) const LIST: Command = Command {
    paths: &["network ls", "network list"],
    usage: "[OPTIONS]",
    about: "List networks",
    arity: Arity::None,
    arguments_end_flags: false,
    flags: &[&[
        flag("filter", FILTER, "Show only what meets the condition").short('f'),
        flag("format", STRING, super::FORMAT_HELP),
        flag("no-trunc", SWITCH, "Show ids in full"),
        flag("quiet", SWITCH, "Show ids only").short('q'),
    ]],
    run,
};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Network {
    id: String,
    name: String,
    driver: String,
    scope: String,
    created: String,
    #[serde(rename = "EnableIPv4")]
    enable_ipv4: bool,
    #[serde(rename = "EnableIPv6")]
    enable_ipv6: bool,
    internal: bool,
    #[serde(deserialize_with = "super::nullable")]
    labels: BTreeMap<String, String>,
}

fn run(session: &Session, parsed: &Parsed) -> Result<()> {
    let forms = Forms {
        table: "table {{.ID}}\\t{{.Name}}\\t{{.Driver}}\\t{{.Scope}}",
        raw: "network_id: {{.ID}}\\nname: {{.Name}}\\ndriver: {{.Driver}}\\nscope: {{.Scope}}\\n",
        quiet: "{{.ID}}",
        raw_quiet: "network_id: {{.ID}}",
    };
    let listing = Listing::asked(parsed, &session.settings().networks_format, &forms);
    let request =
        Request::get(&["networks"]).query_some("filters", Filters::of(parsed).to_query().as_deref());
    let mut networks: Vec<Network> = session.send(request)?.json()?;
    networks.sort_by(|a, b| names::natural(&a.name).cmp(&names::natural(&b.name)));
    let cut = !parsed.is_on("no-trunc");
    session.print(&listing.show(networks.into_iter().map(|network| NetworkRow { network, cut }))?)
}

struct NetworkRow {
    network: Network,
    cut: bool,
}

impl Row for NetworkRow {
    const TYPE: &'static str = "*network.networkContext";
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("CreatedAt", "CREATED AT"),
        ("Driver", "DRIVER"),
        ("ID", "NETWORK ID"),
        ("IPv4", "IPV4"),
        ("IPv6", "IPV6"),
        ("Internal", "INTERNAL"),
        ("Labels", "LABELS"),
        ("Name", "NAME"),
        ("Scope", "SCOPE"),
    ];

    fn field(&self, name: &str) -> Option<Json> {
        let network = &self.network;
        let text = match name {
            "ID" if self.cut => names::short_id(&network.id).to_owned(),
            "ID" => network.id.clone(),
            "Name" => network.name.clone(),
            "Driver" => network.driver.clone(),
            "Scope" => network.scope.clone(),
            "IPv4" => network.enable_ipv4.to_string(),
            "IPv6" => network.enable_ipv6.to_string(),
            "Internal" => network.internal.to_string(),
            "Labels" => super::labels_text(&network.labels),
            "CreatedAt" => time::go(&network.created),
            _ => return None,
        };
        Some(Json::String(text))
    }

    fn labels(&self) -> Option<Json> {
        serde_json::to_value(&self.network.labels).ok()
    }
}
