//! `dhow stats`: what running containers use, now and again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use dhow_api::client::{Client, Request};
use serde::Deserialize;
use serde_json::Value as Json;

use super::each::{at_once, checked};
use super::ps::Container;
use super::{Arity, Command};
use crate::error::{self, Result};
use crate::flags::{Parsed, STRING, SWITCH, flag};
use crate::format::{Listing, Row, names, units};
use crate::session::Session;

pub(crate) const COMMAND: Command = Command {
    paths: &["container stats", "stats"],
    usage: "[OPTIONS] [CONTAINER...]",
    about: "Show what containers use, as it changes",
    arity: Arity::AtLeast(0),
    arguments_end_flags: false,
    flags: &[&[
        flag("all", SWITCH, "Show stopped containers too").short('a'),
        flag("format", STRING, super::FORMAT_HELP),
        flag("no-stream", SWITCH, "Show it once"),
        flag("no-trunc", SWITCH, "Show ids in full"),
    ]],
    run,
};

const TABLE: &str = "table {{.ID}}\\t{{.Name}}\\t{{.CPUPerc}}\\t{{.MemUsage}}\\t{{.MemPerc}}\\t{{.NetIO}}\\t\
    {{.BlockIO}}\\t{{.PIDs}}";

/// The least time between two rounds; the engine itself takes a second to measure CPU time.
const PERIOD: Duration = Duration::from_millis(500);

fn run(session: &Session, parsed: &Parsed) -> Result<()> {
    let format = match parsed.text_or_empty("format") {
        "" => session.settings().stats_format.as_str(),
        format => format,
    };
    let listing = Listing::new(if matches!(format, "" | "table") { TABLE } else { format });
    loop {
        let begin = Instant::now();
        let rows = round(session, parsed)?;
        let text = listing.show(rows)?;
        if parsed.is_on("no-stream") {
            return session.print(&text);
        }
        session.print(&redrawn(&text))?;
        std::thread::sleep(PERIOD.saturating_sub(begin.elapsed()));
    }
}

/// A page over the page before: from the top, each line to its end, then nothing below.
fn redrawn(text: &str) -> String {
    let lines: String = text.lines().map(|line| format!("{line}\x1b[K\n")).collect();
    format!("\x1b[H{lines}\x1b[J")
}

fn round(session: &Session, parsed: &Parsed) -> Result<Vec<StatsRow>> {
    let client = session.client()?;
    let cut = !parsed.is_on("no-trunc");
    let named = !parsed.arguments.is_empty();
    let wanted = if named { parsed.arguments.clone() } else { running(client, parsed.is_on("all"))? };
    let measured = at_once(&wanted, |name| measure(client, name))?;
    let mut rows = Vec::new();
    let mut failures = Vec::new();
    for (name, measured) in wanted.into_iter().zip(measured) {
        match measured {
            Ok(stats) => rows.push(StatsRow { asked: name, stats, cut }),
            // A container that ended between the list and the measurement.
            Err(error) if !named && error.is_not_found() => {}
            Err(error) => failures.push(error),
        }
    }
    error::join(failures)?;
    Ok(rows)
}

fn running(client: &Client, all: bool) -> Result<Vec<String>> {
    let request = Request::get(&["containers", "json"]).query_flag("all", all);
    let containers: Vec<Container> = client.send(request)?.json()?;
    Ok(containers.iter().map(|container| names::short_id(&container.id).to_owned()).collect())
}

