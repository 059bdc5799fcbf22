//! Which containers a list shows: values of one key are alternatives, keys must all be met.

use std::collections::BTreeSet;
use std::sync::Arc;

use dhow_model::container::State;
use dhow_model::{Container, Error, ImageId, Result, Timestamp};
use regex_lite::Regex;

use super::network;
use crate::server::filters::Filters;

/// The keys that a list knows.
pub(crate) const KEYS: &[&str] = &[
    "ancestor",
    "before",
    "expose",
    "exited",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];
const STATES: &[&str] = &["created", "running", "paused", "restarting", "removing", "exited", "dead"];
const HEALTHS: &[&str] = &["starting", "healthy", "unhealthy", "none"];

/// A filter of containers, checked and with its references resolved.
#[derive(Debug, Default)]
pub(crate) struct ContainerFilter {
    tests: Vec<Test>,
    /// Asking for a state means all containers, not only those that run.
    pub(crate) all: bool,
}

/// One key; it is met when any of its values is.
#[derive(Debug)]
enum Test {
    Name(Vec<Regex>),
    Id(Vec<Regex>),
    Labels(BTreeSet<String>),
    States(BTreeSet<String>),
    ExitCodes(BTreeSet<i32>),
    Healths(BTreeSet<String>),
    Volumes(BTreeSet<String>),
    Networks(BTreeSet<String>),
    Exposed(BTreeSet<String>),
    /// The image or one made of it.
    Images(BTreeSet<ImageId>),
    Before(Timestamp),
    Since(Timestamp),
    /// Ports of the container, whatever ports of the host they are at.
    Published(BTreeSet<String>),
    /// What no container of this engine can meet.
    Nothing,
}

/// What a filter needs to know of other things.
pub(crate) trait Lookup {
    /// When the container that a client means was created.
    fn created(&self, container: &str) -> Result<Timestamp>;
    /// The image of that name and all made of it; nothing when there is none.
    fn with_descendants(&self, image: &str) -> Result<BTreeSet<ImageId>>;
}

impl ContainerFilter {
    /// Reads the filters.
    ///
    /// # Errors
    /// Invalid argument that names key and value; not found for a container that `before` names.
    pub(crate) fn new(mut filters: Filters, lookup: &impl Lookup) -> Result<Self> {
        // Nothing here is a task of a swarm.
        let tasks_only = filters.take_truth("is-task")?.unwrap_or(false).then_some(Test::Nothing);
        let all = filters.0.contains_key("status");
        let tests = filters.0.into_iter().filter(|(_, values)| !values.is_empty());
        let tests = tests.map(|(key, values)| test(&key, values, lookup)).collect::<Result<Vec<_>>>()?;
        Ok(Self { tests: tests.into_iter().flatten().chain(tasks_only).collect(), all })
    }

    /// Whether it is shown.
    pub(crate) fn lets(&self, container: &Container) -> bool {
        self.tests.iter().all(|test| test.is_met(container))
    }
}

