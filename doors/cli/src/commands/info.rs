//! `dhow info`: what the engine tells of itself and of the host.

use std::fmt::Write as _;

use dhow_api::client::Request;
use serde_json::{Value as Json, json};

use super::{Arity, Command};
use crate::error::Result;
use crate::flags::{Parsed, STRING, flag};
use crate::format::inspected::Shown;
use crate::format::{units, value};
use crate::session::Session;

pub(crate) const COMMAND: Command = Command {
    paths: &["system info", "info"],
    usage: "[OPTIONS]",
    about: "Show what the engine knows about itself and the host",
    arity: Arity::None,
    arguments_end_flags: false,
    flags: &[&[flag("format", STRING, super::INSPECT_FORMAT_HELP).short('f')]],
    run,
};

fn run(session: &Session, parsed: &Parsed) -> Result<()> {
    let format = parsed.text_or_empty("format");
    let context = session.host()?.context;
    if !format.is_empty() {
        return formatted(session, format, &context);
    }
    let answer = ask(session);
    let mut page = client_page(&context);
    if let Ok(info) = &answer {
        page.push_str(&server_page(info));
    }
    session.print(&page)?;
    for warning in answer?.get("Warnings").and_then(Json::as_array).into_iter().flatten() {
        eprintln!("{}", value::printed(warning));
    }
    Ok(())
}

fn ask(session: &Session) -> Result<Json> {
    Ok(session.send(Request::get(&["info"]))?.json::<Json>()?)
}

/// What only the client knows is told without an engine; else what is known without one, and then why there is none.
fn formatted(session: &Session, format: &str, context: &str) -> Result<()> {
    let shown = Shown::by(format)?;
    let client = json!({"ClientInfo": client_info(context)});
    if names_a_field(format)
        && let (text, Ok(())) = shown.partly(&client, "system.clientOnly", "")
    {
        return session.print(&text);
    }
    let (mut document, failure) = match ask(session) {
        Ok(document) => (document, None),
        Err(error) => (json!({}), Some(error)),
    };
    if let (Some(fields), Json::Object(client)) = (document.as_object_mut(), client) {
        fields.extend(client);
    }
    let (text, rendered) = shown.partly(&document, "system.dockerInfo", "");
    session.print(&text)?;
    failure.map_or(rendered, Err)
}

/// Docker's guess: a dot and a letter. What shows the whole has none.
fn names_a_field(format: &str) -> bool {
    format.as_bytes().windows(2).any(|two| two[0] == b'.' && two[1].is_ascii_alphabetic())
}

fn client_info(context: &str) -> Json {
    json!({
        "Debug": false, "Version": env!("CARGO_PKG_VERSION"), "Os": "linux",
        "DefaultAPIVersion": dhow_api::client::API_VERSION, "Context": context, "Plugins": [], "Warnings": null,
    })
}

