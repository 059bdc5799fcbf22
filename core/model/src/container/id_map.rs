//! Owners of a bind mount's files, as a container sees them.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How owners are mapped: there and back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum IdMap {
    /// The owner of the source becomes a user of the container: this one (user and group), or the one that it runs
    /// as. All others stay who they are; who would be mixed up with one of the two is nobody.
    Owner(Option<(u32, u32)>),
    /// Ranges that say all; who is in none is nobody.
    Ranges {
        /// Users.
        users: Vec<IdRange>,
        /// Groups.
        groups: Vec<IdRange>,
    },
}

/// Owners that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    /// The first, as the file system has it.
    pub stored: u32,
    /// The first, as the container sees it.
    pub seen: u32,
    /// How many.
    pub count: u32,
}

/// As the kernel takes them (user_namespaces(7)).
const MOST_RANGES: usize = 340;
/// All ids but the last, which is none.
const ALL: u32 = u32::MAX;

impl IdMap {
    /// Reads what stands after `idmap=`: a user, `user.group`, or podman's `uids=STORED-SEEN-COUNT#…;gids=…`; without
    /// anything the user that the container runs as.
    ///
    /// # Errors
    /// Invalid argument for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            let form = "wanted: UID, UID.GID, or uids=STORED-SEEN-COUNT#…;gids=STORED-SEEN-COUNT#…";
            Error::invalid(format!("invalid idmap {text:?}: {form}"))
        };
        if text.is_empty() {
            return Ok(Self::Owner(None));
        }
        if !text.contains('=') {
            let (user, group) = text.split_once('.').unwrap_or((text, text));
            let id = |text: &str| text.parse().ok().filter(|id| *id != ALL).ok_or_else(wrong);
            return Ok(Self::Owner(Some((id(user)?, id(group)?))));
        }
        let (mut users, mut groups) = (Vec::new(), Vec::new());
        for part in text.split(';') {
            match part.split_once('=') {
                Some(("uids", list)) => users = ranges(list).ok_or_else(wrong)?,
                Some(("gids", list)) => groups = ranges(list).ok_or_else(wrong)?,
                _ => return Err(wrong()),
            }
        }
        if users.is_empty() || groups.is_empty() {
            return Err(wrong());
        }
        Ok(Self::Ranges { users, groups })
    }

    /// The ranges of users and of groups, for a source of this owner and a container that runs as this user.
    #[must_use]
    pub fn ranges(&self, owner: (u32, u32), user: (u32, u32)) -> (Vec<IdRange>, Vec<IdRange>) {
        match self {
            Self::Ranges { users, groups } => (users.clone(), groups.clone()),
            Self::Owner(named) => {
                let seen = named.unwrap_or(user);
                (exchange(owner.0, seen.0), exchange(owner.1, seen.1))
            }
        }
    }
}

fn ranges(list: &str) -> Option<Vec<IdRange>> {
    let all: Option<Vec<IdRange>> = list.split('#').map(range).collect();
    all.filter(|all| all.len() <= MOST_RANGES)
}

fn range(text: &str) -> Option<IdRange> {
    let mut numbers = text.split('-').map(|number| number.parse::<u32>().ok());
    let (stored, seen, count) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let fits = count > 0 && stored.checked_add(count).is_some() && seen.checked_add(count).is_some();
    (fits && numbers.next().is_none()).then_some(IdRange { stored, seen, count })
}

/// One id is seen as another one, and all but these two as they are.
fn exchange(stored: u32, seen: u32) -> Vec<IdRange> {
    if stored == seen {
        return vec![IdRange { stored: 0, seen: 0, count: ALL }];
    }
    let (low, high) = (stored.min(seen), stored.max(seen));
    let same =
        |from: u32, to: u32| (to > from).then(|| IdRange { stored: from, seen: from, count: to - from });
    let rest = [same(0, low), same(low + 1, high), same(high + 1, ALL)];
    [IdRange { stored, seen, count: 1 }].into_iter().chain(rest.into_iter().flatten()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_seen_as_another_and_nobody_twice() {
        let range = |stored, seen, count| IdRange { stored, seen, count };
        let (users, groups) = IdMap::parse("").unwrap().ranges((1000, 100), (0, 0));
        assert_eq!(users, [range(1000, 0, 1), range(1, 1, 999), range(1001, 1001, ALL - 1001)]);
        assert_eq!(groups, [range(100, 0, 1), range(1, 1, 99), range(101, 101, ALL - 101)]);
        let (users, _) = IdMap::parse("999").unwrap().ranges((0, 0), (5, 5));
        assert_eq!(users, [range(0, 999, 1), range(1, 1, 998), range(1000, 1000, ALL - 1000)]);
        let (users, groups) = IdMap::parse("7.8").unwrap().ranges((7, 8), (0, 0));
        assert_eq!((users, groups), (vec![range(0, 0, ALL)], vec![range(0, 0, ALL)]));
        let given = IdMap::parse("uids=0-1-10#10-11-10;gids=0-100-10").unwrap().ranges((1, 1), (1, 1));
        assert_eq!(given, (vec![range(0, 1, 10), range(10, 11, 10)], vec![range(0, 100, 10)]));
    }

    #[test]
    fn what_is_no_mapping_is_refused() {
        for wrong in [
            "x",
            "-1",
            "1.",
            "4294967295",
            "uids=0-1-10",
            "uids=0-1-10;gids=",
            "uids=0-1;gids=0-1-1",
            "uids=0-1-0;gids=0-1-1",
            "uids=0-4294967295-2;gids=0-1-1",
            "other=1",
            "uids=0-1-1-1;gids=0-1-1",
        ] {
            assert!(IdMap::parse(wrong).is_err(), "{wrong}");
        }
    }
}
