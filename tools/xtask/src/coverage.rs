//! Which operations and parameters of the Engine API have a test that asks for them.
//!
//! `tests/conformance/operations.txt` lists all that Docker has. Engines of tests tell what they are asked
//! ([`dhow_testkit::coverage`]). Both joined are `docs/coverage.md`: `cargo xtask coverage` writes it, and
//! `cargo xtask test` fails when an operation has no row in it, or a row names a test that does not ask.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use dhow_testkit::coverage::{self, Asked};

use crate::shell;

const OPERATIONS: &str = "tests/conformance/operations.txt";
const TABLE: &str = "docs/coverage.md";
/// Tests that are named of one row.
const NAMED: usize = 2;

/// An operation of the list.
#[derive(Debug, Clone)]
struct Operation {
    section: String,
    /// `later` or `none`: why it needs no test, or only one of its answer.
    note: String,
    method: String,
    path: String,
    parameters: Vec<String>,
    /// Those of them that are not served yet.
    later: Vec<String>,
}

/// A row: an operation, and one of its parameters or none.
type Row = (String, String);
/// The tests that ask for each.
type Tests = BTreeMap<Row, BTreeSet<String>>;

/// Where the tests of this run leave what they asked: a new directory, set for all that is run from here.
pub(crate) fn record() -> Result<PathBuf> {
    let directory = std::env::current_dir()?.join("target/coverage");
    if directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    fs::create_dir_all(&directory)?;
    Ok(directory)
}

/// Runs the tests that use whole engines, and writes the table.
pub(crate) fn write(again: bool) -> Result<()> {
    let directory = std::env::current_dir()?.join("target/coverage");
    if again {
        let directory = record()?;
        shell::run("cargo build --package dhow --locked")?;
        let line = "cargo test --package dhow-journeys --package dhow-conformance --locked --no-fail-fast";
        shell::run_with(line, coverage::VARIABLE, &directory)?;
    }
    let operations = operations()?;
    fs::write(TABLE, table(&operations, &tests(&operations, &coverage::kept(&directory)?)))?;
    Ok(())
}

/// Fails when the table lacks an operation, or tells what the tests of this run did not do.
pub(crate) fn check(directory: &std::path::Path) -> Result<()> {
    let operations = operations()?;
    let tests = tests(&operations, &coverage::kept(directory)?);
    let wrong = differences(&operations, &tests, &fs::read_to_string(TABLE)?);
    if !wrong.is_empty() {
        bail!("{TABLE} (cargo xtask coverage writes it):\n  {}", wrong.join("\n  "));
    }
    Ok(())
}

fn operations() -> Result<Vec<Operation>> {
    let text = fs::read_to_string(OPERATIONS).context(OPERATIONS)?;
    let mut section = String::new();
    let mut all = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        if let Some(heading) = line.strip_prefix("## ") {
            heading.clone_into(&mut section);
        } else if !line.starts_with('#') {
            all.push(operation(line, &section).with_context(|| format!("{OPERATIONS}: {line}"))?);
        }
    }
    Ok(all)
}

fn operation(line: &str, section: &str) -> Option<Operation> {
    let mut words = line.split_whitespace().peekable();
    let note = words.next_if(|word| matches!(*word, "later" | "none")).unwrap_or_default();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let words: Vec<&str> = words.collect();
    let later = words.iter().filter_map(|word| word.strip_prefix('~')).map(str::to_owned).collect();
    Some(Operation {
        section: section.to_owned(),
        note: note.to_owned(),
        method,
        path,
        parameters: words.iter().map(|word| word.trim_start_matches('~').to_owned()).collect(),
        later,
    })
}

impl Operation {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn rows(&self) -> Vec<Row> {
        let parameters = self.parameters.iter().map(|parameter| (self.name(), parameter.clone()));
        [(self.name(), String::new())].into_iter().chain(parameters).collect()
    }

    /// How many words of a path are as they are here, when all fit. The name of an image may have slashes.
    fn fits(&self, asked: &Asked) -> Option<usize> {
        if self.method != asked.method {
            return None;
        }
        let pattern: Vec<&str> = self.path.split('/').collect();
        let path: Vec<&str> = asked.path.split('/').collect();
        let more = path.len().checked_sub(pattern.len())?;
        let hole = pattern.iter().position(|part| part.starts_with('{'));
        let many = self.path.starts_with("/images/") && hole.is_some();
        if more > 0 && !many {
            return None;
        }
        let mut at = 0;
        for part in &pattern {
            if part.starts_with('{') {
                at += if many { more + 1 } else { 1 };
            } else if path[at] == *part {
                at += 1;
            } else {
                return None;
            }
        }
        Some(pattern.iter().filter(|part| !part.starts_with('{')).count())
    }

    /// Whether the answer shows that it is served: not a refusal, but where nothing else is to be had.
    fn is_shown_by(&self, asked: &Asked) -> bool {
        asked.status < 400 || self.note == "none"
    }
}

impl Operation {
    /// Why a row may have no test.
    fn why_none(&self, parameter: &str) -> &str {
        match self.note.as_str() {
            _ if self.later.iter().any(|later| later == parameter) => "later",
            "" => "no test",
            note => note,
        }
    }
}

