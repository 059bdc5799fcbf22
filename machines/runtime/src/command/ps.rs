//! `ps`: the processes of a container.

use std::process::Command;

use dhow_model::{Error, Result};

use super::arguments::{Flag, Parsed, Syntax, option};
use super::container::Container;
use super::{Context, Verb};

pub(super) const VERB: Verb = Verb {
    name: "ps",
    arguments: "[--format table|json] ID [ps's]",
    about: "lists the processes of a container",
    syntax: Syntax { flags: &[Flag { short: Some('f'), ..option("format") }], first_word_ends: true },
    run,
    failure: 1,
    makes_process: false,
};

fn run(context: &Context, parsed: &Parsed) -> Result<u8> {
    let Some((id, options)) = parsed.rest.split_first() else {
        return Err(Error::invalid("ps needs a container id"));
    };
    let container = Container::load(&context.root, id)?;
    let processes: Vec<i32> =
        container.cgroup()?.processes()?.into_iter().map(|pid| pid.as_raw_nonzero().get()).collect();
    match parsed.value("format").unwrap_or("table") {
        "json" => println!("{}", serde_json::json!(processes)),
        "table" => print_table(&processes, options)?,
        other => return Err(Error::invalid(format!("invalid format option {other:?}"))),
    }
    Ok(0)
}

/// The lines of the host's ps(1) that are about these processes.
fn print_table(processes: &[i32], options: &[String]) -> Result<()> {
    let default = [String::from("-ef")];
    let options = if options.is_empty() { &default } else { options };
    let output = Command::new("ps")
        .args(options)
        .output()
        .map_err(|error| Error::internal("cannot run ps").because(error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default();
    let column = header.split_whitespace().position(|title| title == "PID");
    let column = column.ok_or_else(|| Error::invalid("the output of ps has no column PID"))?;
    println!("{header}");
    for line in lines {
        let pid = line.split_whitespace().nth(column).and_then(|text| text.parse::<i32>().ok());
        if pid.is_some_and(|pid| processes.contains(&pid)) {
            println!("{line}");
        }
    }
    Ok(())
}
