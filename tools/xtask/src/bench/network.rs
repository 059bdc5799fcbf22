//! Packets: what goes through a published port, and from container to container; and lives on the default network.
//!
//! Both ends are threads of this program, each in the network namespace of a container or of an engine's host: the
//! engines differ in the way between them only.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd as _, OwnedFd};

use anyhow::{Context, Result};
use dhow_testkit::network;

use super::cases::{Client, clients, commands, quiet};
use super::peers::Arena;
use super::series::Contender;

const RUN: [&str; 4] = ["run", "--rm", "busybox", "true"];
const PORT: u16 = 5201;
const BYTES: usize = 1_000_000_000;
const PIECE: usize = 128 << 10;
const CONNECTIONS: usize = 1_000;
const NAMES: [&str; 2] = ["bench-server", "bench-client"];

/// The whole command line; podman would have its networks on the machine itself.
pub(crate) fn run_command(arena: &Arena) -> Result<Vec<Contender<'_>>> {
    let mut all = commands(arena, &RUN)?;
    all.retain(|contender| contender.name != "podman");
    Ok(all)
}

/// Bytes from the host to a published port of 127.0.0.1.
pub(crate) fn published(arena: &Arena) -> Result<Vec<Contender<'_>>> {
    contenders(arena, |place| send(&place.host, ([127, 0, 0, 1], PORT).into()))
}

/// Bytes from a container to the address of another.
pub(crate) fn between(arena: &Arena) -> Result<Vec<Contender<'_>>> {
    contenders(arena, |place| send(&place.client, place.server))
}

/// New connections to a published port, one after the other.
pub(crate) fn connections(arena: &Arena) -> Result<Vec<Contender<'_>>> {
    contenders(arena, |place| {
        network::within(place.host.as_fd(), || {
            (0..CONNECTIONS).try_for_each(|_| talk(([127, 0, 0, 1], PORT).into(), 1))
        })
    })
}

/// Where the ends are.
struct Place {
    host: OwnedFd,
    client: OwnedFd,
    server: SocketAddr,
}

fn contenders<'a>(arena: &'a Arena, work: fn(&Place) -> Result<()>) -> Result<Vec<Contender<'a>>> {
    let mut all = Vec::new();
    for client in clients(arena)? {
        let Some(host) = arena.host_network(client.name)? else { continue };
        let place = set_up(&client, host).with_context(|| format!("containers of {}", client.name))?;
        let work = Box::new(move || work(&place));
        all.push(Contender { name: client.name, group: client.group, prepare: None, work });
    }
    Ok(all)
}

/// Two containers, of which one serves.
fn set_up(client: &Client<'_>, host: OwnedFd) -> Result<Place> {
    client.group.enter()?;
    let port = format!("{PORT}:{PORT}");
    for (name, flags) in NAMES.iter().zip([&["-p", &port][..], &[]]) {
        drop(quiet(&mut (client.command)(&["rm", "-f", name])));
        let run = [&["run", "-d", "--name", name][..], flags, &["busybox", "sleep", "100000"]].concat();
        quiet(&mut (client.command)(&run))?;
    }
    let look = |name: &str, what: &str| -> Result<String> {
        let output = (client.command)(&["inspect", "-f", what, name]).output()?;
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    let pid = |name: &str| -> Result<u32> { Ok(look(name, "{{.State.Pid}}")?.parse()?) };
    let listener = network::of_process(pid(NAMES[0])?, || TcpListener::bind(("0.0.0.0", PORT)))??;
    std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| drop(swallow(stream))));
    let address = look(NAMES[0], "{{.NetworkSettings.Networks.bridge.IPAddress}}")?;
    let client = std::fs::File::open(format!("/proc/{}/ns/net", pid(NAMES[1])?))?;
    Ok(Place { host, client: client.into(), server: SocketAddr::new(address.parse()?, PORT) })
}

/// Reads to the end, and says that it did.
fn swallow(mut stream: TcpStream) -> Result<()> {
    let mut piece = vec![0; PIECE];
    while stream.read(&mut piece)? > 0 {}
    Ok(stream.write_all(b"!")?)
}

fn send(from: &OwnedFd, to: SocketAddr) -> Result<()> {
    network::within(from.as_fd(), || talk(to, BYTES))
}

fn talk(to: SocketAddr, bytes: usize) -> Result<()> {
    let mut stream = TcpStream::connect(to)?;
    let piece = vec![7; PIECE.min(bytes)];
    for _ in 0..bytes.div_ceil(piece.len()) {
        stream.write_all(&piece)?;
    }
    stream.shutdown(Shutdown::Write)?;
    stream.read_exact(&mut [0])?;
    Ok(())
}
