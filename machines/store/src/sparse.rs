//! The record of a container as it lies on the disk: settings that are as they are without being set are left out.
//!
//! Of a hundred settings a container sets five. Written in full, ten thousand records are 40 MB, which every start
//! reads and takes apart; so they are a quarter. Whoever reads one fills in the same values
//! (`#[serde(default)]` of the settings).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use dhow_model::Container;
use dhow_model::container::{Config, HostConfig};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// The fields of an object, each as it is written.
type Fields<'a> = BTreeMap<&'a str, &'a RawValue>;

/// How each setting is written that nobody set.
static UNSET: LazyLock<[(&str, BTreeMap<String, String>); 2]> = LazyLock::new(|| {
    [("config", written(&Config::default())), ("host_config", written(&HostConfig::default()))]
});

/// The record of a container.
pub(crate) fn body(container: &Container) -> serde_json::Result<String> {
    let full = serde_json::to_string(container)?;
    let mut fields: Fields<'_> = serde_json::from_str(&full)?;
    let mut thinned = Vec::with_capacity(UNSET.len());
    for (name, unset) in &*UNSET {
        let Some(settings) = fields.get(name) else { continue };
        let mut set: Fields<'_> = serde_json::from_str(settings.get())?;
        set.retain(|key, value| unset.get(*key).is_none_or(|unset| unset != value.get()));
        thinned.push((*name, to_raw_value(&set)?));
    }
    for (name, settings) in &thinned {
        fields.insert(name, settings);
    }
    serde_json::to_string(&fields)
}

fn written(settings: &impl Serialize) -> BTreeMap<String, String> {
    let fields = || -> serde_json::Result<BTreeMap<String, String>> {
        let text = serde_json::to_string(settings)?;
        let fields: Fields<'_> = serde_json::from_str(&text)?;
        Ok(fields.iter().map(|(key, value)| ((*key).to_owned(), value.get().to_owned())).collect())
    };
    // Nothing is known to be unset then: records are written in full.
    fields().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container() -> Container {
        let text = format!(
            r#"{{"id":"{}","name":"web","created":"2026-01-01T00:00:00Z","image":null,"image_name":"base","platform":null,
                "config":{{"Cmd":["true"],"Labels":{{"a":"\"b\""}},"Tty":true}},
                "host_config":{{"Binds":[],"NetworkMode":"none","Memory":1048576,"Init":false,"Mounts":[]}},
                "mounts":[],"state":{{"status":"created","failure":null}},"restart_count":0}}"#,
            "0a".repeat(32)
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn what_is_left_out_is_what_whoever_reads_fills_in() {
        let container = container();
        let sparse = body(&container).unwrap();
        assert_eq!(serde_json::from_str::<Container>(&sparse).unwrap(), container);
        assert!(
            sparse.contains(r#""config":{"Cmd":["true"],"Labels":{"a":"\"b\""},"Tty":true}"#),
            "{sparse}"
        );
        let host = r#""host_config":{"Binds":[],"Init":false,"Memory":1048576,"NetworkMode":"none"}"#;
        assert!(sparse.contains(host), "{sparse}");
    }

    #[test]
    fn a_full_record_of_an_older_engine_is_read() {
        let container = container();
        let full = serde_json::to_string(&container).unwrap();
        assert_eq!(serde_json::from_str::<Container>(&full).unwrap(), container);
    }
}
