//! How much a tree takes: bytes of file content, each file once however many names it has.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::error::{Context as _, Result};

/// Adds up the regular files below `root`. What disappears meanwhile is not counted.
pub(crate) fn disk_usage(root: &Path) -> Result<u64> {
    let mut total = 0;
    let mut linked = HashSet::new();
    let mut directories = vec![root.to_path_buf()];
    while let Some(directory) = directories.pop() {
        let entries = match std::fs::read_dir(&directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && directory != root => continue,
            entries => entries.on("read", &directory)?,
        };
        for entry in entries.filter_map(std::result::Result::ok) {
            // Of the entry itself: a link is not followed.
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                directories.push(entry.path());
            } else if metadata.is_file()
                && (metadata.nlink() == 1 || linked.insert((metadata.dev(), metadata.ino())))
            {
                total += metadata.len();
            }
        }
    }
    Ok(total)
}
