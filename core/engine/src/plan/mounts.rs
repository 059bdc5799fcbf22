//! Binds, volumes, images and tmpfs: what was asked for, to what is mounted.

use std::path::{Component, Path, PathBuf};

use dhow_model::container::{
    BindOptions, IdMap, ImageOptions, Mount, MountKind, MountPoint, TmpfsOptions, VolumeOptions,
};
use dhow_model::ports::{PathKind, VolumeRequest};
use dhow_model::{Container, Error, Kind, Result};

use crate::Engine;
use crate::volumes::Claims;

const PROPAGATIONS: [&str; 6] = ["private", "rprivate", "shared", "rshared", "slave", "rslave"];

/// Whether a volume's name is one that was generated.
#[must_use]
pub fn is_anonymous(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// A mount as it was asked for, before anything is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Wanted {
    point: Option<MountPoint>,
    /// The source of a bind is made when it is missing.
    make_source: bool,
    /// The volume to make or find.
    volume: Option<VolumeRequest>,
}

impl Engine {
    /// Resolves all mounts of a container that is being created; makes its volumes.
    pub(crate) fn resolve_mounts(&self, record: &mut Container, claims: &mut Claims<'_>) -> Result<()> {
        let mut wanted: Vec<Wanted> = Vec::new();
        for text in record.host_config.binds.iter().flatten() {
            add(&mut wanted, parse_bind(text)?)?;
        }
        for mount in &record.host_config.mounts {
            add(&mut wanted, parse_mount(mount)?)?;
        }
        for (destination, options) in &record.host_config.tmpfs {
            add(&mut wanted, tmpfs(destination, options)?)?;
        }
        for text in record.host_config.volumes_from.iter().flatten() {
            for point in self.volumes_from(text)? {
                // What the container asks for itself goes before.
                drop(add(&mut wanted, Wanted { point: Some(point), ..Wanted::default() }));
            }
        }
        for destination in record.config.volumes.iter().flatten().map(|(path, _)| path) {
            drop(add(&mut wanted, anonymous(destination)?));
        }
        for mut wanted in wanted {
            if let Some(request) = wanted.volume.as_mut().filter(|request| request.driver.is_empty()) {
                request.driver.clone_from(&record.host_config.volume_driver);
            }
            let point = self.make(wanted, claims)?;
            record.mounts.push(point);
        }
        record.mounts.sort_by(|a, b| a.destination.cmp(&b.destination));
        self.ports.snapshots.keep_images(&record.id, &record.mounted_images())
    }

    fn make(&self, wanted: Wanted, claims: &mut Claims<'_>) -> Result<MountPoint> {
        let mut point = wanted.point.ok_or_else(|| Error::internal("a mount without a place"))?;
        if let Some(request) = wanted.volume {
            // Not found is the image, to clients that pull what is missing.
            let not_found = |error: Error| match error.kind() {
                Kind::NotFound => Error::invalid(error.report()),
                _ => error,
            };
            let volume = claims.make(request).map_err(not_found)?;
            if volume.read_only {
                point.writable = false;
                point.copy_up = false;
            }
            point.source = volume.mountpoint;
            point.name = volume.name;
        } else if point.kind == MountKind::Bind {
            self.check_source(&point.source, wanted.make_source)?;
        } else if point.kind == MountKind::Image && point.image.is_none() {
            point.image = Some(self.image(&point.name)?.id);
        } else if point.kind == MountKind::Volume {
            claims.share(&point.name)?;
        }
        Ok(point)
    }

    fn check_source(&self, source: &Path, make: bool) -> Result<()> {
        match self.ports.host.look(source)? {
            Some(PathKind::Directory | PathKind::File) => Ok(()),
            None if make => self.ports.host.make_directory(source),
            None => Err(Error::invalid(format!(
                "invalid mount config for type \"bind\": bind source path does not exist: {}",
                source.display()
            ))),
        }
    }

