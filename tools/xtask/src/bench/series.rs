//! One case: contenders in turn, round by round.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;

use super::cases::Case;
use super::cgroup::Group;

/// One way to do a case's work.
pub(crate) struct Contender<'a> {
    /// `dhow`, `docker`, …
    pub(crate) name: &'static str,
    /// Where its processor time is counted.
    pub(crate) group: &'a Group,
    /// What is done before each time, and not measured.
    pub(crate) prepare: Option<Box<dyn FnMut() -> Result<()> + 'a>>,
    /// The work, done once.
    pub(crate) work: Box<dyn FnMut() -> Result<()> + 'a>,
}

impl Contender<'_> {
    fn get_ready(&mut self) -> Result<()> {
        self.prepare.as_mut().map_or(Ok(()), |prepare| prepare())
    }
}

/// What a case measured.
#[derive(Serialize)]
pub(crate) struct Table {
    /// The case.
    pub(crate) name: &'static str,
    /// How often each contender did the work.
    pub(crate) rounds: usize,
    /// The contenders; Dhow first.
    pub(crate) rows: Vec<Row>,
}

/// One contender's figures, in microseconds.
#[derive(Serialize)]
pub(crate) struct Row {
    /// Which.
    pub(crate) name: &'static str,
    /// Least.
    pub(crate) least: f64,
    /// Median.
    pub(crate) median: f64,
    /// Nine in ten are below.
    pub(crate) ninth_decile: f64,
    /// Processor time for each time of doing the work.
    pub(crate) processor: f64,
}

/// Runs a case; a first round that is not counted warms caches, and leaves out peers that cannot do it here.
pub(crate) fn run(case: &Case, contenders: Vec<Contender<'_>>, rounds: usize) -> Result<Table> {
    let rounds = rounds.min(case.most_rounds);
    let mut contenders = able(case, contenders)?;
    let mut times = vec![Vec::new(); contenders.len()];
    let mut processor = vec![Duration::ZERO; contenders.len()];
    for _ in 0..rounds {
        for (index, contender) in contenders.iter_mut().enumerate() {
            contender.group.enter()?;
            contender.get_ready()?;
            let before = contender.group.processor_time()?;
            let start = Instant::now();
            (contender.work)().with_context(|| format!("{} on {}", case.name, contender.name))?;
            let took = start.elapsed();
            times[index].push(took);
            processor[index] += contender.group.processor_time()?.saturating_sub(before);
        }
    }
    let rows = contenders.iter().zip(times).zip(processor).map(|((c, times), cpu)| row(c.name, times, cpu));
    Ok(Table { name: case.name, rounds, rows: rows.collect() })
}

/// Those who can do the work; that Dhow cannot is an error.
fn able<'a>(case: &Case, contenders: Vec<Contender<'a>>) -> Result<Vec<Contender<'a>>> {
    let mut able = Vec::new();
    for mut contender in contenders {
        contender.group.enter()?;
        match contender.get_ready().and_then(|()| (contender.work)()) {
            Ok(()) => able.push(contender),
            Err(error) if contender.name == "dhow" => return Err(error.context(case.name)),
            Err(error) => println!("\nleft out: {} cannot do {:?} here: {error}", contender.name, case.name),
        }
    }
    Ok(able)
}

/// The figures of a contender; the processor time is that of all the times together.
pub(crate) fn row(name: &'static str, mut times: Vec<Duration>, processor: Duration) -> Row {
    times.sort();
    let at = |index: usize| times.get(index.min(times.len().saturating_sub(1))).map_or(0.0, |t| micros(*t));
    let rounds = u32::try_from(times.len().max(1)).unwrap_or(u32::MAX);
    Row {
        name,
        least: at(0),
        median: at(times.len() / 2),
        ninth_decile: at(times.len() * 9 / 10),
        processor: micros(processor / rounds),
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
