//! Options of the `local` driver: a file system that is mounted in place of a directory, and a limit of its size.

use std::collections::BTreeMap;

use crate::{Error, Result};

const KNOWN: [&str; 4] = ["device", "o", "size", "type"];

/// A file system that a volume stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeMount {
    /// Its type (`nfs`, `cifs`, `tmpfs`, `none` for a bind).
    pub kind: String,
    /// What is mounted.
    pub device: String,
    /// Options as mount(8) takes them.
    pub options: Vec<String>,
}

impl VolumeMount {
    /// What options ask for; nothing, for a plain directory.
    #[must_use]
    pub fn of(options: &BTreeMap<String, String>) -> Option<Self> {
        let get = |key: &str| options.get(key).cloned().unwrap_or_default();
        let (kind, device) = (get("type"), get("device"));
        if kind.is_empty() && device.is_empty() {
            return None;
        }
        let words = get("o");
        let options = words.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect();
        Some(Self { kind, device, options })
    }
}

/// Checks the options of a volume that is to be made.
///
/// # Errors
/// Invalid argument, in Docker's words.
pub fn check_options(options: &BTreeMap<String, String>) -> Result<()> {
    if let Some(other) = options.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return Err(Error::invalid(format!("invalid option: {other:?}")));
    }
    for (given, needed) in [("device", "type"), ("type", "device"), ("o", "device"), ("o", "type")] {
        if options.contains_key(given) && !options.contains_key(needed) {
            return Err(Error::invalid(format!("missing required option: {needed:?}")));
        }
    }
    let Some(mount) = VolumeMount::of(options) else { return Ok(()) };
    if options.get("size").is_some_and(|size| size != "0") {
        return Err(Error::invalid(
            "invalid option: \"size\": it limits a directory; what is mounted takes a size among its own options (o=size=…)",
        ));
    }
    if mount.kind == "cifs" && has_port(&mount.device) {
        return Err(Error::invalid("port not allowed in CIFS device URL, include 'port' in 'o='"));
    }
    match [&mount.kind, &mount.device].into_iter().chain(&mount.options).find(|text| text.contains('\0')) {
        Some(text) => Err(Error::invalid(format!("invalid option: {text:?}"))),
        None => Ok(()),
    }
}

/// `//host:port/share`.
fn has_port(device: &str) -> bool {
    let host = device.strip_prefix("//").and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let after = host.rsplit_once(']').map_or(host, |(_, after)| after);
    after.contains(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(pairs: &[(&str, &str)]) -> String {
        let options = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        check_options(&options).map_or_else(|error| error.to_string(), |()| "good".into())
    }

    #[test]
    fn options_are_refused_in_dockers_words() {
        for (options, wanted) in [
            (&[][..], "good"),
            (&[("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1m")], "good"),
            (&[("size", "1m")], "good"),
            (
                &[("type", "tmpfs"), ("device", "tmpfs"), ("size", "1m")],
                "invalid option: \"size\": it limits a directory; what is mounted takes a size among its own options (o=size=…)",
            ),
            (&[("bogus", "1")], "invalid option: \"bogus\""),
            (&[("type", "tmpfs")], "missing required option: \"device\""),
            (&[("device", "/x")], "missing required option: \"type\""),
            (&[("o", "bind")], "missing required option: \"device\""),
            (
                &[("type", "cifs"), ("device", "//nas:445/share")],
                "port not allowed in CIFS device URL, include 'port' in 'o='",
            ),
            (&[("type", "cifs"), ("device", "//[fd00::1]/share")], "good"),
            (&[("type", "nfs"), ("device", ":/srv\0")], "invalid option: \":/srv\\0\""),
        ] {
            assert_eq!(words(options), wanted, "{options:?}");
        }
    }
}
