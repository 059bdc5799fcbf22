//! `--security-opt`, of which a seccomp profile is read here and sent whole; and capabilities.

use std::collections::BTreeSet;

use serde_json::value::RawValue;

/// The options to send, and whether the kernel's paths stay visible.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SecurityOptions {
    pub(crate) options: Vec<String>,
    pub(crate) system_paths_unconfined: bool,
}

impl SecurityOptions {
    pub(crate) fn parse(options: &[String]) -> Result<SecurityOptions, String> {
        let mut parsed = SecurityOptions::default();
        for option in options {
            if option == "systempaths=unconfined" {
                parsed.system_paths_unconfined = true;
            } else {
                parsed.options.push(sent(option)?);
            }
        }
        Ok(parsed)
    }
}

fn sent(option: &str) -> Result<String, String> {
    if option == "no-new-privileges" || option.starts_with("no-new-privileges=") {
        return Ok(option.to_owned());
    }
    let split = option.split_once('=').or_else(|| option.split_once(':'));
    let (key, value) = split
        .filter(|(_, value)| !value.is_empty())
        .ok_or_else(|| format!("Invalid --security-opt: {}", crate::format::quote::quoted(option)))?;
    match (key, value) {
        ("seccomp", "builtin" | "unconfined") => Ok(option.to_owned()),
        ("seccomp", file) => Ok(format!("seccomp={}", profile(file)?)),
        _ => Ok(option.to_owned()),
    }
}

fn profile(file: &str) -> Result<String, String> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        format!("opening seccomp profile ({file}) failed: open {file}: {}", crate::go_words(&error))
    })?;
    let document: Box<RawValue> = serde_json::from_str(&text)
        .map_err(|error| format!("compacting json for seccomp profile ({file}) failed: {error}"))?;
    Ok(compact(document.get()))
}

/// A valid document without the blanks between its parts.
fn compact(document: &str) -> String {
    let mut out = String::with_capacity(document.len());
    let (mut in_text, mut escaped) = (false, false);
    for character in document.chars() {
        if in_text || !character.is_ascii_whitespace() {
            out.push(character);
        }
        match character {
            '"' if !escaped => in_text = !in_text,
            _ => {}
        }
        escaped = in_text && character == '\\' && !escaped;
    }
    out
}

/// Capabilities by their full names, each once, in order.
pub(crate) fn capabilities(names: &[String]) -> Vec<String> {
    let full = |name: &String| match name.trim().to_uppercase() {
        name if name == "ALL" || name.starts_with("CAP_") => name,
        name => format!("CAP_{name}"),
    };
    names.iter().map(full).collect::<BTreeSet<String>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_read_and_sent_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("profile.json");
        std::fs::write(&file, "{ \"a\" : [ 1, \"x \\\" y\" ] }\n").unwrap();
        let options = [
            format!("seccomp={}", file.display()),
            "label:disable".to_owned(),
            "no-new-privileges".to_owned(),
        ];
        let parsed = SecurityOptions::parse(&options).unwrap();
        assert_eq!(
            parsed.options,
            ["seccomp={\"a\":[1,\"x \\\" y\"]}", "label:disable", "no-new-privileges"]
        );
    }

    #[test]
    fn capabilities_have_their_full_names() {
        let given = ["net_admin", "CAP_CHOWN", "chown", "all"].map(str::to_owned);
        assert_eq!(capabilities(&given), ["ALL", "CAP_CHOWN", "CAP_NET_ADMIN"]);
    }

    #[test]
    fn system_paths_are_the_client_s_affair() {
        let parsed = SecurityOptions::parse(&["systempaths=unconfined".to_owned()]).unwrap();
        assert_eq!(parsed, SecurityOptions { options: Vec::new(), system_paths_unconfined: true });
        assert_eq!(SecurityOptions::parse(&["x".to_owned()]).unwrap_err(), "Invalid --security-opt: \"x\"");
    }
}
