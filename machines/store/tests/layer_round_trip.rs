//! Trees become tars and trees again, and nothing is lost; GNU tar is the other judge.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::Path;

use common::{create, describe, extract, fresh, is_root, run, scratch};
use dhow_store::layer::{CreateOptions, ExtractOptions};

/// A tree with one of everything that real images have.
fn make_tree(root: &Path) {
    let script = r#"
        mkdir -p usr/bin etc dev empty deep
        printf 'hello\n' > etc/motd
        printf 'x' > usr/bin/sudo; chown 0:42 usr/bin/sudo; chmod 4755 usr/bin/sudo
        printf 'ping' > usr/bin/ping; setcap cap_net_raw+ep usr/bin/ping
        ln usr/bin/ping usr/bin/ping6
        ln -s ../usr/bin/ping etc/link; ln -s /absolute/nowhere etc/dangling
        ln -s ../../../../above etc/overshoot
        chown -h 7:8 etc/link
        mknod dev/null c 1 3; chmod 666 dev/null; mknod dev/loop b 7 0; chown 0:6 dev/loop
        mkfifo dev/pipe; chmod 620 dev/pipe
        : > empty/file
        truncate -s 5M empty/sparse; printf 'end' | dd of=empty/sparse bs=1 seek=3000000 conv=notrunc status=none
        setfattr -n user.note -v 'a value' etc/motd
        setfattr -n trusted.mine -v 0x00ff00 etc
        chown 3000000000:3000000001 etc/motd
        chmod 1777 empty
        l=$(printf 'n%.0s' $(seq 200)); mkdir -p "deep/$l/$l"; printf 'deep' > "deep/$l/$l/$l"
        ln "deep/$l/$l/$l" "deep/$l/$l/hard"; ln -s "$l/$l/$l/$l" deep/longlink
        printf 'bytes' > "$(printf 'etc/n\377me with space\nand newline')"
        touch -d '1965-03-04 05:06:07.000000008' etc/motd
        touch -d '2021-03-04 05:06:07.123456789' usr/bin/sudo usr/bin
        touch -h -d '2022-03-04 05:06:07.5' etc/link
        touch -d '2300-01-01' empty
    "#;
    run("sh", &["-e", "-c", script], root);
}

#[test]
fn a_tree_comes_back_from_its_tar_as_it_was() {
    if !is_root() {
        return;
    }
    let scratch = scratch();
    let tree = fresh(scratch.path(), "tree");
    make_tree(&tree);
    let options = CreateOptions { root_entry: true, hashed: true, ..CreateOptions::plain() };
    let (tar, created) = create(&tree, &options).unwrap();
    let copy = fresh(scratch.path(), "copy");
    let extracted = extract(&tar, &copy, &ExtractOptions::layer()).unwrap();
    assert_eq!(describe(&copy), describe(&tree));
    assert_eq!(Some(extracted.diff_id), created.digest);
    assert_eq!(extracted.size, created.size);
    assert_eq!(extracted.blob.digest, created.digest);
    assert_eq!(created.digest, Some(dhow_oci::Digest::of(&tar)));
    assert_eq!(extracted.skipped.count, 0, "{:?}", extracted.skipped);
}

#[test]
fn the_same_tree_gives_the_same_bytes_wherever_it_lies() {
    if !is_root() {
        return;
    }
    let scratch = scratch();
    let tree = fresh(scratch.path(), "tree");
    make_tree(&tree);
    let (first, _) = create(&tree, &CreateOptions::layer()).unwrap();
    let copy = fresh(scratch.path(), "copy");
    extract(&first, &copy, &ExtractOptions::layer()).unwrap();
    // Other inodes, another order of the directories on disk, no holes any more.
    let (second, _) = create(&copy, &CreateOptions::layer()).unwrap();
    assert!(first == second);
}

#[test]
fn gnu_tar_unpacks_what_we_make() {
    if !is_root() {
        return;
    }
    let scratch = scratch();
    let tree = fresh(scratch.path(), "tree");
    make_tree(&tree);
    let (tar, _) = create(&tree, &CreateOptions { root_entry: true, ..CreateOptions::plain() }).unwrap();
    fs::write(scratch.path().join("t.tar"), &tar).unwrap();
    let copy = fresh(scratch.path(), "copy");
    let how = ["--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpf", "../t.tar"];
    run("tar", &how, &copy);
    assert_eq!(describe(&copy), describe(&tree));
}

#[test]
fn we_unpack_what_gnu_tar_makes_in_each_of_its_formats() {
    if !is_root() {
        return;
    }
    let scratch = scratch();
    let tree = fresh(scratch.path(), "tree");
    make_tree(&tree);
    for (name, how) in [
        ("pax", &["--format=pax", "--xattrs", "--xattrs-include=*"][..]),
        ("sparse00", &["--format=pax", "--xattrs", "--xattrs-include=*", "-S", "--sparse-version=0.0"]),
        ("sparse01", &["--format=pax", "--xattrs", "--xattrs-include=*", "-S", "--sparse-version=0.1"]),
        ("sparse10", &["--format=pax", "--xattrs", "--xattrs-include=*", "-S", "--sparse-version=1.0"]),
        ("gnu", &["--format=gnu"]),
        ("gnusparse", &["--format=gnu", "-S"]),
    ] {
        let mut arguments = vec!["--numeric-owner", "--sort=name", "-C", "tree", "-cf", "t.tar", "."];
        arguments.splice(0..0, how.iter().copied());
        run("tar", &arguments, scratch.path());
        let tar = fs::read(scratch.path().join("t.tar")).unwrap();
        let copy = fresh(scratch.path(), name);
        extract(&tar, &copy, &ExtractOptions::layer()).unwrap();
        let theirs = fresh(scratch.path(), &format!("{name}-theirs"));
        run("tar", &["--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpf", "../t.tar"], &theirs);
        assert_eq!(describe(&copy), describe(&theirs), "{name}");
    }
}

#[test]
fn a_part_of_this_machine_comes_back_from_its_tar() {
    let source = Path::new("/usr/share/perl");
    if !is_root() || !source.exists() {
        println!("skipped: there is no {}", source.display());
        return;
    }
    let scratch = scratch();
    let copy = fresh(scratch.path(), "copy");
    let (tar, _) = create(source, &CreateOptions::plain()).unwrap();
    extract(&tar, &copy, &ExtractOptions::layer()).unwrap();
    let (mut wanted, mut found) = (describe(source), describe(&copy));
    // The directory itself has no entry.
    wanted.remove(Path::new(""));
    found.remove(Path::new(""));
    assert_eq!(found, wanted);
}
