//! Containers are on record, whatever happens to the engine, and to the database.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

in_both_formats! {
    records_come_back_in_the_order_of_their_creation,
    those_who_wait_at_the_same_time_share_a_commit,
    a_database_that_is_damaged_is_rebuilt_from_the_files,
    what_a_power_cut_can_take_is_mended,
    a_volume_of_a_container_that_never_came_to_be_goes,
    an_image_that_lost_a_layer_is_not_offered,
    a_database_of_a_newer_program_is_left_alone,
}

use std::sync::Arc;
use std::time::Instant;

use dhow_model::ContainerId;
use dhow_model::ports::{Durability, Images as _, Records as _, Snapshots as _, VolumeRequest, Volumes as _};
use dhow_store::LayerFormat;
use support::{names, place, record, reference, tar};

fn records_come_back_in_the_order_of_their_creation(format: LayerFormat) {
    let place = place(format);
    let ids: Vec<ContainerId> = (0..5).rev().map(|number| ContainerId::from_random([number; 32])).collect();
    for (number, id) in ids.iter().enumerate() {
        let durability = if number % 2 == 0 { Durability::Committed } else { Durability::Relaxed };
        place.store.records.put_container(&record(id, &format!("c{number}"), None), durability).unwrap();
    }
    let mut changed = record(&ids[1], "changed", None);
    changed.restart_count = 7;
    place.store.records.put_container(&changed, Durability::Relaxed).unwrap();
    place.store.records.delete_container(&ids[2], Durability::Committed).unwrap();
    place.store.records.delete_container(&ids[2], Durability::Committed).unwrap();
    let place = place.reopen();
    let found = place.store.records.containers().unwrap();
    let found: Vec<(&str, u32)> = found.iter().map(|c| (c.name.as_str(), c.restart_count)).collect();
    assert_eq!(found, [("c0", 0), ("changed", 7), ("c3", 0), ("c4", 0)]);
}

fn those_who_wait_at_the_same_time_share_a_commit(format: LayerFormat) {
    let place = place(format);
    let records = Arc::new(place.store.records.clone());
    let write = |number: u8| {
        let id = ContainerId::from_random([number; 32]);
        records.put_container(&record(&id, &format!("c{number}"), None), Durability::Committed).unwrap();
    };
    let alone = Instant::now();
    (0..64).for_each(write);
    let alone = alone.elapsed();
    let together = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..16 {
            scope.spawn(move || (0..4).for_each(|n| write(64 + thread * 4 + n)));
        }
    });
    let together = together.elapsed();
    println!("64 commits one after the other {alone:?}, by 16 threads {together:?}");
    assert_eq!(records.containers().unwrap().len(), 128);
}

fn a_database_that_is_damaged_is_rebuilt_from_the_files(format: LayerFormat) {
    let place = place(format);
    let image = place.import("base:1", &tar(&[("file", "contents")]));
    let id = place.container(1, Some(&image));
    place.store.records.put_container(&record(&id, "web", Some(image)), Durability::Committed).unwrap();
    std::fs::write(place.upper(&id).join("file"), "changed").unwrap();
    let volume = place
        .store
        .volumes
        .create(VolumeRequest { name: "data".into(), ..VolumeRequest::default() })
        .unwrap();
    std::fs::write(volume.mountpoint.join("kept"), "x").unwrap();
    place.store.records.put_network(&support::network("app")).unwrap();
    let before = place.store.images.list().unwrap()[0].clone();
    let layers = place.layers_on_disk();
    let support::Place { directory, store, .. } = place;
    drop(store);
    let root = directory.path().join("store");
    for wal in ["state.sqlite-wal", "state.sqlite-shm"] {
        drop(std::fs::remove_file(root.join("db").join(wal)));
    }
    let mut bytes = std::fs::read(root.join("db/state.sqlite")).unwrap();
    let end = bytes.len();
    bytes[100..end].fill(0x5a);
    std::fs::write(root.join("db/state.sqlite"), bytes).unwrap();

    let store = dhow_store::Store::open(&root).unwrap();
    let after = store.images.by_reference(&reference("base:1")).unwrap().unwrap();
    assert_eq!((after.id, after.size, after.last_tagged), (before.id, before.size, before.last_tagged));
    let containers = store.records.containers().unwrap();
    assert_eq!(containers.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["web"]);
    assert_eq!(store.snapshots.usage(&id).unwrap().total, 7 + layers);
    assert_eq!(store.volumes.get("data").unwrap().unwrap(), volume);
    assert!(volume.mountpoint.join("kept").exists());
    assert_eq!(store.records.networks().unwrap(), [support::network("app")]);
    assert!(names(&root.join("db")).iter().any(|name| name.starts_with("damaged-")), "it is set aside");
}

