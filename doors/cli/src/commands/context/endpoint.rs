//! `--docker host=…,ca=…,cert=…,key=…,skip-tls-verify=…,from=…`.

use dhow_api::client;

use crate::contexts::{Context, DEFAULT, Endpoint, PEM_FILES};
use crate::error::{Error, Result};
use crate::flags::{Parsed, csv, number};
use crate::session::Session;

const KEYS: [&str; 6] = ["ca", "cert", "from", "host", "key", "skip-tls-verify"];

/// An address, and the files that go with it.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) endpoint: Endpoint,
    pub(super) files: Vec<(String, Vec<u8>)>,
}

/// What the flag says; nothing when it is not there.
pub(super) fn given(session: &Session, parsed: &Parsed) -> Result<Option<Given>> {
    let failed = |words: String| Error::said(format!("unable to create docker endpoint config: {words}"));
    let mut pairs: Vec<(String, String)> = Vec::new();
    for text in parsed.all("docker") {
        for field in csv::fields(text).map_err(Error::said)? {
            let (key, value) = field
                .split_once('=')
                .ok_or_else(|| Error::said(format!("invalid argument \"{text}\" for \"--docker\" flag: {field} must be formatted as key=value")))?;
            pairs.push((key.to_owned(), value.to_owned()));
        }
    }
    if !parsed.is_given("docker") {
        return Ok(None);
    }
    if let Some((key, _)) = pairs.iter().find(|(key, _)| !KEYS.contains(&key.as_str())) {
        return Err(failed(format!("unrecognized config key: {key}")));
    }
    let value =
        |wanted: &str| pairs.iter().rev().find(|(key, _)| key == wanted).map(|(_, value)| value.as_str());
    if let Some(name) = value("from") {
        return of_context(session, name).map(Some);
    }
    let mut given = Given::default();
    given.endpoint.host = value("host").unwrap_or_default().to_owned();
    if let Some(skip) = value("skip-tls-verify") {
        given.endpoint.skip_tls_verify = number::boolean(skip).map_err(|why| failed(why.to_string()))?;
    }
    for (key, file) in PEM_FILES {
        if let Some(path) = value(key) {
            let bytes = std::fs::read(path)
                .map_err(|error| failed(format!("open {path}: {}", crate::go_words(&error))))?;
            given.files.push((file.to_owned(), bytes));
        }
    }
    client::Endpoint::parse(&given.endpoint.host)
        .map_err(|error| failed(format!("unable to apply docker endpoint options: {error}")))?;
    Ok(Some(given))
}

/// That of another context.
pub(super) fn of_context(session: &Session, name: &str) -> Result<Given> {
    if name == DEFAULT {
        let host = session.default_host()?;
        let tls = host.tls.unwrap_or_default();
        let skip_tls_verify = false;
        let named = [(tls.authorities, "ca.pem"), (tls.certificate, "cert.pem"), (tls.key, "key.pem")];
        let read = |(path, name): (Option<std::path::PathBuf>, &str)| {
            let path = path?;
            let bytes = std::fs::read(&path).map_err(Error::io(format!("read {}", path.display())));
            Some(bytes.map(|bytes| (name.to_owned(), bytes)))
        };
        let files = named.into_iter().filter_map(read).collect::<Result<_>>()?;
        return Ok(Given { endpoint: Endpoint { host: host.address, skip_tls_verify }, files });
    }
    let store = session.contexts();
    let context: Context = store.read(name)?;
    Ok(Given { endpoint: context.endpoints.docker, files: files(&store.pem_files(name))? })
}

/// Names and contents.
pub(super) fn files(paths: &[std::path::PathBuf]) -> Result<Vec<(String, Vec<u8>)>> {
    let read = |path: &std::path::PathBuf| {
        let bytes = std::fs::read(path).map_err(Error::io(format!("read {}", path.display())))?;
        Ok((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), bytes))
    };
    paths.iter().map(read).collect()
}
