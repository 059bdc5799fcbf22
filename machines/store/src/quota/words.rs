//! Why there are no limits, for whoever can mend it.

use std::os::fd::OwnedFd;
use std::path::Path;

use dhow_sys::quota::State;

/// Names the file system, and says what would have to be done.
pub(super) fn why_not(root: &Path, handle: &OwnedFd, state: State) -> String {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let found = dhow_sys::mount::id(handle).ok().and_then(|id| file_system(&mounts, id));
    let (kind, source) = found.unwrap_or(("an unknown file system", "its device"));
    sentence(root, kind, source, state)
}

/// The data directory is in a project itself.
pub(super) fn nested(root: &Path, project: u32) -> String {
    format!("{} is itself in project {project}, and nothing in it can be in another one", root.display())
}

fn sentence(root: &Path, kind: &str, source: &str, state: State) -> String {
    let place = format!("{} is on {kind} ({source})", root.display());
    match (kind, state.counted) {
        ("ext4", true) => format!("{place}, which is not mounted with the option prjquota"),
        ("ext4", false) => format!(
            "{place} without project quotas: when it is not mounted, `tune2fs -O project,quota -Q prjquota {source}` \
             adds them, and it is to be mounted with the option prjquota"
        ),
        ("xfs", _) => {
            format!(
                "{place}, which is not mounted with the option pquota (it takes effect at a new mount only)"
            )
        }
        _ => format!("{place}, which has no project quotas: ext4 and xfs have"),
    }
}

/// Type and source of a mount (proc_pid_mountinfo(5)).
fn file_system(mounts: &str, id: u64) -> Option<(&str, &str)> {
    let id = id.to_string();
    let line = mounts.lines().find(|line| line.split(' ').next() == Some(&id))?;
    let mut words = line.split_once(" - ")?.1.split(' ');
    Some((words.next()?, words.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_a_size_hears_what_is_missing() {
        let mounts = "21 1 8:1 / / rw shared:1 - ext4 /dev/sda rw\n22 21 0:9 / /x rw - btrfs /dev/sdb rw\n";
        assert_eq!(file_system(mounts, 22), Some(("btrfs", "/dev/sdb")));
        assert_eq!(file_system(mounts, 2), None);
        let off = State::default();
        let counted = State { counted: true, enforced: false };
        for (kind, state, words) in [
            (
                "ext4",
                off,
                "/d is on ext4 (/dev/sda) without project quotas: when it is not mounted, `tune2fs",
            ),
            ("ext4", counted, "/d is on ext4 (/dev/sda), which is not mounted with the option prjquota"),
            ("xfs", off, "/d is on xfs (/dev/sda), which is not mounted with the option pquota"),
            ("btrfs", off, "/d is on btrfs (/dev/sda), which has no project quotas: ext4 and xfs have"),
        ] {
            let said = sentence(Path::new("/d"), kind, "/dev/sda", state);
            assert!(said.starts_with(words), "{said}");
        }
    }
}
