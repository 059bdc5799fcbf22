//! The disk is full: a clear error, nothing half done, and all goes on when there is room again.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::path::Path;
use std::process::Command;

use dhow_model::ports::{
    CommitRequest, Durability, Images as _, ImportRequest, Records as _, SaveFormat, SaveItem, Snapshots as _,
};
use dhow_model::{ContainerId, Kind};
use dhow_oci::ImageConfig;
use dhow_store::{LayerFormat, Store};
use support::{module_of, names, open, record, reference, tar};

const CHILD: &str = "DHOW_STORE_SMALL";

in_both_formats! {
    a_full_disk_is_told_and_leaves_nothing_half_done,
}

fn a_full_disk_is_told_and_leaves_nothing_half_done(format: LayerFormat) {
    if let Some(root) = std::env::var_os(CHILD) {
        return story(Path::new(&root), format);
    }
    // A file system of a few megabytes, in a mount namespace that ends with the process. Of what lies on a
    // tmpfs the kernel mounts no index.
    let directory = tempfile::tempdir().unwrap();
    let script = "if test $2 = with_directories; then mount -t tmpfs -o size=6m tmpfs \"$0\"; else \
                  truncate -s 7m \"$0/disk\" && mkfs.ext4 -qm 0 -b 4096 -O ^has_journal \"$0/disk\" && \
                  mount -o loop \"$0/disk\" \"$0\"; fi && exec \"$1\" --exact \
                  $2::a_full_disk_is_told_and_leaves_nothing_half_done --nocapture";
    let status = Command::new("unshare")
        .args(["-m", "sh", "-c", script])
        .arg(directory.path())
        .arg(std::env::current_exe().unwrap())
        .arg(module_of(format))
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
    store.snapshots.prepare(&id, Some(&base), Durability::Committed).unwrap();
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
