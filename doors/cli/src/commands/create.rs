//! `dhow create`: a container that does not run yet; and the part of `run` that is the same.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use dhow_api::client::{self, Client, Request};
use dhow_oci::Platform;
use serde::Deserialize;

use super::{Arity, Command, api_socket};
use crate::error::{Error, Result};
use crate::flags::create::CreateRequest;
use crate::flags::{Flag, Parsed, container};
use crate::format::names;
use crate::session::Session;
use crate::stream::{progress, terminal};

/// The flags that describe a container.
pub(crate) const CREATE_FLAGS: &[&[Flag]] = &[
    container::PROCESS,
    container::ISOLATION,
    container::STORAGE,
    container::NETWORKING,
    container::LIMITS,
    container::RESOURCES,
    container::HEALTH,
];

pub(crate) const COMMAND: Command = Command {
    paths: &["container create", "create"],
    usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    about: "Create a container",
    arity: Arity::AtLeast(1),
    arguments_end_flags: true,
    flags: CREATE_FLAGS,
    run,
};

fn run(session: &Session, parsed: &Parsed) -> Result<()> {
    let refused = |error: Error| {
        Error::refused(format!("dhow: {error}\n\nRun 'dhow create --help' for more information"))
    };
    check_pull(parsed).map_err(refused)?;
    let mut request = CreateRequest::of(parsed).map_err(refused)?;
    let id = create(session, parsed, &mut request)?;
    session.print_line(&id)
}

/// Says what is wrong with `--pull`.
pub(crate) fn check_pull(parsed: &Parsed) -> Result<()> {
    match parsed.text_or_empty("pull") {
        "" | "always" | "missing" | "never" => Ok(()),
        other => Err(Error::said(format!(
            "invalid pull option: '{other}': must be one of \"always\", \"missing\" or \"never\""
        ))),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    id: String,
    #[serde(default, deserialize_with = "super::nullable")]
    warnings: Vec<String>,
}

/// Creates the container, pulling its image where that is wanted; gives its id.
pub(crate) fn create(session: &Session, parsed: &Parsed, request: &mut CreateRequest) -> Result<String> {
    if let Some(platform) = parsed.text("platform").filter(|platform| !platform.is_empty()) {
        let wrong = |why| Error::said(format!("error parsing specified platform: {why}"));
        Platform::parse(platform).map_err(wrong)?;
    }
    let client = session.client()?;
    let credentials =
        parsed.is_on("use-api-socket").then(|| api_socket::prepare(session, request)).transpose()?;
    let mut id_file = IdFile::create(parsed.text_or_empty("cidfile"))?;
    if parsed.text("pull") == Some("always") {
        pull(client, parsed, &request.config.image)?;
    }
    request.host_config.console_size = terminal::size();
    request.config.add_variables(session.settings().proxy_variables(&client.endpoint().to_string()));
    let created = match post(client, parsed, request) {
        Err(error) if error.is_not_found() && parsed.text("pull").unwrap_or("missing") == "missing" => {
            if !parsed.is_on("quiet") {
                let name = names::with_default_tag(&request.config.image);
                eprintln!("Unable to find image '{name}' locally");
            }
            pull(client, parsed, &request.config.image)?;
            post(client, parsed, request)?
        }
        other => other?,
    };
    for warning in created.warnings.iter().cloned().chain(parsed.all("dns").filter_map(loopback_warning)) {
        eprintln!("WARNING: {warning}");
    }
    id_file.write(&created.id)?;
    credentials.map_or(Ok(()), |credentials| credentials.hand_over(client, &created.id))?;
    Ok(created.id)
}

fn post(client: &Client, parsed: &Parsed, request: &CreateRequest) -> Result<Created, client::Error> {
    let text = |name: &str| parsed.text(name).filter(|value| !value.is_empty());
    let call = Request::post(&["containers", "create"])
        .query_some("name", text("name"))
        .query_some("platform", text("platform"));
    client.send(call.json(request)?)?.json()
}

/// Pulls an image, telling on standard error how it goes on.
fn pull(client: &Client, parsed: &Parsed, image: &str) -> Result<()> {
    let name = names::with_default_tag(image);
    let (repository, tag) = match name.split_once('@') {
        Some((repository, digest)) => (repository, digest),
        None => {
            let (repository, tag) = names::split_tag(&name);
            (repository, tag.unwrap_or("latest"))
        }
    };
    let platform = parsed.text("platform").filter(|platform| !platform.is_empty());
    let request = Request::post(&["images", "create"])
        .query("fromImage", &names::canonical(repository))
        .query("tag", tag)
        .query_some("platform", platform);
    let body = client.send(request)?.into_body();
    if parsed.is_on("quiet") {
        return progress::show(body, &mut std::io::sink(), false);
    }
    progress::show_to_stderr(body)
}

/// Starts a container.
pub(crate) fn start(client: &Client, id: &str) -> Result<()> {
    client.send(Request::post(&["containers", id, "start"]))?;
    Ok(())
}

fn loopback_warning(server: &str) -> Option<String> {
    let address: IpAddr = server.trim().parse().ok()?;
    address.is_loopback().then(|| format!("Localhost DNS ({address}) may fail in containers."))
}

/// `--cidfile`: made before the container, so that two commands cannot both have it; removed again
/// when no container came of it.
struct IdFile {
    path: Option<PathBuf>,
    written: bool,
}

impl IdFile {
    fn create(path: &str) -> Result<IdFile> {
        if path.is_empty() {
            return Ok(IdFile { path: None, written: false });
        }
        if std::fs::exists(path).unwrap_or(false) {
            return Err(Error::said(format!(
                "container ID file found, make sure the other container isn't running or delete {path}"
            )));
        }
        let made = OpenOptions::new().write(true).create_new(true).open(path);
        let failed = |why| {
            Error::said(format!(
                "failed to create the container ID file: open {path}: {}",
                crate::go_words(&why)
            ))
        };
        made.map_err(failed)?;
        Ok(IdFile { path: Some(PathBuf::from(path)), written: false })
    }

    fn write(&mut self, id: &str) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let written =
            OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(id.as_bytes()));
        written.map_err(Error::io("failed to write the container ID to the file"))?;
        self.written = true;
        Ok(())
    }
}

impl Drop for IdFile {
    fn drop(&mut self) {
        if let (Some(path), false) = (&self.path, self.written) {
            let _ = std::fs::remove_file(path);
        }
    }
}
