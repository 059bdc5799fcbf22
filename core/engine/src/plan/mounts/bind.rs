//! Binds and volumes in their short form: `--volume [source:]destination[:options]`.

use std::path::Path;

use dhow_model::container::{IdMap, MountKind, MountPoint, VolumeOptions};
use dhow_model::{Error, Result};

use super::{PROPAGATIONS, Wanted, clean, place, volume};

/// Reads `[source:]destination[:options]`.
pub(super) fn parse_bind(text: &str) -> Result<Wanted> {
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
    let mut point = MountPoint::new(kind, place(destination).map_err(invalid)?);
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
            // Docker reads both, and finds them with the wrong kind of mount.
            "nocopy" => return Err(invalid(Error::invalid("field VolumeOptions must not be specified"))),
            other if PROPAGATIONS.contains(&other) => {
                return Err(invalid(Error::invalid("field BindOptions must not be specified")));
            }
            _ => return Err(Error::invalid(format!("invalid mode: {mode}"))),
        }
    }
    if is_path {
        point.source = clean(Path::new(source));
        if point.propagation.is_empty() {
            point.propagation = "rprivate".into();
        }
        return Ok(Wanted { make_source: true, ..point.into() });
    }
    Ok(volume(point, source.to_owned(), VolumeOptions::default()))
}

pub(super) fn is_mode(text: &str) -> bool {
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
