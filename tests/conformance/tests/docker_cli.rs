//! The stock `docker` command line: what it prints and how it ends, compared with what Docker's own
//! engine makes it print. `ID` stands for what differs from run to run.

use anyhow::Result;
use dhow_conformance::{docker, engine, without_ids};
use dhow_testkit::Engine;
use dhow_testkit::process::Answer;

/// Runs each line of a story with `docker` in front, and compares all that it says.
fn tell(engine: &Engine, story: &[(&str, i32, &str)]) {
    for (line, status, words) in story {
        let answer = engine.docker(&split(line));
        let said = said(&answer);
        assert_eq!((answer.status, said.as_str()), (*status, *words), "docker {line}");
    }
}

/// Words of a line; quotes keep spaces together.
fn split(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for (number, part) in line.split('\'').enumerate() {
        if number % 2 == 1 {
            words.push(part);
        } else {
            words.extend(part.split_whitespace());
        }
    }
    words
}

/// Both streams without ids, the line that names our programs, and the last line's end.
fn said(answer: &Answer) -> String {
    let both = format!("{}{}", answer.stdout, answer.stderr);
    let help = |line: &&str| !line.is_empty() && !line.starts_with("Run 'docker");
    let lines: Vec<String> = both.lines().filter(help).map(without_ids).collect();
    lines.join("\n")
}

#[test]
fn containers_run_end_and_conflict_as_with_docker() -> Result<()> {
    if docker().is_none() {
        return Ok(());
    }
    let engine = engine()?;
    tell(
        &engine,
        &[
            ("run --rm busybox echo hi", 0, "hi"),
            ("run --rm busybox sh -c 'exit 7'", 7, ""),
            ("run --rm --init busybox sh -c 'kill -9 $$'", 137, ""),
            (
                "run busybox nosuch",
                127,
                "docker: Error response from daemon: failed to create task for container: failed to create shim task: OCI runtime create failed: unable to start container process: exec: \"nosuch\": executable file not found in $PATH: unknown",
            ),
            ("run --rm --entrypoint '' busybox echo plain", 0, "plain"),
            ("run -d --name c1 busybox sleep 1000", 0, "ID"),
            (
                "run -d --name c1 busybox",
                125,
                "docker: Error response from daemon: Conflict. The container name \"/c1\" is already in use by container \"ID\". You have to remove (or rename) that container to be able to reuse that name.",
            ),
            (
                "ps --format '{{.Names}} {{.Image}} {{.Command}} {{.State}}'",
                0,
                "c1 busybox \"sleep 1000\" running",
            ),
            ("inspect -f '{{.State.Status}} {{.Path}} {{.Args}}' c1", 0, "running sleep [1000]"),
            ("exec c1 sh -c 'exit 9'", 9, ""),
            (
                "exec c1 nosuch",
                127,
                "OCI runtime exec failed: exec failed: unable to start container process: exec: \"nosuch\": executable file not found in $PATH: unknown",
            ),
            (
                "exec -w /nope c1 pwd",
                127,
                "OCI runtime exec failed: exec failed: unable to start container process: chdir to cwd (\"/nope\") set in config.json failed: no such file or directory: unknown",
            ),
        ],
    );
    Ok(())
}

#[test]
fn what_the_state_of_a_container_forbids_is_said_as_by_docker() -> Result<()> {
    if docker().is_none() {
        return Ok(());
    }
    let engine = engine()?;
    tell(
        &engine,
        &[
            ("run -d --name c1 busybox sleep 1000", 0, "ID"),
            ("pause c1", 0, "c1"),
            ("pause c1", 1, "Error response from daemon: Container ID is already paused"),
            (
                "exec c1 true",
                1,
                "Error response from daemon: Container c1 is paused, unpause the container before exec",
            ),
            (
                "rm c1",
                1,
                "Error response from daemon: cannot remove container \"/c1\": container is paused and must be unpaused first",
            ),
            ("unpause c1", 0, "c1"),
            (
                "rm c1",
                1,
                "Error response from daemon: cannot remove container \"/c1\": container is running: stop the container before removing or force remove",
            ),
            (
                "rename c1 'bad name'",
                1,
                "Error response from daemon: Error when allocating new name: Invalid container name (/bad name), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed\nError: failed to rename container named c1",
            ),
            ("rename c1 c2", 0, ""),
            (
                "kill -s NOPE c2",
                1,
                "Error response from daemon: cannot kill container: c2: invalid signal: NOPE",
            ),
            ("stop -t 0 c2", 0, "c2"),
            ("wait c2", 0, "137"),
            (
                "kill c2",
                1,
                "Error response from daemon: cannot kill container: c2: container ID is not running",
            ),
            ("rm c2 nosuch", 1, "c2\nError response from daemon: No such container: nosuch"),
        ],
    );
    Ok(())
}

