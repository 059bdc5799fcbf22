//! Files between the host and a container, as tar archives: packed here for the engine to unpack, or
//! the other way round.

mod pack;
mod unpack;

pub(crate) use pack::pack;
pub(crate) use unpack::{Unpack, unpack};

/// The extended attribute that holds what a program may do beyond its user.
const CAPABILITY: &str = "security.capability";
/// What stands before an attribute's name in an archive.
const PAX_ATTRIBUTE: &str = "SCHILY.xattr.";

/// Splits a path into its folder and the name below it; `.` at the end is kept, because it means
/// what is inside.
pub(crate) fn split(path: &str) -> (String, String) {
    let clean = clean(path);
    if is_inside(path) {
        return (clean, ".".to_owned());
    }
    match clean.rsplit_once('/') {
        Some(("", name)) => ("/".to_owned(), name.to_owned()),
        Some((folder, name)) => (folder.to_owned(), name.to_owned()),
        None => (".".to_owned(), clean),
    }
}

/// Whether a path means what is inside a folder: `x/.`.
pub(crate) fn is_inside(path: &str) -> bool {
    path == "." || path.ends_with("/.")
}

/// Whether a path can only be a folder: `x/`, `x/.`.
pub(crate) fn is_folder(path: &str) -> bool {
    path.ends_with('/') || is_inside(path)
}

/// A path without `.`, `..` and doubled slashes; a relative one stays relative.
pub(crate) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match (part, parts.last()) {
            ("" | ".", _) => {}
            ("..", Some(&last)) if last != ".." => drop(parts.pop()),
            ("..", None) if rooted => {}
            (other, _) => parts.push(other),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// Where an archive is to be unpacked, and how its topmost name changes on the way.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Landing {
    pub(crate) folder: String,
    pub(crate) rename: Option<String>,
}

/// What is known of the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Folder,
    File,
    Nothing,
}

/// Decides where a source lands. Into a folder that is there it goes by its own name; otherwise it
/// takes the name of the destination.
pub(crate) fn landing(destination: &str, found: Found, source_is_folder: bool) -> Result<Landing, String> {
    match found {
        Found::Folder => return Ok(Landing { folder: destination.to_owned(), rename: None }),
        Found::File if source_is_folder => return Err("cannot copy directory".to_owned()),
        Found::Nothing if !source_is_folder && is_folder(destination) => {
            return Err("no such directory".to_owned());
        }
        Found::File | Found::Nothing => {}
    }
    let (folder, name) = split(&clean(destination));
    Ok(Landing { folder, rename: Some(name) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_split_where_the_copied_thing_begins() {
        let pair = |folder: &str, name: &str| (folder.to_owned(), name.to_owned());
        assert_eq!(split("/a/b"), pair("/a", "b"));
        assert_eq!(split("/a"), pair("/", "a"));
        assert_eq!(split("/a/b/"), pair("/a", "b"));
        assert_eq!(split("/a/b/."), pair("/a/b", "."));
        assert_eq!(split("/a/../b//c"), pair("/b", "c"));
        assert_eq!(split("a"), pair(".", "a"));
    }

    #[test]
    fn a_source_lands_in_a_folder_or_takes_the_name_of_the_destination() {
        let to = |folder: &str, rename: Option<&str>| {
            Ok(Landing { folder: folder.to_owned(), rename: rename.map(str::to_owned) })
        };
        assert_eq!(landing("/d", Found::Folder, true), to("/d", None));
        assert_eq!(landing("/d/f", Found::File, false), to("/d", Some("f")));
        assert_eq!(landing("/d/new", Found::Nothing, true), to("/d", Some("new")));
        assert_eq!(landing("/d/new/", Found::Nothing, true), to("/d", Some("new")));
        assert_eq!(landing("/d/f", Found::File, true), Err("cannot copy directory".to_owned()));
        assert_eq!(landing("/d/new/", Found::Nothing, false), Err("no such directory".to_owned()));
    }
}
