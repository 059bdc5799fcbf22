//! Load, save and removal of an image of 300 MB: four layers with 2,500 files each.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};
use dhow_testkit::Engine;

use super::cases::{Words, clients, quiet};
use super::peers::Arena;
use super::series::Contender;

const LAYERS: u64 = 4;
const FILES: u64 = 2_500;
const BYTES: usize = 30_000;
const NAME: &str = "bench:big";

/// Makes the archive of the image once, with the engine of `arena`.
pub(crate) fn make(engine: &Engine, directory: &Path) -> Result<PathBuf> {
    let archive = directory.join("big.tar");
    let mut parent = "busybox".to_owned();
    for layer in 0..LAYERS {
        let tree = directory.join(format!("layer-{layer}"));
        fill(&tree, layer)?;
        let container = engine.dhow(&["create", &parent, "true"]);
        let container = {
            container.check()?;
            container.stdout.trim().to_owned()
        };
        engine.dhow(&["cp", &tree.to_string_lossy(), &format!("{container}:/")]).check()?;
        engine.dhow(&["commit", &container, NAME]).check()?;
        engine.dhow(&["rm", &container]).check()?;
        fs::remove_dir_all(&tree)?;
        parent = NAME.to_owned();
    }
    engine.dhow(&["save", "-o", &archive.to_string_lossy(), NAME]).check()?;
    Ok(archive)
}

/// Files that no compression makes small: a xorshift of their number.
fn fill(tree: &Path, layer: u64) -> Result<()> {
    for number in 0..FILES {
        let directory = tree.join(format!("d{}", number / 100));
        fs::create_dir_all(&directory)?;
        let mut state = (layer << 32 | number).wrapping_mul(2_654_435_761) + 1;
        let bytes: Vec<u8> = (0..BYTES / 8)
            .flat_map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()
            })
            .collect();
        fs::write(directory.join(format!("f{number}")), bytes)?;
    }
    Ok(())
}

/// `load -i`; what was loaded before is removed before each round.
pub(crate) fn load(arena: &Arena) -> Result<Vec<Contender<'_>>> {
    let archive = arena.archive()?.to_owned();
    contenders(arena, move |client| quiet(client(&["load", "-i"]).arg(&archive)), remove)
}

/// `save -o`.
pub(crate) fn save(arena: &Arena) -> Result<Vec<Contender<'_>>> {
    let archive = arena.archive()?.to_owned();
    let copy = archive.with_extension("copy");
    let again = copy.clone();
    let prepare = move |client: &Words<'_>| {
        // podman adds to no archive that is there.
        drop(fs::remove_file(&again));
        quiet(client(&["load", "-i"]).arg(&archive))
    };
    contenders(arena, move |client| quiet(client(&["save", NAME, "-o"]).arg(&copy)), prepare)
}

/// `rmi`; it is loaded before each round.
pub(crate) fn removal(arena: &Arena) -> Result<Vec<Contender<'_>>> {
    let archive = arena.archive()?.to_owned();
    contenders(
        arena,
        |client| quiet(&mut client(&["rmi", NAME])),
        move |client| quiet(client(&["load", "-i"]).arg(&archive)),
    )
}

fn remove(client: &Words<'_>) -> Result<()> {
    // The first time there is nothing to remove.
    let mut command = client(&["rmi", NAME]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().context("remove the image").map(drop)
}

fn contenders<'a>(
    arena: &'a Arena,
    work: impl Fn(&Words<'_>) -> Result<()> + Clone + 'a,
    prepare: impl Fn(&Words<'_>) -> Result<()> + Clone + 'a,
) -> Result<Vec<Contender<'a>>> {
    let all = clients(arena)?.into_iter().map(|client| {
        let (work, prepare) = (work.clone(), prepare.clone());
        let again = client.command.clone();
        Contender {
            name: client.name,
            group: client.group,
            prepare: Some(Box::new(move || prepare(&|words| again(words)))),
            work: Box::new(move || work(&|words| (client.command)(words))),
        }
    });
    Ok(all.collect())
}
