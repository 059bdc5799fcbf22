//! Through which proxy, as the environment has it: `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`.

use std::net::IpAddr;

use http::HeaderValue;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

use crate::url::Url;
use crate::words::Failure;

/// The proxies that were configured.
#[derive(Debug)]
pub(crate) struct Proxies(Matcher);

/// How one reaches a server.
#[derive(Debug)]
pub(crate) enum Way {
    /// Without a proxy.
    Direct,
    /// A proxy is asked for the whole URL.
    Forward(Proxy),
    /// A proxy is asked for a connection to the server.
    Tunnel(Proxy),
}

/// A proxy.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) url: Url,
    intercept: Intercept,
}

impl Proxy {
    /// Who asks it, in the words of basic authentication.
    pub(crate) fn user(&self) -> Option<&HeaderValue> {
        self.intercept.basic_auth()
    }
}

impl Proxies {
    pub(crate) fn of_environment() -> Self {
        Self(Matcher::from_env())
    }

    #[cfg(test)]
    pub(crate) const fn new(matcher: Matcher) -> Self {
        Self(matcher)
    }

    /// The way to a server.
    pub(crate) fn way(&self, url: &Url) -> Result<Way, Failure> {
        if !["http", "https"].contains(&url.scheme()) {
            return Err(Failure::other(format!("unsupported protocol scheme {:?}", url.scheme())));
        }
        if url.host().is_empty() {
            return Err(Failure::other("http: no Host in request URL"));
        }
        let Some(intercept) = self.0.intercept(url.uri()).filter(|_| !is_here(url.host())) else {
            return Ok(Way::Direct);
        };
        let proxy = Url::parse(&intercept.uri().to_string());
        let proxy = proxy.map_err(|error| Failure::other(error.report()))?;
        if !["http", "https"].contains(&proxy.scheme()) {
            return Err(Failure::other(format!("proxyconnect tcp: unknown scheme: {}", proxy.scheme())));
        }
        let proxy = Proxy { url: proxy, intercept };
        Ok(if url.is_secure() { Way::Tunnel(proxy) } else { Way::Forward(proxy) })
    }
}

/// No proxy is asked for what is on this machine.
fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl Way {
    /// Whom one connects to.
    pub(crate) fn next<'a>(&'a self, url: &'a Url) -> &'a Url {
        match self {
            Self::Direct => url,
            Self::Forward(proxy) | Self::Tunnel(proxy) => &proxy.url,
        }
    }
}
