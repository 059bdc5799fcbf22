//! The one thread that writes: it commits for everybody who waits.
//!
//! A commit that must outlive a power cut costs an fsync, which takes as long for twenty changes as
//! for one. So all changes that came while the last commit was under way share the next one. Each
//! has a savepoint of its own: one that fails takes nobody along.

use std::fs::File;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use dhow_model::ports::Durability;
use rusqlite::{Connection, ErrorCode};

use super::room;
use super::trust::Mark;
use crate::error::{Context as _, Error, Result};

/// A change of the database.
pub(super) type Work = Box<dyn Fn(&Connection) -> rusqlite::Result<()> + Send>;

/// A change, and who waits for it.
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) durability: Durability,
    /// Nobody waits for a change that a later one depends on: they are made in order.
    pub(super) reply: Option<SyncSender<Result<()>>>,
    /// Done after the answer, in the order of the changes.
    pub(super) afterwards: Option<Box<dyn FnOnce() + Send>>,
}

/// No more than these share a commit: the first of them must not wait for ever.
const BATCH: usize = 256;

/// The log is folded into the database after so many commits, of some 16 kB each.
const CHECKPOINT: u32 = 250;

/// What did not happen.
const CANNOT: &str = "cannot write to the database";

/// What is to be on the disk soon is synced so long after its commit, with all that came since.
const SOON: Duration = Duration::from_secs(1);

/// Writes until all senders are gone.
pub(super) fn run(mut connection: Connection, mark: &Mark, incoming: &Receiver<Job>) {
    mark.begin();
    let mut since_checkpoint = 0;
    let mut debt = Debt { log: write_ahead_log(&connection), due: None };
    while let Some(first) = debt.next(incoming) {
        let mut batch = vec![first];
        while batch.len() < BATCH {
            let Ok(next) = incoming.try_recv() else { break };
            batch.push(next);
        }
        debt.note(&batch);
        commit(&mut connection, batch);
        since_checkpoint += 1;
        if since_checkpoint >= CHECKPOINT {
            checkpoint(&connection);
            since_checkpoint = 0;
        }
    }
    if checkpoint(&connection) {
        mark.end();
    }
}

/// What was committed and is not on the disk yet.
struct Debt {
    log: PathBuf,
    due: Option<Instant>,
}

impl Debt {
    /// Waits for the next job, and pays what is due on the way; nothing when nobody writes any more.
    fn next(&mut self, incoming: &Receiver<Job>) -> Option<Job> {
        while let Some(due) = self.due {
            match incoming.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(job) if Instant::now() < due => return Some(job),
                Ok(job) => {
                    self.pay();
                    return Some(job);
                }
                Err(RecvTimeoutError::Timeout) => self.pay(),
                // The checkpoint at the end syncs all.
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
        incoming.recv().ok()
    }

    fn note(&mut self, batch: &[Job]) {
        let wants = |durability| batch.iter().any(|job| job.durability == durability);
        if wants(Durability::Committed) {
            // This commit syncs what lies before it too.
            self.due = None;
        } else if wants(Durability::Soon) {
            self.due.get_or_insert_with(|| Instant::now() + SOON);
        }
    }

    fn pay(&mut self) {
        self.due = None;
        if let Err(error) = File::open(&self.log).and_then(|log| log.sync_data()) {
            tracing::error!(%error, "cannot sync the database's log");
        }
    }
}

/// SQLite, "Write-Ahead Logging": beside the database.
fn write_ahead_log(connection: &Connection) -> PathBuf {
    format!("{}-wal", connection.path().unwrap_or_default()).into()
}

fn commit(connection: &mut Connection, batch: Vec<Job>) {
    let durable = batch.iter().any(|job| job.durability == Durability::Committed);
    let mut answers = Vec::with_capacity(batch.len());
    let mut afterwards = Vec::new();
    let mut work = Vec::with_capacity(batch.len());
    for job in batch {
        work.push(job.work);
        answers.push(job.reply);
        afterwards.push(job.afterwards);
    }
    let mut done = transaction(connection, durable, &work);
    if is_full(&done) {
        // Folded, the log begins anew in the blocks that it has.
        checkpoint(connection);
        done = transaction(connection, durable, &work);
    }
    match done.context(|| CANNOT) {
        Ok(results) => {
            for (index, (answer, result)) in answers.into_iter().zip(results).enumerate() {
                if result.is_err() {
                    afterwards[index] = None;
                }
                tell(answer, result.context(|| CANNOT));
            }
            afterwards.into_iter().flatten().for_each(|task| task());
        }
        Err(error) => {
            let (kind, report) = (error.kind(), error.report());
            for answer in answers {
                tell(answer, Err(Error::new(kind, report.clone())));
            }
        }
    }
}

/// Answers whoever waits; who does not is told in the log.
fn tell(waiting: Option<SyncSender<Result<()>>>, result: Result<()>) {
    match (waiting, result) {
        (Some(waiting), result) => drop(waiting.send(result)),
        (None, Err(error)) => tracing::error!(error = error.report(), "a change was not recorded"),
        (None, Ok(())) => {}
    }
}

fn transaction(
    connection: &mut Connection,
    durable: bool,
    batch: &[Work],
) -> rusqlite::Result<Vec<rusqlite::Result<()>>> {
    // In WAL mode a commit is synced with FULL, and with NORMAL only the checkpoint is.
    let level = if durable { "FULL" } else { "NORMAL" };
    connection.pragma_update(None, "synchronous", level)?;
    let change = connection.unchecked_transaction()?;
    let results = batch.iter().map(|work| savepoint(&change, work)).collect();
    change.commit()?;
    Ok(results)
}

fn is_full(done: &rusqlite::Result<Vec<rusqlite::Result<()>>>) -> bool {
    let full = |error: &rusqlite::Error| error.sqlite_error_code() == Some(ErrorCode::DiskFull);
    match done {
        Err(error) => full(error),
        Ok(results) => results.iter().any(|result| result.as_ref().is_err_and(full)),
    }
}

fn savepoint(connection: &Connection, work: &Work) -> rusqlite::Result<()> {
    connection.prepare_cached("SAVEPOINT one")?.execute([])?;
    let result = work(connection);
    if result.is_err() {
        connection.prepare_cached("ROLLBACK TO one")?.execute([])?;
    }
    connection.prepare_cached("RELEASE one")?.execute([])?;
    result
}

/// Folds the log into the database; tells whether all of it was, and synced.
fn checkpoint(connection: &Connection) -> bool {
    let figures = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
    let folded = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], figures);
    room::keep(connection);
    match folded {
        Ok((written, folded)) => written == folded,
        Err(error) => {
            tracing::warn!(%error, "cannot fold the database's log");
            false
        }
    }
}
