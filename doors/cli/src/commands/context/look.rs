//! `context ls`, `context show`, `context inspect`.

use serde_json::{Value as Json, json};

use crate::commands::{Arity, Command, FORMAT_HELP, INSPECT_FORMAT_HELP};
use crate::contexts::{Context, DEFAULT, Store};
use crate::error::{Error, Result};
use crate::flags::{Parsed, STRING, SWITCH, flag};
use crate::format::indent::indent;
use crate::format::inspected::Shown;
use crate::format::{Listing, Row, names};
use crate::session::{Session, overriding_variable};

pub(crate) const LIST: Command = Command {
    paths: &["context ls", "context list"],
    usage: "[OPTIONS]",
    about: "List contexts",
    arity: Arity::None,
    arguments_end_flags: false,
    flags: &[&[flag("format", STRING, FORMAT_HELP), flag("quiet", SWITCH, "Show names only").short('q')]],
    run: list,
};

pub(crate) const SHOW: Command = Command {
    paths: &["context show"],
    usage: "",
    about: "Print the name of the present context",
    arity: Arity::None,
    arguments_end_flags: false,
    flags: &[],
    run: |session, _| session.print_line(&session.context_name()?),
};

pub(crate) const INSPECT: Command = Command {
    paths: &["context inspect"],
    usage: "[OPTIONS] [CONTEXT] [CONTEXT...]",
    about: "Show everything about contexts",
    arity: Arity::AtLeast(0),
    arguments_end_flags: false,
    flags: &[&[flag("format", STRING, INSPECT_FORMAT_HELP).short('f')]],
    run: inspect,
};

/// The context that is written nowhere.
fn default(session: &Session) -> Result<Context> {
    let mut context = Context { name: DEFAULT.into(), ..Context::default() };
    let host = session.default_host()?;
    context.endpoints.docker.skip_tls_verify = host.tls.is_some_and(|tls| tls.authorities.is_none());
    context.endpoints.docker.host = host.address;
    Ok(context)
}

fn list(session: &Session, parsed: &Parsed) -> Result<()> {
    let present = session.context_name()?;
    let mut rows: Vec<ContextRow> = session.contexts().list().into_iter().map(ContextRow::new).collect();
    let mut own = ContextRow::new(default(session)?);
    own.description = "Current DOCKER_HOST based configuration".into();
    rows.push(own);
    if rows.iter().all(|row| row.name != present) {
        let missing = session.contexts().read(&present).err();
        let error = missing.map(|error| error.to_string()).unwrap_or_default();
        rows.push(ContextRow { name: present.clone(), error, ..ContextRow::default() });
    }
    rows.sort_by(|a, b| names::natural(&a.name).cmp(&names::natural(&b.name)));
    rows.iter_mut().for_each(|row| row.current = row.name == present);
    let listing = match parsed.text_or_empty("format") {
        _ if parsed.is_on("quiet") => Listing::new("{{.Name}}"),
        "" | "table" => {
            rows.iter_mut().for_each(ContextRow::shorten);
            Listing::new(
                "table {{.Name}}{{if .Current}} *{{end}}\\t{{.Description}}\\t{{.DockerEndpoint}}\\t{{.Error}}",
            )
        }
        custom => Listing::new(custom),
    };
    session.print(&listing.show(rows)?)?;
    if let Some(variable) = overriding_variable() {
        eprintln!(
            "Warning: {variable} environment variable overrides the active context. To use a context, either \
             set the global --context flag, or unset {variable} environment variable."
        );
    }
    Ok(())
}

#[derive(Clone, Debug, Default)]
struct ContextRow {
    name: String,
    description: String,
    endpoint: String,
    current: bool,
    error: String,
}

impl ContextRow {
    fn new(context: Context) -> ContextRow {
        ContextRow {
            description: context.description().to_owned(),
            endpoint: context.endpoints.docker.host,
            name: context.name,
            ..ContextRow::default()
        }
    }

    /// A table is no place for long words.
    fn shorten(&mut self) {
        for (text, most) in [(&mut self.description, 60), (&mut self.error, 45)] {
            if text.chars().count() > most {
                *text = text.chars().take(most - 1).chain(['…']).collect();
            }
        }
    }
}

impl Row for ContextRow {
    const TYPE: &'static str = "*formatter.clientContextContext";
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        // Its column has no heading: it is a mark behind the name.
        ("Current", ""),
        ("Description", "DESCRIPTION"),
        ("DockerEndpoint", "DOCKER ENDPOINT"),
        ("Error", "ERROR"),
        ("Name", "NAME"),
    ];

    fn field(&self, name: &str) -> Option<Json> {
        Some(match name {
            "Current" => self.current.into(),
            "Description" => self.description.as_str().into(),
            "DockerEndpoint" => self.endpoint.as_str().into(),
            "Error" => self.error.as_str().into(),
            "Name" => self.name.as_str().into(),
            _ => return None,
        })
    }
}

fn inspect(session: &Session, parsed: &Parsed) -> Result<()> {
    let wanted = match parsed.arguments.as_slice() {
        [] => vec![session.context_name()?],
        names => names.to_vec(),
    };
    let store = session.contexts();
    let (mut documents, mut failures) = (Vec::new(), Vec::new());
    for name in wanted {
        match document(session, &store, &name) {
            Ok(document) => documents.push(document),
            Err(error) => failures.push(error),
        }
    }
    match parsed.text_or_empty("format") {
        "" => session.print_line(&indent(&escaped(&json!(documents)), "    "))?,
        "json" => session.print_line(&escaped(&json!(documents)))?,
        format => {
            let shown = Shown::by(format)?;
            if documents.is_empty() {
                session.print("\n")?;
            }
            documents.iter().try_for_each(|document| show(session, &shown, document))?;
        }
    }
    crate::error::join(failures)
}

fn show(session: &Session, shown: &Shown, document: &Json) -> Result<()> {
    match shown.named(document, "context.contextWithTLSListing", "") {
        Ok(text) => session.print(&text),
        Err(error) => {
            session.print("\n")?;
            Err(Error::said(format!("template parsing error: {error}")))
        }
    }
}

/// As Go writes what could end a script element.
fn escaped(document: &Json) -> String {
    document.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

fn document(session: &Session, store: &Store, name: &str) -> Result<Json> {
    let in_memory = || Json::from("<IN MEMORY>");
    let (context, files, meta, tls) = if name == DEFAULT {
        (default(session)?, Vec::new(), in_memory(), in_memory())
    } else {
        let files = store.pem_files(name);
        let names = files.iter().filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        let (meta, tls) = (json!(store.meta(name)), json!(store.tls(name)));
        (store.read(name)?, names.collect::<Vec<_>>(), meta, tls)
    };
    let material = if files.is_empty() { json!({}) } else { json!({ "docker": files }) };
    let mut document = serde_json::to_value(&context).map_err(|error| Error::said(error.to_string()))?;
    if let Some(members) = document.as_object_mut() {
        members.insert("TLSMaterial".into(), material);
        members.insert("Storage".into(), json!({ "MetadataPath": meta, "TLSPath": tls }));
    }
    Ok(document)
}
