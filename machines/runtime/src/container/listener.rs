//! Passes the descriptor of seccomp notifications to whoever listens at `listenerPath`.

use std::os::fd::{AsFd as _, OwnedFd};

use dhow_oci::runtime::{Spec, State, VERSION};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType, connect, sendmsg, socket_with,
};
use rustix::process::Pid;
use serde::Serialize;

use super::error::{Context as _, Error, Result};

/// The specification's `ContainerProcessState`, which travels beside the descriptor.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProcessState<'a> {
    oci_version: &'static str,
    /// What the descriptors that come along are, in order.
    fds: [&'static str; 1],
    pid: i32,
    #[serde(skip_serializing_if = "str::is_empty")]
    metadata: &'a str,
    state: State,
}

/// Sends the descriptor of a container's first process, while the container is being created.
pub(super) fn hand_over(
    listener: &OwnedFd,
    spec: &Spec,
    id: &str,
    bundle: &std::path::Path,
    process: Pid,
) -> Result<()> {
    let seccomp = spec.linux.as_ref().and_then(|linux| linux.seccomp.as_ref());
    let seccomp = seccomp.ok_or_else(|| Error::configuration("a listener without a seccomp filter"))?;
    let pid = process.as_raw_nonzero().get();
    let state = State {
        oci_version: VERSION.to_owned(),
        id: id.to_owned(),
        status: "creating".to_owned(),
        pid,
        bundle: bundle.to_owned(),
        annotations: spec.annotations.clone(),
    };
    let metadata = seccomp.listener_metadata.as_str();
    let message = ProcessState { oci_version: VERSION, fds: ["seccompFd"], pid, metadata, state };
    let message = serde_json::to_vec(&message).unwrap_or_default();
    let path = seccomp.listener_path.as_str();
    send(path, &message, listener).doing(|| format!("send the seccomp descriptor to {path}"))
}

fn send(path: &str, message: &[u8], listener: &OwnedFd) -> std::io::Result<()> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    let descriptors = [listener.as_fd()];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    let sent = sendmsg(&socket, &[std::io::IoSlice::new(message)], &mut ancillary, SendFlags::NOSIGNAL)?;
    if sent < message.len() {
        // The descriptor went with the first bytes.
        std::io::Write::write_all(&mut std::os::unix::net::UnixStream::from(socket), &message[sent..])?;
    }
    Ok(())
}
