//! `cargo xtask demo`: the main job, from an empty machine to a container that ran.
//!
//! It builds Dhow, makes a base image from a real userland, runs a container, changes files in it,
//! shows that they live in the container's own layer, makes an image of them, and cleans up. The
//! engine has a directory of its own: nothing else on the machine is touched.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use dhow_testkit::{Engine, process, rootfs};

use crate::{setup, shell};

/// What the demo uses beside Rust.
const PACKAGES: &[(&str, &str)] = &[("busybox", "busybox-static"), ("tar", "tar")];

/// Runs the demo; with `debootstrap` the base image is a whole Debian.
pub(crate) fn run(debootstrap: bool) -> Result<()> {
    ensure!(
        process::must(Command::new("id").arg("-u"))?.trim() == "0",
        "containers need root: sudo cargo xtask demo"
    );
    setup::packages(PACKAGES)?;
    shell::run("cargo build --release --package dhow --locked")?;
    let binary = crate::bench::release_binary()?;
    let engine = Engine::start_binary(&binary, &[])?;
    let demo = Demo { engine: &engine, binary };
    let image = demo.make_base_image(debootstrap)?;
    demo.change_files_in_a_container(&image)?;
    demo.commit_and_run(&image)?;
    demo.clean_up(&image)?;
    say("Done. The engine of this demo ends with it, and its data with that.");
    Ok(())
}

struct Demo<'a> {
    engine: &'a Engine,
    binary: PathBuf,
}

impl Demo<'_> {
    fn make_base_image(&self, debootstrap: bool) -> Result<String> {
        let tar = self.engine.scratch().join("base.tar");
        let name = if debootstrap { "debian" } else { "busybox" };
        say(&format!("A base image from a real userland ({name}); no registry is needed"));
        if debootstrap {
            debian_tar(&tar)?;
        } else {
            rootfs::busybox_tar(&tar)?;
        }
        self.show(&["import", "--change", "CMD [\"sh\"]", &tar.display().to_string(), name])?;
        self.show(&["images"])?;
        Ok(name.into())
    }

    fn change_files_in_a_container(&self, image: &str) -> Result<()> {
        say("A container: isolated, with a writable layer of its own");
        let script = "echo 'cargo: spices' > /hold.txt; rm /etc/group; mkdir /deck; hostname; id -un; ps";
        self.show(&["run", "--name", "voyage", "--hostname", "dhow", image, "sh", "-c", script])?;
        say("What it changed lives in that layer, and nowhere else");
        self.show(&["diff", "voyage"])?;
        self.show(&["run", "--rm", image, "ls", "/etc/group"])?;
        self.show(&["ps", "-a"])
    }

    fn commit_and_run(&self, image: &str) -> Result<()> {
        say("The layer becomes a new image on top of the old one");
        self.show(&["commit", "-m", "loaded", "voyage", "voyage:1"])?;
        self.show(&["history", "voyage:1"])?;
        self.show(&["images", "--tree"])?;
        self.show(&["run", "--rm", "voyage:1", "cat", "/hold.txt"])?;
        let unchanged = self.engine.client(&self.binary, &["run", "--rm", image, "cat", "/hold.txt"], b"");
        ensure!(unchanged.status != 0, "the base image has changed");
        Ok(())
    }

    fn clean_up(&self, image: &str) -> Result<()> {
        say("And away with it");
        self.show(&["rm", "voyage"])?;
        self.show(&["rmi", "voyage:1", image])?;
        self.show(&["images"])
    }

    /// Prints a command, runs it, prints what it says.
    fn show(&self, arguments: &[&str]) -> Result<()> {
        println!("$ dhow {}", arguments.join(" "));
        let answer = self.engine.client(&self.binary, arguments, b"");
        print!("{}{}", answer.stdout, answer.stderr);
        ensure!(answer.status == 0, "dhow {} ended with {}", arguments.join(" "), answer.status);
        Ok(())
    }
}

fn debian_tar(tar: &Path) -> Result<()> {
    setup::packages(&[("debootstrap", "debootstrap")])?;
    let tree = tempfile::tempdir()?;
    let mut make = Command::new("debootstrap");
    process::must(make.args(["--variant=minbase", "bookworm"]).arg(tree.path()))?;
    process::must(
        Command::new("tar").args(["--numeric-owner", "-C"]).arg(tree.path()).arg("-cf").arg(tar).arg("."),
    )?;
    Ok(())
}

fn say(text: &str) {
    println!("\n# {text}");
}
