//! Images that have lost their configuration or a layer: refused at once, named by their tags also by the next
//! engine, removed when somebody says so, and whole again with a load.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::path::PathBuf;

use dhow_model::image::Removed;
use dhow_model::ports::{
    CheckReport, CommitRequest, Durability, FindingState, Images as _, Records as _, SaveFormat, SaveItem,
    Snapshots as _, Upkeep as _,
};
use dhow_model::{ContainerId, ImageId, Kind};
use dhow_oci::{Digest, ImageConfig};
use dhow_store::LayerFormat;
use support::{Place, docker_archive, names, place, record, reference, tar};

in_both_formats! {
    an_image_that_lost_its_configuration_is_refused_at_once,
    an_image_that_lost_a_layer_is_not_saved_by_half,
    it_is_named_by_its_tags_by_the_next_engine_and_removed,
    it_stays_as_long_as_a_container_needs_it,
    its_name_goes_to_another_image,
    it_comes_back_whole_with_a_load,
    who_puts_the_bytes_back_has_it_back,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    Configuration,
    Layer,
}

const LOSSES: [Loss; 2] = [Loss::Configuration, Loss::Layer];

struct Stored {
    place: Place,
    layer: Vec<u8>,
    image: ImageId,
}

fn stored(format: LayerFormat) -> Stored {
    let place = place(format);
    let layer = tar(&[("etc/", ""), ("etc/motd", "hello\n")]);
    let image = place.store.images.load(&mut &archive(&layer)[..], None, &mut |_| {}).unwrap()[0].id;
    place.store.images.tag(&reference("other:2"), &image).unwrap();
    Stored { place, layer, image }
}

fn archive(layer: &[u8]) -> Vec<u8> {
    docker_archive(layer, None)
}

impl Stored {
    fn configuration(&self) -> PathBuf {
        self.place.root().join("blobs/sha256").join(self.image.hex())
    }

    fn directory(&self) -> PathBuf {
        self.place.root().join("layers").join(Digest::of(&self.layer).hex())
    }

    fn lose(&self, loss: Loss) {
        match loss {
            Loss::Configuration => std::fs::write(self.configuration(), "{}").unwrap(),
            Loss::Layer => std::fs::remove_dir_all(self.directory()).unwrap(),
        }
    }

    fn check(&self, repair: bool) -> CheckReport {
        self.place.store.upkeep.check(repair).unwrap()
    }

    fn reopen(self) -> Self {
        Self { place: self.place.reopen(), ..self }
    }

    fn container(&self, number: u8) -> ContainerId {
        let container = self.place.container(number, Some(&self.image));
        let record = record(&container, "web", Some(self.image));
        self.place.store.records.put_container(&record, Durability::Committed).unwrap();
        container
    }

    fn is_told_lost(&self, repair: bool) {
        let findings = self.check(repair).findings;
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(findings[0].state, FindingState::Lost);
        assert_eq!(findings[0].images, ["app:latest", "other:2"]);
    }

    fn remove(&self) -> Vec<Removed> {
        for name in ["app", "other:2"] {
            assert!(self.place.store.images.untag(&reference(name)).unwrap(), "{name}");
        }
        self.place.store.images.remove(&self.image, true).unwrap()
    }

    fn has_left_nothing(&self) {
        let root = self.place.root();
        assert!(names(&root.join("layers")).is_empty() && names(&root.join("blobs/sha256")).is_empty());
        assert!(self.place.store.images.damaged().unwrap().is_empty());
        assert_eq!(self.check(false).findings, []);
        let database = rusqlite::Connection::open(root.join("db/state.sqlite")).unwrap();
        for table in ["image", "name"] {
            let count = format!("SELECT count(*) FROM {table}");
            assert_eq!(database.query_row(&count, (), |row| row.get::<_, u32>(0)).unwrap(), 0, "{table}");
        }
    }
}

fn an_image_that_lost_its_configuration_is_refused_at_once(format: LayerFormat) {
    let stored = stored(format);
    let container = stored.container(1);
    stored.lose(Loss::Configuration);
    stored.is_told_lost(false);
    let store = &stored.place.store;
    assert!(store.images.by_reference(&reference("app")).unwrap().is_none());
    let id = ContainerId::from_random([2; 32]);
    let refused = store.snapshots.prepare(&id, Some(&stored.image), Durability::Committed, 0).unwrap_err();
    assert_eq!(refused.kind(), Kind::Corrupt, "{}", refused.report());
    let refused = store.images.config_bytes(&stored.image).unwrap_err();
    assert_eq!(refused.kind(), Kind::Corrupt, "{}", refused.report());
    let commit = CommitRequest {
        container: container.clone(),
        parent: Some(stored.image),
        config: ImageConfig::default(),
        created_by: String::new(),
        reference: None,
    };
    let refused = store.images.commit(commit).unwrap_err();
    assert_eq!(refused.kind(), Kind::Corrupt, "{}", refused.report());
    // A container that is there needs its layers only.
    stored.place.run(&container, "grep -q hello etc/motd");
}

