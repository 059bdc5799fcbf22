//! Flags of dockerd that have nothing behind them here: the same is done with them as with the keys of `daemon.json`
//! (see [`without_effect`](super::without_effect)).
//!
//! A unit or script that starts dockerd should start this engine too. They are taken out of the words before the flags
//! are read; what they ask for decides whether that is told, or refused by name.

use std::ffi::OsString;

use serde_json::{Value, json};

use super::flags::UNSERVED;
use super::without_effect::{Fate, fate};

/// Flags that are switches, and mean yes without a value.
const SWITCHES: &[&str] = &["cri-containerd", "experimental", "rootless", "selinux-enabled"];
/// Flags that may be given again, by the names of their keys in the file.
const LISTS: &[(&str, &str)] = &[
    ("allow-nondistributable-artifacts", "allow-nondistributable-artifacts"),
    ("authorization-plugin", "authorization-plugins"),
    ("feature", "features"),
    ("insecure-registry", "insecure-registries"),
    ("node-generic-resource", "node-generic-resources"),
    ("registry-mirror", "registry-mirrors"),
];

/// What is left of the words, and what the user should know.
///
/// # Errors
/// The name of a flag whose absence somebody could rely on.
pub(super) fn pass_over(words: Vec<OsString>) -> Result<(Vec<OsString>, Vec<String>), String> {
    let (mut left, mut told) = (Vec::new(), Vec::new());
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let Some((name, value)) = unserved(&word) else {
            left.push(word);
            continue;
        };
        let value = match value {
            Some(value) => value,
            None if SWITCHES.contains(&name) => "true".to_owned(),
            None => words.next().unwrap_or_default().to_string_lossy().into_owned(),
        };
        let key = LISTS.iter().find(|(flag, _)| *flag == name).map(|(_, key)| *key);
        match fate(key.unwrap_or(name), &meant(name, key.is_some(), value)) {
            Fate::Nothing => {}
            Fate::Told(_) => told.push(format!("--{name} has no effect")),
            Fate::Refused => return Err(name.to_owned()),
        }
    }
    Ok((left, told))
}

/// The name of a flag that is not served, and the value that is written behind it.
fn unserved(word: &OsString) -> Option<(&'static str, Option<String>)> {
    let (name, value) = match word.to_str()?.strip_prefix("--")?.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (word.to_str()?.strip_prefix("--")?, None),
    };
    Some((UNSERVED.iter().find(|known| **known == name)?, value))
}

/// The value as a file would have it.
fn meant(name: &str, is_list: bool, value: String) -> Value {
    if is_list {
        return if value.is_empty() { json!([]) } else { json!([value]) };
    }
    if SWITCHES.contains(&name) {
        return json!(super::flags::boolean(&value).unwrap_or(true));
    }
    value.parse::<i64>().map_or_else(|_| json!(value), |number| json!(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(line: &str) -> Result<(String, String), String> {
        let words = line.split(' ').map(|word| OsString::from(word.replace('·', ""))).collect();
        let (left, told) = pass_over(words)?;
        let left: Vec<String> = left.into_iter().map(|word| word.into_string().unwrap()).collect();
        Ok((left.join(" "), told.join("; ")))
    }

    #[test]
    fn what_is_harmless_is_told_and_what_is_not_refused() {
        for (line, left, told) in [
            ("dhow --containerd /run/c.sock -D", "dhow -D", "--containerd has no effect"),
            ("dhow --experimental -H fd://", "dhow -H fd://", "--experimental has no effect"),
            ("dhow --experimental=false --rootless=false", "dhow", ""),
            (
                "dhow --registry-mirror=https://m --registry-mirror ·",
                "dhow",
                "--registry-mirror has no effect",
            ),
            ("dhow --oom-score-adjust -500 --init", "dhow --init", "--oom-score-adjust has no effect"),
            ("dhow --firewall-backend=nftables --http-proxy=", "dhow", ""),
        ] {
            assert_eq!(passed(line).unwrap(), (left.to_owned(), told.to_owned()), "{line}");
        }
        for (line, name) in [
            ("dhow --selinux-enabled", "selinux-enabled"),
            ("dhow --authorization-plugin p", "authorization-plugin"),
            ("dhow --firewall-backend iptables", "firewall-backend"),
            ("dhow --cpu-rt-runtime 950000", "cpu-rt-runtime"),
        ] {
            assert_eq!(passed(line).unwrap_err(), name, "{line}");
        }
    }
}
