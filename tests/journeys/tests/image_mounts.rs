//! Images that are mounted beside a container's own (`--mount type=image`).

use anyhow::{Result, ensure};
use dhow_testkit::Engine;
use serde_json::{Value, json};

/// An engine with busybox, and an image of two layers beside it.
fn engine() -> Result<Engine> {
    let engine = Engine::with_busybox(&[])?;
    let script = "mkdir /subdir /hack && echo world > /subdir/hello && echo bar > /foo && rm -r /home && \
                  ln -s ../subdir /hack/good && ln -s /etc /hack/absolute && ln -s ../../../etc /hack/up";
    engine.docker(&["run", "--name", "make", "busybox", "sh", "-c", script]).ok();
    engine.docker(&["commit", "make", "cargo:1"]).ok();
    engine.docker(&["rm", "make"]).ok();
    Ok(engine)
}

fn mount(options: &str) -> String {
    format!("type=image,source=cargo:1,target=/image{options}")
}

#[test]
fn the_files_of_an_image_are_seen_and_cannot_be_written() -> Result<()> {
    let engine = engine()?;
    let run = |options: &str, command: &[&str]| {
        let begin = ["run", "--rm", "--privileged", "--mount", &mount(options), "busybox"];
        engine.docker(&[&begin[..], command].concat())
    };
    ensure!(run("", &["cat", "/image/foo"]).ok() == "bar");
    // What a layer takes away is not there.
    ensure!(run("", &["ls", "/image/home"]).status != 0);
    ensure!(run(",image-subpath=subdir", &["ls", "/image"]).ok() == "hello");
    ensure!(run(",image-subpath=hack/good", &["ls", "/image"]).ok() == "hello");
    ensure!(run(",image-subpath=subdir/hello", &["cat", "/image"]).ok() == "world");
    let write = "echo x > /image/x; mount -o remount,rw /image; echo x > /image/x; cat /image/foo";
    let written = run("", &["sh", "-c", write]);
    ensure!(written.stdout == "bar\n", "{written:?}");
    ensure!(written.stderr.matches("Read-only file system").count() == 3, "{written:?}");
    let other = ["--mount", "type=image,src=busybox,dst=/other"];
    let both = ["run", "--rm", "--mount", &mount(""), other[0], other[1], "busybox"];
    let seen = engine.docker(&[&both[..], &["ls", "-d", "/image/foo", "/other/bin"]].concat());
    ensure!(seen.ok() == "/image/foo\n/other/bin", "{seen:?}");
    Ok(())
}

#[test]
fn what_is_no_part_of_an_image_is_refused() -> Result<()> {
    let engine = engine()?;
    for (options, words) in [
        (",image-subpath=../../etc/passwd", "subpath must be a relative path within the volume"),
        (",image-subpath=/etc", "subpath must be a relative path within the volume"),
        (",image-subpath=hack/absolute", "path concatenation escapes the base directory"),
        (",image-subpath=hack/up", "path concatenation escapes the base directory"),
        (",image-subpath=nothing", "cannot access path nothing"),
        (",image-subpath=foo/below", "cannot access path foo/below"),
    ] {
        let answer = engine.docker(&["run", "--rm", "--mount", &mount(options), "busybox", "ls", "/image"]);
        ensure!(answer.status != 0 && answer.stderr.contains(words), "{options}: {answer:?}");
    }
    for (mount, status, words) in [
        (json!({"Type": "image", "Target": "/x"}), 400, "field Source must not be empty"),
        (json!({"Type": "image", "Source": "nope", "Target": "/x"}), 404, "No such image: nope:latest"),
        (
            json!({"Type": "bind", "Source": "/tmp", "Target": "/x", "ImageOptions": {}}),
            400,
            "field ImageOptions must not be specified",
        ),
    ] {
        let body = json!({"Image": "busybox", "HostConfig": {"Mounts": [mount]}});
        let answer = engine.connect()?.request("POST", "/v1.56/containers/create", &body)?;
        let said = answer.json()?["message"].to_string();
        ensure!(answer.status == status && said.contains(words), "{mount}: {} {said}", answer.status);
    }
    ensure!(engine.docker(&["ps", "-aq"]).ok().is_empty());
    Ok(())
}

