//! Archives made to do harm: nothing outside the directory changes, and the error names the entry.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use common::{describe, extract, fresh, is_root, scratch, tar_of};
use dhow_store::layer::{ExtractOptions, Extracted, Whiteouts};
use dhow_store::tar::{Entry, EntryKind, Error, Fault};

/// A directory to unpack into, and one beside it that must stay as it is.
struct Trap {
    scratch: tempfile::TempDir,
    into: PathBuf,
    before: String,
}

impl Trap {
    fn new() -> Self {
        let scratch = scratch();
        let outside = fresh(scratch.path(), "outside");
        fs::write(outside.join("canary"), "alive").unwrap();
        fs::create_dir(outside.join("directory")).unwrap();
        let into = fresh(scratch.path(), "into");
        let mut trap = Self { scratch, into, before: String::new() };
        trap.before = trap.outside();
        trap
    }

    /// Everything beside the directory.
    fn outside(&self) -> String {
        let mut all = describe(self.scratch.path());
        all.retain(|path, _| !path.starts_with("into") && !path.as_os_str().is_empty());
        format!("{all:?}")
    }

    fn unpack(&self, tar: &[u8], options: &ExtractOptions) -> Result<Extracted, Error> {
        let result = extract(tar, &self.into, options);
        assert_eq!(self.outside(), self.before);
        result
    }

    fn path(&self, name: &str) -> PathBuf {
        self.into.join(name)
    }
}

/// One of everything that an archive can make, at a name.
fn everything_at(name: &str) -> Vec<(Entry, &'static [u8])> {
    let with = |kind, mode| Entry::new(name, kind, mode);
    let beside = |prefix: &str| match name.rsplit_once('/') {
        Some((directory, last)) => format!("{directory}/{prefix}{last}"),
        None => format!("{prefix}{name}"),
    };
    vec![
        (with(EntryKind::File, 0o4755), b"owned"),
        (with(EntryKind::Directory, 0o777), b""),
        (with(EntryKind::Symlink(b"/etc".to_vec()), 0o777), b""),
        (with(EntryKind::HardLink(b"file".to_vec()), 0o644), b""),
        (with(EntryKind::CharDevice(1, 3), 0o666), b""),
        (with(EntryKind::BlockDevice(7, 0), 0o666), b""),
        (with(EntryKind::Fifo, 0o666), b""),
        (Entry::file(beside(".wh."), 0), b""),
        (
            Entry::file(
                format!("{}.wh..wh..opq", &name[..name.len() - name.rsplit('/').next().unwrap().len()]),
                0,
            ),
            b"",
        ),
    ]
}

const FORMS: [Whiteouts; 2] = [Whiteouts::Overlay, Whiteouts::Keep];

#[test]
fn names_that_climb_out_are_refused() {
    if !is_root() {
        return;
    }
    for name in [
        "../canary",
        "../outside/canary",
        "a/../../outside/canary",
        "/../outside/canary",
        "./../outside/x",
        "//..//outside/canary",
        "a/b/../../../outside/canary",
        "../../../../../../../../tmp/dhow-escaped",
    ] {
        for (entry, contents) in everything_at(name) {
            for whiteouts in FORMS {
                let trap = Trap::new();
                let tar = tar_of(&[(Entry::file("file", 0), b"f"), (entry.clone(), contents)]);
                let error =
                    trap.unpack(&tar, &ExtractOptions { whiteouts, ..ExtractOptions::layer() }).unwrap_err();
                assert!(error.to_string().contains("leads out of the root"), "{entry:?}: {error}");
                assert!(error.entry().is_some_and(|entry| entry.contains("..")), "{error}");
            }
        }
    }
    assert!(!PathBuf::from("/tmp/dhow-escaped").exists());
}

#[test]
fn a_name_deeper_than_the_limit_is_refused() {
    let trap = Trap::new();
    let tar = tar_of(&[(Entry::directory("a/".repeat(600)), b"")]);
    let error = trap.unpack(&tar, &ExtractOptions::layer()).unwrap_err();
    assert!(error.to_string().contains("path has more than 512 components"), "{error}");
}

