//! Our command line and the stock one, against one engine: every listing with every placeholder, every
//! function of templates, every short form, and what is said when something is wrong, byte for byte.
//!
//! Left out is what shows addresses (a struct that Go holds by a pointer within another), the words about
//! a function that fails, and what is in the order of Docker's chance (names of one image).

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use dhow_conformance::{docker, engine};
use dhow_testkit::Engine;
use dhow_testkit::engine::binary;
use dhow_testkit::process::{self, Answer};

/// Listings with their placeholders.
const LISTINGS: &[(&[&str], &str)] = &[
    (
        &["ps", "-a"],
        "ID Image Command CreatedAt RunningFor Ports State Status Size Names Labels Mounts LocalVolumes Networks Foo",
    ),
    (&["images"], "ID Repository Tag Digest CreatedAt Size Containers SharedSize UniqueSize VirtualSize Foo"),
    (&["volume", "ls"], "Name Driver Mountpoint Scope Labels Links Size Availability Group Status Foo"),
    (&["network", "ls"], "ID Name Driver Scope IPv4 IPv6 Internal Labels CreatedAt Foo"),
    (&["system", "df"], "Type TotalCount Active Size Reclaimable Foo"),
    (&["history", "busybox"], "ID CreatedAt CreatedBy Size Comment Foo"),
];

/// Templates over the first field (`A`) and the second (`B`) of a listing.
const TEMPLATES: &[&str] = &[
    "{{",
    "{{nofn .}}",
    "{{json .}}",
    "json",
    "table",
    "",
    "table {{.A}}\\t{{.B}}",
    "{{.A}}\\t{{.B}}",
    "table {{upper .A}}",
    "table {{json .}}",
    "{{upper .A}} {{lower .B}} {{title .A}}",
    "{{pad .A 2 3}}|{{truncate .A 3}}",
    "{{join (split .A \"e\") \"-\"}}",
    "{{println .A}}",
    "{{.A | printf \"%-20s\"}}|",
    "{{printf \"%q\" .A}} {{len .A}}",
    "{{if .B}}yes{{else}}no{{end}}",
    "{{eq .A \"web\"}} {{and .A \"z\"}}",
    "{{print .A 1}} {{html .B}}",
    "{{$x := .A}}{{$x}}{{/* nothing */}}",
    "{{- .A -}} x",
    "{{with .A}}{{.}}{{end}}",
    "{{.A.Foo}}",
    "{{.A}} {{.Foo}}",
];

