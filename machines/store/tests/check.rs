//! `system check`: each damage is found, named, mended where it can be, and never used where it cannot.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::path::PathBuf;

use dhow_model::container::{Exit, State};
use dhow_model::ports::{
    CheckReport, Durability, FindingState, Images as _, Records as _, SaveFormat, SaveItem, Snapshots as _,
    Upkeep as _, VolumeRequest, Volumes as _,
};
use dhow_model::{ContainerId, ImageId, Kind};
use dhow_store::LayerFormat;
use support::{Place, docker_archive, names, place, record, reference, tar};

in_both_formats! {
    what_is_whole_has_no_findings,
    a_layer_of_other_bytes_is_lost_and_named_and_never_used,
    a_damaged_layer_is_not_used_by_the_next_engine_either,
    what_a_container_changed_is_not_replaced_by_nothing,
    a_volume_that_lost_its_data_is_named_and_refused,
    an_image_without_its_configuration_is_named_and_not_used,
    a_manifest_that_is_lost_is_let_go_and_another_written,
    what_can_be_made_again_is,
    what_nobody_needs_is_removed,
}

struct Stored {
    place: Place,
    layer: Vec<u8>,
    image: ImageId,
    container: ContainerId,
}

fn stored(format: LayerFormat) -> Stored {
    let place = place(format);
    let layer = tar(&[("etc/", ""), ("etc/motd", "hello\n"), ("bin/", ""), ("bin/tool", &"x".repeat(5_000))]);
    let loaded = place.store.images.load(&mut &docker_archive(&layer, None)[..], None, &mut |_| {}).unwrap();
    let image = loaded[0].id;
    let container = place.container(1, Some(&image));
    place
        .store
        .records
        .put_container(&record(&container, "web", Some(image)), Durability::Committed)
        .unwrap();
    place.store.volumes.create(VolumeRequest { name: "data".into(), ..VolumeRequest::default() }).unwrap();
    Stored { place, layer, image, container }
}

impl Stored {
    fn check(&self, repair: bool) -> CheckReport {
        self.place.store.upkeep.check(repair).unwrap()
    }

    fn directory(&self) -> PathBuf {
        self.place.root().join("layers").join(dhow_oci::Digest::of(&self.layer).hex())
    }
}

fn what_is_whole_has_no_findings(format: LayerFormat) {
    let stored = stored(format);
    for repair in [false, true] {
        let report = stored.check(repair);
        assert_eq!(report.findings, []);
        assert_eq!((report.layers, report.bytes), (1, stored.layer.len() as u64));
        assert!(report.blobs >= 1 && report.records == 3, "{report:?}");
    }
}

fn a_layer_of_other_bytes_is_lost_and_named_and_never_used(format: LayerFormat) {
    let stored = stored(format);
    let root = stored.place.root();
    let file = match format {
        LayerFormat::Tar => stored.directory().join("layer.tar"),
        LayerFormat::Directory => stored.directory().join("fs/bin/tool"),
    };
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let report = stored.check(true);
    assert_eq!(report.findings.len(), 1, "{report:?}");
    let finding = &report.findings[0];
    assert_eq!(finding.state, FindingState::Lost);
    assert_eq!(finding.images, ["app:latest"]);
    assert_eq!(finding.containers, [stored.container.to_string()]);

    let store = &stored.place.store;
    let refused = store.snapshots.rootfs(&stored.container, false, 0, None).unwrap_err();
    assert_eq!(refused.kind(), Kind::Corrupt, "{}", refused.report());
    let item = SaveItem { id: stored.image, references: vec![] };
    store.images.save(&[item], SaveFormat::Both, &mut std::io::sink()).unwrap_err();

    // Set aside it is not used by the next engine either; what it was stays for people to look at.
    assert_eq!(names(&root.join("damaged")).len(), 1);
    let place = stored.place.reopen();
    assert!(place.store.images.by_id(&stored.image).unwrap().is_none());
    let refused = place.store.snapshots.rootfs(&stored.container, false, 0, None).unwrap_err();
    assert_eq!(refused.kind(), Kind::Corrupt, "{}", refused.report());

    // With the next load it is back.
    let stored = Stored { place, ..stored };
    let store = &stored.place.store;
    store.images.load(&mut &docker_archive(&stored.layer, None)[..], None, &mut |_| {}).unwrap();
    assert_eq!(stored.check(false).findings, []);
    stored.place.run(&stored.container, "grep -q hello etc/motd");
}

