//! Lists of many things.

use std::process::Command;

use anyhow::Result;

use super::cases::{Client, clients, commands, quiet};
use super::peers::Arena;
use super::series::Contender;

const CONTAINERS: usize = 200;
const IMAGES: usize = 100;

/// `ps -a` of 200 containers.
pub(crate) fn ps(arena: &Arena) -> Result<Vec<Contender<'_>>> {
    for client in clients(arena)? {
        client.group.enter()?;
        for number in 0..CONTAINERS {
            let name = format!("many-{number}");
            or_leave_out(&client, &["create", "--name", &name, "--network", "none", "busybox", "true"]);
        }
    }
    commands(arena, &["ps", "-a"])
}

/// `images` of 100 names of as many images.
pub(crate) fn images(arena: &Arena) -> Result<Vec<Contender<'_>>> {
    for client in clients(arena)? {
        client.group.enter()?;
        or_leave_out(&client, &["create", "--name", "many-source", "busybox", "true"]);
        for number in 0..IMAGES {
            let (label, name) = (format!("LABEL number={number}"), format!("many:{number}"));
            or_leave_out(&client, &["commit", "--change", &label, "many-source", &name]);
        }
    }
    commands(arena, &["images"])
}

/// A peer that cannot do it is left out when its turn comes, with what it says.
fn or_leave_out(client: &Client<'_>, words: &[&str]) {
    let mut command: Command = (client.command)(words);
    drop(quiet(&mut command));
}
