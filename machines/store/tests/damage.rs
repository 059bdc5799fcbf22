//! What a disk, or somebody with an editor, spoils: an index in each of its regions, a tar, a recipe, a record.
//!
//! Nothing spoiled is used: a start says what the matter is, `system check` names it, and what can be made
//! again is.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::path::{Path, PathBuf};

use dhow_model::ports::{
    CheckReport, Durability, FindingState, Images as _, Records as _, Snapshots as _, Upkeep as _,
    VolumeRequest, Volumes as _,
};
use dhow_model::{ContainerId, ImageId, Kind};
use dhow_oci::Digest;
use dhow_store::LayerFormat::{self, Directory, Tar};
use dhow_store::tar::{Entry, EntryKind, Writer};
use support::{Place, able, docker_archive, place, record, reference, tell};

const LOOK: &str = "grep -q 'the contents' d/needle; test $(stat -c %a d/needle) = 640; test -L d/link; \
                    getfattr -n user.hint --only-values d/needle | grep -q needle-value; test $(cat d/other) = other";

struct Stored {
    place: Place,
    layer: Vec<u8>,
    image: ImageId,
    container: ContainerId,
}

fn layer() -> Vec<u8> {
    let mut tar = Writer::new(Vec::new());
    tar.append(&Entry::directory("d"), &mut std::io::empty()).unwrap();
    let contents = "the contents\n".repeat(200);
    let mut needle = Entry { mode: 0o640, ..Entry::file("d/needle", contents.len() as u64) };
    needle.xattrs.push(("user.hint".into(), b"needle-value".to_vec()));
    tar.append(&needle, &mut contents.as_bytes()).unwrap();
    tar.append(&Entry::file("d/other", 6), &mut &b"other\n"[..]).unwrap();
    tar.append(
        &Entry::new("d/link", EntryKind::Symlink(b"needle-target".to_vec()), 0o777),
        &mut std::io::empty(),
    )
    .unwrap();
    tar.finish().unwrap()
}

fn stored(format: LayerFormat) -> Stored {
    let place = place(format);
    let layer = layer();
    let loaded = place.store.images.load(&mut &docker_archive(&layer, None)[..], None, &mut |_| {}).unwrap();
    let image = loaded[0].id;
    let container = place.container(1, Some(&image));
    let web = record(&container, "web", Some(image));
    place.store.records.put_container(&web, Durability::Committed).unwrap();
    place.store.volumes.create(VolumeRequest { name: "data".into(), ..VolumeRequest::default() }).unwrap();
    place.store.records.put_network(&support::network("app")).unwrap();
    Stored { place, layer, image, container }
}

impl Stored {
    fn directory(&self) -> PathBuf {
        self.place.root().join("layers").join(Digest::of(&self.layer).hex())
    }

    fn check(&self, repair: bool) -> CheckReport {
        self.place.store.upkeep.check(repair).unwrap()
    }

    /// The next engine, which has nothing mounted.
    fn reopen(self) -> Self {
        Self { place: self.place.reopen(), ..self }
    }

    fn is_refused(&self, what: &str) {
        let refused = self.place.store.snapshots.rootfs(&self.container, false, 0, None).map(drop);
        let refused = refused.expect_err(what);
        assert_eq!(refused.kind(), Kind::Corrupt, "{what}: {}", refused.report());
        assert!(refused.report().contains(&Digest::of(&self.layer).to_string()), "{}", refused.report());
    }

