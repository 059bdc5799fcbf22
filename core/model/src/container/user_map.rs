//! The users of a container in a user namespace, and who they are on the host.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Users and groups of containers, and those of the host that they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct UserMap {
    /// Users.
    pub users: Vec<Span>,
    /// Groups.
    pub groups: Vec<Span>,
}

/// Ids that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Span {
    /// The first, as the container has it.
    pub inside: u32,
    /// The first, as the host has it.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// Who is nobody of the container, as its programs see them: the kernel's own number.
pub const NOBODY: u32 = 65534;

impl UserMap {
    /// Who root of the container is on the host.
    ///
    /// # Errors
    /// Invalid argument when nobody is: such a container could not be made.
    pub fn root(&self) -> Result<(u32, u32)> {
        let none = || Error::invalid("the ranges of the user namespace have no root");
        Ok((outside(&self.users, 0).ok_or_else(none)?, outside(&self.groups, 0).ok_or_else(none)?))
    }

    /// The same, seen from the other side.
    #[must_use]
    pub fn inverse(&self) -> Self {
        let turn = |span: &Span| Span { inside: span.outside, outside: span.inside, count: span.count };
        Self { users: self.users.iter().map(turn).collect(), groups: self.groups.iter().map(turn).collect() }
    }

    /// Reads `/proc/PID/uid_map` and `gid_map`; nothing where everybody is who they are.
    #[must_use]
    pub fn of_process(users: &str, groups: &str) -> Option<Self> {
        let read = |text: &str| text.lines().filter_map(line).collect::<Vec<_>>();
        let map = Self { users: read(users), groups: read(groups) };
        let all =
            |spans: &[Span]| matches!(spans, [one] if one.inside == one.outside && one.count == u32::MAX);
        (!(all(&map.users) && all(&map.groups))).then_some(map)
    }
}

fn line(line: &str) -> Option<Span> {
    let mut numbers = line.split_whitespace().map(|number| number.parse().ok());
    Some(Span { inside: numbers.next()??, outside: numbers.next()??, count: numbers.next()?? })
}

/// Who an id of the container is on the host.
#[must_use]
pub fn outside(spans: &[Span], inside: u32) -> Option<u32> {
    let of = |span: &Span| Some(inside.checked_sub(span.inside)?).filter(|at| *at < span.count);
    spans.iter().find_map(|span| span.outside.checked_add(of(span)?))
}

/// Who an id of the host is in the container.
#[must_use]
pub fn inside(spans: &[Span], outside: u32) -> Option<u32> {
    let of = |span: &Span| Some(outside.checked_sub(span.outside)?).filter(|at| *at < span.count);
    spans.iter().find_map(|span| span.inside.checked_add(of(span)?))
}

/// The form of `/proc/PID/uid_map`.
#[must_use]
pub fn lines(spans: &[Span]) -> String {
    spans.iter().map(|span| format!("{} {} {}\n", span.inside, span.outside, span.count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPANS: [Span; 2] =
        [Span { inside: 0, outside: 1000, count: 1 }, Span { inside: 1, outside: 100_000, count: 65_535 }];

    #[test]
    fn everybody_has_one_number_on_each_side() {
        for (within, without) in [(0, 1000), (1, 100_000), (65_535, 165_534)] {
            assert_eq!(outside(&SPANS, within), Some(without));
            assert_eq!(inside(&SPANS, without), Some(within));
        }
        assert_eq!(
            (outside(&SPANS, 65_536), inside(&SPANS, 999), inside(&SPANS, 165_535)),
            (None, None, None)
        );
    }

    #[test]
    fn the_hosts_own_map_is_none() {
        let all = "         0          0 4294967295\n";
        assert_eq!(UserMap::of_process(all, all), None);
        let map = UserMap::of_process(&lines(&SPANS), all).unwrap();
        assert_eq!((map.users.as_slice(), map.groups.len()), (&SPANS[..], 1));
        assert_eq!(map.root().unwrap(), (1000, 0));
        assert_eq!(map.inverse().inverse(), map);
    }
}
