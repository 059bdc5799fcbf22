//! What a command works with: where the engine is, the user's settings, standard output.

use std::cell::OnceCell;
use std::io::Write as _;
use std::path::PathBuf;

use dhow_api::client::{Client, Endpoint, Request, Response, TlsFiles};

use crate::autostart;
use crate::contexts;
use crate::error::{Error, Result};
use crate::flags::{Flag, Parsed, STRING, SWITCH, flag};
use crate::settings::{self, Settings};

/// The flags before the command.
pub(crate) const GLOBAL_FLAGS: &[Flag] = &[
    flag("config", STRING, "Folder of the client's settings (default \"~/.docker\")"),
    flag("context", STRING, "Name of the context whose engine is meant (overrides DOCKER_HOST)").short('c'),
    flag("debug", SWITCH, "Say more").short('D'),
    flag("host", STRING, "Address of the engine: unix:///path, tcp://host:port, ssh://user@host").short('H'),
    flag("log-level", STRING, "How much to log (debug, info, warn, error, fatal)").short('l'),
    flag("autostart", SWITCH, "Start the engine if none listens, also at an address given by --host"),
    flag("version", SWITCH, "Print the version and leave").short('v'),
    flag("tls", SWITCH, "Use TLS; implied by --tlsverify"),
    flag("tlsverify", SWITCH, "Use TLS and verify the engine"),
    flag("tlscacert", STRING, "Trust certificates that are signed by this authority only"),
    flag("tlscert", STRING, "File of the client's certificate"),
    flag("tlskey", STRING, "File of its key"),
];

/// The engine's socket where nothing else is said.
pub(crate) const DEFAULT_HOST: &str = "unix:///run/dhow/dhow.sock";

/// One run of the command line.
pub(crate) struct Session {
    globals: Parsed,
    client: OnceCell<Client>,
    settings: OnceCell<Settings>,
}

/// An engine, and how to get there.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) address: String,
    pub(crate) context: String,
    /// The engine may be started there.
    pub(crate) is_default: bool,
    /// TLS, where it is TCP.
    pub(crate) tls: Option<TlsFiles>,
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

    /// The contexts of the user.
    pub(crate) fn contexts(&self) -> contexts::Store {
        contexts::Store::new(&self.settings_folder())
    }

    /// Where the engine is: `-H`, `--context`, the environment, the present context, the default socket;
    /// first wins.
    pub(crate) fn host(&self) -> Result<Host> {
        match self.context_name()? {
            name if name == contexts::DEFAULT => self.default_host(),
            name => self.context(&name),
        }
    }

    /// The name of the context that is meant.
    pub(crate) fn context_name(&self) -> Result<String> {
        let (host, context) = (self.globals.text("host"), self.globals.text("context"));
        if host.is_some() && context.is_some() {
            return Err(Error::said("conflicting options: cannot specify both --host and --context"));
        }
        let by_address = host.is_some() || overriding_variable().is_some();
        let name = match context {
            Some(name) => Some(name.to_owned()),
            None if by_address => None,
            None => {
                let chosen = variable_of("DHOW_CONTEXT").or_else(|| variable_of("DOCKER_CONTEXT"));
                chosen.or_else(|| Some(self.settings().current_context.clone()))
            }
        };
        Ok(name.filter(|name| !name.is_empty()).unwrap_or_else(|| contexts::DEFAULT.into()))
    }

    /// The engine that no context says.
    pub(crate) fn default_host(&self) -> Result<Host> {
        let named = self.globals.text("host").map(str::to_owned);
        let given = named.or_else(|| variable_of("DHOW_HOST")).or_else(|| variable_of("DOCKER_HOST"));
        let context = contexts::DEFAULT.to_owned();
        match given {
            Some(address) => Ok(Host { address, context, is_default: false, tls: self.tls()? }),
            None => Ok(Host { address: DEFAULT_HOST.into(), context, is_default: true, tls: None }),
        }
    }

    fn context(&self, name: &str) -> Result<Host> {
        let store = self.contexts();
        let context = store.read(name).map_err(|error| {
            Error::said(format!("Failed to initialize: unable to resolve docker endpoint: {error}"))
        })?;
        let address = context.endpoints.docker.host.clone();
        if address.is_empty() {
            return Err(Error::said(format!("context \"{name}\" names no docker endpoint")));
        }
        Ok(Host { address, context: name.to_owned(), is_default: false, tls: store.tls_of(&context) })
    }

    /// By flags and variables: `--tlsverify` asks for TLS and that the engine's certificate be good, `--tls`
    /// for the first alone.
    fn tls(&self) -> Result<Option<TlsFiles>> {
        let given = |name: &str| self.globals.is_given(name).then(|| self.globals.is_on(name));
        let verify = given("tlsverify").or_else(|| variable_of("DOCKER_TLS_VERIFY").map(|_| true));
        let wanted = verify.is_some() || given("tls").unwrap_or_else(|| variable_of("DOCKER_TLS").is_some());
        if !wanted {
            return Ok(None);
        }
        let folder = variable_of("DOCKER_CERT_PATH").map_or_else(|| self.settings_folder(), PathBuf::from);
        let file = |flag: &str, name: &str| match self.globals.text(flag) {
            Some(path) => PathBuf::from(path),
            None => folder.join(name),
        };
        // What nobody named may be missing.
        let own = |flag: &str, name: &str| {
            Some(file(flag, name)).filter(|path| self.globals.is_given(flag) || path.exists())
        };
        Ok(Some(TlsFiles {
            authorities: verify.unwrap_or(false).then(|| file("tlscacert", "ca.pem")),
            certificate: own("tlscert", "cert.pem"),
            key: own("tlskey", "key.pem"),
        }))
    }

    /// A client of the engine; starts the engine where that is wanted.
    pub(crate) fn client(&self) -> Result<&Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let host = self.host()?;
        let client = new_client(&host)?;
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

    /// A client of the engine, which must be there already.
    pub(crate) fn present_client(&self) -> Result<Client> {
        new_client(&self.host()?)
    }

    /// The same; it is started only where that was asked for in so many words.
    pub(crate) fn found_client(&self) -> Result<Client> {
        if self.globals.is_on("autostart") { self.client().cloned() } else { self.present_client() }
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

fn new_client(host: &Host) -> Result<Client> {
    let version = variable_of("DOCKER_API_VERSION");
    let mut endpoint = Endpoint::parse(&host.address)?;
    if let Some(tls) = &host.tls {
        endpoint = endpoint.with_tls(tls)?;
    }
    Ok(Client::new(endpoint, version.as_deref()))
}

/// The variable that says where the engine is, whatever the present context says.
pub(crate) fn overriding_variable() -> Option<&'static str> {
    ["DHOW_HOST", "DOCKER_HOST"].into_iter().find(|name| variable_of(name).is_some())
}

/// A variable of the environment; an empty one is as good as none.
pub(crate) fn variable_of(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
