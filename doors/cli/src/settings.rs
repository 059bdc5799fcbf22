//! The user's settings: `config.json` in docker's form and, where nothing else is said, in docker's place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value as Json};

use crate::contexts;
use crate::error::{Error, Result};
use crate::format::indent::indent;
use crate::session::variable_of;

/// What of `config.json` matters here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Settings {
    pub(crate) detach_keys: String,
    pub(crate) current_context: String,
    pub(crate) ps_format: String,
    pub(crate) images_format: String,
    pub(crate) volumes_format: String,
    pub(crate) networks_format: String,
    pub(crate) plugins_format: String,
    pub(crate) stats_format: String,
    pub(crate) prune_filters: Vec<String>,
    proxies: BTreeMap<String, Proxies>,
    auths: Map<String, Json>,
    creds_store: String,
    cred_helpers: Map<String, Json>,
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
    /// What is known of registries, and is kept in the file itself.
    pub(crate) fn credentials(&self) -> Map<String, Json> {
        let says_something = |known: &Json| known.as_object().is_some_and(|known| !known.is_empty());
        let known = self.auths.iter().filter(|(_, known)| says_something(known));
        known.map(|(registry, known)| (registry.clone(), known.clone())).collect()
    }

    /// Whether other programs keep what is known of registries.
    pub(crate) fn has_credential_helpers(&self) -> bool {
        !self.creds_store.is_empty() || !self.cred_helpers.is_empty()
    }

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

/// Makes another context the present one, and touches nothing else of the file; the default one is not
/// written down.
pub(crate) fn set_context(folder: &Path, name: &str) -> Result<()> {
    let path = folder.join("config.json");
    let mut document: Map<String, Json> = match std::fs::read(&path) {
        Ok(bytes) if !bytes.trim_ascii().is_empty() => serde_json::from_slice(&bytes)
            .map_err(|error| Error::said(format!("{}: {error}", path.display())))?,
        _ => Map::new(),
    };
    if name == contexts::DEFAULT {
        document.remove("currentContext");
    } else {
        document.insert("currentContext".into(), name.into());
    }
    let text = indent(&Json::Object(document).to_string(), "\t");
    std::fs::create_dir_all(folder).map_err(Error::io(format!("make {}", folder.display())))?;
    // Somebody may have made it a link to where it is kept.
    let path = std::fs::canonicalize(&path).unwrap_or(path);
    contexts::write(&path, text.as_bytes(), 0o600)
}