    /// `container[:ro|rw]`: all its mounts but tmpfs.
    fn volumes_from(&self, text: &str) -> Result<Vec<MountPoint>> {
        if text.is_empty() {
            return Err(Error::invalid("volumes-from specification cannot be an empty string"));
        }
        let (name, mode) = text.split_once(':').unwrap_or((text, ""));
        let mode = if mode.is_empty() { "rw" } else { mode };
        let of_source = |option: &str| option == "nocopy" || PROPAGATIONS.contains(&option);
        if !is_mode(mode) || mode.split(',').any(of_source) {
            return Err(Error::invalid(format!("invalid mode: {mode}")));
        }
        let read_only = mode.split(',').any(|option| option == "ro");
        // Not found is the image, to clients that pull what is missing.
        let other = self.container(name).map_err(|error| Error::invalid(error.report()))?.record();
        let points = other.mounts.iter().filter(|point| point.kind != MountKind::Tmpfs).cloned();
        Ok(points
            .map(|point| MountPoint { writable: point.writable && !read_only, copy_up: false, ..point })
            .collect())
    }
}

fn add(all: &mut Vec<Wanted>, wanted: Wanted) -> Result<()> {
    let place = |wanted: &Wanted| wanted.point.as_ref().map(|point| point.destination.clone());
    if all.iter().any(|other| place(other) == place(&wanted)) {
        let place = place(&wanted).unwrap_or_default();
        return Err(Error::invalid(format!("Duplicate mount point: {}", place.display())));
    }
    all.push(wanted);
    Ok(())
}

fn blank(kind: MountKind, destination: PathBuf) -> MountPoint {
    MountPoint {
        kind,
        name: String::new(),
        source: PathBuf::new(),
        destination,
        driver: String::new(),
        mode: String::new(),
        writable: true,
        propagation: String::new(),
        options: Vec::new(),
        copy_up: false,
        subpath: None,
        recursive_read_only: false,
        non_recursive: false,
        id_map: None,
        image: None,
    }
}

/// An absolute path without `.`, `..` and double slashes; not the root itself.
fn place(text: &str) -> Result<PathBuf> {
    let path = Path::new(text);
    if !path.is_absolute() {
        return Err(Error::invalid(format!("invalid mount path: '{text}' mount path must be absolute")));
    }
    let clean = clean(path);
    if clean == Path::new("/") {
        return Err(Error::invalid("invalid specification: destination can't be '/'"));
    }
    Ok(clean)
}

fn clean(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::from("/"), |mut clean, component| {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => drop(clean.pop()),
            _ => {}
        }
        clean
    })
}

/// `[source:]destination[:options]`.
fn parse_bind(text: &str) -> Result<Wanted> {
    let wrong = || Error::invalid(format!("invalid volume specification: '{text}'"));
    let parts: Vec<&str> = text.split(':').collect();
    let (source, destination, mode) = match parts.as_slice() {
        [destination] => ("", *destination, ""),
        // A destination and a mode would be a volume without a name, which has none.
        [_, mode] if is_mode(mode) => return Err(wrong()),
        [source, destination] => (*source, *destination, ""),
        [source, destination, mode] => (*source, *destination, *mode),
        _ => return Err(wrong()),
    };
    if destination.is_empty() || (parts.len() > 1 && source.is_empty()) {
        return Err(wrong());
    }
    let is_path = source.starts_with('/');
    let kind = if is_path { MountKind::Bind } else { MountKind::Volume };
    let invalid = |error: Error| {
        let kind = if is_path { "bind" } else { "volume" };
        let why = format!("invalid mount config for type \"{kind}\": {error}");
        Error::invalid(format!("invalid volume specification: '{text}': {why}"))
    };
    let mut point = blank(kind, place(destination).map_err(invalid)?);
    point.mode = mode.into();
    point.copy_up = !is_path;
    if has_twice(mode) {
        return Err(Error::invalid(format!("invalid mode: {mode}")));
    }
    for option in mode.split(',').filter(|option| !option.is_empty()) {
        match option {
            "rw" | "z" | "Z" | "consistent" | "cached" | "delegated" => {}
            "ro" => {
                point.writable = false;
                point.recursive_read_only = is_path;
            }
            "nocopy" if !is_path => point.copy_up = false,
            "idmap" if is_path => point.id_map = Some(IdMap::parse("")?),
            other if is_path && other.starts_with("idmap=") => {
                point.id_map = Some(IdMap::parse(&other["idmap=".len()..])?);
            }
            other if is_path && PROPAGATIONS.contains(&other) => point.propagation = other.into(),
            _ => return Err(Error::invalid(format!("invalid mode: {mode}"))),
        }
    }
    if is_path {
        point.source = clean(Path::new(source));
        if point.propagation.is_empty() {
            point.propagation = "rprivate".into();
        }
        return Ok(Wanted { point: Some(point), make_source: true, volume: None });
    }
    let name = if source.is_empty() { String::new() } else { source.to_owned() };
    Ok(volume(point, name, VolumeOptions::default()))
}

