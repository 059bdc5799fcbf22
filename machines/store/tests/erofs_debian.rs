//! A whole Debian system as a layer: imported, mounted, and compared file by file with what GNU tar unpacks.
//!
//! The system is what `debootstrap --variant=minbase` installs, taken from the machine's own files: those of all
//! packages that are required, and of what they need. `DHOW_DEBIAN_TREE` names another directory to take.

#![allow(clippy::unwrap_used)]

mod common;
mod erofs;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{describe, fresh, is_root};
use dhow_model::ports::{Images as _, ImportRequest};
use dhow_store::{LayerFormat, Options, Store};
use erofs::{mount, mount_files, mount_works, path};

/// The files of the packages that are required here, each below its real directory: `/bin` is a link.
fn required() -> Option<BTreeSet<PathBuf>> {
    let script = "dpkg -L $(dpkg-query -W -f='${Package} ${Essential} ${Priority}\\n' | \
                  awk '$2 == \"yes\" || $3 == \"required\" { print $1 }' | sort -u)";
    let told = Command::new("sh").args(["-c", script]).output().ok().filter(|out| out.status.success())?;
    let mut files: BTreeSet<PathBuf> =
        ["bin", "sbin", "lib", "lib64", "dev/null", "dev/full", "etc/ld.so.cache"].map(PathBuf::from).into();
    for line in String::from_utf8_lossy(&told.stdout).lines().map(Path::new) {
        let (Some(above), Some(name)) = (line.parent(), line.file_name()) else { continue };
        let Ok(above) = fs::canonicalize(above) else { continue };
        files.extend(above.join(name).strip_prefix("/").map(Path::to_path_buf));
    }
    // What the kernel shows there is nobody's file.
    let alive = |file: &PathBuf| ["proc", "sys", "run", "tmp"].iter().any(|name| file.starts_with(name));
    files.retain(|file| Path::new("/").join(file).symlink_metadata().is_ok() && !alive(file));
    Some(files)
}

/// Writes the tar; tells whether there is a Debian system to write.
fn write_tar(scratch: &Path, tar: &Path) -> bool {
    let list = scratch.join("list");
    let root = std::env::var("DHOW_DEBIAN_TREE").unwrap_or_else(|_| "/".into());
    let mut options = vec!["-c", "--format=posix", "--xattrs", "--xattrs-include=*", "--sparse", "-f"];
    options.push(tar.to_str().unwrap());
    if root == "/" {
        let Some(files) = required().filter(|files| files.len() > 1_000) else { return false };
        let lines: Vec<&str> = files.iter().filter_map(|file| file.to_str()).collect();
        fs::write(&list, lines.join("\n")).unwrap();
        options.extend(["--no-recursion", "-T", list.to_str().unwrap()]);
    } else {
        options.push(".");
    }
    let made = Command::new("tar").args(&options).current_dir(&root).output().unwrap();
    // 1 is a directory in which somebody else made a file meanwhile.
    assert!(matches!(made.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&made.stderr));
    true
}

/// Both trees, path by path, but for the root, of which the tar says nothing.
fn assert_equal(wanted: &BTreeMap<PathBuf, String>, found: &Path, whose: &str) {
    let mut found = describe(found);
    for (path, text) in wanted.iter().filter(|(path, _)| !path.as_os_str().is_empty()) {
        assert_eq!(found.remove(path).as_ref(), Some(text), "{whose}: {}", path.display());
    }
    found.remove(Path::new(""));
    assert_eq!(found, BTreeMap::new(), "{whose}: files that the tar does not have");
}

#[test]
fn a_whole_debian_system_is_shown_as_it_is_unpacked() {
    if !is_root() || !mount_works() {
        return;
    }
    let scratch = erofs::on_disk();
    let tar = scratch.path().join("debian.tar");
    if !write_tar(scratch.path(), &tar) {
        println!("skipped: this is no Debian system, and DHOW_DEBIAN_TREE names none");
        return;
    }
    let tree = fresh(scratch.path(), "tree");
    let unpack = ["-x", "-p", "--same-owner", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-f"];
    common::run("tar", &[&unpack[..], &[tar.to_str().unwrap()]].concat(), &tree);
    let wanted = describe(&tree);
    println!("{} files, {} bytes", wanted.len(), fs::metadata(&tar).unwrap().len());

    for format in [LayerFormat::Tar, LayerFormat::Directory] {
        let root = scratch.path().join(format!("{format:?}"));
        let store = Store::open_with(&root, Options { layers: Some(format) }).unwrap();
        let mut file = fs::File::open(&tar).unwrap();
        let image = store.images.import(ImportRequest::default(), &mut file).unwrap();
        let layer = store.images.layers(&image).unwrap()[0].diff_id;
        let place = root.join("layers").join(layer.hex());
        match format {
            LayerFormat::Tar => {
                let mounted = mount_files(&place.join("index.erofs"), &place.join("layer.tar")).unwrap();
                assert_equal(&wanted, &path(&mounted), "the layer that is mounted");
            }
            LayerFormat::Directory => assert_equal(&wanted, &place.join("fs"), "the layer that is unpacked"),
        }
    }
    if erofs::fsck_works() {
        mount(&fs::read(&tar).unwrap()).assert_clean();
    }
}
