//! Images come, are named, and go; what they share stays as long as somebody needs it.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

in_both_formats! {
    an_imported_tree_is_an_image_that_outlives_the_engine,
    what_a_container_changed_becomes_a_layer_of_its_own,
    layers_go_with_the_last_image_that_has_them,
    a_name_points_to_one_image_and_moves,
    two_engines_do_not_share_a_store,
    what_one_removes_while_another_loads_it_is_whole_or_not_there,
}

use dhow_model::image::Removed;
use dhow_model::ports::{CommitRequest, Images as _, SaveFormat, SaveItem, Snapshots as _};
use dhow_model::{ContainerId, ImageId, Kind};
use dhow_oci::ImageConfig;
use dhow_store::LayerFormat;
use support::{Place, docker_archive, names, place, reference, tar};

fn commit(place: &Place, container: &ContainerId, parent: &ImageId, name: Option<&str>) -> ImageId {
    let request = CommitRequest {
        container: container.clone(),
        parent: Some(*parent),
        config: ImageConfig { architecture: "amd64".into(), os: "linux".into(), ..ImageConfig::default() },
        created_by: "a test".into(),
        reference: name.map(reference),
    };
    place.store.images.commit(request).unwrap()
}

fn an_imported_tree_is_an_image_that_outlives_the_engine(format: LayerFormat) {
    let place = place(format);
    let id = place.import("base", &tar(&[("etc/", ""), ("etc/motd", "hello\n")]));
    let place = place.reopen();
    let image = place.store.images.by_reference(&reference("base:latest")).unwrap().unwrap();
    assert_eq!((image.id, image.size), (id, place.layers_on_disk()));
    assert_eq!(image.references, [reference("base")]);
    assert_eq!(image.config.history.len(), 1);
    assert_eq!(place.store.images.by_id_prefix(&id.short()).unwrap(), [id]);
    let bytes = place.store.images.config_bytes(&id).unwrap();
    assert_eq!(dhow_oci::Digest::of(&bytes), id);
}

fn what_a_container_changed_becomes_a_layer_of_its_own(format: LayerFormat) {
    let place = place(format);
    let base = place.import("base", &tar(&[("etc/", ""), ("etc/motd", "hello\n"), ("old", "x")]));
    let container = place.container(1, Some(&base));
    place.run(&container, "echo more >>etc/motd; rm old; mkdir new; echo file >new/file; chmod 0750 new");
    let id = commit(&place, &container, &base, Some("changed"));
    place.store.snapshots.remove(&container).unwrap();
    let image = place.store.images.by_id(&id).unwrap().unwrap();
    assert_eq!(image.config.rootfs.diff_ids.len(), 2);
    assert_eq!((image.parent, image.config.history.len()), (Some(base), 2));

    let second = place.container(2, Some(&id));
    place.run(
        &second,
        "test \"$(cat etc/motd)\" = \"hello\nmore\"; test ! -e old; test \"$(stat -c %a new)\" = 750",
    );
    // The image below cannot go while this one is there.
    place.store.images.untag(&reference("base")).unwrap();
    let refused = place.store.images.remove(&base, false).unwrap_err();
    assert_eq!(refused.kind(), Kind::Conflict);
    assert!(refused.report().contains("image has dependent child images"), "{}", refused.report());
}

fn layers_go_with_the_last_image_that_has_them(format: LayerFormat) {
    let place = place(format);
    let base = place.import("base", &tar(&[("file", "1")]));
    let container = place.container(1, Some(&base));
    place.run(&container, "echo 2 >two");
    let top = commit(&place, &container, &base, None);
    place.store.images.untag(&reference("base")).unwrap();

    let refused = place.store.images.remove(&base, false).unwrap_err();
    assert_eq!(refused.kind(), Kind::Conflict);
    place.store.snapshots.remove(&container).unwrap();
    assert_eq!(names(&place.root().join("layers")).len(), 2);

    let removed = place.store.images.remove(&top, true).unwrap();
    let deleted = removed.iter().filter(|r| matches!(r, Removed::Deleted(_))).count();
    assert_eq!(deleted, 4, "two images and two stacks: {removed:?}");
    let place = place.reopen();
    assert!(names(&place.root().join("layers")).is_empty());
    assert!(names(&place.root().join("blobs/sha256")).is_empty());
    assert!(place.store.images.list().unwrap().is_empty());
}

fn a_name_points_to_one_image_and_moves(format: LayerFormat) {
    let place = place(format);
    let one = place.import("app:1", &tar(&[("file", "1")]));
    let two = place.import("app:2", &tar(&[("file", "2")]));
    place.store.images.tag(&reference("app:1"), &two).unwrap();
    let place = place.reopen();
    assert_eq!(place.store.images.by_reference(&reference("app:1")).unwrap().unwrap().id, two);
    assert!(place.store.images.by_id(&one).unwrap().unwrap().references.is_empty());
    let refused = place.store.images.remove(&two, false).unwrap_err();
    assert_eq!(refused.kind(), Kind::Conflict);
    assert!(place.store.images.untag(&reference("app:1")).unwrap());
    assert!(!place.store.images.untag(&reference("app:1")).unwrap());
}

fn two_engines_do_not_share_a_store(format: LayerFormat) {
    let place = place(format);
    let refused = dhow_store::Store::open(&place.root()).unwrap_err();
    assert_eq!(refused.kind(), Kind::Conflict);
}

fn what_one_removes_while_another_loads_it_is_whole_or_not_there(format: LayerFormat) {
    let place = place(format);
    let archive = docker_archive(&tar(&[("a/", ""), ("a/file", "contents"), ("b", "more")]), None);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..15).for_each(|_| load_and_remove(&place.store, &archive)));
        }
    });
    let id = place.store.images.load(&mut &archive[..], None, &mut |_| {}).unwrap()[0].id;
    let place = place.reopen();
    let container = place.container(1, Some(&id));
    place.run(&container, "grep -q contents a/file; grep -q more b");
    assert_eq!(names(&place.root().join("layers")).len(), 1);
}

fn load_and_remove(store: &dhow_store::Store, archive: &[u8]) {
    let id = store.images.load(&mut &archive[..], None, &mut |_| {}).unwrap()[0].id;
    let item = SaveItem { id, references: Vec::new() };
    // Another may have removed it meanwhile; what is there is whole.
    if let Err(error) = store.images.save(&[item], SaveFormat::Both, &mut std::io::sink()) {
        assert_ne!(error.kind(), Kind::Corrupt, "{}", error.report());
    }
    drop(store.images.untag(&reference("app:latest")));
    drop(store.images.remove(&id, false));
}
