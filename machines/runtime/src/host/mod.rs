//! The host as the engine knows it: [`LocalHost`] implements [`dhow_model::ports::Host`].

mod facts;
mod mount;
mod own;
mod user_space;

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use dhow_model::container::UserMap;
use dhow_model::ports::{DeviceNode, Host, HostFacts, OwnUse, PathKind, PathMount, UserSpace};
use dhow_model::{Error, Kind, Result};

/// The deepest directory of devices that is looked into.
const DEEPEST: usize = 8;
/// The most files of a directory that are read.
const MOST_FILES: usize = 4096;
/// Where programs are looked for when the engine was started without a search path.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// This machine.
#[derive(Debug)]
pub struct LocalHost {
    facts: HostFacts,
}

impl LocalHost {
    /// Looks at the machine once: its facts do not change while it runs.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub fn new() -> Result<Self> {
        Ok(Self { facts: facts::gather()? })
    }
}

impl Host for LocalHost {
    fn facts(&self) -> &HostFacts {
        &self.facts
    }

    fn look(&self, path: &Path) -> Result<Option<PathKind>> {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => Ok(Some(PathKind::Directory)),
            Ok(_) => Ok(Some(PathKind::File)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(None)
            }
            Err(error) => Err(about("look at", path, error)),
        }
    }

    fn owner(&self, path: &Path) -> Result<(u32, u32)> {
        let metadata = fs::metadata(path).map_err(|error| about("look at", path, error))?;
        Ok((metadata.uid(), metadata.gid()))
    }

    fn mount_of(&self, path: &Path) -> Result<PathMount> {
        mount::of(path).map_err(|error| about("find the mount of", path, error))
    }

    fn make_directory(&self, path: &Path) -> Result<()> {
        fs::create_dir_all(path).map_err(|error| about("make the directory", path, error))
    }

    fn read_file(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        match fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)) {
            Ok(_) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(about("read", path, error)),
        }
    }

    fn files(&self, directory: &Path, endings: &[&str], limit: u64) -> Result<Vec<(PathBuf, Vec<u8>)>> {
        let entries = match fs::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| about("read the directory", directory, error))?,
        };
        let fits = |path: &PathBuf| {
            path.extension().is_some_and(|ending| endings.iter().any(|wanted| ending == *wanted))
                && fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
        };
        let mut paths: Vec<PathBuf> =
            entries.filter_map(|entry| Some(entry.ok()?.path())).filter(fits).take(MOST_FILES).collect();
        paths.sort();
        let read = |path: PathBuf| {
            // One that is gone again is not there.
            let bytes = self.read_file(&path, limit)?;
            Ok(bytes.map(|bytes| (path, bytes)))
        };
        paths.into_iter().filter_map(|path| read(path).transpose()).collect()
    }

    fn write_file(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        // The file stays the same: a container that runs has it mounted. A link is not followed.
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o644).custom_flags(libc::O_NOFOLLOW);
        let written = options.open(path).and_then(|mut file| file.write_all(bytes));
        written.map_err(|error| about("write", path, error))
    }

    fn devices(&self, path: &Path) -> Result<Option<Vec<DeviceNode>>> {
        let mut found = Vec::new();
        let whole = path == Path::new("/dev");
        match collect(path, whole, DEEPEST, &mut found) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(about("look at the device", path, error)),
            Ok(()) => Ok(Some(found)),
        }
    }

    fn processes(&self, arguments: &[String]) -> Result<String> {
        let output = Command::new("ps").args(arguments).stdin(Stdio::null()).output();
        let output = output.map_err(|error| Error::internal("cannot run ps").because(error))?;
        if !output.status.success() {
            // Its first line says why; the rest is its manual.
            let said = String::from_utf8_lossy(&output.stderr);
            let why = said.lines().next().filter(|line| !line.is_empty());
            return Err(Error::internal(match why {
                Some(why) => format!("ps: {why}"),
                None => format!("ps: {}", output.status),
            }));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn program(&self, name: &str) -> Option<PathBuf> {
        let executable = |path: &Path| {
            fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o111 != 0)
        };
        if name.contains('/') {
            return Some(PathBuf::from(name)).filter(|path| path.is_absolute() && executable(path));
        }
        let search = std::env::var_os("PATH").unwrap_or_else(|| SEARCH_PATH.into());
        std::env::split_paths(&search).map(|place| place.join(name)).find(|path| executable(path))
    }

    fn user_space(&self, map: &Arc<UserMap>, network: bool) -> Result<UserSpace> {
        user_space::new(map, network)
    }

    fn user_space_of(&self, pid: i32, network: bool) -> Result<Option<UserSpace>> {
        user_space::of(pid, network)
    }

    fn own_use(&self) -> OwnUse {
        own::read()
    }

    fn random(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let mut filled = 0;
        // getrandom(2) blocks until the kernel has gathered enough, once after boot; it does not fail.
        while filled < bytes.len() {
            let flags = rustix::rand::GetRandomFlags::empty();
            filled += rustix::rand::getrandom(&mut bytes[filled..], flags).unwrap_or(0);
        }
        bytes
    }
}

/// The devices at or below a path. Of the whole of /dev, what a container has of its own is left out.
fn collect(path: &Path, whole: bool, depth: usize, found: &mut Vec<DeviceNode>) -> io::Result<()> {
    let metadata = fs::metadata(path)?;
    let kind = metadata.file_type();
    if kind.is_dir() {
        let own = ["pts", "shm", "fd", "mqueue", "console", ".lxc", ".lxd-mounts", ".udev"];
        let mut entries: Vec<PathBuf> =
            fs::read_dir(path)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
        entries.sort();
        for entry in entries {
            let name = entry.file_name().unwrap_or_default();
            let link = fs::symlink_metadata(&entry).is_ok_and(|metadata| metadata.is_symlink());
            let skipped = link || (whole && own.iter().any(|own| name == *own));
            if !skipped && depth > 0 {
                // One that is gone again, or cannot be looked at, is not there.
                let _ = collect(&entry, whole, depth - 1, found);
            }
        }
    } else if kind.is_char_device() || kind.is_block_device() {
        let number = metadata.rdev();
        found.push(DeviceNode {
            path: path.into(),
            kind: if kind.is_char_device() { 'c' } else { 'b' },
            major: rustix::fs::major(number),
            minor: rustix::fs::minor(number),
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
        });
    }
    Ok(())
}

fn about(what: &str, path: &Path, error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => Kind::NotFound,
        io::ErrorKind::PermissionDenied => Kind::Forbidden,
        _ => Kind::Internal,
    };
    Error::new(kind, format!("{what} {}", path.display())).because(error)
}
