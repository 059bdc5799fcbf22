//! The cases, and how each contender does the work.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use super::api::{self, Api};
use super::peers::{Arena, Runtime};
use super::series::Contender;

/// One piece of work that is compared.
pub(crate) struct Case {
    /// What is done.
    pub(crate) name: &'static str,
    /// Rounds beyond which nothing is learnt.
    pub(crate) most_rounds: usize,
    /// Those who do it; Dhow first.
    pub(crate) contenders: for<'a> fn(&'a Arena) -> Result<Vec<Contender<'a>>>,
}

/// All cases.
pub(crate) const ALL: &[Case] = &[
    Case {
        name: "OCI runtime: create, start, delete of a bundle",
        most_rounds: 200,
        contenders: runtime_life,
    },
    Case { name: "run --rm --network none, whole command line", most_rounds: 100, contenders: run_command },
    Case { name: "create, start, wait, remove through the API", most_rounds: 100, contenders: api_life },
    Case { name: "exec through the API", most_rounds: 100, contenders: api_exec },
    Case { name: "ps -a, whole command line", most_rounds: 100, contenders: ps_command },
];

fn runtime_life(arena: &Arena) -> Result<Vec<Contender<'_>>> {
    let life = |runtime: &Runtime| -> Result<()> {
        let call = |words: &[&str]| {
            let mut command = Command::new(&runtime.program);
            quiet(command.args(&runtime.arguments).args(words).current_dir(&arena.bundle))
        };
        call(&["create", "bench"])?;
        call(&["start", "bench"])?;
        call(&["delete", "--force", "bench"])
    };
    let contender = |runtime| Contender {
        name: Runtime::name(runtime),
        group: &runtime.group,
        work: Box::new(move || life(runtime)),
    };
    Ok(arena.runtimes.iter().map(contender).collect())
}

impl Runtime {
    fn name(runtime: &Self) -> &'static str {
        runtime.name
    }
}

const RUN: [&str; 6] = ["run", "--rm", "--network", "none", "busybox", "true"];

fn run_command(arena: &Arena) -> Result<Vec<Contender<'_>>> {
    commands(arena, &RUN)
}

fn ps_command(arena: &Arena) -> Result<Vec<Contender<'_>>> {
    commands(arena, &["ps", "-a"])
}

/// The same words for each command line.
fn commands<'a>(arena: &'a Arena, words: &'static [&'static str]) -> Result<Vec<Contender<'a>>> {
    let binary = super::peers::release_binary()?;
    let dhow = &arena.dhow;
    let ours = move || quiet(Command::new(&binary).args(words).env("DOCKER_HOST", dhow.engine.host()));
    let mut all = vec![Contender { name: "dhow", group: &dhow.group, work: Box::new(ours) }];
    if let Some(docker) = &arena.docker {
        let work = move || quiet(Command::new("docker").args(words).env("DOCKER_HOST", docker.host()));
        all.push(Contender { name: "docker", group: &docker.group, work: Box::new(work) });
    }
    if let Some(podman) = &arena.podman {
        let work = move || quiet(podman.command().args(podman_words(words)));
        all.push(Contender { name: "podman", group: &podman.group, work: Box::new(work) });
    }
    Ok(all)
}

/// Without these limits it asks for more than a machine may have to give.
fn podman_words<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let limits: &[&str] =
        if words[0] == "run" { &["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"] } else { &[] };
    [&words[..1], limits, &words[1..]].concat()
}

fn api_life(arena: &Arena) -> Result<Vec<Contender<'_>>> {
    through_api(arena, |api| Ok(Box::new(move || api::life(&api))))
}

fn api_exec(arena: &Arena) -> Result<Vec<Contender<'_>>> {
    through_api(arena, |api| {
        let sleeper = api::Sleeper::new(api)?;
        Ok(Box::new(move || sleeper.exec()))
    })
}

type Work<'a> = Box<dyn FnMut() -> Result<()> + 'a>;

fn through_api<'a>(arena: &'a Arena, work: impl Fn(Api) -> Result<Work<'a>>) -> Result<Vec<Contender<'a>>> {
    let dhow = &arena.dhow;
    let ours = work(Api::new(dhow.engine.socket()))?;
    let mut all = vec![Contender { name: "dhow", group: &dhow.group, work: ours }];
    if let Some(docker) = &arena.docker {
        let theirs = work(Api::new(docker.socket.clone()))?;
        all.push(Contender { name: "docker", group: &docker.group, work: theirs });
    }
    Ok(all)
}

/// Runs a command whose output nobody reads; a failure is told with what it said.
fn quiet(command: &mut Command) -> Result<()> {
    // A file, not a pipe: a container keeps the descriptor that its creator had.
    let said = tempfile::tempfile()?;
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said.try_clone()?).status()?;
    if !status.success() {
        let text = std::io::read_to_string(rewound(said)?)?;
        bail!("{:?} ended with {status}: {text}", command.get_args().collect::<Vec<_>>());
    }
    Ok(())
}

fn rewound(mut file: std::fs::File) -> Result<std::fs::File> {
    std::io::Seek::rewind(&mut file)?;
    Ok(file)
}
