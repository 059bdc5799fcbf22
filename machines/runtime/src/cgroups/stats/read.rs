//! Reads the counters of both versions. What is not there is not counted, and no error.

use std::collections::BTreeMap;

use super::{BlkioEntry, CpuUsage, HugetlbStats, MemoryEntry, Pressure, PressureLine, Stats};
use crate::cgroups::files::{read_value, value_of};
use crate::cgroups::{Cgroup, Controller, Version};

impl Cgroup {
    /// What it uses now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        match self.version() {
            Version::V1 => self.read_v1(&mut stats),
            Version::V2 => self.read_v2(&mut stats),
        }
        stats.cpuset.cpus = self.number_list(["cpuset.cpus", "cpuset.cpus.effective"]);
        stats.cpuset.mems = self.number_list(["cpuset.mems", "cpuset.mems.effective"]);
        stats.pids.current = self.number(Controller::Pids, "pids.current");
        stats.pids.limit = self.number(Controller::Pids, "pids.max");
        if stats.pids.limit == u64::MAX {
            stats.pids.limit = 0;
        }
        self.read_hugetlb(&mut stats);
        stats
    }

    fn read_v1(&self, stats: &mut Stats) {
        stats.cpu.usage = self.cpu_usage_v1();
        let cpu = self.text(Controller::Cpu, "cpu.stat");
        let value = |key| value_of(&cpu, key).unwrap_or_default();
        stats.cpu.throttling.periods = value("nr_periods");
        stats.cpu.throttling.throttled_periods = value("nr_throttled");
        stats.cpu.throttling.throttled_time = value("throttled_time");

        stats.memory.raw = key_values(&self.text(Controller::Memory, "memory.stat"));
        stats.memory.cache = stats.memory.raw.get("cache").copied().unwrap_or_default();
        stats.memory.usage = self.memory_entry_v1("memory");
        stats.memory.swap = self.memory_entry_v1("memory.memsw");
        stats.memory.kernel = self.memory_entry_v1("memory.kmem");
        stats.memory.kernel_tcp = self.memory_entry_v1("memory.kmem.tcp");

        // The scheduler BFQ counts for itself; with others only the throttling layer does.
        for layer in ["bfq", "throttle"] {
            let counts = |what: &str| {
                let recursive = self.text(Controller::Blkio, &format!("blkio.{layer}.{what}_recursive"));
                blkio_entries(&recursive)
            };
            let (bytes, operations) = (counts("io_service_bytes"), counts("io_serviced"));
            if !bytes.is_empty() || !operations.is_empty() {
                stats.blkio.io_service_bytes_recursive = bytes;
                stats.blkio.io_serviced_recursive = operations;
                break;
            }
        }
    }

    fn cpu_usage_v1(&self) -> CpuUsage {
        let mut usage =
            CpuUsage { total: self.number(Controller::Cpuacct, "cpuacct.usage"), ..CpuUsage::default() };
        let numbers = |text: &str| text.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        usage.percpu = numbers(&self.text(Controller::Cpuacct, "cpuacct.usage_percpu"));
        // `cpu user system` and a line for each processor.
        for line in self.text(Controller::Cpuacct, "cpuacct.usage_all").lines().skip(1) {
            let fields: Vec<u64> = numbers(line);
            if let [_, user, kernel] = fields[..] {
                usage.percpu_user.push(user);
                usage.percpu_kernel.push(kernel);
            }
        }
        // Exact; `cpuacct.stat` counts in hundredths of a second only.
        usage.user = self.number(Controller::Cpuacct, "cpuacct.usage_user");
        usage.kernel = self.number(Controller::Cpuacct, "cpuacct.usage_sys");
        usage
    }

    fn memory_entry_v1(&self, name: &str) -> MemoryEntry {
        let number = |file| self.number(Controller::Memory, &format!("{name}.{file}"));
        MemoryEntry {
            limit: number("limit_in_bytes"),
            usage: number("usage_in_bytes"),
            max: number("max_usage_in_bytes"),
            failcnt: number("failcnt"),
        }
    }

    fn read_v2(&self, stats: &mut Stats) {
        let cpu = self.text(Controller::Cpu, "cpu.stat");
        let value = |key| value_of(&cpu, key).unwrap_or_default();
        stats.cpu.usage.total = value("usage_usec") * 1000;
        stats.cpu.usage.user = value("user_usec") * 1000;
        stats.cpu.usage.kernel = value("system_usec") * 1000;
        stats.cpu.throttling.periods = value("nr_periods");
        stats.cpu.throttling.throttled_periods = value("nr_throttled");
        stats.cpu.throttling.throttled_time = value("throttled_usec") * 1000;
        stats.cpu.psi = pressure(&self.text(Controller::Cpu, "cpu.pressure"));

        stats.memory.raw = key_values(&self.text(Controller::Memory, "memory.stat"));
        let raw = |key| stats.memory.raw.get(key).copied().unwrap_or_default();
        (stats.memory.cache, stats.memory.kernel.usage) = (raw("file"), raw("kernel"));
        let memory = self.memory_entry_v2("memory");
        let swap = self.memory_entry_v2("memory.swap");
        // Version 1 counts memory and swap together; a common peak is not known.
        stats.memory.swap = MemoryEntry {
            limit: swap.limit.saturating_add(memory.limit),
            usage: swap.usage + memory.usage,
            max: 0,
            failcnt: swap.failcnt,
        };
        stats.memory.usage = memory;
        stats.memory.psi = pressure(&self.text(Controller::Memory, "memory.pressure"));

        let io = self.text(Controller::Blkio, "io.stat");
        stats.blkio.io_service_bytes_recursive = io_entries(&io, "rbytes", "wbytes");
        stats.blkio.io_serviced_recursive = io_entries(&io, "rios", "wios");
        stats.blkio.psi = pressure(&self.text(Controller::Blkio, "io.pressure"));
    }

    fn memory_entry_v2(&self, name: &str) -> MemoryEntry {
        let events = self.text(Controller::Memory, &format!("{name}.events"));
        MemoryEntry {
            limit: self.number(Controller::Memory, &format!("{name}.max")),
            usage: self.number(Controller::Memory, &format!("{name}.current")),
            max: self.number(Controller::Memory, &format!("{name}.peak")),
            failcnt: value_of(&events, "max").unwrap_or_default(),
        }
    }

    fn read_hugetlb(&self, stats: &mut Stats) {
        let Ok(sizes) = std::fs::read_dir("/sys/kernel/mm/hugepages") else { return };
        if self.directory(Controller::Hugetlb).is_none() {
            return;
        }
        for size in sizes.flatten() {
            let Some(size) = size.file_name().to_str().and_then(page_size) else { continue };
            let number = |file: &str| self.number(Controller::Hugetlb, &format!("hugetlb.{size}.{file}"));
            let entry = match self.version() {
                Version::V1 => HugetlbStats {
                    usage: number("usage_in_bytes"),
                    max: number("max_usage_in_bytes"),
                    failcnt: number("failcnt"),
                },
                Version::V2 => {
                    let events = self.text(Controller::Hugetlb, &format!("hugetlb.{size}.events"));
                    let failcnt = value_of(&events, "max").unwrap_or_default();
                    HugetlbStats { usage: number("current"), max: 0, failcnt }
                }
            };
            stats.hugetlb.insert(size, entry);
        }
    }

    fn number_list(&self, files: [&str; 2]) -> Vec<u16> {
        let [own, effective] = files.map(|file| self.text(Controller::Cpuset, file));
        parse_number_list(if own.trim().is_empty() { &effective } else { &own })
    }

    /// `max` is the largest number.
    fn number(&self, controller: Controller, file: &str) -> u64 {
        let text = self.text(controller, file);
        let text = text.trim();
        if text == "max" { u64::MAX } else { text.parse().unwrap_or_default() }
    }

    fn text(&self, controller: Controller, file: &str) -> String {
        self.directory(controller).and_then(|each| read_value(each.fd(), file).ok()).unwrap_or_default()
    }
}

