//! How failures are told: in the words of Go's client, and with the status that Docker gives them.

use std::io;

use bytes::Bytes;
use dhow_model::{Error, Kind};
use http::response::Parts;
use hyper::ext::ReasonPhrase;
use rustls::CertificateError;

use crate::body::Body;
use crate::url::Url;

/// The most that is told of what a server says in its refusal.
const LONGEST: usize = 64 * 1024;

/// What went wrong before there was an answer.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    words: String,
}

impl Failure {
    pub(crate) fn other(words: impl Into<String>) -> Self {
        Self { kind: Kind::Internal, words: words.into() }
    }

    pub(crate) fn unknown_host(words: String) -> Self {
        Self { kind: Kind::NotFound, words }
    }

    pub(crate) fn timeout() -> Self {
        Self::other("net/http: timeout awaiting response headers")
    }

    pub(crate) fn gone() -> Self {
        Self::other("context canceled")
    }

    /// What a connection to `place` failed with.
    pub(crate) fn dial(place: &dyn std::fmt::Display, error: &io::Error) -> Self {
        Self::other(format!("dial tcp {place}: connect: {}", system(error)))
    }

    /// The failure of a request for `url`.
    pub(crate) fn of(self, url: &Url) -> Error {
        Error::new(self.kind, format!("Get {:?}: {}", url.shown(), self.words))
    }
}

impl From<hyper::Error> for Failure {
    fn from(error: hyper::Error) -> Self {
        if error.is_incomplete_message() {
            return Self::other("EOF");
        }
        let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<io::Error>());
        Self::other(cause.map_or_else(|| error.to_string(), system))
    }
}

/// What the system says, as Go says it.
pub(crate) fn system(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_lowercase(),
        None => text,
    }
}

/// Why nothing was agreed on with `host`.
pub(crate) fn tls(error: &io::Error, host: &str) -> Failure {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    let words = match cause {
        Some(rustls::Error::InvalidCertificate(wrong)) => {
            format!("tls: failed to verify certificate: x509: {}", certificate(wrong, host))
        }
        Some(rustls::Error::InvalidMessage(_)) => "http: server gave HTTP response to HTTPS client".into(),
        Some(other) => format!("tls: {other}"),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "EOF".into(),
        None => system(error),
    };
    Failure::other(words)
}

fn certificate(wrong: &CertificateError, host: &str) -> String {
    match wrong {
        CertificateError::UnknownIssuer => "certificate signed by unknown authority".into(),
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => "certificate has expired or is not yet valid".into(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("certificate is not valid for {host}")
        }
        other => other.to_string(),
    }
}

/// The refusal of a server, with what it says.
pub(crate) fn refused(url: &Url, head: &Parts, mut body: Body) -> Error {
    let status = head.status.as_u16();
    let reason =
        head.extensions.get::<ReasonPhrase>().map(|reason| Bytes::copy_from_slice(reason.as_bytes()));
    let reason = match &reason {
        Some(reason) => String::from_utf8_lossy(reason).into_owned(),
        None => head.status.canonical_reason().unwrap_or_default().to_owned(),
    };
    let told = format!("failed to GET {url} with status {status} {reason}");
    let Ok(said) = body.up_to(LONGEST) else {
        return Error::internal(format!("{told}: error reading body"));
    };
    let kind = match status {
        400 => Kind::InvalidArgument,
        401 => Kind::Unauthorized,
        403 => Kind::Forbidden,
        404 => Kind::NotFound,
        _ => Kind::Internal,
    };
    Error::new(kind, format!("{told}: {}", String::from_utf8_lossy(said.trim_ascii())))
}
