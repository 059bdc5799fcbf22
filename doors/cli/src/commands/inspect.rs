//! `dhow inspect`: everything the engine knows about containers, images, volumes and networks.

use dhow_api::client::Request;
use serde_json::value::RawValue;

use super::{Arity, Command};
use crate::error::{Error, Result};
use crate::flags::{Flag, Parsed, STRING, SWITCH, flag};
use crate::format::indent::indent;
use crate::format::inspected::Shown;
use crate::session::Session;

const FORMAT: Flag = flag("format", STRING, super::INSPECT_FORMAT_HELP).short('f');
const SIZE: Flag = flag("size", SWITCH, "Show the sizes of containers too").short('s');

pub(crate) const ANY: Command = Command {
    paths: &["inspect"],
    usage: "[OPTIONS] NAME|ID [NAME|ID...]",
    about: "Show everything about containers, images, volumes and networks",
    arity: Arity::AtLeast(1),
    arguments_end_flags: false,
    flags: &[&[FORMAT, SIZE, flag("type", STRING, "Look only among objects of this type")]],
    run: any,
};

pub(crate) const CONTAINER: Command = Command {
    paths: &["container inspect"],
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Show everything about containers",
    arity: Arity::AtLeast(1),
    arguments_end_flags: false,
    flags: &[&[FORMAT, SIZE]],
    run: |session, parsed| show(session, parsed, &[CONTAINERS]),
};

pub(crate) const IMAGE: Command = Command {
    paths: &["image inspect"],
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Show everything about images",
    arity: Arity::AtLeast(1),
    arguments_end_flags: false,
    flags: &[&[FORMAT, flag("platform", STRING, "Show this platform's (os/arch[/variant])")]],
    run: |session, parsed| show(session, parsed, &[IMAGES]),
};

pub(crate) const VOLUME: Command = Command {
    paths: &["volume inspect"],
    usage: "[OPTIONS] VOLUME [VOLUME...]",
    about: "Show everything about volumes",
    arity: Arity::AtLeast(1),
    arguments_end_flags: false,
    flags: &[&[
        FORMAT,
        flag("size", SWITCH, "Show what they take and how many containers have them").short('s'),
    ]],
    run: |session, parsed| show(session, parsed, &[VOLUMES]),
};

pub(crate) const NETWORK: Command = Command {
    paths: &["network inspect"],
    usage: "[OPTIONS] NETWORK [NETWORK...]",
    about: "Show everything about networks",
    arity: Arity::AtLeast(1),
    arguments_end_flags: false,
    flags: &[&[FORMAT, flag("verbose", SWITCH, "Say more").short('v')]],
    run: |session, parsed| show(session, parsed, &[NETWORKS]),
};

pub(crate) const PLUGIN: Command = Command {
    paths: &["plugin inspect"],
    usage: "[OPTIONS] PLUGIN [PLUGIN...]",
    about: "Show everything about plugins",
    arity: Arity::AtLeast(1),
    arguments_end_flags: false,
    flags: &[&[FORMAT]],
    run: |session, parsed| show(session, parsed, &[PLUGINS]),
};

/// A type of object, and the paths around its name.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    before: &'static str,
    after: Option<&'static str>,
    /// The Go type that docker reads its documents into.
    of: &'static str,
}

/// What was found under a name.
struct Found {
    document: Box<RawValue>,
    of: &'static str,
}

const CONTAINERS: Kind =
    Kind { name: "container", before: "containers", after: Some("json"), of: "container.InspectResponse" };
const IMAGES: Kind =
    Kind { name: "image", before: "images", after: Some("json"), of: "image.InspectResponse" };
