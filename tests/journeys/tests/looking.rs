//! What a user sees of containers, images and the engine without changing them.

use std::time::Duration;

use anyhow::{Context, Result};
use dhow_testkit::Engine;
use serde_json::{Value, json};

fn engine() -> Result<Engine> {
    let engine = Engine::start()?;
    engine.import_busybox()?;
    Ok(engine)
}

fn get(engine: &Engine, path: &str) -> Result<Value> {
    let response = engine.connect()?.request("GET", path, &Value::Null)?;
    anyhow::ensure!(response.status == 200, "{path}: {}", String::from_utf8_lossy(&response.body));
    response.json()
}

#[test]
fn stats_tell_what_a_container_uses() -> Result<()> {
    let engine = engine()?;
    let busy = "dd if=/dev/zero of=/dev/shm/x bs=1M count=8 2>/dev/null; while :; do :; done";
    let run = ["run", "-d", "--name", "busy", "-m", "64m", "--cpus", "0.5", "--pids-limit", "20", "busybox"];
    engine.docker(&[&run[..], &["sh", "-c", busy]].concat()).ok();
    let stats = get(&engine, "/containers/busy/stats?stream=0")?;
    assert_eq!((&stats["name"], &stats["os_type"]), (&json!("/busy"), &json!("linux")));
    assert_eq!(
        (&stats["memory_stats"]["limit"], &stats["pids_stats"]["limit"]),
        (&json!(64 << 20), &json!(20))
    );
    assert_eq!(stats["pids_stats"]["current"], 1);
    assert!(stats["memory_stats"]["usage"].as_u64() >= Some(8 << 20), "{stats}");
    let time = |of: &str| stats[of]["cpu_usage"]["total_usage"].as_u64().unwrap_or_default();
    let system = |of: &str| stats[of]["system_cpu_usage"].as_u64().unwrap_or_default();
    assert!(
        time("cpu_stats") > time("precpu_stats") && system("cpu_stats") > system("precpu_stats"),
        "{stats}"
    );
    assert!(stats["cpu_stats"]["online_cpus"].as_u64() > Some(0));
    for table in [engine.docker(&["stats", "--no-stream"]), engine.dhow(&["stats", "--no-stream"])] {
        let row = table.ok().lines().nth(1).context("no row")?.to_owned();
        let cpu =
            row.split_whitespace().nth(2).and_then(|cell| cell.strip_suffix('%')).context("no CPU %")?;
        let cpu: f64 = cpu.parse()?;
        assert!(row.contains("busy") && row.contains("/ 64MiB") && cpu > 1.0 && cpu < 90.0, "{row}");
    }
    Ok(())
}

#[test]
fn stats_of_what_does_not_run_are_zeroes() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["create", "--name", "idle", "busybox"]).ok();
    for path in ["/v1.41/containers/idle/stats?stream=false", "/containers/idle/stats?stream=0&one-shot=1"] {
        let stats = get(&engine, path)?;
        assert_eq!((&stats["read"], &stats["name"]), (&json!("0001-01-01T00:00:00Z"), &json!("/idle")));
        assert_eq!((&stats["memory_stats"], &stats["pids_stats"]), (&json!({}), &json!({})));
        assert_eq!(stats["blkio_stats"]["io_service_bytes_recursive"], Value::Null);
    }
    let table = engine.docker(&["stats", "--no-stream", "idle"]).ok().to_owned();
    assert!(table.contains("0B / 0B"), "{table}");
    let missing = engine.docker(&["stats", "--no-stream", "nobody"]);
    assert!(missing.stderr.contains("No such container: nobody"), "{}", missing.stderr);
    Ok(())
}

#[test]
fn who_follows_sees_a_container_start_end_and_go() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["create", "--name", "one", "busybox", "sleep", "1000"]).ok();
    let mut lines = engine.connect()?.follow("/containers/one/stats")?;
    lines.patience(Duration::from_secs(20))?;
    let mut until = |runs: bool| -> Result<Value> {
        loop {
            let stats = lines.next().context("the stream ended")??;
            if stats["pids_stats"]["current"].is_u64() == runs {
                return Ok(stats);
            }
        }
    };
    until(false)?;
    engine.docker(&["start", "one"]).ok();
    assert_eq!(until(true)?["preread"], "0001-01-01T00:00:00Z", "nothing is known of before the start");
    assert_ne!(until(true)?["preread"], "0001-01-01T00:00:00Z");
    engine.docker(&["kill", "one"]).ok();
    until(false)?;
    engine.docker(&["rm", "one"]).ok();
    // Its last samples may be on their way.
    assert!(lines.take(4).count() < 4, "the stream goes on");
    Ok(())
}

#[test]
fn many_followers_share_one_sampler() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["run", "-d", "--name", "one", "busybox", "sleep", "1000"]).ok();
    let mut followers = Vec::new();
    for _ in 0..20 {
        let mut lines = engine.connect()?.follow("/containers/one/stats")?;
        lines.patience(Duration::from_secs(20))?;
        lines.next().context("no sample")??;
        followers.push(lines);
    }
    assert_eq!(samplers(&engine)?, 1);
    let reads: Vec<Value> = followers
        .iter_mut()
        .map(|lines| Ok(lines.next().context("no sample")??["read"].clone()))
        .collect::<Result<_>>()?;
    let mut different = reads.clone();
    different.dedup();
    assert!(different.len() <= 3, "each has samples of its own: {reads:?}");
    drop(followers);
    let gone = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        samplers(&engine).is_ok_and(|count| count == 0)
    });
    assert!(gone, "it samples for nobody");
    Ok(())
}

/// Threads of the engine that sample.
fn samplers(engine: &Engine) -> Result<usize> {
    let tasks = format!("/proc/{}/task", engine.pid().context("no engine")?);
    let names =
        std::fs::read_dir(tasks)?.flatten().map(|task| std::fs::read_to_string(task.path().join("comm")));
    Ok(names.flatten().filter(|name| name.trim() == "sampler").count())
}
