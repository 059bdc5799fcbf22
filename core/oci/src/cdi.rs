//! Devices that a vendor describes (Container Device Interface 1.1): files of `/etc/cdi` and `/var/run/cdi`.
//!
//! A [`Specification`] has devices of one kind (`vendor.com/class`), each with the [`Edits`] that bring it
//! into a container. A member that is not known makes the whole file invalid: a device that is brought in
//! by halves does not work.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::runtime::{Hook, Mount};

/// The longest file that is read.
pub const LONGEST: u64 = 4 << 20;

/// One file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Specification {
    /// The version of the interface.
    pub cdi_version: String,
    /// `vendor.com/class`.
    pub kind: String,
    /// Free pairs.
    pub annotations: BTreeMap<String, String>,
    /// The devices.
    pub devices: Vec<Device>,
    /// What every device of the file needs.
    pub container_edits: Edits,
}

/// One device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Device {
    /// Unique in its kind.
    pub name: String,
    /// Free pairs.
    pub annotations: BTreeMap<String, String>,
    /// What brings it into a container.
    pub container_edits: Edits,
}

/// Changes of a container's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Edits {
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Devices of the host.
    pub device_nodes: Vec<DeviceNode>,
    /// Network devices of the host: known, so that they are refused by name.
    pub net_devices: Vec<serde_json::Value>,
    /// Programs at points of the life.
    pub hooks: Vec<NamedHook>,
    /// Mounts.
    pub mounts: Vec<HostMount>,
    /// Cache and bandwidth classes: known, so that they are refused by name.
    pub intel_rdt: Option<serde_json::Value>,
    /// Further groups of the process.
    pub additional_gids: Vec<u32>,
}

/// A device of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct DeviceNode {
    /// In the container.
    pub path: PathBuf,
    /// On the host; nothing is the same.
    pub host_path: Option<PathBuf>,
    /// `c`, `b`, `u` or `p`; nothing is the host's.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its number; nothing is the host's.
    pub major: Option<i64>,
    /// Its number; nothing is the host's.
    pub minor: Option<i64>,
    /// Permission bits; nothing is the host's.
    pub file_mode: Option<u32>,
    /// Of `r`, `w`, `m`; nothing is all.
    pub permissions: String,
    /// Its owner.
    pub uid: Option<u32>,
    /// Its group.
    pub gid: Option<u32>,
}

/// A mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct HostMount {
    /// On the host.
    pub host_path: String,
    /// In the container.
    pub container_path: PathBuf,
    /// As mount(8) has them.
    pub options: Vec<String>,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
}

/// A program, and when it is run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct NamedHook {
    /// `createContainer`, …
    pub hook_name: String,
    /// On the host.
    pub path: PathBuf,
    /// With the program's name first.
    pub args: Vec<String>,
    /// Its whole environment.
    pub env: Vec<String>,
    /// Seconds.
    pub timeout: Option<i64>,
}

/// Why a file is none.
#[derive(Debug, thiserror::Error)]
pub enum CdiError {
    /// Not JSON, not YAML, or an unknown member.
    #[error("invalid CDI specification: {0}")]
    Unreadable(String),
    /// A member that says nothing sensible.
    #[error("invalid CDI specification: {0}")]
    Invalid(String),
}

impl Specification {
    /// Reads a file of JSON, or of YAML.
    ///
    /// # Errors
    /// When it is none, is too long, or lacks what it must have.
    pub fn parse(bytes: &[u8], yaml: bool) -> Result<Self, CdiError> {
        if bytes.len() as u64 > LONGEST {
            return Err(CdiError::Invalid(format!("it has more than {LONGEST} bytes")));
        }
        let read: Self = if yaml {
            // Bounded by the library: depth, aliases, events.
            serde_saphyr::from_slice(bytes).map_err(|error| CdiError::Unreadable(first_line(&error)))?
        } else {
            serde_json::from_slice(bytes).map_err(|error| CdiError::Unreadable(error.to_string()))?
        };
        read.check()?;
        Ok(read)
    }

    fn check(&self) -> Result<(), CdiError> {
        let wrong = |what: String| Err(CdiError::Invalid(what));
        if !self.cdi_version.starts_with("0.") && !self.cdi_version.starts_with("1.") {
            return wrong(format!("version {:?}", self.cdi_version));
        }
        let kind = self.kind.split_once('/');
        if !kind.is_some_and(|(vendor, class)| is_vendor(vendor) && is_name(class)) {
            return wrong(format!("kind {:?}", self.kind));
        }
        if self.devices.is_empty() {
            return wrong("no devices".into());
        }
        let names: std::collections::BTreeSet<&str> = self.devices.iter().map(|d| d.name.as_str()).collect();
        if names.len() != self.devices.len() {
            return wrong("two devices of one name".into());
        }
        if let Some(name) = names.into_iter().find(|name| !is_name(name)) {
            return wrong(format!("device name {name:?}"));
        }
        let edits = self.devices.iter().map(|device| &device.container_edits);
        edits.chain([&self.container_edits]).try_for_each(Edits::check)
    }
}

