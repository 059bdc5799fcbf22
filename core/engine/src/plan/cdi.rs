//! Devices by name (CDI) and by what they can (`--gpus`): looked up in the vendors' files, and brought into
//! the configuration of a container at each start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dhow_model::container::DeviceRequest;
use dhow_model::ports::{DeviceNode as HostNode, Host};
use dhow_model::{Error, Result};
use dhow_oci::cdi::{DeviceNode, Edits, LONGEST, Specification};
use dhow_oci::runtime::{Device, DeviceRule, Hooks, Spec};

/// Kinds that a request for a `gpu` means, with the names of their drivers.
const GPUS: [(&str, &str); 3] =
    [("nvidia", "nvidia.com/gpu"), ("amd", "amd.com/gpu"), ("intel", "intel.com/gpu")];

/// All devices that the host's files describe.
#[derive(Debug, Default)]
pub struct Devices {
    files: Vec<Specification>,
    /// File and place in it, by `vendor.com/class=name`; nothing where two files of one directory have it.
    by_name: BTreeMap<String, Option<(usize, usize)>>,
}

impl Devices {
    /// Reads the files of the directories, the last of which has precedence. A file that is none is passed
    /// over, and its devices with it.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn read(host: &dyn Host, directories: &[PathBuf]) -> Result<Self> {
        let mut devices = Self::default();
        for directory in directories {
            let mut here = BTreeMap::new();
            for (path, bytes) in host.files(directory, &["json", "yaml"], LONGEST + 1)? {
                let yaml = path.extension().is_some_and(|extension| extension == "yaml");
                match Specification::parse(&bytes, yaml) {
                    Ok(specification) => devices.add(specification, &mut here),
                    Err(error) => tracing::warn!("{}: {error}", path.display()),
                }
            }
            devices.by_name.append(&mut here);
        }
        Ok(devices)
    }

    fn add(&mut self, specification: Specification, here: &mut BTreeMap<String, Option<(usize, usize)>>) {
        let file = self.files.len();
        for (place, device) in specification.devices.iter().enumerate() {
            let name = format!("{}={}", specification.kind, device.name);
            let twice = here.contains_key(&name);
            here.insert(name, (!twice).then_some((file, place)));
        }
        self.files.push(specification);
    }

    /// The names of all that can be had.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.iter().filter(|(_, place)| place.is_some()).map(|(name, _)| name.as_str())
    }

    /// The names of the devices that a request means.
    ///
    /// # Errors
    /// In Docker's words, when nobody serves it.
    fn named(&self, request: &DeviceRequest) -> Result<Vec<String>> {
        let ids = request.device_ids.clone().unwrap_or_default();
        if request.driver == "cdi" {
            return Ok(ids);
        }
        if request.count != 0 && !ids.is_empty() {
            return Err(Error::invalid("cannot set both Count and DeviceIDs on device request"));
        }
        let wants_gpu = request.capabilities.iter().flatten().any(|all| all.iter().any(|c| c == "gpu"));
        let fits = |driver: &str| request.driver.is_empty() || request.driver == driver;
        let kinds = GPUS.into_iter().filter(|(driver, _)| wants_gpu && fits(driver)).map(|(_, kind)| kind);
        let has = |kind: &&str| self.names().any(|name| is_of(name, kind));
        let Some(kind) = kinds.into_iter().find(has) else { return Err(nobody(request)) };
        Ok(match request.count {
            0 => ids.iter().map(|id| format!("{kind}={id}")).collect(),
            count if count < 0 => self.every(kind),
            count => (0..count.min(1024)).map(|number| format!("{kind}={number}")).collect(),
        })
    }

    /// `all` where the vendor has it, else each.
    fn every(&self, kind: &str) -> Vec<String> {
        let all = format!("{kind}=all");
        if self.names().any(|name| name == all) {
            return vec![all];
        }
        self.names().filter(|name| is_of(name, kind)).map(str::to_owned).collect()
    }

    /// What has to be changed for these devices, each file's common part once.
    fn edits(&self, names: &[String]) -> Result<Vec<&Edits>> {
        let (mut edits, mut begun, mut missing) = (Vec::new(), Vec::new(), Vec::new());
        for name in names {
            let Some(Some((file, place))) = self.by_name.get(name) else {
                missing.push(crate::registry::shorten(name));
                continue;
            };
            if !begun.contains(file) {
                begun.push(*file);
                edits.push(&self.files[*file].container_edits);
            }
            edits.push(&self.files[*file].devices[*place].container_edits);
        }
        if missing.is_empty() {
            return Ok(edits);
        }
        Err(failed(&format!("unresolvable CDI devices {}", missing.join(", "))))
    }
}

/// Brings the devices that were asked for into the configuration.
///
/// # Errors
/// In Docker's words: a device that nobody describes, a driver that is not there.
pub fn inject(
    spec: &mut Spec,
    requests: &[DeviceRequest],
    host: &dyn Host,
    directories: &[PathBuf],
) -> Result<()> {
    if requests.is_empty() {
        return Ok(());
    }
    let devices = Devices::read(host, directories)?;
    let mut names = Vec::new();
    for request in requests {
        names.extend(devices.named(request)?);
    }
    for edits in devices.edits(&names)? {
        apply(spec, edits, host)?;
    }
    spec.mounts.sort_by_key(|mount| mount.destination.components().count());
    Ok(())
}

