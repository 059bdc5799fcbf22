//! What stands in place of a volume's directory: mounted there for as long as somebody uses it, where the host sees it,
//! as it sees the files of every volume.

use std::ffi::CString;
use std::path::Path;

use dhow_model::volume::VolumeMount;
use dhow_model::{Error, Result, Volume};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use crate::error::Context as _;

/// Options that are flags of mount(2): their word, the bits, whether they are set.
const FLAGS: [(&str, MountFlags, bool); 22] = [
    ("defaults", MountFlags::empty(), true),
    ("ro", MountFlags::RDONLY, true),
    ("rw", MountFlags::RDONLY, false),
    ("nosuid", MountFlags::NOSUID, true),
    ("suid", MountFlags::NOSUID, false),
    ("nodev", MountFlags::NODEV, true),
    ("dev", MountFlags::NODEV, false),
    ("noexec", MountFlags::NOEXEC, true),
    ("exec", MountFlags::NOEXEC, false),
    ("sync", MountFlags::SYNCHRONOUS, true),
    ("async", MountFlags::SYNCHRONOUS, false),
    ("dirsync", MountFlags::DIRSYNC, true),
    ("noatime", MountFlags::NOATIME, true),
    ("atime", MountFlags::NOATIME, false),
    ("nodiratime", MountFlags::NODIRATIME, true),
    ("diratime", MountFlags::NODIRATIME, false),
    ("relatime", MountFlags::RELATIME, true),
    ("norelatime", MountFlags::RELATIME, false),
    ("strictatime", MountFlags::STRICTATIME, true),
    ("nostrictatime", MountFlags::STRICTATIME, false),
    ("bind", MountFlags::BIND, true),
    ("rbind", MountFlags::BIND.union(MountFlags::REC), true),
];

const PROPAGATIONS: [(&str, MountPropagationFlags); 6] = [
    ("private", MountPropagationFlags::PRIVATE),
    ("rprivate", MountPropagationFlags::PRIVATE.union(MountPropagationFlags::REC)),
    ("shared", MountPropagationFlags::SHARED),
    ("rshared", MountPropagationFlags::SHARED.union(MountPropagationFlags::REC)),
    ("slave", MountPropagationFlags::DOWNSTREAM),
    ("rslave", MountPropagationFlags::DOWNSTREAM.union(MountPropagationFlags::REC)),
];

/// Options, sorted by who takes them.
#[derive(Debug, Default, PartialEq)]
struct Sorted {
    flags: u32,
    propagation: Option<u32>,
    /// For the file system.
    data: String,
}

/// Mounts it, unless it is.
pub(super) fn attach(volume: &Volume, asked: &VolumeMount) -> Result<()> {
    let place = &volume.mountpoint;
    if is_mounted(place)? {
        return Ok(());
    }
    let options = sorted(&asked.options);
    mount(asked, place, &options).map_err(|errno| refused(volume, asked, &options, errno))?;
    let more = options.flags & !(MountFlags::BIND | MountFlags::REC).bits();
    if options.flags & MountFlags::BIND.bits() != 0 && more != 0 {
        // A bind takes no other flag until it is there.
        let flags = MountFlags::from_bits_retain(more) | MountFlags::BIND;
        let changed = rustix::mount::mount_remount(place, flags, c"");
        or_undone(volume, asked, &options, changed)?;
    }
    if let Some(propagation) = options.propagation {
        let flags = MountPropagationFlags::from_bits_retain(propagation);
        or_undone(volume, asked, &options, rustix::mount::mount_change(place, flags))?;
    }
    Ok(())
}

fn or_undone(
    volume: &Volume,
    asked: &VolumeMount,
    options: &Sorted,
    done: rustix::io::Result<()>,
) -> Result<()> {
    done.or_else(|errno| {
        detach(volume)?;
        Err(refused(volume, asked, options, errno))
    })
}

/// Takes it away, however often it was mounted. Whoever has a file of it open may go on.
pub(super) fn detach(volume: &Volume) -> Result<()> {
    let flags = UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
    loop {
        match rustix::mount::unmount(&volume.mountpoint, flags) {
            Ok(()) => {}
            // It is no mount; or it is not even there.
            Err(Errno::INVAL | Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(errno).on("unmount", &volume.mountpoint),
        }
    }
}

fn is_mounted(place: &Path) -> Result<bool> {
    let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mount = |path: &Path| -> Result<u64> {
        let handle = rustix::fs::open(path, flags, Mode::empty()).on("open", path)?;
        dhow_sys::mount::id(&handle).on("look into", path)
    };
    Ok(mount(place)? != mount(place.parent().unwrap_or(place))?)
}

fn mount(asked: &VolumeMount, place: &Path, options: &Sorted) -> rustix::io::Result<()> {
    let data = CString::new(options.data.as_str()).map_err(|_| Errno::INVAL)?;
    let flags = MountFlags::from_bits_retain(options.flags);
    rustix::mount::mount(asked.device.as_str(), place, asked.kind.as_str(), flags, data.as_c_str())
}

fn sorted(words: &[String]) -> Sorted {
    let mut sorted = Sorted::default();
    let mut rest: Vec<&str> = Vec::new();
    for word in words.iter().map(String::as_str) {
        if let Some((_, bits, set)) = FLAGS.iter().find(|(name, ..)| *name == word) {
            sorted.flags = if *set { sorted.flags | bits.bits() } else { sorted.flags & !bits.bits() };
        } else if let Some((_, bits)) = PROPAGATIONS.iter().find(|(name, _)| *name == word) {
            sorted.propagation = Some(bits.bits());
        } else {
            rest.push(word);
        }
    }
    sorted.data = rest.join(",");
    sorted
}

/// In Docker's words; a password is shown to nobody.
fn refused(volume: &Volume, asked: &VolumeMount, options: &Sorted, errno: Errno) -> Error {
    let place = volume.mountpoint.display();
    let flags = if options.flags == 0 { String::new() } else { format!(", flags: 0x{:x}", options.flags) };
    let shown: Vec<&str> = options.data.split(',').map(masked).collect();
    let data = if options.data.is_empty() { String::new() } else { format!(", data: {}", shown.join(",")) };
    let why = std::io::Error::from(errno).to_string();
    let why = why.split(" (os error").next().unwrap_or_default().to_lowercase();
    let hint = if errno == Errno::NODEV {
        format!(" (this kernel has no file system {:?})", asked.kind)
    } else {
        String::new()
    };
    Error::internal(format!(
        "error while mounting volume '{place}': failed to mount local volume: mount {}:{place}{flags}{data}: {why}{hint}",
        asked.device
    ))
}

fn masked(word: &str) -> &str {
    if word.starts_with("password=") { "password=********" } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_go_to_who_takes_them() {
        let words = |text: &str| sorted(&text.split(',').map(str::to_owned).collect::<Vec<_>>());
        let read = words("addr=192.0.2.1,ro,nfsvers=4,nosuid,suid,rslave,password=x");
        assert_eq!(read.flags, MountFlags::RDONLY.bits());
        assert_eq!(read.data, "addr=192.0.2.1,nfsvers=4,password=x");
        assert!(read.propagation.is_some());
        assert_eq!(words("rbind").flags, (MountFlags::BIND | MountFlags::REC).bits());
    }
}
