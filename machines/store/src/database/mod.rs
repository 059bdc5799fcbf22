//! The database: names and records; the things themselves are plain files.
//!
//! One connection writes, on a thread of its own ([`writer`]); another reads. Both are of this
//! process alone: the store is locked as long as it is open.

mod room;
mod schema;
mod trust;
mod writer;

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::mpsc::{Sender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use dhow_model::ports::Durability;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::error::{Context as _, Error, Result};
use trust::Mark;
use writer::Job;

/// The open database.
#[derive(Debug)]
pub(crate) struct Database {
    reader: Mutex<Connection>,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    looked_through: bool,
}

impl Database {
    /// Opens the database, or makes it.
    ///
    /// # Errors
    /// Kind `Corrupt` when it is damaged.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        touch(path)?;
        let mark = Mark::of(path);
        let looked_through = !mark.is_trusted();
        let mut connection = connect(path)?;
        schema::migrate(&mut connection)?;
        room::keep(&connection);
        if looked_through {
            verify(&connection)?;
        }
        let reader = connect(path)?;
        let (jobs, incoming) = channel();
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer::run(connection, &mark, &incoming))
            .context(|| "cannot start the thread that writes records")?;
        Ok(Self { reader: Mutex::new(reader), jobs: Some(jobs), thread: Some(thread), looked_through })
    }

    /// Whether what is on the disk may be other than what was written: the machine went down, or somebody
    /// changed it.
    pub(crate) fn was_looked_through(&self) -> bool {
        self.looked_through
    }

    /// Changes the database; returns when the change is as durable as asked for. It may be made twice: what
    /// the first time did is undone before.
    pub(crate) fn write(
        &self,
        durability: Durability,
        work: impl Fn(&Connection) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<()> {
        self.write_then(durability, work, None)
    }

    /// The same, and does `afterwards` when the answer is given, if the change was made.
    pub(crate) fn write_then(
        &self,
        durability: Durability,
        work: impl Fn(&Connection) -> rusqlite::Result<()> + Send + 'static,
        afterwards: Option<Box<dyn FnOnce() + Send>>,
    ) -> Result<()> {
        let (reply, answer) = sync_channel(1);
        let job = Job { work: Box::new(work), durability, reply: Some(reply), afterwards };
        self.send(job)?;
        answer.recv().map_err(|_| gone())?
    }

    /// Changes the database without waiting: whatever is written later finds it done.
    pub(crate) fn post(
        &self,
        work: impl Fn(&Connection) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<()> {
        let durability = Durability::Relaxed;
        self.send(Job { work: Box::new(work), durability, reply: None, afterwards: None })
    }

    fn send(&self, job: Job) -> Result<()> {
        self.jobs.as_ref().ok_or_else(gone)?.send(job).map_err(|_| gone())
    }

    /// Reads from the database; never waits for a write.
    pub(crate) fn read<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        query(&reader).context(|| "cannot read from the database")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn gone() -> Error {
    Error::internal("the thread that writes records has ended")
}

/// SQLite gives its other files the mode of this one.
fn touch(path: &Path) -> Result<()> {
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map(drop)
        .on("open the database", path)
}

/// KiB of pages that a connection keeps.
const CACHE: i64 = 512;

fn connect(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // The writer folds the log itself, when it has nothing else to do.
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        // What is read is read once, and kept in the catalog; what is written lies in a few pages.
        connection.pragma_update(None, "cache_size", -CACHE)?;
        // The log is not given back at the end: on a full disk the next engine would not get another.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.busy_timeout(std::time::Duration::from_secs(10))?;
        Ok(connection)
    };
    open().on("open the database", path)
}

/// Walks all tables, so that damage is met now and not in the middle of the engine's life.
fn verify(connection: &Connection) -> Result<()> {
    let word: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .context(|| "cannot read the database")?;
    if word == "ok" {
        return Ok(());
    }
    Err(Error::new(dhow_model::Kind::Corrupt, format!("the database is damaged: {word}")))
}