/// Commands whose answers are compared as they are.
const COMMANDS: &[&str] = &[
    "ps",
    "ps -aq",
    "ps -q",
    "ps -l",
    "ps -n 2",
    "ps -a --no-trunc",
    "ps -as",
    "ps -a --filter name=w",
    "ps -a --filter status=exited",
    "ps -aq --no-trunc",
    "ps -aq --format {{.Names}}",
    "ps --filter foo=bar",
    "ps --foo",
    "ps extra",
    "ps -n x",
    "images -q",
    "images -a",
    "images --digests",
    "images --no-trunc",
    "images -q --no-trunc",
    "images busybox",
    "images nope",
    "images --filter dangling=true",
    "images --filter foo=bar",
    "volume ls -q",
    "volume ls --filter foo=bar",
    "network ls -q",
    "network ls --no-trunc",
    "network ls --filter foo=bar",
    "system df --format json",
    "system df -v --format json",
    "history -q busybox",
    "history --no-trunc busybox",
    "history nope",
    "version --format {{.Server.Version}}",
    "version -f {{.Foo}}",
    "info -f {{.ServerVersion}}",
    "info -f {{.Foo}}",
    "inspect web",
    "inspect web done",
    "inspect nope",
    "inspect web nope",
    "inspect -s web",
    "inspect --type image web",
    "inspect -f {{.Name}} web",
    "inspect -f {{json .Config}} web",
    "inspect -f {{.Foo}} web",
    "inspect -f {{.Config.Labels}} web",
    "inspect --format json web",
    "inspect vol1",
    "volume inspect vol1",
    "volume inspect nope",
    "volume inspect -f {{.Name}} vol1 nope",
    "image inspect busybox",
    "image inspect nope",
    "network inspect host",
    "network inspect nope",
    "container inspect nope",
    "port web",
    "port web 80",
    "port nope",
    "top nope",
    "top done",
    "diff changed",
    "diff nope",
    "logs done",
    "logs nope",
    "logs --tail 1 done",
    "rm nope",
    "rm web",
    "rmi nope",
    "start nope",
    "stop nope",
    "kill nope",
    "kill done",
    "kill -s NOPE web",
    "pause nope",
    "pause done",
    "unpause web",
    "restart nope",
    "rename nope x",
    "rename web done",
    "wait nope",
    "exec nope ls",
    "exec done ls",
    "attach nope",
    "attach done",
    "cp nope:/x /tmp",
    "cp web:/nope /tmp",
    "export nope",
    "commit nope",
    "tag nope x",
    "tag busybox UP/case",
    "save nope",
    "volume rm nope",
    "volume create vol1",
    "volume create a/b",
    "events --since 1 --until 2",
    "events --since x",
    "stats --no-stream nope",
    "run",
    "run --name web busybox",
    "run --memory x busybox",
    "run --cpus x busybox",
    "run --restart foo busybox",
    "run --cap-add FOO busybox",
    "run --mount type=foo busybox",
    "run --log-driver nope busybox",
    "run --log-opt nope=1 busybox",
    "run --rm --restart always busybox",
    "nocommand",
    "--foo",
    "volume nocommand",
    "volume update vol1",
    "volume update nope",
    "inspect --type node x",
    "inspect --type plugin x",
    "inspect --type foo x",
    "plugin ls",
    "plugin ls -q --no-trunc",
    "plugin ls --format {{.Foo}}",
    "plugin ls --format table·{{.PluginReference}}·{{.Enabled}}",
    "plugin inspect x",
    "plugin rm x y",
    "plugin enable x",
    "plugin disable x",
    "plugin set x a=b",
    "plugin upgrade x",
    "plugin push x",
    "plugin install x",
    "plugin create x /nonexistent",
    "swarm init",
    "swarm ca",
    "swarm join-token worker",
    "swarm leave -f",
    "swarm unlock",
    "swarm unlock-key -q",
    "node ls",
    "node ps",
    "node inspect x",
    "node rm x",
    "node promote x",
    "node update x",
    "service ls",
    "service create --name a --replicas 3 busybox",
    "service inspect x",
    "service logs x",
    "service ps x",
    "service rm",
    "service scale x=1",
    "service update x",
    "stack ls",
    "stack ps x",
    "stack services x",
    "secret ls -q",
    "secret inspect x",
    "secret rm x",
    "config ls",
    "config inspect x",
    "config rm x",
];

/// What the rows of `system df -v` are shown by.
const OF_USAGE: &[&str] = &[
    "json",
    "{{json .Volumes}} {{json .BuildCache}} {{len .Images}}",
    "{{range .Images}}{{.Repository}}:{{.Tag}} {{.Size}} {{.Digest}}|{{json .}} {{end}}",
    "{{range .Containers}}{{.Names}} {{.State}} {{end}}{{upper \"a\"}}",
    "{{.Foo}}",
    "{{range .Images}}{{.Foo}}{{end}}",
    "{{",
];

