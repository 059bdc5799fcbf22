//! The commands of docker about swarms: nodes, services, stacks, secrets, configs.
//!
//! No engine of ours is in a swarm. Each command asks what docker would ask first, so that an engine without a swarm
//! refuses it in its own words; an engine that has one is not managed from here, and that is said.

use dhow_api::client::Request;
use serde_json::{Value as Json, json};

use super::{Arity, Command};
use crate::error::{Error, Result};
use crate::flags::{Flag, Parsed, SWITCH, UNREAD, flag};
use crate::session::Session;

const NOT_ACTIVE: &str = "Error: This node is not part of a swarm";
const NOT_MANAGER: &str = "this node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to \
                           connect this node to swarm and try again";
/// All flags of these commands are about what is not there.
const ANY: &[&[Flag]] = &[&[UNREAD]];

type Run = fn(&Session, &Parsed) -> Result<()>;

/// A command that asks for something of a swarm; it takes any flags, and at least so many arguments.
const fn asking(
    paths: &'static [&'static str],
    usage: &'static str,
    about: &'static str,
    least: usize,
    run: Run,
) -> Command {
    Command { paths, usage, about, arity: Arity::AtLeast(least), arguments_end_flags: false, flags: ANY, run }
}

const LEAVE: Command = Command {
    paths: &["swarm leave"],
    usage: "[OPTIONS]",
    about: "Leave the swarm",
    arity: Arity::None,
    arguments_end_flags: false,
    flags: &[&[flag("force", SWITCH, "Leave even if it is the manager").short('f')]],
    run: leave,
};

/// Each of them, by group.
pub(super) const COMMANDS: &[&Command] = &[
    &asking(&["config create"], "[OPTIONS] CONFIG file|-", "Create a config", 2, |session, _| {
        refused(session, Request::post(&["configs", "create"]).json(&json!({}))?)
    }),
    &asking(&["config inspect"], "CONFIG [CONFIG...]", "Show configs", 1, |session, parsed| {
        inspected(session, &["configs", parsed.argument(0)])
    }),
    &asking(&["config ls", "config list"], "[OPTIONS]", "List configs", 0, |session, _| {
        refused(session, Request::get(&["configs"]))
    }),
    &asking(&["config rm", "config remove"], "CONFIG [CONFIG...]", "Remove configs", 1, |session, parsed| {
        refused(session, Request::delete(&["configs", parsed.argument(0)]))
    }),
    &asking(&["node demote"], "NODE [NODE...]", "Demote managers", 1, node),
    &asking(&["node inspect"], "self|NODE [NODE...]", "Show nodes", 1, |session, parsed| {
        inspected(session, &["nodes", parsed.argument(0)])
    }),
    &asking(&["node ls", "node list"], "[OPTIONS]", "List nodes", 0, |session, _| {
        refused(session, Request::get(&["nodes"]))
    }),
    &asking(&["node promote"], "NODE [NODE...]", "Promote nodes to managers", 1, node),
    &asking(&["node ps"], "[OPTIONS] [NODE...]", "List tasks of nodes", 0, |session, _| {
        refused(session, Request::get(&["nodes", "self"]))
    }),
    &asking(&["node rm", "node remove"], "NODE [NODE...]", "Remove nodes", 1, |session, parsed| {
        refused(session, Request::delete(&["nodes", parsed.argument(0)]))
    }),
    &asking(&["node update"], "[OPTIONS] NODE", "Update a node", 1, node),
    &asking(&["secret create"], "[OPTIONS] SECRET [file|-]", "Create a secret", 1, |session, _| {
        refused(session, Request::post(&["secrets", "create"]).json(&json!({}))?)
    }),
    &asking(&["secret inspect"], "SECRET [SECRET...]", "Show secrets", 1, |session, parsed| {
        inspected(session, &["secrets", parsed.argument(0)])
    }),
    &asking(&["secret ls", "secret list"], "[OPTIONS]", "List secrets", 0, |session, _| {
        refused(session, Request::get(&["secrets"]))
    }),
    &asking(&["secret rm", "secret remove"], "SECRET [SECRET...]", "Remove secrets", 1, |session, parsed| {
        refused(session, Request::delete(&["secrets", parsed.argument(0)]))
    }),
    &asking(
        &["service create"],
        "[OPTIONS] IMAGE [COMMAND] [ARG...]",
        "Create a service",
        1,
        |session, _| refused(session, Request::post(&["services", "create"]).json(&json!({}))?),
    ),
    &asking(&["service inspect"], "SERVICE [SERVICE...]", "Show services", 1, |session, parsed| {
        inspected(session, &["services", parsed.argument(0)])
    }),
    &asking(&["service logs"], "[OPTIONS] SERVICE|TASK", "Show the logs of a service", 1, service),
    &asking(&["service ls", "service list"], "[OPTIONS]", "List services", 0, services),
    &asking(&["service ps"], "[OPTIONS] SERVICE [SERVICE...]", "List tasks of services", 1, services),
    &asking(
        &["service rm", "service remove"],
        "SERVICE [SERVICE...]",
        "Remove services",
        1,
        |session, it| refused(session, Request::delete(&["services", it.argument(0)])),
    ),
    &asking(&["service rollback"], "[OPTIONS] SERVICE", "Undo the last update of a service", 1, service),
    &asking(&["service scale"], "SERVICE=REPLICAS [SERVICE=REPLICAS...]", "Scale services", 1, scale),
    &asking(&["service update"], "[OPTIONS] SERVICE", "Update a service", 1, service),
    &asking(&["stack deploy", "stack up"], "[OPTIONS] STACK", "Deploy a stack", 1, deploy),
    &asking(&["stack ls", "stack list"], "[OPTIONS]", "List stacks", 0, services),
    &asking(&["stack ps"], "[OPTIONS] STACK", "List tasks of a stack", 1, services),
    &asking(&["stack rm", "stack remove", "stack down"], "STACK [STACK...]", "Remove stacks", 1, services),
    &asking(&["stack services"], "[OPTIONS] STACK", "List services of a stack", 1, services),
    &asking(&["swarm ca"], "[OPTIONS]", "Show or replace the authority of the swarm", 0, swarm),
    &asking(&["swarm init"], "[OPTIONS]", "Begin a swarm", 0, |session, _| {
        refused(session, Request::post(&["swarm", "init"]).json(&json!({}))?)
    }),
    &asking(&["swarm join"], "[OPTIONS] HOST:PORT", "Join a swarm", 1, |session, _| {
        refused(session, Request::post(&["swarm", "join"]).json(&json!({}))?)
    }),
    &asking(&["swarm join-token"], "[OPTIONS] (worker|manager)", "Show or replace tokens", 1, swarm),
    &LEAVE,
    &asking(&["swarm unlock"], "", "Unlock the swarm", 0, |session, _| {
        let active = info(session)?.pointer("/Swarm/LocalNodeState").is_some_and(|it| it != "inactive");
        Err(if active { unmanaged() } else { Error::said(NOT_ACTIVE) })
    }),
    &asking(&["swarm unlock-key"], "[OPTIONS]", "Show or replace the key", 0, |session, _| {
        refused(session, Request::get(&["swarm", "unlockkey"]))
            .map_err(|why| Error::said(format!("could not fetch unlock key: {why}")))
    }),
    &asking(&["swarm update"], "[OPTIONS]", "Update the swarm", 0, swarm),
];

