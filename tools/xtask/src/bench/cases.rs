//! The cases, and how each contender does the work.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::rc::Rc;

use anyhow::{Result, bail};

use super::api::{self, Api};
use super::cgroup::Group;
use super::peers::{Arena, Runtime};
use super::series::Contender;
use super::{archive, copy, many, network, ready};

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
    Case {
        name: "run --rm on a bridge, whole command line",
        most_rounds: 100,
        contenders: network::run_command,
    },
    Case { name: "1 GB to a published port of 127.0.0.1", most_rounds: 10, contenders: network::published },
    Case { name: "1 GB from container to container", most_rounds: 10, contenders: network::between },
    Case { name: "1,000 connections to a published port", most_rounds: 10, contenders: network::connections },
    Case { name: "exec through the API", most_rounds: 100, contenders: api_exec },
    Case { name: "64 lives through the API, 16 side by side", most_rounds: 5, contenders: crowd },
    Case { name: "load of 300 MB, 4 layers, 10,000 files", most_rounds: 5, contenders: archive::load },
    Case { name: "save of the same", most_rounds: 5, contenders: archive::save },
    Case { name: "removal of the same", most_rounds: 5, contenders: archive::removal },
    Case { name: "cp of 200 MB in", most_rounds: 10, contenders: copy::inward },
    Case { name: "cp of 200 MB out", most_rounds: 10, contenders: copy::outward },
    Case { name: "diff and commit of a layer of 5,000 files", most_rounds: 10, contenders: copy::layer },
    Case { name: "logs of 100 MB through the API", most_rounds: 10, contenders: written },
    Case { name: "ps -a of 200 containers, whole command line", most_rounds: 50, contenders: many::ps },
    Case { name: "engine ready with 100 stopped", most_rounds: 20, contenders: ready::ready },
    Case { name: "images of 100, whole command line", most_rounds: 50, contenders: many::images },
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
        prepare: None,
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

/// The same words for each command line.
pub(crate) fn commands<'a>(arena: &'a Arena, words: &'static [&'static str]) -> Result<Vec<Contender<'a>>> {
    let all = clients(arena)?.into_iter().map(|client| Contender {
        name: client.name,
        group: client.group,
        prepare: None,
        work: Box::new(move || quiet(&mut (client.command)(words))),
    });
    Ok(all.collect())
}

/// Makes a command of the words of a command line.
pub(crate) type Words<'a> = dyn Fn(&[&str]) -> Command + 'a;

/// A command line with its engine.
pub(crate) struct Client<'a> {
    pub(crate) name: &'static str,
    pub(crate) group: &'a Group,
    pub(crate) command: Rc<Words<'a>>,
}

/// Every command line that there is; Dhow first.
pub(crate) fn clients(arena: &Arena) -> Result<Vec<Client<'_>>> {
    let binary = super::peers::release_binary()?;
    let of = |program: PathBuf, host: String| {
        move |words: &[&str]| {
            let mut command = Command::new(&program);
            command.args(words).env("DOCKER_HOST", &host);
            command
        }
    };
    let ours = Rc::new(of(binary, arena.dhow.engine.host()));
    let mut all = vec![Client { name: "dhow", group: &arena.dhow.group, command: ours }];
    if let Some(docker) = &arena.docker {
        let command = Rc::new(of("docker".into(), docker.host()));
        all.push(Client { name: "docker", group: &docker.group, command });
    }
    if let Some(podman) = &arena.podman {
        let command = Rc::new(|words: &[&str]| {
            let mut command = podman.command();
            command.args(podman_words(words));
            command
        });
        all.push(Client { name: "podman", group: &podman.group, command });
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

fn written(arena: &Arena) -> Result<Vec<Contender<'_>>> {
    through_api(arena, |api| {
        let written = api::Written::new(api)?;
        Ok(Box::new(move || written.read()))
    })
}

fn crowd(arena: &Arena) -> Result<Vec<Contender<'_>>> {
    through_api(arena, |api| Ok(Box::new(move || api::crowd(&api))))
}

type Work<'a> = Box<dyn FnMut() -> Result<()> + 'a>;

fn through_api<'a>(arena: &'a Arena, work: impl Fn(Api) -> Result<Work<'a>>) -> Result<Vec<Contender<'a>>> {
    let dhow = &arena.dhow;
    let ours = work(Api::new(dhow.engine.socket()))?;
    let mut all = vec![Contender { name: "dhow", group: &dhow.group, prepare: None, work: ours }];
    if let Some(docker) = &arena.docker {
        let theirs = work(Api::new(docker.socket.clone()))?;
        all.push(Contender { name: "docker", group: &docker.group, prepare: None, work: theirs });
    }
    Ok(all)
}

/// Runs a command whose output nobody reads; a failure is told with what it said.
pub(crate) fn quiet(command: &mut Command) -> Result<()> {
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
