//! TLS towards an engine: whom to trust, and who one is, from files in PEM.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

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
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().map_err(|error| said(&error))?;
        let builder = match &self.authorities {
            Some(file) => builder.with_root_certificates(authorities(file)?),
            None => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider))),
        };
        let mut config = match (&self.certificate, &self.key) {
            (None, None) => builder.with_no_client_auth(),
            (certificate, key) => {
                let (chain, key) = pair(certificate.as_ref(), key.as_ref())?;
                let with_pair = builder.with_client_auth_cert(chain, key);
                with_pair.map_err(|error| said(&format!("could not load X509 key pair: {error}")))?
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn said(error: &dyn std::fmt::Display) -> Error {
    Error::Host(format!("unable to resolve docker endpoint: {error}"))
}

fn authorities(file: &Path) -> Result<RootCertStore, Error> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut roots = RootCertStore::empty();
    let (taken, _) = roots.add_parsable_certificates(read.map_err(|error| unread(file, error))?);
    if taken == 0 {
        return Err(said(&format!("failed to append certificates from PEM file: {file:?}")));
    }
    Ok(roots)
}

type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn pair(certificate: Option<&PathBuf>, key: Option<&PathBuf>) -> Result<Pair, Error> {
    let (Some(certificate), Some(key)) = (certificate, key) else {
        return Err(said(
            &"could not load X509 key pair: a certificate needs its key, and a key its certificate",
        ));
    };
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
    let chain = chain.map_err(|error| unread(certificate, error))?;
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

/// Takes any certificate, as `--tls` without `--tlsverify` asks; whoever shows it must have its key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _between: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
