//! What the engine knows of containers, in memory.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};

use dhow_model::container::{Exit, Intent, State};
use dhow_model::ports::Durability;
use dhow_model::{Container, ContainerId, ContainerName, Error, Result, Timestamp};
use tokio::sync::watch;

use crate::Ports;
use crate::restart::policy::Backoff;

/// One container.
#[derive(Debug)]
pub struct Entry {
    record: Mutex<Arc<Container>>,
    /// When it was made: by this all are ordered, whatever their records become.
    created: Timestamp,
    /// Held by a verb that changes the container, from its first step to its last.
    verb: Mutex<()>,
    /// Counts changes of the state; waiters look at the record when it moves.
    changed: watch::Sender<u64>,
    /// The same for those who wait on a thread.
    replaced: Condvar,
    /// How it ended last: kept for those who wait, when it is removed right after.
    last_exit: Mutex<Option<Exit>>,
    /// Forced removals that are under way: nothing starts or freezes the container meanwhile.
    removals: AtomicUsize,
    /// What users asked for; every record that is written gets it.
    intent: Mutex<Intent>,
    /// How long its restart policy waits.
    backoff: Mutex<Backoff>,
    /// It ends to be started again by whoever ended it: nothing is removed in between.
    comes_back: AtomicBool,
    /// Others may be in its network.
    shares_network: AtomicBool,
    /// It was removed: who waited for its turn changes nothing any more.
    gone: AtomicBool,
}

/// A forced removal that is under way, until this is dropped.
pub(crate) struct ForcedRemoval<'a>(&'a Entry);