/// What the documents of `inspect` are shown by; each for a container that runs and one that ended.
const OF_CONTAINERS: &[&str] = &[
    "{{.Config.ExposedPorts}} {{.Config.Cmd}} {{.Config.Entrypoint}} {{.Config.Volumes}} {{.Config.Shell}}",
    "{{.NetworkSettings.Ports}} {{.NetworkSettings.IPAddress}} {{.NetworkSettings.SecondaryIPAddresses}}",
    "{{.Mounts}} {{.GraphDriver}} {{.ExecIDs}} {{json .ExecIDs}} {{.SizeRw}} {{.Args}}",
    "{{.Config.Healthcheck}} {{.HostConfig.LogConfig}} {{.HostConfig.RestartPolicy}} {{.HostConfig.Ulimits}}",
    "{{.HostConfig.Binds}} {{.HostConfig.PortBindings}} {{.HostConfig.Devices}} {{.HostConfig.Sysctls}}",
    "{{.HostConfig.Init}} {{.HostConfig.ConsoleSize}} {{.HostConfig.NanoCPUs}} {{.HostConfig.MaskedPaths}}",
    "{{.State.Health.Status}} {{.State.Health.FailingStreak}}",
    "{{.Config.Healthcheck.Test}} {{.Config.Healthcheck.Interval}}",
    "{{range .Mounts}}{{.}} {{json .}}{{end}}",
    "{{range $i, $m := .Mounts}}{{$i}} {{$m.Name}}:{{$m.RW}};{{end}}",
    "{{range $k, $v := .Config.Labels}}{{$k}}={{$v}},{{end}}",
    "{{range $p, $c := .Config.ExposedPorts}}{{$p}}{{$c}}{{end}}",
    "{{range $k, $v := .NetworkSettings.Networks}}{{$k}} {{$v.NetworkID}} {{$v.Aliases}}{{end}}",
    "{{range .Config.Env}}{{println .}}{{else}}none{{end}}",
    "{{range .State}}{{.}},{{end}}",
    "{{range $i, $e := split \"a,b\" \",\"}}{{if $i}}, {{end}}{{$e}}{{end}}",
    "{{with .State}}{{.Pid | printf \"%d\"}}{{end}}{{with .State.Error}}x{{else}}y{{end}}",
    "{{if .State.Running}}up{{else if .State.Dead}}dead{{else}}down{{end}}",
    "{{if and .State.Running (eq .Driver \"overlay2\")}}a{{else if not .State.Dead}}b{{end}}",
    "{{index .Config.Env 0}} {{index .Config.Labels \"tier\"}} {{index .Config.Labels \"nope\"}}|",
    "{{.Config.Labels.tier}} {{.Config.Labels.nope}}{{with .Config.Labels.nope}}x{{end}}",
    "{{if .Mounts}}{{(index .Mounts 0).Name}}{{end}} {{len .Mounts}} {{len .Config.Env}} {{len .State}}",
    "{{eq .Name \"/web\" \"/done\"}} {{ne .Name \"x\"}} {{or .Config.Domainname \"none\"}} {{not .State.Running}}",
    "{{gt .RestartCount 1}} {{lt .RestartCount 1}} {{ge .RestartCount 0}} {{le .RestartCount 0}}",
    "{{printf \"%s %v %q %5d|%05d|%-6s|%t\" .Name .Config.Cmd .ID .State.ExitCode 42 \"ab\" .State.Paused}}",
    "{{join .Config.Env \",\"}} {{join .Config.Cmd \"+\" | upper}} {{split .Name \"/\"}}",
    "{{upper .Name | lower | title}} {{pad .Name 2 3}}|{{truncate .Name 2}}{{println .Name .State.ExitCode}}",
    "{{print .Name .State.ExitCode .State.Running}} {{json .State.Running}} {{json .Config.Env}}",
    "{{$x := .State}}{{$x.Status}} {{with $c := .Config}}{{$c.Hostname}}{{$.Name}}{{end}}",
    "{{define \"t\"}}<{{.}}>{{end}}{{template \"t\" .Name}} {{slice .Id 0 12}} {{- .Name -}} x {{/* no */}}",
    "{{html \"<a>\"}} {{js \"'\"}} {{urlquery \"a b\"}} {{\"q\" | printf \"%s!\"}} {{1}} {{1.5}} {{true}}",
    "{{json .HostConfig.RestartPolicy}} {{json .Mounts}} {{json .Config.Labels}} {{json .State}}",
    "{{.ID}} {{json .Config}}",
    "{{.State.Foo}}",
    "{{.Foo.Bar}}",
    "{{.Name.Foo}}",
    "{{.Config.Healthcheck.Foo}}",
    "{{range .Mounts}}{{.Foo}}{{end}}{{.Foo}}",
    "{{nope}}",
    "{{end}}",
    "{{.Name",
    "{{printf \"x}}",
];

