//! What somebody with a shell changes in the unpacked tree of a layer: `system check` compares all of the tree with
//! what its tar gives, and makes it again.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::path::PathBuf;
use std::process::Command;

use dhow_model::ports::{
    CheckReport, Durability, FindingState, Images as _, Records as _, Snapshots as _, Upkeep as _,
};
use dhow_model::{ContainerId, Kind};
use dhow_oci::Digest;
use dhow_store::LayerFormat::Directory;
use dhow_store::tar::{Entry, EntryKind, Writer};
use support::{Place, able, docker_archive, names, place, record};

const LOOK: &str =
    "test $(cat d/file) = contents; test $(stat -c %a d/file) = 640; test -L d/link; test -e e/here";

/// What is done in the tree while nobody looks: each is found, and none is a change of contents that were taken
/// from the tree itself.
const DAMAGES: &[&str] = &[
    "chmod 4777 d/file",
    "chown 7:8 d/file",
    "chown -h 7:8 d/link",
    "chmod 777 d",
    "chmod 777 .",
    "ln -sfn elsewhere d/link; touch -h -d @0 d/link; touch -d @0 d",
    "rm d/gone; touch -d @0 d",
    "mkdir d/new; touch -d @0 d",
    "touch d/empty; touch -d @0 d",
    "echo more >d/more; touch -d @0 d",
    "ln -s file d/another; touch -d @0 d",
    "mknod d/device c 1 3; touch -d @0 d",
    "rm d/null; mknod -m 666 d/null c 1 5; touch -d @0 d/null d",
    "rm d/null; mkfifo -m 666 d/null; touch -d @0 d/null d",
    "cp -p d/name d/copy; mv d/copy d/name; touch -d @0 d",
    "ln -f d/empty-one d/empty-two; touch -d @0 d",
    "rm d/empty-one; touch -d @0 d",
    "touch -d @12345 d/file",
    "touch -d @12345 d",
    "setfattr -n user.hint -v other d/file",
    "setfattr -x user.hint d/file",
    "setfattr -n user.more -v more d/link-target",
    "setfattr -n trusted.overlay.opaque -v y d",
    "setfattr -x trusted.overlay.opaque e",
    "setcap cap_net_raw+ep d/file",
    "rm -r e; ln -s d e",
];

fn layer(is_told_by_recipe: bool) -> Vec<u8> {
    let mut tar = Writer::new(Vec::new());
    let mut add = |entry: Entry, mut contents: &[u8]| tar.append(&entry, &mut contents).unwrap();
    let other = |path: &str, kind| Entry::new(path, kind, 0o666);
    add(Entry::directory("d"), b"");
    if !is_told_by_recipe {
        // Written twice: what is in the tree is not what the first member had.
        add(Entry::file("d/file", 5), b"first");
    }
    let mut file = Entry { mode: 0o640, ..Entry::file("d/file", 8) };
    file.xattrs.push(("user.hint".into(), b"value".to_vec()));
    add(file, b"contents");
    add(Entry::file("d/link-target", 6), b"target");
    add(other("d/link", EntryKind::Symlink(b"link-target".to_vec())), b"");
    add(other("d/name", EntryKind::HardLink(b"d/link-target".to_vec())), b"");
    add(other("d/null", EntryKind::CharDevice(1, 3)), b"");
    add(Entry::file("d/empty-one", 0), b"");
    add(Entry::file("d/empty-two", 0), b"");
    add(Entry::file("d/.wh.gone", 0), b"");
    add(Entry::directory("e"), b"");
    add(Entry::file("e/.wh..wh..opq", 0), b"");
    add(Entry::file("e/here", 0), b"");
    tar.finish().unwrap()
}

struct Stored {
    place: Place,
    layer: Vec<u8>,
    container: ContainerId,
}

impl Stored {
    fn new(is_told_by_recipe: bool) -> Self {
        let (place, layer) = (place(Directory), layer(is_told_by_recipe));
        let archive = docker_archive(&layer, None);
        let image = place.store.images.load(&mut &archive[..], None, &mut |_| {}).unwrap()[0].id;
        let container = place.container(1, Some(&image));
        let web = record(&container, "web", Some(image));
        place.store.records.put_container(&web, Durability::Committed).unwrap();
        let stored = Self { place, layer, container };
        assert_eq!(stored.directory().join("recipe").exists(), is_told_by_recipe);
        stored
    }

