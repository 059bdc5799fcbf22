//! `dhow version`: of the client and of the engine.

use std::fmt::Write as _;

use dhow_api::client::{API_VERSION, Request};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::{Arity, Command};
use crate::error::Result;
use crate::flags::{Parsed, STRING, flag};
use crate::format::inspected::Shown;
use crate::format::tabwriter::Tabs;
use crate::format::time;
use crate::session::Session;

/// Of docker's page, and of what templates have tabs in.
const COLUMNS: Tabs = Tabs { minimum: 20, padding: 1 };

pub(crate) const COMMAND: Command = Command {
    paths: &["version"],
    usage: "[OPTIONS]",
    about: "Show the versions of the client and of the engine",
    arity: Arity::None,
    arguments_end_flags: false,
    flags: &[&[flag("format", STRING, super::INSPECT_FORMAT_HELP).short('f')]],
    run,
};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ClientVersion {
    version: &'static str,
    api_version: &'static str,
    #[serde(rename = "DefaultAPIVersion")]
    default_api_version: &'static str,
    os: &'static str,
    arch: &'static str,
    context: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Component {
    name: String,
    #[serde(default)]
    version: String,
    #[serde(default, deserialize_with = "super::nullable")]
    details: Map<String, Json>,
}

fn run(session: &Session, parsed: &Parsed) -> Result<()> {
    let client = ClientVersion {
        version: env!("CARGO_PKG_VERSION"),
        api_version: API_VERSION,
        default_api_version: API_VERSION,
        os: "linux",
        arch: architecture(),
        context: session.host()?.context,
    };
    let (server, failure) = match server(session) {
        Ok(server) => (server, None),
        Err(error) => (Json::Null, Some(error)),
    };
    let text = match parsed.text_or_empty("format") {
        "" => table(&client, &server),
        format => {
            let client = serde_json::to_value(&client).unwrap_or_default();
            let document = serde_json::json!({ "Client": client, "Server": server });
            let shown = Shown::by_named(format, "version")?;
            let (text, shown) = shown.partly(&document, "system.versionInfo", "version");
            session.print(&COLUMNS.align(&text))?;
            // That there is no engine says more than that a template asks for one.
            if failure.is_none() {
                shown?;
            }
            String::new()
        }
    };
    session.print(&text)?;
    failure.map_or(Ok(()), Err)
}

fn server(session: &Session) -> Result<Json> {
    // Who asks what there is does not want that there be something.
    let mut server: Json = session.found_client()?.send(Request::get(&["version"]))?.json()?;
    let components = server.get_mut("Components").and_then(Json::as_array_mut);
    for component in components.into_iter().flatten() {
        let built = component.pointer("/Details/BuildTime").and_then(Json::as_str).map(time::calendar);
        if let (Some(built), Some(details)) = (built, component.get_mut("Details")) {
            details["BuildTime"] = built.into();
        }
    }
    Ok(server)
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn table(client: &ClientVersion, server: &Json) -> String {
    let mut text = String::from("Client:\n");
    // Writing to a String cannot fail.
    let mut line = |indent: &str, name: &str, value: &str| {
        let _ = writeln!(text, "{indent}{name}:\t{value}");
    };
    line(" ", "Version", client.version);
    line(" ", "API version", client.api_version);
    line(" ", "OS/Arch", &format!("{}/{}", client.os, client.arch));
    line(" ", "Context", &client.context);
    if !server.is_null() {
        let _ = writeln!(text, "\nServer:{}", platform_name(server));
    }
    for component in components(server) {
        let _ = writeln!(text, " {}:", component.name);
        for (name, value) in lines_of(&component) {
            let _ = writeln!(text, "  {name}:\t{value}");
        }
    }
    COLUMNS.align(&text)
}

fn platform_name(server: &Json) -> String {
    match server.pointer("/Platform/Name").and_then(Json::as_str) {
        Some(name) if !name.is_empty() => format!(" {name}"),
        _ => String::new(),
    }
}

/// The parts of the server; one that tells of none is itself the engine.
fn components(server: &Json) -> Vec<Component> {
    let listed: Option<Vec<Component>> =
        server.get("Components").and_then(|list| serde_json::from_value(list.clone()).ok());
    match (listed, server.as_object()) {
        (Some(components), _) if !components.is_empty() => components,
        (_, Some(details)) => {
            let version = details.get("Version").and_then(Json::as_str).unwrap_or_default().to_owned();
            vec![Component { name: "Engine".to_owned(), version, details: details.clone() }]
        }
        (_, None) => Vec::new(),
    }
}

fn lines_of(component: &Component) -> Vec<(String, String)> {
    let detail = |name: &str| match component.details.get(name) {
        Some(Json::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let mut lines = vec![("Version".to_owned(), component.version.clone())];
    if component.name != "Engine" {
        let mut names: Vec<&String> = component.details.keys().collect();
        names.sort();
        lines.extend(names.into_iter().map(|name| (name.clone(), detail(name))));
        return lines;
    }
    let api = format!("{} (minimum version {})", detail("ApiVersion"), detail("MinAPIVersion"));
    lines.push(("API version".to_owned(), api));
    for (name, key) in [("Go version", "GoVersion"), ("Git commit", "GitCommit"), ("Built", "BuildTime")] {
        if !detail(key).is_empty() {
            lines.push((name.to_owned(), detail(key)));
        }
    }
    lines.push(("OS/Arch".to_owned(), format!("{}/{}", detail("Os"), detail("Arch"))));
    lines.push(("Experimental".to_owned(), detail("Experimental")));
    lines
}