/// What other documents are shown by.
const OF_OTHERS: &[(&[&str], &[&str])] = &[
    (
        &["image", "inspect", "busybox", "-f"],
        &[
            "{{.RootFS}} {{.Metadata}} {{.RepoTags}} {{.RepoDigests}} {{.GraphDriver}} {{.Descriptor}}",
            "{{.Config.Env}} {{.Config.Cmd}} {{.Config.ExposedPorts}} {{.Config.Healthcheck}} {{.Config.Shell}}",
            "{{index .RepoTags 0}} {{.Size}} {{.VirtualSize}} {{.Parent}}{{.Author}} {{.Os}}/{{.Architecture}}",
        ],
    ),
    (
        &["volume", "inspect", "vol1", "-f"],
        &["{{.}}", "{{.Labels.a}} {{.Options}} {{.Status}} {{.UsageData}}", "{{json .}}"],
    ),
    (
        &["network", "inspect", "host", "-f"],
        &["{{.}}", "{{.IPAM}} {{.Created}} {{.ConfigFrom}} {{.EnableIPv6}}", "{{.ID}} {{json .}}"],
    ),
    (
        &["info", "-f"],
        &[
            "{{.Swarm}} {{.Plugins}} {{.Runtimes}} {{.RuncCommit}} {{.Labels}} {{.CDISpecDirs}} {{.HTTPProxy}}",
            "{{range .DriverStatus}}{{index . 0}}={{index . 1}};{{end}} {{len .Plugins.Log}} {{.CPUCfsQuota}}",
            "{{range $k, $v := .Runtimes}}{{$k}}:{{$v.Path}},{{end}}",
            "{{json .Swarm}}",
            "{{.Swarm.Foo}}",
        ],
    ),
    (
        &["version", "-f"],
        &[
            "{{.Server}} {{.Server.Platform}} {{.Server.APIVersion}} {{upper .Server.Os}} {{.Client.Context}}",
            "{{range .Server.Components}}{{.Name}} {{.Version}} {{.Details.GitCommit}};{{end}}",
            "{{.Server.Foo}}",
            "{{.Client.Foo}}",
        ],
    ),
    (
        &["events", "--since", "1", "--until", "0s", "--format"],
        &[
            "{{.}}",
            "json",
            "{{json .}}",
            "{{.Type}} {{.Action}} {{.Actor}} {{.Status}} {{.From}} {{.Scope}} {{.Time}} {{.TimeNano}}",
            "{{.Actor.Attributes.name}} {{index .Actor.Attributes \"image\"}} {{json .Actor.Attributes}}",
            "{{range $k, $v := .Actor.Attributes}}{{$k}}={{$v}} {{end}}{{with .Actor}}{{.ID}}{{end}}",
            "{{.Foo}}",
            "{{",
        ],
    ),
    (
        &["stats", "--no-stream", "--format"],
        &[
            "{{.Name}} {{.ID}} {{.Container}} {{.PIDs}} {{.NetIO}}",
            "table {{.Name}}\\t{{.PIDs}}",
            "{{if .Name}}{{upper .Name}}{{end}}",
            "{{.Foo}}",
        ],
    ),
    (&["system", "df", "-v", "--format"], OF_USAGE),
    (
        &["context", "ls", "--format"],
        &[
            "{{.Name}} {{.Current}} {{.DockerEndpoint}} {{.Error}} {{.Description}}",
            "json",
            "table",
            "{{.Foo}}",
        ],
    ),
    (&["context", "inspect", "-f"], &["{{.Name}} {{.Endpoints.docker.Host}}", "{{.}}", "{{.Foo}}"]),
];

/// What they are asked about.
fn furnished() -> Result<Engine> {
    let engine = engine()?;
    let script = "echo a very long command line that is certainly cut; exit 3";
    let web =
        ["run", "-d", "--name", "web", "--label", "tier=front", "--label", "com.x=z", "-v", "vol1:/data"];
    for arguments in [
        &["volume", "create", "--label", "a=b", "vol1"][..],
        &[&web[..], &["-e", "A=b", "--ulimit", "nofile=100", "busybox", "sleep", "10000"]].concat(),
        &["run", "--name", "changed", "busybox", "sh", "-c", "echo x > /new"],
        &["create", "--name", "made", "--network", "host", "busybox"],
    ] {
        engine.docker(arguments).check()?;
    }
    assert_eq!(
        engine
            .docker(&[
                "run",
                "--name",
                "done",
                "--health-cmd",
                "true",
                "-e",
                "A=b",
                "busybox",
                "sh",
                "-c",
                script
            ])
            .status,
        3
    );
    Ok(engine)
}