fn what_a_power_cut_can_take_is_mended(format: LayerFormat) {
    let place = place(format);
    let image = place.import("base", &tar(&[("file", "contents")]));
    let id = place.container(1, Some(&image));
    place.store.records.put_container(&record(&id, "web", Some(image)), Durability::Committed).unwrap();
    let volumes = &place.store.volumes;
    let lost = volumes.create(VolumeRequest { name: "lost".into(), ..VolumeRequest::default() }).unwrap();
    let root = place.root();
    // The directories of what was just made; a layer, a blob and staged files that no record names.
    std::fs::remove_dir_all(root.join("containers").join(id.as_str())).unwrap();
    std::fs::remove_dir_all(lost.mountpoint.parent().unwrap()).unwrap();
    std::fs::create_dir_all(root.join("layers").join("ab".repeat(32)).join("fs/deep")).unwrap();
    std::fs::write(root.join("blobs/sha256").join("cd".repeat(32)), "x").unwrap();
    std::fs::create_dir_all(root.join("staging/1-1/members")).unwrap();
    std::fs::create_dir_all(root.join("trash/1-2/rw")).unwrap();
    std::fs::create_dir_all(root.join("volumes/unknown/data")).unwrap();
    std::fs::create_dir_all(root.join("volumes/full/data/x")).unwrap();
    let place = place.reopen();
    assert!(place.upper(&id).is_dir());
    assert_eq!(names(&root.join("layers")).len(), 1);
    assert_eq!(names(&root.join("blobs/sha256")).len(), 1);
    assert!(place.store.volumes.list().unwrap().is_empty());
    let place = place.reopen();
    assert_eq!(names(&root.join("volumes")), ["full"], "data are not deleted for want of a record");
    assert!(names(&root.join("staging")).is_empty());
    drop(place);
}

fn a_volume_of_a_container_that_never_came_to_be_goes(format: LayerFormat) {
    let place = place(format);
    let ids = [1, 2, 3].map(|number| ContainerId::from_random([number; 32]));
    for (name, id) in [("in-vain", &ids[0]), ("recorded", &ids[1]), ("kept", &ids[2])] {
        let made_for = Some(id.clone());
        let request = VolumeRequest { name: name.into(), made_for, ..VolumeRequest::default() };
        let volume = place.store.volumes.create(request).unwrap();
        std::fs::write(volume.mountpoint.join("file"), "x").unwrap();
    }
    // The engine ended before it could say that this one stays, and after it said so of the other.
    place.store.records.put_container(&record(&ids[1], "web", None), Durability::Committed).unwrap();
    place.store.volumes.keep("kept").unwrap();
    let mut place = place.reopen();
    let left = |place: &support::Place| {
        place.store.volumes.list().unwrap().into_iter().map(|volume| volume.name).collect::<Vec<_>>()
    };
    assert_eq!(left(&place), ["kept", "recorded"]);
    assert_eq!(names(&place.root().join("volumes")), ["kept", "recorded"]);
    // It outlives that container, as any.
    place.store.records.delete_container(&ids[1], Durability::Committed).unwrap();
    for _ in 0..2 {
        place = place.reopen();
        assert_eq!(left(&place), ["kept", "recorded"]);
    }
}

fn an_image_that_lost_a_layer_is_not_offered(format: LayerFormat) {
    let place = place(format);
    let contents = tar(&[("file", "contents")]);
    let image = place.import("base", &contents);
    let layer = place.store.images.by_id(&image).unwrap().unwrap().config.rootfs.diff_ids[0];
    std::fs::remove_dir_all(place.root().join("layers").join(layer.hex())).unwrap();
    let place = place.reopen();
    assert!(place.store.images.by_id(&image).unwrap().is_none());
    assert!(place.store.images.by_reference(&reference("base")).unwrap().is_none());
    assert_eq!(place.import("base", &contents), image);
    let place = place.reopen();
    assert_eq!(place.store.images.by_reference(&reference("base")).unwrap().unwrap().id, image);
}

fn a_database_of_a_newer_program_is_left_alone(format: LayerFormat) {
    let place = place(format);
    let support::Place { directory, store, .. } = place;
    drop(store);
    let root = directory.path().join("store");
    let database = rusqlite::Connection::open(root.join("db/state.sqlite")).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    drop(database);
    let refused = dhow_store::Store::open(&root).unwrap_err();
    assert!(refused.report().contains("version 99"), "{}", refused.report());
}
