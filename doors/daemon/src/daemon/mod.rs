//! `dhow daemon`: the engine's composition root.
//!
//! What the service manager passed is taken, and the launcher started, before there is a second thread;
//! then the log, the data directory, the engine over its ports, the sockets, and at last the signals that
//! reload or end it all. Containers go on when it ends, unless `live-restore` is off (decision 11).

mod address;
mod compose;
mod configuration;
mod default_network;
mod file;
mod flags;
mod log;
mod memory;
mod networks;
mod notify;
mod passed_over;
mod pidfile;
mod reload;
mod sockets;
mod storage;
mod subordinate;
mod tls;
mod without_effect;

use std::ffi::OsString;
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use dhow_api::Socket;
use dhow_engine::Engine;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use configuration::Configuration;
use flags::{Flags, Given};
use notify::Notice;
use reload::Reload;
use sockets::Sockets;

/// Threads that serve connections: verbs run on others, which come and go.
const WORKERS: usize = 2;
/// Bytes of each thread's stack: nothing here recurses.
const STACK: usize = 512 << 10;

/// Runs the engine until it is told to end.
pub(crate) fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let words = std::iter::once("dhow daemon".into()).chain(arguments).collect();
    let (flags, given) = match Flags::read(words) {
        Ok(read) => read,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()) * 125);
        }
    };
    match start(flags, given) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(flags: Flags, given: Given) -> Result<()> {
    let inherited = dhow_sys::inherit::descriptors().context("take the sockets of the service manager")?;
    let configuration = Configuration::read(&flags, &given)?;
    let tls = configuration.access.tls.as_ref().map(tls::Tls::load).transpose()?;
    if flags.validate {
        configuration.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
        println!("configuration OK");
        return Ok(());
    }
    let log = configuration.log.start();
    configuration.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    compose::require_root()?;
    compose::require_kernel()?;
    let launcher = compose::launcher()?;
    dhow_sys::fork::bound_memory();
    raise_descriptors();
    let _pidfile = pidfile::Pidfile::claim(&configuration.pidfile)?;
    let _lock = compose::claim(&configuration)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_stack_size(STACK)
        .enable_all()
        .build()
        .context("start the workers")?;
    let engine =
        compose::engine(&configuration, launcher, runtime.handle()).context("failed to start daemon")?;
    let sockets = Sockets::bind(&configuration.access, tls, inherited).context("failed to load listeners")?;
    let metrics =
        configuration.metrics.map(Sockets::metrics).transpose().context("failed to serve metrics")?;
    let reload = Reload { flags, given, log, running: configuration };
    runtime.block_on(serve(reload, engine, sockets, metrics))
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

async fn serve(
    mut reload: Reload,
    engine: Arc<Engine>,
    mut sockets: Sockets,
    metrics: Option<TcpListener>,
) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let listeners = sockets.listeners()?;
    let hosts = &reload.running.access.hosts;
    let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), ?hosts, "the engine listens");
    let (background, watchdog) = (tokio::spawn(memory::give_back()), tokio::spawn(notify::watchdog()));
    notify::tell(Notice::Ready);
    let reloaded = Arc::clone(&engine);
    let end = async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hangup.recv() => reload.run(&reloaded),
            }
        }
        notify::tell(Notice::Stopping);
        let live = reloaded.settings().live_restore;
        tracing::info!("the engine ends; containers {}", if live { "go on" } else { "are stopped" });
        reloaded.shut_down().await;
    };
    let watched = metrics.map(|listener| metrics_server(&engine, listener)).transpose()?;
    dhow_api::serve(engine, listeners, unread, end).await;
    if let Some(watched) = watched {
        watched.abort();
    }
    background.abort();
    watchdog.abort();
    Ok(())
}

/// How many written bytes a client has not read.
fn unread(client: &Socket) -> usize {
    dhow_sys::channel::unread(client).unwrap_or(0)
}

/// Serves metrics until it is ended.
fn metrics_server(engine: &Arc<Engine>, listener: TcpListener) -> Result<JoinHandle<()>> {
    tracing::info!("metrics API listening on {}", listener.local_addr()?);
    let (listener, engine) = (sockets::plain(listener)?, Arc::clone(engine));
    Ok(tokio::spawn(dhow_api::serve_metrics(engine, listener, unread, std::future::pending())))
}
