//! `dhow cp`: files between the host and a container.

use std::io::{self, Read, Write as _};
use std::path::Path;
use std::thread;

use dhow_api::client::Request;
use serde::Deserialize;

use super::each::checked;
use super::{Arity, Command};
use crate::error::{Error, Result};
use crate::flags::{Parsed, SWITCH, flag};
use crate::format::units;
use crate::session::Session;
use crate::stream::archive::{self, Found, Unpack};
use crate::stream::{base64, terminal};

pub(crate) const COMMAND: Command = Command {
    paths: &["container cp", "cp"],
    usage: "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\tdhow cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    about: "Copy files between a container and the host\n\n\
            With '-' as source a tar archive is read from standard input, with '-' as\n\
            destination one is written to standard output.",
    arity: Arity::Exactly(2),
    arguments_end_flags: false,
    flags: &[&[
        flag("archive", SWITCH, "Take over owners too").short('a'),
        flag("follow-link", SWITCH, "Copy what a link points to, not the link").short('L'),
        flag("quiet", SWITCH, "Do not say how much was copied").short('q'),
    ]],
    run,
};

/// A path here, or in a container.
enum Place<'a> {
    Here(&'a str),
    In { container: &'a str, path: &'a str },
}

impl<'a> Place<'a> {
    /// A path that begins with `/` or `.` is here, whatever colons it has.
    fn parse(argument: &'a str) -> Place<'a> {
        match argument.split_once(':') {
            Some((container, path)) if !container.starts_with(['/', '.']) && !container.is_empty() => {
                Place::In { container, path }
            }
            _ => Place::Here(argument),
        }
    }
}

fn run(session: &Session, parsed: &Parsed) -> Result<()> {
    let (source, destination) = (parsed.argument(0), parsed.argument(1));
    if source.is_empty() {
        return Err(Error::said("source can not be empty"));
    }
    if destination.is_empty() {
        return Err(Error::said("destination can not be empty"));
    }
    match (Place::parse(source), Place::parse(destination)) {
        (Place::In { container, path }, Place::Here(here)) => {
            from_container(session, parsed, checked(container)?, path, &absolute(here)?)
        }
        (Place::Here(here), Place::In { container, path }) => {
            to_container(session, parsed, &absolute(here)?, checked(container)?, path)
        }
        (Place::In { .. }, Place::In { .. }) => {
            Err(Error::said("copying between containers is not supported"))
        }
        (Place::Here(_), Place::Here(_)) => Err(Error::said("must specify at least one container source")),
    }
}

/// The path from the root on; what it ends in stays.
fn absolute(here: &str) -> Result<String> {
    if here == "-" || here.starts_with('/') {
        return Ok(here.to_owned());
    }
    let folder = std::env::current_dir().map_err(Error::io("find the working directory"))?;
    let path = archive::clean(&format!("{}/{here}", folder.display()));
    let end = match () {
        () if archive::is_inside(here) => "/.",
        () if archive::is_folder(here) => "/",
        () => "",
    };
    Ok(path + end)
}

/// What the engine tells of a path.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PathStat {
    mode: u64,
    #[serde(default)]
    link_target: String,
}

impl PathStat {
    /// Go's bits for folders and links.
    fn is_folder(&self) -> bool {
        self.mode & (1 << 31) != 0
    }

    fn is_link(&self) -> bool {
        self.mode & (1 << 27) != 0
    }

    fn is_device(&self) -> bool {
        self.mode & (1 << 26) != 0
    }
}

fn decode_stat(header: Option<&str>) -> Result<PathStat> {
    let wrong = || Error::said("unable to decode container path stat header");
    let bytes = header.and_then(base64::decode).ok_or_else(wrong)?;
    serde_json::from_slice(&bytes).map_err(|_| wrong())
}

