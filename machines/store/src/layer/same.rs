//! Two trees, entry by entry: the first thing in which one is not as the other.
//!
//! Both are walked by handles, and nothing is followed. What differs from one unpacking to the next is not looked
//! at: times of whiteouts, which no archive sets.

use std::collections::HashMap;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, major, minor, openat, readlinkat, statat};
use rustix::io::{Errno, pread};

use super::create::{Xattrs, next_data};
use super::extract::is_whiteout;
use super::remove::names;
use super::tree::open_directory;
use crate::tar::{Error, Result, shown};

const BUFFER: usize = 128 * 1024;

/// What is said of a difference: its name, and how a file has it.
type Fact = (&'static str, fn(&Stat) -> String);

const FACTS: [Fact; 6] = [
    ("kind", |stat| format!("{:?}", FileType::from_raw_mode(stat.st_mode))),
    ("mode", |stat| format!("{:04o}", stat.st_mode & 0o7777)),
    ("owner", |stat| format!("{}:{}", stat.st_uid, stat.st_gid)),
    ("device", |stat| format!("{}:{}", major(stat.st_rdev), minor(stat.st_rdev))),
    ("size", |stat| size(stat).to_string()),
    ("time", |stat| {
        let (seconds, nanos) = time(stat);
        format!("{seconds}.{nanos:09}")
    }),
];

/// How `found` is not as `wanted`, if it is not. The time of the roots is looked at when the archive said it.
pub(crate) fn difference(
    found: BorrowedFd<'_>,
    wanted: BorrowedFd<'_>,
    with_root_time: bool,
) -> Result<Option<String>> {
    let mut comparison = Comparison::default();
    match comparison.roots(found, wanted, with_root_time) {
        Ok(()) => Ok(None),
        Err(Odd::Differs(how)) => Ok(Some(how)),
        Err(Odd::Failed(error)) => Err(error),
    }
}

/// Why a comparison ends early.
enum Odd {
    Differs(String),
    Failed(Error),
}

impl From<Error> for Odd {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

#[derive(Default)]
struct Comparison {
    /// Which file of the one tree is which of the other, where files have more than one name.
    links: [HashMap<(u64, u64), (u64, u64)>; 2],
    scratch: Vec<u8>,
    buffers: [Vec<u8>; 2],
}

/// The same name in both trees.
struct Pair<'a> {
    parents: [BorrowedFd<'a>; 2],
    name: &'a [u8],
    path: &'a [u8],
}

impl Comparison {
    fn roots(&mut self, found: BorrowedFd<'_>, wanted: BorrowedFd<'_>, with_time: bool) -> Result<(), Odd> {
        let root = Pair { parents: [found, wanted], name: b".", path: b"." };
        let [mut is, must] = root.look()?;
        if !with_time {
            (is.st_mtime, is.st_mtime_nsec) = (must.st_mtime, must.st_mtime_nsec);
        }
        root.facts(&is, &must)?;
        self.attributes(&root)?;
        self.children([found, wanted], b"")
    }

    fn children(&mut self, directories: [BorrowedFd<'_>; 2], path: &[u8]) -> Result<(), Odd> {
        let listed = |directory| {
            names(directory).map_err(|error| Error::system("directory cannot be read", error).at(path))
        };
        let (are, must) = (listed(directories[0])?, listed(directories[1])?);
        let below = |name: &[u8]| if path.is_empty() { name.to_vec() } else { [path, name].join(&b'/') };
        if let Some(added) = are.iter().find(|name| must.binary_search(name).is_err()) {
            return Err(differs(&below(added), "it is not in the tar"));
        }
        if let Some(gone) = must.iter().find(|name| are.binary_search(name).is_err()) {
            return Err(differs(&below(gone), "it is gone"));
        }
        for name in &must {
            self.child(&Pair { parents: directories, name, path: &below(name) })?;
        }
        Ok(())
    }

    fn child(&mut self, pair: &Pair<'_>) -> Result<(), Odd> {
        let [is, must] = pair.look()?;
        pair.facts(&is, &must)?;
        self.attributes(pair)?;
        match FileType::from_raw_mode(must.st_mode) {
            FileType::Directory => {
                let [found, wanted] = pair.both(|parent| open_directory(parent, pair.name))?;
                return self.children([found.as_fd(), wanted.as_fd()], pair.path);
            }
            FileType::RegularFile => self.contents(pair, size(&must))?,
            FileType::Symlink => {
                let [is, must] = pair.both(|parent| readlinkat(parent, pair.name, Vec::new()))?;
                if is != must {
                    let (is, must) = (shown(is.as_bytes()), shown(must.as_bytes()));
                    return Err(differs(pair.path, &format!("its target is {is} instead of {must}")));
                }
            }
            _ => {}
        }
        self.names_of_one_file(pair, &is, &must)
    }

    fn attributes(&mut self, pair: &Pair<'_>) -> Result<(), Odd> {
        let [mut is, mut must] = [Vec::new(), Vec::new()];
        for (parent, all) in pair.parents.into_iter().zip([&mut is, &mut must]) {
            let xattrs = Xattrs::of_named(parent, pair.name, &mut self.scratch);
            let mut xattrs = xattrs.map_err(|error| error.at(pair.path))?;
            all.append(&mut xattrs.kept);
            all.append(&mut xattrs.overlay);
            all.sort_unstable();
        }
        match is.iter().find(|one| !must.contains(one)).or_else(|| must.iter().find(|one| !is.contains(one)))
        {
            Some((name, _)) => Err(differs(pair.path, &format!("its attribute {} is another", shown(name)))),
            None => Ok(()),
        }
    }

    /// Those of one file in one tree are those of one file in the other.
    fn names_of_one_file(&mut self, pair: &Pair<'_>, is: &Stat, must: &Stat) -> Result<(), Odd> {
        if is.st_nlink < 2 && must.st_nlink < 2 {
            return Ok(());
        }
        let [is, must] = [is, must].map(|stat| (stat.st_dev, stat.st_ino));
        let [forth, back] = &mut self.links;
        if *forth.entry(is).or_insert(must) == must && *back.entry(must).or_insert(is) == is {
            return Ok(());
        }
        Err(differs(pair.path, "it is not another name of the same file as in the tar"))
    }

    /// Where both have a hole nothing is read: a sparse file may be of terabytes.
    fn contents(&mut self, pair: &Pair<'_>, size: u64) -> Result<(), Odd> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let files = pair.both(|parent| openat(parent, pair.name, flags, Mode::empty()))?;
        let mut at = 0;
        while at < size {
            let next = next_data(&files[0], at, size)?.0.min(next_data(&files[1], at, size)?.0);
            for (file, buffer) in files.iter().zip(&mut self.buffers) {
                let read = fill(file, next, buffer);
                read.map_err(|error| Error::system("cannot be read", error).at(pair.path))?;
            }
            if self.buffers[0] != self.buffers[1] {
                return Err(differs(pair.path, "its contents are others"));
            }
            at = next + BUFFER as u64;
        }
        Ok(())
    }
}

impl Pair<'_> {
    fn look(&self) -> Result<[Stat; 2]> {
        self.both(|parent| match self.name {
            b"." => fstat(parent),
            name => statat(parent, name, AtFlags::SYMLINK_NOFOLLOW),
        })
    }

    fn both<T>(&self, get: impl Fn(BorrowedFd<'_>) -> Result<T, Errno>) -> Result<[T; 2]> {
        let failed = |error| Error::system("cannot be looked at", error).at(self.path);
        Ok([get(self.parents[0]).map_err(failed)?, get(self.parents[1]).map_err(failed)?])
    }

    fn facts(&self, is: &Stat, must: &Stat) -> Result<(), Odd> {
        if key(is) == key(must) {
            return Ok(());
        }
        let fact = FACTS.iter().find(|(_, of)| of(is) != of(must));
        let how = fact.map_or_else(
            || "it is another".to_owned(),
            |(name, of)| format!("its {name} is {} instead of {}", of(is), of(must)),
        );
        Err(differs(self.path, &how))
    }
}

fn differs(path: &[u8], how: &str) -> Odd {
    Odd::Differs(format!("{}: {how}", shown(path)))
}

/// All that is compared of what the kernel says at once.
fn key(stat: &Stat) -> (u32, u32, u32, u64, u64, (i64, u32)) {
    (stat.st_mode, stat.st_uid, stat.st_gid, stat.st_rdev, size(stat), time(stat))
}

/// Directories have sizes of the file system's own making.
fn size(stat: &Stat) -> u64 {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => u64::try_from(stat.st_size).unwrap_or_default(),
        _ => 0,
    }
}

fn time(stat: &Stat) -> (i64, u32) {
    match is_whiteout(stat) {
        true => (0, 0),
        false => (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or_default()),
    }
}

/// Reads up to a buffer of bytes at an offset; fewer only at the end.
fn fill(file: &OwnedFd, at: u64, buffer: &mut Vec<u8>) -> Result<(), Errno> {
    buffer.resize(BUFFER, 0);
    let mut filled = 0;
    while filled < BUFFER {
        match pread(file, &mut buffer[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(filled);
    Ok(())
}
