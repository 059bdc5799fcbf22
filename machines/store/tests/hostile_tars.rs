//! Archives made to do harm: nothing outside the directory changes, and the error names the entry.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use common::{Raw, archive, describe, extract, fresh, is_root, scratch, tar_of};
use dhow_store::layer::{ExtractOptions, Extracted, Whiteouts};
use dhow_store::tar::{Entry, EntryKind, Error, Fault, Limits};

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

const FORMS: [Whiteouts; 3] = [Whiteouts::Overlay, Whiteouts::Apply, Whiteouts::Keep];

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
                    if climbs {
                        let error = result.unwrap_err();
                        assert!(
                            error.to_string().contains("leads out of the root"),
                            "{target} {entry:?}: {error}"
                        );
                        assert_eq!(error.fault(), Fault::Refused);
                    }
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
        for whiteouts in [Whiteouts::Overlay, Whiteouts::Apply] {
            let trap = Trap::new();
            fs::create_dir(trap.path("a")).unwrap();
            fs::write(trap.path("a/keep"), "").unwrap();
            let options = ExtractOptions { whiteouts, ..ExtractOptions::layer() };
            let error = trap.unpack(&tar_of(&[(Entry::file(name, 0), b"")]), &options).unwrap_err();
            assert!(error.to_string().contains("it names no file"), "{error}");
            assert!(trap.path("a/keep").exists());
        }
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
fn lying_headers_are_refused_each_for_what_it_is() {
    let file = || Raw::new(b'0', "file");
    let x = |records: &[(&str, &str)]| vec![Raw::pax(records), file()];
    let sparse = |records: &[(&str, &str)], data: &[u8]| vec![Raw::pax(records), file().data(data)];
    let table: Vec<(&str, Vec<Raw>)> = vec![
        ("size -", vec![file().with(124, &[0xff; 12])]),
        ("size does not fit", vec![file().with(124, &[0xbf; 12])]),
        ("size is no octal number", vec![file().with(124, b"-0000000001\0")]),
        ("size is no octal number", vec![file().with(124, b"0x000000010\0")]),
        ("mode is no octal number", vec![file().with(100, b"rwxr-xr-")]),
        ("owner -", vec![file().with(108, &[0xff; 8])]),
        ("is out of range", vec![file().with(108, &[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff])]),
        ("is out of range", x(&[("uid", "4294967295")])),
        ("is out of range", x(&[("gid", "99999999999")])),
        ("owner is no number", x(&[("uid", "-1")])),
        ("an entry has no name", vec![Raw::new(b'0', "")]),
        ("only a regular file has contents", vec![Raw::new(b'5', "d/").data(b"x")]),
        ("only a regular file has contents", vec![Raw::new(b'2', "l").link("t").data(b"x")]),
        ("only a regular file has contents", vec![Raw::new(b'1', "l").link("t").data(b"x")]),
        ("only a regular file has contents", vec![Raw::new(b'6', "p").data(b"x")]),
        ("only a regular file has contents", vec![Raw::new(b'0', "old-directory/").data(b"x")]),
        ("link has no target", vec![Raw::new(b'2', "l")]),
        ("link has no target", vec![Raw::new(b'1', "l")]),
        ("unhandled tar header type 77", vec![Raw::new(b'M', "multivolume")]),
        ("unhandled tar header type 86", vec![Raw::new(b'V', "label")]),
        ("unhandled tar header type 90", vec![Raw::new(b'Z', "what")]),
        ("header says 0 bytes, extended header 512", vec![Raw::pax(&[("size", "512")]), file(), file()]),
        (
            "header says 512 bytes, extended header 0",
            vec![Raw::pax(&[("size", "0")]), file().data(&[b'x'; 512])],
        ),
        ("size is no number", x(&[("size", "-5")])),
        ("size is no number", x(&[("size", "99999999999999999999999")])),
        ("extended header says path twice", x(&[("path", "a"), ("path", "b")])),
        ("extended header says linkpath twice", x(&[("linkpath", "a"), ("linkpath", "b")])),
        ("extended header says size twice", x(&[("size", "0"), ("size", "0")])),
        ("has a NUL byte", x(&[("path", "a\0b")])),
        ("has a NUL byte", x(&[("linkpath", "a\0b")])),
        ("time \"1.x\" is no number", x(&[("mtime", "1.x")])),
        ("time is no number", x(&[("mtime", "now")])),
        ("extended header is malformed", vec![Raw::new(b'x', "x").data(b"9999 path=a\n"), file()]),
        ("extended header is malformed", vec![Raw::new(b'x', "x").data(b"11 path=abc"), file()]),
        ("extended header is malformed", vec![Raw::new(b'x', "x").data(b"-5 path=a\n"), file()]),
        ("extended header is malformed", vec![Raw::new(b'x', "x").data(b"0 path=a\n"), file()]),
        ("extended header is malformed", vec![Raw::new(b'x', "x").data(b"8 pathx\n"), file()]),
        ("extended header is malformed", vec![Raw::new(b'x', "x").data(b"5 =x\n"), file()]),
        (
            "extended header is malformed",
            vec![Raw::new(b'x', "x").data(b"99999999999999999999999 path=a\n"), file()],
        ),
        ("two extended headers of one kind", vec![Raw::pax(&[]), Raw::pax(&[("path", "b")]), file()]),
        (
            "two extended headers of one kind",
            vec![Raw::new(b'L', "l").data(b"a"), Raw::new(b'L', "l").data(b"b"), file()],
        ),
        (
            "two extended headers of one kind",
            vec![Raw::new(b'K', "l").data(b"a"), Raw::new(b'K', "l").data(b"b"), file()],
        ),
        (
            "two headers give it another name",
            vec![Raw::new(b'L', "l").data(b"a"), Raw::pax(&[("path", "b")]), file()],
        ),
        (
            "two headers give it another link target",
            vec![Raw::new(b'K', "l").data(b"a"), Raw::pax(&[("linkpath", "b")]), Raw::new(b'2', "s")],
        ),
        ("long name", vec![Raw::new(b'L', "l").data(b"a\0b\0"), file()]),
        ("archive ends after an extended header", vec![Raw::pax(&[("path", "a")])]),
        ("archive ends after an extended header", vec![Raw::new(b'L', "l").data(b"a")]),
        (
            "global extended header between",
            vec![Raw::pax(&[("path", "a")]), Raw::new(b'g', "g").data(b"12 comment=\n"), file()],
        ),
        ("global extended header sets", vec![Raw::new(b'g', "g").data(b"10 path=a\n"), file()]),
        ("global extended header sets", vec![Raw::new(b'g', "g").data(b"10 size=5\n"), file()]),
        ("name is longer than 4096 bytes", x(&[("path", &"n".repeat(5000))])),
        (
            "link target is longer than 4096 bytes",
            vec![Raw::pax(&[("linkpath", &"n".repeat(5000))]), Raw::new(b'2', "l")],
        ),
        ("path has more than 512 components", x(&[("path", &"a/".repeat(600))])),
        ("extended attribute has no name", x(&[("SCHILY.xattr.", "v")])),
        ("is not encoded as it should be", x(&[("LIBARCHIVE.xattr.user.a", "!!!!")])),
        ("is not encoded as it should be", x(&[("LIBARCHIVE.xattr.user.%zz", "YQ")])),
        (
            "sparse map has an odd number",
            sparse(&[("GNU.sparse.size", "9"), ("GNU.sparse.map", "0,1,2")], b"x"),
        ),
        (
            "sparse map is not in order",
            sparse(&[("GNU.sparse.size", "9"), ("GNU.sparse.map", "5,1,0,1")], b"xx"),
        ),
        (
            "sparse map is not in order",
            sparse(&[("GNU.sparse.size", "9"), ("GNU.sparse.map", "0,2,1,2")], b"xxxx"),
        ),
        ("sparse map goes beyond", sparse(&[("GNU.sparse.size", "9"), ("GNU.sparse.map", "8,2")], b"xx")),
        (
            "sparse map goes beyond",
            sparse(&[("GNU.sparse.size", "9"), ("GNU.sparse.map", "18446744073709551615,2")], b"xx"),
        ),
        (
            "sparse map tells of 1 bytes, 5 are stored",
            sparse(&[("GNU.sparse.size", "9"), ("GNU.sparse.map", "0,1")], b"xxxxx"),
        ),
        (
            "sparse map tells of 5 bytes, 1 are stored",
            sparse(&[("GNU.sparse.size", "9"), ("GNU.sparse.map", "0,5")], b"x"),
        ),
        ("sparse file without its size", sparse(&[("GNU.sparse.map", "0,1")], b"x")),
        (
            "another number of pieces",
            sparse(
                &[("GNU.sparse.size", "9"), ("GNU.sparse.numblocks", "3"), ("GNU.sparse.map", "0,1")],
                b"x",
            ),
        ),
        ("offset without a length", sparse(&[("GNU.sparse.size", "9"), ("GNU.sparse.offset", "0")], b"")),
        ("length without an offset", sparse(&[("GNU.sparse.size", "9"), ("GNU.sparse.numbytes", "0")], b"")),
        ("unknown sparse record", sparse(&[("GNU.sparse.what", "9")], b"")),
        (
            "sparse format 2.0 is not known",
            sparse(&[("GNU.sparse.major", "2"), ("GNU.sparse.realsize", "9")], b""),
        ),
        (
            "file of 18446744073709551615 bytes",
            sparse(&[("GNU.sparse.size", "18446744073709551615"), ("GNU.sparse.map", "0,1")], b"x"),
        ),
        (
            "sparse map does not end",
            sparse(&[("GNU.sparse.major", "1"), ("GNU.sparse.realsize", "9")], b"9\n"),
        ),
        (
            "sparse map does not end",
            sparse(&[("GNU.sparse.major", "1"), ("GNU.sparse.realsize", "9")], &[b'1'; 512]),
        ),
        (
            "too many pieces",
            sparse(
                &[("GNU.sparse.major", "1"), ("GNU.sparse.realsize", "9")],
                &[&b"99999999\n"[..], &[b'0'; 503]].concat(),
            ),
        ),
        (
            "sparse count is no number",
            sparse(&[("GNU.sparse.major", "1"), ("GNU.sparse.realsize", "9")], &[b'\n'; 512]),
        ),
        (
            "only a regular file can be sparse",
            vec![Raw::pax(&[("GNU.sparse.size", "9"), ("GNU.sparse.map", "")]), Raw::new(b'5', "d/")],
        ),
        (
            "two sparse maps",
            vec![Raw::pax(&[("GNU.sparse.size", "9"), ("GNU.sparse.map", "")]), Raw::new(b'S', "s").gnu()],
        ),
        (
            "sparse map goes beyond",
            vec![Raw::new(b'S', "s").gnu().with(386, b"00000000000\x0000000000777\0").data(&[0; 511])],
        ),
    ];
    for (wanted, headers) in table {
        let trap = Trap::new();
        let error = trap.unpack(&archive(headers), &ExtractOptions::layer()).unwrap_err();
        assert!(error.to_string().contains(wanted), "wanted {wanted:?}, got {error}");
        assert!(matches!(error.fault(), Fault::Format | Fault::Limit | Fault::Refused), "{error}");
    }
}

