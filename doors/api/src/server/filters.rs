//! The `filters` of a list, in both of its JSON forms.

use std::collections::{BTreeMap, BTreeSet};

use dhow_model::{Error, Result};
use serde::Deserialize;

/// Key → values asked for.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Filters(pub(crate) BTreeMap<String, BTreeSet<String>>);

/// `{"label": {"a=b": true}}`, or `{"label": ["a=b"]}` as before 1.22.
#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    Map(BTreeMap<String, bool>),
    List(Vec<String>),
}

impl Filters {
    /// Reads the parameter; empty text is no filter.
    ///
    /// # Errors
    /// Invalid argument, `invalid filter`, for anything else.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let read: BTreeMap<String, Values> =
            serde_json::from_str(text).map_err(|_| Error::invalid("invalid filter"))?;
        let keys = read.into_iter().map(|(key, values)| match values {
            Values::Map(map) => (key, map.into_keys().collect()),
            Values::List(list) => (key, list.into_iter().collect()),
        });
        Ok(Self(keys.collect()))
    }

    /// Takes a key out that is true or false; nothing when it is not there.
    ///
    /// # Errors
    /// Invalid argument for other values, and for both at once.
    pub(crate) fn take_truth(&mut self, key: &str) -> Result<Option<bool>> {
        let Some(values) = self.0.remove(key) else { return Ok(None) };
        let has = |words: [&str; 2]| words.iter().any(|word| values.contains(*word));
        let (yes, no) = (has(["1", "true"]), has(["0", "false"]));
        if yes != no {
            return Ok(Some(yes));
        }
        if values.is_empty() {
            return Err(Error::invalid(format!("invalid filter '{key}'")));
        }
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        Err(Error::invalid(format!("invalid filter '{key}=[{}]'", values.join(" "))))
    }

    /// Fails when a key is none of `known`.
    ///
    /// # Errors
    /// `invalid filter 'x'`.
    pub(crate) fn allow(self, known: &[&str]) -> Result<Self> {
        match self.0.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(Error::invalid(format!("invalid filter '{key}'"))),
            None => Ok(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_mean_the_same() {
        let old = Filters::parse(r#"{"label":["a=b","c"],"status":["exited"]}"#).unwrap();
        let new = Filters::parse(r#"{"label":{"a=b":true,"c":true},"status":{"exited":true}}"#).unwrap();
        assert_eq!(old, new);
        assert_eq!(Filters::parse("").unwrap(), Filters::default());
        assert_eq!(Filters::parse("{}").unwrap(), Filters::default());
    }

    #[test]
    fn truth_is_one_word_or_the_other() {
        let truth = |values: &str| {
            let mut filters = Filters::parse(&format!(r#"{{"dangling":{values}}}"#)).unwrap();
            filters.take_truth("dangling").map_err(|error| error.to_string())
        };
        assert_eq!((truth(r#"["1"]"#), truth(r#"["false"]"#)), (Ok(Some(true)), Ok(Some(false))));
        assert_eq!(truth(r#"["maybe"]"#), Err("invalid filter 'dangling=[maybe]'".into()));
        assert_eq!(truth(r#"["true","0"]"#), Err("invalid filter 'dangling=[0 true]'".into()));
        assert_eq!(truth("[]"), Err("invalid filter 'dangling'".into()));
        assert_eq!(Filters::default().take_truth("dangling").unwrap(), None);
    }

    #[test]
    fn what_is_no_filter_is_refused_in_dockers_words() {
        for text in ["[]", "{", "{\"a\":1}", "null", "{\"a\":{\"b\":\"c\"}}"] {
            assert_eq!(Filters::parse(text).unwrap_err().to_string(), "invalid filter", "{text}");
        }
        let error = Filters::parse(r#"{"bogus":["1"]}"#).unwrap().allow(&["label"]).unwrap_err();
        assert_eq!(error.to_string(), "invalid filter 'bogus'");
    }
}
