//! TLS: whom a client trusts, and who it is.
//!
//! No authority is compiled in: [`of_host`] reads those of the host, [`authorities`] those of one file, and
//! [`Trust::Anybody`] needs none. [`client`] makes a configuration of that.

mod anybody;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use anybody::Anybody;

/// Where distributions keep all authorities in one file. The first that is there counts, as for Go's programs.
const FILES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// Where there is a file for each.
const DIRECTORIES: [&str; 2] = ["/etc/ssl/certs", "/etc/pki/tls/certs"];
/// The same, as whoever starts the program wishes.
const FILE: &str = "SSL_CERT_FILE";
const DIRECTORY: &str = "SSL_CERT_DIR";

/// Whose certificates are taken.
#[derive(Debug)]
pub enum Trust {
    /// Those that one of these authorities has signed.
    These(RootCertStore),
    /// Any; whoever shows one must have its key.
    Anybody,
}

/// A certificate with those between it and its authority, and its key.
pub type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Why a file gives no authority.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// It cannot be read, or is no PEM.
    #[error(transparent)]
    File(#[from] pem::Error),
    /// There is no certificate in it; in the words of Docker.
    #[error("failed to append certificates from PEM file: {0:?}")]
    Nothing(PathBuf),
}

/// A client that trusts those, and shows the certificate of a pair.
///
/// # Errors
/// When certificate and key do not go together.
pub fn client(trust: Trust, own: Option<Pair>) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions()?;
    let builder = match trust {
        Trust::These(authorities) => builder.with_root_certificates(authorities),
        Trust::Anybody => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody::new(provider)))
        }
    };
    match own {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key),
        None => Ok(builder.with_no_client_auth()),
    }
}

/// The certificates in a file.
///
/// # Errors
/// When it cannot be read, or is no PEM.
pub fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    CertificateDer::pem_file_iter(file).and_then(Iterator::collect)
}

/// The authorities in a file.
///
/// # Errors
/// When there is none.
pub fn authorities(file: &Path) -> Result<RootCertStore, Unread> {
    let mut trusted = RootCertStore::empty();
    let (taken, _) = trusted.add_parsable_certificates(certificates(file)?);
    if taken == 0 { Err(Unread::Nothing(file.to_owned())) } else { Ok(trusted) }
}

/// The authorities that the host trusts at this moment, wherever it keeps them.
#[must_use]
pub fn of_host() -> RootCertStore {
    let mut trusted = RootCertStore::empty();
    let file = std::env::var_os(FILE).filter(|name| !name.is_empty()).map(PathBuf::from);
    let files = file.map_or_else(|| FILES.iter().map(PathBuf::from).collect(), |file| vec![file]);
    let has_file = files.iter().any(|file| add(&mut trusted, file));
    let directories = std::env::var(DIRECTORY).ok().filter(|names| !names.is_empty());
    if !has_file || directories.is_some() {
        let all = directories.unwrap_or_else(|| DIRECTORIES.join(":"));
        all.split(':').for_each(|directory| add_all(&mut trusted, Path::new(directory)));
    }
    trusted
}

fn add_all(trusted: &mut RootCertStore, directory: &Path) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        add(trusted, &entry.path());
    }
}

/// Whether there is such a file. Certificates that cannot be read are nobody's.
fn add(trusted: &mut RootCertStore, file: &Path) -> bool {
    let Ok(certificates) = CertificateDer::pem_file_iter(file) else { return false };
    trusted.add_parsable_certificates(certificates.flatten());
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_authorities_is_none_of_authorities() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("ca.pem");
        assert!(matches!(authorities(&file), Err(Unread::File(_))));
        std::fs::write(&file, "no certificate").unwrap();
        let words = authorities(&file).unwrap_err().to_string();
        assert_eq!(words, format!("failed to append certificates from PEM file: {file:?}"));
        assert!(client(Trust::Anybody, None).is_ok());
        assert!(client(Trust::These(of_host()), None).is_ok());
    }
}