impl Drop for ForcedRemoval<'_> {
    fn drop(&mut self) {
        self.0.removals.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Entry {
    fn new(record: Arc<Container>) -> Self {
        let intent = record.intent;
        Self {
            last_exit: Mutex::new(record.state.exit().cloned()),
            created: record.created,
            record: Mutex::new(record),
            verb: Mutex::new(()),
            changed: watch::Sender::new(0),
            replaced: Condvar::new(),
            removals: AtomicUsize::new(0),
            intent: Mutex::new(intent),
            backoff: Mutex::default(),
            comes_back: AtomicBool::new(false),
            shares_network: AtomicBool::new(false),
            gone: AtomicBool::new(false),
        }
    }

    /// The record as it is now.
    #[must_use]
    pub fn record(&self) -> Arc<Container> {
        Arc::clone(&lock(&self.record))
    }

    /// How it ended last.
    pub(crate) fn last_exit(&self) -> Option<Exit> {
        lock(&self.last_exit).clone()
    }

    /// What users asked for since the last start.
    pub(crate) fn intent(&self) -> Intent {
        *lock(&self.intent)
    }

    /// Notes what a user asked for; it is on disk with the next change of the record.
    pub(crate) fn intend(&self, intent: Intent) {
        *lock(&self.intent) = intent;
    }

    /// Changes how long its restart policy waits.
    pub(crate) fn back_off(&self, change: impl FnOnce(Backoff) -> Backoff) -> Backoff {
        let mut backoff = lock(&self.backoff);
        *backoff = change(*backoff);
        *backoff
    }

    /// Says whether who ends it will start it again.
    pub(crate) fn comes_back(&self, comes_back: bool) {
        self.comes_back.store(comes_back, Ordering::SeqCst);
    }

    /// Whether who ended it will start it again.
    pub(crate) fn will_come_back(&self) -> bool {
        self.comes_back.load(Ordering::SeqCst)
    }

    /// Says that another container goes into its network: that one may stay there longer than it.
    pub(crate) fn share_network(&self) {
        self.shares_network.store(true, Ordering::SeqCst);
    }

    /// Whether others may be in its network.
    pub(crate) fn shares_network(&self) -> bool {
        self.shares_network.load(Ordering::SeqCst)
    }

    /// Says that it will be removed by force, to those who get their turn before that is done.
    pub(crate) fn begin_removal(&self) -> ForcedRemoval<'_> {
        self.removals.fetch_add(1, Ordering::SeqCst);
        ForcedRemoval(self)
    }

    /// Whether a forced removal is under way.
    pub(crate) fn is_being_removed(&self) -> bool {
        self.removals.load(Ordering::SeqCst) > 0
    }

    /// The record once a start that is on its way is over: to stop what is being started means to stop
    /// what will run.
    pub(crate) fn settled(&self) -> Arc<Container> {
        let record = self.record();
        if record.state.running().is_some() {
            return record;
        }
        drop(self.turn());
        self.record()
    }

    /// Waits for its turn to change the container.
    pub(crate) fn turn(&self) -> MutexGuard<'_, ()> {
        lock(&self.verb)
    }

    /// Tells of each change of the state.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Changes the record: on disk first, then in memory, then those who wait are woken.
    /// The caller has the turn.
    ///
    /// # Errors
    /// `No such container: …` when it was removed while the caller waited for the turn: its record
    /// must not come back.
    pub(crate) fn change(&self, ports: &Ports, edit: impl FnOnce(&mut Container)) -> Result<Arc<Container>> {
        let mut changed = (*self.record()).clone();
        if self.gone.load(Ordering::SeqCst) {
            return Err(no_such(changed.id.as_str()));
        }
        edit(&mut changed);
        let durability = durability(&changed);
        self.put(ports, changed, durability)
    }

    fn put(&self, ports: &Ports, mut changed: Container, durability: Durability) -> Result<Arc<Container>> {
        changed.intent = self.intent();
        ports.records.put_container(&changed, durability)?;
        Ok(self.replace(changed))
    }

    /// The same without the disk, for what the next engine finds out by itself.
    pub(crate) fn replace(&self, record: Container) -> Arc<Container> {
        let record = Arc::new(record);
        if let Some(exit) = record.state.exit() {
            *lock(&self.last_exit) = Some(exit.clone());
        }
        *lock(&self.record) = Arc::clone(&record);
        self.changed.send_modify(|count| *count += 1);
        self.replaced.notify_all();
        record
    }

    /// Waits on this thread until the record changes, or for a tenth of a second.
    pub(crate) fn wait_briefly(&self) {
        let record = lock(&self.record);
        if record.state.running().is_some() {
            let _ = self.replaced.wait_timeout(record, std::time::Duration::from_millis(100));
        }
    }

    /// Sets the state in memory and on disk, whence a power cut may take it for a second: no container
    /// runs after one, and the next engine asks the kernel.
    pub(crate) fn set_state(&self, ports: &Ports, state: State) -> Result<Arc<Container>> {
        self.advance(ports, |record| record.state = state)
    }

    /// The same for what changes together with the state.
    pub(crate) fn advance(&self, ports: &Ports, edit: impl FnOnce(&mut Container)) -> Result<Arc<Container>> {
        let mut changed = (*self.record()).clone();
        edit(&mut changed);
        if changed.host_config.auto_remove && matches!(changed.state, State::Exited(_) | State::Removing) {
            // Its end and its removal are one change, the last: an engine that finds it on record before that
            // removes it, whatever its state.
            changed.intent = self.intent();
            return Ok(self.replace(changed));
        }
        let durability = match durability(&changed) {
            Durability::Committed => Durability::Soon,
            less => less,
        };
        self.put(ports, changed, durability)
    }
}

/// A container that is removed when it ends owes nothing to a power cut.
pub(crate) fn durability(container: &Container) -> Durability {
    if container.host_config.auto_remove { Durability::Relaxed } else { Durability::Committed }
}

/// All containers, by id and by name.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    by_id: BTreeMap<ContainerId, Arc<Entry>>,
    by_name: HashMap<ContainerName, ContainerId>,
}

impl Registry {
    /// Takes a name for a container that is being created.
    pub(crate) fn reserve(&self, name: &ContainerName, id: &ContainerId) -> Result<()> {
        let mut inner = write(&self.inner);
        if let Some(owner) = inner.by_name.get(name) {
            return Err(name_conflict(name, owner));
        }
        inner.by_name.insert(name.clone(), id.clone());
        Ok(())
    }

    /// Gives a name back.
    pub(crate) fn release(&self, name: &ContainerName) {
        write(&self.inner).by_name.remove(name);
    }

