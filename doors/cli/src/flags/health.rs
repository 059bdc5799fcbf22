//! `--health-*`: how the container's health is checked.

use dhow_model::duration;
use serde::Serialize;

use super::Parsed;

/// The check, as the API takes it; times in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Health {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    test: Vec<String>,
    #[serde(skip_serializing_if = "is_zero")]
    interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    timeout: i64,
    #[serde(skip_serializing_if = "is_zero")]
    start_period: i64,
    #[serde(skip_serializing_if = "is_zero")]
    start_interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    retries: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_zero(value: &i64) -> bool {
    *value == 0
}

impl Health {
    /// The check that the flags describe; `None` where they say nothing.
    pub(crate) fn of(parsed: &Parsed) -> Result<Option<Health>, String> {
        let time = |name: &str| {
            let value = parsed.text(name).and_then(|value| duration::parse(value).ok()).unwrap_or(0);
            if value < 0 { Err(format!("--{name} cannot be negative")) } else { Ok(value) }
        };
        let command = parsed.text_or_empty("health-cmd");
        let test = match command {
            "" => Vec::new(),
            command => vec!["CMD-SHELL".to_owned(), command.to_owned()],
        };
        let retries = parsed.integer("health-retries").unwrap_or(0);
        let health = Health {
            test,
            interval: time("health-interval")?,
            timeout: time("health-timeout")?,
            start_period: time("health-start-period")?,
            start_interval: time("health-start-interval")?,
            retries,
        };
        if retries < 0 {
            return Err("--health-retries cannot be negative".to_owned());
        }
        match (parsed.is_on("no-healthcheck"), health == Health::default()) {
            (true, false) => Err("--no-healthcheck conflicts with --health-* options".to_owned()),
            (true, true) => Ok(Some(Health { test: vec!["NONE".to_owned()], ..Health::default() })),
            (false, true) => Ok(None),
            (false, false) => Ok(Some(health)),
        }
    }
}

/// What is done with a container that becomes unhealthy; `None` where the flag says nothing.
pub(crate) fn on_failure(parsed: &Parsed) -> Result<Option<String>, String> {
    match parsed.text("health-on-failure") {
        None => Ok(None),
        Some(word @ ("none" | "restart" | "stop" | "kill")) => Ok(Some(word.to_owned())),
        Some(_) => Err("--health-on-failure must be none, restart, stop or kill".to_owned()),
    }
}
