//! Writable layers: what changed, what goes in and out, and what lies over them.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

in_both_formats! {
    what_a_container_changed_is_listed_and_counted,
    an_image_without_layers_and_no_image_are_empty_roots,
    small_files_are_read_inside_the_root_only,
    paths_are_copied_out_as_clients_expect,
    archives_go_in_and_nowhere_else,
    volumes_and_binds_lie_over_a_container_that_does_not_run,
    what_a_running_container_has_mounted_is_not_seen_and_stays,
    a_new_volume_has_what_the_image_has_there,
    a_container_that_nobody_recorded_is_cleared_away,
    many_look_into_a_container_with_volumes_at_once,
    a_tree_deeper_than_any_path_is_counted_and_removed,
}

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use dhow_model::container::{MountKind, MountPoint};
use dhow_model::ports::{
    ArchiveOptions, ArchiveTarget, ChangeKind, Durability, Snapshots as _, VolumeRequest, Volumes as _,
};
use dhow_model::{ContainerId, Kind, Result};
use dhow_store::LayerFormat;
use support::{Place, names, place, tar, target};

fn read(place: &Place, target: &ArchiveTarget, path: &str) -> Result<Vec<(String, String)>> {
    let mut out = Vec::new();
    place.store.snapshots.read_archive(target, Path::new(path), &mut |_| Ok(()), &mut out)?;
    Ok(list(&out))
}

fn list(archive: &[u8]) -> Vec<(String, String)> {
    let mut reader = dhow_store::tar::Reader::new(archive, dhow_store::tar::Limits::default());
    let mut found = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let mut contents = String::new();
        reader.contents().read_to_string(&mut contents).unwrap();
        found.push((String::from_utf8(entry.path).unwrap(), contents));
    }
    found
}

fn write(place: &Place, target: &ArchiveTarget, path: &str, tar: &[u8]) -> Result<()> {
    place.store.snapshots.write_archive(target, Path::new(path), ArchiveOptions::default(), &mut &tar[..])
}

fn bind(source: &Path, destination: &str, writable: bool) -> MountPoint {
    MountPoint { source: source.into(), writable, ..MountPoint::new(MountKind::Bind, destination.into()) }
}

fn what_a_container_changed_is_listed_and_counted(format: LayerFormat) {
    let place = place(format);
    let image = place.import("base", &tar(&[("etc/", ""), ("etc/motd", "hello\n"), ("old", "x")]));
    let id = place.container(1, Some(&image));
    place.run(&id, "echo more >>etc/motd; rm old; mkdir new; printf 12345 >new/file");
    let changes = place.store.snapshots.changes(&id).unwrap();
    let changes: Vec<(ChangeKind, &str)> =
        changes.iter().map(|change| (change.kind, change.path.to_str().unwrap())).collect();
    assert_eq!(
        changes,
        [
            (ChangeKind::Modified, "/etc"),
            (ChangeKind::Modified, "/etc/motd"),
            (ChangeKind::Added, "/new"),
            (ChangeKind::Added, "/new/file"),
            (ChangeKind::Deleted, "/old"),
        ]
    );
    let usage = place.store.snapshots.usage(&id).unwrap();
    assert_eq!((usage.writable, usage.total), (16, 16 + place.layers_on_disk()));

    let mut out = Vec::new();
    place.store.snapshots.export(&target(&id), &mut out).unwrap();
    let exported = list(&out);
    assert!(exported.contains(&("etc/motd".into(), "hello\nmore\n".into())), "{exported:?}");
    assert!(!exported.iter().any(|(path, _)| path == "old"));
}

fn an_image_without_layers_and_no_image_are_empty_roots(format: LayerFormat) {
    let place = place(format);
    let id = place.container(1, None);
    place.run(&id, "test \"$(echo *)\" = 'dev etc proc sys'; test $(stat -c %a .) = 755; touch file");
    assert_eq!(place.store.snapshots.read_file(&id, None, Path::new("/etc/passwd"), 100).unwrap(), None);
}

