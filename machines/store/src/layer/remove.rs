//! Removes whatever is at a name, by handles, however deep it is.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, RawDir, RenameFlags, renameat_with, unlinkat};
use rustix::io::Errno;

use super::tree::open_directory;

/// Beyond this many open directories what is deeper is first moved up.
const DEEP: usize = 64;

/// Removes the file or the whole directory `name` below `parent`; it is no error when there is none.
///
/// Nothing is followed. A tree deeper than any path can be (a container may make one by changing
/// directory again and again) is removed too.
///
/// # Errors
/// The kernel's.
pub fn remove(parent: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<()> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(Errno::NOENT) => return Ok(()),
        done => return done,
    }
    let top = open_directory(parent, name)?;
    empty(top)?;
    match unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOENT) => Ok(()),
        done => done,
    }
}

/// Removes all that is below a directory.
fn empty(top: OwnedFd) -> rustix::io::Result<()> {
    let mut stack: Vec<(OwnedFd, Vec<u8>)> = vec![(top, Vec::new())];
    let mut moved = 0_u64;
    while let Some((directory, name)) = stack.last() {
        match first_directory(directory.as_fd())? {
            None => {
                let name = name.clone();
                stack.pop();
                if let Some((parent, _)) = stack.last() {
                    unlinkat(parent, name.as_slice(), AtFlags::REMOVEDIR)?;
                }
            }
            Some(child) if stack.len() >= DEEP => {
                moved = raise(directory.as_fd(), &child, stack[0].0.as_fd(), moved)?;
            }
            Some(child) => {
                let opened = open_directory(directory.as_fd(), &child)?;
                stack.push((opened, child));
            }
        }
    }
    Ok(())
}

/// Moves a directory up to the top under a name that is free; answers the number of the next one.
fn raise(from: BorrowedFd<'_>, name: &[u8], top: BorrowedFd<'_>, mut number: u64) -> rustix::io::Result<u64> {
    loop {
        let raised = format!(".removed-{number}");
        number += 1;
        match renameat_with(from, name, top, raised, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            done => return done.map(|()| number),
        }
    }
}

/// Removes what is no directory; answers the first child that is one.
fn first_directory(directory: BorrowedFd<'_>) -> rustix::io::Result<Option<Vec<u8>>> {
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") {
            continue;
        }
        if entry.file_type() == FileType::Directory {
            return Ok(Some(name.to_vec()));
        }
        match unlinkat(directory, name, AtFlags::empty()) {
            Err(Errno::ISDIR) => return Ok(Some(name.to_vec())),
            Err(Errno::NOENT) => {}
            done => done?,
        }
    }
    Ok(None)
}

/// The names in a directory, sorted.
pub(super) fn names(directory: BorrowedFd<'_>) -> rustix::io::Result<Vec<Vec<u8>>> {
    // A handle of its own: the position of a shared one would be moved under another reader.
    let own = open_directory(directory, b".")?;
    let mut buffer = Vec::with_capacity(32 * 1024);
    let mut entries = RawDir::new(own, buffer.spare_capacity_mut());
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        let name = entry?.file_name().to_bytes().to_vec();
        if !matches!(name.as_slice(), b"." | b"..") {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}
