//! Layers below and above a real overlay: what a container changes, deletes and makes anew.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{create, describe, extract, fresh, is_root, open, scratch};
use dhow_model::ports::ChangeKind;
use dhow_store::layer::{CreateOptions, ExtractOptions, changes, copy_tree};

/// An overlay of directories, uppermost lower first.
struct Overlay {
    scratch: PathBuf,
    lowers: Vec<&'static str>,
}

impl Overlay {
    fn new(scratch: &Path, lowers: &[&'static str]) -> Self {
        for name in ["upper", "work", "merged"] {
            fresh(scratch, name);
        }
        Self { scratch: scratch.to_owned(), lowers: lowers.to_vec() }
    }

    /// Mounts it in a mount namespace of its own, runs a script in it, and unmounts it.
    fn run(&self, options: &str, script: &str) -> Vec<u8> {
        let lowers = self.lowers.join(":");
        let options = format!("{options}lowerdir={lowers},upperdir=upper,workdir=work");
        let whole = format!("mount -t overlay overlay -o {options} merged && cd merged && {script}");
        let output = Command::new("unshare")
            .args(["-m", "sh", "-ec", &whole])
            .current_dir(&self.scratch)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        output.stdout
    }

    fn upper(&self) -> PathBuf {
        self.scratch.join("upper")
    }

    /// The changes as `docker diff` prints them.
    fn diff(&self) -> Vec<String> {
        let lowers: Vec<_> = self.lowers.iter().map(|name| open(&self.scratch.join(name))).collect();
        let lowers: Vec<_> = lowers.iter().map(AsFd::as_fd).collect();
        let found = changes(open(&self.upper()).as_fd(), &lowers).unwrap();
        let letter = |kind| match kind {
            ChangeKind::Modified => 'C',
            ChangeKind::Added => 'A',
            ChangeKind::Deleted => 'D',
        };
        found.iter().map(|change| format!("{} {}", letter(change.kind), change.path.display())).collect()
    }
}

fn lower(scratch: &Path, name: &str, script: &str) {
    let path = fresh(scratch, name);
    common::run("sh", &["-ec", script], &path);
}

#[test]
fn changes_are_told_as_docker_diff_tells_them() {
    if !is_root() {
        return;
    }
    let scratch = scratch();
    lower(
        scratch.path(),
        "base",
        "mkdir -p etc/cron var/log opt/app gone/deep; echo 1 >etc/passwd; echo 2 >etc/hosts; echo 3 >var/log/old; echo 4 >opt/app/a; echo 5 >opt/app/b; echo 6 >gone/deep/f; ln -s passwd etc/link; echo 7 >was-file; echo same >etc/same",
    );
    lower(
        scratch.path(),
        "top",
        "mkdir -p var/log opt; echo 8 >var/log/new; mknod opt/old c 0 0; echo 9 >opt/tool",
    );
    let overlay = Overlay::new(scratch.path(), &["top", "base"]);
    overlay.run(
        "",
        "echo more >>etc/passwd; chmod 600 etc/hosts; rm -r gone; rm var/log/old; mkdir -p new/dir; echo x >new/dir/f; \
         rm -r opt/app; mkdir opt/app; echo c >opt/app/c; echo b >opt/app/b; rm was-file; mkdir was-file; : >was-file/in; \
         ln -sf hosts etc/link; chmod 700 etc/cron; : >>etc/same; mkfifo var/pipe",
    );
    let wanted = "C /etc|C /etc/cron|C /etc/hosts|C /etc/link|C /etc/passwd|D /gone|A /new|A /new/dir|A /new/dir/f|\
        C /opt|C /opt/app|D /opt/app/a|C /opt/app/b|A /opt/app/c|C /var|C /var/log|D /var/log/old|A /var/pipe|\
        C /was-file|A /was-file/in";
    assert_eq!(overlay.diff(), wanted.split('|').collect::<Vec<_>>());
}

#[test]
fn a_container_that_changed_nothing_has_no_changes() {
    if !is_root() {
        return;
    }
    let scratch = scratch();
    lower(scratch.path(), "base", "mkdir -p a/b; echo 1 >a/b/f; echo 2 >g");
    let overlay = Overlay::new(scratch.path(), &["base"]);
    overlay.run("", "chmod 600 g; chmod 644 g; : >>a/b/f; touch x; rm x");
    assert!(overlay.upper().join("a/b/f").exists(), "it was copied up");
    assert_eq!(overlay.diff(), Vec::<String>::new());
}

#[test]
fn a_committed_layer_shows_what_the_container_saw() {
    if !is_root() {
        return;
    }
    let scratch = scratch();
    lower(
        scratch.path(),
        "base",
        "mkdir -p keep drop/deep again; echo 1 >keep/a; echo 2 >keep/b; echo 3 >drop/deep/f; echo 4 >again/old; echo 5 >file",
    );
    let overlay = Overlay::new(scratch.path(), &["base"]);
    overlay.run(
        "",
        "rm keep/a; rm -r drop; rm -r again; mkdir again; echo n >again/new; rm file; mkdir file; \
         echo s >file/in; ln keep/b hard; mknod dev c 1 5; setfattr -n user.k -v v keep/b",
    );
    let (tar, created) = create(&overlay.upper(), &CreateOptions::layer()).unwrap();
    let listed = String::from_utf8(gnu_list(&tar, scratch.path())).unwrap();
    for name in ["keep/.wh.a", ".wh.drop", "again/.wh..wh..opq", "file/.wh..wh..opq"] {
        assert!(listed.lines().any(|line| line == name), "{name} is not in\n{listed}");
    }
    let layer = fresh(scratch.path(), "layer");
    let extracted = extract(&tar, &layer, &ExtractOptions::layer()).unwrap();
    assert_eq!(Some(extracted.diff_id), created.digest);
    // The new layer on the old base, seen through an overlay, against what the container saw.
    overlay.run("", "cp -a . ../seen-by-container");
    let above = Overlay { scratch: scratch.path().to_owned(), lowers: vec!["layer", "base"] };
    fs::remove_dir_all(overlay.upper()).unwrap();
    fs::remove_dir_all(scratch.path().join("work")).unwrap();
    fs::create_dir(overlay.upper()).unwrap();
    fs::create_dir(scratch.path().join("work")).unwrap();
    above.run("", "cp -a . ../seen-by-next");
    let (mut seen, mut next) =
        (describe(&scratch.path().join("seen-by-container")), describe(&scratch.path().join("seen-by-next")));
    // Attributes of the root itself are not part of a layer.
    seen.remove(Path::new(""));
    next.remove(Path::new(""));
    assert_eq!(next, seen);
    // And the layer makes the same tar again.
    assert_eq!(create(&layer, &CreateOptions::layer()).unwrap().0, tar);
}

fn gnu_list(tar: &[u8], scratch: &Path) -> Vec<u8> {
    fs::write(scratch.join("l.tar"), tar).unwrap();
    common::run("tar", &["-tf", "l.tar"], scratch)
}

#[test]
fn an_overlay_that_keeps_pointers_is_refused_instead_of_losing_files() {
    if !is_root() {
        return;
    }
    for (option, script) in [("redirect_dir=on,", "mv dir moved"), ("metacopy=on,", "chmod 600 big")] {
        let scratch = scratch();
        lower(scratch.path(), "base", "mkdir dir; echo 1 >dir/f; head -c 100000 /dev/zero >big");
        let overlay = Overlay::new(scratch.path(), &["base"]);
        overlay.run(option, script);
        let error = create(&overlay.upper(), &CreateOptions::layer()).unwrap_err().to_string();
        assert!(error.contains("holds only a pointer to a layer below"), "{error}");
    }
}

#[test]
fn a_file_that_looks_like_a_whiteout_cannot_become_one() {
    if !is_root() {
        return;
    }
    let scratch = scratch();
    let upper = fresh(scratch.path(), "upper");
    fs::create_dir(upper.join("d")).unwrap();
    fs::write(upper.join("d/.wh.passwd"), "").unwrap();
    let error = create(&upper, &CreateOptions::layer()).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"entry "d/.wh.passwd": a layer cannot hold a file whose name begins with .wh."#
    );
    create(&upper, &CreateOptions::plain()).unwrap();
}

#[test]
fn a_volume_is_filled_with_what_the_image_has() {
    if !is_root() {
        return;
    }
    let scratch = scratch();
    lower(
        scratch.path(),
        "image",
        "mkdir -p d/e; echo 1 >d/f; ln d/f d/g; ln -s f d/l; mkfifo -m 640 p; mknod n c 1 3; chown 5:6 d d/f; chmod 2775 d; \
         chown -h 7:7 d/l; truncate -s 1M s; printf x >>s; setfattr -n user.a -v b d; touch -d @1.5 d/f d d/e; \
         touch -h -d @2.25 d/l; chown 9:9 .; chmod 711 .; touch -d @3 .",
    );
    let volume = fresh(scratch.path(), "volume");
    let image = scratch.path().join("image");
    let copied = copy_tree(open(&image).as_fd(), open(&volume).as_fd()).unwrap();
    assert_eq!(describe(&volume), describe(&image));
    assert_eq!(copied.entries, 8);
    let blocks = |path: PathBuf| std::os::unix::fs::MetadataExt::blocks(&fs::metadata(path).unwrap());
    assert!(blocks(volume.join("s")) < 100, "the hole was filled");
}
