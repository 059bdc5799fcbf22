//! docker-compose 1.29, the last of those in Python: it talks the engine's newest version of the API, whatever
//! that is, and still reads members that Docker has taken away.

use std::path::Path;

use anyhow::Result;
use dhow_conformance::{engine, left_out};
use dhow_testkit::Engine;
use dhow_testkit::process::{self, Answer};

const PROJECT: &str = r#"
version: "2.4"
services:
  base:
    image: busybox
    init: true
    command: sh -c 'echo base is up; exec sleep 1000'
    healthcheck: {test: "true", interval: 1s, retries: 30}
    networks: {inner: {aliases: [ground]}}
  web:
    image: busybox
    init: true
    command: sh -c 'echo web is up; exec sleep 1000'
    environment: {WORD: one}
    depends_on: {base: {condition: service_healthy}}
    mem_limit: 64m
    volumes: ["data:/data", "/cache"]
    networks: [inner, outer]
    expose: ["80"]
    labels: {part: web}
volumes: {data: {}}
networks:
  inner: {internal: true}
  outer: {ipam: {config: [{subnet: 10.97.0.0/24}]}}
"#;

/// A project's directory, and the engine that it runs in.
struct Project<'a> {
    engine: &'a Engine,
    file: String,
}

impl<'a> Project<'a> {
    fn new(engine: &'a Engine) -> Result<Self> {
        let directory = engine.scratch().join("story");
        std::fs::create_dir(&directory)?;
        let file = directory.join("docker-compose.yml");
        std::fs::write(&file, PROJECT)?;
        Ok(Self { engine, file: file.display().to_string() })
    }

    fn compose(&self, line: &str) -> Answer {
        let words = ["--file", &self.file, "--ansi", "never"].into_iter().chain(line.split_whitespace());
        self.engine.client(Path::new("docker-compose"), &words.collect::<Vec<_>>(), b"")
    }

    fn web(&self) -> String {
        self.compose("ps -q web").ok().trim().to_owned()
    }
}

fn installed() -> Result<bool> {
    if process::find("docker-compose").is_some() {
        return Ok(true);
    }
    left_out("docker-compose").map(|()| false)
}

#[test]
fn a_project_is_recreated_scaled_restarted_and_taken_down() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let engine = engine()?;
    let project = Project::new(&engine)?;
    project.compose("up -d").ok();
    let first = project.web();
    project.compose("exec -T web touch /cache/anonymous /data/named").ok();
    let again = project.compose("up -d").ok().to_owned();
    assert!(project.web() == first, "what has not changed was made again: {again}");
    project.compose("up -d --force-recreate").ok();
    assert_ne!(project.web(), first);
    // Both volumes came along: that of the project, and the one that has no name.
    project.compose("exec -T web ls /cache/anonymous /data/named").ok();
    project.compose("exec -T web ping -c 1 ground").ok();
    project.compose("up -d --scale web=3").ok();
    assert_eq!(project.web().lines().count(), 3);
    project.compose("restart -t 1").ok();
    project.compose("up -d --scale web=1").ok();
    assert_eq!(project.web().lines().count(), 1);
    for line in ["stop -t 1", "start", "pause", "unpause", "top", "kill -s KILL", "up -d"] {
        project.compose(line).ok();
    }
    let logs = project.compose("logs").ok().to_owned();
    assert!(logs.contains("web is up") && logs.contains("base is up"), "{logs}");
    let ran = project.compose("run --rm -T web env").ok().to_owned();
    assert!(ran.contains("WORD=one"), "{ran}");
    project.compose("down -v -t 1").ok();
    // What compose scales away leaves its volumes without a name: it does not ask for their removal.
    let volumes = ["volume", "ls", "-q", "--filter", "name=story"];
    for list in [&["ps", "-aq"][..], &volumes, &["network", "ls", "-q", "--filter", "type=custom"]] {
        assert_eq!(engine.dhow(list).ok(), "", "{list:?}");
    }
    Ok(())
}