    /// Adds a container whose name was taken before.
    pub(crate) fn add(&self, record: Arc<Container>) -> Arc<Entry> {
        let (id, name) = (record.id.clone(), record.name.clone());
        let entry = Arc::new(Entry::new(record));
        let mut inner = write(&self.inner);
        inner.by_name.insert(name, id.clone());
        inner.by_id.insert(id, Arc::clone(&entry));
        entry
    }

    /// Forgets a container and its name; those who wait for that are woken. The caller has its turn, so that it
    /// is not being renamed.
    pub(crate) fn forget(&self, id: &ContainerId) {
        let removed = {
            let mut inner = write(&self.inner);
            let removed = inner.by_id.remove(id);
            let name = removed.as_ref().map(|entry| entry.record().name.clone());
            if let Some(name) = name.filter(|name| inner.by_name.get(name) == Some(id)) {
                inner.by_name.remove(&name);
            }
            removed
        };
        if let Some(entry) = removed {
            entry.gone.store(true, Ordering::SeqCst);
            entry.changed.send_modify(|count| *count += 1);
        }
    }

    /// Whether a container is still known.
    pub(crate) fn has(&self, id: &ContainerId) -> bool {
        read(&self.inner).by_id.contains_key(id)
    }

    /// All containers, the newest first.
    pub(crate) fn all(&self) -> Vec<Arc<Entry>> {
        let mut all: Vec<Arc<Entry>> = read(&self.inner).by_id.values().cloned().collect();
        all.sort_by_key(|entry| std::cmp::Reverse(entry.created));
        all
    }

    /// The container that a client means: by id, by name, or by the beginning of its id.
    pub(crate) fn find(&self, text: &str) -> Result<Arc<Entry>> {
        if text.is_empty() {
            return Err(Error::invalid("invalid name or ID supplied: \"\""));
        }
        let inner = read(&self.inner);
        if let Some(entry) = text.parse().ok().and_then(|id: ContainerId| inner.by_id.get(&id)) {
            return Ok(Arc::clone(entry));
        }
        let named = text.parse().ok().and_then(|name: ContainerName| inner.by_name.get(&name));
        if let Some(entry) = named.and_then(|id| inner.by_id.get(id)) {
            return Ok(Arc::clone(entry));
        }
        if let Some(entry) = linked(&inner, text) {
            return Ok(entry);
        }
        let from = (Bound::Included(text), Bound::Unbounded);
        let mut matching =
            inner.by_id.range::<str, _>(from).take_while(|(id, _)| id.as_str().starts_with(text));
        match (matching.next(), matching.next()) {
            (Some((_, entry)), None) => Ok(Arc::clone(entry)),
            (Some(_), Some(_)) => {
                Err(Error::invalid(format!("Multiple IDs found with provided prefix: {}", shorten(text))))
            }
            _ => Err(no_such(text)),
        }
    }
}

/// The container that `NAME/ALIAS` means: what that of the name is linked to under the alias.
fn linked(inner: &Inner, text: &str) -> Option<Arc<Entry>> {
    let (parent, alias) = text.strip_prefix('/').unwrap_or(text).split_once('/')?;
    let parent = inner.by_name.get(&parent.parse::<ContainerName>().ok()?)?;
    let parent = inner.by_id.get(parent)?.record();
    let (id, _) = parent.host_config.old_links().find(|(_, known)| *known == alias)?;
    inner.by_id.get(id).cloned()
}

fn no_such(text: &str) -> Error {
    Error::not_found(format!("No such container: {}", shorten(text)))
}

fn name_conflict(name: &ContainerName, owner: &ContainerId) -> Error {
    Error::conflict(format!(
        "Conflict. The container name \"/{name}\" is already in use by container \"{owner}\". You have to remove (or rename) that container to be able to reuse that name."
    ))
}

/// What an error repeats of a client's words is bounded.
pub(crate) fn shorten(text: &str) -> String {
    text.chars().take(256).collect()
}

/// A verb that panicked has left what it guarded as it was: records are replaced whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
