//! Limits of volumes and of writable layers, on file systems that have project quotas: each test makes itself one, in a
//! mount namespace of its own. A kernel without them says so; `cargo xtask quotas` runs these on one that has.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use dhow_model::ports::{
    Durability, Images as _, ImportRequest, RootfsPlan, Snapshots as _, VolumeCopy, VolumeRequest,
    Volumes as _,
};
use dhow_model::{ContainerId, Kind};
use dhow_store::{LayerFormat, Store};
use rustix::io::Errno;

const CHILD: &str = "DHOW_STORE_QUOTAS";
const MEGABYTE: u64 = 1 << 20;

/// How each file system is made and mounted.
const KINDS: [(&str, &str, &str); 2] =
    [("ext4", "-qO project,quota -E quotatype=prjquota", "prjquota"), ("xfs", "-q", "pquota")];

/// Runs the test's story in a child, on each kind of file system.
fn on_each(name: &str, story: fn(&Path)) {
    if let Some(root) = std::env::var_os(CHILD) {
        return story(Path::new(&root));
    }
    for (kind, how, option) in KINDS {
        let directory = tempfile::tempdir().unwrap();
        let script = format!(
            "truncate -s 335544320 \"$0/disk\" && mkfs.{kind} {how} \"$0/disk\" && mkdir \"$0/place\" && \
             mount -t {kind} -o loop,{option} \"$0/disk\" \"$0/place\" 2>/dev/null || exit 77; exec \"$@\""
        );
        let status = Command::new("unshare")
            .args(["-m", "sh", "-c", &script])
            .arg(directory.path())
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, directory.path().join("place/store"))
            .status()
            .unwrap();
        if status.code() == Some(77) {
            assert!(std::env::var_os("DHOW_MUST_HAVE_QUOTAS").is_none(), "{kind} cannot be mounted");
            eprintln!("not run on {kind}: this kernel does not mount it with project quotas");
            continue;
        }
        assert!(status.success(), "{kind}: {status}");
    }
}

fn sized(name: &str, size: u64) -> VolumeRequest {
    let options = [("size".to_owned(), size.to_string())].into();
    VolumeRequest { name: name.into(), size, options, ..VolumeRequest::default() }
}

fn open(root: &Path) -> Store {
    support::open(root, LayerFormat::Directory)
}

/// Writes as a container does, until there is no room, at most `bytes`; tells how many went in, and why not more.
fn fill(path: &Path, bytes: u64) -> (u64, Option<Errno>) {
    let fill = || {
        let mut sets = rustix::thread::capabilities(None).unwrap();
        // Who has it is not bound by limits of ext4.
        sets.effective.remove(rustix::thread::CapabilitySet::SYS_RESOURCE);
        rustix::thread::set_capabilities(None, sets).unwrap();
        write(path, bytes)
    };
    std::thread::scope(|scope| scope.spawn(fill).join()).unwrap()
}

fn write(path: &Path, bytes: u64) -> (u64, Option<Errno>) {
    let mut file = match std::fs::File::create(path) {
        Ok(file) => file,
        Err(error) => return (0, Errno::from_io_error(&error)),
    };
    let chunk = [7; 65536];
    let mut written = 0;
    while written < bytes {
        if let Err(error) = file.write_all(&chunk).and_then(|()| file.sync_data()) {
            return (written, Errno::from_io_error(&error));
        }
        written += chunk.len() as u64;
    }
    (written, None)
}

fn is_full(errno: Option<Errno>) -> bool {
    matches!(errno, Some(Errno::DQUOT | Errno::NOSPC))
}

/// Numbers of the file system that have a limit.
fn limited(root: &Path) -> Vec<u32> {
    let directory = std::fs::File::open(root).unwrap();
    let mut found = Vec::new();
    let mut id = 1;
    while let Some(usage) = dhow_sys::quota::next(&directory, root, id).unwrap() {
        if usage.limit != 0 {
            found.push(usage.id);
        }
        id = usage.id + 1;
    }
    found
}

