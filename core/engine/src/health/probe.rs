//! One probe: a program is run in the container, for a while at most.

use std::os::fd::OwnedFd;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use dhow_model::container::Probe;
use dhow_model::{Error, Result, Timestamp};
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::sync::Semaphore;

use super::policy::{self, Check, Output};
use crate::containers::attach::Attached;
use crate::execs::{ExecRequest, ExecState};
use crate::{Engine, Entry};

/// What a probe that did not end by itself is remembered with.
const NO_CODE: i32 = -1;
/// How long the end of a killed probe is waited for.
const LAST: Duration = Duration::from_secs(10);
/// Bytes read at once.
const PIECE: usize = 4096;

/// Probes of all containers that are being started: a start takes a thread for a moment.
static STARTING: LazyLock<Semaphore> = LazyLock::new(|| {
    Semaphore::new(std::thread::available_parallelism().map_or(4, |count| (2 * count.get()).max(4)))
});

/// Runs it. Whoever drops this ends the program.
pub(super) async fn run(
    engine: Arc<Engine>,
    entry: Arc<Entry>,
    check: Arc<Check>,
    start: Timestamp,
) -> Probe {
    let (exit_code, output) = match Run::begin(engine, &entry, &check).await {
        Ok(run) => run.finish(&check).await,
        Err(error) => {
            tracing::debug!("probe: {}", error.report());
            (NO_CODE, error.report())
        }
    };
    Probe { start, end: Timestamp::now(), exit_code, output }
}

/// A program that runs; killed and forgotten when this is dropped.
struct Run {
    engine: Arc<Engine>,
    exec: String,
    stream: UnixStream,
}

impl Drop for Run {
    fn drop(&mut self) {
        self.engine.discard_exec(&self.exec);
    }
}

impl Run {
    async fn begin(engine: Arc<Engine>, entry: &Arc<Entry>, check: &Check) -> Result<Self> {
        let request = ExecRequest {
            attach_stdout: true,
            attach_stderr: true,
            cmd: check.command.clone(),
            // No probe of an engine that was killed goes on beside those of the next.
            dies_with_client: true,
            ..ExecRequest::default()
        };
        let id = entry.record().id.to_string();
        let _place = STARTING.acquire().await;
        let starter = Arc::clone(&engine);
        let started = tokio::task::spawn_blocking(move || -> Result<(String, Attached)> {
            let exec = starter.create_exec(&id, request)?;
            match starter.start_attached_exec(&exec, None) {
                Ok(attached) => Ok((exec, attached)),
                Err(error) => {
                    starter.discard_exec(&exec);
                    Err(error)
                }
            }
        });
        let (exec, attached) =
            started.await.map_err(|panic| Error::internal("start a probe").because(panic))??;
        let stream = match asynchronous(attached.stream) {
            Ok(stream) => stream,
            Err(error) => {
                engine.discard_exec(&exec);
                return Err(error);
            }
        };
        Ok(Self { engine, exec, stream })
    }

    /// Reads to the end, at most as long as a probe may take.
    async fn finish(mut self, check: &Check) -> (i32, String) {
        let mut output = Output::default();
        let ended = tokio::time::timeout(check.timeout, self.end(&mut output)).await;
        match ended {
            Ok(code) => (code, output.text()),
            Err(_) => {
                // It may have ended just now.
                let _ = self.engine.kill_exec(&self.exec, "KILL");
                // Not for ever: what cannot be killed is no reason not to say so.
                let mut rest = Output::default();
                drop(tokio::time::timeout(LAST, self.end(&mut rest)).await);
                (NO_CODE, policy::too_long(check.timeout, &output.text()))
            }
        }
    }

    async fn end(&mut self, output: &mut Output) -> i32 {
        let mut piece = [0; PIECE];
        while let Ok(count @ 1..) = self.stream.read(&mut piece).await {
            output.take(&piece[..count]);
        }
        match self.engine.ended_exec(&self.exec).await {
            Ok(ExecState::Ended(exit)) => exit.code,
            _ => NO_CODE,
        }
    }
}

fn asynchronous(stream: OwnedFd) -> Result<UnixStream> {
    let stream = std::os::unix::net::UnixStream::from(stream);
    let ready = stream.set_nonblocking(true).and_then(|()| UnixStream::from_std(stream));
    ready.map_err(|error| Error::internal("read from a probe").because(error))
}
