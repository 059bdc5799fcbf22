//! Hundreds of containers on one bridge: whether a start takes longer the more there are.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::cases::{Client, clients, quiet};
use super::peers::Arena;
use super::series::{self, Row, Table};

/// So many are started one after the other, and so many of the first are compared with so many of the last.
const OURS: (usize, usize) = (500, 50);
/// A peer that takes twenty times as long is asked for fewer.
const PEERS: (usize, usize) = (100, 20);

/// What a table of this is found by.
pub(crate) const NAME: &str = "run -d on a bridge beside 450 others (peers: beside 80)";

/// Starts them all on the default network of each engine; prints how the first compare with the last, and answers
/// what the last took.
pub(crate) fn measure(arena: &Arena) -> Result<Table> {
    println!("\nrun -d on one bridge, as containers become more (median, ms)");
    println!("  {:<10} {:>12} {:>12} {:>8}", "", "the first", "the last", "×");
    let mut rows = Vec::new();
    for client in clients(arena)?.into_iter().filter(|client| client.name != "podman") {
        let (count, compared) = if client.name == "dhow" { OURS } else { PEERS };
        let starts = start(&client, count);
        remove(&client, count);
        let starts = starts?;
        let [first, last] =
            [&starts[..compared], &starts[count - compared..]].map(|starts| row(&client, starts));
        let label = format!("{} ({count})", client.name);
        let [one, other] = [&first, &last].map(|row| row.median / 1e3);
        println!("  {label:<10} {one:>12.2} {other:>12.2} {:>8.2}", other / one);
        rows.push(last);
    }
    Ok(Table { name: NAME, rounds: OURS.1, rows })
}

fn row(client: &Client<'_>, starts: &[(Duration, Duration)]) -> Row {
    let (times, processor): (Vec<Duration>, Vec<Duration>) = starts.iter().copied().unzip();
    series::row(client.name, times, processor.iter().sum())
}

/// What each took, with its processor time.
fn start(client: &Client<'_>, count: usize) -> Result<Vec<(Duration, Duration)>> {
    client.group.enter()?;
    let one = |number: usize| {
        let name = format!("growth-{number}");
        let before = client.group.processor_time()?;
        let start = Instant::now();
        quiet(&mut (client.command)(&["run", "-d", "--name", &name, "busybox", "sleep", "100000"]))?;
        Ok((start.elapsed(), client.group.processor_time()?.saturating_sub(before)))
    };
    (0..count).map(one).collect()
}

/// Also those that were started before one failed; that others are not there is no error here.
fn remove(client: &Client<'_>, count: usize) {
    let names: Vec<String> = (0..count).map(|number| format!("growth-{number}")).collect();
    for some in names.chunks(50) {
        let words: Vec<&str> = ["rm", "-f"].into_iter().chain(some.iter().map(String::as_str)).collect();
        drop(quiet(&mut (client.command)(&words)));
    }
}
