//! What is asked for: an absolute URL (RFC 3986), and where a further one leads from it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dhow_model::{Error, Result};
use http::{HeaderValue, Uri};

use crate::words::Failure;

/// A URL with a scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    /// With the fragment, which no server is told.
    text: String,
    uri: Uri,
}

impl Url {
    /// Reads a URL. What may not be written in one is escaped, as Go's client does it.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let wrong = |why: String| Error::invalid(format!("parse {text:?}: {why}"));
        if text.chars().any(|sign| sign.is_ascii_control()) {
            return Err(wrong("net/url: invalid control character in URL".into()));
        }
        if let Some(escape) = wrong_escape(text) {
            return Err(wrong(format!("invalid URL escape {escape:?}")));
        }
        let text = escaped(text);
        let sent = text.split('#').next().unwrap_or_default();
        if let Some((scheme, rest)) = sent.split_once("://")
            && rest.trim_start_matches('/').is_empty()
        {
            return Err(Error::internal(format!("Get \"{scheme}:\": http: no Host in request URL")));
        }
        let uri: Uri = sent.parse().map_err(|error: http::uri::InvalidUri| wrong(error.to_string()))?;
        Ok(Self { text, uri })
    }

    /// Where `place` leads, as it is read on the page that this URL names.
    pub(crate) fn join(&self, place: &str) -> Result<Self, Failure> {
        let base = format!("{}://{}", self.scheme(), self.uri.authority().map_or("", |all| all.as_str()));
        let joined = match place {
            _ if has_scheme(place) => place.to_owned(),
            _ if place.starts_with("//") => format!("{}:{place}", self.scheme()),
            _ if place.starts_with('/') => format!("{base}{}", without_dots(place)),
            _ if place.starts_with(['?', '#']) => format!("{base}{}{place}", self.uri.path()),
            _ => {
                let folder = self.uri.path().rsplit_once('/').map_or("", |(folder, _)| folder);
                format!("{base}{}", without_dots(&format!("{folder}/{place}")))
            }
        };
        let wrong = |error: Error| {
            Failure::other(format!("failed to parse Location header {place:?}: {}", error.report()))
        };
        Self::parse(&joined).map_err(wrong)
    }

    pub(crate) fn scheme(&self) -> &str {
        self.uri.scheme_str().unwrap_or_default()
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.scheme() == "https"
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The name or address of the server, without brackets.
    pub(crate) fn host(&self) -> &str {
        self.uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
    }

    pub(crate) fn port(&self) -> u16 {
        self.uri.port_u16().unwrap_or(if self.is_secure() { 443 } else { 80 })
    }

    /// Server and port as they were written, without the user.
    pub(crate) fn authority(&self) -> &str {
        let all = self.uri.authority().map_or("", |all| all.as_str());
        all.rsplit_once('@').map_or(all, |(_, server)| server)
    }

    /// What the server is asked for.
    pub(crate) fn path(&self) -> String {
        let asked = self.uri.path_and_query().map_or("", |asked| asked.as_str());
        if asked.starts_with('/') { asked.to_owned() } else { format!("/{asked}") }
    }

    /// What a proxy is asked for: all but the user.
    pub(crate) fn absolute(&self) -> String {
        format!("{}://{}{}", self.scheme(), self.authority(), self.path())
    }

    /// Who asks, in the words of basic authentication.
    pub(crate) fn user(&self) -> Option<HeaderValue> {
        let (user, _) = self.uri.authority()?.as_str().rsplit_once('@')?;
        let (name, password) = user.split_once(':').unwrap_or((user, ""));
        let both = [&unescaped(name)[..], b":", &unescaped(password)[..]].concat();
        let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(both))).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// The same without the password, for those who read of failures.
    pub(crate) fn shown(&self) -> String {
        let Some((user, _)) = self.uri.authority().and_then(|all| all.as_str().rsplit_once('@')) else {
            return self.text.clone();
        };
        match user.split_once(':') {
            Some((name, _)) => self.text.replacen(user, &format!("{name}:***"), 1),
            None => self.text.clone(),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn has_scheme(place: &str) -> bool {
    let Some((scheme, _)) = place.split_once(':') else { return false };
    scheme.starts_with(|sign: char| sign.is_ascii_alphabetic())
        && scheme.chars().all(|sign| sign.is_ascii_alphanumeric() || "+-.".contains(sign))
}

/// A path without `.` and `..` (RFC 3986, 5.2.4); what follows it stays as it is.
fn without_dots(place: &str) -> String {
    let end = place.find(['?', '#']).unwrap_or(place.len());
    let (path, rest) = place.split_at(end);
    let mut kept: Vec<&str> = Vec::new();
    for name in path.split('/').skip(1) {
        match name {
            "." => {}
            ".." => drop(kept.pop()),
            name => kept.push(name),
        }
    }
    let is_folder = path.ends_with("/.") || path.ends_with("/..");
    let slash = if is_folder && !kept.is_empty() { "/" } else { "" };
    format!("/{}{slash}{rest}", kept.join("/"))
}

fn wrong_escape(text: &str) -> Option<&str> {
    let is_escape =
        |rest: &str| rest.len() >= 3 && rest.bytes().skip(1).take(2).all(|b| b.is_ascii_hexdigit());
    let (at, _) = text.match_indices('%').find(|(at, _)| !is_escape(&text[*at..]))?;
    let end = text[at..].char_indices().nth(3).map_or(text.len(), |(length, _)| at + length);
    Some(&text[at..end])
}

fn escaped(text: &str) -> String {
    let one = |byte: u8| match byte {
        b' ' | b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x80.. => {
            format!("%{byte:02X}")
        }
        byte => char::from(byte).to_string(),
    };
    text.bytes().map(one).collect()
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        let code = behind.get(..2).filter(|_| *byte == b'%').and_then(|two| std::str::from_utf8(two).ok());
        let code = code.and_then(|two| u8::from_str_radix(two, 16).ok());
        plain.push(code.unwrap_or(*byte));
        rest = code.map_or(behind, |_| &behind[2..]);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_as_go_reads_them() {
        for (text, path, authority) in [
            ("http://a", "/", "a"),
            ("http://a?b=c", "/?b=c", "a"),
            ("https://u:p%40@[::1]:8/x y#z", "/x%20y", "[::1]:8"),
            ("http://a/ä", "/%C3%A4", "a"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.path().as_str(), url.authority()), (path, authority), "{text}");
        }
        let url = Url::parse("https://u:p%40@[::1]:8/x#z").unwrap();
        assert_eq!((url.host(), url.port(), url.is_secure()), ("::1", 8, true));
        assert_eq!(url.user().unwrap(), "Basic dTpwQA==");
        assert_eq!(url.shown(), "https://u:***@[::1]:8/x#z");
        assert_eq!(url.absolute(), "https://[::1]:8/x");
        for (text, words) in [
            ("http://a/%zz", "parse \"http://a/%zz\": invalid URL escape \"%zz\""),
            ("http://", "Get \"http:\": http: no Host in request URL"),
            ("http://a/%2", "parse \"http://a/%2\": invalid URL escape \"%2\""),
            ("http://a\n/", "parse \"http://a\\n/\": net/url: invalid control character in URL"),
        ] {
            assert_eq!(Url::parse(text).unwrap_err().report(), words);
        }
    }

    #[test]
    fn where_one_is_sent_on_to_may_be_told_in_part() {
        let url = Url::parse("http://u@a:1/b/c?d").unwrap();
        for (place, joined) in [
            ("https://e/f", "https://e/f"),
            ("//e/f", "http://e/f"),
            ("/f/../g/./h?i", "http://u@a:1/g/h?i"),
            ("../../f", "http://u@a:1/f"),
            ("f", "http://u@a:1/b/f"),
            ("..", "http://u@a:1/"),
            ("?g", "http://u@a:1/b/c?g"),
        ] {
            assert_eq!(url.join(place).unwrap().to_string(), joined, "{place}");
        }
    }
}
