//! What the stories share: a store in a temporary directory, small trees and tars, a container.
#![allow(dead_code, unreachable_pub, reason = "each story uses its part")]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::LazyLock;

use dhow_model::ports::{ArchiveTarget, Durability, Images as _, ImportRequest, RootfsPlan, Snapshots as _};
use dhow_model::{ContainerId, ImageId};
use dhow_oci::{ImageConfig, Reference};
use dhow_store::tar::{Entry, Writer};
use dhow_store::{LayerFormat, Options, Store};

/// Whether these tests can run: they own files as everybody and mount overlays.
pub fn able(format: LayerFormat) -> bool {
    static TARS: LazyLock<bool> = LazyLock::new(|| {
        let directory = tempfile::tempdir().unwrap();
        let options = Options { layers: Some(LayerFormat::Tar) };
        match Store::open_with(&directory.path().join("store"), options) {
            Ok(_) => true,
            Err(error) => {
                eprintln!("not run: {}", error.report());
                false
            }
        }
    });
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("not run: needs root");
    }
    root && (format == LayerFormat::Directory || *TARS)
}

/// Tells the story where it can be told.
pub fn tell(story: fn(LayerFormat), format: LayerFormat) {
    if able(format) {
        story(format);
    }
}

/// Tells each story for each format of layers.
#[macro_export]
macro_rules! in_both_formats {
    ($($story:ident,)*) => {
        mod with_tars {
            $(#[test] fn $story() { $crate::support::tell(super::$story, dhow_store::LayerFormat::Tar) })*
        }
        mod with_directories {
            $(#[test] fn $story() { $crate::support::tell(super::$story, dhow_store::LayerFormat::Directory) })*
        }
    };
}

/// Where [`in_both_formats`] puts the stories of a format.
pub fn module_of(format: LayerFormat) -> &'static str {
    match format {
        LayerFormat::Tar => "with_tars",
        LayerFormat::Directory => "with_directories",
    }
}

pub struct Place {
    pub directory: tempfile::TempDir,
    pub store: Store,
    pub format: LayerFormat,
}

pub fn place(format: LayerFormat) -> Place {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory.path().join("store"), format);
    Place { directory, store, format }
}

pub fn open(root: &Path, format: LayerFormat) -> Store {
    Store::open_with(root, Options { layers: Some(format) }).unwrap()
}

impl Place {
    pub fn root(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    /// Closes the store and opens it again, as the next engine does.
    pub fn reopen(self) -> Self {
        let Self { directory, store, format } = self;
        drop(store);
        let store = open(&directory.path().join("store"), format);
        Self { directory, store, format }
    }

    /// What the file system says that all layers take.
    pub fn layers_on_disk(&self) -> u64 {
        let script =
            "find \"$0\" -type f -printf '%i %s\\n' | sort -u | awk '{ sum += $2 } END { print sum + 0 }'";
        let output =
            Command::new("sh").args(["-c", script]).arg(self.root().join("layers")).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
    }

    pub fn import(&self, name: &str, tar: &[u8]) -> ImageId {
        let config = ImageConfig {
            architecture: "amd64".into(),
            os: "linux".into(),
            created: Some("2026-01-02T03:04:05Z".into()),
            ..ImageConfig::default()
        };
        let request = ImportRequest { config, message: "a test".into(), reference: Some(reference(name)) };
        self.store.images.import(request, &mut &tar[..]).unwrap()
    }

    pub fn container(&self, number: u8, image: Option<&ImageId>) -> ContainerId {
        let id = ContainerId::from_random([number; 32]);
        self.store.snapshots.prepare(&id, image, Durability::Committed, 0).unwrap();
        id
    }

    pub fn upper(&self, id: &ContainerId) -> PathBuf {
        self.root().join("containers").join(id.as_str()).join("rw")
    }

    /// Runs a shell line in the container's tree, in a mount namespace of its own.
    pub fn run(&self, id: &ContainerId, line: &str) {
        let mut command = Command::new("sh");
        command.args(["-ec", line]);
        let mut child = self.spawn(id, command);
        assert!(child.wait().unwrap().success(), "{line}");
    }

    /// Starts a command that has the container's tree as its directory, in a mount namespace of its own.
    pub fn spawn(&self, id: &ContainerId, command: Command) -> Child {
        let RootfsPlan::Mounted { tree, .. } = self.store.snapshots.rootfs(id, false, 0, None).unwrap()
        else {
            panic!("a mount is wanted")
        };
        let target = self.directory.path().join("mounted");
        std::fs::create_dir_all(&target).unwrap();
        spawn_in(tree.handle().unwrap().try_clone_to_owned().unwrap(), target, command)
    }
}

/// A thread leaves the namespace of this process, and what it starts inherits the one it is in.
fn spawn_in(tree: OwnedFd, target: PathBuf, mut command: Command) -> Child {
    use rustix::mount::{MountPropagationFlags, MoveMountFlags, mount_change, move_mount};
    let starting = std::thread::spawn(move || {
        #[allow(deprecated, reason = "files are not unshared")]
        rustix::thread::unshare(rustix::thread::UnshareFlags::NEWNS).unwrap();
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
        move_mount(&tree, "", rustix::fs::CWD, &target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).unwrap();
        command.current_dir(&target).spawn().unwrap()
    });
    starting.join().unwrap()
}

pub fn reference(name: &str) -> Reference {
    Reference::parse_tagged(name).unwrap()
}

/// A tar of regular files in the order given, with the directories before them.
pub fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (path, contents) in files {
        let entry = if path.ends_with('/') {
            Entry::directory(*path)
        } else {
            Entry::file(*path, contents.len() as u64)
        };
        writer.append(&entry, &mut contents.as_bytes()).unwrap();
    }
    writer.finish().unwrap()
}

