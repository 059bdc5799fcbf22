//! What this process uses, from /proc/self: what cannot be read counts nothing.

use std::fs;
use std::time::Duration;

use dhow_model::ports::OwnUse;

/// Milliseconds of one tick of proc_pid_stat(5); the same on every Linux.
const TICK: u64 = 10;

pub(super) fn read() -> OwnUse {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let number = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default()
    };
    OwnUse {
        descriptors: fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
        threads: usize::try_from(number("Threads")).unwrap_or(usize::MAX),
        memory: number("VmRSS") * 1024,
        processor_time: processor_time(&fs::read_to_string("/proc/self/stat").unwrap_or_default()),
    }
}

/// The fields after the name, which is in parentheses and may have any in it, begin with the third.
fn processor_time(stat: &str) -> Duration {
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
    Duration::from_millis(ticks.sum::<u64>() * TICK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something() {
        let own = read();
        assert!(own.descriptors > 2 && own.threads > 0 && own.memory > 1 << 16, "{own:?}");
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 1 0";
        assert_eq!(processor_time(stat), Duration::from_secs(2));
    }
}
