//! The only place that sees both sides: machines are made, and handed to the engine as ports.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result, anyhow, ensure};
use dhow_engine::networks::Directory;
use dhow_engine::{Engine, Ports, Settings};
use dhow_model::container::UserMap;
use dhow_model::ports::Host as _;
use dhow_net::HostNetworks;
use dhow_net::dns::Server;
use dhow_runtime::host::LocalHost;
use dhow_runtime::launcher::Launcher;
use dhow_runtime::port::{Directories, LauncherRuntime};
use dhow_store::{LayerFormat, Store};
use dhow_web::HostWeb;
use tokio::runtime::Handle;

use super::configuration::Configuration;
use super::pidfile::DataLock;
use super::subordinate::Files;

/// The engine needs root: mounts, namespaces and cgroups are the kernel's for root alone.
pub(super) fn require_root() -> Result<()> {
    ensure!(rustix::process::geteuid().is_root(), "dhow needs to be started with root privileges");
    Ok(())
}

/// There is no way without some of the kernel's calls; which, is told before anything is begun.
pub(super) fn require_kernel() -> Result<()> {
    dhow_sys::features::lack().map_or(Ok(()), |lack| Err(anyhow!("dhow cannot run here: {lack}")))
}

/// Starts the launcher; to be called while this process has one thread.
pub(super) fn launcher() -> Result<Launcher> {
    Launcher::start().context("start the launcher")
}

/// Makes the engine's directories, and locks its data.
pub(super) fn claim(configuration: &Configuration) -> Result<DataLock> {
    for directory in [&configuration.data_root, &configuration.exec_root] {
        make(directory)?;
    }
    DataLock::claim(&configuration.data_root)
}

/// Opens the data directory and brings the engine up over it.
pub(super) fn engine(
    configuration: &Configuration,
    launcher: Launcher,
    handle: &Handle,
) -> Result<Arc<Engine>> {
    let store = Store::open_with(&configuration.data_root, configuration.store).map_err(report)?;
    if !configuration.settings.layer_size.is_empty() {
        let words = "Storage option overlay2.size not supported. Filesystem does not support Project Quota";
        store.keeps_limits(words).map_err(report)?;
    }
    let layers = match store.layer_format() {
        LayerFormat::Tar => "tar with EROFS index",
        LayerFormat::Directory => "directory",
    };
    let host = LocalHost::new().map_err(report)?;
    let user_map = user_map(configuration.userns_remap.as_deref(), &host, &store)?;
    let engine: Arc<OnceLock<Arc<Engine>>> = Arc::default();
    let events = events(Arc::clone(&engine), handle.clone());
    let directories = Directories {
        exec_root: configuration.exec_root.clone(),
        containers: configuration.data_root.join("containers"),
    };
    let names = Arc::new(Directory::default());
    let server = Server::new(Arc::clone(&names) as Arc<_>, "/etc/resolv.conf".into(), handle.clone());
    let ports = Ports {
        images: Arc::new(store.images),
        snapshots: Arc::new(store.snapshots),
        records: Arc::new(store.records),
        volumes: Arc::new(store.volumes),
        upkeep: Arc::new(store.upkeep),
        networks: Arc::new(HostNetworks::new(
            &configuration.data_root,
            &configuration.exec_root,
            server,
            configuration.host,
        )),
        names,
        runtime: Arc::new(LauncherRuntime::new(launcher, directories, events).map_err(report)?),
        host: Arc::new(host),
        web: Arc::new(HostWeb::new(handle.clone())),
    };
    let id = id(&configuration.data_root, &ports)?;
    let mut settings = Settings { id, user_map, ..configuration.settings.clone() };
    settings.storage.push(("Layer Format".into(), layers.into()));
    let _inside = handle.enter();
    let opened = Engine::open(ports, settings).map_err(report)?;
    drop(engine.set(Arc::clone(&opened)));
    Ok(opened)
}

/// Who the users of containers are; that this machine can have it so is tried.
fn user_map(wanted: Option<&str>, host: &LocalHost, store: &Store) -> Result<Option<Arc<UserMap>>> {
    let Some(text) = wanted else { return Ok(None) };
    let map = Files::below(Path::new("/etc")).resolve(text)?;
    let Some(map) = map.map(Arc::new) else {
        tracing::warn!("userns-remap: root is who he is, so that there are no user namespaces");
        return Ok(None);
    };
    let space = host.user_space(&map, false).map_err(report)?;
    store.snapshots.try_user_space(&space).map_err(report)?;
    Ok(Some(map))
}

/// Each event is taken on a thread of its own: one container that is busy holds no other up. Events
/// that come while the engine is opened wait for it.
fn events(engine: Arc<OnceLock<Arc<Engine>>>, handle: Handle) -> dhow_runtime::port::Events {
    Arc::new(move |event| {
        let engine = Arc::clone(&engine);
        handle.spawn_blocking(move || engine.wait().take(event));
    })
}

fn make(directory: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o711);
    builder.create(directory).with_context(|| format!("make {}", directory.display()))
}

/// An id of this data directory, made once.
fn id(data_root: &Path, ports: &Ports) -> Result<String> {
    let file = data_root.join("engine-id");
    if let Ok(id) = std::fs::read_to_string(&file) {
        return Ok(id.trim().to_owned());
    }
    let bytes = ports.host.random();
    let group =
        |range: std::ops::Range<usize>| bytes[range].iter().map(|b| format!("{b:02x}")).collect::<String>();
    let id = [group(0..4), group(4..6), group(6..8), group(8..10), group(10..16)].join("-");
    std::fs::write(&file, &id).with_context(|| format!("write {}", file.display()))?;
    Ok(id)
}

fn report(error: dhow_model::Error) -> anyhow::Error {
    anyhow!("{}", error.report())
}