#[test]
fn a_mounted_image_stays_while_a_container_has_it() -> Result<()> {
    let mut engine = engine()?;
    let run = ["run", "-d", "--name", "user", "--mount", &mount(""), "busybox", "sleep", "1000"];
    engine.docker(&run).ok();
    let refused = |engine: &Engine, arguments: &[&str], words: &str| -> Result<()> {
        let answer = engine.docker(&[&["rmi"], arguments].concat());
        ensure!(answer.status != 0 && answer.stderr.contains(words), "{answer:?}");
        Ok(())
    };
    let id = engine.docker(&["image", "inspect", "-f", "{{.Id}}", "cargo:1"]).ok().to_owned();
    refused(&engine, &["cargo:1"], "is using its referenced image")?;
    refused(&engine, &["-f", &id], "image is being used by running container")?;
    // An engine that takes over knows it too, and the container has it all the time.
    engine.kill()?;
    engine.launch()?;
    ensure!(engine.docker(&["exec", "user", "cat", "/image/foo"]).ok() == "bar");
    refused(&engine, &["-f", &id], "image is being used by running container")?;
    engine.docker(&["image", "prune", "-af"]).ok();
    engine.docker(&["restart", "-t", "0", "user"]).ok();
    ensure!(engine.docker(&["exec", "user", "cat", "/image/foo"]).ok() == "bar");
    // By force a name goes; the files stay as long as the container.
    engine.docker(&["kill", "user"]).ok();
    engine.docker(&["rmi", "-f", "cargo:1"]).ok();
    engine.docker(&["start", "user"]).ok();
    ensure!(engine.docker(&["exec", "user", "cat", "/image/foo"]).ok() == "bar");
    engine.docker(&["rm", "-f", "user"]).ok();
    engine.docker(&["rmi", &id]).ok();
    ensure!(engine.docker(&["images", "-q"]).ok().lines().count() == 1);
    Ok(())
}

#[test]
fn a_mounted_image_is_shown_copied_from_and_shared() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["create", "--name", "user", "--mount", &mount(""), "busybox", "true"]).ok();
    let answer = engine.connect()?.request("GET", "/v1.48/containers/user/json", &Value::Null)?.json()?;
    let id = engine.docker(&["image", "inspect", "-f", "{{.Id}}", "cargo:1"]).ok().to_owned();
    let shown = json!([{"Type": "image", "Name": "cargo:1", "Source": id, "Destination": "/image",
                        "Mode": "", "RW": false, "Propagation": "rprivate"}]);
    ensure!(answer["Mounts"] == shown, "{}", answer["Mounts"]);
    ensure!(answer["HostConfig"]["Mounts"][0]["Type"] == "image", "{answer}");
    let copied = engine.docker(&["cp", "user:/image/subdir/hello", "-"]);
    ensure!(copied.status == 0 && copied.stdout.contains("world\n"), "{copied:?}");
    let canary = engine.scratch().join("canary");
    std::fs::write(&canary, "x")?;
    let into = engine.docker(&["cp", &canary.to_string_lossy(), "user:/image/subdir"]);
    ensure!(into.stderr.contains("mounted volume is marked read-only"), "{into:?}");
    let from = ["run", "--rm", "--volumes-from", "user", "busybox", "cat", "/image/foo"];
    ensure!(engine.docker(&from).ok() == "bar");
    // A volume of that name is another thing.
    engine.docker(&["volume", "create", "cargo"]).ok();
    engine.docker(&["volume", "rm", "cargo"]).ok();
    Ok(())
}