fn what_can_be_made_again_is(format: LayerFormat) {
    let stored = stored(format);
    let root = stored.place.root();
    let mut damages: Vec<PathBuf> = vec![root.join("db/images.json"), root.join("volumes/data/volume.json")];
    if format == LayerFormat::Tar {
        damages.push(stored.directory().join("index.erofs"));
    }
    for path in &damages {
        let before = std::fs::read(path).unwrap();
        let mut after = before.clone();
        let end = after.len() - 1;
        after[end / 2] ^= 1;
        std::fs::write(path, after).unwrap();
        for (repair, state) in [(false, FindingState::Repairable), (true, FindingState::Repaired)] {
            let report = stored.check(repair);
            let states: Vec<_> = report.findings.iter().map(|finding| finding.state).collect();
            assert_eq!(states, [state], "{}: {report:?}", path.display());
        }
        assert_eq!(std::fs::read(path).unwrap(), before, "{}", path.display());
    }
    if format == LayerFormat::Tar {
        std::fs::remove_file(stored.directory().join("index.erofs")).unwrap();
        assert_eq!(stored.check(true).findings[0].state, FindingState::Repaired);
    }
    assert_eq!(stored.check(false).findings, []);
    stored.place.run(&stored.container, "grep -q hello etc/motd");
}

fn a_manifest_that_is_lost_is_let_go_and_another_written(format: LayerFormat) {
    let source = stored(format);
    let item = || SaveItem { id: source.image, references: vec![reference("app:latest")] };
    let mut saved = Vec::new();
    source.place.store.images.save(&[item()], SaveFormat::Both, &mut saved).unwrap();
    for damage in ["removed", "altered"] {
        let place = place(format);
        let store = &place.store;
        store.images.load(&mut &saved[..], None, &mut |_| {}).unwrap();
        let manifest = store.images.manifest_bytes(&source.image).unwrap().expect("it came with one");
        let blob = place.root().join("blobs/sha256").join(dhow_oci::Digest::of(&manifest).hex());
        match damage {
            "removed" => std::fs::remove_file(&blob).unwrap(),
            _ => std::fs::write(&blob, b"{}").unwrap(),
        }
        store.images.manifest_bytes(&source.image).expect_err("what is damaged is not handed out");
        let found = store.upkeep.check(false).unwrap().findings;
        assert_eq!(found.len(), 1, "{damage}: {found:?}");
        assert!(found[0].object.starts_with("manifest sha256:"), "{found:?}");
        assert_eq!(found[0].state, FindingState::Repairable);

        store.upkeep.check(true).unwrap();
        assert_eq!(store.upkeep.check(false).unwrap().findings, []);
        assert_eq!(store.images.manifest_bytes(&source.image).unwrap(), None);
        let mut again = Vec::new();
        store.images.save(&[item()], SaveFormat::Both, &mut again).unwrap();
        assert_eq!(again, saved, "{damage}");
    }
}

fn what_nobody_needs_is_removed(format: LayerFormat) {
    let stored = stored(format);
    let root = stored.place.root();
    std::fs::create_dir_all(root.join("layers").join("ab".repeat(32)).join("fs/deep")).unwrap();
    std::fs::create_dir_all(root.join("layers/other")).unwrap();
    std::fs::write(root.join("blobs/sha256").join("cd".repeat(32)), "x").unwrap();
    assert_eq!(stored.check(false).findings.len(), 3);
    assert_eq!(stored.check(true).findings.len(), 3);
    assert_eq!(stored.check(false).findings, []);
    assert!(stored.place.store.images.by_reference(&reference("app")).unwrap().is_some());
}

