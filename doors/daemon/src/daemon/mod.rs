//! `dhow daemon`: the engine's composition root.
//!
//! The launcher is started first, before there is a second thread; then the log, the data directory,
//! the engine over its ports, the sockets, and at last the signals that end it all. Containers go on
//! when it ends.

mod compose;
mod configuration;
mod flags;
mod memory;
mod pidfile;
mod sockets;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use dhow_engine::Engine;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};

use configuration::Configuration;
use flags::Flags;

/// Threads that serve connections: verbs run on others, which come and go.
const WORKERS: usize = 2;
/// Bytes of each thread's stack: nothing here recurses.
const STACK: usize = 512 << 10;

/// Runs the engine until it is told to end.
pub(crate) fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let flags = match Flags::try_parse_from(std::iter::once("dhow daemon".into()).chain(arguments)) {
        Ok(flags) => flags,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()) * 125);
        }
    };
    match start(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failed to start daemon: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(flags: Flags) -> Result<()> {
    let configuration = Configuration::read(flags)?;
    if configuration.validate_only {
        println!("configuration OK");
        return Ok(());
    }
    configuration.start_log()?;
    compose::require_root()?;
    compose::require_kernel()?;
    let launcher = compose::launcher()?;
    raise_descriptors();
    let _pidfile = pidfile::Pidfile::claim(&configuration.pidfile)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_stack_size(STACK)
        .enable_all()
        .build()
        .context("start the workers")?;
    let engine = compose::engine(&configuration, launcher, runtime.handle())?;
    runtime.block_on(serve(&configuration, engine))
}

/// A shell gives 1024 descriptors; each container takes two, each client one or more. The launcher, which
/// was started before, and with it the containers keep what was given.
fn raise_descriptors() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!("the limit of open files stays at {current:?}: {error}");
    }
}

async fn serve(configuration: &Configuration, engine: Arc<Engine>) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut reload = signal(SignalKind::hangup())?;
    let sockets = sockets::Sockets::bind(&configuration.hosts, &configuration.group)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), hosts = ?configuration.hosts, "the engine listens");
    let end = async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = reload.recv() => tracing::warn!("SIGHUP: reloading is not supported yet, the configuration stays"),
            }
        }
        tracing::info!("the engine ends; containers go on");
    };
    let listeners = sockets.listeners()?;
    let unread = |client: &UnixStream| dhow_sys::channel::unread(client).unwrap_or(0);
    let memory = tokio::spawn(memory::give_back());
    dhow_api::serve(engine, listeners, unread, end).await;
    memory.abort();
    Ok(())
}