/// Names below a directory, sorted, `/` behind directories.
pub fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A handle on a directory.
pub fn handle(path: &Path) -> std::os::fd::OwnedFd {
    std::fs::File::open(path).unwrap().as_fd().try_clone_to_owned().unwrap()
}

/// A container as the engine would record it.
pub fn record(id: &ContainerId, name: &str, image: Option<ImageId>) -> dhow_model::Container {
    dhow_model::Container {
        id: id.clone(),
        name: name.parse().unwrap(),
        created: dhow_model::Timestamp::now(),
        image,
        image_name: "base".into(),
        platform: None,
        config: dhow_model::container::Config::default(),
        host_config: dhow_model::container::HostConfig::default().into(),
        mounts: Vec::new(),
        state: dhow_model::container::State::created(),
        restart_count: 0,
        intent: dhow_model::container::Intent::default(),
        limits_pending: false,
        user_map: None,
        health: None,
        networks: std::collections::BTreeMap::new(),
    }
}

/// An archive of one layer, with a lie about its diff id where one is given.
pub fn docker_archive(layer: &[u8], diff_id: Option<&str>) -> Vec<u8> {
    let diff_id = diff_id.map_or_else(|| dhow_oci::Digest::of(layer).to_string(), str::to_owned);
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}}}}"#
    );
    let manifest = r#"[{"Config":"config.json","RepoTags":["app:latest"],"Layers":["layer.tar"]}]"#;
    archive(&[
        ("layer.tar", layer),
        ("config.json", config.as_bytes()),
        ("manifest.json", manifest.as_bytes()),
    ])
}

pub fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = dhow_store::tar::Writer::new(Vec::new());
    for (name, bytes) in members {
        writer.append(&dhow_store::tar::Entry::file(*name, bytes.len() as u64), &mut &bytes[..]).unwrap();
    }
    writer.finish().unwrap()
}

/// A network as the engine records it.
pub fn network(name: &str) -> dhow_model::network::Network {
    dhow_model::network::Network {
        id: "a".repeat(64),
        name: name.to_owned(),
        driver: dhow_model::network::Driver::Bridge,
        created: dhow_model::Timestamp::NEVER,
        internal: false,
        attachable: false,
        ipv4: true,
        ipv6: false,
        pools: Vec::new(),
        ipam_options: None,
        options: std::collections::BTreeMap::new(),
        labels: std::collections::BTreeMap::new(),
        chosen: false,
        config_only: false,
        config_from: String::new(),
    }
}

/// The files of a container that does not run.
pub fn target(id: &ContainerId) -> ArchiveTarget {
    ArchiveTarget {
        id: id.clone(),
        pid: None,
        mounts: Vec::new(),
        read_only: false,
        users: None,
        seen_by: None,
    }
}