#[test]
fn absolute_names_are_names_below_the_root() {
    if !is_root() {
        return;
    }
    for name in ["/etc/dhow-hostile", "///etc/dhow-hostile", "/./etc//dhow-hostile", "x/../etc/dhow-hostile"]
    {
        let trap = Trap::new();
        trap.unpack(&tar_of(&[(Entry::file(name, 0), b"x")]), &ExtractOptions::layer()).unwrap();
        assert_eq!(fs::read(trap.path("etc/dhow-hostile")).unwrap(), b"x");
    }
    assert!(!PathBuf::from("/etc/dhow-hostile").exists());
}

#[test]
fn nothing_is_written_through_a_link_out_of_the_root() {
    if !is_root() {
        return;
    }
    let absolute = Trap::new().scratch.path().join("outside");
    for (target, climbs) in [
        ("..", true),
        ("../outside", true),
        ("../../../../../../../..", true),
        ("a/../../outside", true),
        ("./.././outside", true),
        ("/../../outside", true),
        ("/", false),
        ("/outside", false),
        (absolute.to_str().unwrap(), false),
        ("/proc/self/root", false),
        ("/proc/self/cwd/..", false),
    ] {
        for name in ["link/canary", "link/directory/x", "link/new/deep/x"] {
            for (entry, contents) in everything_at(name) {
                for whiteouts in FORMS {
                    let trap = Trap::new();
                    let link = Entry::new("link", EntryKind::Symlink(target.into()), 0o777);
                    let entries = [
                        (Entry::directory("a"), &b""[..]),
                        (Entry::file("file", 0), b"f"),
                        (link, b""),
                        (entry.clone(), contents),
                    ];
                    let options = ExtractOptions { whiteouts, ..ExtractOptions::layer() };
                    let result = trap.unpack(&tar_of(&entries), &options);
                    let said = result.map_or_else(|error| error.to_string(), |_| "nothing".to_owned());
                    assert!(!climbs || said.contains("leads out of the root"), "{target} {entry:?}: {said}");
                }
            }
        }
    }
}

#[test]
fn links_to_links_lead_nowhere_else() {
    if !is_root() {
        return;
    }
    let link =
        |name: &str, target: &str| (Entry::new(name, EntryKind::Symlink(target.into()), 0o777), &b""[..]);
    let file = |name: &str| (Entry { mode: 0o4777, ..Entry::file(name, 0) }, &b"owned"[..]);
    for entries in [
        vec![link("a", "b"), link("b", ".."), file("a/outside/canary")],
        vec![(Entry::directory("d"), &b""[..]), link("d/up", "../.."), file("d/up/outside/canary")],
        vec![link("a", "."), link("a/b", ".."), file("a/b/outside/canary")],
        vec![link("a", "a"), file("a/x")],
        vec![link("a", "b/x"), link("b", "a/x"), file("a/x")],
        vec![(Entry::directory("d/e"), &b""[..]), link("x", "d/e/../../.."), file("x/outside/canary")],
    ] {
        let trap = Trap::new();
        let error = trap.unpack(&tar_of(&entries), &ExtractOptions::layer()).unwrap_err();
        assert_eq!(error.fault(), Fault::Refused, "{error}");
    }
}

#[test]
fn a_link_inside_the_root_is_followed_inside_the_root() {
    if !is_root() {
        return;
    }
    for target in ["usr/lib", "/usr/lib", "./usr/../usr/lib", "/usr/./lib/"] {
        let trap = Trap::new();
        let entries = [
            (Entry::directory("usr/lib"), &b""[..]),
            (Entry::new("lib", EntryKind::Symlink(target.into()), 0o777), b""),
            (Entry::file("lib/libc.so", 0), b"elf"),
            (Entry::directory("lib/sub"), b""),
            (Entry::file("lib/sub/x", 0), b"x"),
            (Entry::new("lib/sub/y", EntryKind::HardLink(b"lib/libc.so".to_vec()), 0o644), b""),
        ];
        trap.unpack(&tar_of(&entries), &ExtractOptions::layer()).unwrap();
        assert_eq!(fs::read(trap.path("usr/lib/libc.so")).unwrap(), b"elf", "{target}");
        assert_eq!(fs::read(trap.path("usr/lib/sub/y")).unwrap(), b"elf");
        assert!(trap.path("lib").symlink_metadata().unwrap().is_symlink());
    }
}

