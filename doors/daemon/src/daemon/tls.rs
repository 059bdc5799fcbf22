//! TLS of the API: who the engine is, and whose certificates it takes, from files in PEM.
//!
//! Clients are verified by the authorities in one file alone, never by those of the system: whoever has a
//! certificate of a public authority would else be root here.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, ensure};
use dhow_tls::{Pair, Unread};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// What was configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tls {
    /// Clients must show a certificate.
    pub(super) verify: bool,
    /// The authorities of clients.
    pub(super) authorities: PathBuf,
    /// The engine's own certificate, and those between it and its authority.
    pub(super) certificate: PathBuf,
    /// Its key.
    pub(super) key: PathBuf,
}

impl Tls {
    /// Reads the files.
    pub(super) fn load(&self) -> Result<Arc<ServerConfig>> {
        self.read().context("invalid TLS configuration")
    }

    fn read(&self) -> Result<Arc<ServerConfig>> {
        let (chain, key) = self.pair()?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions()?;
        let builder = if self.verify {
            let roots = Arc::new(authorities(&self.authorities)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build()?;
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| self.unreadable(&error))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn pair(&self) -> Result<Pair> {
        let chain = dhow_tls::certificates(&self.certificate)
            .map_err(|error| self.not_loaded(&self.certificate, error))?;
        ensure!(!chain.is_empty(), self.unreadable(&"no certificate in it"));
        let key = PrivateKeyDer::from_pem_file(&self.key);
        Ok((chain, key.map_err(|error| self.not_loaded(&self.key, error))?))
    }

    fn not_loaded(&self, file: &Path, error: pem::Error) -> anyhow::Error {
        match error {
            pem::Error::Io(error) if error.kind() == std::io::ErrorKind::NotFound => anyhow!(
                "could not load X509 key pair (cert: {:?}, key: {:?}): open {}: no such file or directory",
                self.certificate,
                self.key,
                file.display()
            ),
            other => self.unreadable(&other),
        }
    }

    fn unreadable(&self, error: &dyn std::fmt::Display) -> anyhow::Error {
        anyhow!(
            "error reading X509 key pair - make sure the key is not encrypted (cert: {:?}, key: {:?}): {error}",
            self.certificate,
            self.key
        )
    }
}

fn authorities(file: &Path) -> Result<RootCertStore> {
    dhow_tls::authorities(file).map_err(|error| match error {
        Unread::File(error) => anyhow!(error).context(format!("could not read CA certificate {file:?}")),
        nothing @ Unread::Nothing(_) => anyhow!(nothing),
    })
}
