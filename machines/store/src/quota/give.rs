//! A project for a whole tree, by handles.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;

use dhow_sys::quota::{Project, set_project};
use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// Deeper than that only a program that changes directory again and again gets.
const DEEPEST: usize = 512;

/// Gives a directory and all files and directories below it a project, itself last. Links, devices and pipes cannot be
/// opened for it, and take no room.
pub(super) fn all(top: &OwnedFd, id: u32) -> io::Result<()> {
    let mut waiting = subdirectories(top, id)?;
    let mut depth = 0;
    while !waiting.is_empty() {
        depth += 1;
        if depth > DEEPEST {
            return Err(io::Error::other(format!("directories are more than {DEEPEST} deep")));
        }
        let mut next = Vec::new();
        for directory in waiting {
            set_project(&directory, Project { id, inherits: true })?;
            next.extend(subdirectories(&directory, id)?);
        }
        waiting = next;
    }
    set_project(top, Project { id, inherits: true })
}

/// Gives the files in a directory a project, and answers the directories in it.
fn subdirectories(directory: &OwnedFd, id: u32) -> io::Result<Vec<OwnedFd>> {
    let mut found = Vec::new();
    for (name, kind) in entries(directory)? {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let below = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV;
        match rustix::fs::openat2(directory, &name, flags, Mode::empty(), below) {
            // It went meanwhile, was swapped for a link, or is another file system's.
            Err(Errno::NOENT | Errno::LOOP | Errno::XDEV) => {}
            opened if kind == FileType::Directory => found.push(opened?),
            opened => set_project(opened?, Project { id, inherits: false })?,
        }
    }
    Ok(found)
}

fn entries(directory: &OwnedFd) -> io::Result<Vec<(CString, FileType)>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let kind = entry.file_type();
        let is_itself = [c".", c".."].contains(&entry.file_name());
        if !is_itself && matches!(kind, FileType::Directory | FileType::RegularFile) {
            found.push((entry.file_name().to_owned(), kind));
        }
    }
    Ok(found)
}