fn an_image_that_lost_a_layer_is_not_saved_by_half(format: LayerFormat) {
    for loss in LOSSES {
        let stored = stored(format);
        stored.lose(loss);
        let mut written = Vec::new();
        let item = || SaveItem { id: stored.image, references: vec![] };
        for looked_through in [false, true] {
            if looked_through {
                stored.check(true);
            }
            let store = &stored.place.store;
            let refused = store.images.save(&[item()], SaveFormat::Both, &mut written).unwrap_err();
            assert_eq!(refused.kind(), Kind::Corrupt, "{loss:?}: {}", refused.report());
            assert!(written.is_empty(), "{loss:?}");
        }
    }
}

fn it_is_named_by_its_tags_by_the_next_engine_and_removed(format: LayerFormat) {
    for (loss, restart) in LOSSES.into_iter().flat_map(|loss| [(loss, false), (loss, true)]) {
        let mut stored = stored(format);
        stored.lose(loss);
        if restart {
            stored = stored.reopen();
            let damaged = stored.place.store.images.damaged().unwrap();
            assert_eq!(damaged.len(), 1, "{loss:?}");
            assert_eq!(damaged[0].references, [reference("app"), reference("other:2")]);
        }
        for repair in [false, true, false] {
            stored.is_told_lost(repair);
        }
        assert!(stored.remove().contains(&Removed::Deleted(stored.image)), "{loss:?}");
        stored.has_left_nothing();
        stored.reopen().has_left_nothing();
    }
}

fn it_stays_as_long_as_a_container_needs_it(format: LayerFormat) {
    for loss in LOSSES {
        let stored = stored(format);
        let container = stored.container(1);
        stored.lose(loss);
        let stored = stored.reopen();
        let store = &stored.place.store;
        for name in ["app", "other:2"] {
            store.images.untag(&reference(name)).unwrap();
        }
        let refused = store.images.remove(&stored.image, true).unwrap_err();
        assert_eq!(refused.kind(), Kind::Conflict, "{loss:?}: {}", refused.report());
        store.records.delete_container(&container, Durability::Committed).unwrap();
        store.snapshots.remove(&container).unwrap();
        store.images.remove(&stored.image, true).unwrap();
        stored.has_left_nothing();
    }
}

fn its_name_goes_to_another_image(format: LayerFormat) {
    let stored = stored(format);
    stored.lose(Loss::Layer);
    let stored = stored.reopen();
    let other = stored.place.import("other:2", &tar(&[("x", "x")]));
    let stored = stored.reopen();
    let images = &stored.place.store.images;
    assert_eq!(images.by_reference(&reference("other:2")).unwrap().unwrap().id, other);
    assert_eq!(images.damaged().unwrap()[0].references, [reference("app")]);
}

fn it_comes_back_whole_with_a_load(format: LayerFormat) {
    for loss in LOSSES {
        let stored = stored(format);
        let container = stored.container(1);
        stored.lose(loss);
        let stored = stored.reopen();
        stored.check(true);
        let store = &stored.place.store;
        store.images.load(&mut &archive(&stored.layer)[..], None, &mut |_| {}).unwrap();
        let image = store.images.by_reference(&reference("other:2")).unwrap().unwrap();
        assert_eq!(image.references, [reference("app"), reference("other:2")], "{loss:?}");
        assert!(store.images.damaged().unwrap().is_empty());
        assert_eq!(stored.check(false).findings, [], "{loss:?}");
        stored.place.run(&container, "grep -q hello etc/motd");
        assert_eq!(stored.reopen().check(false).findings, [], "{loss:?}");
    }
}

fn who_puts_the_bytes_back_has_it_back(format: LayerFormat) {
    let stored = stored(format);
    let whole = std::fs::read(stored.configuration()).unwrap();
    stored.lose(Loss::Configuration);
    let stored = stored.reopen();
    stored.is_told_lost(true);
    std::fs::write(stored.configuration(), whole).unwrap();
    assert_eq!(stored.check(false).findings, []);
    let image = stored.place.store.images.by_reference(&reference("app")).unwrap().unwrap();
    assert_eq!((image.id, image.references.len()), (stored.image, 2));
}