fn apply(spec: &mut Spec, edits: &Edits, host: &dyn Host) -> Result<()> {
    for (name, given) in
        [("netDevices", !edits.net_devices.is_empty()), ("intelRdt", edits.intel_rdt.is_some())]
    {
        if given {
            return Err(failed(&format!("{name} is not supported yet")));
        }
    }
    if let Some(process) = &mut spec.process {
        process.env = super::merge::variables(std::mem::take(&mut process.env), &edits.env);
        let groups = &mut process.user.additional_gids;
        let further = edits.additional_gids.iter().filter(|gid| **gid != 0);
        for gid in further {
            if !groups.contains(gid) {
                groups.push(*gid);
            }
        }
    }
    for node in &edits.device_nodes {
        add_device(spec, node, host)?;
    }
    for mount in &edits.mounts {
        spec.mounts.retain(|other| other.destination != mount.container_path);
        spec.mounts.push(mount.to_mount());
    }
    let hooks = spec.hooks.get_or_insert_default();
    for hook in &edits.hooks {
        place(hooks, &hook.hook_name).push(hook.to_hook());
    }
    Ok(())
}

fn place<'a>(hooks: &'a mut Hooks, name: &str) -> &'a mut Vec<dhow_oci::runtime::Hook> {
    match name {
        "prestart" => &mut hooks.prestart,
        "createRuntime" => &mut hooks.create_runtime,
        "createContainer" => &mut hooks.create_container,
        "startContainer" => &mut hooks.start_container,
        "poststart" => &mut hooks.poststart,
        _ => &mut hooks.poststop,
    }
}

/// The node, and the rule that lets it be used.
fn add_device(spec: &mut Spec, node: &DeviceNode, host: &dyn Host) -> Result<()> {
    let device = device(spec, node, host)?;
    let linux = spec.linux.get_or_insert_default();
    if matches!(device.kind.as_str(), "b" | "c") {
        let access = if node.permissions.is_empty() { "rwm" } else { &node.permissions };
        linux.resources.get_or_insert_default().devices.push(DeviceRule {
            allow: true,
            kind: device.kind.clone(),
            major: Some(device.major),
            minor: Some(device.minor),
            access: access.into(),
        });
    }
    linux.devices.retain(|other| other.path != device.path);
    linux.devices.push(device);
    Ok(())
}

/// What the file does not say is the host's; a node without an owner belongs to who the process is.
fn device(spec: &Spec, node: &DeviceNode, host: &dyn Host) -> Result<Device> {
    let path = node.host_path.as_deref().unwrap_or(&node.path);
    let told = !node.kind.is_empty() && (node.major.is_some() || node.kind == "p");
    let found: Option<HostNode> = if told { None } else { Some(look(host, path)?) };
    if let Some(found) =
        found.as_ref().filter(|found| !node.kind.is_empty() && node.kind != found.kind.to_string())
    {
        let words =
            format!("CDI device {}, host type mismatch ({}, {})", path.display(), node.kind, found.kind);
        return Err(failed(&words));
    }
    let user = spec.process.as_ref().map(|process| (process.user.uid, process.user.gid));
    let owner = |id: u32| Some(id).filter(|id| *id > 0);
    Ok(Device {
        kind: found.as_ref().map_or_else(|| node.kind.clone(), |found| found.kind.to_string()),
        path: node.path.clone(),
        major: node.major.or(found.as_ref().map(|found| found.major.into())).unwrap_or_default(),
        minor: node.minor.or(found.as_ref().map(|found| found.minor.into())).unwrap_or_default(),
        file_mode: node.file_mode.or(found.as_ref().map(|found| found.mode)),
        uid: node.uid.or_else(|| user.and_then(|(uid, _)| owner(uid))),
        gid: node.gid.or_else(|| user.and_then(|(_, gid)| owner(gid))),
    })
}

fn look(host: &dyn Host, path: &Path) -> Result<HostNode> {
    let found = host.devices(path)?.into_iter().flatten().next();
    found.ok_or_else(|| {
        failed(&format!("failed to stat CDI host device {:?}: no such file or directory", path))
    })
}

fn is_of(name: &str, kind: &str) -> bool {
    name.split_once('=').is_some_and(|(of, _)| of == kind)
}

fn failed(words: &str) -> Error {
    Error::internal(format!("CDI device injection failed: {words}"))
}

/// As Go prints a list of lists.
fn nobody(request: &DeviceRequest) -> Error {
    let lists = request.capabilities.iter().flatten().map(|all| format!("[{}]", all.join(" ")));
    let lists: Vec<String> = lists.collect();
    Error::invalid(format!(
        "could not select device driver {:?} with capabilities: [{}]",
        request.driver,
        lists.join(" ")
    ))
}