#[test]
fn a_volume_takes_no_more_than_it_may_and_nobody_else_suffers() {
    on_each("a_volume_takes_no_more_than_it_may_and_nobody_else_suffers", |root| {
        let store = open(root);
        let small = store.volumes.create(sized("small", 2 * MEGABYTE)).unwrap();
        let other = store.volumes.create(sized("other", 4 * MEGABYTE)).unwrap();
        let free = store.volumes.create(VolumeRequest { name: "free".into(), ..VolumeRequest::default() });
        let (written, why) = fill(&small.mountpoint.join("file"), 8 * MEGABYTE);
        assert!(is_full(why) && written <= 2 * MEGABYTE && written > MEGABYTE, "{written} {why:?}");
        assert_eq!(fill(&other.mountpoint.join("file"), 3 * MEGABYTE).1, None);
        assert_eq!(fill(&free.unwrap().mountpoint.join("file"), 8 * MEGABYTE).1, None);
        // What programs inside are told of the disk.
        let told = rustix::fs::statvfs(&small.mountpoint).unwrap();
        assert_eq!(told.f_blocks * told.f_frsize, 2 * MEGABYTE);
        let limit = store.volumes.limit("small").unwrap().unwrap();
        assert_eq!(limit.size, 2 * MEGABYTE);
        assert!(limit.used <= limit.size && limit.used >= written, "{limit:?}");
        assert_ne!(limit.project, store.volumes.limit("other").unwrap().unwrap().project);
        assert_eq!(store.volumes.limit("free").unwrap(), None);
        // There is room again when something goes.
        std::fs::remove_file(small.mountpoint.join("file")).unwrap();
        assert_eq!(fill(&small.mountpoint.join("file"), MEGABYTE).1, None);
    });
}

#[test]
fn limits_are_found_again_and_go_with_their_owner() {
    on_each("limits_are_found_again_and_go_with_their_owner", |root| {
        let store = open(root);
        store.volumes.create(sized("stays", MEGABYTE)).unwrap();
        store.volumes.create(sized("goes", MEGABYTE)).unwrap();
        let container = ContainerId::from_random([3; 32]);
        store.snapshots.prepare(&container, None, Durability::Committed, MEGABYTE).unwrap();
        assert_eq!(limited(root).len(), 3);
        let stays = store.volumes.limit("stays").unwrap().unwrap();
        drop(store);
        let store = open(root);
        assert_eq!(store.volumes.limit("stays").unwrap().unwrap(), stays);
        store.volumes.remove("goes").unwrap();
        store.snapshots.remove(&container).unwrap();
        // The thread that deletes ends with the store.
        drop(store);
        let store = open(root);
        assert_eq!(limited(root), [stays.project]);
        store.volumes.rename("stays", "renamed").unwrap();
        assert_eq!(store.volumes.limit("renamed").unwrap().unwrap(), stays);
        let (_, why) =
            fill(&store.volumes.get("renamed").unwrap().unwrap().mountpoint.join("f"), 2 * MEGABYTE);
        assert!(is_full(why));
    });
}

#[test]
fn what_a_crash_left_of_limits_is_cleared_and_what_is_missing_set_again() {
    on_each("what_a_crash_left_of_limits_is_cleared_and_what_is_missing_set_again", |root| {
        let store = open(root);
        let volume = store.volumes.create(sized("carried", MEGABYTE)).unwrap();
        let project = store.volumes.limit("carried").unwrap().unwrap().project;
        drop(store);
        let handle = std::fs::File::open(root).unwrap();
        // A number with a limit that no file has.
        dhow_sys::quota::set_limit(&handle, root, 0x4400_0007, MEGABYTE).unwrap();
        // Somebody else's, which is left alone.
        dhow_sys::quota::set_limit(&handle, root, 7, MEGABYTE).unwrap();
        // The data were copied from another disk, as `cp` does it: no file has a number any more.
        let copy = root.join("copy");
        std::fs::create_dir_all(volume.mountpoint.join("deep/er")).unwrap();
        std::fs::write(volume.mountpoint.join("deep/er/file"), [7; 100_000]).unwrap();
        let copied = Command::new("cp").arg("-a").arg(&volume.mountpoint).arg(&copy).status().unwrap();
        assert!(copied.success());
        std::fs::remove_dir_all(&volume.mountpoint).unwrap();
        std::fs::rename(&copy, &volume.mountpoint).unwrap();
        let store = open(root);
        assert_eq!(limited(root), [7]);
        assert_eq!(store.volumes.limit("carried").unwrap(), None);
        store.volumes.attach("carried", &|_| Ok(Vec::new())).unwrap();
        let limit = store.volumes.limit("carried").unwrap().unwrap();
        assert_ne!(limit.project, project);
        assert!(limit.used > 100_000, "{limit:?}");
        assert!(is_full(fill(&volume.mountpoint.join("deep/file"), 2 * MEGABYTE).1));
        store.volumes.attach("carried", &|_| Ok(Vec::new())).unwrap();
        assert_eq!(store.volumes.limit("carried").unwrap().unwrap().project, limit.project);
    });
}

