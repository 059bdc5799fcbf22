//! A container in a list (`GET /containers/json`), and what list and inspection have in common.

use std::collections::{BTreeMap, HashMap};

use dhow_model::container::{Config, MountKind, MountPoint};
use dhow_model::ports::SnapshotUsage;
use dhow_model::{Container, Timestamp};
use serde::Serialize;

use super::human;
use super::network::{self, Endpoint, Port};
use crate::server::version::ApiVersion;

/// One line of `docker ps`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Summary<'a> {
    id: &'a str,
    names: Vec<String>,
    image: String,
    #[serde(rename = "ImageID")]
    image_id: String,
    command: String,
    created: i64,
    ports: Vec<Port>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_rw: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_root_fs: Option<u64>,
    labels: &'a BTreeMap<String, String>,
    state: &'static str,
    status: String,
    host_config: HostConfig<'a>,
    network_settings: NetworkSettings,
    mounts: Vec<Mount<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<Health>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig<'a> {
    network_mode: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<&'a BTreeMap<String, String>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings {
    networks: BTreeMap<String, Endpoint>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Health {
    status: &'static str,
    failing_streak: u32,
}

impl Health {
    fn of(container: &Container) -> Self {
        let none = Self { status: "none", failing_streak: 0 };
        container.health.as_ref().map_or(none, |health| Self {
            status: health.status.word(),
            failing_streak: health.failing_streak,
        })
    }
}

impl<'a> Summary<'a> {
    /// Of a container; `image` is the name to show, `links` are what it is called by those that are linked to any.
    pub(crate) fn new(
        container: &'a Container,
        links: &HashMap<String, Vec<String>>,
        image: String,
        size: Option<SnapshotUsage>,
        version: ApiVersion,
    ) -> Self {
        let host_config = &container.host_config;
        Self {
            id: container.id.as_str(),
            names: names(container, links),
            image,
            image_id: container.image.map(|id| id.to_string()).unwrap_or_default(),
            command: command(&container.config),
            created: container.created.unix_seconds(),
            ports: network::ports(container),
            size_rw: size.map(|size| size.writable),
            size_root_fs: size.map(|size| size.total),
            labels: &container.config.labels,
            state: container.state.word(),
            status: human::status(
                &container.state,
                container.health.as_ref().map(|health| health.status),
                Timestamp::now(),
            ),
            host_config: HostConfig {
                network_mode: &host_config.network_mode,
                annotations: Some(&host_config.annotations)
                    .filter(|annotations| !version.before(46) && !annotations.is_empty()),
            },
            network_settings: NetworkSettings { networks: network::endpoints(container, version) },
            mounts: mounts(container),
            health: (!version.before(52)).then(|| Health::of(container)),
        }
    }
}

/// All that a container is called, in order.
fn names(container: &Container, links: &HashMap<String, Vec<String>>) -> Vec<String> {
    let others = links.get(container.id.as_str()).into_iter().flatten();
    let mut names: Vec<String> = others.map(|name| format!("/{name}")).collect();
    names.push(format!("/{}", container.name));
    names.sort();
    names
}

/// The program and its arguments: entry point, then command.
pub(crate) fn words(config: &Config) -> impl Iterator<Item = &String> {
    config.entrypoint.iter().flatten().chain(config.cmd.iter().flatten())
}

/// The line that `ps` shows: arguments with a space in them in quotes.
fn command(config: &Config) -> String {
    let word = |(position, word): (usize, &String)| {
        if position > 0 && word.contains(' ') { format!("'{word}'") } else { word.clone() }
    };
    words(config).enumerate().map(word).collect::<Vec<_>>().join(" ")
}

/// One mount, in lists and inspections.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Mount<'a> {
    #[serde(rename = "Type")]
    kind: MountKind,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    source: String,
    destination: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    driver: &'a str,
    mode: &'a str,
    #[serde(rename = "RW")]
    rw: bool,
    propagation: &'a str,
}

/// The mounts of a container, but for those of `--tmpfs`, which Docker does not list either.
pub(crate) fn mounts(container: &Container) -> Vec<Mount<'_>> {
    let listed = |mount: &&MountPoint| {
        let destination = mount.destination.to_string_lossy();
        mount.kind != MountKind::Tmpfs || !container.host_config.tmpfs.contains_key(destination.as_ref())
    };
    container.mounts.iter().filter(listed).map(Mount::new).collect()
}

impl<'a> Mount<'a> {
    fn new(mount: &'a MountPoint) -> Self {
        Self {
            kind: mount.kind,
            name: &mount.name,
            // There is no path: it is mounted where the host sees nothing of it.
            source: mount
                .image
                .map_or_else(|| mount.source.to_string_lossy().into_owned(), |image| image.to_string()),
            destination: mount.destination.to_string_lossy().into_owned(),
            driver: &mount.driver,
            mode: &mount.mode,
            rw: mount.writable,
            propagation: &mount.propagation,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_entry_point_and_arguments() {
        let config = Config {
            entrypoint: Some(vec!["/bin/sh".into(), "-c".into()]),
            cmd: Some(vec!["echo hi".into()]),
            ..Config::default()
        };
        assert_eq!(command(&config), "/bin/sh -c 'echo hi'");
    }
}
