//! The user's settings: `config.json` and the contexts beside it, in docker's form and, where
//! nothing else is said, in docker's place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::session::variable_of;

/// What of `config.json` matters here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Settings {
    pub(crate) detach_keys: String,
    pub(crate) ps_format: String,
    pub(crate) images_format: String,
    pub(crate) volumes_format: String,
    pub(crate) networks_format: String,
    pub(crate) stats_format: String,
    pub(crate) prune_filters: Vec<String>,
    proxies: BTreeMap<String, Proxies>,
}

/// The proxies that containers are told of.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Proxies {
    http_proxy: String,
    https_proxy: String,
    no_proxy: String,
    ftp_proxy: String,
    all_proxy: String,
}

/// The folder of the settings.
pub(crate) fn folder(given: Option<&str>) -> PathBuf {
    let given = given.map(str::to_owned);
    let chosen = given.or_else(|| variable_of("DHOW_CONFIG")).or_else(|| variable_of("DOCKER_CONFIG"));
    match chosen {
        Some(folder) => PathBuf::from(folder),
        // Without a home the folder is the root's, never the working directory's: that may be anybody's.
        None => PathBuf::from(variable_of("HOME").unwrap_or_else(|| "/".to_owned())).join(".docker"),
    }
}

impl Settings {
    /// Reads the settings; a file that is not there or not readable means the defaults, and one that
    /// is broken is told of, but stops nobody.
    pub(crate) fn load(folder: &Path) -> Settings {
        let path = folder.join("config.json");
        let Ok(text) = std::fs::read_to_string(&path) else {
            return Settings::default();
        };
        serde_json::from_str(&text).unwrap_or_else(|error| {
            eprintln!("WARNING: Error loading config file: {}: {error}", path.display());
            Settings::default()
        })
    }
}

impl Settings {
    /// The variables by which containers of this engine learn of proxies, in both spellings.
    pub(crate) fn proxy_variables(&self, host: &str) -> Vec<(String, &str)> {
        let Some(proxies) = self.proxies.get(host).or_else(|| self.proxies.get("default")) else {
            return Vec::new();
        };
        let named = [
            ("HTTP_PROXY", &proxies.http_proxy),
            ("HTTPS_PROXY", &proxies.https_proxy),
            ("NO_PROXY", &proxies.no_proxy),
            ("FTP_PROXY", &proxies.ftp_proxy),
            ("ALL_PROXY", &proxies.all_proxy),
        ];
        let set = named.iter().filter(|(_, value)| !value.is_empty());
        set.flat_map(|(name, value)| {
            [((*name).to_owned(), value.as_str()), (name.to_lowercase(), value.as_str())]
        })
        .collect()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Context {
    name: String,
    #[serde(default)]
    endpoints: Endpoints,
}

#[derive(Default, Deserialize)]
struct Endpoints {
    docker: Option<DockerEndpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerEndpoint {
    #[serde(default)]
    host: String,
}

/// The names and addresses of the contexts, by name.
pub(crate) fn contexts(folder: &Path) -> Vec<(String, String)> {
    let Ok(entries) = std::fs::read_dir(folder.join("contexts/meta")) else {
        return Vec::new();
    };
    let read = |entry: std::fs::DirEntry| {
        let text = std::fs::read_to_string(entry.path().join("meta.json")).ok()?;
        let context: Context = serde_json::from_str(&text).ok()?;
        Some((context.name, context.endpoints.docker.map(|docker| docker.host).unwrap_or_default()))
    };
    let mut contexts: Vec<_> = entries.filter_map(|entry| read(entry.ok()?)).collect();
    contexts.sort();
    contexts
}

/// The address of a context's engine.
pub(crate) fn context_host(folder: &Path, name: &str) -> Result<String> {
    let host = contexts(folder).into_iter().find(|(known, _)| known == name).map(|(_, host)| host);
    match host {
        Some(host) if !host.is_empty() => Ok(host),
        Some(_) => Err(Error::said(format!("context \"{name}\" names no docker endpoint"))),
        None => Err(Error::said(format!("context \"{name}\": context not found"))),
    }
}