fn key_values(text: &str) -> BTreeMap<String, u64> {
    let parse = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(parse).collect()
}

/// Lines of `8:0 Read 4096`; the sums at the end have no device.
fn blkio_entries(text: &str) -> Vec<BlkioEntry> {
    let parse = |line: &str| {
        let mut fields = line.split([' ', ':']);
        let (major, minor) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let (op, value) = (fields.next()?, fields.next()?.parse().ok()?);
        Some(BlkioEntry { major, minor, op: op.to_owned(), value })
    };
    text.lines().filter_map(parse).collect()
}

/// Lines of `8:0 rbytes=4096 wbytes=0 rios=1 …`.
fn io_entries(text: &str, read: &str, write: &str) -> Vec<BlkioEntry> {
    let mut entries = Vec::new();
    for line in text.lines() {
        let mut fields = line.split(' ');
        let Some((major, minor)) = fields.next().and_then(|device| device.split_once(':')) else { continue };
        let (Ok(major), Ok(minor)) = (major.parse(), minor.parse()) else { continue };
        for field in fields {
            let Some((key, value)) = field.split_once('=') else { continue };
            let op = if key == read { "Read" } else { "Write" };
            if let (true, Ok(value)) = (key == read || key == write, value.parse()) {
                entries.push(BlkioEntry { major, minor, op: op.to_owned(), value });
            }
        }
    }
    entries
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and the same of `full`.
fn pressure(text: &str) -> Option<Pressure> {
    let mut pressure = Pressure::default();
    let mut is_there = false;
    for line in text.lines() {
        let mut fields = line.split(' ');
        let line = match fields.next() {
            Some("some") => &mut pressure.some,
            Some("full") => &mut pressure.full,
            _ => continue,
        };
        is_there = true;
        fields.for_each(|field| set_pressure(line, field));
    }
    is_there.then_some(pressure)
}

fn set_pressure(line: &mut PressureLine, field: &str) {
    let Some((key, value)) = field.split_once('=') else { return };
    let percent = || value.parse().unwrap_or_default();
    match key {
        "avg10" => line.avg10 = percent(),
        "avg60" => line.avg60 = percent(),
        "avg300" => line.avg300 = percent(),
        "total" => line.total = value.parse().unwrap_or_default(),
        _ => {}
    }
}

/// `0-3,7`.
fn parse_number_list(text: &str) -> Vec<u16> {
    let mut numbers = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse()) {
            numbers.extend(first..=last);
        }
    }
    numbers
}

