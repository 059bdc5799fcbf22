//! Mounts in their long form: `--mount type=…,source=…,target=…`.

use std::path::{Component, Path, PathBuf};

use dhow_model::container::{BindOptions, IdMap, ImageOptions, Mount, MountKind, MountPoint};
use dhow_model::{Error, Result};

use super::tmpfs::tmpfs_mount;
use super::{PROPAGATIONS, Wanted, clean, place, volume};

/// Reads one.
pub(super) fn parse_mount(mount: &Mount) -> Result<Wanted> {
    let wrong =
        |what: &str| Error::invalid(format!("invalid mount config for type \"{}\": {what}", mount.kind));
    if mount.target.is_empty() {
        return Err(wrong("field Target must not be empty"));
    }
    let options = [
        ("bind", "BindOptions", mount.bind_options.is_some()),
        ("volume", "VolumeOptions", mount.volume_options.is_some()),
        ("image", "ImageOptions", mount.image_options.is_some()),
        ("tmpfs", "TmpfsOptions", mount.tmpfs_options.is_some()),
    ];
    if let Some((_, field, _)) = options.iter().find(|(kind, _, set)| *set && *kind != mount.kind) {
        return Err(wrong(&format!("field {field} must not be specified")));
    }
    let destination = place(&mount.target).map_err(|error| wrong(&error.to_string()))?;
    match mount.kind.as_str() {
        "bind" => {
            if mount.source.is_empty() {
                return Err(wrong("field Source must not be empty"));
            }
            if !mount.source.starts_with('/') {
                return Err(wrong(&format!(
                    "invalid mount path: '{}' mount path must be absolute",
                    mount.source
                )));
            }
            bind_mount(mount, destination)
        }
        "volume" => {
            let below = mount.volume_options.as_ref().map_or("", |options| &options.subpath);
            if !is_inside(Path::new(below)) {
                return Err(wrong("subpath must be a relative path within the volume"));
            }
            if mount.source.is_empty() && !below.is_empty() {
                return Err(wrong("must not set Subpath when using anonymous volumes"));
            }
            Ok(volume_mount(mount, destination))
        }
        "tmpfs" if !mount.source.is_empty() => Err(wrong("field Source must not be specified")),
        "tmpfs" => tmpfs_mount(mount, destination),
        "image" => {
            let ImageOptions { subpath } = mount.image_options.clone().unwrap_or_default();
            if mount.source.is_empty() {
                return Err(wrong("field Source must not be empty"));
            }
            if !is_inside(Path::new(&subpath)) {
                return Err(wrong("subpath must be a relative path within the volume"));
            }
            Ok(image_mount(mount, destination, subpath))
        }
        _ => Err(wrong("mount type unknown")),
    }
}

/// Whether a path leads nowhere but down.
fn is_inside(path: &Path) -> bool {
    path.components().all(|component| matches!(component, Component::Normal(_) | Component::CurDir))
}

fn bind_mount(mount: &Mount, destination: PathBuf) -> Result<Wanted> {
    let options: BindOptions = mount.bind_options.clone().unwrap_or_default();
    if !options.propagation.is_empty() && !PROPAGATIONS.contains(&options.propagation.as_str()) {
        let why = format!("invalid propagation mode: {}", options.propagation);
        return Err(Error::invalid(format!("invalid mount config for type \"bind\": {why}")));
    }
    let mut point = MountPoint::new(MountKind::Bind, destination);
    point.source = clean(Path::new(&mount.source));
    point.writable = !mount.read_only;
    point.recursive_read_only = mount.read_only && !options.read_only_non_recursive;
    point.non_recursive = options.non_recursive;
    point.id_map = match options.id_map.as_str() {
        "" => None,
        "owner" => Some(IdMap::parse("")?),
        text => Some(IdMap::parse(text)?),
    };
    point.propagation = if options.propagation.is_empty() { "rprivate".into() } else { options.propagation };
    Ok(Wanted { make_source: options.create_mountpoint, ..point.into() })
}

fn volume_mount(mount: &Mount, destination: PathBuf) -> Wanted {
    let options = mount.volume_options.clone().unwrap_or_default();
    let mut point = MountPoint::new(MountKind::Volume, destination);
    point.writable = !mount.read_only;
    point.copy_up = !options.no_copy;
    point.subpath = Some(PathBuf::from(&options.subpath)).filter(|path| !path.as_os_str().is_empty());
    point.mode = "z".into();
    volume(point, mount.source.clone(), options)
}

fn image_mount(mount: &Mount, destination: PathBuf, subpath: String) -> Wanted {
    let mut point = MountPoint::new(MountKind::Image, destination);
    point.name.clone_from(&mount.source);
    point.writable = false;
    point.propagation = "rprivate".into();
    point.subpath = Some(PathBuf::from(subpath)).filter(|path| !path.as_os_str().is_empty());
    point.into()
}
