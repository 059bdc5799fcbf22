//! What fuzz targets ask of this door; it is built for them alone.

use crate::format::inspected::Shown;

/// A container as a client is told of it, in little.
const DOCUMENT: &str = r#"{"Id": "e1", "Name": "/web", "State": {"Running": true, "Pid": 7}, "Config": {
    "Env": ["A=b", "\u00e4="], "Labels": {"a": "b", "c": "<d>"}}, "HostConfig": {"Memory": 1, "Binds": null}}"#;

/// Shows a document by a template: the text, and the words by which the template is refused.
///
/// # Panics
/// Never: the document is one.
pub fn template(source: &str) -> (String, Option<String>) {
    let words = |error: crate::error::Error| error.words().unwrap_or_default();
    let shown = match Shown::by(source) {
        Ok(shown) => shown,
        Err(error) => return (String::new(), Some(words(error))),
    };
    let document = serde_json::from_str(DOCUMENT).expect("the document is one");
    let (text, done) = shown.partly(&document, "container.InspectResponse", "");
    (text, done.err().map(words))
}
