//! Whose certificates are good: those that the host's authorities have signed.

use std::sync::Arc;

use dhow_tls::Trust;
use rustls::{ClientConfig, RootCertStore};

use crate::words::Failure;

/// A client that trusts those whom the host trusts at this moment.
pub(crate) fn client() -> Result<Arc<ClientConfig>, Failure> {
    of(dhow_tls::of_host())
}

/// A client that trusts `authorities`.
pub(crate) fn of(authorities: RootCertStore) -> Result<Arc<ClientConfig>, Failure> {
    let config = dhow_tls::client(Trust::These(authorities), None);
    let mut config = config.map_err(|error| Failure::other(format!("tls: {error}")))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