    fn directory(&self) -> PathBuf {
        self.place.root().join("layers").join(Digest::of(&self.layer).hex())
    }

    fn check(&self, repair: bool) -> CheckReport {
        self.place.store.upkeep.check(repair).unwrap()
    }

    fn shell(&self, directory: &str, line: &str) {
        let mut shell = Command::new("sh");
        shell.args(["-ec", line]).current_dir(self.directory().join(directory));
        assert!(shell.status().unwrap().success(), "{line}");
    }

    /// Found, told, not used; and after the repair as it was.
    fn is_found_and_made_again(&self, damage: &str) {
        for (repair, state) in [(false, FindingState::Repairable), (true, FindingState::Repaired)] {
            let findings = self.check(repair).findings;
            assert_eq!(findings.len(), 1, "{damage}: {findings:?}");
            assert_eq!(findings[0].state, state, "{damage}: {findings:?}");
            assert_eq!(findings[0].images, ["app:latest"], "{damage}");
            assert_eq!(findings[0].containers, [self.container.to_string()], "{damage}");
            let used = self.place.store.snapshots.rootfs(&self.container, false, 0, None).map(drop);
            assert_eq!(used.err().map(|error| error.kind()), (!repair).then_some(Kind::Corrupt), "{damage}");
        }
        assert_eq!(self.check(false).findings, [], "{damage}");
        self.place.run(&self.container, LOOK);
    }
}

fn a_tree_that_somebody_changed(is_told_by_recipe: bool) {
    if !able(Directory) {
        return;
    }
    let stored = Stored::new(is_told_by_recipe);
    assert_eq!(stored.check(true).findings, []);
    for damage in DAMAGES {
        stored.shell("fs", damage);
        stored.is_found_and_made_again(damage);
    }
    // A container may have had them mounted: they stay until it is gone.
    assert_eq!(names(&stored.place.root().join("damaged")).len(), DAMAGES.len());
}

#[test]
fn a_tree_beside_a_recipe_is_made_again() {
    a_tree_that_somebody_changed(true);
}

#[test]
fn a_tree_beside_its_tar_is_made_again() {
    a_tree_that_somebody_changed(false);
}

#[test]
fn a_tree_beside_its_tar_is_made_again_when_its_contents_are_others_or_it_is_gone() {
    if !able(Directory) {
        return;
    }
    let stored = Stored::new(false);
    for damage in ["printf stnetnoc >d/file; touch -d @0 d/file", "rm -r ../fs", "rm -r ../fs; ln -s / ../fs"]
    {
        stored.shell("fs", damage);
        stored.is_found_and_made_again(damage);
    }
}

#[test]
fn what_lies_beside_a_tree_is_a_finding_of_its_own() {
    if !able(Directory) {
        return;
    }
    let stored = Stored::new(true);
    for stray in ["index.erofs", "other"] {
        stored.shell(".", &format!("touch {stray}"));
        for (repair, state) in [(false, FindingState::Repairable), (true, FindingState::Repaired)] {
            let findings = stored.check(repair).findings;
            assert_eq!(findings.len(), 1, "{stray}: {findings:?}");
            assert_eq!(findings[0].state, state, "{stray}: {findings:?}");
            assert!(findings[0].object.ends_with(stray), "{findings:?}");
            stored.place.run(&stored.container, LOOK);
        }
        assert_eq!(stored.check(false).findings, [], "{stray}");
    }
}

#[test]
fn a_container_that_runs_keeps_the_tree_that_it_has() {
    if !able(Directory) {
        return;
    }
    let stored = Stored::new(true);
    let mut shell = Command::new("sh");
    shell.args(["-ec", "read line; test $(stat -c %a d/file) = 4777; cat d/link-target"]);
    shell.stdin(std::process::Stdio::piped());
    let mut running = stored.place.spawn(&stored.container, shell);
    stored.shell("fs", "chmod 4777 d/file");
    assert_eq!(stored.check(true).findings[0].state, FindingState::Repaired);
    stored.place.store.images.discard_set_aside().unwrap();
    drop(running.stdin.take().map(|mut stdin| std::io::Write::write_all(&mut stdin, b"go on\n")));
    assert!(running.wait().unwrap().success());
    stored.place.run(&stored.container, LOOK);
}