/// Sends what docker would send first; who answers it has a swarm.
fn refused(session: &Session, request: Request<'_>) -> Result<()> {
    session.send(request)?;
    Err(unmanaged())
}

fn unmanaged() -> Error {
    Error::said("this command line does not manage swarms: use docker's")
}

/// What can be shown is shown, and be it nothing.
fn inspected(session: &Session, path: &[&str]) -> Result<()> {
    session.print("[]\n")?;
    refused(session, Request::get(path))
}

fn node(session: &Session, parsed: &Parsed) -> Result<()> {
    refused(session, Request::get(&["nodes", parsed.argument(0)]))
}

fn service(session: &Session, parsed: &Parsed) -> Result<()> {
    refused(session, Request::get(&["services", parsed.argument(0)]))
}

fn services(session: &Session, _: &Parsed) -> Result<()> {
    refused(session, Request::get(&["services"]))
}

fn swarm(session: &Session, _: &Parsed) -> Result<()> {
    refused(session, Request::get(&["swarm"]))
}

fn scale(session: &Session, parsed: &Parsed) -> Result<()> {
    let (name, _) = parsed.argument(0).split_once('=').ok_or_else(|| {
        Error::said(format!(
            "invalid scale specifier '{}'\n\nUsage:  dhow service scale SERVICE=REPLICAS [SERVICE=REPLICAS...]",
            parsed.argument(0)
        ))
    })?;
    let asked = refused(session, Request::get(&["services", name]));
    asked.map_err(|why| Error::said(format!("{name}: {why}")))
}

fn info(session: &Session) -> Result<Json> {
    Ok(session.send(Request::get(&["info"]))?.json()?)
}

fn deploy(session: &Session, _: &Parsed) -> Result<()> {
    let manager = info(session)?.pointer("/Swarm/ControlAvailable") == Some(&Json::Bool(true));
    Err(if manager { unmanaged() } else { Error::said(NOT_MANAGER) })
}

fn leave(session: &Session, parsed: &Parsed) -> Result<()> {
    session.send(Request::post(&["swarm", "leave"]).query_flag("force", parsed.is_on("force")))?;
    session.print_line("Node left the swarm.")
}