#[test]
fn what_is_at_the_place_of_a_link_replaces_the_link() {
    if !is_root() {
        return;
    }
    for target in ["../outside", "../outside/canary", "/etc"] {
        for (entry, contents) in everything_at("x") {
            let trap = Trap::new();
            let link = Entry::new("x", EntryKind::Symlink(target.into()), 0o777);
            let tar = tar_of(&[(Entry::file("file", 0), b"f"), (link, b""), (entry.clone(), contents)]);
            trap.unpack(&tar, &ExtractOptions::copy_in()).unwrap();
            let name = std::str::from_utf8(&entry.path).unwrap();
            let is_link = trap.path(name).symlink_metadata().unwrap().is_symlink();
            assert_eq!(is_link, matches!(entry.kind, EntryKind::Symlink(_)));
        }
    }
}

#[test]
fn a_link_reached_by_a_second_name_is_not_written_through() {
    if !is_root() {
        return;
    }
    let trap = Trap::new();
    let entries = [
        (Entry::new("s", EntryKind::Symlink(b"../outside/canary".to_vec()), 0o777), &b""[..]),
        (Entry::new("h", EntryKind::HardLink(b"s".to_vec()), 0o777), b""),
        (Entry { mode: 0o4777, uid: 7, ..Entry::file("h", 0) }, b"owned"),
    ];
    trap.unpack(&tar_of(&entries), &ExtractOptions::layer()).unwrap();
    assert_eq!(fs::read(trap.path("h")).unwrap(), b"owned");
    assert!(trap.path("s").symlink_metadata().unwrap().is_symlink());
}

#[test]
fn writing_one_name_of_a_file_leaves_its_other_names_alone() {
    if !is_root() {
        return;
    }
    let trap = Trap::new();
    let entries = [
        (Entry::file("a", 0), &b"first"[..]),
        (Entry::new("b", EntryKind::HardLink(b"a".to_vec()), 0o644), b""),
        (Entry { mode: 0o600, ..Entry::file("b", 0) }, b"second"),
    ];
    trap.unpack(&tar_of(&entries), &ExtractOptions::layer()).unwrap();
    assert_eq!(fs::read(trap.path("a")).unwrap(), b"first");
    assert_eq!(fs::metadata(trap.path("a")).unwrap().permissions().mode() & 0o7777, 0o644);
}

