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
        let entry = self.container(text)?;
        let record = entry.record();
        record.state.must_run().map_err(|refusal| match refusal {
            Refusal::NotRunning => Error::conflict(format!("container {} is not running", record.id)),
            other => refused(&record)(other),
        })?;
        let arguments = if arguments.is_empty() { "-ef" } else { arguments };
        let words: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
        let table = self.ports.host.processes(&words)?;
        let wanted: BTreeSet<i32> = self.ports.runtime.processes(&record.id)?.into_iter().collect();
        let processes = select(&table, &wanted)?;
        self.tell_container(&record, "top", &[]);
        Ok(processes)
    }
}

/// The rows of a table of `ps` whose PID is wanted; the last column may have spaces.
fn select(table: &str, wanted: &BTreeSet<i32>) -> Result<Processes> {
    let mut lines = table.lines();
    let titles: Vec<String> =
        lines.next().unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    let column = titles.iter().position(|title| title == "PID");
    let column = column.ok_or_else(|| Error::internal("Couldn't find PID field in ps output"))?;
    let row = |line: &str| -> Vec<String> {
        let mut fields = Vec::new();
        let mut rest = line.trim_start();
        while fields.len() + 1 < titles.len() && !rest.is_empty() {
            let (field, behind) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            fields.push(field.to_owned());
            rest = behind.trim_start();
        }
        fields.push(rest.trim_end().to_owned());
        fields
    };
    let is_wanted = |row: &Vec<String>| {
        row.get(column).and_then(|pid| pid.parse().ok()).is_some_and(|pid| wanted.contains(&pid))
    };
    Ok(Processes { rows: lines.map(row).filter(is_wanted).collect(), titles })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_chosen_by_process_id_and_commands_keep_their_spaces() {
        let table = "UID   PID  PPID CMD\nroot    1     0 /sbin/init a b\nweb    77     1 sh -c 'sleep  1'\n";
        let seen = select(table, &BTreeSet::from([77])).unwrap();
        assert_eq!(seen.titles, ["UID", "PID", "PPID", "CMD"]);
        assert_eq!(seen.rows, [["web", "77", "1", "sh -c 'sleep  1'"]]);
        assert!(select("USER CMD\n", &BTreeSet::new()).is_err());
    }
}
