//! A create that is refused leaves nothing: no volume, no directory of the host, no container.

use std::fs;

use anyhow::{Result, ensure};
use dhow_journeys::engine;
use dhow_testkit::Engine;
use serde_json::json;

fn nothing_left(engine: &Engine, what: &str) -> Result<()> {
    let volumes = engine.docker(&["volume", "ls", "-q"]).ok().to_owned();
    let containers = engine.docker(&["ps", "-aq"]).ok().to_owned();
    let made = fs::read_dir(engine.scratch().join("host"))?.count();
    ensure!(
        volumes.is_empty() && containers.is_empty() && made == 0,
        "{what} left {volumes} {containers} {made}"
    );
    Ok(())
}

#[test]
fn a_create_with_a_wrong_mount_leaves_nothing_of_the_right_ones() -> Result<()> {
    let engine = engine()?;
    let host = engine.scratch().join("host");
    fs::create_dir(&host)?;
    let directory = format!("{}:/directory", host.join("new/deep").display());
    let right = ["-v", "named:/named", "-v", "/anonymous", "-v", &directory];
    let nowhere = ["--mount", "type=bind,src=/nosuch/x,dst=/b"];
    let no_image = ["--mount", "type=image,src=nosuch,dst=/b"];
    let no_driver = ["--mount", "type=volume,src=other,dst=/b,volume-driver=nosuch"];
    let no_name = ["--mount", "type=volume,src=_wrong,dst=/b"];
    let no_option = ["--mount", "type=volume,src=other,dst=/b,volume-opt=nosuch=1"];
    for wrong in [nowhere, no_image, no_driver, no_name, no_option] {
        let begin = ["create", "--pull", "never"];
        let answer = engine.docker(&[&begin[..], &right, &wrong, &["busybox", "true"]].concat());
        ensure!(answer.status != 0, "{wrong:?} was taken");
        nothing_left(&engine, wrong[1])?;
    }
    let body = json!({ "Image": "busybox", "HostConfig": {
        "Binds": ["named:/named", directory],
        "Mounts": [{ "Type": "bind", "Source": "/nosuch/x", "Target": "/b" }],
    }});
    let answer = engine.connect()?.request("POST", "/containers/create", &body)?;
    ensure!(answer.status == 400, "{}", answer.status);
    nothing_left(&engine, "one body with both")?;

    // What fails when all was found right: a directory that nobody can make.
    let answer =
        engine.docker(&["create", "-v", "named:/named", "-v", "/proc/nosuch/x:/b", "busybox", "true"]);
    ensure!(answer.status != 0, "{answer:?}");
    nothing_left(&engine, "a directory that cannot be made")?;
    // A volume that was there before stays.
    engine.docker(&["volume", "create", "named"]).ok();
    let answer =
        engine.docker(&["create", "-v", "named:/named", "-v", "/proc/nosuch/x:/b", "busybox", "true"]);
    ensure!(answer.status != 0, "{answer:?}");
    assert_eq!(engine.docker(&["volume", "ls", "-q"]).ok(), "named");
    engine.docker(&[&["create", "--name", "box"][..], &right, &["busybox", "true"]].concat()).ok();
    ensure!(host.join("new/deep").is_dir());
    Ok(())
}

/// What a container brought stays when it goes, also for the next engine.
#[test]
fn volumes_of_containers_that_came_to_be_outlive_them() -> Result<()> {
    let mut engine = engine()?;
    engine.docker(&["run", "--rm", "-v", "named:/named", "busybox", "touch", "/named/x"]).ok();
    engine.docker(&["create", "--name", "box", "-v", "other:/other", "busybox", "true"]).ok();
    engine.kill()?;
    engine.launch()?;
    engine.docker(&["rm", "box"]).ok();
    engine.kill()?;
    engine.launch()?;
    assert_eq!(engine.docker(&["volume", "ls", "-q"]).ok(), "named\nother");
    engine.docker(&["run", "--rm", "-v", "named:/named", "busybox", "ls", "/named/x"]).ok();
    Ok(())
}