/// Our own name in the place of docker's, and ages without their number: a second may pass in between.
fn comparable(answer: &Answer) -> (i32, String, String) {
    let stderr = answer.stderr.replace("dhow", "docker");
    (answer.status, ageless(&answer.stdout), stderr)
}

fn ageless(text: &str) -> String {
    let parts = text.split(" second").map(|part| part.trim_end_matches(|c: char| c.is_ascii_digit()));
    parts.collect::<Vec<_>>().join(" second")
}

/// Runs both, and again where the clock may have moved in between; says where they differ.
fn difference(engine: &Engine, arguments: &[&str]) -> Option<String> {
    let mut last = None;
    for _ in 0..3 {
        let (theirs, ours) = (engine.docker(arguments), engine.dhow(arguments));
        let (theirs, ours) = (comparable(&theirs), comparable(&ours));
        if theirs == ours {
            return None;
        }
        last = Some(format!("{arguments:?}\n  docker {theirs:?}\n  dhow   {ours:?}\n"));
    }
    last
}

#[test]
fn every_listing_is_written_as_docker_writes_it() -> Result<()> {
    if docker().is_none() {
        return Ok(());
    }
    let engine = furnished()?;
    let mut differences = Vec::new();
    let mut compare = |listing: &[&str], format: &str| {
        differences.extend(difference(&engine, &[listing, &["--format", format]].concat()));
    };
    for (listing, fields) in LISTINGS {
        let fields: Vec<&str> = fields.split(' ').collect();
        for field in &fields {
            compare(listing, &format!("{{{{.{field}}}}}"));
            compare(listing, &format!("table {{{{.{field}}}}}"));
            compare(listing, &format!("{{{{json .{field}}}}}"));
        }
        for template in TEMPLATES {
            let template = template.replace(".A", &format!(".{}", fields[0]));
            compare(listing, &template.replace(".B", &format!(".{}", fields[1])));
        }
    }
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.concat());
    Ok(())
}

#[test]
fn every_command_says_what_docker_says() -> Result<()> {
    if docker().is_none() {
        return Ok(());
    }
    let engine = furnished()?;
    let compared = COMMANDS.iter().map(|line| line.replace("{{json .Config}}", "{{json·.Config}}"));
    let mut differences = Vec::new();
    for line in compared {
        let words: Vec<String> = line.split(' ').map(|word| word.replace('·', " ")).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        differences.extend(difference(&engine, &words));
    }
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.concat());
    Ok(())
}

#[test]
fn every_document_is_shown_as_docker_shows_it() -> Result<()> {
    if docker().is_none() {
        return Ok(());
    }
    let engine = furnished()?;
    let containers = ["web", "done"].map(|name| ["inspect", name, "-f"]);
    let shown = containers.iter().map(|words| (&words[..], OF_CONTAINERS)).chain(OF_OTHERS.iter().copied());
    let mut differences = Vec::new();
    for (command, templates) in shown {
        let compared = templates.iter().map(|template| [command, &[template]].concat());
        differences.extend(compared.filter_map(|arguments| difference(&engine, &arguments)));
    }
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.concat());
    Ok(())
}

#[test]
fn what_the_client_knows_needs_no_engine() -> Result<()> {
    let Some(docker) = docker() else { return Ok(()) };
    let place = tempfile::tempdir()?;
    let nowhere = format!("unix://{}", place.path().join("none.sock").display());
    let said = |program: &Path, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).env("DOCKER_HOST", &nowhere).env("DOCKER_CONFIG", place.path());
        process::answer(&mut command, b"").map(|answer| (answer.status, answer.stdout, answer.stderr))
    };
    for (arguments, status) in [
        (["info", "-f", "{{.ClientInfo.Context}}"], 0),
        (["info", "-f", "{{.ClientInfo.Debug}} {{.Containers}} {{.ServerVersion}}"], 1),
        (["info", "-f", "{{len .ServerErrors}}"], 1),
        (["version", "-f", "{{.Client.Os}} {{.Client.Context}}"], 1),
    ] {
        let ours = said(&binary()?, &arguments)?;
        assert_eq!(ours, said(&docker, &arguments)?, "{arguments:?}");
        assert_eq!(ours.0, status, "{arguments:?}");
    }
    Ok(())
}