fn measure(client: &Client, name: &str) -> Result<Stats> {
    let request = Request::get(&["containers", checked(name)?, "stats"]).query("stream", "0");
    Ok(client.send(request)?.json()?)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Stats {
    id: String,
    name: String,
    cpu_stats: Cpu,
    precpu_stats: Cpu,
    memory_stats: Memory,
    #[serde(deserialize_with = "super::nullable")]
    blkio_stats: BlockIo,
    #[serde(deserialize_with = "super::nullable")]
    networks: BTreeMap<String, Network>,
    pids_stats: Pids,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Cpu {
    cpu_usage: CpuUsage,
    system_cpu_usage: u64,
    online_cpus: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CpuUsage {
    total_usage: u64,
    #[serde(deserialize_with = "super::nullable")]
    percpu_usage: Vec<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Memory {
    usage: u64,
    limit: u64,
    #[serde(deserialize_with = "super::nullable")]
    stats: BTreeMap<String, u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct BlockIo {
    #[serde(deserialize_with = "super::nullable")]
    io_service_bytes_recursive: Vec<BlockEntry>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct BlockEntry {
    op: String,
    value: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Network {
    rx_bytes: u64,
    tx_bytes: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pids {
    current: u64,
}

/// A count to be scaled; its last digits are not shown.
#[expect(clippy::cast_precision_loss, reason = "shown with four digits")]
fn float(count: u64) -> f64 {
    count as f64
}

impl Stats {
    /// The share of one CPU, in percent: two CPUs in full use are 200.
    fn cpu(&self) -> f64 {
        let (now, before) = (&self.cpu_stats, &self.precpu_stats);
        let used = float(now.cpu_usage.total_usage) - float(before.cpu_usage.total_usage);
        let passed = float(now.system_cpu_usage) - float(before.system_cpu_usage);
        let cpus = match now.online_cpus {
            0 => float(now.cpu_usage.percpu_usage.len() as u64),
            cpus => float(cpus),
        };
        if used > 0.0 && passed > 0.0 { used / passed * cpus * 100.0 } else { 0.0 }
    }

    /// Memory without the page cache that the kernel can take back: cgroup v1 and v2 name it
    /// differently.
    fn memory(&self) -> f64 {
        let Memory { usage, stats, .. } = &self.memory_stats;
        let inactive = stats.get("total_inactive_file").or_else(|| stats.get("inactive_file"));
        float(usage - inactive.filter(|inactive| *inactive < usage).unwrap_or(&0))
    }

    fn memory_share(&self) -> f64 {
        match self.memory_stats.limit {
            0 => 0.0,
            limit => self.memory() / float(limit) * 100.0,
        }
    }

    fn block(&self, letter: char) -> f64 {
        let entries = self.blkio_stats.io_service_bytes_recursive.iter();
        float(
            entries
                .filter(|entry| entry.op.to_lowercase().starts_with(letter))
                .map(|entry| entry.value)
                .sum(),
        )
    }
}

struct StatsRow {
    asked: String,
    stats: Stats,
    cut: bool,
}

impl Row for StatsRow {
    const TYPE: &'static str = "*container.statsContext";
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("BlockIO", "BLOCK I/O"),
        ("CPUPerc", "CPU %"),
        ("Container", "CONTAINER"),
        ("ID", "CONTAINER ID"),
        ("MemPerc", "MEM %"),
        ("MemUsage", "MEM USAGE / LIMIT"),
        ("Name", "NAME"),
        ("NetIO", "NET I/O"),
        ("PIDs", "PIDS"),
    ];

    fn field(&self, name: &str) -> Option<Json> {
        let stats = &self.stats;
        let pair =
            |a: f64, b: f64| format!("{} / {}", units::human_size_short(a), units::human_size_short(b));
        let network = |of: fn(&Network) -> u64| float(stats.networks.values().map(of).sum());
        let text = match name {
            "Container" => self.asked.clone(),
            "ID" if self.cut => names::short_id(&stats.id).to_owned(),
            "ID" => stats.id.clone(),
            "Name" if stats.name.len() > 1 => stats.name.trim_start_matches('/').to_owned(),
            "Name" => "--".to_owned(),
            "CPUPerc" => format!("{:.2}%", stats.cpu()),
            "MemUsage" => {
                let limit = units::binary_size(float(stats.memory_stats.limit));
                format!("{} / {limit}", units::binary_size(stats.memory()))
            }
            "MemPerc" => format!("{:.2}%", stats.memory_share()),
            "NetIO" => pair(network(|it| it.rx_bytes), network(|it| it.tx_bytes)),
            "BlockIO" => pair(stats.block('r'), stats.block('w')),
            "PIDs" => stats.pids_stats.current.to_string(),
            _ => return None,
        };
        Some(Json::String(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_worked_out_from_two_samples() {
        let stats: Stats = serde_json::from_value(serde_json::json!({
            "id": "0123456789abcdef", "name": "/c1",
            "cpu_stats": {"cpu_usage": {"total_usage": 300, "percpu_usage": null}, "system_cpu_usage": 2000, "online_cpus": 2},
            "precpu_stats": {"cpu_usage": {"total_usage": 100}, "system_cpu_usage": 1000},
            "memory_stats": {"usage": 3_145_728, "limit": 10_485_760, "stats": {"inactive_file": 1_048_576}},
            "blkio_stats": {"io_service_bytes_recursive": [{"op": "Read", "value": 1000}, {"op": "write", "value": 5}]},
            "networks": {"eth0": {"rx_bytes": 1500, "tx_bytes": 20}}, "pids_stats": {"current": 3},
        }))
        .unwrap();
        let row = StatsRow { asked: "c1".to_owned(), stats, cut: true };
        let line =
            "{{.ID}}|{{.Name}}|{{.CPUPerc}}|{{.MemUsage}}|{{.MemPerc}}|{{.NetIO}}|{{.BlockIO}}|{{.PIDs}}";
        let shown = Listing::new(line).show([row]).unwrap();
        assert_eq!(shown, "0123456789ab|c1|40.00%|2MiB / 10MiB|20.00%|1.5kB / 20B|1kB / 5B|3\n");
    }
}