fn small_files_are_read_inside_the_root_only(format: LayerFormat) {
    let place = place(format);
    let image = place.import("base", &tar(&[("etc/", ""), ("etc/passwd", "root:x:0:0\n")]));
    let id = place.container(1, Some(&image));
    let upper = place.upper(&id);
    symlink("/etc/os-release", upper.join("out")).unwrap();
    symlink("../../../../etc/passwd", upper.join("in")).unwrap();
    Command::new("mkfifo").arg(upper.join("pipe")).status().unwrap();
    Command::new("mknod").arg(upper.join("null")).args(["c", "1", "3"]).status().unwrap();
    let read = |path: &str, limit| place.store.snapshots.read_file(&id, None, Path::new(path), limit);
    assert_eq!(read("/etc/passwd", 100).unwrap().unwrap(), b"root:x:0:0\n");
    assert_eq!(read("/in", 100).unwrap().unwrap(), b"root:x:0:0\n");
    for none in ["/out", "/pipe", "/null", "/etc", "/etc/passwd/x", "/absent"] {
        assert_eq!(read(none, 100).unwrap(), None, "{none}");
    }
    assert!(read("/etc/passwd", 5).unwrap_err().report().contains("more than 5 bytes"));
}

fn paths_are_copied_out_as_clients_expect(format: LayerFormat) {
    let place = place(format);
    let image = place.import("base", &tar(&[("a/", ""), ("a/b/", ""), ("a/b/file", "1"), ("a/c", "2")]));
    let id = place.container(1, Some(&image));
    symlink("a/b", place.upper(&id).join("link")).unwrap();
    symlink("/nowhere", place.upper(&id).join("dangling")).unwrap();
    let target = target(&id);
    let names = |path: &str| -> Vec<String> {
        read(&place, &target, path).unwrap().into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(names("/a"), ["a/", "a/b/", "a/b/file", "a/c"]);
    assert_eq!(names("/a/."), ["./", "./b/", "./b/file", "./c"]);
    assert_eq!(names("a/c"), ["c"]);
    assert_eq!(names("/link"), ["link"]);
    assert_eq!(names("/link/"), ["link/", "link/file"]);
    assert_eq!(names("/../link/../a/c"), ["c"]);
    assert!(names("/").contains(&"/a/c".into()), "{:?}", names("/"));

    let stat = |path: &str| place.store.snapshots.stat(&target, Path::new(path));
    let link = stat("/link").unwrap();
    assert_eq!((link.name.as_str(), link.link_target.as_str(), link.mode), ("link", "/a/b", 0x0800_01ff));
    assert_eq!(stat("/dangling").unwrap().link_target, "/nowhere");
    assert_eq!(stat("/link/.").unwrap().mode, 0x8000_01ed);
    let absent = stat("/absent").unwrap_err();
    assert_eq!(absent.kind(), Kind::NotFound);
    assert_eq!(absent.report(), format!("Could not find the file /absent in container {id}"));
}

fn archives_go_in_and_nowhere_else(format: LayerFormat) {
    let place = place(format);
    let image = place.import("base", &tar(&[("a/", ""), ("file", "1")]));
    let id = place.container(1, Some(&image));
    let outside = place.directory.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    symlink(&outside, place.upper(&id).join("escape")).unwrap();
    let container = target(&id);
    write(&place, &container, "/a", &tar(&[("new/", ""), ("new/file", "x")])).unwrap();
    write(&place, &container, "/", &tar(&[("escape/file", "x")])).unwrap();
    assert!(names(&outside).is_empty());
    assert_eq!(read(&place, &container, "/a/new/file").unwrap()[0].1, "x");
    place.run(&id, "test $(cat a/new/file) = x; echo y >a/new/file");

    let refused = write(&place, &container, "/file", &tar(&[])).unwrap_err();
    assert_eq!(refused.report(), "extraction point is not a directory");
    let refused = write(&place, &container, "/absent", &tar(&[])).unwrap_err();
    assert_eq!(refused.kind(), Kind::NotFound);
    let read_only = ArchiveTarget { read_only: true, ..container };
    let refused = write(&place, &read_only, "/a", &tar(&[])).unwrap_err();
    assert_eq!(
        (refused.kind(), refused.report().as_str()),
        (Kind::Forbidden, "container rootfs is marked read-only")
    );
}

fn volumes_and_binds_lie_over_a_container_that_does_not_run(format: LayerFormat) {
    let place = place(format);
    let image = place.import("base", &tar(&[("data/", ""), ("data/hidden", "1")]));
    let id = place.container(1, Some(&image));
    let host = place.directory.path().join("host");
    std::fs::create_dir_all(host.join("below")).unwrap();
    std::fs::write(host.join("below/file"), "of the host").unwrap();
    let before = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mut container = target(&id);
    container.mounts = vec![bind(&host.join("below"), "/data/inner", false), bind(&host, "/data", true)];
    let found = read(&place, &container, "/data/below/file").unwrap();
    assert_eq!(found, [("file".into(), "of the host".into())]);
    write(&place, &container, "/data", &tar(&[("new", "from outside")])).unwrap();
    assert_eq!(std::fs::read_to_string(host.join("new")).unwrap(), "from outside");
    let refused = write(&place, &container, "/data/inner", &tar(&[])).unwrap_err();
    assert_eq!(refused.report(), "mounted volume is marked read-only");
    // What lies over it goes not into the layer, and the host has seen no mount.
    assert!(!place.upper(&id).join("data/new").exists());
    assert_eq!(std::fs::read_to_string("/proc/self/mountinfo").unwrap(), before);
}

/// A process in the container's tree, until it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn start(place: &Place, id: &ContainerId) -> Option<Running> {
    let script = "mount -t tmpfs tmpfs tmp; echo inside >tmp/file; \
                  exec chroot . /busybox sh -c '/busybox echo ready; exec /busybox cat'";
    let mut command = Command::new("sh");
    command.args(["-ec", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = place.spawn(id, command);
    let mut ready = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
    Some(Running(child))
}

fn what_a_running_container_has_mounted_is_not_seen_and_stays(format: LayerFormat) {
    let busybox = std::fs::read("/bin/busybox").unwrap_or_default();
    if busybox.is_empty() {
        eprintln!("not run: needs /bin/busybox");
        return;
    }
    let place = place(format);
    let mut archive = dhow_store::tar::Writer::new(Vec::new());
    let mut entry = dhow_store::tar::Entry::file("busybox", busybox.len() as u64);
    entry.mode = 0o755;
    archive.append(&entry, &mut &busybox[..]).unwrap();
    archive.append(&dhow_store::tar::Entry::directory("tmp/"), &mut std::io::empty()).unwrap();
    let image = place.import("busybox", &archive.finish().unwrap());
    let (id, other) = (place.container(1, Some(&image)), place.container(2, Some(&image)));
    let mut running = start(&place, &id).unwrap();
    let pid = i32::try_from(running.0.id()).unwrap();
    let container = ArchiveTarget { pid: Some(pid), ..target(&id) };
    // What is only mounted there is not of the container's files, and stays where it is.
    assert_eq!(read(&place, &container, "/tmp/file").unwrap_err().kind(), Kind::NotFound);
    write(&place, &container, "/tmp", &tar(&[("new", "x")])).unwrap();
    assert_eq!(read(&place, &container, "/tmp/new").unwrap()[0].1, "x");
    assert!(place.upper(&id).join("tmp/new").exists());
    let refused = write(&place, &container, "/", &tar(&[("tmp", "a file")])).unwrap_err();
    assert!(refused.report().contains("unlinkat /tmp: device or resource busy"), "{}", refused.report());
    let inside = std::fs::read_to_string(format!("/proc/{pid}/root/tmp/file"));
    assert_eq!(inside.unwrap(), "inside\n");
    // Somebody else's process is not taken for the container's.
    let refused = read(&place, &ArchiveTarget { pid: Some(pid), ..target(&other) }, "/tmp/file").unwrap_err();
    assert_eq!(refused.kind(), Kind::Conflict);
    let own = i32::try_from(std::process::id()).unwrap();
    assert!(read(&place, &ArchiveTarget { pid: Some(own), ..target(&id) }, "/etc/hostname").is_err());
    running.0.stdin.as_mut().unwrap().flush().unwrap();
}

fn a_new_volume_has_what_the_image_has_there(format: LayerFormat) {
    let place = place(format);
    let image = place.import("base", &tar(&[("data/", ""), ("data/file", "1"), ("data/sub/", "")]));
    let id = place.container(1, Some(&image));
    place.run(
        &id,
        "chown 7:8 data/file; chmod 1770 data; ln data/file data/hard; ln -s file data/soft; chown 5 data",
    );
    let request =
        |name: &str| VolumeRequest { name: name.into(), driver: "local".into(), ..VolumeRequest::default() };
    let volume = place.store.volumes.create(request("vol")).unwrap();
    place.store.volumes.populate("vol", &id, Path::new("/data"), Durability::Committed).unwrap();
    assert_eq!(names(&volume.mountpoint), ["file", "hard", "soft", "sub"]);
    let file = std::fs::metadata(volume.mountpoint.join("file")).unwrap();
    assert_eq!((file.uid(), file.gid(), file.nlink()), (7, 8, 2));
    let data = std::fs::metadata(&volume.mountpoint).unwrap();
    assert_eq!((data.uid(), data.mode() & 0o7777), (5, 0o1770));
    assert_eq!(place.store.volumes.usage("vol").unwrap(), 1);
    // One that is not empty stays as it is.
    std::fs::write(volume.mountpoint.join("file"), "changed").unwrap();
    place.store.volumes.populate("vol", &id, Path::new("/data"), Durability::Committed).unwrap();
    assert_eq!(std::fs::read_to_string(volume.mountpoint.join("file")).unwrap(), "changed");
    place.store.volumes.create(request("other")).unwrap();
    place.store.volumes.populate("other", &id, Path::new("/data/file"), Durability::Committed).unwrap();

    // The power went when another volume's files were copied, and before all of them were moved in.
    let whole = place.root().join("volumes/other/whole");
    std::fs::create_dir_all(whole.join("sub")).unwrap();
    std::fs::write(whole.join("file"), "2").unwrap();

    let place = place.reopen();
    assert_eq!(place.store.volumes.get("vol").unwrap().unwrap(), volume);
    assert_eq!(names(&place.root().join("volumes/other/data")), ["file", "sub"]);
    assert!(!whole.exists());
    assert_eq!(place.store.volumes.create(request("vol")).unwrap().created, volume.created);
    assert_eq!(place.store.volumes.list().unwrap().len(), 2);
    place.store.volumes.remove("vol").unwrap();
    assert_eq!(place.store.volumes.remove("vol").unwrap_err().kind(), Kind::NotFound);
    assert!(!volume.mountpoint.exists());
    assert!(place.store.volumes.create(request("../x")).is_err());
    assert_eq!(names(&place.root().join("volumes")), ["other"]);
}

fn a_container_that_nobody_recorded_is_cleared_away(format: LayerFormat) {
    let place = place(format);
    let image = place.import("base", &tar(&[("file", "1")]));
    let id = place.container(1, Some(&image));
    std::fs::write(place.upper(&id).join("file"), "2").unwrap();
    assert_eq!(place.store.snapshots.list().unwrap(), std::slice::from_ref(&id));
    let refused = place.store.snapshots.prepare(&id, Some(&image), Durability::Relaxed, 0).unwrap_err();
    assert_eq!(refused.kind(), Kind::Conflict);
    let place = place.reopen();
    assert!(place.store.snapshots.list().unwrap().is_empty());
    assert!(names(&place.root().join("containers")).is_empty());
    place.store.snapshots.remove(&id).unwrap();
}

fn many_look_into_a_container_with_volumes_at_once(format: LayerFormat) {
    let place = place(format);
    let image = place.import("base", &tar(&[("file", "1")]));
    let id = place.container(1, Some(&image));
    let host = place.directory.path().join("host");
    std::fs::create_dir(&host).unwrap();
    let mut container = target(&id);
    container.mounts = vec![bind(&host, "/data", true)];
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (place, container) = (&place, &container);
            scope.spawn(move || {
                let name = format!("file{number}");
                for _ in 0..5 {
                    write(place, container, "/data", &tar(&[(&name, "x")])).unwrap();
                    write(place, container, "/", &tar(&[(&name, "y")])).unwrap();
                    assert_eq!(read(place, container, &format!("/{name}")).unwrap()[0].1, "y");
                }
            });
        }
    });
    assert_eq!((names(&host).len(), place.store.snapshots.usage(&id).unwrap().writable), (8, 8));
}

fn a_tree_deeper_than_any_path_is_counted_and_removed(format: LayerFormat) {
    let place = place(format);
    let id = place.container(1, None);
    let deep = "perl -e 'for (1..1500) { mkdir \"deep-directory\"; chdir \"deep-directory\" or die } open(F, \">\", \"file\")'";
    place.run(&id, &format!("printf 12345 >file; {deep}"));
    assert_eq!(place.store.snapshots.usage(&id).unwrap().writable, 5);
    place.store.snapshots.remove(&id).unwrap();
    let place = place.reopen();
    let support::Place { directory, store, .. } = place;
    drop(store);
    assert!(names(&directory.path().join("store/trash")).is_empty());
}