fn is_mode(text: &str) -> bool {
    let known = |option: &str| {
        matches!(option, "rw" | "ro" | "z" | "Z" | "nocopy" | "consistent" | "cached" | "delegated")
            || PROPAGATIONS.contains(&option)
    };
    text.split(',').all(known)
}

/// What says the same in another way is one too many, as with Docker.
fn has_twice(mode: &str) -> bool {
    let kinds: [&[&str]; 5] =
        [&["ro", "rw"], &["z", "Z"], &PROPAGATIONS, &["nocopy"], &["consistent", "cached", "delegated"]];
    kinds.iter().any(|kind| mode.split(',').filter(|option| kind.contains(option)).count() > 1)
}

fn volume(mut point: MountPoint, name: String, options: VolumeOptions) -> Wanted {
    point.driver = "local".into();
    if !name.is_empty() && point.mode.is_empty() {
        point.mode = "z".into();
    }
    let driver = options.driver_config.unwrap_or_default();
    let request = VolumeRequest {
        anonymous: name.is_empty(),
        name,
        driver: driver.name,
        labels: options.labels,
        options: driver.options,
        size: 0,
    };
    Wanted { point: Some(point), make_source: false, volume: Some(request) }
}

fn anonymous(destination: &str) -> Result<Wanted> {
    // Images say `VOLUME data`: below the root.
    let absolute = Path::new("/").join(destination);
    let mut point = blank(MountKind::Volume, place(&absolute.to_string_lossy())?);
    point.copy_up = true;
    Ok(volume(point, String::new(), VolumeOptions::default()))
}

/// A mount in its long form.
fn parse_mount(mount: &Mount) -> Result<Wanted> {
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
        return Err(Error::invalid(format!("invalid propagation mode: {:?}", options.propagation)));
    }
    let mut point = blank(MountKind::Bind, destination);
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
    Ok(Wanted { point: Some(point), make_source: options.create_mountpoint, volume: None })
}

fn volume_mount(mount: &Mount, destination: PathBuf) -> Wanted {
    let options = mount.volume_options.clone().unwrap_or_default();
    let mut point = blank(MountKind::Volume, destination);
    point.writable = !mount.read_only;
    point.copy_up = !options.no_copy;
    point.subpath = Some(PathBuf::from(&options.subpath)).filter(|path| !path.as_os_str().is_empty());
    point.mode = "z".into();
    volume(point, mount.source.clone(), options)
}

fn image_mount(mount: &Mount, destination: PathBuf, subpath: String) -> Wanted {
    let mut point = blank(MountKind::Image, destination);
    point.name.clone_from(&mount.source);
    point.writable = false;
    point.propagation = "rprivate".into();
    point.subpath = Some(PathBuf::from(subpath)).filter(|path| !path.as_os_str().is_empty());
    Wanted { point: Some(point), ..Wanted::default() }
}

