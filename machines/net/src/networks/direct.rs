//! Links of containers that hang on a link of the host, and that link where it is ours: a VLAN of another, or one
//! that leads nowhere.

use std::io;
use std::os::fd::AsFd as _;
use std::thread;
use std::time::{Duration, Instant};

use dhow_model::network::{Direct, DirectKind, MacvlanMode};
use dhow_model::ports::{LinkPlan, NetworkSpace};

use super::bridges::MARK;
use crate::link::{Child, Link, Links, Parent};

/// How long a link of a container that has ended may be in the way: the kernel takes it away behind our back.
const LEAVING: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(10);

/// Makes the parent, or finds it.
pub(super) fn make(links: &mut Links, direct: &Direct, own: &str, mark: &str) -> io::Result<()> {
    let kind = direct.kind.word();
    if !links.knows(kind)? {
        return Err(unsupported(format!("this kernel has no links of kind {kind}")));
    }
    let name = direct.parent.as_str();
    if let Some(link) = links.find(name)? {
        return refuse_others(&link, mark);
    }
    let parent = if name == own { Parent::Dummy } else { vlan(links, name)? };
    links.add_parent(name, parent, mark).map(drop).map_err(|error| match (error.kind(), parent) {
        (io::ErrorKind::Unsupported, Parent::Dummy) => unsupported(
            "this kernel has no links of kind dummy, which a network without a parent needs: name one with -o parent="
                .to_owned(),
        ),
        (io::ErrorKind::Unsupported, Parent::Vlan(..)) => {
            unsupported(format!("this kernel has no links of kind vlan, which {name} is to be"))
        }
        _ => error,
    })
}

/// A parent that another engine made goes with that engine's networks.
fn refuse_others(link: &Link, mark: &str) -> io::Result<()> {
    if link.alias.starts_with(MARK) && link.alias != mark {
        let words = format!("the link {} belongs to another engine ({})", link.name, link.alias);
        return Err(io::Error::other(words));
    }
    Ok(())
}

/// Reads `eth0.10`, in Docker's words where it is none.
fn vlan(links: &mut Links, name: &str) -> io::Result<Parent> {
    let wrong = |words: String| io::Error::new(io::ErrorKind::InvalidInput, words);
    let Some((parent, number)) = name.split_once('.') else {
        let words = format!("invalid subinterface vlan name {name}, example formatting is eth0.10");
        return Err(wrong(words));
    };
    if number.contains('.') {
        let words = "required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10";
        return Err(wrong(format!("{words}, instead received {name}")));
    }
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    let Some(number) = number.parse::<u32>().ok().filter(|_| digits) else {
        let words = format!("unable to parse a valid vlan id from: {number} (ex. eth0.10 for vlan 10)");
        return Err(wrong(words));
    };
    let Some(link) = links.find(parent)? else {
        return Err(wrong(format!("-o parent interface was not found on the host: {parent}")));
    };
    match u16::try_from(number) {
        Ok(number @ 1..=4094) => Ok(Parent::Vlan(link.index, number)),
        _ => Err(wrong(format!("vlan id must be between 1-4094, received: {number}"))),
    }
}

/// Removes the parent, when it is ours.
pub(super) fn remove(links: &mut Links, parent: &str, mark: &str) -> io::Result<()> {
    match links.find(parent)? {
        Some(link) if link.alias == mark => links.remove(link.index),
        _ => Ok(()),
    }
}

/// Puts a link into a space.
pub(super) fn join(
    links: &mut Links,
    space: &NetworkSpace,
    plan: &LinkPlan,
    direct: &Direct,
) -> io::Result<()> {
    let Some(parent) = links.find(&direct.parent)? else {
        let words = format!("the requested parent interface {} was not found on the host", direct.parent);
        return Err(io::Error::new(io::ErrorKind::NotFound, words));
    };
    let child = Child {
        name: &plan.interface,
        parent: parent.index,
        kind: direct.kind,
        namespace: space.handle().as_fd(),
        mac: plan.mac,
        mtu: plan.mtu,
    };
    links.add_child(&child)
}

/// Whether no other link may hang on its parent.
pub(super) fn is_alone(direct: &Direct) -> bool {
    direct.kind == DirectKind::Macvlan(MacvlanMode::Passthru)
}

/// Tries again while the link of a container that has ended may be in the way.
pub(super) fn while_leaving(
    in_the_way: impl Fn(&io::Error) -> bool,
    mut deed: impl FnMut() -> io::Result<()>,
) -> io::Result<()> {
    let end = Instant::now() + LEAVING;
    loop {
        match deed() {
            Err(error) if in_the_way(&error) && Instant::now() < end => thread::sleep(PAUSE),
            done => return done,
        }
    }
}

fn unsupported(words: String) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, words)
}
