//! Copies a tree of files, for a tmpfs that begins with what was at its place.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown, symlink};
use std::path::Path;

/// Copies what is in `from` into `to`: directories, files and links, with owners and modes.
///
/// Both are handles given as paths of /proc; nothing else changes the tree while a container is made.
pub(super) fn tree(from: &Path, to: &Path) -> io::Result<()> {
    own(to, &fs::metadata(from)?)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            fs::create_dir(&target)?;
            tree(&source, &target)?;
        } else if metadata.is_symlink() {
            symlink(fs::read_link(&source)?, &target)?;
            lchown(&target, Some(metadata.uid()), Some(metadata.gid()))?;
        } else if metadata.is_file() {
            fs::copy(&source, &target)?;
            own(&target, &metadata)?;
        }
    }
    Ok(())
}

/// The owner first: changing it clears the set-user-id bit.
fn own(path: &Path, like: &fs::Metadata) -> io::Result<()> {
    lchown(path, Some(like.uid()), Some(like.gid()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(like.mode() & 0o7777))
}