#[test]
fn hard_links_out_of_the_root_are_refused_in_dockers_words() {
    if !is_root() {
        return;
    }
    for target in [
        "../outside/canary",
        "/../outside/canary",
        "a/../../outside/canary",
        "..",
        ".",
        "/",
        "missing",
        "no/such/dir/x",
        "up/outside/canary",
        "file/x",
        "directory",
    ] {
        let trap = Trap::new();
        let entries = [
            (Entry::file("file", 0), &b""[..]),
            (Entry::directory("directory"), b""),
            (Entry::new("up", EntryKind::Symlink(b"..".to_vec()), 0o777), b""),
            (Entry::new("hard", EntryKind::HardLink(target.into()), 0o644), b""),
        ];
        let error = trap.unpack(&tar_of(&entries), &ExtractOptions::layer()).unwrap_err();
        assert_eq!(error.fault(), Fault::Refused, "{target}: {error}");
        let text = error.to_string();
        assert!(
            text.contains(r#"invalid hardlink "hard" -> "#) || text.contains("leads out of the root"),
            "{text}"
        );
        assert!(!trap.path("hard").exists());
    }
}

#[test]
fn the_root_is_a_directory_and_stays_one() {
    if !is_root() {
        return;
    }
    for name in [".", "./", "/", "x/..", "./."] {
        for kind in [
            EntryKind::Symlink(b"../outside".to_vec()),
            EntryKind::HardLink(b"../outside/canary".to_vec()),
            EntryKind::Fifo,
            EntryKind::CharDevice(1, 3),
        ] {
            let trap = Trap::new();
            let tar = tar_of(&[(Entry::new(name, kind, 0o777), b""), (Entry::file("canary", 0), b"x")]);
            let error = trap.unpack(&tar, &ExtractOptions::layer()).unwrap_err();
            assert!(error.to_string().contains("the root of an archive is a directory"), "{error}");
        }
    }
}

#[test]
fn whiteouts_delete_nothing_but_a_name_beside_them() {
    if !is_root() {
        return;
    }
    for name in [".wh.", ".wh..", ".wh...", "a/.wh...", "a/.wh.."] {
        let trap = Trap::new();
        fs::create_dir(trap.path("a")).unwrap();
        fs::write(trap.path("a/keep"), "").unwrap();
        let tar = tar_of(&[(Entry::file(name, 0), b"")]);
        let error = trap.unpack(&tar, &ExtractOptions::layer()).unwrap_err();
        assert!(error.to_string().contains("it names no file"), "{error}");
        assert!(trap.path("a/keep").exists());
    }
}

#[test]
fn overlayfs_marks_cannot_be_smuggled_in() {
    if !is_root() {
        return;
    }
    let trap = Trap::new();
    let marked = |mut entry: Entry| {
        for (name, value) in [
            ("trusted.overlay.opaque", "y"),
            ("trusted.overlay.redirect", "/etc"),
            ("trusted.overlay.metacopy", ""),
            ("trusted.overlay.whiteout", ""),
            ("trusted.overlay.overlay.opaque", "y"),
            ("user.overlay.opaque", "y"),
        ] {
            entry.xattrs.push((name.into(), value.into()));
        }
        (entry, &b""[..])
    };
    let tar = tar_of(&[marked(Entry::directory("d")), marked(Entry::file("f", 0))]);
    let extracted = trap.unpack(&tar, &ExtractOptions::layer()).unwrap();
    assert_eq!(extracted.skipped.count, 12);
    assert!(!format!("{:?}", describe(&trap.into)).contains("overlay"));
    let device = Entry::new("passwd", EntryKind::CharDevice(0, 0), 0o666);
    let error = trap.unpack(&tar_of(&[(device, b"")]), &ExtractOptions::layer()).unwrap_err();
    assert!(error.to_string().contains("overlayfs' own mark"), "{error}");
}

#[test]
fn the_last_entry_of_a_name_counts_whatever_was_there() {
    if !is_root() {
        return;
    }
    for (first, contents) in everything_at("x").into_iter().take(7) {
        for (second, _) in everything_at("x").into_iter().take(7) {
            let trap = Trap::new();
            let mut entries = vec![(Entry::file("file", 0), &b"f"[..]), (first.clone(), contents)];
            if first.is_directory() {
                entries.push((Entry::directory("x/deep/er"), b""));
                entries.push((Entry::file("x/deep/er/file", 0), b"x"));
            }
            entries.push((second.clone(), b""));
            trap.unpack(&tar_of(&entries), &ExtractOptions::layer()).unwrap();
            let meta = trap.path("x").symlink_metadata().unwrap();
            match &second.kind {
                EntryKind::Directory => assert!(meta.is_dir()),
                EntryKind::Symlink(_) => assert!(meta.is_symlink()),
                EntryKind::HardLink(_) => assert_eq!(meta.nlink(), 2),
                EntryKind::File => assert_eq!((meta.len(), meta.mode()), (0, 0o104_755)),
                _ => assert!(!meta.is_dir() && !meta.is_file()),
            }
            assert_eq!(trap.path("x/deep").exists(), first.is_directory() && second.is_directory());
        }
    }
}

#[test]
fn a_file_does_not_become_a_directory_by_what_is_below_it() {
    if !is_root() {
        return;
    }
    let trap = Trap::new();
    let tar = tar_of(&[(Entry::file("f", 0), b"x"), (Entry::file("f/x", 0), b"y")]);
    let error = trap.unpack(&tar, &ExtractOptions::layer()).unwrap_err();
    assert_eq!(error.to_string(), r#"entry "f/x": directory "f" cannot be entered"#);
}

#[test]
fn what_is_copied_into_a_container_keeps_kinds_apart_when_asked_to() {
    if !is_root() {
        return;
    }
    let trap = Trap::new();
    fs::create_dir(trap.path("d")).unwrap();
    fs::write(trap.path("f"), "").unwrap();
    let options =
        ExtractOptions { no_overwrite_dir_non_dir: true, owner: Some((5, 6)), ..ExtractOptions::copy_in() };
    let error = trap.unpack(&tar_of(&[(Entry::file("d", 0), b"x")]), &options).unwrap_err();
    assert!(
        error.to_string().contains(r#"cannot overwrite directory "d" with non-directory "d""#),
        "{error}"
    );
    let error = trap.unpack(&tar_of(&[(Entry::directory("f"), b"")]), &options).unwrap_err();
    assert!(
        error.to_string().contains(r#"cannot overwrite non-directory "f" with directory "f""#),
        "{error}"
    );
    let fine = [
        (Entry::directory("./"), &b""[..]),
        (Entry::directory("d"), b""),
        (Entry::file("f", 0), b"new"),
        (Entry::file(".wh.f", 0), b"w"),
    ];
    trap.unpack(&tar_of(&fine), &options).unwrap();
    assert_eq!(fs::read(trap.path("f")).unwrap(), b"new");
    assert_eq!(fs::read(trap.path(".wh.f")).unwrap(), b"w");
    let meta = fs::metadata(trap.path("f")).unwrap();
    assert_eq!((meta.uid(), meta.gid()), (5, 6));
    // The directory that is copied into is the container's own.
    assert_eq!(fs::metadata(&trap.into).unwrap().uid(), 0);
}

/// Times are set last: that of a directory that was since replaced, by way of a link, went through the
/// link that came instead, to another directory or to none.
#[test]
fn a_directory_that_was_replaced_by_way_of_a_link_leaves_no_time_behind() {
    if !is_root() {
        return;
    }
    let link =
        |path: &str, target: &str| (Entry::new(path, EntryKind::Symlink(target.into()), 0o777), &b""[..]);
    let mut directory = Entry::directory("a/b");
    directory.modified.seconds = 77;
    let tar = tar_of(&[
        link("way", "a"),
        (directory, b""),
        (Entry::directory("other"), b""),
        link("way/b", "../other"),
    ]);
    let trap = Trap::new();
    trap.unpack(&tar, &ExtractOptions::layer()).unwrap();
    assert_eq!(fs::metadata(trap.path("other")).unwrap().mtime(), 0);
    let looped = tar_of(&[link("b", "a"), (Entry::file("a/a/a", 0), b""), link("b/a", "a")]);
    Trap::new().unpack(&looped, &ExtractOptions::layer()).unwrap();
}

/// The kernel takes 32 bits of a device number: 4096:0 was made as 0:0, which deletes a file of the layer below.
#[test]
fn a_device_number_that_linux_would_cut_off_is_refused() {
    for (major, minor) in [(4_096, 0), (0, 1 << 20), (4_096, 1 << 20)] {
        let device = EntryKind::CharDevice(major, minor);
        let tar = tar_of(&[(Entry::new("passwd", device, 0o666), b"")]);
        let error = Trap::new().unpack(&tar, &ExtractOptions::layer()).unwrap_err();
        assert_eq!(error.to_string(), format!("entry \"passwd\": device number {major}:{minor}"));
    }
}