fn test(key: &str, values: BTreeSet<String>, lookup: &impl Lookup) -> Result<Option<Test>> {
    let first = || values.first().cloned().unwrap_or_default();
    Ok(Some(match key {
        "name" => Test::Name(patterns(values)),
        "id" => Test::Id(patterns(values)),
        "label" => Test::Labels(values),
        "status" => Test::States(one_of(key, "state", values, STATES)?),
        "exited" => Test::ExitCodes(exit_codes(&values)?),
        "volume" => Test::Volumes(values),
        "network" => Test::Networks(values),
        "expose" => Test::Exposed(ports(key, &values)?),
        "ancestor" => {
            let found = values.iter().map(|name| lookup.with_descendants(name));
            Test::Images(found.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
        }
        "before" => Test::Before(lookup.created(&first())?),
        "since" => Test::Since(lookup.created(&first())?),
        "publish" => Test::Published(ports(key, &values)?),
        "health" => Test::Healths(one_of(key, "health", values, HEALTHS)?),
        _ => return Ok(None),
    }))
}

/// What is meant as it is written, and what it matches as a pattern; what is none is meant as it is.
pub(crate) fn patterns(values: BTreeSet<String>) -> Vec<Regex> {
    let pattern =
        |value: &String| Regex::new(value).ok().or_else(|| Regex::new(&regex_lite::escape(value)).ok());
    values.iter().filter_map(pattern).collect()
}

fn one_of(key: &str, noun: &str, values: BTreeSet<String>, known: &[&str]) -> Result<BTreeSet<String>> {
    match values.iter().find(|value| !known.contains(&value.as_str())) {
        Some(value) => Err(Error::invalid(format!(
            "invalid filter '{key}={value}': invalid value for {noun} ({value}): must be one of {}",
            known.join(", ")
        ))),
        None => Ok(values),
    }
}

fn exit_codes(values: &BTreeSet<String>) -> Result<BTreeSet<i32>> {
    let wrong = |value: &str| {
        let why = format!("strconv.Atoi: parsing {value:?}: invalid syntax");
        Error::invalid(format!("invalid filter 'exited={value}': {why}"))
    };
    values.iter().map(|value| value.parse().map_err(|_| wrong(value))).collect()
}

/// Ports as `80`, `80/udp` or `8000-8010/tcp`, each by itself.
fn ports(key: &str, values: &BTreeSet<String>) -> Result<BTreeSet<String>> {
    let mut ports = BTreeSet::new();
    for value in values {
        if value.contains(':') {
            return Err(Error::internal(format!("filter for '{key}' should not contain ':': {value}")));
        }
        let (range, protocol) = value.split_once('/').unwrap_or((value, "tcp"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let number = |text: &str| {
            let wrong = || Error::internal(format!("error while looking up for {key} {value}: invalid port"));
            text.parse::<u16>().map_err(|_| wrong())
        };
        ports.extend((number(first)?..=number(last)?).map(|port| format!("{port}/{protocol}")));
    }
    Ok(ports)
}

/// A value that is to be true or false, as Go's parser reads it.
pub(crate) fn truth(key: &str, value: &str) -> Result<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        other => Err(Error::invalid(format!("invalid filter '{key}=[{other}]'"))),
    }
}

impl Test {
    fn is_met(&self, container: &Container) -> bool {
        match self {
            Self::Name(patterns) => patterns.iter().any(|pattern| {
                let name = container.name.as_str();
                pattern.is_match(name) || pattern.is_match(&format!("/{name}"))
            }),
            Self::Id(patterns) => patterns.iter().any(|pattern| pattern.is_match(container.id.as_str())),
            Self::Labels(wanted) => wanted.iter().all(|label| has_label(&container.config.labels, label)),
            Self::States(wanted) => wanted.contains(container.state.word()),
            Self::ExitCodes(wanted) => {
                matches!(&container.state, State::Exited(exit) if wanted.contains(&exit.code))
            }
            Self::Healths(wanted) => {
                wanted.contains(container.health.as_ref().map_or("none", |health| health.status.word()))
            }
            Self::Volumes(wanted) => container.mounts.iter().any(|mount| {
                let has = |path: &std::path::Path| wanted.contains(path.to_string_lossy().as_ref());
                // A volume is meant by its name, what is bound by its source.
                let is_source =
                    if mount.name.is_empty() { has(&mount.source) } else { wanted.contains(&mount.name) };
                is_source || has(&mount.destination)
            }),
            Self::Networks(wanted) => network::names_of(container).any(|name| wanted.contains(name)),
            Self::Exposed(wanted) => container.config.exposed_ports.keys().any(|port| wanted.contains(port)),
            Self::Images(wanted) => container.image.is_some_and(|image| wanted.contains(&image)),
            Self::Before(created) => container.created < *created,
            Self::Since(created) => container.created > *created,
            Self::Nothing => false,
            Self::Published(wanted) => {
                container.host_config.port_bindings.keys().any(|port| wanted.contains(port))
            }
        }
    }
}

/// Whether `key` or `key=value` is among the labels.
pub(crate) fn has_label(labels: &std::collections::BTreeMap<String, String>, wanted: &str) -> bool {
    let (key, value) = wanted.split_once('=').map_or((wanted, None), |(key, value)| (key, Some(value)));
    labels.get(key).is_some_and(|found| value.is_none_or(|value| value == found))
}

/// The containers that a list shows: those that run unless `all`, at most `limit`, which counts all.
pub(crate) fn select(
    containers: Vec<Arc<Container>>,
    filter: &ContainerFilter,
    all: bool,
    limit: Option<usize>,
) -> Vec<Arc<Container>> {
    let all = all || limit.is_some() || filter.all;
    let shown = containers.into_iter().filter(|one| (all || one.state.is_active()) && filter.lets(one));
    shown.take(limit.unwrap_or(usize::MAX)).collect()
}
