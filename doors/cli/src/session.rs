//! What a command works with: where the engine is, the user's settings, standard output.

use std::cell::OnceCell;
use std::io::Write as _;
use std::path::PathBuf;

use dhow_api::client::{Client, Endpoint, Request, Response};

use crate::autostart;
use crate::error::{Error, Result};
use crate::flags::{Flag, Parsed, STRING, SWITCH, flag};
use crate::settings::{self, Settings};

/// The flags before the command.
pub(crate) const GLOBAL_FLAGS: &[Flag] = &[
    flag("config", STRING, "Folder of the client's settings (default \"~/.docker\")"),
    flag("context", STRING, "Name of the context whose engine is meant (overrides DOCKER_HOST)").short('c'),
    flag("debug", SWITCH, "Say more").short('D'),
    flag("host", STRING, "Socket of the engine, such as unix:///run/dhow/dhow.sock").short('H'),
    flag("log-level", STRING, "How much to log (debug, info, warn, error, fatal)").short('l'),
    flag("autostart", SWITCH, "Start the engine if none listens, also at an address given by --host"),
    flag("version", SWITCH, "Print the version and leave").short('v'),
    flag("tls", SWITCH, "").hidden(),
    flag("tlsverify", SWITCH, "").hidden(),
    flag("tlscacert", STRING, "").hidden(),
    flag("tlscert", STRING, "").hidden(),
    flag("tlskey", STRING, "").hidden(),
];

/// The engine's socket where nothing else is said.
pub(crate) const DEFAULT_HOST: &str = "unix:///run/dhow/dhow.sock";

/// One run of the command line.
pub(crate) struct Session {
    globals: Parsed,
    client: OnceCell<Client>,
    settings: OnceCell<Settings>,
}

/// An address, and whether the engine may be started there.
pub(crate) struct Host {
    pub(crate) address: String,
    pub(crate) context: String,
    pub(crate) is_default: bool,
}

impl Session {
    pub(crate) fn new(globals: Parsed) -> Session {
        Session { globals, client: OnceCell::new(), settings: OnceCell::new() }
    }

    /// The user's settings file, read when first asked for.
    pub(crate) fn settings(&self) -> &Settings {
        self.settings.get_or_init(|| Settings::load(&self.settings_folder()))
    }

    /// The folder of the user's settings and contexts.
    pub(crate) fn settings_folder(&self) -> PathBuf {
        settings::folder(self.globals.text("config"))
    }

    /// Where the engine is: `-H`, `--context`, the environment, the default socket; first wins.
    pub(crate) fn host(&self) -> Result<Host> {
        let explicit = |address: String| Host { address, context: "default".to_owned(), is_default: false };
        if let Some(address) = self.globals.text("host") {
            return Ok(explicit(address.to_owned()));
        }
        if let Some(name) = self.globals.text("context") {
            return self.context(name);
        }
        for variable in ["DHOW_HOST", "DOCKER_HOST"] {
            if let Some(address) = variable_of(variable) {
                return Ok(explicit(address));
            }
        }
        for variable in ["DHOW_CONTEXT", "DOCKER_CONTEXT"] {
            if let Some(name) = variable_of(variable) {
                return self.context(&name);
            }
        }
        Ok(default_host())
    }

    fn context(&self, name: &str) -> Result<Host> {
        if name == "default" {
            return Ok(default_host());
        }
        let address = settings::context_host(&self.settings_folder(), name)?;
        Ok(Host { address, context: name.to_owned(), is_default: false })
    }

    /// A client of the engine; starts the engine where that is wanted.
    pub(crate) fn client(&self) -> Result<&Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let host = self.host()?;
        let version = variable_of("DOCKER_API_VERSION");
        let client = Client::new(Endpoint::parse(&host.address)?, version.as_deref());
        match client.connect() {
            Err(error)
                if error.is_not_listening() && (host.is_default || self.globals.is_on("autostart")) =>
            {
                autostart::start(&client, host.is_default, error)?;
            }
            other => other?,
        }
        Ok(self.client.get_or_init(|| client))
    }

    /// Sends one request to the engine.
    pub(crate) fn send(&self, request: Request<'_>) -> Result<Response> {
        Ok(self.client()?.send(request)?)
    }

    /// Writes to standard output.
    pub(crate) fn print(&self, text: &str) -> Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Error::io("write standard output"))
    }

    /// Writes a line to standard output.
    pub(crate) fn print_line(&self, line: &str) -> Result<()> {
        self.print(&format!("{line}\n"))
    }
}

fn default_host() -> Host {
    Host { address: DEFAULT_HOST.to_owned(), context: "default".to_owned(), is_default: true }
}

/// A variable of the environment; an empty one is as good as none.
pub(crate) fn variable_of(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
