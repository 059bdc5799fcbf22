//! `dhow volume ls|create|rm`: storage that outlives containers.

use std::collections::BTreeMap;

use dhow_api::client::Request;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::each::one_by_one;
use super::{Arity, Command};
use crate::error::{Error, Result};
use crate::flags::filter::Filters;
use crate::flags::{FILTER, LABEL, MAP, Parsed, STRING, SWITCH, UNREAD, environment, flag};
use crate::format::{Forms, Listing, Row, names, units};
use crate::session::Session;

pub(crate) const LIST_THEM: Command = Command {
    paths: &["volume ls", "volume list"],
    usage: "[OPTIONS]",
    about: "List volumes",
    arity: Arity::None,
    arguments_end_flags: false,
    flags: &[&[
        flag("filter", FILTER, "Show only what meets the condition").short('f'),
        flag("format", STRING, super::FORMAT_HELP),
        flag("quiet", SWITCH, "Show names only").short('q'),
        flag("cluster", SWITCH, "").hidden(),
    ]],
    run: list,
};

pub(crate) const CREATE: Command = Command {
    paths: &["volume create"],
    usage: "[OPTIONS] [VOLUME]",
    about: "Create a volume",
    arity: Arity::AtMost(1),
    arguments_end_flags: false,
    flags: &[&[
        flag("driver", STRING, "Driver of the volume (default \"local\")").short('d'),
        flag("label", LABEL, "Set a label"),
        flag("name", STRING, "").hidden(),
        flag("opt", MAP, "Option of the driver").short('o'),
    ]],
    run: create,
};

pub(crate) const REMOVE: Command = Command {
    paths: &["volume rm", "volume remove"],
    usage: "[OPTIONS] VOLUME [VOLUME...]",
    about: "Remove volumes that no container uses",
    arity: Arity::AtLeast(1),
    arguments_end_flags: false,
    flags: &[&[flag("force", SWITCH, "Do not mind volumes that are not there").short('f')]],
    run: remove,
};

/// Docker's updates volumes of a swarm's cluster alone.
pub(crate) const UPDATE: Command = Command {
    paths: &["volume update"],
    usage: "[OPTIONS] VOLUME",
    about: "Update a volume of a cluster, which no volume of ours is",
    arity: Arity::Exactly(1),
    arguments_end_flags: false,
    flags: &[&[UNREAD]],
    run: |session, parsed| {
        session.send(Request::get(&["volumes", parsed.argument(0)]))?;
        Err(Error::said("can only update cluster volumes"))
    },
};

/// A volume as the engine lists it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Volume {
    name: String,
    driver: String,
    mountpoint: String,
    scope: String,
    #[serde(deserialize_with = "super::nullable")]
    labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "super::nullable")]
    options: BTreeMap<String, String>,
    pub(crate) usage_data: Option<Usage>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Usage {
    pub(crate) ref_count: i64,
    pub(crate) size: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Volumes {
    #[serde(deserialize_with = "super::nullable")]
    volumes: Vec<Volume>,
}

fn list(session: &Session, parsed: &Parsed) -> Result<()> {
    let forms = Forms {
        table: "table {{.Driver}}\\t{{.Name}}",
        raw: "name: {{.Name}}\\ndriver: {{.Driver}}\\n",
        quiet: "{{.Name}}",
        raw_quiet: "name: {{.Name}}",
    };
    let listing = Listing::asked(parsed, &session.settings().volumes_format, &forms);
    let request = Request::get(&["volumes"]).query_some("filters", Filters::of(parsed).to_query().as_deref());
    let mut volumes = session.send(request)?.json::<Volumes>()?.volumes;
    volumes.sort_by(|a, b| names::natural(&a.name).cmp(&names::natural(&b.name)));
    session.print(&listing.show(volumes)?)
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CreateRequest {
    #[serde(skip_serializing_if = "String::is_empty")]
    driver: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    driver_opts: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
}

fn create(session: &Session, parsed: &Parsed) -> Result<()> {
    let by_flag = parsed.text_or_empty("name");
    if !by_flag.is_empty() && !parsed.arguments.is_empty() {
        let words =
            "conflicting options: cannot specify a volume-name through both --name and as a positional arg";
        return Err(Error::said(words));
    }
    let request = CreateRequest {
        driver: parsed.text("driver").unwrap_or("local").to_owned(),
        driver_opts: environment::pairs(&parsed.list("opt")),
        labels: environment::pairs(&parsed.list("label")),
        name: parsed.arguments.first().map_or(by_flag, String::as_str).to_owned(),
    };
    let volume: Volume = session.send(Request::post(&["volumes", "create"]).json(&request)?)?.json()?;
    session.print_line(&volume.name)
}

fn remove(session: &Session, parsed: &Parsed) -> Result<()> {
    let force = parsed.is_on("force");
    one_by_one(session, &parsed.arguments, |client, name| {
        client.send(Request::delete(&["volumes", name]).query_flag("force", force))?;
        Ok(())
    })
}

impl Row for Volume {
    const TYPE: &'static str = "*formatter.volumeContext";
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("Availability", "AVAILABILITY"),
        ("Driver", "DRIVER"),
        ("Group", "GROUP"),
        ("Labels", "LABELS"),
        ("Links", "LINKS"),
        ("Mountpoint", "MOUNTPOINT"),
        ("Name", "VOLUME NAME"),
        ("Scope", "SCOPE"),
        ("Size", "SIZE"),
        ("Status", "STATUS"),
    ];

    fn field(&self, name: &str) -> Option<Json> {
        let unknown = || "N/A".to_owned();
        let text = match name {
            "Name" => self.name.clone(),
            "Driver" => self.driver.clone(),
            "Scope" => self.scope.clone(),
            "Mountpoint" => self.mountpoint.clone(),
            "Labels" => super::labels_text(&self.labels),
            "Links" => self.usage_data.as_ref().map_or_else(unknown, |usage| usage.ref_count.to_string()),
            "Size" => {
                let limit = self.options.get("size").filter(|limit| *limit != "0");
                let limit = limit.map(|limit| format!(" (limit {limit})")).unwrap_or_default();
                let size = |usage: &Usage| units::human_size(units::float(usage.size)) + &limit;
                self.usage_data.as_ref().map_or_else(unknown, size)
            }
            "Group" | "Availability" | "Status" => unknown(),
            _ => return None,
        };
        Some(Json::String(text))
    }

    fn labels(&self) -> Option<Json> {
        serde_json::to_value(&self.labels).ok()
    }
}