fn a_damaged_layer_is_not_used_by_the_next_engine_either(format: LayerFormat) {
    let stored = stored(format);
    let file = match format {
        LayerFormat::Tar => stored.directory().join("layer.tar"),
        LayerFormat::Directory => stored.directory().join("fs/etc/motd"),
    };
    let whole = std::fs::read(&file).unwrap();
    let changed = String::from_utf8_lossy(&whole).replace("hello", "jello");
    std::fs::write(&file, changed).unwrap();
    assert_eq!(stored.check(false).findings[0].state, FindingState::Lost);
    let place = stored.place.reopen();
    let refused = place.store.snapshots.rootfs(&stored.container, false, 0, None).unwrap_err();
    assert_eq!(refused.kind(), Kind::Corrupt, "{}", refused.report());
    // Who puts the bytes back, as old as they were, has it back.
    std::fs::write(&file, whole).unwrap();
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    let stored = Stored { place, ..stored };
    assert_eq!(stored.check(false).findings, []);
    stored.place.store.snapshots.rootfs(&stored.container, false, 0, None).unwrap();
}

fn what_a_container_changed_is_not_replaced_by_nothing(format: LayerFormat) {
    let stored = stored(format);
    let mut ran = record(&stored.container, "web", Some(stored.image));
    ran.state = State::Exited(Exit::default());
    stored.place.store.records.put_container(&ran, Durability::Committed).unwrap();
    std::fs::remove_dir_all(stored.place.upper(&stored.container).parent().unwrap()).unwrap();
    let stored = Stored { place: stored.place.reopen(), ..stored };
    let report = stored.check(true);
    assert_eq!(report.findings.len(), 1, "{report:?}");
    assert_eq!(report.findings[0].state, FindingState::Lost);
    assert_eq!(report.findings[0].containers, [stored.container.to_string()]);
    let snapshots = &stored.place.store.snapshots;
    let refused = snapshots.rootfs(&stored.container, false, 0, None).unwrap_err();
    assert!(refused.report().contains("writable layer"), "{}", refused.report());
    assert_eq!(snapshots.usage(&stored.container).unwrap().writable, 0);
    stored.place.store.records.delete_container(&stored.container, Durability::Committed).unwrap();
    snapshots.remove(&stored.container).unwrap();
    assert_eq!(stored.check(false).findings, []);
}

fn a_volume_that_lost_its_data_is_named_and_refused(format: LayerFormat) {
    let stored = stored(format);
    std::fs::remove_dir_all(stored.place.root().join("volumes/data/data")).unwrap();
    let stored = Stored { place: stored.place.reopen(), ..stored };
    let report = stored.check(true);
    assert_eq!(report.findings.len(), 1, "{report:?}");
    assert_eq!(report.findings[0].state, FindingState::Lost);
    let volumes = &stored.place.store.volumes;
    let refused = volumes.attach("data", &|_| Ok(Vec::new())).unwrap_err();
    assert_eq!(refused.kind(), Kind::Corrupt, "{}", refused.report());
    assert_eq!(volumes.usage("data").unwrap(), 0);
    volumes.remove("data").unwrap();
    assert_eq!(stored.check(false).findings, []);
}

fn an_image_without_its_configuration_is_named_and_not_used(format: LayerFormat) {
    let stored = stored(format);
    let blobs = stored.place.root().join("blobs/sha256");
    let configuration = dhow_oci::Digest::hex(&stored.image);
    std::fs::remove_file(blobs.join(configuration)).unwrap();
    let report = stored.check(false);
    let lost = report.findings.iter().find(|finding| finding.object.starts_with("configuration"));
    let lost = lost.unwrap_or_else(|| panic!("{report:?}"));
    assert_eq!((lost.state, &lost.images[..]), (FindingState::Lost, &["app:latest".to_owned()][..]));
    let place = stored.place.reopen();
    assert!(place.store.images.by_id(&stored.image).unwrap().is_none(), "it is not used");
}