fn tests(operations: &[Operation], asked: &[Asked]) -> Tests {
    let mut tests = Tests::new();
    for each in asked {
        let fitting = operations.iter().filter_map(|one| Some((one.fits(each)?, one)));
        let Some((_, operation)) = fitting.max_by_key(|(words, _)| *words) else { continue };
        if !operation.is_shown_by(each) {
            continue;
        }
        for (name, parameter) in operation.rows() {
            if parameter.is_empty() || each.query.contains(&parameter) {
                tests.entry((name, parameter)).or_default().insert(each.test.clone());
            }
        }
    }
    tests
}

fn table(operations: &[Operation], tests: &Tests) -> String {
    let mut text = String::from(
        "# What tests ask of the Engine API\n\nWritten by `cargo xtask coverage`, of what the engines of tests were \
         asked and how they answered; `cargo xtask\ntest` compares. The number is how many tests get an answer that is no \
         refusal; at most two are named. *later*: not\nserved yet. *none*: an engine that is in no swarm and has no \
         plug-ins answers that.\n",
    );
    let mut rows_of: BTreeMap<&str, usize> = BTreeMap::new();
    for test in tests.values().flatten() {
        *rows_of.entry(test).or_default() += 1;
    }
    let mut section = "";
    for operation in operations {
        if operation.section != section {
            section = &operation.section;
            write!(text, "\n## {section}\n\n| operation | parameter | tests | |\n|---|---|---|---|\n").ok();
        }
        for row in operation.rows() {
            let found = tests.get(&row);
            // A test of few things is about each of them.
            let mut named: Vec<&str> = found.into_iter().flatten().map(String::as_str).collect();
            named.sort_by_key(|test| rows_of.get(test));
            named.truncate(NAMED);
            let named =
                if named.is_empty() { format!("*{}*", operation.why_none(&row.1)) } else { named.join(", ") };
            let count = found.map_or(0, BTreeSet::len);
            writeln!(text, "| {} | {} | {count} | {named} |", row.0, row.1).ok();
        }
    }
    text
}

fn differences(operations: &[Operation], tests: &Tests, table: &str) -> Vec<String> {
    let told: BTreeMap<Row, String> = table.lines().filter_map(row).collect();
    let mut wrong = Vec::new();
    for operation in operations {
        for row in operation.rows() {
            let name = format!("{} {}", row.0, row.1);
            let found = tests.get(&row);
            if found.is_none() && operation.why_none(&row.1) != "later" {
                wrong.push(format!("{name}: no test asks for it"));
            }
            match told.get(&row) {
                None => wrong.push(format!("{name}: it has no row")),
                // One of them is enough: the other may have been left out where this machine lacks something.
                Some(named) if !named.starts_with('*') => {
                    let asks = |test: &str| found.is_some_and(|found| found.contains(test));
                    if found.is_some() && !named.split(", ").any(asks) {
                        wrong.push(format!("{name}: {named} does not ask for it"));
                    }
                }
                Some(_) => {}
            }
        }
    }
    wrong
}

fn row(line: &str) -> Option<(Row, String)> {
    let cells: Vec<&str> = line.strip_prefix("| ")?.strip_suffix(" |")?.split('|').map(str::trim).collect();
    let &[operation, parameter, _, tests] = cells.as_slice() else { return None };
    Some(((operation.to_owned(), parameter.to_owned()), tests.to_owned()))
}

#[cfg(test)]
mod tests_of_the_table {
    use super::*;

    fn asked(method: &str, path: &str, query: &[&str], status: u16) -> Asked {
        let query = query.iter().map(|key| (*key).to_owned()).collect();
        Asked { test: "suite::it_works".into(), method: method.into(), path: path.into(), query, status }
    }

    fn known() -> Vec<Operation> {
        ["GET /images/json all", "GET /images/{name}/json", "DELETE /images/{name} force", "none GET /swarm"]
            .iter()
            .map(|line| operation(line, "Image").unwrap())
            .collect()
    }

    #[test]
    fn a_request_counts_for_the_operation_that_it_means() {
        let requests = [
            asked("GET", "/images/json", &["all"], 200),
            asked("GET", "/images/registry/team/app/json", &[], 200),
            asked("DELETE", "/images/a/b", &["force"], 409),
            asked("GET", "/swarm", &[], 503),
        ];
        let rows: Vec<Row> = tests(&known(), &requests).into_keys().collect();
        let row = |name: &str, parameter: &str| (name.to_owned(), parameter.to_owned());
        assert_eq!(
            rows,
            [
                row("GET /images/json", ""),
                row("GET /images/json", "all"),
                row("GET /images/{name}/json", ""),
                row("GET /swarm", "")
            ]
        );
    }

    #[test]
    fn the_table_is_compared_with_what_was_asked() {
        let operations = known();
        let some = tests(&operations, &[asked("GET", "/images/json", &["all"], 200)]);
        let text = table(&operations, &some);
        assert_eq!(differences(&operations, &some, &text).len(), 4, "those without a test");
        let other = Asked { test: "suite::another".into(), ..asked("GET", "/images/json", &["all"], 200) };
        let others = tests(&operations, &[other]);
        assert!(differences(&operations, &others, &text).iter().any(|wrong| wrong.contains("does not ask")));
        assert!(differences(&operations, &some, "").iter().any(|wrong| wrong.contains("it has no row")));
    }
}
