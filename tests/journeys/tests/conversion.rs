//! `dhow image convert`: layers become directories, and tars with an index again; the image is the same.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use dhow_testkit::{Engine, process};
use serde_json::Value;

/// An engine whose layers are tars; none where the kernel does not mount them.
fn engine() -> Result<Option<Engine>> {
    match Engine::start_with(&["--layer-format", "tar"]) {
        Ok(engine) => {
            engine.import_busybox()?;
            let script = "mkdir /d; echo x >/d/file; ln /d/file /d/again; ln -s file /d/link; rm -r /home; \
                          chown 7:9 /d/file; chmod 4751 /d/file; mkfifo /d/pipe; mknod /d/null c 1 3";
            engine.docker(&["run", "--name", "make", "--privileged", "busybox", "sh", "-c", script]).ok();
            engine.docker(&["commit", "make", "cargo:1"]).ok();
            engine.docker(&["rm", "make"]).ok();
            Ok(Some(engine))
        }
        Err(error) => {
            println!("not run: layers cannot be tars here: {error:#}");
            Ok(None)
        }
    }
}

/// The digest of what `save` writes: the same image is the same archive.
fn saved(engine: &Engine) -> Result<String> {
    let path = engine.scratch().join("saved.tar");
    engine.docker(&["save", "-o", &path.display().to_string(), "cargo:1"]).ok();
    let told = process::must(Command::new("sha256sum").arg(&path))?;
    Ok(told.split(' ').next().context("a digest")?.to_owned())
}

fn layers(engine: &Engine) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(engine.data().join("layers"))?;
    Ok(entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?)
}

fn count(engine: &Engine, file: &str) -> Result<usize> {
    Ok(layers(engine)?.iter().filter(|layer| layer.join(file).exists()).count())
}

/// `system df` tells the bytes that find(1) sees.
fn df_is_exact(engine: &Engine) -> Result<()> {
    let script =
        "find \"$0\" -type f -printf '%i %s\\n' | sort -u | awk '{ sum += $2 } END { print sum + 0 }'";
    let layers = engine.data().join("layers");
    let there: u64 = process::must(Command::new("sh").args(["-c", script]).arg(layers))?.trim().parse()?;
    let told = engine.connect()?.request("GET", "/v1.44/system/df", &Value::Null)?.json()?;
    assert_eq!(told["LayersSize"].as_u64(), Some(there));
    Ok(())
}

const LOOK: &str = "stat -c '%a %u %g %h' /d/file; cat /d/link; test -p /d/pipe; test -c /d/null; \
                    test -e /home || echo gone";
const SEEN: &str = "4751 7 9 2\nx\ngone";

#[test]
fn layers_become_directories_and_tars_again_and_the_image_stays_the_same() -> Result<()> {
    let Some(engine) = engine()? else { return Ok(()) };
    let before = saved(&engine)?;
    for (format, converted, directories) in
        [("tar", 0, 0), ("directory", 2, 2), ("directory", 0, 2), ("tar", 2, 0), ("directory", 2, 2)]
    {
        let told = engine.dhow(&["image", "convert", "--layers", format, "cargo:1"]);
        assert_eq!(told.ok(), format!("cargo:1: {converted} of 2 layers converted to {format}"));
        assert_eq!(count(&engine, "fs")?, directories);
        assert_eq!(count(&engine, "index.erofs")?, 2 - directories);
        assert_eq!(engine.docker(&["run", "--rm", "cargo:1", "sh", "-c", LOOK]).ok(), SEEN);
        assert_eq!(saved(&engine)?, before, "saved of {format}");
        df_is_exact(&engine)?;
        let full = engine.dhow(&["system", "df", "-v"]);
        let tells = full.stdout.lines().any(|line| line.starts_with(&format!("{format} ")));
        assert!(tells && full.stdout.contains("Compressed blobs usage: 0B"), "{}", full.stdout);
    }
    // Without --layers they become tars; --all is every image.
    assert_eq!(engine.dhow(&["image", "convert", "--all"]).ok().lines().count(), 2);
    assert_eq!(count(&engine, "index.erofs")?, 2);
    assert!(engine.dhow(&["system", "check"]).ok().ends_with("Everything is whole."));
    Ok(())
}

