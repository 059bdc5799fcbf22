//! Whose certificates are good: the authorities that the host trusts, wherever it keeps them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::words::Failure;

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
/// The same, as whoever starts the engine wishes.
const FILE: &str = "SSL_CERT_FILE";
const DIRECTORY: &str = "SSL_CERT_DIR";

/// A client that trusts those whom the host trusts at this moment.
pub(crate) fn client() -> Result<Arc<ClientConfig>, Failure> {
    of(authorities())
}

/// A client that trusts `authorities`.
pub(crate) fn of(authorities: RootCertStore) -> Result<Arc<ClientConfig>, Failure> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| Failure::other(format!("tls: {error}")))?;
    let mut config = builder.with_root_certificates(authorities).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn authorities() -> RootCertStore {
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
