//! `--use-api-socket`: a container that speaks to the engine itself, with the user's credentials.
//!
//! The engine's socket stands in the container where docker's clients look for it. What the user's settings file knows
//! of registries is put in as a settings file of the container's own; credentials that a helper program keeps cannot
//! be.

use dhow_api::client::{Client, Request};
use serde_json::{Map, Value as Json, json};

use crate::error::{Error, Result};
use crate::flags::create::CreateRequest;
use crate::session::Session;

/// Where docker's clients look for the engine.
const SOCKET: &str = "/var/run/docker.sock";
/// The settings in the container, and the variable that names their folder.
const FOLDER: &str = "/run/secrets/docker";
const VARIABLE: &str = "DOCKER_CONFIG";
/// The way that an address of a socket begins.
const UNIX: &str = "unix://";

/// Settings that are still to be put into the container.
#[derive(Debug)]
pub(super) struct Credentials(Option<Vec<u8>>);

/// Asks for the socket, and finds the credentials: what is wrong with them is said before the container is made.
///
/// Nothing of them is given to who brings settings of their own by `DOCKER_CONFIG`.
pub(super) fn prepare(session: &Session, request: &mut CreateRequest) -> Result<Credentials> {
    let address = session.host()?.address;
    let path = address.strip_prefix(UNIX).filter(|path| path.starts_with('/')).ok_or_else(|| {
        Error::said(format!(
            "--use-api-socket: the engine must be reached by a unix socket, not by {address}"
        ))
    })?;
    request.host_config.bind(path, SOCKET).map_err(Error::said)?;
    if request.config.has_variable(VARIABLE) {
        return Ok(Credentials(None));
    }
    let settings = session.settings();
    if settings.has_credential_helpers() {
        return Err(Error::said(
            "--use-api-socket: credentials that a helper keeps are not read yet; set DOCKER_CONFIG in the container to do \
             without them",
        ));
    }
    let known: Map<String, Json> = settings.credentials();
    if known.is_empty() {
        return Ok(Credentials(None));
    }
    request.config.add_variables(vec![(VARIABLE.to_owned(), FOLDER)]);
    Ok(Credentials(Some(json!({ "auths": known }).to_string().into_bytes())))
}

impl Credentials {
    /// Puts them into the container, for its root alone.
    pub(super) fn hand_over(&self, client: &Client, id: &str) -> Result<()> {
        let Some(settings) = &self.0 else { return Ok(()) };
        let failed =
            |why: String| Error::said(format!("injecting docker config.json into container failed: {why}"));
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o600);
        header.set_size(settings.len() as u64);
        let name = format!("{}/config.json", FOLDER.trim_start_matches('/'));
        let packed =
            archive.append_data(&mut header, name, settings.as_slice()).and_then(|()| archive.into_inner());
        let packed = packed.map_err(|why| failed(why.to_string()))?;
        let request = Request::new("PUT", &["containers", id, "archive"]).query("path", "/");
        client.send(request.stream(&mut packed.as_slice())).map_err(|why| failed(why.to_string()))?;
        Ok(())
    }
}
