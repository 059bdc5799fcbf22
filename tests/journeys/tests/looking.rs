//! What a user sees of containers, images and the engine without changing them.

use std::time::Duration;

use anyhow::{Context, Result};
use dhow_journeys::engine;
use dhow_testkit::Engine;
use dhow_testkit::http::encoded;
use serde_json::{Value, json};

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
    for query in ["one-shot=1", "stream=1&one-shot=1"] {
        for (name, status) in [("idle", 400), ("nobody", 404)] {
            let path = format!("/containers/{name}/stats?{query}");
            let answer = engine.connect()?.request("GET", &path, &Value::Null)?;
            let words = String::from_utf8_lossy(&answer.body).into_owned();
            let told = status == 404 || words.contains("cannot have stream=true and one-shot=true");
            anyhow::ensure!(answer.status == status && told, "{path}: {} {words}", answer.status);
        }
    }
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

#[test]
fn top_shows_processes_as_ps_is_asked_to() -> Result<()> {
    let engine = engine()?;
    engine
        .docker(&["run", "-d", "--name", "one", "busybox", "sh", "-c", "sleep 1000 & sleep 2000 & wait"])
        .ok();
    let mut tables = (0..100).map(|_| engine.docker(&["top", "one"]).ok().to_owned());
    let table = tables.find(|table| table.lines().count() > 3).context("they do not start")?;
    assert!(
        table.starts_with("UID") && table.contains("sleep 1000") && table.contains("sleep 2000"),
        "{table}"
    );
    assert_eq!(table.lines().count(), 4, "nothing but its own: {table}");
    let columns = engine.dhow(&["top", "one", "-o", "pid,comm"]).ok().to_owned();
    assert_eq!(
        columns.lines().next().map(|line| line.split_whitespace().collect::<Vec<_>>()),
        Some(vec!["PID", "COMMAND"])
    );
    // What ps does not take together with a choice of processes.
    assert!(engine.docker(&["top", "one", "axf"]).ok().contains("sleep 2000"));
    let mut connection = engine.connect()?;
    for (arguments, status, words) in [
        ("-o%20cmd=PID", 500, "specifying \"cmd=PID\" is not allowed"),
        ("-o%20comm", 500, "Couldn't find PID field in ps output"),
        ("--bogus", 500, "ps: error: unknown gnu long option"),
    ] {
        let path = format!("/v1.44/containers/one/top?ps_args={arguments}");
        let answer = connection.request("GET", &path, &Value::Null)?;
        let text = String::from_utf8_lossy(&answer.body);
        assert!(
            answer.status == status && text.contains(&words.replace('"', "\\\"")),
            "{arguments}: {} {text}",
            answer.status
        );
    }
    engine.docker(&["kill", "one"]).ok();
    let stopped = connection.request("GET", "/containers/one/top", &Value::Null)?;
    assert_eq!(stopped.status, 409, "{}", String::from_utf8_lossy(&stopped.body));
    Ok(())
}

/// `type action` of events, as a template of docker's prints them.
fn told(engine: &Engine, since: &str, filters: &[&str]) -> Vec<String> {
    let now = seconds();
    let filters = filters.iter().flat_map(|filter| ["--filter", filter]);
    let arguments: Vec<&str> =
        ["events", "--format", "{{.Type}} {{.Action}}", "--since", since, "--until", &now]
            .into_iter()
            .chain(filters)
            .collect();
    engine.docker(&arguments).ok().lines().map(str::to_owned).collect()
}

/// Now, with the fraction.
fn seconds() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:09}", now.as_secs(), now.subsec_nanos())
}

