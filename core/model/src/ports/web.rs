//! Servers elsewhere, and what they have for the engine.

use std::io::Read;
use std::sync::Arc;

use super::LookUp;
use crate::Result;

/// Servers that speak HTTP, with TLS or without.
pub trait Web: Send + Sync {
    /// Asks for what is at `url`, by way of the proxies that were configured, and goes on to where it has moved.
    /// Names that are not in /etc/hosts are asked for with `look_up`.
    ///
    /// Whoever waits for it may go away: that is asked of `gone` now and then, until the last byte is read.
    ///
    /// # Errors
    /// Invalid argument for what is no URL; not found for a server that nobody knows; of what a server refuses the
    /// kind that its status says.
    fn fetch(&self, url: &str, look_up: LookUp<'_>, gone: Gone) -> Result<Fetched>;
}

/// Whether nobody waits any more.
pub type Gone = Arc<dyn Fn() -> bool + Send + Sync>;

/// What a server has, on its way.
pub struct Fetched {
    /// The URL as it was asked for.
    pub url: String,
    /// How many bytes there are, where the server says so.
    pub length: Option<u64>,
    /// The bytes. A read that takes too long fails.
    pub body: Box<dyn Read + Send>,
}
