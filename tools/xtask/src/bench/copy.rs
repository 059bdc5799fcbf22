//! `cp` of 200 MB into a container and out of it, and `diff` and `commit` of a layer of 5,000 files.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;

use super::cases::{Words, clients, quiet};
use super::peers::Arena;
use super::series::Contender;

const BYTES: u64 = 200_000_000;
const FILES: usize = 5_000;
const CONTAINER: &str = "bench-copy";
const COMMITTED: &str = "bench:committed";

/// Into a container that runs.
pub(crate) fn inward(arena: &Arena) -> Result<Vec<Contender<'_>>> {
    let file = large(arena)?;
    first(arena, |_| Ok(()))?;
    contenders(arena, move |client| quiet(client(&["cp"]).arg(&file).arg(format!("{CONTAINER}:/in"))))
}

/// Out of a container that runs.
pub(crate) fn outward(arena: &Arena) -> Result<Vec<Contender<'_>>> {
    let file = large(arena)?;
    first(arena, |client| quiet(client(&["cp"]).arg(&file).arg(format!("{CONTAINER}:/out"))))?;
    let copy = file.with_extension("copy");
    contenders(arena, move |client| quiet(client(&["cp"]).arg(format!("{CONTAINER}:/out")).arg(&copy)))
}

/// What a container with 5,000 new files has changed, and an image of that.
pub(crate) fn layer(arena: &Arena) -> Result<Vec<Contender<'_>>> {
    let tree = arena.scratch().join("layer");
    fs::create_dir_all(&tree)?;
    for number in 0..FILES {
        fs::write(tree.join(format!("f{number}")), number.to_string().repeat(200))?;
    }
    first(arena, |client| quiet(client(&["cp"]).arg(&tree).arg(format!("{CONTAINER}:/"))))?;
    contenders(arena, |client| {
        quiet(&mut client(&["diff", CONTAINER]))?;
        quiet(&mut client(&["commit", CONTAINER, COMMITTED]))
    })
}

/// A container that stays while the case runs, with what the case needs in it; that of the case before
/// goes. A peer that cannot do it is left out when its turn comes, with what it says.
fn first(arena: &Arena, fill: impl Fn(&Words<'_>) -> Result<()>) -> Result<()> {
    for client in clients(arena)? {
        client.group.enter()?;
        drop(quiet(&mut (client.command)(&["rm", "-f", CONTAINER])));
        let run = ["run", "-d", "--network", "none", "--name", CONTAINER, "busybox", "sleep", "100000"];
        let made = quiet(&mut (client.command)(&run));
        drop(made.and_then(|()| fill(&|words| (client.command)(words))));
    }
    Ok(())
}

/// Bytes that no compression makes small.
fn large(arena: &Arena) -> Result<PathBuf> {
    let file = arena.scratch().join("large");
    if !file.exists() {
        let mut source = std::io::Read::take(fs::File::open("/dev/urandom")?, BYTES);
        std::io::copy(&mut source, &mut fs::File::create(&file)?)?;
    }
    Ok(file)
}

fn contenders<'a>(
    arena: &'a Arena,
    work: impl Fn(&Words<'_>) -> Result<()> + Clone + 'a,
) -> Result<Vec<Contender<'a>>> {
    let all = clients(arena)?.into_iter().map(|client| {
        let work = work.clone();
        Contender {
            name: client.name,
            group: client.group,
            prepare: None,
            work: Box::new(move || work(&|words| (client.command)(words))),
        }
    });
    Ok(all.collect())
}