#[test]
fn copies_have_limits_of_their_own() {
    on_each("copies_have_limits_of_their_own", |root| {
        let store = open(root);
        let volume = store.volumes.create(sized("first", 2 * MEGABYTE)).unwrap();
        assert!(is_full(fill(&volume.mountpoint.join("file"), 4 * MEGABYTE).1));
        let clone = store.volumes.copy("first", "clone", VolumeCopy::Clone).unwrap();
        store.volumes.copy("first", "kept", VolumeCopy::Snapshot).unwrap();
        let limits = ["first", "clone", "kept"].map(|name| store.volumes.limit(name).unwrap().unwrap());
        assert!(limits.iter().all(|limit| limit.size == 2 * MEGABYTE), "{limits:?}");
        assert!(limits[0].project != limits[1].project && limits[1].project != limits[2].project);
        assert!(is_full(fill(&clone.mountpoint.join("more"), 2 * MEGABYTE).1));
        assert_eq!(clone.options, volume.options);
        // An archive that does not fit: a clear error, and the volume goes on.
        let large = support::tar(&[("large", &"x".repeat(3 * 1024 * 1024))]);
        store.volumes.create(sized("target", MEGABYTE)).unwrap();
        let error = store.volumes.import("target", &mut &large[..]).unwrap_err().report();
        assert!(error.contains("quota exceeded") || error.contains("No space left"), "{error}");
    });
}

#[test]
fn a_limited_volume_begins_with_what_the_image_has() {
    on_each("a_limited_volume_begins_with_what_the_image_has", |root| {
        let store = open(root);
        let image = import(&store, 500_000);
        let container = ContainerId::from_random([4; 32]);
        store.snapshots.prepare(&container, Some(&image), Durability::Committed, 0).unwrap();
        let large = store.volumes.create(sized("large", 2 * MEGABYTE)).unwrap();
        store.volumes.populate("large", &container, Path::new("/data"), Durability::Committed).unwrap();
        assert!(large.mountpoint.join("below/file").is_file());
        assert!(store.volumes.limit("large").unwrap().unwrap().used > 500_000);
        let small = store.volumes.create(sized("small", 256 * 1024)).unwrap();
        let refused = store
            .volumes
            .populate("small", &container, Path::new("/data"), Durability::Committed)
            .unwrap_err();
        let refused = refused.report();
        assert!(refused.contains("quota exceeded") || refused.contains("No space left"), "{refused}");
        assert_eq!(std::fs::read_dir(&small.mountpoint).unwrap().count(), 0);
    });
}

fn import(store: &Store, bytes: usize) -> dhow_model::ImageId {
    let tar = support::tar(&[("data/below/file", &"x".repeat(bytes)), ("etc/file", "small")]);
    let request = ImportRequest { reference: Some(support::reference("base")), ..ImportRequest::default() };
    store.images.import(request, &mut &tar[..]).unwrap()
}

