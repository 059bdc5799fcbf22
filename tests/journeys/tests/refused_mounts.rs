//! Mounts that cannot be: the words name what is wrong, nothing of the container stays, and the next start is well.

use anyhow::{Context as _, Result, ensure};
use dhow_journeys::engine;
use dhow_testkit::Engine;

/// Runs a container with such flags; what is said when it is refused.
fn refused(engine: &Engine, flags: &[&str]) -> Result<String> {
    let words = ["run", "--rm", "--network", "none"];
    let answer = engine.docker(&[&words, flags, &["busybox", "true"]].concat());
    // The command line makes 127 of what it takes for a missing program.
    ensure!(matches!(answer.status, 125 | 127), "{flags:?}: {answer:?}");
    assert_eq!(engine.docker(&["ps", "-aq"]).ok(), "", "{flags:?} left a container");
    Ok(answer.stderr)
}

#[test]
fn a_mount_of_the_wrong_kind_or_place_is_named() -> Result<()> {
    let engine = engine()?;
    let (file, directory) = (engine.scratch().join("file"), engine.scratch().join("directory"));
    std::fs::write(&file, "")?;
    std::fs::create_dir(&directory)?;
    let (file, directory) = (file.display().to_string(), directory.display().to_string());
    let kinds = "not a directory: unknown: Are you trying to mount a directory onto a file (or vice-versa)?";
    for (volume, words) in [
        (format!("{file}:/bin"), format!("error mounting {file:?} to rootfs at \"/bin\": {kinds}")),
        (
            format!("{directory}:/bin/busybox"),
            format!("error mounting {directory:?} to rootfs at \"/bin/busybox\": {kinds}"),
        ),
        (format!("{directory}:/proc/here"), "\"/proc/here\": no such file or directory".to_owned()),
        (
            format!("{directory}:/proc/sys"),
            "/proc/sys cannot be mounted because it is inside /proc".to_owned(),
        ),
    ] {
        let said = refused(&engine, &["-v", &volume])?;
        ensure!(said.contains(&words), "{volume}: {said}");
    }
    let said = refused(&engine, &["--tmpfs", "/t:size=lots"])?;
    ensure!(said.contains("mount tmpfs for /t: invalid argument"), "{said}");
    let options = ["-o", "type=ext4", "-o", "device=/dev/null"];
    engine.docker(&[&["volume", "create"], &options[..], &["bad"]].concat()).ok();
    let said = refused(&engine, &["-v", "bad:/data"])?;
    ensure!(said.contains("failed to mount local volume: mount /dev/null:"), "{said}");
    ensure!(said.contains("block device required"), "{said}");
    engine
        .docker(&["run", "--rm", "--network", "none", "-v", &format!("{directory}:/t"), "busybox", "true"])
        .ok();
    Ok(())
}

#[test]
fn a_root_that_cannot_be_mounted_is_told_by_its_layer_and_mended() -> Result<()> {
    let mut engine = engine()?;
    let layers = engine.data().join("layers");
    let layer = std::fs::read_dir(&layers)?.next().context("a layer")??.path();
    let index = layer.join("index.erofs");
    if !index.exists() {
        eprintln!("skipped: layers are directories on this kernel");
        return Ok(());
    }
    let whole = std::fs::read(&index)?;
    let told = format!("layer sha256:{} is damaged", layer.file_name().context("its id")?.display());
    for damaged in [whole[..100].to_vec(), [&[0; 2048], &whole[2048..]].concat()] {
        // A layer that is in use stays mounted: another engine looks again.
        engine.stop()?;
        std::fs::write(&index, damaged)?;
        engine.launch()?;
        let said = refused(&engine, &[])?;
        ensure!(said.contains(&told) && said.contains("dhow system check --repair"), "{said}");
    }
    drop(engine.dhow(&["system", "check", "--repair"]));
    engine.docker(&["run", "--rm", "--network", "none", "busybox", "true"]).ok();
    Ok(())
}
