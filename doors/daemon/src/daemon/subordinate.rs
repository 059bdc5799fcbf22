//! `userns-remap`: whose subordinate ids the users of containers get.
//!
//! Names are read from /etc/passwd and /etc/group as they lie there, ranges from subuid(5) and subgid(5). Docker makes
//! a user `dockremap` with useradd(8) for the word `default`; here that name only stands in the two files, where its
//! ranges are added when there are none: nobody has to be able to log in for that.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use dhow_model::container::UserMap;
use dhow_model::container::user_map::Span;

/// The word for a user of our own, and that user.
const DEFAULT: &str = "default";
const DEFAULT_USER: &str = "dockremap";
/// So many ids are what programs expect: numbers of two bytes.
const COUNT: u32 = 65_536;
/// Below it are the host's own users, as useradd(8) has it.
const FIRST: u32 = 100_000;
/// Lines of a map that the kernel takes.
const MOST: usize = 340;
const LONGEST: u64 = 16 << 20;

/// The files that say who is who.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub(super) users: PathBuf,
    pub(super) groups: PathBuf,
    pub(super) subordinate_users: PathBuf,
    pub(super) subordinate_groups: PathBuf,
}

impl Files {
    /// Those of a host.
    pub(super) fn below(etc: &Path) -> Self {
        let file = |name: &str| etc.join(name);
        Self {
            users: file("passwd"),
            groups: file("group"),
            subordinate_users: file("subuid"),
            subordinate_groups: file("subgid"),
        }
    }

    /// The map of `userns-remap`; none for root, who is who he is.
    ///
    /// # Errors
    /// In Docker's words where it has some: a user that is not there, or has no ranges.
    pub(super) fn resolve(&self, text: &str) -> Result<Option<UserMap>> {
        let invalid = || anyhow!("invalid user/group specification in --userns-remap: {text:?}");
        let (user, group) = match text.split_once(':') {
            Some((user, group)) if !user.is_empty() && !group.is_empty() && !group.contains(':') => {
                (user, Some(group))
            }
            Some(_) => return Err(invalid()),
            None => (text, None),
        };
        if user == DEFAULT {
            ensure!(group.is_none_or(|group| group == DEFAULT), invalid());
            self.add_default()?;
            return Ok(Some(self.map(&Name::alone(DEFAULT_USER), &Name::alone(DEFAULT_USER))?));
        }
        let user =
            find(&self.users, user).with_context(|| format!("error during {user:?} username lookup"))?;
        let group = match group {
            Some(group) => find(&self.groups, group)
                .with_context(|| format!("error during {group:?} groupname lookup"))?,
            None => Name::alone(&user.name),
        };
        if user.name == "root" {
            return Ok(None);
        }
        Ok(Some(self.map(&user, &group)?))
    }

    fn map(&self, user: &Name, group: &Name) -> Result<UserMap> {
        let users = ranges(&self.subordinate_users, user, "subuid")?;
        // Docker looks there for the user, whatever group was named.
        let groups = ranges(&self.subordinate_groups, group, "subgid")
            .or_else(|error| ranges(&self.subordinate_groups, user, "subgid").map_err(|_| error))?;
        Ok(UserMap { users, groups })
    }

    fn add_default(&self) -> Result<()> {
        for file in [&self.subordinate_users, &self.subordinate_groups] {
            let text = read(file)?;
            if lines(&text).any(|line| line.owner == DEFAULT_USER) {
                continue;
            }
            let ids = free(&text).with_context(|| format!("{} has no room for ranges", file.display()))?;
            let line = format!("{DEFAULT_USER}:{ids}:{COUNT}\n");
            add(file, &line).with_context(|| {
                format!("add the line {:?} to {}: write it there yourself", line.trim_end(), file.display())
            })?;
        }
        Ok(())
    }
}

/// A user or group as the files of ranges may call it.
#[derive(Debug)]
struct Name {
    name: String,
    number: Option<u32>,
}

impl Name {
    fn alone(name: &str) -> Self {
        Self { name: name.to_owned(), number: None }
    }
}

