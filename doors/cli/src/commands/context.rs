//! `dhow context ls|show|inspect`: the contexts that docker's client has written down. Dhow reads
//! them; `--context` and `DOCKER_CONTEXT` choose one.

use serde_json::json;

use super::{Arity, Command};
use crate::error::{Error, Result};
use crate::flags::{Parsed, STRING, SWITCH, flag};
use crate::format::indent::indent;
use crate::format::inspected;
use crate::format::tabwriter::LISTING;
use crate::session::{DEFAULT_HOST, Session};
use crate::settings;

pub(crate) const LIST: Command = Command {
    paths: &["context ls", "context list"],
    usage: "[OPTIONS]",
    about: "List contexts",
    arity: Arity::None,
    arguments_end_flags: false,
    flags: &[&[flag("quiet", SWITCH, "Show names only").short('q')]],
    run: list,
};

pub(crate) const SHOW: Command = Command {
    paths: &["context show"],
    usage: "",
    about: "Print the name of the present context",
    arity: Arity::None,
    arguments_end_flags: false,
    flags: &[],
    run: |session, _| session.print_line(&session.host()?.context),
};

pub(crate) const INSPECT: Command = Command {
    paths: &["context inspect"],
    usage: "[OPTIONS] [CONTEXT] [CONTEXT...]",
    about: "Show everything about contexts",
    arity: Arity::AtLeast(0),
    arguments_end_flags: false,
    flags: &[&[flag("format", STRING, super::INSPECT_FORMAT_HELP).short('f')]],
    run: inspect,
};

fn all(session: &Session) -> Vec<(String, String)> {
    let mut contexts = vec![("default".to_owned(), DEFAULT_HOST.to_owned())];
    contexts.extend(settings::contexts(&session.settings_folder()));
    contexts
}

fn list(session: &Session, parsed: &Parsed) -> Result<()> {
    let present = session.host()?.context;
    let mut text = String::from("NAME\tDESCRIPTION\tDOCKER ENDPOINT\tERROR\n");
    let mut names = String::new();
    for (name, host) in all(session) {
        let mark = if name == present { " *" } else { "" };
        names.push_str(&format!("{name}\n"));
        text.push_str(&format!("{name}{mark}\t\t{host}\t\n"));
    }
    session.print(&if parsed.is_on("quiet") { names } else { LISTING.align(&text) })
}

fn inspect(session: &Session, parsed: &Parsed) -> Result<()> {
    let wanted = match parsed.arguments.as_slice() {
        [] => vec![session.host()?.context],
        names => names.to_vec(),
    };
    let contexts = all(session);
    let mut documents = Vec::new();
    for name in wanted {
        let found = contexts.iter().find(|(known, _)| *known == name);
        let (name, host) = found.ok_or_else(|| Error::said(format!("context \"{name}\" does not exist")))?;
        documents.push(json!({
            "Name": name, "Metadata": {}, "Endpoints": { "docker": { "Host": host, "SkipTLSVerify": false } },
        }));
    }
    match parsed.text_or_empty("format") {
        "" => session.print_line(&indent(&json!(documents).to_string(), "    ")),
        "json" => session.print_line(&json!(documents).to_string()),
        format => documents.iter().try_for_each(|it| session.print(&inspected::by_template(format, it)?)),
    }
}
