//! What entries of a log bear of their container: labels and variables, by name or by pattern.

use std::collections::BTreeMap;

use dhow_model::{Error, Result};
use regex_lite::Regex;

use super::Source;

/// The attributes that `labels`, `labels-regex`, `env` and `env-regex` ask for.
///
/// # Errors
/// Invalid argument for a pattern that is none.
pub fn of(options: &BTreeMap<String, String>, source: &Source) -> Result<BTreeMap<String, String>> {
    let variables = source.env.iter().filter_map(|pair| pair.split_once('='));
    let variables: BTreeMap<&str, &str> = variables.collect();
    let labels = source.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let mut found = BTreeMap::new();
    for (names, pattern, all) in [("labels", "labels-regex", &labels), ("env", "env-regex", &variables)] {
        let wanted = Wanted::of(options, names, pattern)?;
        let chosen = all.iter().filter(|(key, _)| wanted.takes(key));
        found.extend(chosen.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    }
    Ok(found)
}

struct Wanted<'a> {
    names: Vec<&'a str>,
    pattern: Option<Regex>,
}

impl<'a> Wanted<'a> {
    fn of(options: &'a BTreeMap<String, String>, names: &str, pattern: &str) -> Result<Self> {
        let names = options.get(names).map(|names| names.split(',').collect()).unwrap_or_default();
        let pattern = options.get(pattern).filter(|pattern| !pattern.is_empty());
        let pattern = pattern.map(|pattern| {
            Regex::new(pattern)
                .map_err(|error| Error::invalid(format!("error parsing regexp: {error}: `{pattern}`")))
        });
        Ok(Self { names, pattern: pattern.transpose()? })
    }

    fn takes(&self, key: &str) -> bool {
        self.names.contains(&key) || self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(key))
    }
}

/// The name of an attribute as the journal takes it: capitals, digits and underscores, and no underscore
/// at the front.
#[must_use]
pub fn journal_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    name.chars().map(plain).collect::<String>().trim_start_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_variables_are_chosen_by_name_and_pattern() {
        let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        let source = Source {
            labels: map(&[("tier", "web"), ("com.a", "1"), ("com.b", "2")]),
            env: vec!["PATH=/bin".into(), "OS=x=y".into(), "nothing".into()],
            ..Source::default()
        };
        for (options, expected) in [
            (map(&[]), map(&[])),
            (map(&[("labels", "tier,none")]), map(&[("tier", "web")])),
            (map(&[("labels-regex", "^com\\.")]), map(&[("com.a", "1"), ("com.b", "2")])),
            (map(&[("env", "OS,nothing"), ("env-regex", "^P")]), map(&[("OS", "x=y"), ("PATH", "/bin")])),
        ] {
            assert_eq!(of(&options, &source).unwrap(), expected);
        }
        assert!(of(&map(&[("env-regex", "[")]), &source).is_err());
    }

    #[test]
    fn names_are_made_fit_for_the_journal() {
        for (name, fit) in [("com.a-b", "COM_A_B"), ("__x9", "X9"), ("ü", ""), ("OS", "OS")] {
            assert_eq!(journal_name(name), fit);
        }
    }
}
