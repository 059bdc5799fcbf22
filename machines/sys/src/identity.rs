//! Users, groups and capabilities of the calling thread.
//!
//! glibc's setuid and its like change every thread of a process by signals; these change the calling
//! thread alone, which is all there is in the processes that call them.

use std::io;
use std::marker::PhantomData;
use std::sync::OnceLock;

use rustix::process::{Gid, Uid};
use rustix::thread::{self, CapabilitySet, CapabilitySets};

/// Sets real, effective and saved user.
///
/// # Errors
/// The kernel's.
pub fn set_user(uid: u32) -> io::Result<()> {
    let uid = Uid::from_raw(uid);
    Ok(thread::set_thread_res_uid(uid, uid, uid)?)
}

/// Sets real, effective and saved group.
///
/// # Errors
/// The kernel's.
pub fn set_group(gid: u32) -> io::Result<()> {
    let gid = Gid::from_raw(gid);
    Ok(thread::set_thread_res_gid(gid, gid, gid)?)
}

/// Sets the supplementary groups.
///
/// # Errors
/// The kernel's; `EPERM` in a user namespace that may not.
pub fn set_groups(gids: &[u32]) -> io::Result<()> {
    let gids: Vec<Gid> = gids.iter().map(|gid| Gid::from_raw(*gid)).collect();
    Ok(thread::set_thread_groups(&gids)?)
}

/// While it lives, the files that this thread makes belong to another user and group; its rights stay what they are.
#[derive(Debug)]
pub struct FileOwner {
    before: (i32, i32),
    bits: thread::CapabilitiesSecureBits,
    /// It is of the thread that made it.
    _here: PhantomData<*const ()>,
}

impl FileOwner {
    /// Begins with it.
    ///
    /// # Errors
    /// The kernel's; `EPERM` without CAP_SETPCAP, CAP_SETUID and CAP_SETGID.
    pub fn new(uid: u32, gid: u32) -> io::Result<Self> {
        let bits = thread::capabilities_secure_bits()?;
        thread::set_capabilities_secure_bits(bits | thread::CapabilitiesSecureBits::NO_SETUID_FIXUP)?;
        let owner = Self { before: files_of(uid, gid)?, bits, _here: PhantomData };
        let now = files_of(uid, gid)?;
        let wanted = (i32::try_from(uid).unwrap_or(-1), i32::try_from(gid).unwrap_or(-1));
        if now == wanted { Ok(owner) } else { Err(io::Error::from_raw_os_error(libc::EPERM)) }
    }
}

impl Drop for FileOwner {
    fn drop(&mut self) {
        let number = |id: i32| u32::try_from(id).unwrap_or_default();
        let restored = files_of(number(self.before.0), number(self.before.1))
            .and_then(|_| Ok(thread::set_capabilities_secure_bits(self.bits)?));
        // What this thread does next would be done in another's name.
        assert!(restored.is_ok(), "the owner of files cannot be restored: {restored:?}");
    }
}

/// Answers whose they were, also where it is refused.
fn files_of(uid: u32, gid: u32) -> io::Result<(i32, i32)> {
    let dumpable = rustix::process::dumpable_behavior()?;
    // SAFETY: takes a number only, and glibc asks the kernel for the calling thread alone.
    let group = unsafe { libc::setfsgid(gid) };
    // SAFETY: as above.
    let user = unsafe { libc::setfsuid(uid) };
    // The kernel hides the whole process when one of its threads becomes another user.
    rustix::process::set_dumpable_behavior(dumpable)?;
    Ok((user, group))
}

/// The number of the last capability that the kernel knows: asked once, and known to what is forked after.
#[must_use]
pub fn last_capability() -> u32 {
    static LAST: OnceLock<u32> = OnceLock::new();
    let known = |number: u32| {
        // SAFETY: takes numbers only.
        unsafe { libc::prctl(libc::PR_CAPBSET_READ, number, 0, 0, 0) >= 0 }
    };
    *LAST.get_or_init(|| (0..64).take_while(|number| known(*number)).last().unwrap_or(0))
}

/// Takes every capability that is not in `keep` (bit n is capability n) out of the bounding set.
///
/// # Errors
/// The kernel's.
pub fn bound(keep: u64, last: u32) -> io::Result<()> {
    for number in (0..=last).filter(|number| keep & (1 << number) == 0) {
        // SAFETY: takes numbers only.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// The bounding set.
#[must_use]
pub fn bounding_set(last: u32) -> u64 {
    let has = |number: &u32| {
        // SAFETY: takes numbers only.
        unsafe { libc::prctl(libc::PR_CAPBSET_READ, *number, 0, 0, 0) == 1 }
    };
    (0..=last).filter(has).fold(0, |set, number| set | (1 << number))
}

/// Effective, permitted and inheritable capabilities.
///
/// # Errors
/// The kernel's.
pub fn set_capabilities(effective: u64, permitted: u64, inheritable: u64) -> io::Result<()> {
    let set = CapabilitySet::from_bits_retain;
    let sets = CapabilitySets {
        effective: set(effective),
        permitted: set(permitted),
        inheritable: set(inheritable),
    };
    Ok(thread::set_capabilities(None, sets)?)
}

/// Effective, permitted and inheritable capabilities of this thread.
///
/// # Errors
/// The kernel's.
pub fn capabilities() -> io::Result<(u64, u64, u64)> {
    let sets = thread::capabilities(None)?;
    Ok((sets.effective.bits(), sets.permitted.bits(), sets.inheritable.bits()))
}

/// Replaces the ambient set.
///
/// # Errors
/// The kernel's; `EPERM` for one that is not permitted and inheritable.
pub fn set_ambient(set: u64, last: u32) -> io::Result<()> {
    thread::clear_ambient_capability_set()?;
    for number in (0..=last).filter(|number| set & (1 << number) != 0) {
        // SAFETY: takes numbers only.
        if unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, number, 0, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
