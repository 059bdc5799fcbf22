//! Room that the database keeps for itself, so that on a full disk things can still be removed.
//!
//! To remove a container or an image is to write first: that it goes, then that it is gone. SQLite uses the
//! free pages of its file again, and the blocks of its log from the beginning once that was folded; new
//! blocks are needed where either grows. So both have some behind their end, reserved while the disk has
//! room. It is no guarantee on file systems that never write in place (btrfs, ZFS).

use std::fs::OpenOptions;
use std::path::Path;

use rusqlite::Connection;
use rustix::fs::{FallocateFlags, fallocate};

/// Bytes behind the end of the database, and of its log.
const ROOM: u64 = 256 << 10;

/// Reserves blocks behind the ends of both files.
pub(super) fn keep(connection: &Connection) {
    let database = connection.path().unwrap_or_default();
    for path in [database.to_owned(), format!("{database}-wal")] {
        if let Err(error) = reserve(Path::new(&path)) {
            // The disk is full, or its file system cannot reserve: what is there must do.
            tracing::debug!(path, %error, "no room can be reserved for the database");
        }
    }
}

fn reserve(path: &Path) -> std::io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    let end = file.metadata()?.len();
    Ok(fallocate(&file, FallocateFlags::KEEP_SIZE, end, ROOM)?)
}
