//! The disk is full: a clear error, nothing half done, and all goes on when there is room again.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::path::Path;
use std::process::Command;

use dhow_model::ports::{
    CommitRequest, Durability, Images as _, ImportRequest, Records as _, SaveFormat, SaveItem,
    Snapshots as _, Upkeep as _, VolumeCopy, VolumeRequest, Volumes as _,
};
use dhow_model::{ContainerId, Kind};
use dhow_oci::ImageConfig;
use dhow_store::{LayerFormat, Store};
use support::{archive, module_of, names, open, record, reference, tar};

const CHILD: &str = "DHOW_STORE_SMALL";

in_both_formats! {
    a_full_disk_is_told_and_leaves_nothing_half_done,
    a_load_that_runs_full_in_any_stage_is_as_if_it_had_not_been,
    volumes_are_whole_or_not_there_on_a_full_disk,
}

fn a_full_disk_is_told_and_leaves_nothing_half_done(format: LayerFormat) {
    on_a_small_disk("a_full_disk_is_told_and_leaves_nothing_half_done", format, story);
}

fn a_load_that_runs_full_in_any_stage_is_as_if_it_had_not_been(format: LayerFormat) {
    on_a_small_disk("a_load_that_runs_full_in_any_stage_is_as_if_it_had_not_been", format, every_stage);
}

fn volumes_are_whole_or_not_there_on_a_full_disk(format: LayerFormat) {
    on_a_small_disk("volumes_are_whole_or_not_there_on_a_full_disk", format, volumes);
}