fn client_page(context: &str) -> String {
    format!(
        "Client:\n Version:    {}\n Context:    {context}\n Debug Mode: false\n\nServer:\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// A line of the page: its label, the field, and whether it stays away when empty.
type Line = (&'static str, &'static str, bool);

const COUNTS: &[Line] = &[
    (" Containers:", "/Containers", false),
    ("  Running:", "/ContainersRunning", false),
    ("  Paused:", "/ContainersPaused", false),
    ("  Stopped:", "/ContainersStopped", false),
    (" Images:", "/Images", false),
    (" Server Version:", "/ServerVersion", true),
    (" Storage Driver:", "/Driver", true),
];
const DRIVERS: &[Line] = &[
    (" Logging Driver:", "/LoggingDriver", true),
    (" Cgroup Driver:", "/CgroupDriver", true),
    (" Cgroup Version:", "/CgroupVersion", true),
];
const PROGRAMS: &[Line] = &[
    (" Init Binary:", "/InitBinary", false),
    (" containerd version:", "/ContainerdCommit/ID", false),
    (" runc version:", "/RuncCommit/ID", false),
    (" init version:", "/InitCommit/ID", false),
];
const HOST: &[Line] = &[
    (" Kernel Version:", "/KernelVersion", true),
    (" Operating System:", "/OperatingSystem", true),
    (" OSType:", "/OSType", true),
    (" Architecture:", "/Architecture", true),
    (" CPUs:", "/NCPU", false),
];
const ENGINE: &[Line] = &[
    (" Name:", "/Name", true),
    (" ID:", "/ID", true),
    (" Docker Root Dir:", "/DockerRootDir", false),
    (" Debug Mode:", "/Debug", false),
];
const DEBUG: &[Line] = &[
    ("  File Descriptors:", "/NFd", false),
    ("  Goroutines:", "/NGoroutines", false),
    ("  System Time:", "/SystemTime", false),
    ("  EventsListeners:", "/NEventsListener", false),
];
const PROXIES: &[Line] = &[
    (" HTTP Proxy:", "/HttpProxy", true),
    (" HTTPS Proxy:", "/HttpsProxy", true),
    (" No Proxy:", "/NoProxy", true),
];

fn server_page(info: &Json) -> String {
    let mut page = String::new();
    lines(&mut page, info, COUNTS);
    for pair in info.get("DriverStatus").and_then(Json::as_array).into_iter().flatten() {
        let text = |index: usize| pair.get(index).map(value::printed).unwrap_or_default();
        line(&mut page, &format!("  {}:", text(0)), &text(1));
    }
    lines(&mut page, info, DRIVERS);
    page.push_str(" Plugins:\n");
    line(&mut page, "  Volume:", &words(info, "/Plugins/Volume"));
    line(&mut page, "  Network:", &words(info, "/Plugins/Network"));
    if !words(info, "/Plugins/Authorization").is_empty() {
        line(&mut page, "  Authorization:", &words(info, "/Plugins/Authorization"));
    }
    line(&mut page, "  Log:", &words(info, "/Plugins/Log"));
    list(&mut page, info, " CDI spec directories:", "/CDISpecDirs");
    line(&mut page, " Swarm:", &text(info, "/Swarm/LocalNodeState"));
    if let Some(runtimes) = info.get("Runtimes").and_then(Json::as_object).filter(|it| !it.is_empty()) {
        line(&mut page, " Runtimes:", &runtimes.keys().cloned().collect::<Vec<_>>().join(" "));
        line(&mut page, " Default Runtime:", &text(info, "/DefaultRuntime"));
    }
    lines(&mut page, info, PROGRAMS);
    security(&mut page, info);
    lines(&mut page, info, HOST);
    let memory = info.get("MemTotal").and_then(Json::as_i64).unwrap_or(0);
    line(&mut page, " Total Memory:", &units::binary_size(units::float(memory)));
    lines(&mut page, info, ENGINE);
    if info.get("Debug") == Some(&Json::Bool(true)) {
        lines(&mut page, info, DEBUG);
    }
    lines(&mut page, info, PROXIES);
    list(&mut page, info, " Labels:", "/Labels");
    line(&mut page, " Experimental:", &text(info, "/ExperimentalBuild"));
    registries(&mut page, info);
    line(&mut page, " Live Restore Enabled:", &text(info, "/LiveRestoreEnabled"));
    if !text(info, "/ProductLicense").is_empty() {
        line(&mut page, " Product License:", &text(info, "/ProductLicense"));
    }
    page.push('\n');
    page
}

fn text(info: &Json, field: &str) -> String {
    match info.pointer(field) {
        Some(Json::Null) | None => String::new(),
        Some(found) => value::printed(found),
    }
}

fn words(info: &Json, field: &str) -> String {
    let items = info.pointer(field).and_then(Json::as_array).into_iter().flatten();
    items.map(value::printed).collect::<Vec<_>>().join(" ")
}

fn line(page: &mut String, label: &str, text: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(page, "{label} {text}");
}

fn lines(page: &mut String, info: &Json, table: &[Line]) {
    for (label, field, only_filled) in table {
        let text = text(info, field);
        if !(*only_filled && text.is_empty()) {
            line(page, label, &text);
        }
    }
}

fn list(page: &mut String, info: &Json, title: &str, field: &str) {
    let items = info.pointer(field).and_then(Json::as_array).filter(|items| !items.is_empty());
    for (index, item) in items.into_iter().flatten().enumerate() {
        if index == 0 {
            let _ = writeln!(page, "{title}");
        }
        let _ = writeln!(page, "  {}", value::printed(item));
    }
}

/// `name=seccomp,profile=builtin` as a name and what belongs to it.
fn security(page: &mut String, info: &Json) {
    let options = info.get("SecurityOptions").and_then(Json::as_array).filter(|options| !options.is_empty());
    let Some(options) = options else { return };
    page.push_str(" Security Options:\n");
    for option in options.iter().filter_map(Json::as_str) {
        for (index, part) in option.split(',').enumerate() {
            match part.split_once('=') {
                Some(("name", name)) => line(page, " ", name),
                Some(("profile", profile)) => line(page, "   Profile:", profile),
                None if index == 0 => line(page, " ", part),
                _ => {}
            }
        }
    }
}

fn registries(page: &mut String, info: &Json) {
    let insecure = info.pointer("/RegistryConfig/IndexConfigs").and_then(Json::as_object);
    let names = insecure.into_iter().flatten().filter(|(_, it)| it.get("Secure") == Some(&Json::Bool(false)));
    let names: Vec<String> = names.map(|(name, _)| name.clone()).collect();
    let ranges = info.pointer("/RegistryConfig/InsecureRegistryCIDRs").and_then(Json::as_array);
    let ranges: Vec<String> = ranges.into_iter().flatten().map(value::printed).collect();
    if insecure.is_some_and(|it| !it.is_empty()) || !ranges.is_empty() {
        page.push_str(" Insecure Registries:\n");
        for name in names.iter().chain(&ranges) {
            let _ = writeln!(page, "  {name}");
        }
    }
    list(page, info, " Registry Mirrors:", "/RegistryConfig/Mirrors");
}
