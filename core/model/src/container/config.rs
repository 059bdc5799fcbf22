//! `Config`: the settings that move with a container's image (Docker Engine API, `ContainerConfig`).

use std::collections::BTreeMap;

use dhow_oci::image::{Empty, Healthcheck};
use serde::{Deserialize, Serialize};

use super::HealthAction;

/// What runs in the container, in Docker's field names; zero values are written, as Docker does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Config {
    /// Empty: the short id of the container.
    pub hostname: String,
    /// The NIS domain name.
    pub domainname: String,
    /// `user[:group]`, names or numbers; empty is root.
    pub user: String,
    /// Standard input is attached when it starts.
    pub attach_stdin: bool,
    /// Standard output is attached when it starts.
    pub attach_stdout: bool,
    /// Standard error is attached when it starts.
    pub attach_stderr: bool,
    /// `80/tcp` → `{}`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, Empty>,
    /// It has a terminal.
    pub tty: bool,
    /// Standard input is kept open.
    pub open_stdin: bool,
    /// Standard input is closed when the first client that attached it goes.
    pub stdin_once: bool,
    /// `NAME=value`; a name alone removes one of the image's.
    pub env: Vec<String>,
    /// The command, or the entry point's arguments; nothing means the image's.
    pub cmd: Option<Vec<String>>,
    /// How health is probed; nothing means the image's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// What is done when it becomes unhealthy; not Docker's.
    #[serde(skip_serializing_if = "HealthAction::is_none")]
    pub healthcheck_on_failure_action: HealthAction,
    /// Windows only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub args_escaped: bool,
    /// The image as the user named it.
    pub image: String,
    /// Paths that get an anonymous volume.
    pub volumes: Option<BTreeMap<String, Empty>>,
    /// The directory the process starts in; empty is `/`.
    pub working_dir: String,
    /// The program; nothing means the image's, an empty list means none.
    pub entrypoint: Option<Vec<String>>,
    /// No network is set up at all.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub network_disabled: bool,
    /// Instructions for images built on the image.
    pub on_build: Option<Vec<String>>,
    /// Free pairs.
    pub labels: BTreeMap<String, String>,
    /// The signal of `stop`; empty is SIGTERM.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// Seconds from that signal to SIGKILL; nothing is 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    /// The shell of shell-form instructions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
}