fn on_a_small_disk(name: &str, format: LayerFormat, story: fn(&Path, LayerFormat)) {
    if let Some(root) = std::env::var_os(CHILD) {
        return story(Path::new(&root), format);
    }
    // A file system of a few megabytes, in a mount namespace that ends with the process. Of what lies on a
    // tmpfs the kernel mounts no index.
    let directory = tempfile::tempdir().unwrap();
    let script = "if test $2 = with_directories; then mount -t tmpfs -o size=6m tmpfs \"$0\"; else \
                  truncate -s 7m \"$0/disk\" && mkfs.ext4 -qm 0 -b 4096 -O ^has_journal \"$0/disk\" && \
                  mount -o loop \"$0/disk\" \"$0\"; fi && exec \"$1\" --exact \
                  $2::$3 --nocapture";
    let status = Command::new("unshare")
        .args(["-m", "sh", "-c", script])
        .arg(directory.path())
        .arg(std::env::current_exe().unwrap())
        .arg(module_of(format))
        .arg(name)
        .env(CHILD, directory.path().join("store"))
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

fn story(root: &Path, format: LayerFormat) {
    let store = open(root, format);
    let base = import(&store, "base", 4_000).unwrap();
    let large = "x".repeat(8_000_000);
    let before = names(&root.join("layers"));

    let error = import(&store, "large", large.len()).unwrap_err();
    assert!(error.report().contains("No space left on device"), "{}", error.report());
    assert_eq!(error.kind(), Kind::Internal);

    let archive = tar(&[("blob", &large)]);
    let error = store.images.load(&mut &archive[..], None, &mut |_| {}).unwrap_err();
    assert!(error.report().contains("No space left on device"), "{}", error.report());

    let id = ContainerId::from_random([1; 32]);
    store.snapshots.prepare(&id, Some(&base), Durability::Committed, 0).unwrap();
    store.records.put_container(&record(&id, "web", Some(base)), Durability::Committed).unwrap();
    let upper = root.join("containers").join(id.as_str()).join("rw");
    std::fs::write(upper.join("file"), &large[..3_500_000]).unwrap();
    let request = CommitRequest {
        container: id.clone(),
        parent: Some(base),
        config: ImageConfig::default(),
        created_by: String::new(),
        reference: None,
    };
    let error = store.images.commit(request.clone()).unwrap_err();
    assert!(error.report().contains("No space left on device"), "{}", error.report());

    // Not a byte is left: the record is refused, and what was known stays known.
    fill(&upper.join("filler"));
    let mut changed = record(&id, "web", Some(base));
    changed.image_name = large[..3_000_000].into();
    let error = store.records.put_container(&changed, Durability::Committed).unwrap_err();
    assert!(error.report().contains("cannot write to the database"), "{}", error.report());
    assert!(store.images.tag(&reference("other"), &base).is_err() || store.images.list().unwrap().len() == 1);

    assert_eq!(names(&root.join("layers")), before);
    assert!(names(&root.join("staging")).is_empty());
    assert_eq!(store.images.list().unwrap().len(), 1);

    // What is small is still recorded, however often, and what takes the room can be removed.
    for _ in 0..500 {
        store.records.put_container(&record(&id, "web", Some(base)), Durability::Committed).unwrap();
    }
    let other = ContainerId::from_random([2; 32]);
    store.records.put_container(&record(&other, "gone", None), Durability::Committed).unwrap();
    store.records.delete_container(&other, Durability::Committed).unwrap();
    assert!(store.images.untag(&reference("base")).unwrap());
    store.images.tag(&reference("base"), &base).unwrap();
    // Also by the next engine, which finds the disk as full as it was.
    drop(store);
    let store = open(root, format);
    store.records.put_container(&record(&id, "web", Some(base)), Durability::Committed).unwrap();

    std::fs::remove_file(upper.join("filler")).unwrap();
    std::fs::write(upper.join("file"), "small").unwrap();
    let committed = store.images.commit(request).unwrap();
    let item = SaveItem { id: committed, references: Vec::new() };
    store.images.save(&[item], SaveFormat::Both, &mut std::io::sink()).unwrap();
    drop(store);
    let store = open(root, format);
    assert_eq!(store.images.list().unwrap().len(), 2);
    assert_eq!(store.records.containers().unwrap()[0].image_name, "base");
}

/// Made, copied, imported, filled from an image: each as if it had not been tried.
fn volumes(root: &Path, format: LayerFormat) {
    let store = open(root, format);
    let base = import(&store, "base", 1_000_000).unwrap();
    let id = ContainerId::from_random([1; 32]);
    store.snapshots.prepare(&id, Some(&base), Durability::Committed, 0).unwrap();
    let request = |name: &str| VolumeRequest { name: name.into(), ..VolumeRequest::default() };
    let first = store.volumes.create(request("first")).unwrap();
    let empty = store.volumes.create(request("empty")).unwrap();
    let large = "x".repeat(8_000_000);
    std::fs::write(first.mountpoint.join("file"), &large[..3_000_000]).unwrap();
    let is_told = |error: dhow_model::Error| {
        assert!(error.report().contains("No space left on device"), "{}", error.report());
        assert_eq!(error.kind(), Kind::Internal);
    };
    is_told(store.volumes.copy("first", "second", VolumeCopy::Clone).unwrap_err());
    is_told(store.volumes.copy("first", "third", VolumeCopy::Snapshot).unwrap_err());
    let archive = tar(&[("small", "x"), ("large", &large)]);
    is_told(store.volumes.import_new("fourth", &mut &archive[..]).unwrap_err());
    let filler = first.mountpoint.join("filler");
    fill(&filler);
    is_told(store.volumes.populate("empty", &id, Path::new("/"), Durability::Committed).unwrap_err());
    // A new one may fit into what the file system keeps, or be refused.
    drop(store.volumes.create(request("fifth")));
    assert_eq!(std::fs::read_dir(&empty.mountpoint).unwrap().count(), 0);
    assert!(names(&root.join("staging")).is_empty());
    let known = || -> Vec<String> { store.volumes.list().unwrap().into_iter().map(|one| one.name).collect() };
    assert_eq!(
        known(),
        names(&root.join("volumes")).iter().map(|n| n.trim_end_matches('/')).collect::<Vec<_>>()
    );
    assert!(!known().iter().any(|name| ["second", "third", "fourth"].contains(&name.as_str())));
    // There is room again.
    std::fs::remove_file(filler).unwrap();
    std::fs::write(first.mountpoint.join("file"), "small").unwrap();
    store.volumes.populate("empty", &id, Path::new("/"), Durability::Committed).unwrap();
    assert!(empty.mountpoint.join("file").is_file());
    store.volumes.copy("first", "second", VolumeCopy::Clone).unwrap();
    drop(store);
    let store = open(root, format);
    assert!(store.volumes.get("second").unwrap().is_some());
    assert!(store.volumes.get("fourth").unwrap().is_none());
}

fn import(store: &Store, name: &str, size: usize) -> dhow_model::Result<dhow_model::ImageId> {
    let request = ImportRequest { reference: Some(reference(name)), ..ImportRequest::default() };
    store.images.import(request, &mut &tar(&[("file", &"x".repeat(size))])[..])
}

/// Writes until nothing more goes in. A file system that allocates late says so early: it is asked again.
fn fill(path: &Path) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path).unwrap();
    let mut before = None;
    while before != Some(file.metadata().unwrap().len()) {
        before = Some(file.metadata().unwrap().len());
        while file.write_all(&[b'x'; 512]).is_ok() {}
        rustix::fs::syncfs(&file).unwrap();
    }
}