#[test]
fn entries_behind_a_lone_block_of_zeros_are_refused() {
    let file = || Raw::new(b'0', "file").bytes();
    let tar = [file(), vec![0; 512], file(), vec![0; 1024]].concat();
    let error = Trap::new().unpack(&tar, &ExtractOptions::layer()).unwrap_err();
    assert_eq!(error.to_string(), "archive goes on behind a lone block of zeros");
}

#[test]
fn archives_that_were_cut_off_or_altered_are_refused() {
    if !is_root() {
        return;
    }
    let whole = archive(vec![
        Raw::pax(&[("path", "a"), ("mtime", "1.5")]),
        Raw::new(b'0', "a").data(&[b'x'; 1500]),
        Raw::new(b'S', "s")
            .gnu()
            .with(386, b"00000000000\x0000000000001\0")
            .with(483, b"00000000010\0")
            .data(b"x"),
    ]);
    let (mut cut, mut altered) = (0, 0);
    for length in 0..whole.len() - 1024 {
        let trap = Trap::new();
        match trap.unpack(&whole[..length], &ExtractOptions::layer()) {
            // Between two entries: other programs take it for the end as well.
            Ok(_) => assert!(matches!(length, 0 | 3072), "{length}"),
            Err(error) => {
                assert!(error.to_string().contains("archive ends"), "{length}: {error}");
                cut += 1;
            }
        }
    }
    for at in (0..512).chain(1024..1536) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        let error = Trap::new().unpack(&bytes, &ExtractOptions::layer()).unwrap_err();
        assert!(error.to_string().contains("checksum"), "{at}: {error}");
        altered += 1;
    }
    assert!(cut > 3000 && altered == 1024);
}

#[test]
fn limits_are_kept() {
    let files = |count: usize| archive((0..count).map(|i| Raw::new(b'0', &format!("f{i}"))).collect());
    let limited = |limits: Limits| ExtractOptions { limits, ..ExtractOptions::layer() };
    let few = limited(Limits { entries: 10, ..Limits::default() });
    Trap::new().unpack(&files(10), &few).unwrap();
    let error = Trap::new().unpack(&files(11), &few).unwrap_err();
    assert_eq!(error.to_string(), "archive has more than 10 entries");
    let small = limited(Limits { total: 100_000, ..Limits::default() });
    let error =
        Trap::new().unpack(&archive(vec![Raw::new(b'0', "f").data(&[1; 200_000])]), &small).unwrap_err();
    assert_eq!(error.to_string(), "archive is larger than 100000 bytes when decompressed");
    let short = limited(Limits { extension: 1000, ..Limits::default() });
    let long = archive(vec![Raw::pax(&[("comment", &"c".repeat(1000))]), Raw::new(b'0', "f")]);
    let error = Trap::new().unpack(&long, &short).unwrap_err();
    assert!(error.to_string().contains("extended header of"), "{error}");
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
