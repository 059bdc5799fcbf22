//! `update`: changes limits of a container.

use std::io::Read as _;
use std::path::Path;

use dhow_model::{Error, Result};
use dhow_oci::runtime::{BlockIo, Cpu, Memory, Pids, Resources};

use super::arguments::{Flag, Parsed, Syntax, option};
use super::container::{self, Container, Status};
use super::{Context, Verb};

pub(super) const VERB: Verb = Verb {
    name: "update",
    arguments: "[--resources FILE] [LIMITS] ID",
    about: "changes limits of a container",
    syntax: Syntax {
        flags: &[
            Flag { short: Some('r'), ..option("resources") },
            option("blkio-weight"),
            option("cpu-period"),
            option("cpu-quota"),
            option("cpu-burst"),
            option("cpu-share"),
            option("cpu-rt-period"),
            option("cpu-rt-runtime"),
            option("cpuset-cpus"),
            option("cpuset-mems"),
            option("cpu-idle"),
            option("memory"),
            option("memory-reservation"),
            option("memory-swap"),
            option("kernel-memory"),
            option("kernel-memory-tcp"),
            option("pids-limit"),
            option("l3-cache-schema"),
            option("mem-bw-schema"),
        ],
        first_word_ends: false,
    },
    run,
    failure: 1,
    makes_process: false,
};

fn run(context: &Context, parsed: &Parsed) -> Result<u8> {
    let container = Container::load(&context.root, parsed.id()?)?;
    for name in ["l3-cache-schema", "mem-bw-schema"] {
        if parsed.value(name).is_some() {
            return Err(Error::not_implemented(format!("--{name} is not supported")));
        }
    }
    if matches!(container.status(), Status::Stopped | Status::Creating) {
        return Err(Error::conflict("container not running"));
    }
    let resources = match parsed.value("resources") {
        Some(path) => read(path)?,
        None => of_flags(parsed)?,
    };
    for note in container.cgroup()?.update(&resources)? {
        context.log.warn(&note);
    }
    Ok(0)
}

fn read(path: &str) -> Result<Resources> {
    let text = if path == "-" {
        let mut text = Vec::new();
        std::io::stdin().take(1 << 20).read_to_end(&mut text).map(|_| text)
    } else {
        container::read(Path::new(path))
    };
    let text =
        text.map_err(|error| Error::invalid(format!("cannot read the resources {path}")).because(error))?;
    serde_json::from_slice(&text)
        .map_err(|error| Error::invalid(format!("{path} has no resources")).because(error))
}

fn of_flags(parsed: &Parsed) -> Result<Resources> {
    let text = |name| parsed.value(name).unwrap_or_default().to_owned();
    let cpu = Cpu {
        shares: parsed.number("cpu-share")?,
        quota: parsed.number("cpu-quota")?,
        burst: parsed.number("cpu-burst")?,
        period: parsed.number("cpu-period")?,
        realtime_runtime: parsed.number("cpu-rt-runtime")?,
        realtime_period: parsed.number("cpu-rt-period")?,
        cpus: text("cpuset-cpus"),
        mems: text("cpuset-mems"),
        idle: parsed.number("cpu-idle")?,
    };
    let memory = Memory {
        limit: bytes(parsed, "memory")?,
        reservation: bytes(parsed, "memory-reservation")?,
        swap: bytes(parsed, "memory-swap")?,
        kernel_tcp: bytes(parsed, "kernel-memory-tcp")?,
        ..Memory::default()
    };
    let pids = parsed.number("pids-limit")?.map(|limit| Pids { limit });
    let weight: Option<u16> = parsed.number("blkio-weight")?;
    Ok(Resources {
        cpu: Some(cpu),
        memory: Some(memory),
        pids,
        block_io: weight.map(|weight| BlockIo { weight: Some(weight), ..BlockIo::default() }),
        ..Resources::default()
    })
}

/// `-1`, `1048576`, `512m`, `1g`.
fn bytes(parsed: &Parsed, name: &str) -> Result<Option<i64>> {
    let Some(text) = parsed.value(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    let wrong = || Error::invalid(format!("invalid value {text:?} for --{name}"));
    let lower = text.to_ascii_lowercase();
    let plain = lower.strip_suffix('b').unwrap_or(&lower);
    let (digits, shift) = match plain.char_indices().next_back() {
        Some((at, 'k')) => (&plain[..at], 10),
        Some((at, 'm')) => (&plain[..at], 20),
        Some((at, 'g')) => (&plain[..at], 30),
        Some((at, 't')) => (&plain[..at], 40),
        _ => (plain, 0),
    };
    let number: i64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).map(Some).ok_or_else(wrong)
}
