//! `StorageOpt`: the size of the writable layer. It needs project quotas, which we do not set yet; who asks
//! for it hears what is missing, in Docker's words where it is the file system.

use std::collections::BTreeMap;
use std::path::Path;

use dhow_model::{Error, Result};

use super::logs::size;

/// Refuses options: those that are none, and those that cannot be had.
///
/// # Errors
/// Invalid argument or not implemented.
pub fn check(options: &BTreeMap<String, String>, mountinfo: &str, data_root: &Path) -> Result<()> {
    let Some((name, value)) = options.iter().next() else { return Ok(()) };
    if let Some(other) = options.keys().find(|name| !name.eq_ignore_ascii_case("size")) {
        return Err(Error::invalid(format!("Unknown option {other}")));
    }
    size(value)
        .map_err(|_| Error::invalid(format!("invalid size of the storage option {name}: {value:?}")))?;
    if has_project_quotas(mountinfo, data_root) {
        return Err(Error::not_implemented("HostConfig.StorageOpt is not supported yet"));
    }
    Err(Error::invalid("--storage-opt is supported only for overlay over xfs with 'pquota' mount option"))
}

/// Whether the file system that a directory is on counts by project (proc_pid_mountinfo(5)).
fn has_project_quotas(mountinfo: &str, directory: &Path) -> bool {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (place, rest) = (line.split(' ').nth(4)?, line.split(" - ").nth(1)?);
        directory.starts_with(place).then(|| (place.len(), rest.split(' ').nth(2).unwrap_or_default()))
    });
    let options = mounts.max_by_key(|(length, _)| *length).map(|(_, options)| options);
    options.is_some_and(|options| options.split(',').any(|option| matches!(option, "prjquota" | "pquota")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "21 1 8:1 / / rw - ext4 /dev/sda rw,discard\n";

    fn words(name: &str, value: &str, mountinfo: &str) -> String {
        let options = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        check(&options, mountinfo, Path::new("/var/lib/dhow")).unwrap_err().to_string()
    }

    #[test]
    fn who_asks_for_a_size_hears_what_is_missing() {
        let quotas = format!("{PLAIN}22 21 8:2 / /var/lib rw - xfs /dev/sdb rw,attr2,prjquota\n");
        assert!(check(&BTreeMap::new(), PLAIN, Path::new("/")).is_ok());
        assert!(words("size", "1G", PLAIN).contains("only for overlay over xfs with 'pquota'"));
        assert_eq!(words("size", "1G", &quotas), "HostConfig.StorageOpt is not supported yet");
        assert_eq!(words("foo", "1G", PLAIN), "Unknown option foo");
        assert_eq!(words("size", "much", PLAIN), "invalid size of the storage option size: \"much\"");
    }
}