#[test]
fn a_directory_that_a_container_has_is_not_taken_from_it() -> Result<()> {
    let Some(engine) = engine()? else { return Ok(()) };
    let convert = |format: &str| engine.dhow(&["image", "convert", "--layers", format, "cargo:1"]);
    // Who has mounted a tar keeps it.
    let wait = "while ! test -e /go; do sleep 0.05; done; cat /d/link";
    engine.docker(&["run", "-d", "--name", "long", "cargo:1", "sh", "-c", wait]).ok();
    assert_eq!(convert("directory").ok(), "cargo:1: 2 of 2 layers converted to directory");
    // The container may end before the command that ends it, and take it along: its status is not asked.
    let _ = engine.docker(&["exec", "long", "touch", "/go"]);
    assert_eq!(engine.docker(&["wait", "long"]).ok(), "0");
    assert_eq!(engine.docker(&["logs", "long"]).ok(), "x");

    let refused = convert("tar");
    assert_eq!(refused.status, 1);
    assert!(refused.stderr.contains("is in use by container"), "{}", refused.stderr);
    assert_eq!(engine.docker(&["start", "-a", "long"]).ok(), "x");
    engine.docker(&["rm", "long"]).ok();
    // An image that is mounted beside a container's own is in use, too.
    let mount = ["create", "--name", "beside", "--mount", "type=image,source=cargo:1,target=/i", "busybox"];
    engine.docker(&mount).ok();
    assert!(convert("tar").stderr.contains("is in use by container"));
    engine.docker(&["rm", "beside"]).ok();
    assert_eq!(convert("tar").ok(), "cargo:1: 2 of 2 layers converted to tar");
    Ok(())
}

#[test]
fn what_cannot_be_converted_is_told() -> Result<()> {
    let Some(engine) = engine()? else { return Ok(()) };
    for (arguments, words) in [
        (&["nope"][..], "No such image: nope:latest"),
        (&["--layers", "zip", "cargo:1"], "invalid layer format \"zip\": tar or directory"),
        (&[""], "invalid image name: value is empty"),
        (&[], "name the images to convert, or give --all"),
        (&["--all", "cargo:1"], "name images or give --all, not both"),
    ] {
        let refused = engine.dhow(&[&["image", "convert"][..], arguments].concat());
        assert!(refused.status != 0 && refused.stderr.contains(words), "{arguments:?}: {}", refused.stderr);
    }
    let offered = engine.dhow(&["__complete", "image", "convert", "--layers", ""]);
    assert!(offered.stdout.starts_with("directory\ntar\n"), "{}", offered.stdout);
    let path = "/dhow/images/cargo:1/layers";
    let told = engine.connect()?.request("GET", path, &Value::Null)?.json()?;
    assert!(told.as_array().is_some_and(|layers| layers.iter().all(|one| one["Format"] == "tar")), "{told}");
    Ok(())
}

/// Wherever it is cut off, each layer is one or the other, whole, and its size is known.
#[test]
fn an_engine_that_is_killed_meanwhile_leaves_whole_layers() -> Result<()> {
    let Some(mut engine) = engine()? else { return Ok(()) };
    let script = "mkdir /many; for i in $(seq 1500); do head -c 9000 /dev/urandom >/many/$i; done";
    engine.docker(&["run", "--name", "make", "cargo:1", "sh", "-c", script]).ok();
    engine.docker(&["commit", "make", "cargo:1"]).ok();
    engine.docker(&["rm", "make"]).ok();
    let before = saved(&engine)?;
    let mut seen = Vec::new();
    for round in 0..8 {
        let format = if count(&engine, "fs")? == 0 { "directory" } else { "tar" };
        let path = format!("/dhow/images/cargo:1/convert?layers={format}");
        let mut connection = engine.connect()?;
        let asked = std::thread::spawn(move || connection.request("POST", &path, &Value::Null).is_ok());
        std::thread::sleep(std::time::Duration::from_millis(23 * round));
        engine.kill()?;
        let answered = asked.join().unwrap_or(false);
        engine.launch()?;
        seen.push((format, answered, count(&engine, "fs")?));
        assert!(layers(&engine)?.iter().all(|layer| is_one(layer)), "{seen:?}");
        df_is_exact(&engine)?;
        assert_eq!(saved(&engine)?, before, "{seen:?}");
    }
    println!("{seen:?}");
    assert_eq!(engine.docker(&["run", "--rm", "cargo:1", "sh", "-c", "ls /many | wc -l"]).ok(), "1500");
    assert!(engine.dhow(&["system", "check"]).ok().ends_with("Everything is whole."));
    Ok(())
}

fn is_one(layer: &Path) -> bool {
    let tar = layer.join("layer.tar").exists() && layer.join("index.erofs").exists();
    tar != layer.join("fs").is_dir()
}
