//! Layers as tars with an index, as directories, and both in one stack: nobody above sees a difference.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use dhow_model::ports::{CommitRequest, Images as _, SaveFormat, SaveItem, Snapshots as _, Upkeep as _};
use dhow_model::{ImageId, Kind};
use dhow_oci::ImageConfig;
use dhow_store::LayerFormat::{Directory, Tar};
use dhow_store::{LayerFormat, Options, Store};
use support::{Place, able, docker_archive, names, place, reference, tar, target};

fn saved(place: &Place, id: ImageId) -> Vec<u8> {
    let mut out = Vec::new();
    let item = SaveItem { id, references: vec![] };
    place.store.images.save(&[item], SaveFormat::Both, &mut out).unwrap();
    out
}

fn commit(place: &Place, parent: ImageId, number: u8, line: &str) -> ImageId {
    let container = place.container(number, Some(&parent));
    place.run(&container, line);
    let request = CommitRequest {
        container: container.clone(),
        parent: Some(parent),
        config: ImageConfig { architecture: "amd64".into(), os: "linux".into(), ..ImageConfig::default() },
        created_by: line.into(),
        reference: None,
    };
    let id = place.store.images.commit(request).unwrap();
    place.store.snapshots.remove(&container).unwrap();
    id
}

/// What is in the directories of the layers.
fn files(place: &Place) -> BTreeSet<String> {
    let layers = place.root().join("layers");
    names(&layers).iter().flat_map(|layer| names(&layers.join(layer))).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// The store with another format for new layers.
fn reopen_with(place: Place, format: LayerFormat) -> Place {
    let Place { directory, store, .. } = place;
    drop(store);
    Place { store: support::open(&directory.path().join("store"), format), directory, format }
}

#[test]
fn a_layer_is_its_tar_and_an_index_and_goes_by_unlinking_them() {
    if !able(Tar) {
        return;
    }
    let place = place(Tar);
    let before = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let contents = tar(&[("etc/", ""), ("etc/motd", "hello\n")]);
    let image = place.import("base", &contents);
    assert_eq!(files(&place), set(&["index.erofs", "layer.tar"]));
    let layer = place.store.images.by_id(&image).unwrap().unwrap().config.rootfs.diff_ids[0];
    let directory = place.root().join("layers").join(layer.hex());
    assert_eq!(std::fs::read(directory.join("layer.tar")).unwrap(), contents);

    let container = place.container(1, Some(&image));
    place.run(&container, "grep -q hello etc/motd; echo more >>etc/motd; test $(wc -l <etc/motd) = 2");
    assert_eq!(
        std::fs::read(directory.join("layer.tar")).unwrap(),
        contents,
        "no container changes an image"
    );
    // The engine has the layer mounted, and nobody sees it.
    assert_eq!(std::fs::read_to_string("/proc/self/mountinfo").unwrap(), before);
    place.store.snapshots.remove(&container).unwrap();
    place.store.images.untag(&reference("base")).unwrap();
    place.store.images.remove(&image, false).unwrap();
    assert!(names(&place.root().join("layers")).is_empty());
    assert_eq!(place.layers_on_disk(), 0);
}

#[test]
fn a_layer_becomes_the_other_and_back_and_is_the_same_image() {
    if !able(Tar) {
        return;
    }
    let place = place(Tar);
    let base = place.import("base", &tar(&[("etc/", ""), ("etc/motd", "hello\n"), ("gone", "x")]));
    let image =
        commit(&place, base, 1, "rm gone; mkdir -p a/b; echo deep >a/b/c; ln -s c a/b/l; ln a/b/c a/h");
    let before = saved(&place, image);
    let look = "grep -q hello etc/motd; test ! -e gone; grep -q deep a/b/l; test $(stat -c %h a/h) = 2";
    for (format, converted, present) in [
        (Tar, 0, set(&["index.erofs", "layer.tar"])),
        (Directory, 2, set(&["fs", "layer.json", "recipe"])),
        (Directory, 0, set(&["fs", "layer.json", "recipe"])),
        (Tar, 2, set(&["index.erofs", "layer.tar"])),
    ] {
        assert_eq!(place.store.images.convert(&image, format).unwrap(), converted, "{format:?}");
        assert_eq!(files(&place), present);
        assert_eq!(saved(&place, image), before);
        let container = place.container(2, Some(&image));
        place.run(&container, look);
        place.store.snapshots.remove(&container).unwrap();
        let size = place.store.images.by_id(&image).unwrap().unwrap().size;
        assert_eq!(size, place.layers_on_disk(), "{format:?}");
    }
    let place = place.reopen();
    assert_eq!(saved(&place, image), before);
}

/// A container would see the files of its root disappear.
#[test]
fn a_directory_that_a_container_has_stays_one() {
    if !able(Tar) {
        return;
    }
    let place = reopen_with(place(Directory), Directory);
    let image = place.import("base", &tar(&[("file", "x")]));
    let container = place.container(1, Some(&image));
    let refused = place.store.images.convert(&image, Tar).unwrap_err();
    assert_eq!(refused.kind(), Kind::Conflict);
    assert!(refused.report().contains("in use by container"), "{}", refused.report());
    place.run(&container, "grep -q x file");
    place.store.snapshots.remove(&container).unwrap();
    assert_eq!(place.store.images.convert(&image, Tar).unwrap(), 1);

    // What is mounted of a tar outlives it.
    let container = place.container(2, Some(&image));
    let mut command = Command::new("sh");
    command.args(["-ec", "read line; grep -q x file; test $line = go"]).stdin(std::process::Stdio::piped());
    let mut running = place.spawn(&container, command);
    assert_eq!(place.store.images.convert(&image, Directory).unwrap(), 1);
    std::io::Write::write_all(&mut running.stdin.take().unwrap(), b"go\n").unwrap();
    assert!(running.wait().unwrap().success());
}

#[test]
fn a_stack_mixes_both_with_whiteouts_and_opaque_directories() {
    if !able(Tar) {
        return;
    }
    for order in [[Tar, Directory, Tar], [Directory, Tar, Directory]] {
        let place = reopen_with(place(order[0]), order[0]);
        let base = place.import("base", &tar(&[("d/", ""), ("d/old", "1"), ("gone", "2"), ("kept", "3")]));
        let place = reopen_with(place, order[1]);
        let second = commit(&place, base, 1, "rm gone; rm -r d; mkdir d; echo new >d/new");
        let place = reopen_with(place, order[2]);
        let third = commit(&place, second, 2, "test ! -e gone; test $(echo d/*) = d/new; echo top >top");
        assert_eq!(files(&place), set(&["index.erofs", "layer.tar", "fs", "layer.json", "recipe"]));
        let container = place.container(3, Some(&third));
        place.run(&container, "test ! -e gone; test $(echo d/*) = d/new; grep -q 3 kept; grep -q top top");
        let mut out = Vec::new();
        place.store.snapshots.export(&target(&container), &mut out).unwrap();
        assert!(!out.is_empty());
        assert!(place.store.snapshots.changes(&container).unwrap().is_empty());
    }
}

#[test]
fn a_tar_that_cannot_be_mounted_is_unpacked() {
    if !able(Tar) {
        return;
    }
    let place = place(Tar);
    // Some programs leave out the zeros behind the last contents; the kernel reads whole blocks.
    let layer = &tar(&[("first", "1"), ("file", "x")])[..3 * 512 + 1];
    let archive = docker_archive(layer, None);
    let loaded = place.store.images.load(&mut &archive[..], None, &mut |_| {}).unwrap();
    assert!(files(&place).contains("fs"), "{:?}", files(&place));
    let container = place.container(1, Some(&loaded[0].id));
    place.run(&container, "grep -q 1 first; grep -q x file");
    // Byte for byte what came.
    let all = saved(&place, loaded[0].id);
    let found = all.windows(layer.len()).any(|window| window == layer);
    assert!(found, "the layer is saved as it came");
}

#[test]
fn a_damaged_index_is_named_and_shows_nothing_wrong() {
    if !able(Tar) {
        return;
    }
    let place = place(Tar);
    let image = place.import("base", &tar(&[("file", "contents")]));
    let layer = place.store.images.by_id(&image).unwrap().unwrap().config.rootfs.diff_ids[0];
    let index = place.root().join("layers").join(layer.hex()).join("index.erofs");
    let size = std::fs::metadata(&index).unwrap().size();
    for damage in [vec![0; usize::try_from(size).unwrap()], b"short".to_vec(), Vec::new()] {
        std::fs::write(&index, damage).unwrap();
        let id = dhow_model::ContainerId::from_random([9; 32]);
        let prepared =
            place.store.snapshots.prepare(&id, Some(&image), dhow_model::ports::Durability::Relaxed, 0);
        let error = prepared.unwrap_err();
        assert_eq!(error.kind(), Kind::Corrupt, "{}", error.report());
        assert!(error.report().contains(&layer.to_string()), "{}", error.report());
    }
}

#[test]
fn a_format_that_the_machine_has_not_is_refused_in_words() {
    if !able(Directory) {
        return;
    }
    // A tmpfs has no index mounted of it.
    let directory = tempfile::tempdir().unwrap();
    if std::env::var_os("DHOW_STORE_TMPFS").is_none() {
        let script = "mount -t tmpfs tmpfs \"$0\" && TMPDIR=\"$0\" exec \"$1\" --exact \
                      a_format_that_the_machine_has_not_is_refused_in_words --nocapture";
        let status = Command::new("unshare")
            .args(["-m", "sh", "-c", script])
            .args([directory.path(), Path::new(&std::env::current_exe().unwrap())])
            .env("DHOW_STORE_TMPFS", "1")
            .status()
            .unwrap();
        return assert!(status.success());
    }
    let root = directory.path().join("store");
    let refused = Store::open_with(&root, Options { layers: Some(Tar) }).unwrap_err();
    assert!(refused.report().contains("layers cannot be kept as tars"), "{}", refused.report());
    assert_eq!(Store::open(&root).unwrap().layer_format(), Directory);
}

/// A store that was made on another machine, or by another kernel.
#[test]
fn tars_are_unpacked_where_the_kernel_does_not_mount_them() {
    const MOVED: &str = "DHOW_STORE_MOVED";
    if let Some(root) = std::env::var_os(MOVED) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(Path::new(&root)).unwrap();
        assert_eq!(store.layer_format(), Directory);
        let image = store.images.list().unwrap()[0].id;
        // As if it were its own: the root is what counts.
        std::os::unix::fs::symlink(&root, directory.path().join("store")).unwrap();
        let place = Place { directory, store, format: Directory };
        let container = place.container(1, Some(&image));
        place.run(&container, "grep -q contents file");
        assert_eq!(files(&place), set(&["fs", "layer.json", "recipe"]));
        saved(&place, image);
        return;
    }
    if !able(Tar) {
        return;
    }
    let place = place(Tar);
    place.import("base", &tar(&[("file", "contents")]));
    let Place { directory, store, .. } = place;
    drop(store);
    let other = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs tmpfs \"$0\" && cp -a \"$2\" \"$0\" && exec \"$1\" --exact \
                  tars_are_unpacked_where_the_kernel_does_not_mount_them --nocapture";
    let status = Command::new("unshare")
        .args(["-m", "sh", "-c", script])
        .args([other.path(), &std::env::current_exe().unwrap(), &directory.path().join("store")])
        .env(MOVED, other.path().join("store"))
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

/// What is exported, saved, told as changed and committed, whichever format each of three layers has.
#[test]
fn every_mix_of_formats_gives_the_same_bytes() {
    if !able(Tar) {
        return;
    }
    let place = place(Tar);
    let base = place.import(
        "base",
        &tar(&[
            ("d/", ""),
            ("d/old", "1"),
            ("gone", "2"),
            ("kept", "3"),
            ("e/", ""),
            ("e/deep/", ""),
            ("e/deep/f", "4"),
        ]),
    );
    let settle = "find . -depth -exec touch -hd @1000 {} +";
    let second = commit(
        &place,
        base,
        1,
        &format!("rm gone; rm -r d; mkdir d; echo new >d/new; ln kept link; {settle}"),
    );
    let third =
        commit(&place, second, 2, &format!("chown 7:9 e/deep/f; echo again >gone; rm link; {settle}"));
    let mut expected = None;
    let mut mixes = BTreeSet::new();
    for (image, format) in [
        (third, Tar),
        (base, Directory),
        (second, Directory),
        (base, Tar),
        (third, Directory),
        (base, Tar),
        (second, Tar),
        (base, Directory),
    ] {
        place.store.images.convert(&image, format).unwrap();
        mixes.insert(formats_of(&place, third));
        let seen = everything(&place, third, settle);
        let expected = expected.get_or_insert_with(|| seen.clone());
        assert!(seen == *expected, "{:?}", formats_of(&place, third));
        assert_eq!(place.store.upkeep.check(false).unwrap().findings, []);
    }
    assert_eq!(mixes.len(), 8, "{mixes:?}");
}

fn formats_of(place: &Place, image: ImageId) -> Vec<bool> {
    let layers = place.store.images.by_id(&image).unwrap().unwrap().config.rootfs.diff_ids.clone();
    layers.iter().map(|layer| place.root().join("layers").join(layer.hex()).join("fs").is_dir()).collect()
}

/// The export of a container with changes of its own, those changes, and the image that is saved.
fn everything(place: &Place, image: ImageId, settle: &str) -> (Vec<u8>, String, Vec<u8>, ImageId) {
    let container = place.container(3, Some(&image));
    let line =
        format!("rm -r e/deep; mkdir e/deep; echo x >e/deep/g; chmod 600 kept; rm gone; mkfifo p; {settle}");
    place.run(&container, &line);
    let mut exported = Vec::new();
    place.store.snapshots.export(&target(&container), &mut exported).unwrap();
    let changes = format!("{:?}", place.store.snapshots.changes(&container).unwrap());
    let request = CommitRequest {
        container: container.clone(),
        parent: Some(image),
        config: ImageConfig {
            created: Some("2026-01-02T03:04:05Z".into()),
            architecture: "amd64".into(),
            os: "linux".into(),
            ..ImageConfig::default()
        },
        created_by: "a test".into(),
        reference: None,
    };
    let committed = place.store.images.commit(request).unwrap();
    place.store.snapshots.remove(&container).unwrap();
    let bytes = saved(place, committed);
    place.store.images.remove(&committed, false).unwrap();
    (exported, changes, bytes, committed)
}
