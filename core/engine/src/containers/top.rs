//! `top`: the processes of a container, as `ps` of the host shows them.

use std::collections::BTreeSet;

use dhow_model::container::Refusal;
use dhow_model::{Error, Result};

use super::refused;
use crate::Engine;

/// A table of processes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Processes {
    /// Names of the columns.
    pub titles: Vec<String>,
    /// A row a process.
    pub rows: Vec<Vec<String>>,
}

impl Engine {
    /// Lists the processes of a container.
    ///
    /// # Errors
    /// Conflict when it does not run; what `ps` says of wrong arguments.
    pub fn container_processes(&self, text: &str, arguments: &str) -> Result<Processes> {
        check(arguments)?;
        let entry = self.container(text)?;
        let record = entry.record();
        record.state.must_run().map_err(|refusal| match refusal {
            Refusal::NotRunning => Error::conflict(format!("container {} is not running", record.id)),
            other => refused(&record)(other),
        })?;
        let arguments = if arguments.is_empty() { "-ef" } else { arguments };
        let words: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
        let wanted: BTreeSet<i32> = self.ports.runtime.processes(&record.id)?.into_iter().collect();
        let processes = select(&self.table(words, &wanted)?, &wanted)?;
        self.tell_container(&record, "top", &[]);
        Ok(processes)
    }

    /// What `ps` prints of these processes; of all, where its arguments do not let us choose (`f`).
    fn table(&self, words: Vec<String>, wanted: &BTreeSet<i32>) -> Result<String> {
        let list: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        let chosen = [words.clone(), vec![format!("-q{}", list.join(","))]].concat();
        self.ports.host.processes(&chosen).or_else(|_| self.ports.host.processes(&words))
    }
}

/// Refuses a column that is called `PID` without being it: rows are chosen by that name.
fn check(arguments: &str) -> Result<()> {
    let mut words = arguments.split_ascii_whitespace().peekable();
    // What follows no space is an option, not the name of a column.
    if !arguments.starts_with(|c: char| c.is_ascii_whitespace()) {
        words.next();
    }
    while let Some(word) = words.next() {
        let Some((column, title)) = word.rsplit_once('=') else { continue };
        let title = if title.is_empty() { words.peek().copied().unwrap_or_default() } else { title };
        if title.starts_with("PID") && column != "pid" {
            return Err(Error::internal(format!("specifying \"{column}={title}\" is not allowed")));
        }
    }
    Ok(())
}

/// The rows of a table of `ps` whose PID is wanted, and of their threads; the last column may have spaces.
fn select(table: &str, wanted: &BTreeSet<i32>) -> Result<Processes> {
    let mut lines = table.lines();
    let titles: Vec<String> =
        lines.next().unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect();
    let column = titles.iter().position(|title| title == "PID");
    let column = column.ok_or_else(|| Error::internal("Couldn't find PID field in ps output"))?;
    let mut rows = Vec::new();
    let mut is_wanted = false;
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let row = row(line, titles.len());
        // A thread has a dash for its process, which stands above it.
        match row.get(column).map(String::as_str).unwrap_or_default() {
            "-" => {}
            number => {
                let number: i32 =
                    number.parse().map_err(|_| Error::internal(format!("Unexpected pid '{number}'")))?;
                is_wanted = wanted.contains(&number);
            }
        }
        rows.extend(is_wanted.then_some(row));
    }
    Ok(Processes { titles, rows })
}

/// The cells of a line; the last one takes all that is left, its words one space apart.
fn row(line: &str, columns: usize) -> Vec<String> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let (cells, rest) = words.split_at(words.len().min(columns.saturating_sub(1)));
    cells.iter().map(|cell| (*cell).to_owned()).chain([rest.join(" ")]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_chosen_by_process_id_and_commands_have_spaces() {
        let table = "UID   PID  PPID CMD\nroot    1     0 /sbin/init a b\nweb    77     1 sh -c 'sleep  1'\n";
        let seen = select(table, &BTreeSet::from([77])).unwrap();
        assert_eq!(seen.titles, ["UID", "PID", "PPID", "CMD"]);
        assert_eq!(seen.rows, [["web", "77", "1", "sh -c 'sleep 1'"]]);
        assert!(select("USER CMD\n", &BTreeSet::new()).is_err());
        assert!(select("PID CMD\nx y\n", &BTreeSet::new()).is_err());
    }

    #[test]
    fn threads_are_shown_below_their_process() {
        let table = "PID TTY CMD\n7 ? server\n- ? -\n8 ? other\n- ? -\n";
        let seen = select(table, &BTreeSet::from([7])).unwrap();
        assert_eq!(seen.rows, [["7", "?", "server"], ["-", "?", "-"]]);
    }

    #[test]
    fn no_column_may_take_the_name_of_another() {
        for (arguments, fine) in [
            ("-ef", true),
            ("-o pid=PID", true),
            ("-o pid,cmd=PID", false),
            ("-o cmd= PID", false),
            ("-o ppid=PIDs", false),
        ] {
            assert_eq!(check(arguments).is_ok(), fine, "{arguments}");
        }
        assert_eq!(check("-o cmd=PID").unwrap_err().to_string(), "specifying \"cmd=PID\" is not allowed");
    }
}