#[test]
fn events_tell_the_life_of_a_container() -> Result<()> {
    let engine = engine()?;
    let begin = seconds();
    engine
        .docker(&[
            "run",
            "-d",
            "--name",
            "one",
            "--label",
            "tier=x",
            "-v",
            "data:/data",
            "busybox",
            "sleep",
            "1000",
        ])
        .ok();
    assert_eq!(engine.docker(&["exec", "one", "sh", "-c", "exit 3"]).status, 3);
    engine.docker(&["top", "one"]).ok();
    engine.docker(&["pause", "one"]).ok();
    engine.docker(&["unpause", "one"]).ok();
    engine.docker(&["commit", "one", "copy:1"]).ok();
    engine.docker(&["rename", "one", "two"]).ok();
    engine.docker(&["stop", "-t", "0", "two"]).ok();
    engine.docker(&["rm", "two"]).ok();
    engine.docker(&["volume", "rm", "data"]).ok();
    let expected = "volume create,container create,network connect,volume mount,container start,\
        container exec_create: sh -c exit 3,\
        container exec_start: sh -c exit 3,container exec_die,container top,container pause,container unpause,\
        container pause,container unpause,image create,image tag,container commit,container rename,container kill,\
        container kill,container die,network disconnect,volume unmount,container stop,container destroy,volume destroy";
    assert_eq!(told(&engine, &begin, &[]).join(","), expected);
    for (filters, expected) in [
        (&["type=volume"][..], "volume create,volume mount,volume unmount,volume destroy"),
        (&["event=exec_start", "event=exec_die"], "container exec_start: sh -c exit 3,container exec_die"),
        (&["container=two", "event=die"], "container die"),
        (&["label=tier=x", "event=commit"], "container commit"),
        (&["label=tier=y"], ""),
        (&["image=busybox", "event=start"], "container start"),
        (&["image=copy:1", "type=image"], "image tag"),
        (&["volume=data", "event=mount"], "volume mount"),
        (&["scope=swarm"], ""),
    ] {
        assert_eq!(told(&engine, &begin, filters).join(","), expected, "{filters:?}");
    }
    Ok(())
}

#[test]
fn events_of_a_span_end_with_it() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["create", "--name", "one", "busybox"]).ok();
    let middle = seconds();
    engine.docker(&["create", "--name", "two", "busybox"]).ok();
    let names = |since: &str, until: &str| {
        let format = "{{.Actor.Attributes.name}}";
        let filter = ["--filter", "type=container"];
        let span = ["events", "--format", format, "--since", since, "--until", until];
        engine.docker(&[&span[..], &filter].concat()).ok().replace('\n', ",")
    };
    assert_eq!(names("0", &middle), "one");
    assert_eq!(names(&middle, &seconds()), "two");
    let mut listener =
        engine.connect()?.follow("/events?since=10m&until=-1s&filters={%22type%22:[%22container%22]}")?;
    listener.patience(Duration::from_secs(20))?;
    let told: Vec<Value> = listener.by_ref().take(2).collect::<Result<_>>()?;
    assert_eq!(
        (&told[0]["Actor"]["Attributes"]["name"], &told[1]["Action"]),
        (&json!("one"), &json!("create"))
    );
    assert!(listener.next().is_none(), "it ends a second from now");
    let mut connection = engine.connect()?;
    for (query, words) in [
        ("since=20&until=10", "`since` time (20) cannot be after `until` time (10)"),
        ("since=yesterday", "invalid value for 'since'"),
        ("filters={", "invalid filter"),
    ] {
        let answer = connection.request("GET", &format!("/events?{query}"), &Value::Null)?;
        let text = String::from_utf8_lossy(&answer.body);
        assert!(answer.status == 400 && text.contains(words), "{query}: {} {text}", answer.status);
    }
    for (version, media_type) in [("1.51", "application/json"), ("1.52", "application/jsonl")] {
        let answer = connection.request("GET", &format!("/v{version}/events?until=1"), &Value::Null)?;
        assert_eq!(answer.header("content-type"), Some(media_type), "{version}");
    }
    Ok(())
}