    fn load_again(&self) {
        let archive = docker_archive(&self.layer, None);
        self.place.store.images.load(&mut &archive[..], None, &mut |_| {}).unwrap();
        assert_eq!(self.check(false).findings, []);
        self.place.run(&self.container, LOOK);
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> usize {
    bytes.windows(needle.len()).position(|window| window == needle).expect("what is looked for is there")
}

/// Where in an index each kind of thing is.
fn regions(index: &[u8], tar: &[u8]) -> Vec<(&'static str, usize)> {
    let block = u32::try_from(find(tar, b"the contents") / 512).unwrap().to_le_bytes();
    let chunk = [&[1, 0][..], &block].concat();
    vec![
        ("the unused beginning", 512),
        ("the magic", 1024),
        ("the superblock", 1024 + 36),
        ("the checksum", 1028),
        ("the device", 1152 + 64),
        ("the root inode", 1280 + 4),
        ("an entry of a directory", find(index, b"needle") + 2),
        ("an attribute", find(index, b"needle-value") + 3),
        ("the target of a link", find(index, b"needle-target") + 8),
        ("the address of a chunk", find(index, &chunk) + 2),
        ("the last byte of the image", index.len() - 25),
        ("the length of the tar", index.len() - 16),
        ("the sum", index.len() - 8),
    ]
}

#[test]
fn an_index_spoiled_in_any_region_is_refused_and_made_again() {
    if !able(Tar) {
        return;
    }
    let mut stored = stored(Tar);
    let path = stored.directory().join("index.erofs");
    let whole = std::fs::read(&path).unwrap();
    let mut damages: Vec<(&str, Option<Vec<u8>>)> = vec![
        ("cut off", Some(whole[..whole.len() - 512].to_vec())),
        ("longer", Some([&whole[..], &[0; 512]].concat())),
        ("empty", Some(Vec::new())),
        ("gone", None),
    ];
    for (name, offset) in regions(&whole, &stored.layer) {
        let mut bytes = whole.clone();
        bytes[offset] ^= 0x11;
        damages.push((name, Some(bytes)));
    }
    for (name, damage) in damages {
        match damage {
            Some(bytes) => std::fs::write(&path, bytes).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        stored = stored.reopen();
        stored.is_refused(name);
        for (repair, state) in [(false, FindingState::Repairable), (true, FindingState::Repaired)] {
            let findings = stored.check(repair).findings;
            assert_eq!(findings.len(), 1, "{name}: {findings:?}");
            assert_eq!(findings[0].state, state, "{name}: {findings:?}");
        }
        assert!(std::fs::read(&path).unwrap() == whole, "{name}");
        assert_eq!(stored.check(false).findings, [], "{name}");
        stored.place.run(&stored.container, LOOK);
    }
}

#[test]
fn a_tar_that_is_not_as_it_came_is_lost_and_comes_back_with_a_load() {
    if !able(Tar) {
        return;
    }
    type Damage = (&'static str, fn(&mut Vec<u8>), bool);
    // The third: whether a start sees it. Of other bytes in as many only a check knows: it reads all.
    let damages: [Damage; 7] = [
        (
            "contents",
            |tar| {
                let at = find(tar, b"the contents");
                tar[at] ^= 1
            },
            false,
        ),
        ("a name", |tar| tar[512 + 2] ^= 1, false),
        ("a sum", |tar| tar[148] ^= 1, false),
        ("the end", |tar| *tar.last_mut().unwrap() = 1, false),
        ("cut off in the zeros", |tar| tar.truncate(tar.len() - 512), true),
        ("cut off in the middle", |tar| tar.truncate(tar.len() / 2), true),
        ("longer", |tar| tar.push(0), true),
    ];
    let mut stored = stored(Tar);
    let path = stored.directory().join("layer.tar");
    for (name, damage, is_seen_at_once) in damages {
        let mut bytes = stored.layer.clone();
        damage(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        stored = stored.reopen();
        if is_seen_at_once {
            stored.is_refused(name);
        }
        is_lost(&stored, name);
        stored.load_again();
    }
    for path in [path, stored.directory()] {
        if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) }.unwrap();
        stored.is_refused_or_known(&path);
        is_lost(&stored, "gone");
        stored.load_again();
    }
}

fn is_lost(stored: &Stored, name: &str) {
    for repair in [false, true] {
        let findings = stored.check(repair).findings;
        assert_eq!(findings.len(), 1, "{name}: {findings:?}");
        assert_eq!(findings[0].state, FindingState::Lost, "{name}: {findings:?}");
        assert_eq!(findings[0].images, ["app:latest"], "{name}");
        assert_eq!(findings[0].containers, [stored.container.to_string()], "{name}");
    }
    stored.is_refused(name);
}

impl Stored {
    /// An engine that has a layer mounted goes on with it when somebody removes the files.
    fn is_refused_or_known(&self, gone: &Path) {
        assert!(!gone.exists());
        if let Err(refused) = self.place.store.snapshots.rootfs(&self.container, false, 0, None) {
            assert_eq!(refused.kind(), Kind::Corrupt, "{}", refused.report());
        }
    }
}

#[test]
fn a_tree_or_a_recipe_that_is_not_as_it_was_is_lost_and_comes_back_with_a_load() {
    if !able(Directory) {
        return;
    }
    let stored = stored(Directory);
    let change = |name: &str, what: fn(&Path)| {
        what(&stored.directory().join(name));
        is_lost(&stored, name);
        stored.load_again();
    };
    change("fs/d/needle", |path| std::fs::write(path, "other contents").unwrap());
    change("fs/d/other", |path| std::fs::remove_file(path).unwrap());
    change("fs/d", |path| std::fs::remove_dir_all(path).unwrap());
    change("fs", |path| std::fs::remove_dir_all(path).unwrap());
    change("recipe", |path| std::fs::remove_file(path).unwrap());
    change("recipe", |path| std::fs::write(path, "").unwrap());
    change("recipe", |path| {
        let mut bytes = std::fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(path, bytes).unwrap();
    });
    for is_gone in [false, true] {
        let path = stored.directory().join("layer.json");
        if is_gone { std::fs::remove_file(path) } else { std::fs::write(path, "{") }.unwrap();
        for (repair, state) in [(false, FindingState::Repairable), (true, FindingState::Repaired)] {
            let findings = stored.check(repair).findings;
            assert_eq!(findings.iter().map(|finding| finding.state).collect::<Vec<_>>(), [state]);
        }
        assert_eq!(stored.check(false).findings, []);
    }
}

fn spoil(root: &Path, change: &str) {
    let database = rusqlite::Connection::open(root.join("db/state.sqlite")).unwrap();
    assert!(database.execute(change, ()).unwrap() > 0, "{change}");
}

fn records_that_cannot_be_read_are_made_again(format: LayerFormat) {
    let mut stored = stored(format);
    for change in [
        "UPDATE image SET id = 'sha256:xyz'",
        "UPDATE name SET reference = '///'",
        "UPDATE name SET image = 'x'",
        "UPDATE snapshot SET layers = 'abc'",
        "UPDATE snapshot SET image = 'abc'",
        "UPDATE container SET body = '{'",
        "UPDATE volume SET body = '{'",
        "UPDATE network SET body = '{'",
        "UPDATE layer SET size = 7",
        "DELETE FROM layer",
    ] {
        let Stored { place, layer, image, container } = stored;
        let Place { directory, store, format } = place;
        drop(store);
        spoil(&directory.path().join("store"), change);
        let store = support::open(&directory.path().join("store"), format);
        stored = Stored { place: Place { directory, store, format }, layer, image, container };

        let store = &stored.place.store;
        let names: Vec<String> =
            store.records.containers().unwrap().iter().map(|container| container.name.to_string()).collect();
        assert_eq!(names, ["web"], "{change}");
        assert_eq!(store.volumes.list().unwrap().len(), 1, "{change}");
        assert_eq!(store.records.networks().unwrap(), [support::network("app")], "{change}");
        assert!(store.images.by_reference(&reference("app")).unwrap().is_some(), "{change}");
        assert!(stored.check(true).findings.iter().all(|finding| finding.state == FindingState::Repaired));
        assert_eq!(stored.check(false).findings, [], "{change}");
        stored.place.run(&stored.container, LOOK);
    }
    // The running engine is told by the check.
    spoil(&stored.place.root(), "UPDATE container SET body = '{'");
    assert_eq!(stored.check(false).findings[0].state, FindingState::Repairable);
    assert_eq!(stored.check(true).findings[0].state, FindingState::Repaired);
    assert_eq!(stored.check(false).findings, []);
}

fn a_record_that_is_lost_takes_nothing_with_it(format: LayerFormat) {
    let stored = stored(format);
    let other = stored.place.container(2, Some(&stored.image));
    let record = record(&other, "other", Some(stored.image));
    stored.place.store.records.put_container(&record, Durability::Committed).unwrap();
    // The copy is written behind the answer, but before the next one.
    stored.place.store.records.put_container(&record, Durability::Relaxed).unwrap();
    spoil(&stored.place.root(), &format!("UPDATE container SET body = 'x' WHERE id = '{other}'"));
    let config = stored.place.root().join("containers").join(other.as_str()).join("config.json");
    std::fs::write(&config, "y").unwrap();
    let stored = stored.reopen();
    let names: Vec<String> =
        stored.place.store.records.containers().unwrap().iter().map(|c| c.name.to_string()).collect();
    assert_eq!(names, ["web"]);
    let findings = stored.check(true).findings;
    let lost = findings.iter().find(|finding| finding.state == FindingState::Lost).unwrap();
    assert_eq!(lost.containers, [other.to_string()], "{findings:?}");
    assert!(stored.place.upper(&other).is_dir(), "what the container wrote stays for people to look at");
    stored.place.run(&stored.container, LOOK);
}

#[test]
fn records_with_tars() {
    tell(records_that_cannot_be_read_are_made_again, Tar);
    tell(a_record_that_is_lost_takes_nothing_with_it, Tar);
}

#[test]
fn records_with_directories() {
    tell(records_that_cannot_be_read_are_made_again, Directory);
    tell(a_record_that_is_lost_takes_nothing_with_it, Directory);
}