/// The line of passwd(5) or group(5) with that name or number.
fn find(file: &Path, wanted: &str) -> Result<Name> {
    let text = read(file)?;
    let number: Option<u32> =
        wanted.parse().ok().filter(|_| wanted.bytes().all(|byte| byte.is_ascii_digit()));
    let entries = text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let name = fields.next().filter(|name| !name.is_empty() && !name.starts_with('#'))?;
        Some((name, fields.nth(1)?.parse::<u32>().ok()?))
    });
    let found = entries.into_iter().find(|(name, id)| *name == wanted || number == Some(*id));
    let (name, id) = found.ok_or_else(|| anyhow!("no such entry in {}", file.display()))?;
    Ok(Name { name: name.to_owned(), number: Some(id) })
}

/// One line of subuid(5).
struct Line<'a> {
    owner: &'a str,
    first: u32,
    count: u32,
}

fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let owner = fields.next().filter(|owner| !owner.is_empty() && !owner.starts_with('#'))?;
        let (first, count) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(Line { owner, first, count })
    })
}

/// The ranges one after the other, as Docker lays them out: by where they begin.
fn ranges(file: &Path, owner: &Name, what: &str) -> Result<Vec<Span>> {
    let text = read(file)?;
    let number = owner.number.map(|number| number.to_string());
    let is_own = |line: &Line<'_>| line.owner == owner.name || number.as_deref() == Some(line.owner);
    let mut own: Vec<(u32, u32)> = lines(&text)
        .filter(is_own)
        .map(|line| (line.first, line.count))
        .filter(|(_, count)| *count > 0)
        .collect();
    own.sort_unstable();
    own.dedup();
    if own.is_empty() {
        let line = format!("{}:{}:{COUNT}", owner.name, free(&text).unwrap_or(FIRST));
        bail!(
            "no {what} ranges found for user {:?} in {} (hint: write the line {line:?} there)",
            owner.name,
            file.display()
        );
    }
    ensure!(own.len() <= MOST, "{} has more than {MOST} ranges for {:?}", file.display(), owner.name);
    let mut inside: u32 = 0;
    let mut spans: Vec<Span> = Vec::new();
    for (first, count) in own {
        let ends = first.checked_add(count).zip(inside.checked_add(count));
        let (_, next) =
            ends.with_context(|| format!("{}: {first}:{count} is no range of ids", file.display()))?;
        ensure!(first > 0, "{}: a range with root of the host is none to give away", file.display());
        let last = spans.last().map_or(0, |span| span.outside + span.count);
        ensure!(first >= last, "{}: the ranges of {:?} overlap", file.display(), owner.name);
        spans.push(Span { inside, outside: first, count });
        inside = next;
    }
    Ok(spans)
}

/// Where so many ids begin that nobody has: behind all others.
fn free(text: &str) -> Option<u32> {
    let ends = lines(text).map(|line| u64::from(line.first) + u64::from(line.count));
    let first = u32::try_from(ends.max().unwrap_or(0)).ok()?.max(FIRST);
    first.checked_add(COUNT).filter(|end| *end < u32::MAX).map(|_| first)
}

fn read(file: &Path) -> Result<String> {
    let told = || format!("read {}", file.display());
    match fs::metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error).with_context(told),
        Ok(metadata) if metadata.len() > LONGEST => {
            bail!("{} is longer than {LONGEST} bytes", file.display())
        }
        Ok(_) => fs::read_to_string(file).with_context(told),
    }
}

