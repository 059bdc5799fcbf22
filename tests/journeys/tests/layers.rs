//! Layers in both formats: what the user sees is the same, but for what `info` says.

use anyhow::{Context as _, Result};
use dhow_testkit::Engine;

const FORMATS: [(&str, &str); 2] = [("tar", "tar with EROFS index"), ("directory", "directory")];

/// Engines with each format; that of tars only where the kernel mounts their index.
fn engines() -> Result<Vec<Engine>> {
    let mut engines = Vec::new();
    for (format, told) in FORMATS {
        let engine = match Engine::start_with(&["--layer-format", format]) {
            Ok(engine) => engine,
            Err(error) if format == "tar" => {
                println!("not run with tars: {error:#}");
                continue;
            }
            Err(error) => return Err(error),
        };
        engine.import_busybox()?;
        let status = engine.docker(&["info", "-f", "{{json .DriverStatus}}"]);
        assert_eq!(status.ok(), format!("[[\"Layer Format\",\"{told}\"]]"));
        engines.push(engine);
    }
    Ok(engines)
}

#[test]
fn a_container_keeps_its_layers_when_the_engine_is_killed() -> Result<()> {
    for mut engine in engines()? {
        let script =
            "while ! test -e /go; do sleep 0.05; done; /bin/busybox echo still here; exec cat /etc/passwd";
        engine.docker(&["run", "-d", "--name", "long", "busybox", "sh", "-c", script]).ok();
        engine.kill()?;
        engine.launch()?;
        // The next engine has mounts of its own of the same layers.
        assert_eq!(engine.docker(&["run", "--rm", "busybox", "echo", "new"]).ok(), "new");
        engine.docker(&["exec", "long", "touch", "/go"]).ok();
        assert_eq!(engine.docker(&["wait", "long"]).ok(), "0");
        assert!(engine.docker(&["logs", "long"]).stdout.starts_with("still here\n"));
        assert_eq!(engine.docker(&["diff", "long"]).ok(), "A /go");
    }
    Ok(())
}

#[test]
fn a_damaged_layer_is_named_never_used_and_comes_back_with_a_load() -> Result<()> {
    for engine in engines()? {
        let tar = engine.scratch().join("busybox.tar").display().to_string();
        engine.docker(&["save", "-o", &tar, "busybox"]).ok();
        engine.docker(&["create", "--name", "web", "busybox", "true"]).ok();
        let whole = engine.dhow(&["system", "check"]);
        assert!(whole.ok().ends_with("Everything is whole."), "{}", whole.stdout);

        let layer = std::fs::read_dir(engine.data().join("layers"))?.next().context("a layer")??.path();
        let file = [layer.join("layer.tar"), layer.join("fs/bin/busybox")];
        let file = file.iter().find(|file| file.exists()).context("bytes to damage")?;
        let mut bytes = std::fs::read(file)?;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(file, bytes)?;

        let found = engine.dhow(&["system", "check", "--repair"]);
        assert_eq!(found.status, 1);
        let told = &found.stdout;
        assert!(told.contains("lost: layer sha256:") && told.contains("set aside"), "{told}");
        assert!(told.contains("images: busybox:latest\n  containers: web\n"), "{told}");
        let refused = engine.docker(&["start", "web"]);
        assert!(refused.stderr.contains("is damaged or lost: load its image again"), "{}", refused.stderr);

        engine.docker(&["load", "-i", &tar]).ok();
        engine.docker(&["start", "-a", "web"]).ok();
        assert!(engine.dhow(&["system", "check"]).ok().ends_with("Everything is whole."));
    }
    Ok(())
}