#[test]
fn a_writable_layer_takes_no_more_than_it_may() {
    on_each("a_writable_layer_takes_no_more_than_it_may", |root| {
        let store = open(root);
        let image = import(&store, 500_000);
        let id = ContainerId::from_random([5; 32]);
        let size = 2 * MEGABYTE;
        store.snapshots.prepare(&id, Some(&image), Durability::Committed, size).unwrap();
        for volatile in [false, true] {
            let tree = mounted(&store, &id, volatile, size);
            // What is changed is copied up, whiteouts are made, and directories are renamed: all of it from the
            // directory that overlayfs has for itself.
            std::fs::write(tree.join("etc/file"), "changed").unwrap();
            std::fs::create_dir(tree.join("new")).unwrap();
            let _ = std::fs::remove_file(tree.join("data/below/file"));
            let told = rustix::fs::statvfs(&tree).unwrap();
            assert_eq!(told.f_blocks * told.f_frsize, size);
            let (written, why) = fill(&tree.join("file"), 4 * MEGABYTE);
            assert!(is_full(why) && written > MEGABYTE / 2, "{written} {why:?}");
            std::fs::remove_file(tree.join("file")).unwrap();
            std::fs::remove_dir(tree.join("new")).unwrap();
            unmount(&tree);
        }
        let tree = mounted(&store, &id, false, size);
        assert_eq!(std::fs::read_to_string(tree.join("etc/file")).unwrap(), "changed");
        assert!(!tree.join("data/below/file").exists());
        unmount(&tree);
    });
}

fn mounted(store: &Store, id: &ContainerId, volatile: bool, size: u64) -> PathBuf {
    let RootfsPlan::Mounted { tree, .. } = store.snapshots.rootfs(id, volatile, size, None).unwrap() else {
        panic!("it is mounted by the store");
    };
    let place = tempfile::tempdir().unwrap().keep();
    let flags = rustix::mount::MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    rustix::mount::move_mount(tree.handle().unwrap(), "", rustix::fs::CWD, &place, flags).unwrap();
    place
}

fn unmount(place: &Path) {
    rustix::mount::unmount(place, rustix::mount::UnmountFlags::empty()).unwrap();
    std::fs::remove_dir(place).unwrap();
}

#[test]
fn numbers_of_others_are_not_taken_and_many_at_once_are_all_different() {
    on_each("numbers_of_others_are_not_taken_and_many_at_once_are_all_different", |root| {
        let store = open(root);
        let names: Vec<String> = (0..40).map(|number| format!("volume{number}")).collect();
        std::thread::scope(|scope| {
            let store = &store;
            for chunk in names.chunks(10) {
                let make = |name: &String| store.volumes.create(sized(name, MEGABYTE)).map(drop).unwrap();
                scope.spawn(move || chunk.iter().for_each(make));
            }
        });
        let projects: std::collections::BTreeSet<u32> =
            names.iter().map(|name| store.volumes.limit(name).unwrap().unwrap().project).collect();
        assert_eq!(projects.len(), 40);
        assert_eq!(limited(root).len(), 40);
    });
}

#[test]
fn a_size_that_is_too_small_is_refused_and_leaves_nothing() {
    on_each("a_size_that_is_too_small_is_refused_and_leaves_nothing", |root| {
        let store = open(root);
        let refused = store.volumes.create(sized("tiny", 4096)).unwrap_err();
        assert_eq!(refused.kind(), Kind::InvalidArgument);
        assert_eq!(refused.to_string(), "size 4096 is too small: at least 262144 bytes are needed");
        assert_eq!(store.volumes.get("tiny").unwrap(), None);
        store.volumes.create(sized("least", 262_144)).unwrap();
        let id = ContainerId::from_random([6; 32]);
        store.snapshots.prepare(&id, None, Durability::Committed, 262_144).unwrap();
        let tree = mounted(&store, &id, false, 262_144);
        std::fs::write(tree.join("file"), "fits").unwrap();
        unmount(&tree);
    });
}

#[test]
fn a_file_system_without_quotas_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let Err(refused) = store.volumes.create(sized("any", MEGABYTE)) else {
        eprintln!("not run: the file system of {} has quotas", directory.path().display());
        return;
    };
    assert_eq!(refused.kind(), Kind::InvalidArgument);
    let place = directory.path().canonicalize().unwrap();
    let words = format!("quota size requested but no quota support: {} is on ", place.display());
    assert!(refused.to_string().starts_with(&words), "{refused}");
    assert_eq!(store.volumes.get("any").unwrap(), None);
    let id = ContainerId::from_random([7; 32]);
    let refused = store.snapshots.prepare(&id, None, Durability::Committed, MEGABYTE).unwrap_err();
    assert!(
        refused.to_string().starts_with("--storage-opt is supported only for overlay over xfs"),
        "{refused}"
    );
    assert!(!place.join("containers").join(id.as_str()).exists());
}