/// An archive of two layers, one of them compressed, of bytes that cannot be made smaller.
fn two_layers() -> Vec<u8> {
    let noise = |seed: u32, size: usize| -> String {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b'!' + u8::try_from(state >> 24).unwrap() % 90)
        };
        (0..size).map(|_| next()).collect()
    };
    let layers = [tar(&[("d/", ""), ("d/one", &noise(1, 500_000))]), tar(&[("d/two", &noise(2, 400_000))])];
    let mut compressed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut compressed, &layers[1]).unwrap();
    let ids = layers.each_ref().map(|layer| dhow_oci::Digest::of(layer));
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{}","{}"]}}}}"#,
        ids[0], ids[1]
    );
    let manifest = r#"[{"Config":"c.json","RepoTags":["two:latest"],"Layers":["1.tar","2.tar.gz"]}]"#;
    archive(&[
        ("manifest.json", manifest.as_bytes()),
        ("1.tar", &layers[0]),
        ("2.tar.gz", &compressed.finish().unwrap()),
        ("c.json", config.as_bytes()),
    ])
}

/// With more room each time, from none: the load stops at another place, until it comes to its end.
fn every_stage(root: &Path, format: LayerFormat) {
    let mut store = open(root, format);
    let base = import(&store, "base", 4_000).unwrap();
    let (before, blobs) = (names(&root.join("layers")), names(&root.join("blobs/sha256")));
    let archive = two_layers();
    let filler = root.join("filler");
    let mut failed = 0;
    for room in (0..).map(|step| step * 48 * 1024) {
        leave(&filler, room);
        let loaded = store.images.load(&mut &archive[..], None, &mut |_| {});
        std::fs::remove_file(&filler).unwrap();
        match loaded {
            Err(error) => {
                assert!(error.report().contains("No space left on device"), "{room}: {}", error.report());
                failed += 1;
            }
            Ok(_) => break,
        }
        if failed % 5 == 0 {
            drop(store);
            store = open(root, format);
        }
        assert_eq!(names(&root.join("layers")), before, "{room}");
        assert_eq!(names(&root.join("blobs/sha256")), blobs, "{room}");
        assert!(names(&root.join("staging")).is_empty(), "{room}");
        assert_eq!(store.images.list().unwrap().len(), 1, "{room}");
        assert_eq!(store.upkeep.check(false).unwrap().findings, [], "{room}");
    }
    assert!(failed > 10, "the load stopped at {failed} places only");
    drop(store);
    let store = open(root, format);
    assert_eq!(store.upkeep.check(false).unwrap().findings, []);
    assert_eq!(store.images.list().unwrap().len(), 2);
    assert!(store.images.by_id(&base).unwrap().is_some());
}

/// Fills the disk but for so many bytes.
fn leave(filler: &Path, room: u64) {
    let file = std::fs::File::create(filler).unwrap();
    rustix::fs::syncfs(&file).unwrap();
    let found = rustix::fs::fstatvfs(&file).unwrap();
    let free = found.f_bavail * found.f_frsize;
    // What the file system needs for its own lists may be more than is left: then a little less is taken.
    let mut most = free.saturating_sub(room).max(1);
    loop {
        match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, most) {
            Err(rustix::io::Errno::NOSPC) if most > found.f_frsize => most -= found.f_frsize,
            Ok(()) | Err(rustix::io::Errno::NOSPC) => return,
            Err(error) => panic!("{error}"),
        }
    }
}
