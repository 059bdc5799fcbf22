//! The mount that a path is on, as `/proc/self/mountinfo` tells it (proc_pid_mountinfo(5)).

use std::fs;
use std::io;
use std::path::Path;

use dhow_model::ports::PathMount;
use rustix::fs::{Mode, OFlags};

/// Looks it up by its number: of several mounts at one place it is the one that is seen.
pub(super) fn of(path: &Path) -> io::Result<PathMount> {
    let handle = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let number = dhow_sys::mount::id(&handle)?;
    // The thread may have a namespace of its own.
    let table = fs::read_to_string("/proc/thread-self/mountinfo")?;
    find(&table, number).ok_or_else(|| io::Error::other("its mount is attached nowhere"))
}

/// `36 35 98:0 ROOT PLACE OPTIONS shared:1 master:2 - TYPE …`.
fn find(table: &str, number: u64) -> Option<PathMount> {
    let number = number.to_string();
    let line = table.lines().find(|line| line.split(' ').next() == Some(&number))?;
    let fields = line.split(" - ").next()?.split(' ');
    let mut fields = fields.skip(4);
    let place = unescaped(fields.next()?).into();
    let optional: Vec<&str> = fields.skip(1).collect();
    let has = |tag: &str| optional.iter().any(|field| field.starts_with(tag));
    Some(PathMount { place, shared: has("shared:"), slave: has("master:") })
}

/// Space, tab, line feed and backslash are written as `\040` and so on.
fn unescaped(field: &str) -> String {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    escapes.iter().fold(field.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_found_by_its_number_with_what_it_passes_on() {
        let table = "21 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n\
                     22 21 0:20 / /a\\040b rw shared:7 - tmpfs none rw\n\
                     23 21 0:21 / /a rw shared:8 master:7 - tmpfs shared:9 rw\n\
                     24 21 0:22 / /s rw master:7 propagate_from:2 - tmpfs none rw\n";
        for (number, place, shared, slave) in [
            (21, "/", false, false),
            (22, "/a b", true, false),
            (23, "/a", true, true),
            (24, "/s", false, true),
        ] {
            let found = PathMount { place: place.into(), shared, slave };
            assert_eq!(find(table, number), Some(found));
        }
        assert_eq!(find(table, 2), None);
    }

    #[test]
    fn every_directory_is_on_a_mount() {
        assert_eq!(of(Path::new("/proc/self")).unwrap().place, Path::new("/proc"));
        assert!(of(Path::new("/nowhere")).is_err());
    }
}
