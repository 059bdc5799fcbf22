//! Templates are run as docker's command line runs them: every function and verb, variables, branches, loops,
//! definitions and trimmed blanks, right and wrong ones, a line each in `templates.txt`.
//!
//! Not compared: what Go prints with addresses, docker's methods of rows that are for itself (`.FullHeader`), numbers
//! that are imaginary or hexadecimal with an exponent, and the order of keys within `{{json .}}` of a whole document.

use anyhow::Result;
use dhow_conformance::{difference, docker, engine};

const TEMPLATES: &str = include_str!("../templates.txt");

/// A listing, and documents that are read by their types and as they are.
const PLACES: &[&[&str]] = &[&["ps", "-a", "--no-trunc", "--format"], &["inspect", "made", "-f"]];

#[test]
fn templates_show_what_they_show_with_docker() -> Result<()> {
    if docker().is_none() {
        return Ok(());
    }
    let engine = engine()?;
    engine.docker(&["create", "--name", "made", "--network", "none", "--label", "a=b", "busybox"]).check()?;
    let tried = PLACES.iter().flat_map(|place| TEMPLATES.lines().map(move |template| (*place, template)));
    let differences: Vec<String> =
        tried.filter_map(|(place, template)| difference(&engine, &[place, &[template]].concat())).collect();
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.concat());
    Ok(())
}
