//! Completion: what the stock command line offers in a place is offered by ours, and the scripts of three
//! shells ask for it and show it.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use dhow_conformance::{docker, engine};
use dhow_testkit::{Engine, process};

/// Command lines whose last word, which is still empty, is completed alike.
const PLACES: &[&str] = &[
    "run",
    "start",
    "stop",
    "rm",
    "rm -f",
    "kill",
    "logs",
    "exec",
    "attach",
    "pause",
    "unpause",
    "commit",
    "diff",
    "export",
    "port",
    "rename",
    "restart",
    "stats",
    "top",
    "update",
    "wait",
    "history",
    "rmi",
    "save",
    "tag",
    "image inspect",
    "volume rm",
    "volume inspect",
    "network",
    "network create",
    "network inspect",
    "network rm",
    "network rm lan",
    "network connect",
    "network connect lan",
    "network connect lan web",
    "network disconnect",
    "network disconnect lan",
    "network disconnect lan web",
    "network ls",
    "run --network-alias",
    "run --link",
    "run --publish",
    "run --dns",
    "system prune",
    "container inspect",
    "container",
    "context use",
    "context inspect",
    "run busybox",
    "run --restart",
    "run --pid",
    "run --ipc",
    "run --network",
    "run --log-driver",
    "run --platform",
    "run --pull",
    "run --volumes-from",
    "run --userns",
    "run --cgroupns",
    "run --attach",
    "run --cap-add",
    "run --env-file",
    "run --name",
    "volume create",
    "ps",
    "load -i",
];

fn furnished() -> Result<Engine> {
    let engine = engine()?;
    for arguments in [
        &["run", "-d", "--name", "web", "-v", "vol1:/data", "busybox", "sleep", "10000"][..],
        &["run", "-d", "--name", "frozen", "busybox", "sleep", "10000"],
        &["pause", "frozen"],
        &["create", "--name", "made", "busybox"],
        &["tag", "busybox", "other:1"],
        &["network", "create", "lan"],
        &["network", "connect", "lan", "web"],
    ] {
        engine.docker(arguments).check()?;
    }
    Ok(engine)
}

#[test]
fn what_docker_offers_is_offered() -> Result<()> {
    if docker().is_none() {
        return Ok(());
    }
    let engine = furnished()?;
    let offered = |program: &Path, place: &str| {
        let words: Vec<&str> = std::iter::once("__complete").chain(place.split(' ')).chain([""]).collect();
        let answer = engine.client(program, &words, b"");
        let mut words: Vec<String> = answer
            .stdout
            .lines()
            .map(|line| line.split('\t').next().unwrap_or_default().to_owned())
            .collect();
        words.sort();
        words
    };
    let mut differences = Vec::new();
    for place in PLACES {
        let (ours, theirs) = (offered(engine.binary(), place), offered(Path::new("docker"), place));
        if ours != theirs {
            differences.push(format!("{place}\n  docker {theirs:?}\n  dhow   {ours:?}\n"));
        }
    }
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.concat());
    Ok(())
}

/// What stands behind the line, by shell: a script that prints the candidates of `$LINE`.
const SHELLS: &[(&str, &str)] = &[
    (
        "bash",
        r#"eval "$(dhow completion bash)"; COMP_LINE=$LINE; COMP_POINT=${#COMP_LINE}; _dhow
           printf '%s\n' "${COMPREPLY[@]}""#,
    ),
    (
        "zsh",
        r#"compdef() { }; eval "$(dhow completion zsh)"; _files() { }
           _describe() { for it in ${(P)4}; do print -r -- ${it%%:*}; done }
           words=(${(s: :)LINE}); [[ $LINE == *" " ]] && words+=(""); CURRENT=$#words; PREFIX=$words[-1]; _dhow"#,
    ),
    ("fish", r#"dhow completion fish | source; complete -C "$LINE" | string split -f 1 \t"#),
];

#[test]
fn the_shells_show_it() -> Result<()> {
    let engine = furnished()?;
    // The scripts call what stands first in the line.
    let folder = engine.binary().parent().unwrap_or(Path::new("/"));
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    for (shell, script) in SHELLS {
        let Some(program) = process::find(shell) else {
            eprintln!("LEFT OUT: {shell} is not installed");
            continue;
        };
        let shown = |line: &str| {
            let mut command = Command::new(&program);
            command.args(["-c", script]).env("PATH", &path).env("LINE", line).env("HOME", engine.scratch());
            command.env("DOCKER_HOST", engine.host()).env("DOCKER_CONFIG", engine.scratch());
            let answer = process::answer(&mut command, b"")?;
            let mut words: Vec<String> = answer.stdout.lines().map(str::to_owned).collect();
            words.sort();
            anyhow::Ok(words)
        };
        assert_eq!(shown("dhow stop ")?, ["frozen", "web"], "{shell}");
        assert_eq!(shown("dhow rm -f m")?, ["made"], "{shell}");
        assert_eq!(shown("dhow volume rm ")?, ["vol1"], "{shell}");
        assert_eq!(shown("dhow container ren")?, ["rename"], "{shell}");
        assert_eq!(shown("dhow run --restart un")?, ["unless-stopped"], "{shell}");
    }
    Ok(())
}