/// Looks at a path in a container; `None` where there is nothing.
fn stat(session: &Session, container: &str, path: &str) -> Result<Option<PathStat>> {
    let request = Request::new("HEAD", &["containers", container, "archive"]).query("path", path);
    match session.client()?.send(request) {
        Ok(response) => decode_stat(response.header("x-docker-container-path-stat")).map(Some),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A link's target, seen from the folder that the link is in.
fn followed(path: &str, target: &str) -> String {
    match target.starts_with('/') {
        true => target.to_owned(),
        false => archive::clean(&format!("{}/{target}", archive::split(path).0)),
    }
}

fn from_container(session: &Session, parsed: &Parsed, container: &str, path: &str, here: &str) -> Result<()> {
    check_output(here)?;
    let (mut asked, mut renamed) = (path.to_owned(), None);
    if parsed.is_on("follow-link")
        && let Some(link) = stat(session, container, path)?.filter(PathStat::is_link)
    {
        asked = followed(path, &link.link_target);
        renamed = Some(archive::split(path).1);
    }
    let request = Request::get(&["containers", container, "archive"]).query("path", &asked);
    let response = session.send(request)?;
    let is_folder = decode_stat(response.header("x-docker-container-path-stat"))?.is_folder();
    let mut body = Counted { inner: response.into_body(), count: 0 };
    if here == "-" {
        let mut out = io::stdout().lock();
        let copied = io::copy(&mut body, &mut out).and_then(|_| out.flush());
        return copied.map_err(Error::io("write standard output"));
    }
    let landing = archive::landing(here, found_here(here), is_folder).map_err(Error::said)?;
    let top = archive::split(&asked).1;
    let how = Unpack {
        top: &top,
        rename: landing.rename.as_deref().or(renamed.as_deref()),
        owners: parsed.is_on("archive") && rustix::process::geteuid().is_root(),
    };
    archive::unpack(&mut body, Path::new(&landing.folder), &how)
        .map_err(Error::io(format!("copy to {here}")))?;
    told(parsed, body.count, here);
    Ok(())
}

/// The folder of the destination must be there, and the destination must be no device.
fn check_output(here: &str) -> Result<()> {
    if here == "-" {
        return Ok(());
    }
    let (folder, _) = archive::split(&archive::clean(here));
    if !Path::new(&folder).is_dir() {
        return Err(Error::said(format!("invalid output path: directory \"{folder}\" does not exist")));
    }
    match std::fs::metadata(here) {
        Ok(found) if !found.is_dir() && !found.is_file() => Err(Error::said(format!(
            "invalid output path: \"{here}\" must be a directory or a regular file: got a device"
        ))),
        _ => Ok(()),
    }
}

fn found_here(path: &str) -> Found {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Found::Folder,
        Ok(_) => Found::File,
        Err(_) => Found::Nothing,
    }
}

fn to_container(session: &Session, parsed: &Parsed, here: &str, container: &str, path: &str) -> Result<()> {
    let mut destination = path.to_owned();
    let mut found = stat(session, container, path)?;
    if let Some(link) = found.as_ref().filter(|found| found.is_link()) {
        destination = followed(path, &link.link_target);
        found = stat(session, container, &destination)?;
    }
    if found.as_ref().is_some_and(PathStat::is_device) {
        return Err(Error::said(format!(
            "destination \"{container}:{path}\" must be a directory or a regular file: got a device"
        )));
    }
    let there = match &found {
        Some(found) if found.is_folder() => Found::Folder,
        Some(_) => Found::File,
        None => Found::Nothing,
    };
    if here == "-" {
        if there != Found::Folder {
            return Err(Error::said(format!("destination \"{container}:{path}\" must be a directory")));
        }
        return send(session, parsed, container, &destination, &mut io::stdin());
    }
    let (source, top) = source(here, parsed.is_on("follow-link"))?;
    let landing = archive::landing(&destination, there, Path::new(&source).is_dir() && !is_link(&source))
        .map_err(Error::said)?;
    let name = landing.rename.unwrap_or(top);
    let (reader, writer) = io::pipe().map_err(Error::io("make a pipe"))?;
    let mut reader = Counted { inner: reader, count: 0 };
    let packed = thread::scope(|scope| {
        let packing = scope.spawn(|| {
            archive::pack(Path::new(&source), &name, io::BufWriter::with_capacity(1 << 17, writer))
        });
        let sent = send(session, parsed, container, &landing.folder, &mut reader);
        // Ends the packing if the engine did not want the rest.
        let count = reader.count;
        drop(reader);
        let packed = packing.join().unwrap_or_else(|_| Err(io::Error::other("packing failed")));
        sent?;
        packed.map_err(Error::io(format!("read {here}")))?;
        Ok(count)
    });
    packed.map(|count| told(parsed, count, &format!("{container}:{destination}")))
}

fn is_link(path: &str) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink())
}

/// What is to be packed, and the name that it has in the archive.
fn source(here: &str, follow: bool) -> Result<(String, String)> {
    let (_, name) = archive::split(here);
    let words = |error: io::Error| Error::said(format!("lstat {here}: {}", crate::go_words(&error)));
    let path = match follow || archive::is_folder(here) {
        true => std::fs::canonicalize(here).map_err(words)?.to_string_lossy().into_owned(),
        false => archive::clean(here),
    };
    std::fs::symlink_metadata(&path).map_err(words)?;
    Ok((path, name))
}

fn send(
    session: &Session,
    parsed: &Parsed,
    container: &str,
    folder: &str,
    content: &mut dyn Read,
) -> Result<()> {
    let mut request = Request::new("PUT", &["containers", container, "archive"])
        .query("path", folder)
        .query("noOverwriteDirNonDir", "true");
    if parsed.is_on("archive") {
        request = request.query("copyUIDGID", "true");
    }
    session.send(request.stream(content))?;
    Ok(())
}

/// Says on a terminal how much was copied.
fn told(parsed: &Parsed, count: u64, destination: &str) {
    let quiet = if parsed.is_given("quiet") { parsed.is_on("quiet") } else { !terminal::is_output() };
    if !quiet {
        let size = units::human_size_short(units::float(i64::try_from(count).unwrap_or(i64::MAX)));
        eprintln!("Successfully copied {size} to {destination}");
    }
}

/// Counts what is read.
struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out)?;
        self.count += count as u64;
        Ok(count)
    }
}
