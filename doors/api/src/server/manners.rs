//! What Go's HTTP server and router answer before any of Docker's handlers is asked: requests without a host, OPTIONS,
//! expectations that nobody meets, paths that are not in their shortest form.

use http::header::{CONNECTION, EXPECT, HOST, LOCATION};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version};

use super::answer::{self, Response};

/// The answer to a request that is none for a handler.
pub(crate) fn answer<B>(request: &Request<B>) -> Option<Response> {
    if let Some(wrong) = wrong_host(request.version(), request.headers()) {
        return Some(refused(wrong));
    }
    if request.headers().get(EXPECT).is_some_and(|it| !it.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        let mut failed = answer::empty(StatusCode::EXPECTATION_FAILED);
        failed.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        return Some(failed);
    }
    if *request.method() == Method::OPTIONS {
        return Some(answer::empty(StatusCode::OK));
    }
    let path = request.uri().path();
    let clean = cleaned(path);
    // What writes is done where it can be: a client that is sent elsewhere would come back with GET.
    if clean == path || !matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let target = match request.uri().query() {
        Some(query) => format!("{clean}?{query}"),
        None => clean,
    };
    let mut moved = answer::empty(StatusCode::MOVED_PERMANENTLY);
    moved.headers_mut().insert(LOCATION, HeaderValue::from_str(&target).ok()?);
    Some(moved)
}

/// RFC 9112, section 3.2: exactly one, in requests of version 1.1.
fn wrong_host(version: Version, headers: &HeaderMap) -> Option<&'static str> {
    if version != Version::HTTP_11 {
        return None;
    }
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => Some("400 Bad Request: missing required Host header"),
        (Some(_), Some(_)) => Some("400 Bad Request: too many Host headers"),
        (Some(host), None) if !host.as_bytes().iter().all(may_be_in_host) => {
            Some("400 Bad Request: malformed Host header")
        }
        _ => None,
    }
}

/// Go's table: what may stand in an address, and what clients with sockets put there (an escaped path).
fn may_be_in_host(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!$%&()*+,-.:;=@[']_~".contains(byte)
}

fn refused(words: &'static str) -> Response {
    let mut response = answer::typed(StatusCode::BAD_REQUEST, "text/plain; charset=utf-8", words.into());
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// A path without empty parts, `.` and `..`; a slash at its end stays.
fn cleaned(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let end = if path.ends_with('/') && !parts.is_empty() { "/" } else { "" };
    format!("/{}{end}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, path: &str, hosts: &[&str]) -> Option<(u16, String)> {
        let mut request = Request::builder().method(method).uri(path);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let response = answer(&request.body(()).unwrap())?;
        let location = response.headers().get(LOCATION).map(|it| it.to_str().unwrap().to_owned());
        Some((response.status().as_u16(), location.unwrap_or_default()))
    }

    #[test]
    fn what_nobody_can_expect_is_told() {
        for (expected, status) in [("100-Continue", None), ("a-reply", Some(417))] {
            let request = Request::get("/_ping").header(HOST, "d").header(EXPECT, expected).body(());
            assert_eq!(answer(&request.unwrap()).map(|it| it.status().as_u16()), status);
        }
    }

    #[test]
    fn what_is_none_for_a_handler_is_answered() {
        for (method, path, hosts, answered) in [
            ("GET", "/_ping", &["d"][..], None),
            ("GET", "/_ping", &[""], None),
            ("GET", "/_ping", &["%2Frun%2Fdocker.sock"], None),
            ("GET", "/_ping", &[], Some((400, ""))),
            ("GET", "/_ping", &["a", "b"], Some((400, ""))),
            ("GET", "/_ping", &["a b"], Some((400, ""))),
            ("OPTIONS", "/nowhere", &["d"], Some((200, ""))),
            ("GET", "/containers//json?all=1", &["d"], Some((301, "/containers/json?all=1"))),
            ("HEAD", "/v1.41/../a/./b/", &["d"], Some((301, "/a/b/"))),
            ("POST", "/containers//web/start", &["d"], None),
        ] {
            let answered = answered.map(|(status, location)| (status, location.to_owned()));
            assert_eq!(asked(method, path, hosts), answered, "{method} {path} {hosts:?}");
        }
    }
}
