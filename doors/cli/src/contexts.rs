//! Contexts: engines by name, in docker's files, so that both command lines know the same ones.
//!
//! ```text
//!   contexts/meta/<sha256 of the name>/meta.json          name, description, address
//!   contexts/tls/<sha256 of the name>/docker/ca.pem       whom to trust
//!                                            cert.pem key.pem   who one is
//! ```

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use dhow_api::client::TlsFiles;
use dhow_oci::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::error::{Error, Result};

/// The context that is always there, and nowhere written.
pub(crate) const DEFAULT: &str = "default";
/// The files of TLS, by what they are in the flag.
pub(crate) const PEM_FILES: [(&str, &str); 3] = [("ca", "ca.pem"), ("cert", "cert.pem"), ("key", "key.pem")];

/// One context.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Context {
    pub(crate) name: String,
    /// What else is written there stays as it is.
    #[serde(default)]
    pub(crate) metadata: Map<String, Json>,
    #[serde(default)]
    pub(crate) endpoints: Endpoints,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Endpoints {
    #[serde(default)]
    pub(crate) docker: Endpoint,
    #[serde(flatten)]
    others: Map<String, Json>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Endpoint {
    #[serde(rename = "Host", default)]
    pub(crate) host: String,
    #[serde(rename = "SkipTLSVerify", default)]
    pub(crate) skip_tls_verify: bool,
}

impl Context {
    pub(crate) fn description(&self) -> &str {
        self.metadata.get("Description").and_then(Json::as_str).unwrap_or_default()
    }

    pub(crate) fn describe(&mut self, description: &str) {
        self.metadata.remove("Description");
        if !description.is_empty() {
            self.metadata.insert("Description".into(), description.into());
        }
    }
}

/// Where the contexts of a user are.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    folder: PathBuf,
}

impl Store {
    /// Below the folder of the user's settings.
    pub(crate) fn new(settings: &Path) -> Store {
        Store { folder: settings.join("contexts") }
    }

    /// All of them, by name.
    pub(crate) fn list(&self) -> Vec<Context> {
        let Ok(entries) = std::fs::read_dir(self.folder.join("meta")) else {
            return Vec::new();
        };
        let read = |entry: std::fs::DirEntry| {
            serde_json::from_slice(&std::fs::read(entry.path().join("meta.json")).ok()?).ok()
        };
        let mut contexts: Vec<Context> = entries.filter_map(|entry| read(entry.ok()?)).collect();
        contexts.sort_by(|a, b| a.name.cmp(&b.name));
        contexts
    }

    /// The one of that name.
    pub(crate) fn read(&self, name: &str) -> Result<Context> {
        let path = self.meta(name).join("meta.json");
        let bytes = std::fs::read(&path).map_err(|error| {
            let words = crate::go_words(&error);
            Error::said(format!("context \"{name}\": context not found: open {}: {words}", path.display()))
        })?;
        serde_json::from_slice(&bytes)
            .map_err(|error| Error::said(format!("context \"{name}\": {}: {error}", path.display())))
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.meta(name).join("meta.json").is_file()
    }

    pub(crate) fn write(&self, context: &Context) -> Result<()> {
        let folder = self.meta(&context.name);
        let text = serde_json::to_vec(context).map_err(|error| Error::said(error.to_string()))?;
        make(&folder, 0o755)?;
        write(&folder.join("meta.json"), &text, 0o644)
    }

    /// Makes these the context's files of TLS, and there are no others: names and contents.
    pub(crate) fn write_tls(&self, name: &str, files: &[(String, Vec<u8>)]) -> Result<()> {
        let folder = self.tls(name);
        remove(&folder)?;
        for (file, bytes) in files {
            make(&folder.join("docker"), 0o700)?;
            write(&folder.join("docker").join(file), bytes, 0o600)?;
        }
        Ok(())
    }

    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        remove(&self.meta(name))?;
        remove(&self.tls(name))
    }

    /// The folder of a context's description.
    pub(crate) fn meta(&self, name: &str) -> PathBuf {
        self.folder.join("meta").join(id(name))
    }

    /// The folder of its files of TLS.
    pub(crate) fn tls(&self, name: &str) -> PathBuf {
        self.folder.join("tls").join(id(name))
    }

    /// The files of TLS that it has.
    pub(crate) fn pem_files(&self, name: &str) -> Vec<PathBuf> {
        let folder = self.tls(name).join("docker");
        PEM_FILES.iter().map(|(_, file)| folder.join(file)).filter(|path| path.is_file()).collect()
    }

    /// How its engine is spoken to; nothing is in clear.
    pub(crate) fn tls_of(&self, context: &Context) -> Option<TlsFiles> {
        let files = self.pem_files(&context.name);
        let skip = context.endpoints.docker.skip_tls_verify;
        if files.is_empty() && !skip {
            return None;
        }
        let named = |name: &str| files.iter().find(|path| path.ends_with(name)).cloned();
        let authorities = named("ca.pem").filter(|_| !skip);
        Some(TlsFiles { authorities, certificate: named("cert.pem"), key: named("key.pem") })
    }
}

fn id(name: &str) -> String {
    Digest::of(name.as_bytes()).hex()
}

/// Refuses what is no name, in docker's words.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte);
    match name.as_bytes() {
        _ if name == DEFAULT => Err(Error::said("\"default\" is a reserved context name")),
        [first, _, ..] if first.is_ascii_alphanumeric() && name.bytes().all(plain) => Ok(()),
        _ => Err(Error::said(format!(
            "context name \"{name}\" is invalid, names are validated against regexp \
             \"^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$\""
        ))),
    }
}

fn make(folder: &Path, mode: u32) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(mode).create(folder);
    made.map_err(Error::io(format!("make {}", folder.display())))
}

fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(format!("remove {}", folder.display()))(error))
        }
        _ => Ok(()),
    }
}

/// A file is there whole, or as it was before.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let partial = path.with_file_name(format!(".tmp-{name}-{}", std::process::id()));
    let written = || {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&partial, path)
    };
    written().map_err(|error| {
        let _ = std::fs::remove_file(&partial);
        Error::io(format!("write {}", path.display()))(error)
    })
}
