//! TLS towards an engine: whom to trust, and who one is, from files in PEM.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dhow_tls::{Pair, Trust, Unread};
use rustls::ClientConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::{self, PemObject as _};

use super::Error;

/// The files of one client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Whose word on engines is taken; nobody's means that any engine is taken for the one that is meant.
    pub authorities: Option<PathBuf>,
    /// The client's own certificate, and those between it and its authority.
    pub certificate: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
}

impl TlsFiles {
    pub(crate) fn load(&self) -> Result<Arc<ClientConfig>, Error> {
        let trust = match &self.authorities {
            Some(file) => Trust::These(dhow_tls::authorities(file).map_err(|error| match error {
                Unread::File(error) => unread(file, error),
                nothing @ Unread::Nothing(_) => said(&nothing),
            })?),
            None => Trust::Anybody,
        };
        let own = match (&self.certificate, &self.key) {
            (None, None) => None,
            (certificate, key) => Some(pair(certificate.as_ref(), key.as_ref())?),
        };
        let config = dhow_tls::client(trust, own);
        let mut config = config.map_err(|error| said(&format!("could not load X509 key pair: {error}")))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn said(error: &dyn std::fmt::Display) -> Error {
    Error::Host(format!("unable to resolve docker endpoint: {error}"))
}

fn pair(certificate: Option<&PathBuf>, key: Option<&PathBuf>) -> Result<Pair, Error> {
    let (Some(certificate), Some(key)) = (certificate, key) else {
        return Err(said(
            &"could not load X509 key pair: a certificate needs its key, and a key its certificate",
        ));
    };
    let chain = dhow_tls::certificates(certificate).map_err(|error| unread(certificate, error))?;
    Ok((chain, PrivateKeyDer::from_pem_file(key).map_err(|error| unread(key, error))?))
}

fn unread(file: &Path, error: pem::Error) -> Error {
    match error {
        pem::Error::Io(error) if error.kind() == std::io::ErrorKind::NotFound => {
            said(&format!("open {}: no such file or directory", file.display()))
        }
        other => said(&format!("{}: {other}", file.display())),
    }
}