impl Edits {
    fn check(&self) -> Result<(), CdiError> {
        let wrong = |what: String| Err(CdiError::Invalid(what));
        if let Some(pair) = self.env.iter().find(|pair| !pair.contains('=') || pair.starts_with('=')) {
            return wrong(format!("environment variable {pair:?}"));
        }
        for node in &self.device_nodes {
            let permitted = node.permissions.bytes().all(|byte| b"rwm".contains(&byte));
            let kind = matches!(node.kind.as_str(), "" | "b" | "c" | "u" | "p");
            if !node.path.is_absolute() || !permitted || !kind {
                return wrong(format!("device node {}", node.path.display()));
            }
        }
        let mounts = self.mounts.iter();
        if let Some(mount) =
            mounts.clone().find(|mount| mount.host_path.is_empty() || !mount.container_path.is_absolute())
        {
            return wrong(format!("mount {}", mount.container_path.display()));
        }
        let known =
            ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
        match self
            .hooks
            .iter()
            .find(|hook| !known.contains(&hook.hook_name.as_str()) || !hook.path.is_absolute())
        {
            Some(hook) => wrong(format!("hook {:?}", hook.hook_name)),
            None => Ok(()),
        }
    }
}

impl HostMount {
    /// The same in the configuration of a container.
    #[must_use]
    pub fn to_mount(&self) -> Mount {
        Mount {
            destination: self.container_path.clone(),
            kind: self.kind.clone(),
            source: self.host_path.clone(),
            options: self.options.clone(),
            ..Mount::default()
        }
    }
}

impl NamedHook {
    /// The same in the configuration of a container.
    #[must_use]
    pub fn to_hook(&self) -> Hook {
        Hook {
            path: self.path.clone(),
            args: self.args.clone(),
            env: self.env.clone(),
            timeout: self.timeout,
        }
    }
}

/// Letters, digits, and what may stand between them.
fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.bytes().all(inner) && ends(text.bytes().next()) && ends(text.bytes().last())
}

fn is_vendor(text: &str) -> bool {
    is_name(text) && !text.contains(':')
}

/// The library draws what it has read; one line says enough.
fn first_line(error: &impl std::fmt::Display) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "cdiVersion: 0.6.0\nkind: vendor.com/device\ndevices:\n- name: one\n  containerEdits:\n    env: [A=b]\n    deviceNodes:\n    - {path: /dev/x, hostPath: /dev/null, permissions: r, major: 1, minor: 3}\n    mounts:\n    - {hostPath: /tmp, containerPath: /cdi, options: [ro, rbind]}\n    hooks:\n    - {hookName: createContainer, path: /bin/true, args: ['true']}\n    additionalGids: [44]\n";

    #[test]
    fn both_forms_are_read() {
        let yaml = Specification::parse(YAML.as_bytes(), true).unwrap();
        let edits = &yaml.devices[0].container_edits;
        assert_eq!((yaml.kind.as_str(), edits.additional_gids.as_slice()), ("vendor.com/device", &[44][..]));
        assert_eq!(edits.device_nodes[0].host_path, Some("/dev/null".into()));
        let json =
            r#"{"cdiVersion": "0.3.0", "kind": "a.b/c", "devices": [{"name": "0", "containerEdits": {}}]}"#;
        assert_eq!(Specification::parse(json.as_bytes(), false).unwrap().devices.len(), 1);
    }

    #[test]
    fn what_is_none_is_refused() {
        for (from, to) in [
            ("kind: vendor.com/device", "kind: vendor"),
            ("cdiVersion: 0.6.0", "cdiVersion: 7"),
            ("name: one", "name: ../one"),
            ("name: one", "name: one\n  other: 5"),
            ("A=b", "=b"),
            ("/dev/x", "dev/x"),
            ("permissions: r", "permissions: q"),
            ("createContainer", "whenever"),
            ("/bin/true", "true"),
            ("hostPath: /tmp", "hostPath: ''"),
        ] {
            let text = YAML.replace(from, to);
            assert_ne!(text, YAML, "{from}");
            assert!(Specification::parse(text.as_bytes(), true).is_err(), "{to}");
        }
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let below = format!("*a{}", level - 1);
            bomb += &format!("a{level}: &a{level} [{}]\n", [below.as_str(); 9].join(", "));
        }
        assert!(Specification::parse(format!("{bomb}kind: *a11\n").as_bytes(), true).is_err());
        assert!(Specification::parse("[".repeat(100_000).as_bytes(), true).is_err());
        assert!(Specification::parse("[".repeat(100_000).as_bytes(), false).is_err());
    }
}
