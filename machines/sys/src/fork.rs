//! Forks of a process with a single thread, and what a small resident process needs besides.

use std::io;

use rustix::process::Pid;

/// Which of the two processes goes on.
#[derive(Debug)]
pub enum Fork {
    /// The new one.
    Child,
    /// The one that forked, with the new one's id.
    Parent(Pid),
}

/// Makes a copy of this process.
///
/// # Errors
/// The kernel's; and [`io::ErrorKind::Unsupported`] when this process has more than one thread: the
/// child could find any lock held, the allocator's first of all.
pub fn fork() -> io::Result<Fork> {
    if !has_single_thread() {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "a process with threads cannot be forked"));
    }
    fork_single()
}

/// The same without the check (2 µs), for the loop of a program that never makes a thread.
///
/// # Errors
/// The kernel's.
pub(crate) fn fork_single() -> io::Result<Fork> {
    // SAFETY: there is no other thread (checked by the caller), so that every lock is free and the
    // child may do whatever the parent may.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        child => Pid::from_raw(child).map(Fork::Parent).ok_or_else(io::Error::last_os_error),
    }
}

/// Ends this process at once: no destructors, no handlers, nothing flushed.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: takes no pointer and does not return.
    unsafe { libc::_exit(code) }
}

/// What the kernel does with the children that end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Children {
    /// It reaps them itself; nobody can wait for them.
    Discarded,
    /// They wait to be waited for.
    Kept,
}

/// Sets what becomes of this process's children when they end.
///
/// # Errors
/// The kernel's.
pub fn set_children(children: Children) -> io::Result<()> {
    let handler = match children {
        Children::Discarded => libc::SIG_IGN,
        Children::Kept => libc::SIG_DFL,
    };
    // SAFETY: neither disposition runs any code of ours.
    match unsafe { libc::signal(libc::SIGCHLD, handler) } {
        libc::SIG_ERR => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Bounds what the allocator keeps of what was freed: to be called before the first thread.
///
/// By default each thread gets an arena of its own, up to eight a processor, and what one thread has freed no
/// other uses; and buffers of up to 32 MB are kept in them once one such was freed.
pub fn bound_memory() {
    /// Of freed memory at an arena's end; glibc's own, which without this call grows.
    const TRIM: i32 = 128 << 10;
    /// Larger ones are the kernel's again when they are freed.
    const LARGE: i32 = 1 << 20;
    let options = [(libc::M_ARENA_MAX, 2), (libc::M_TRIM_THRESHOLD, TRIM), (libc::M_MMAP_THRESHOLD, LARGE)];
    for (option, value) in options {
        // SAFETY: sets a number of the allocator's; there is one thread.
        unsafe { libc::mallopt(option, value) };
    }
}

/// Gives freed memory back to the kernel.
pub fn release_memory() {
    // SAFETY: touches only memory that the allocator holds as free.
    unsafe { libc::malloc_trim(0) };
}

fn has_single_thread() -> bool {
    // A directory of /proc has two links more than it has directories in it, one for each thread.
    std::fs::metadata("/proc/self/task").is_ok_and(|m| std::os::unix::fs::MetadataExt::nlink(&m) == 3)
}