#[test]
fn a_listener_that_never_reads_holds_nobody_up() -> Result<()> {
    let engine = engine()?;
    let _silent = engine.connect()?.follow("/events")?;
    let mut listener = engine.connect()?.follow("/events?filters={%22event%22:[%22rename%22]}")?;
    listener.patience(Duration::from_secs(20))?;
    engine
        .docker(&["create", "--name", "n0", "--label", &format!("long={}", "x".repeat(4000)), "busybox"])
        .ok();
    let mut connection = engine.connect()?;
    // More than a socket holds, and more than is kept for who is behind.
    for number in 1..1500 {
        let path = format!("/containers/n{}/rename?name=n{number}", number - 1);
        let answer = connection.request("POST", &path, &Value::Null)?;
        assert_eq!(answer.status, 204);
        assert_eq!(listener.next().context("the stream ended")??["Action"], "rename");
    }
    Ok(())
}

#[test]
fn system_df_has_the_form_of_the_version() -> Result<()> {
    let engine = engine()?;
    engine
        .docker(&[
            "run",
            "--name",
            "one",
            "-v",
            "data:/data",
            "busybox",
            "sh",
            "-c",
            "echo 12345 > /data/x; echo hi > /y",
        ])
        .ok();
    let keys = |path: &str| -> Result<Vec<String>> {
        let mut keys: Vec<String> =
            get(&engine, path)?.as_object().context("no object")?.keys().cloned().collect();
        keys.sort();
        Ok(keys)
    };
    let old = ["BuildCache", "Containers", "Images", "LayersSize", "Volumes"];
    let new = ["BuildCacheUsage", "ContainerUsage", "ImageUsage", "VolumeUsage"];
    assert_eq!(
        keys("/v1.41/system/df")?,
        ["BuildCache", "BuilderSize", "Containers", "Images", "LayersSize", "Volumes"]
    );
    assert_eq!(keys("/v1.51/system/df")?, old);
    let mut both = [&old[..], &new].concat();
    both.sort_unstable();
    assert_eq!(keys("/v1.52/system/df")?, both);
    assert_eq!(keys("/v1.52/system/df?verbose=1")?, new);
    assert_eq!(keys("/v1.51/system/df?type=volume&type=image")?, ["Images", "LayersSize", "Volumes"]);
    assert_eq!(keys("/v1.56/system/df?type=container&verbose=1")?, ["ContainerUsage"]);
    let usage = get(&engine, "/system/df?verbose=true")?;
    assert_eq!(
        (&usage["VolumeUsage"]["TotalCount"], &usage["VolumeUsage"]["ActiveCount"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(usage["VolumeUsage"]["Items"][0]["UsageData"]["RefCount"], 1);
    assert_eq!(
        (&usage["ContainerUsage"]["TotalCount"], &usage["ContainerUsage"]["ActiveCount"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(usage["ImageUsage"]["Items"][0]["Containers"], 1);
    let wrong = engine.connect()?.request("GET", "/system/df?type=sock", &Value::Null)?;
    assert_eq!(wrong.status, 400);
    assert!(String::from_utf8_lossy(&wrong.body).contains("unknown object type: sock"));
    assert!(engine.docker(&["system", "df", "-v"]).ok().contains("busybox"));
    Ok(())
}

#[test]
fn metrics_are_served_where_they_are_asked_for() -> Result<()> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let address = format!("127.0.0.1:{port}");
    let engine = Engine::with_busybox(&["--metrics-addr", &address])?;
    engine.docker(&["run", "-d", "--name", "one", "busybox", "sleep", "1000"]).ok();
    let page = page(&address, "/metrics")?;
    for line in [
        "# TYPE engine_daemon_container_actions_seconds histogram",
        "engine_daemon_container_actions_seconds_count{action=\"start\"} 1",
        "engine_daemon_container_actions_seconds_bucket{action=\"create\",le=\"+Inf\"} 1",
        "engine_daemon_container_states_containers{state=\"running\"} 1",
        "engine_daemon_container_states_containers{state=\"paused\"} 0",
        "engine_daemon_events_subscribers_total 0",
        "dhow_images 1",
    ] {
        assert!(page.contains(line), "{line}\n{page}");
    }
    for name in ["engine_daemon_engine_info{", "engine_daemon_engine_memory_bytes ", "process_open_fds "] {
        assert!(page.contains(name), "{name}\n{page}");
    }
    // Nothing else is to be had there.
    assert!(self::page(&address, "/containers/json")?.starts_with("HTTP/1.1 404"));
    let none = Engine::start()?;
    assert_eq!(none.connect()?.request("GET", "/metrics", &Value::Null)?.status, 404);
    Ok(())
}

/// What a plain client gets of an address.
fn page(address: &str, path: &str) -> Result<String> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

#[test]
fn lists_show_what_is_asked_for_and_refuse_what_they_do_not_know() -> Result<()> {
    let engine = engine()?;
    engine
        .docker(&[
            "create",
            "--name",
            "one",
            "--label",
            "tier=front",
            "-v",
            "data:/data",
            "--expose",
            "81",
            "busybox",
        ])
        .ok();
    assert_eq!(
        engine.docker(&["run", "--name", "two", "-v", "/tmp:/host", "busybox", "sh", "-c", "exit 3"]).status,
        3
    );
    engine.docker(&["tag", "busybox", "team/app:1"]).ok();
    engine.docker(&["volume", "create", "--label", "keep", "spare"]).ok();
    let names = |path: &str, key: &str, filters: Value| -> Result<String> {
        let answer = get(&engine, &format!("{path}filters={}", encoded(&filters.to_string())))?;
        let list = answer.as_array().or_else(|| answer["Volumes"].as_array()).context("no list")?;
        let name = |one: &Value| {
            one[key]
                .as_str()
                .or_else(|| one[key][0].as_str())
                .unwrap_or_default()
                .trim_matches('/')
                .to_owned()
        };
        let mut names: Vec<String> = list.iter().map(name).collect();
        names.sort();
        Ok(names.join(","))
    };
    let containers = "/containers/json?all=1&";
    for (path, key, filters, expected) in [
        (containers, "Names", json!({"label": ["tier"]}), "one"),
        (containers, "Names", json!({"label": ["tier=back"]}), ""),
        (containers, "Names", json!({"status": ["exited"]}), "two"),
        (containers, "Names", json!({"exited": ["3"]}), "two"),
        (containers, "Names", json!({"exited": ["0"]}), ""),
        (containers, "Names", json!({"name": ["^/tw"]}), "two"),
        (containers, "Names", json!({"volume": ["data"]}), "one"),
        (containers, "Names", json!({"volume": ["/tmp"]}), "two"),
        (containers, "Names", json!({"expose": ["80-85/tcp"]}), "one"),
        (containers, "Names", json!({"publish": ["80"]}), ""),
        (containers, "Names", json!({"ancestor": ["busybox"]}), "one,two"),
        (containers, "Names", json!({"ancestor": ["nothing"]}), ""),
        (containers, "Names", json!({"before": ["two"]}), "one"),
        (containers, "Names", json!({"since": ["one"]}), "two"),
        (containers, "Names", json!({"network": ["bridge"]}), "one,two"),
        (containers, "Names", json!({"is-task": ["true"]}), ""),
        ("/images/json?", "RepoTags", json!({"reference": ["team/*"]}), "team/app:1"),
        ("/images/json?", "RepoTags", json!({"dangling": ["true"]}), ""),
        ("/images/json?", "RepoTags", json!({"until": ["1h"]}), ""),
        ("/volumes?", "Name", json!({"dangling": ["1"]}), "spare"),
        ("/volumes?", "Name", json!({"label": ["keep"]}), "spare"),
        ("/volumes?", "Name", json!({"name": ["^da"]}), "data"),
        ("/volumes?", "Name", json!({"driver": ["other"]}), ""),
        ("/networks?", "Name", json!({"driver": ["null"]}), "none"),
    ] {
        assert_eq!(names(path, key, filters.clone())?, expected, "{path} {filters}");
    }
    let mut connection = engine.connect()?;
    for (path, filters, words) in [
        ("/containers/json", json!({"bogus": ["1"]}), "invalid filter 'bogus'"),
        (
            "/containers/json",
            json!({"status": ["gone"]}),
            "invalid filter 'status=gone': invalid value for state (gone): must be one of created, running, paused, restarting, removing, exited, dead",
        ),
        ("/containers/json", json!({"exited": ["x"]}), "invalid filter 'exited=x': strconv.Atoi: parsing"),
        ("/containers/json", json!({"is-task": ["maybe"]}), "invalid filter 'is-task=[maybe]'"),
        ("/images/json", json!({"bogus": ["1"]}), "invalid filter 'bogus'"),
        ("/images/json", json!({"dangling": ["x"]}), "invalid filter 'dangling=[x]'"),
        ("/volumes", json!({"bogus": ["1"]}), "invalid filter 'bogus'"),
        ("/networks", json!({"bogus": ["1"]}), "invalid filter 'bogus'"),
    ] {
        let path = format!("{path}?filters={}", encoded(&filters.to_string()));
        let answer = connection.request("GET", &path, &Value::Null)?;
        let told = answer.json()?["message"].as_str().unwrap_or_default().to_owned();
        assert!(answer.status == 400 && told.starts_with(words), "{filters}: {} {told}", answer.status);
    }
    Ok(())
}

#[test]
fn prune_takes_what_its_filters_let_it() -> Result<()> {
    let engine = engine()?;
    let mut connection = engine.connect()?;
    let mut prune = |path: &str, filters: Value| -> Result<Value> {
        let path = format!("{path}/prune?filters={}", encoded(&filters.to_string()));
        connection.request("POST", &path, &Value::Null)?.json()
    };
    engine.docker(&["create", "--name", "kept", "--label", "keep=yes", "busybox"]).ok();
    engine.docker(&["create", "--name", "gone", "busybox"]).ok();
    assert_eq!(prune("/containers", json!({"until": ["1h"]}))?["ContainersDeleted"], Value::Null);
    let pruned = prune("/containers", json!({"label!": ["keep"], "until": ["0s"]}))?;
    assert_eq!(pruned["ContainersDeleted"].as_array().map(Vec::len), Some(1));
    assert_eq!(engine.docker(&["ps", "-a", "--format", "{{.Names}}"]).ok(), "kept");
    assert_eq!(
        prune("/containers", json!({"until": ["1h", "2h"]}))?["message"],
        "more than one until filter specified"
    );
    assert_eq!(prune("/containers", json!({"bogus": ["1"]}))?["message"], "invalid filter 'bogus'");

    engine.docker(&["volume", "create", "named"]).ok();
    connection_volume(&engine)?;
    assert_eq!(
        prune("/volumes", json!({}))?["VolumesDeleted"].as_array().map(Vec::len),
        Some(1),
        "the one without a name"
    );
    assert_eq!(prune("/volumes", json!({"all": ["true"]}))?["VolumesDeleted"], json!(["named"]));
    assert_eq!(
        prune("/volumes", json!({"all": ["true", "false"]}))?["message"],
        "invalid filter 'all=[false true]': only one value is expected"
    );

    engine.docker(&["commit", "kept", "other:1"]).ok();
    assert_eq!(prune("/images", json!({}))?["ImagesDeleted"], Value::Null, "all have names");
    let pruned = prune("/images", json!({"dangling": ["false"]}))?;
    assert_eq!(pruned["ImagesDeleted"][0], json!({"Untagged": "other:1"}), "busybox is in use: {pruned}");
    assert_eq!(prune("/networks", json!({}))?, json!({"NetworksDeleted": null}));
    assert!(
        engine.docker(&["system", "prune", "-f", "-a", "--volumes"]).ok().contains("Total reclaimed space")
    );
    Ok(())
}

/// Makes a volume without a name.
fn connection_volume(engine: &Engine) -> Result<()> {
    let made = engine.connect()?.request("POST", "/volumes/create", &json!({}))?;
    assert_eq!(made.status, 201);
    assert_eq!(made.json()?["Labels"], json!({"com.docker.volume.anonymous": ""}));
    Ok(())
}
