//! The user's settings: `config.json` and the contexts beside it, in docker's form and, where
//! nothing else is said, in docker's place.

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
}

/// The folder of the settings.
pub(crate) fn folder(given: Option<&str>) -> PathBuf {
    let given = given.map(str::to_owned);
    let chosen = given.or_else(|| variable_of("DHOW_CONFIG")).or_else(|| variable_of("DOCKER_CONFIG"));
    match chosen {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(variable_of("HOME").unwrap_or_default()).join(".docker"),
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