fn tmpfs_mount(mount: &Mount, destination: PathBuf) -> Result<Wanted> {
    let TmpfsOptions { size_bytes, mode, options } = mount.tmpfs_options.clone().unwrap_or_default();
    if let Some(size) = size_bytes.filter(|size| *size < 0) {
        let words = format!("invalid mount config for type \"tmpfs\": invalid size: {size}");
        return Err(Error::invalid(words));
    }
    let mut point = blank(MountKind::Tmpfs, destination);
    point.writable = !mount.read_only;
    point.options = ["noexec", "nosuid", "nodev"].map(str::to_owned).to_vec();
    point.options.extend(size_bytes.filter(|size| *size > 0).map(|size| format!("size={size}")));
    point.options.extend(mode.map(|mode| format!("mode={mode:o}")));
    for pair in options.iter().flatten() {
        point.options.push(tmpfs_option(&pair.join("="))?);
    }
    point.options.extend(mount.read_only.then(|| "ro".to_owned()));
    Ok(Wanted { point: Some(point), ..Wanted::default() })
}

/// `--tmpfs destination:options`.
fn tmpfs(destination: &str, options: &str) -> Result<Wanted> {
    let mut point = blank(MountKind::Tmpfs, place(destination)?);
    point.options = ["noexec", "nosuid", "nodev"].map(str::to_owned).to_vec();
    for option in options.split(',').filter(|option| !option.is_empty()) {
        point.options.push(tmpfs_option(option)?);
    }
    point.writable = !point.options.iter().any(|option| option == "ro");
    Ok(Wanted { point: Some(point), ..Wanted::default() })
}

fn tmpfs_option(option: &str) -> Result<String> {
    const FLAGS: [&str; 14] = [
        "ro",
        "rw",
        "exec",
        "noexec",
        "suid",
        "nosuid",
        "dev",
        "nodev",
        "atime",
        "noatime",
        "relatime",
        "norelatime",
        "diratime",
        "nodiratime",
    ];
    const KEYS: [&str; 6] = ["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks"];
    let key = option.split('=').next().unwrap_or_default();
    let known = FLAGS.contains(&option) || (option.contains('=') && KEYS.contains(&key));
    if known {
        return Ok(option.to_owned());
    }
    let parts: Vec<String> = option.splitn(2, '=').map(|part| format!("{part:?}")).collect();
    Err(Error::invalid(format!("invalid tmpfs option [{}]", parts.join(" "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(text: &str) -> Result<MountPoint> {
        parse_bind(text).map(|wanted| wanted.point.unwrap())
    }

    #[test]
    fn binds_and_volumes_are_told_apart_by_the_slash() {
        let point = bind("/a/../b:/c:ro,rslave").unwrap();
        assert_eq!(
            (point.kind, point.source.as_path(), point.writable),
            (MountKind::Bind, Path::new("/b"), false)
        );
        assert_eq!(point.propagation, "rslave");
        let point = bind("data:/var/lib").unwrap();
        assert_eq!((point.kind, point.copy_up), (MountKind::Volume, true));
        assert!(!bind("data:/x:nocopy").unwrap().copy_up);
        assert_eq!(bind("/data").unwrap().kind, MountKind::Volume);
    }

    #[test]
    fn what_is_no_mount_is_refused() {
        for wrong in [
            "/a:/b:ro,rw",
            "x:/b:z,Z",
            "/a:/b:slave,shared",
            "",
            ":",
            "a:b:c:d",
            "/a:/b:nope",
            "/a:b",
            "/a:/",
            "a:/..",
            "/a::ro",
            ":/x",
            "x:/y:shared",
        ] {
            assert!(parse_bind(wrong).is_err(), "{wrong}");
        }
        for wrong in ["size=1m,evil", "huge=always", "lowerdir=/"] {
            assert!(tmpfs("/t", wrong).is_err(), "{wrong}");
        }
        let mut all = Vec::new();
        add(&mut all, parse_bind("/a:/x").unwrap()).unwrap();
        let again = add(&mut all, parse_bind("b:/x/./").unwrap()).unwrap_err();
        assert_eq!(again.to_string(), "Duplicate mount point: /x");
    }
}
