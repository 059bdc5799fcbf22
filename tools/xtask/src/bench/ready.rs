//! Engines that end and start again, with containers that have stopped.

use std::cell::RefCell;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;

use anyhow::{Context as _, Result};
use dhow_testkit::rootfs;

use super::cases::quiet;
use super::peers::{self, Arena};
use super::series::Contender;

const STOPPED: usize = 100;

/// From its start until it answers. Both are engines of their own, so that the others' stay up.
pub(crate) fn ready(arena: &Arena) -> Result<Vec<Contender<'_>>> {
    let place = Rc::new(tempfile::Builder::new().prefix("dhow-bench-ready-").tempdir()?);
    let dhow = Rc::new(RefCell::new(peers::dhow()?));
    fill(&peers::release_binary()?, &dhow.borrow().engine.host())?;
    let again = Rc::clone(&dhow);
    let mut all = vec![Contender {
        name: "dhow",
        group: &arena.dhow.group,
        prepare: Some(Box::new(move || again.borrow_mut().engine.stop())),
        work: Box::new(move || dhow.borrow_mut().engine.launch()),
    }];
    if let Some(known) = &arena.docker {
        let tar = place.path().join("busybox.tar");
        rootfs::busybox_tar(&tar)?;
        let docker = peers::docker(place.path(), &tar)?.context("docker was there")?;
        fill(Path::new("docker"), &docker.host())?;
        let docker = Rc::new(RefCell::new(docker));
        let again = Rc::clone(&docker);
        all.push(Contender {
            name: "docker",
            group: &known.group,
            // The directory goes with the last closure that holds it.
            prepare: Some(Box::new(move || again.borrow_mut().stop())),
            work: Box::new(move || {
                let _kept = &place;
                docker.borrow_mut().launch()
            }),
        });
    }
    Ok(all)
}

fn fill(program: &Path, host: &str) -> Result<()> {
    for number in 0..STOPPED {
        let name = format!("stopped-{number}");
        let words = ["run", "--name", &name, "--network", "none", "busybox", "true"];
        quiet(Command::new(program).args(words).env("DOCKER_HOST", host))?;
    }
    Ok(())
}
