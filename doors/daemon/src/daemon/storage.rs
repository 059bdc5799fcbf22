//! `storage-opts`: options of the storage driver.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow, bail};
use dhow_engine::Settings;
use dhow_engine::plan::storage;

const DRIVER: &str = "overlay2.";

/// Takes what is served into the settings, and answers what has no effect.
pub(super) fn apply(options: &BTreeMap<String, String>, settings: &mut Settings) -> Result<Vec<String>> {
    let mut told = Vec::new();
    for (key, value) in options {
        match key.to_ascii_lowercase().strip_prefix(DRIVER) {
            Some("size") => {
                storage::or_zero(value).map_err(|error| anyhow!("storage-opts: {key}: {error}"))?;
                settings.layer_size.clone_from(value);
            }
            Some("override_kernel_check") => told.push(format!("{key} has no effect")),
            Some(other) => bail!("overlay2: unknown option {other}"),
            // Another driver's bound is none here: nobody should rely on it.
            None if key.ends_with("size") => bail!("storage-opts: {key} is of another driver than overlay2"),
            None => told.push(format!("{key} has no effect")),
        }
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_layers_is_the_only_option_that_counts() {
        let read = |key: &str, value: &str| {
            let mut settings = Settings::default();
            apply(&[(key.into(), value.into())].into(), &mut settings).map(|told| (settings.layer_size, told))
        };
        assert_eq!(read("overlay2.size", "10G").unwrap(), ("10G".into(), vec![]));
        let told = vec!["overlay2.override_kernel_check has no effect".to_owned()];
        assert_eq!(read("overlay2.override_kernel_check", "true").unwrap(), (String::new(), told));
        for (key, value, words) in [
            ("overlay2.size", "much", "storage-opts: overlay2.size: invalid size: 'much'"),
            ("overlay2.nope", "1", "overlay2: unknown option nope"),
            ("dm.basesize", "1G", "storage-opts: dm.basesize is of another driver than overlay2"),
        ] {
            assert_eq!(read(key, value).unwrap_err().to_string(), words);
        }
    }
}
