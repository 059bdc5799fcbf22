//! What the commands share that do one thing to each of their arguments.

use std::sync::Mutex;
use std::thread;

use dhow_api::client::Client;

use crate::error::{self, Error, Result};
use crate::session::Session;

/// So many requests at a time, as docker's.
const AT_ONCE: usize = 50;

/// Does it to one after the other; prints the names of those that it worked for.
pub(crate) fn one_by_one(
    session: &Session,
    names: &[String],
    act: impl Fn(&Client, &str) -> Result<()>,
) -> Result<()> {
    let client = session.client()?;
    let mut failures = Vec::new();
    for name in names {
        match act(client, name) {
            Ok(()) => session.print_line(name)?,
            Err(error) => failures.push(error),
        }
    }
    error::join(failures)
}

/// Does it to all at once; the names are printed in order all the same.
pub(crate) fn all_at_once(
    session: &Session,
    names: &[String],
    act: impl Fn(&Client, &str) -> Result<()> + Sync,
) -> Result<()> {
    if let [_] = names {
        return one_by_one(session, names, act);
    }
    let client = session.client()?;
    let results = at_once(names, |name| act(client, name))?;
    let mut failures = Vec::new();
    for (name, result) in names.iter().zip(results) {
        match result {
            Ok(()) => session.print_line(name)?,
            Err(error) => failures.push(error),
        }
    }
    error::join(failures)
}

/// Calls a function for each name, many at a time; the results are in the order of the names.
pub(crate) fn at_once<T: Send>(
    names: &[String],
    act: impl Fn(&str) -> Result<T> + Sync,
) -> Result<Vec<Result<T>>> {
    let results: Vec<Mutex<Option<Result<T>>>> = names.iter().map(|_| Mutex::new(None)).collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = || {
        loop {
            let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let (Some(name), Some(place)) = (names.get(index), results.get(index)) else { return };
            let result = act(name);
            if let Ok(mut place) = place.lock() {
                *place = Some(result);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..names.len().min(AT_ONCE) {
            scope.spawn(work);
        }
    });
    let lost = || Error::said("a request was lost");
    results.into_iter().map(|place| place.into_inner().ok().flatten().ok_or_else(lost)).collect()
}

/// An empty name would make another request of it.
pub(crate) fn checked(name: &str) -> Result<&str> {
    if name.trim().is_empty() {
        return Err(Error::said("invalid container name or ID: value is empty"));
    }
    Ok(name)
}
