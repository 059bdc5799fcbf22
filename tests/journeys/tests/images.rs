//! Life of images: import, commit, save, load, remove; judged by other tools.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use dhow_journeys::engine;
use dhow_testkit::{Engine, process};

#[test]
fn a_committed_layer_is_an_image_of_its_own() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["run", "--name", "work", "busybox", "sh", "-c", "echo hi > /new; rm /etc/group"]).ok();
    engine.docker(&["commit", "-c", "ENV X=1", "-m", "loaded", "work", "cargo:1"]).ok();
    let seen = engine.docker(&["run", "--rm", "cargo:1", "sh", "-c", "cat /new; echo $X; ls /etc/group"]);
    assert_eq!(seen.stdout, "hi\n1\n");
    assert_eq!(engine.docker(&["history", "-q", "cargo:1"]).ok().lines().count(), 2);
    Ok(())
}

#[test]
fn a_saved_image_comes_back_with_the_same_id() -> Result<()> {
    let engine = engine()?;
    engine
        .docker(&[
            "run",
            "--name",
            "work",
            "busybox",
            "sh",
            "-c",
            "mkfifo /f; ln /bin/busybox /b; rm -r /home",
        ])
        .ok();
    engine.docker(&["commit", "work", "cargo:1"]).ok();
    let id = engine.docker(&["image", "inspect", "-f", "{{.Id}}", "cargo:1"]).ok().to_owned();
    let tar = engine.scratch().join("cargo.tar").display().to_string();
    engine.docker(&["save", "-o", &tar, "cargo:1", "busybox"]).ok();
    engine.docker(&["rm", "work"]).ok();
    engine.docker(&["rmi", "cargo:1", "busybox"]).ok();
    assert_eq!(engine.docker(&["images", "-aq"]).ok(), "");
    engine.docker(&["load", "-i", &tar]).ok();
    assert_eq!(engine.docker(&["image", "inspect", "-f", "{{.Id}}", "cargo:1"]).ok(), id);
    let files = engine.docker(&[
        "run",
        "--rm",
        "cargo:1",
        "sh",
        "-c",
        "stat -c %h /b; test -p /f && echo fifo; ls -d /home",
    ]);
    assert_eq!(files.stdout, "2\nfifo\n");
    Ok(())
}

#[test]
fn a_repository_is_saved_with_all_its_tags() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["tag", "busybox", "cargo:1"]).ok();
    engine.docker(&["tag", "busybox", "cargo:2"]).ok();
    engine.docker(&["run", "--name", "work", "--network", "none", "busybox", "touch", "/x"]).ok();
    engine.docker(&["commit", "work", "cargo:3"]).ok();
    let tar = engine.scratch().join("all.tar").display().to_string();
    engine.docker(&["save", "-o", &tar, "cargo"]).ok();
    engine.docker(&["rmi", "cargo:1", "cargo:2", "cargo:3"]).ok();
    let loaded = engine.docker(&["load", "-i", &tar]).ok().to_owned();
    for tag in ["cargo:1", "cargo:2", "cargo:3"] {
        ensure!(loaded.contains(tag), "{loaded}");
    }
    Ok(())
}

#[test]
fn what_is_no_name_of_an_image_is_told_from_one_that_is_not_there() -> Result<()> {
    let engine = engine()?;
    let mut connection = engine.connect()?;
    for (name, status, words) in [
        ("nothere", 404, "No such image: nothere:latest"),
        ("Upper", 400, "invalid reference format: repository name (library/Upper) must be lowercase"),
        ("a:b:c", 400, "invalid reference format"),
    ] {
        for (method, path) in [("GET", "/json"), ("GET", "/history"), ("GET", "/get"), ("DELETE", "")] {
            let answer =
                connection.request(method, &format!("/images/{name}{path}"), &serde_json::Value::Null)?;
            let said = String::from_utf8_lossy(&answer.body).into_owned();
            ensure!(
                answer.status == status && said.contains(words),
                "{method} {name}{path}: {} {said}",
                answer.status
            );
        }
    }
    Ok(())
}

#[test]
fn other_tools_read_what_is_saved() -> Result<()> {
    let Some(skopeo) = process::find("skopeo") else {
        eprintln!("skipped: skopeo is not installed");
        return Ok(());
    };
    let engine = engine()?;
    let tar = engine.scratch().join("busybox.tar");
    engine.docker(&["save", "-o", &tar.display().to_string(), "busybox"]).ok();
    let id = engine.docker(&["image", "inspect", "-f", "{{.Id}}", "busybox"]).ok().to_owned();
    for kind in ["docker-archive", "oci-archive"] {
        let copy = engine.scratch().join(kind);
        let copied = process::answer(
            Command::new(&skopeo)
                .args(["--insecure-policy", "copy"])
                .arg(format!("{kind}:{}", tar.display()))
                .arg(format!("dir:{}", copy.display())),
            b"",
        )?;
        copied.check()?;
        let manifest: serde_json::Value =
            serde_json::from_slice(&std::fs::read(copy.join("manifest.json"))?)?;
        assert_eq!(manifest["config"]["digest"], id.as_str(), "{kind}");
    }
    Ok(())
}