/// Adds a line under the lock of the programs that change these files: a link named like the file, `.lock` behind it.
fn add(file: &Path, line: &str) -> Result<()> {
    let beside = |ending: &str| {
        let mut name = file.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let (own, lock) = (beside(&format!(".{}", std::process::id())), beside(".lock"));
    let _ = fs::remove_file(&own);
    let mut options = fs::OpenOptions::new();
    let mut holder = options.write(true).create_new(true).mode(0o600).open(&own)?;
    holder.write_all(format!("{}\0", std::process::id()).as_bytes())?;
    let linked = fs::hard_link(&own, &lock);
    let _ = fs::remove_file(&own);
    linked.with_context(|| format!("{} is there: another program changes the file", lock.display()))?;
    let written = rewrite(file, line, &beside("+"));
    fs::remove_file(&lock)?;
    written
}

/// Nobody sees half of it, and who loses power has the one or the other.
fn rewrite(file: &Path, line: &str, next: &Path) -> Result<()> {
    let mut text = read(file)?;
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(line);
    let before = fs::metadata(file).ok();
    let _ = fs::remove_file(next);
    let mut options = fs::OpenOptions::new();
    let mut new = options.write(true).create_new(true).mode(0o644).open(next)?;
    new.write_all(text.as_bytes())?;
    if let Some(before) = before {
        std::os::unix::fs::fchown(&new, Some(before.uid()), Some(before.gid()))?;
        new.set_permissions(fs::Permissions::from_mode(before.mode() & 0o7777))?;
    }
    new.sync_all()?;
    Ok(fs::rename(next, file)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(files: &[(&str, &str)]) -> (tempfile::TempDir, Files) {
        let etc = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(etc.path().join(name), text).unwrap();
        }
        let files = Files::below(etc.path());
        (etc, files)
    }

    const PASSWD: (&str, &str) =
        ("passwd", "root:x:0:0::/root:/bin/sh\nweb:x:1000:1001::/:\n7:x:2000:7::/:\n");
    const GROUP: (&str, &str) = ("group", "root:x:0:\nweb:x:1001:\nmen:x:50:\n");

    #[test]
    fn ranges_follow_each_other_whoever_they_are_written_for() {
        let (_etc, files) = host(&[
            PASSWD,
            GROUP,
            ("subuid", "# none\nweb:300000:10\nother:500000:1\n1000:200000:5\nbad\nweb:x:1\n"),
            ("subgid", "web:400000:65536\nmen:600000:7\n"),
        ]);
        let span = |inside, outside, count| Span { inside, outside, count };
        for text in ["web", "1000", "web:web", "web:1001", "1000:1001"] {
            let map = files.resolve(text).unwrap().unwrap();
            assert_eq!(map.users, [span(0, 200_000, 5), span(5, 300_000, 10)], "{text}");
            assert_eq!(map.groups, [span(0, 400_000, 65_536)], "{text}");
        }
        assert_eq!(files.resolve("web:men").unwrap().unwrap().groups, [span(0, 600_000, 7)]);
        assert_eq!(files.resolve("root").unwrap(), None);
    }

    #[test]
    fn what_is_wrong_is_told_with_the_line_that_mends_it() {
        let (_etc, files) =
            host(&[PASSWD, GROUP, ("subuid", "a:100000:65536\nweb:0:5\n"), ("subgid", "7:1:4\n7:3:4\n")]);
        for (text, words) in [
            ("nobody", "error during \"nobody\" username lookup"),
            ("4000", "error during \"4000\" username lookup"),
            ("web:nobody", "error during \"nobody\" groupname lookup"),
            ("a:b:c", "invalid user/group specification in --userns-remap: \"a:b:c\""),
            ("web:", "invalid user/group specification"),
            (":web", "invalid user/group specification"),
            ("web", "a range with root of the host is none to give away"),
            ("7", "(hint: write the line \"7:165536:65536\" there)"),
        ] {
            let error = files.resolve(text).unwrap_err();
            assert!(format!("{error:#}").contains(words), "{text}: {error:#}");
        }
    }

    #[test]
    fn the_user_of_our_own_gets_ranges_that_nobody_has_once() {
        let (etc, files) = host(&[("subuid", "web:100000:65536\nroot:4294967000:5")]);
        let error = files.resolve("default").unwrap_err();
        assert!(format!("{error:#}").contains("has no room"), "{error:#}");
        fs::write(&files.subordinate_users, "web:100000:65536").unwrap();
        fs::set_permissions(&files.subordinate_users, fs::Permissions::from_mode(0o600)).unwrap();
        let map = files.resolve("default").unwrap().unwrap();
        assert_eq!((map.users[0].outside, map.groups[0].outside), (165_536, 100_000));
        let text = fs::read_to_string(&files.subordinate_users).unwrap();
        assert_eq!(text, "web:100000:65536\ndockremap:165536:65536\n");
        assert_eq!(fs::metadata(&files.subordinate_users).unwrap().mode() & 0o777, 0o600);
        assert_eq!(files.resolve("default").unwrap().unwrap(), map);
        assert_eq!(fs::read_to_string(&files.subordinate_users).unwrap(), text);
        let mut names: Vec<_> = fs::read_dir(&etc).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["subgid", "subuid"]);
    }

    #[test]
    fn a_file_that_another_program_changes_is_left_alone() {
        let (etc, files) = host(&[]);
        fs::write(etc.path().join("subuid.lock"), "1").unwrap();
        let error = format!("{:#}", files.resolve("default").unwrap_err());
        assert!(error.contains("dockremap:100000:65536") && error.contains("another program"), "{error}");
        assert!(!files.subordinate_users.exists());
    }
}
