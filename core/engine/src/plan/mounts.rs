//! Binds, volumes, images and tmpfs: what was asked for, to what is mounted.

mod bind;
mod long;
mod tmpfs;

use std::path::{Component, Path, PathBuf};

use dhow_model::container::{MountKind, MountPoint, VolumeOptions};
use dhow_model::ports::{PathKind, VolumeRequest};
use dhow_model::{Container, Error, Kind, Result};

use crate::Engine;
use crate::volumes::Claims;
use bind::{is_mode, parse_bind};
use long::parse_mount;
use tmpfs::tmpfs;

const PROPAGATIONS: [&str; 6] = ["private", "rprivate", "shared", "rshared", "slave", "rslave"];

/// Whether a volume's name is one that was generated.
#[must_use]
pub fn is_anonymous(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// A mount as it was asked for, before anything is made.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    point: MountPoint,
    /// The source of a bind is made when it is missing.
    make_source: bool,
    /// The volume to make or find.
    volume: Option<VolumeRequest>,
}

impl From<MountPoint> for Wanted {
    fn from(point: MountPoint) -> Self {
        Self { point, make_source: false, volume: None }
    }
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
                drop(add(&mut wanted, point.into()));
            }
        }
        for destination in record.config.volumes.iter().flatten().map(|(path, _)| path) {
            drop(add(&mut wanted, anonymous(destination)?));
        }
        for request in wanted.iter_mut().filter_map(|wanted| wanted.volume.as_mut()) {
            request.made_for = Some(record.id.clone());
            if request.driver.is_empty() {
                request.driver.clone_from(&record.host_config.volume_driver);
            }
        }
        // All of them before anything is made.
        wanted.iter().try_for_each(|wanted| self.check_mount(wanted))?;
        for wanted in wanted {
            let point = self.make(wanted, claims)?;
            record.mounts.push(point);
        }
        record.mounts.sort_by(|a, b| a.destination.cmp(&b.destination));
        self.ports.snapshots.keep_images(&record.id, &record.mounted_images())
    }

    fn check_mount(&self, wanted: &Wanted) -> Result<()> {
        let point = &wanted.point;
        match (&wanted.volume, point.kind) {
            (Some(request), _) => self.check_volume_request(request).map_err(not_the_image),
            (None, MountKind::Bind) => self.check_source(&point.source, wanted.make_source).map(drop),
            (None, MountKind::Image) if point.image.is_none() => self.image(&point.name).map(drop),
            _ => Ok(()),
        }
    }

    fn make(&self, wanted: Wanted, claims: &mut Claims<'_>) -> Result<MountPoint> {
        let mut point = wanted.point;
        if let Some(request) = wanted.volume {
            let volume = claims.make(request).map_err(not_the_image)?;
            if volume.read_only {
                point.writable = false;
                point.copy_up = false;
            }
            point.source = volume.mountpoint;
            point.name = volume.name;
        } else if point.kind == MountKind::Bind {
            let missing = self.check_source(&point.source, wanted.make_source)?;
            claims.missing.extend(missing.then(|| point.source.clone()));
        } else if point.kind == MountKind::Image && point.image.is_none() {
            point.image = Some(self.image(&point.name)?.id);
        } else if point.kind == MountKind::Volume {
            claims.share(&point.name)?;
        }
        Ok(point)
    }

    /// Answers whether it has to be made.
    fn check_source(&self, source: &Path, make: bool) -> Result<bool> {
        match self.ports.host.look(source)? {
            Some(PathKind::Directory | PathKind::File) => Ok(false),
            None if make => Ok(true),
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

/// Not found is the image, to clients that pull what is missing.
fn not_the_image(error: Error) -> Error {
    match error.kind() {
        Kind::NotFound => Error::invalid(error.report()),
        _ => error,
    }
}

fn add(all: &mut Vec<Wanted>, wanted: Wanted) -> Result<()> {
    let place = &wanted.point.destination;
    if all.iter().any(|other| other.point.destination == *place) {
        return Err(Error::invalid(format!("Duplicate mount point: {}", place.display())));
    }
    all.push(wanted);
    Ok(())
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
        made_for: None,
    };
    Wanted { volume: Some(request), ..point.into() }
}

fn anonymous(destination: &str) -> Result<Wanted> {
    // Images say `VOLUME data`: below the root.
    let absolute = Path::new("/").join(destination);
    let mut point = MountPoint::new(MountKind::Volume, place(&absolute.to_string_lossy())?);
    point.copy_up = true;
    Ok(volume(point, String::new(), VolumeOptions::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(text: &str) -> Result<MountPoint> {
        parse_bind(text).map(|wanted| wanted.point)
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