#[test]
fn a_broken_archive_leaves_nothing_behind() -> Result<()> {
    let engine = engine()?;
    let tar = engine.scratch().join("busybox.tar");
    engine.docker(&["save", "-o", &tar.display().to_string(), "busybox"]).ok();
    engine.docker(&["rmi", "busybox"]).ok();
    let whole = std::fs::read(&tar)?;
    let empty = files_below(&engine.data().join("layers"))?;
    for cut in [whole.len() / 3, whole.len() / 2, whole.len() - 2000] {
        std::fs::write(&tar, &whole[..cut])?;
        let answer = engine.docker(&["load", "-i", &tar.display().to_string()]);
        assert_ne!(answer.status, 0, "cut at {cut}: {}", answer.stdout);
    }
    assert_eq!(engine.docker(&["images", "-aq"]).ok(), "");
    assert_eq!(files_below(&engine.data().join("layers"))?, empty);
    Ok(())
}

#[test]
fn the_tree_shows_what_images_share() -> Result<()> {
    let engine = Engine::start()?;
    // Sizes of our own choice: the tree must not change with the machine's busybox.
    let tar = |name: &str, size: usize| {
        let folder = engine.scratch().join(name);
        std::fs::create_dir(&folder)?;
        std::fs::write(folder.join("file"), vec![b'x'; size])?;
        let tar = engine.scratch().join(format!("{name}.tar"));
        let mut command = Command::new("tar");
        command.arg("-C").arg(&folder).arg("-cf").arg(&tar).args([
            "--mtime=@0",
            "--owner=0",
            "--group=0",
            "file",
        ]);
        process::must(&mut command)?;
        anyhow::Ok(tar.display().to_string())
    };
    let (base, other) = (tar("base", 2_000_000)?, tar("other", 70_000)?);
    engine.dhow(&["import", "-c", "CMD sh", &base, "base:1"]).ok();
    engine.dhow(&["import", &other, "other:1"]).ok();
    engine.dhow(&["create", "--name", "work", "base:1"]).ok();
    for (file, size, image) in [("a", 500_000, "app:1"), ("b", 30_000, "app:2")] {
        let from = engine.scratch().join(file);
        std::fs::write(&from, vec![b'y'; size])?;
        engine.dhow(&["cp", &from.display().to_string(), "work:/"]).ok();
        engine.dhow(&["commit", "work", image]).ok();
    }
    engine.dhow(&["tag", "app:2", "app:latest"]).ok();
    let tree = engine.dhow(&["image", "tree"]).ok().to_owned();
    let drawn: Vec<String> = tree.lines().map(nameless).collect();
    insta::assert_snapshot!(drawn.join("\n"), @r"
    LAYER             SIZE      USED BY   IMAGE               CREATED BY
    LAYER-------      2.01MB    3         base:1              Imported from -
    ├─ LAYER-------   505kB     1         app:1               /bin/sh -c sh
    └─ LAYER-------   536kB     1         app:2, app:latest   /bin/sh -c sh
    LAYER-------      73.2kB    1         other:1             Imported from -

    4 images, 4 layers: 3.12MB on disk, of which 2.01MB shared
    ");
    assert_eq!(engine.dhow(&["images", "--tree"]).ok(), tree);
    assert!(engine.dhow(&["image", "tree", "app:1"]).ok().contains("1 image, 2 layers"));
    Ok(())
}

/// A prune that met one image that could not be removed answered an error alone: what was gone was not told.
#[test]
fn a_prune_tells_what_it_removed_though_one_image_cannot_be() -> Result<()> {
    let engine = Engine::start()?;
    for name in ["stays", "goes", "goes-too"] {
        let tar = engine.scratch().join(format!("{name}.tar"));
        process::must(
            Command::new("tar").arg("-C").arg(engine.scratch()).arg("-cf").arg(&tar).arg("engine.log"),
        )?;
        engine.docker(&["import", "-m", name, &tar.display().to_string(), name]).ok();
    }
    let diff_id = engine.docker(&["image", "inspect", "-f", "{{index .RootFS.Layers 0}}", "stays"]);
    let layer = engine.data().join("layers").join(diff_id.ok().trim_start_matches("sha256:"));
    let sealed = process::answer(Command::new("chattr").arg("+i").arg(&layer), b"")?;
    if sealed.status != 0 {
        eprintln!("LEFT OUT: no immutable files here: {}", sealed.stderr);
        return Ok(());
    }
    let pruned = engine.docker(&["image", "prune", "-af"]);
    process::must(Command::new("chattr").arg("-i").arg(&layer))?;
    assert!(["goes:latest", "goes-too:latest"].iter().all(|name| pruned.ok().contains(name)), "{pruned:?}");
    assert_eq!(engine.docker(&["images", "-q", "goes"]).ok(), "");
    Ok(())
}

/// A line of the tree without the digits of its layer, which are another's on every day.
fn nameless(line: &str) -> String {
    let is_id = |word: &&str| word.len() == 12 && word.chars().all(|c| c.is_ascii_hexdigit());
    match line.split(' ').find(is_id) {
        Some(id) => line.replacen(id, "LAYER-------", 1),
        None => line.to_owned(),
    }
}

fn files_below(directory: &Path) -> Result<usize> {
    Ok(std::fs::read_dir(directory)?.count())
}
