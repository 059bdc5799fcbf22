//! Who a process is: a user and groups, by name or number, from the container's own files.
//!
//! The rules are Docker's. What is no name of the file must be a number, in decimal and within 31
//! bits: a number that overflows, a sign or a prefix would make somebody else of it, root at worst
//! (CVE-2024-40635, CVE-2026-46680).

use dhow_model::{Error, Result};

/// The largest id; the kernel keeps -1 for itself, and Go's int32 ends here.
const MAX: u32 = i32::MAX.unsigned_abs();

/// A user as the kernel takes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplementary groups, in order.
    pub groups: Vec<u32>,
    /// Home directory.
    pub home: String,
}

struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: Vec<&'a str>,
}

/// Resolves `user[:group]` and further groups.
///
/// # Errors
/// Invalid argument, in Docker's words.
pub fn resolve(text: &str, further: &[String], passwd: &str, group: &str) -> Result<Identity> {
    let (user, wanted_group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (text, None),
    };
    let account = account(user, passwd)?;
    let groups: Vec<Group<'_>> = group.lines().filter_map(read_group).collect();
    let mut identity = Identity {
        uid: account.uid,
        gid: account.gid,
        groups: Vec::new(),
        home: if account.home.is_empty() { "/".into() } else { account.home.into() },
    };
    match wanted_group {
        // A group that was asked for stands alone: the user's others are not added.
        Some(name) => identity.gid = group_id(name, &groups)?,
        None if !account.name.is_empty() => {
            let member = |group: &&Group<'_>| group.members.contains(&account.name);
            identity.groups = groups.iter().filter(member).map(|group| group.gid).collect();
        }
        None => {}
    }
    for name in further {
        identity.groups.push(group_id(name, &groups)?);
    }
    // Without its own group among them a process would be in fewer groups than its user
    // (CVE-2022-36109).
    identity.groups.insert(0, identity.gid);
    let mut seen = std::collections::BTreeSet::new();
    identity.groups.retain(|gid| seen.insert(*gid));
    Ok(identity)
}

fn account<'a>(text: &str, passwd: &'a str) -> Result<Account<'a>> {
    let mut accounts = passwd.lines().filter_map(read_account);
    if text.is_empty() {
        let root = accounts.find(|account| account.uid == 0);
        return Ok(root.unwrap_or(Account { name: "", uid: 0, gid: 0, home: "/" }));
    }
    let number = number(text);
    if let Some(found) = accounts.find(|account| account.name == text || number == Some(account.uid)) {
        return Ok(found);
    }
    match number {
        Some(uid) => Ok(Account { name: "", uid, gid: 0, home: "/" }),
        None => {
            Err(Error::invalid(format!("unable to find user {text}: no matching entries in passwd file")))
        }
    }
}

fn group_id(text: &str, groups: &[Group<'_>]) -> Result<u32> {
    let number = number(text);
    let found = groups.iter().find(|group| group.name == text);
    match found.map(|group| group.gid).or(number) {
        Some(gid) => Ok(gid),
        None => {
            Err(Error::invalid(format!("unable to find group {text}: no matching entries in group file")))
        }
    }
}

/// Digits only, within the range.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|id| digits && *id <= MAX)
}

fn read_account(line: &str) -> Option<Account<'_>> {
    let mut fields = line.trim().split(':');
    let name = fields.next().filter(|name| !name.is_empty() && !name.starts_with('#'))?;
    let uid = number(fields.nth(1)?)?;
    let gid = number(fields.next()?)?;
    let home = fields.nth(1).unwrap_or_default();
    Some(Account { name, uid, gid, home })
}

fn read_group(line: &str) -> Option<Group<'_>> {
    let mut fields = line.trim().split(':');
    let name = fields.next().filter(|name| !name.is_empty() && !name.starts_with('#'))?;
    let gid = number(fields.nth(1)?)?;
    let members = fields.next().unwrap_or_default().split(',').filter(|member| !member.is_empty());
    Some(Group { name, gid, members: members.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "# comment\nroot:x:0:0:root:/root:/bin/sh\n\nbad line\nweb:x:1000:1001::/home/web:/bin/sh\n1234:x:55:56::/x:\n";
    const GROUP: &str =
        "root:x:0:\nweb:x:1001:\naudio:x:29:web,other\nvideo:x:44:web\nodd:x:4294967296:web\n";

    fn ids(text: &str) -> Result<(u32, u32, Vec<u32>)> {
        resolve(text, &[], PASSWD, GROUP).map(|i| (i.uid, i.gid, i.groups))
    }

    #[test]
    fn users_are_found_by_name_and_number_with_their_exact_groups() {
        assert_eq!(ids("").unwrap(), (0, 0, vec![0]));
        assert_eq!(ids("web").unwrap(), (1000, 1001, vec![1001, 29, 44]));
        assert_eq!(ids("1000").unwrap(), (1000, 1001, vec![1001, 29, 44]));
        assert_eq!(ids("web:audio").unwrap(), (1000, 29, vec![29]));
        assert_eq!(ids("77:78").unwrap(), (77, 78, vec![78]));
        assert_eq!(ids("77").unwrap(), (77, 0, vec![0]));
        assert_eq!(ids("1234").unwrap(), (55, 56, vec![56]), "a name of digits is a name first");
        let more = resolve("web", &["29".into(), "root".into()], PASSWD, GROUP).unwrap();
        assert_eq!(more.groups, [1001, 29, 44, 0]);
    }

    #[test]
    fn who_is_in_no_file_lives_at_the_root() {
        for text in ["", "0", "77"] {
            assert_eq!(resolve(text, &[], "", "").unwrap().home, "/", "{text:?}");
        }
        assert_eq!(resolve("", &[], PASSWD, "").unwrap().home, "/root");
    }

    #[test]
    fn what_is_no_user_never_becomes_root() {
        for odd in [
            "nobody",
            "-1",
            "4294967296",
            "2147483648",
            "4294967295",
            "0x0",
            " 0",
            "0 ",
            "+0",
            "1000x",
            "root\n",
            "web:nope",
            "web:-1",
            "web:99999999999999999999",
            "٣",
        ] {
            assert!(ids(odd).is_err(), "{odd:?} was taken for {:?}", ids(odd));
        }
    }
}
