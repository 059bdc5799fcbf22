//! `dhow network rm|connect|disconnect`: what is done to a network that is there.

use dhow_api::client::Request;
use serde::Serialize;

use super::{Arity, Command};
use crate::error::{Error, Result};
use crate::flags::network::EndpointSettings;
use crate::flags::{INT, LINK, Parsed, STRING, STRING_SLICE, SWITCH, flag};
use crate::session::Session;

pub(crate) const REMOVE: Command = Command {
    paths: &["network rm", "network remove"],
    usage: "NETWORK [NETWORK...]",
    about: "Remove networks that no container uses",
    arity: Arity::AtLeast(1),
    arguments_end_flags: false,
    flags: &[&[flag("force", SWITCH, "Do not mind networks that are not there").short('f')]],
    run: remove,
};

pub(crate) const CONNECT: Command = Command {
    paths: &["network connect"],
    usage: "[OPTIONS] NETWORK CONTAINER",
    about: "Connect a container to a network",
    arity: Arity::Exactly(2),
    arguments_end_flags: false,
    flags: &[&[
        flag("alias", STRING_SLICE, "Further name of the container on this network"),
        flag("driver-opt", STRING_SLICE, "Option of the network's driver"),
        flag("gw-priority", INT, "The network with the highest has the way to the world outside"),
        flag("ip", STRING, "IPv4 address of the container"),
        flag("ip6", STRING, "IPv6 address of the container"),
        flag("link", LINK, "Link to another container"),
        flag("link-local-ip", STRING_SLICE, "Link-local address of the container"),
    ]],
    run: connect,
};

pub(crate) const DISCONNECT: Command = Command {
    paths: &["network disconnect"],
    usage: "[OPTIONS] NETWORK CONTAINER",
    about: "Disconnect a container from a network",
    arity: Arity::Exactly(2),
    arguments_end_flags: false,
    flags: &[&[flag("force", SWITCH, "Do so even if the container is not there any more").short('f')]],
    run: disconnect,
};

fn remove(session: &Session, parsed: &Parsed) -> Result<()> {
    let mut failed = false;
    for name in &parsed.arguments {
        let removed =
            checked("network", name).and_then(|name| session.send(Request::delete(&["networks", name])));
        match removed {
            Ok(_) => session.print_line(name)?,
            Err(error) if parsed.is_on("force") && error.is_not_found() => {}
            Err(error) => {
                eprintln!("{error}");
                failed = true;
            }
        }
    }
    // Docker says the status in words too.
    if failed { Err(Error::said("exit status 1")) } else { Ok(()) }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ConnectRequest<'a> {
    container: &'a str,
    endpoint_config: EndpointSettings,
}

fn connect(session: &Session, parsed: &Parsed) -> Result<()> {
    let endpoint_config = EndpointSettings::of_connect(parsed).map_err(Error::said)?;
    let (network, container) = both(parsed)?;
    let request = ConnectRequest { container, endpoint_config };
    session.send(Request::post(&["networks", network, "connect"]).json(&request)?)?;
    Ok(())
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DisconnectRequest<'a> {
    container: &'a str,
    force: bool,
}

fn disconnect(session: &Session, parsed: &Parsed) -> Result<()> {
    let (network, container) = both(parsed)?;
    let request = DisconnectRequest { container, force: parsed.is_on("force") };
    session.send(Request::post(&["networks", network, "disconnect"]).json(&request)?)?;
    Ok(())
}

/// The network and the container.
fn both(parsed: &Parsed) -> Result<(&str, &str)> {
    Ok((checked("network", parsed.argument(0))?, checked("container", parsed.argument(1))?))
}

fn checked<'n>(what: &str, name: &'n str) -> Result<&'n str> {
    if name.trim().is_empty() {
        return Err(Error::said(format!("invalid {what} name or ID: value is empty")));
    }
    Ok(name)
}
