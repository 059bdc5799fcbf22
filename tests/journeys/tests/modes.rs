//! Modes and limits of one word each, and what becomes of them: names of hosts, volumes by relative paths, limits that
//! are lifted, parents of cgroups; as Docker shows them.

use anyhow::{Context as _, Result, ensure};
use dhow_journeys::{docker, engine};
use serde_json::{Value, json};

#[test]
fn a_container_that_shares_the_hosts_names_is_called_as_the_host_unless_it_says() -> Result<()> {
    let engine = engine()?;
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")?.trim().to_owned();
    let run = |line: &str| docker(&engine, &format!("run --rm {line}"));
    ensure!(run("--network none --uts host busybox hostname").ok().trim() == host);
    ensure!(run("--network host busybox hostname").ok().trim() == host);
    ensure!(run("--network host busybox cat /etc/hostname").ok().trim() == host);
    ensure!(run("--network host --hostname other busybox hostname").ok().trim() == "other");
    ensure!(run("--network host --hostname other busybox cat /etc/hostname").ok().trim() == "other");
    let refused = run("--network none --uts host --hostname other busybox true");
    let words = "conflicting options: hostname and the UTS mode";
    ensure!(refused.status == 125 && refused.stderr.contains(words), "{refused:?}");
    ensure!(
        std::fs::read_to_string("/proc/sys/kernel/hostname")?.trim() == host,
        "a container renamed the host"
    );
    Ok(())
}

#[test]
fn where_there_is_no_link_there_is_no_hardware_address() -> Result<()> {
    let engine = engine()?;
    for mode in ["none", "host"] {
        docker(&engine, &format!("run -d --init --name one-{mode} --network {mode} busybox sleep 600")).ok();
        let path = format!("/v1.50/containers/one-{mode}/json");
        let shown = engine.connect()?.request("GET", &path, &Value::Null)?.json()?;
        let settings = &shown["NetworkSettings"];
        let place = &settings["Networks"][mode];
        ensure!(settings["MacAddress"] == "" && place["MacAddress"] == "", "{settings}");
        ensure!(place["IPAddress"] == "" && place["Gateway"] == "", "{settings}");
        ensure!(place["NetworkID"].as_str().is_some_and(|id| id.len() == 64), "{settings}");
    }
    Ok(())
}

#[test]
fn a_limit_of_processes_is_kept_by_null_and_lifted_by_what_is_no_number_of_any() -> Result<()> {
    let engine = engine()?;
    docker(&engine, "run -d --init --name held --network none --pids-limit 50 busybox sleep 600").ok();
    for (asked, shown) in
        [(json!(null), 50), (json!(0), 0), (json!(7), 7), (json!(-1), 0), (json!(9), 9), (json!(-5), 0)]
    {
        let body = json!({ "PidsLimit": asked });
        let updated = engine.connect()?.request("POST", "/containers/held/update", &body)?;
        ensure!(updated.status == 200, "{asked}: {}", String::from_utf8_lossy(&updated.body));
        let inspected = engine.connect()?.request("GET", "/containers/held/json", &Value::Null)?.json()?;
        let limit = inspected["HostConfig"]["PidsLimit"].as_i64().unwrap_or_default();
        ensure!(limit == shown, "{asked} is shown as {limit}");
        let cgroup = std::fs::read_to_string(format!("/proc/{}/cgroup", inspected["State"]["Pid"]))?;
        let kernel = limit_of(&cgroup).with_context(|| format!("no limit of processes in {cgroup}"))?;
        ensure!(kernel == if shown == 0 { "max".to_owned() } else { shown.to_string() }, "{asked}: {kernel}");
    }
    Ok(())
}

/// What the kernel holds the processes of a group to.
fn limit_of(cgroup: &str) -> Option<String> {
    let places = cgroup.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        match (parts.next()?, parts.next()?) {
            ("", path) => Some(format!("/sys/fs/cgroup{path}/pids.max")),
            (names, path) if names.split(',').any(|name| name == "pids") => {
                Some(format!("/sys/fs/cgroup/pids{path}/pids.max"))
            }
            _ => None,
        }
    });
    places.into_iter().find_map(|file| Some(std::fs::read_to_string(file).ok()?.trim().to_owned()))
}

#[test]
fn a_prune_of_networks_is_told_with_what_it_removed() -> Result<()> {
    let engine = engine()?;
    docker(&engine, "network create lonely").ok();
    let pruned = engine.docker(&["network", "prune", "-f"]);
    ensure!(pruned.ok() == "Deleted Networks:\nlonely", "{pruned:?}");
    let format = "{{.Type}} {{.Action}} {{.Actor.Attributes.name}} {{.Actor.Attributes.reclaimed}}";
    let filters = ["--filter", "type=network", "--filter", "event=destroy", "--filter", "event=prune"];
    let window = ["events", "--since", "1h", "--until", "0s", "--format", format];
    let expected = ["network destroy lonely <no value>", "network prune <no value> 0"];
    // What happened in this very second is not before its beginning, which is what the command line asks for.
    let told = || engine.docker(&[&window[..], &filters].concat()).stdout;
    dhow_testkit::until("the prune is told", || told().lines().eq(expected))?;
    Ok(())
}

#[test]
fn a_parent_of_cgroups_may_be_called_like_a_slice() -> Result<()> {
    let engine = engine()?;
    // Below our own: the names of tests are not to stand beside the machine's.
    let parent = format!("{}/deep.slice", engine.cgroup());
    docker(
        &engine,
        &format!("run -d --init --name low --network none --cgroup-parent {parent} busybox sleep 600"),
    )
    .ok();
    let shown = docker(&engine, "inspect -f {{.HostConfig.CgroupParent}}|{{.State.Pid}}|{{.Id}} low");
    let mut shown = shown.ok().split('|');
    ensure!(shown.next() == Some(parent.as_str()));
    let (pid, id) = (shown.next().unwrap_or_default(), shown.next().unwrap_or_default());
    let cgroups = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    ensure!(cgroups.contains(&format!("{parent}/{id}")), "{parent}: {cgroups}");
    Ok(())
}

/// An image may say where its volume is without a slash: it is below the root.
#[test]
fn a_volume_of_an_image_by_a_relative_path_is_below_the_root() -> Result<()> {
    let engine = engine()?;
    docker(&engine, "create --name made busybox true").ok();
    engine.docker(&["commit", "--change", "VOLUME data", "made", "keeps"]).ok();
    let shown = engine.docker(&["inspect", "-f", "{{json .Config.Volumes}}", "keeps"]);
    ensure!(shown.ok() == "{\"data\":{}}", "{shown:?}");
    let run = ["run", "--name", "user", "--network", "none", "-w", "/tmp", "keeps", "sh", "-c"];
    engine.docker(&[&run[..], &["echo kept > /data/file"]].concat()).ok();
    let mounts = engine.docker(&[
        "inspect",
        "-f",
        "{{range .Mounts}}{{.Type}} {{.Destination}} {{.RW}}{{end}}",
        "user",
    ]);
    // Docker shows it without the slash; a place in the container is absolute here.
    ensure!(mounts.ok() == "volume /data true", "{mounts:?}");
    let other =
        ["run", "--rm", "--network", "none", "--volumes-from", "user", "busybox", "cat", "/data/file"];
    ensure!(engine.docker(&other).ok().trim() == "kept");
    Ok(())
}