#[test]
fn what_another_container_or_network_is_needed_for_is_looked_for_at_the_start() -> Result<()> {
    if docker().is_none() {
        return Ok(());
    }
    let engine = engine()?;
    // A 404 at create is, to this command line, an image to be pulled.
    tell(
        &engine,
        &[
            (
                "run --network container:nosuch busybox true",
                125,
                "docker: Error response from daemon: joining network namespace of container: No such container: nosuch",
            ),
            (
                "run --network nosuch busybox true",
                125,
                "docker: Error response from daemon: network nosuch not found",
            ),
            (
                "run --ipc container:nosuch busybox true",
                125,
                "docker: Error response from daemon: No such container: nosuch",
            ),
            (
                "run --volumes-from nosuch busybox true",
                125,
                "docker: Error response from daemon: No such container: nosuch",
            ),
            ("run -d --name donor busybox sleep 1000", 0, "ID"),
            (
                "run --rm --ipc container:donor busybox true",
                125,
                "docker: Error response from daemon: container ID: non-shareable IPC (hint: use IpcMode:shareable for the donor container)",
            ),
            ("run --rm --pid container:donor busybox ps -o comm", 0, "COMMAND\nsleep\nps"),
        ],
    );
    Ok(())
}

#[test]
fn wrong_settings_are_refused_in_dockers_words() -> Result<()> {
    if docker().is_none() {
        return Ok(());
    }
    let engine = engine()?;
    let refusals = [
        ("--memory 1k", "Minimum memory limit allowed is 6MB"),
        (
            "--memory 10m --memory-swap 5m",
            "Minimum memoryswap limit should be larger than memory limit, see usage",
        ),
        ("--cap-add NOPE", "invalid CapAdd: unknown capability: \"CAP_NOPE\""),
        ("--cap-drop NOPE", "invalid CapDrop: unknown capability: \"CAP_NOPE\""),
        ("--log-driver nope", "error looking up logging plugin nope: plugin \"nope\" not found"),
        ("--log-opt nope=1", "unknown log opt 'nope' for json-file log driver"),
        (
            "-v /tmp:relative",
            "invalid volume specification: '/tmp:relative': invalid mount config for type \"bind\": invalid mount path: 'relative' mount path must be absolute",
        ),
        ("-v /tmp:/x -v /etc:/x", "Duplicate mount point: /x"),
        (
            "--mount type=bind,src=/nonexistent,dst=/x",
            "invalid mount config for type \"bind\": bind source path does not exist: /nonexistent",
        ),
        ("--mount type=nope,dst=/x", "invalid mount config for type \"nope\": mount type unknown"),
        ("--tmpfs /x:nope=1", "invalid tmpfs option [\"nope\" \"1\"]"),
        ("--oom-score-adj 2000", "Invalid value 2000, range for oom score adj is [-1000, 1000]"),
        ("--runtime nope", "unknown or invalid runtime name: nope"),
        ("--user nosuch", "unable to find user nosuch: no matching entries in passwd file"),
        ("--ulimit nofile=9:1", "ulimit soft limit must be less than or equal to hard limit: 9 > 1"),
        ("--network nope", "network nope not found"),
        ("--ip 10.0.0.9", "user specified IP address is supported on user defined networks only"),
        (
            "--restart never",
            "invalid restart policy: unknown policy 'never'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'",
        ),
    ];
    for (flags, words) in refusals {
        let answer = engine.docker(&split(&format!("run {flags} busybox true")));
        assert_eq!(answer.status, 125, "{flags}: {}", answer.stderr);
        assert!(said(&answer).contains(words), "{flags}: {}", answer.stderr);
    }
    Ok(())
}

#[test]
fn images_and_volumes_come_and_go_as_with_docker() -> Result<()> {
    if docker().is_none() {
        return Ok(());
    }
    let engine = engine()?;
    let archive = engine.scratch().join("saved.tar");
    let archive = archive.display();
    tell(
        &engine,
        &[
            ("run --name ff busybox sh -c 'echo a >/a'", 0, ""),
            ("diff ff", 0, "A /a"),
            ("commit -m why -c 'CMD [\"cat\", \"/a\"]' ff made:1", 0, "sha256:ID"),
            ("run --rm made:1", 0, "a"),
            (
                "image inspect -f '{{.Comment}} {{.Config.Cmd}} {{len .RootFS.Layers}}' made:1",
                0,
                "why [cat /a] 2",
            ),
            (&format!("save -o {archive} made:1"), 0, ""),
            ("rmi nosuch", 1, "Error response from daemon: No such image: nosuch:latest"),
            (
                "tag made:1 Upper",
                1,
                "Error parsing reference: \"Upper\" is not a valid repository/tag: invalid reference format: repository name (library/Upper) must be lowercase",
            ),
            ("image rm -f made:1", 0, "Untagged: made:1\nDeleted: sha256:ID\nDeleted: sha256:ID"),
            (&format!("load -i {archive}"), 0, "Loaded image: made:1"),
            ("run --rm made:1", 0, "a"),
            ("volume create v1", 0, "v1"),
            ("run --rm -v v1:/etc busybox ls /etc/passwd", 0, "/etc/passwd"),
            ("create --name user -v v1:/d busybox", 0, "ID"),
            ("volume rm v1", 1, "Error response from daemon: remove v1: volume is in use - [ID]"),
            ("rm user", 0, "user"),
            ("volume rm v1", 0, "v1"),
            (
                "volume create -d nope v2",
                1,
                "Error response from daemon: create v2: error looking up volume plugin nope: plugin \"nope\" not found",
            ),
        ],
    );
    let broken = engine.client(std::path::Path::new("docker"), &["load"], b"garbage");
    assert_eq!(broken.status, 1);
    Ok(())
}