/// `hugepages-2048kB` is `2MB` in the names of files.
fn page_size(directory: &str) -> Option<String> {
    let kilobytes: u64 = directory.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
    Some(match kilobytes {
        size if size >= 1 << 20 => format!("{}GB", size >> 20),
        size if size >= 1 << 10 => format!("{}MB", size >> 10),
        size => format!("{size}KB"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_counts_of_both_versions_read_alike() {
        let old = "8:0 Read 4096\n8:0 Write 512\n8:0 Total 4608\nTotal 4608\n";
        let new = "8:0 rbytes=4096 wbytes=512 rios=1 wios=2 dbytes=0 dios=0\n253:0\n";
        let reads = |entries: Vec<BlkioEntry>| {
            let text = |e: BlkioEntry| format!("{}:{} {} {}", e.major, e.minor, e.op, e.value);
            entries.into_iter().map(text).collect::<Vec<_>>()
        };
        assert_eq!(reads(blkio_entries(old)), ["8:0 Read 4096", "8:0 Write 512", "8:0 Total 4608"]);
        assert_eq!(reads(io_entries(new, "rbytes", "wbytes")), ["8:0 Read 4096", "8:0 Write 512"]);
        assert_eq!(reads(io_entries(new, "rios", "wios")), ["8:0 Read 1", "8:0 Write 2"]);
    }

    #[test]
    fn pressure_is_read_where_the_kernel_counts_it() {
        let text = "some avg10=1.50 avg60=0.25 avg300=0.00 total=77\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=5\n";
        let pressure_of = pressure(text).unwrap();
        assert_eq!((pressure_of.some.total, pressure_of.full.total), (77, 5));
        assert!((pressure_of.some.avg10 - 1.5).abs() < f64::EPSILON);
        assert_eq!(pressure(""), None);
    }

    #[test]
    fn lists_and_sizes() {
        assert_eq!(parse_number_list("0-2,5\n"), [0, 1, 2, 5]);
        assert_eq!(parse_number_list("\n"), [0u16; 0]);
        assert_eq!(page_size("hugepages-2048kB").unwrap(), "2MB");
        assert_eq!(page_size("hugepages-1048576kB").unwrap(), "1GB");
        assert_eq!(page_size("hugepages-64kB").unwrap(), "64KB");
    }
}