const NETWORKS: Kind = Kind { name: "network", before: "networks", after: None, of: "network.Inspect" };
const VOLUMES: Kind = Kind { name: "volume", before: "volumes", after: None, of: "volume.Volume" };
/// In the order in which a bare name is looked up.
const KINDS: &[Kind] = &[CONTAINERS, IMAGES, NETWORKS, VOLUMES];
const PLUGINS: Kind = Kind { name: "plugin", before: "plugins", after: Some("json"), of: "any" };
/// The types that engines of ours have no objects of: they are looked for when they are asked for by name.
const OTHERS: &[Kind] = &[
    Kind { name: "config", before: "configs", after: None, of: "any" },
    Kind { name: "node", before: "nodes", after: None, of: "any" },
    PLUGINS,
    Kind { name: "secret", before: "secrets", after: None, of: "any" },
    Kind { name: "service", before: "services", after: None, of: "any" },
    Kind { name: "task", before: "tasks", after: None, of: "any" },
];

fn any(session: &Session, parsed: &Parsed) -> Result<()> {
    let names = || {
        let mut names: Vec<&str> = KINDS.iter().chain(OTHERS).map(|kind| kind.name).collect();
        names.sort_unstable();
        names.join("\", \"")
    };
    match parsed.text("type") {
        None => show(session, parsed, KINDS),
        Some("") => Err(Error::said(format!("type is empty: must be one of \"{}\"", names()))),
        Some(name) => match KINDS.iter().chain(OTHERS).find(|kind| kind.name == name) {
            Some(kind) => show(session, parsed, &[*kind]),
            None => Err(Error::said(format!("unknown type: \"{name}\": must be one of \"{}\"", names()))),
        },
    }
}

fn show(session: &Session, parsed: &Parsed, kinds: &[Kind]) -> Result<()> {
    let mut documents = Vec::new();
    let mut failures = Vec::new();
    for name in &parsed.arguments {
        match find(session, parsed, kinds, name) {
            Ok(document) => documents.push(document),
            Err(error) => failures.push(error),
        }
    }
    let format = parsed.text_or_empty("format");
    let text = match format {
        "" => indent(&array(&documents), "    ") + "\n",
        "json" => compact(&documents)? + "\n",
        template => by_template(template, &documents, &mut failures)?,
    };
    session.print(&text)?;
    crate::error::join(failures)
}

fn find(session: &Session, parsed: &Parsed, kinds: &[Kind], name: &str) -> Result<Found> {
    let client = session.client()?;
    for kind in kinds {
        let segments: Vec<&str> = [kind.before, name].into_iter().chain(kind.after).collect();
        let mut request = Request::get(&segments);
        if matches!(kind.name, "container" | "volume") {
            request = request.query_flag("size", parsed.is_on("size"));
        }
        if let Some(platform) = parsed.text("platform").filter(|platform| !platform.is_empty()) {
            request = request.query("platform", &super::platform_flag(platform)?);
        }
        match client.send(request) {
            Err(error) if kinds.len() > 1 && is_skipped(&error) => {}
            Err(error) => return Err(error.into()),
            Ok(response) => return Ok(Found { document: response.json()?, of: kind.of }),
        }
    }
    Err(Error::said(format!("Error: No such object: {name}")))
}

/// A name that one type does not know may be another's.
fn is_skipped(error: &dhow_api::client::Error) -> bool {
    let words = error.to_string();
    error.is_not_found() || words.contains("not supported") || words.contains("invalid reference format")
}

fn array(documents: &[Found]) -> String {
    let texts: Vec<&str> = documents.iter().map(|found| found.document.get().trim()).collect();
    format!("[{}]", texts.join(","))
}

fn compact(documents: &[Found]) -> Result<String> {
    let documents: Vec<serde_json::Value> = documents.iter().map(value).collect::<Result<_>>()?;
    serde_json::to_string(&documents).map_err(|error| Error::said(error.to_string()))
}

fn value(found: &Found) -> Result<serde_json::Value> {
    serde_json::from_str(found.document.get())
        .map_err(|error| Error::said(format!("unable to read inspect data: {error}")))
}

fn by_template(template: &str, documents: &[Found], failures: &mut Vec<Error>) -> Result<String> {
    let template = Shown::by(template)?;
    let mut text = String::new();
    for found in documents {
        match value(found).and_then(|value| template.inspected(&value, found.of)) {
            Ok(shown) => text.push_str(&shown),
            Err(error) => failures.push(error),
        }
    }
    if text.is_empty() {
        text.push('\n');
    }
    Ok(text)
}
