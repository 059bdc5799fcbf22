//! An image that has lost its configuration or a layer, as a user sees it: refused, named, removed, loaded again.

use anyhow::{Context as _, Result};
use dhow_testkit::Engine;

const LOST: &str = "has lost its configuration or a layer";

/// Removes the configuration, or all layers.
fn lose(engine: &Engine, configuration: bool) -> Result<()> {
    let id = engine.docker(&["image", "inspect", "-f", "{{.Id}}", "busybox"]).ok().trim().to_owned();
    let hex = id.strip_prefix("sha256:").context("an id")?;
    if configuration {
        return Ok(std::fs::remove_file(engine.data().join("blobs/sha256").join(hex))?);
    }
    for layer in std::fs::read_dir(engine.data().join("layers"))? {
        std::fs::remove_dir_all(layer?.path())?;
    }
    Ok(())
}

fn is_told(engine: &Engine) {
    let told = engine.dhow(&["system", "check"]);
    assert!(told.status == 1 && told.stdout.contains("images: busybox:latest"), "{told:?}");
}

#[test]
fn what_is_lost_is_refused_and_can_be_removed() -> Result<()> {
    for (configuration, removal) in [
        (true, &["rmi", "busybox"][..]),
        (false, &["rmi", "busybox"]),
        (true, &["image", "prune", "-af"]),
        (false, &["system", "prune", "-af"]),
    ] {
        let mut engine = Engine::with_busybox(&[])?;
        lose(&engine, configuration)?;
        is_told(&engine);
        engine.kill()?;
        engine.launch()?;
        is_told(&engine);
        for refused in
            [&["create", "busybox", "true"][..], &["image", "inspect", "busybox"], &["save", "busybox"]]
        {
            let answer = engine.docker(refused);
            assert!(answer.status != 0 && answer.stderr.contains(LOST), "{refused:?}: {answer:?}");
        }
        engine.docker(&["image", "prune", "-af", "--filter", "label=nobody"]).ok();
        is_told(&engine);
        let removed = engine.docker(removal).ok().to_owned();
        assert!(removed.to_lowercase().contains("untagged: busybox:latest"), "{removed}");
        engine.dhow(&["system", "check"]).ok();
        assert_eq!(std::fs::read_dir(engine.data().join("layers"))?.count(), 0);
    }
    Ok(())
}

#[test]
fn what_was_set_aside_stays_where_a_prune_has_a_filter_and_its_sum_is_told() -> Result<()> {
    let engine = Engine::start()?;
    std::fs::create_dir(engine.data().join("damaged/old"))?;
    std::fs::write(engine.data().join("damaged/old/index.erofs"), [b'x'; 5_000])?;
    let prune = |more: &[&str]| {
        let all = [&["image", "prune", "-f"][..], more].concat();
        engine.dhow(&all).ok().to_owned()
    };
    assert_eq!(prune(&["--filter", "label=nobody"]), "Total reclaimed space: 0B");
    assert_eq!(prune(&[]), "Total reclaimed space: 5kB");
    Ok(())
}
