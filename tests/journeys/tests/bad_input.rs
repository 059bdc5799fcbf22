//! What cannot be meant is refused, by name, and leaves nothing behind.

use anyhow::{Context as _, Result};
use dhow_journeys::engine;
use dhow_testkit::Engine;
use serde_json::{Value, json};

/// Creates and starts: the status of the first that fails, and what it says.
fn run(engine: &Engine, body: &Value) -> Result<(u16, String)> {
    let mut connection = engine.connect()?;
    let created = connection.request("POST", "/containers/create", body)?;
    let said = |body: &[u8]| String::from_utf8_lossy(body).into_owned();
    if created.status != 201 {
        return Ok((created.status, said(&created.body)));
    }
    let id = created.json()?["Id"].as_str().context("no id")?.to_owned();
    let started = connection.request("POST", &format!("/containers/{id}/start"), &Value::Null)?;
    let removed = connection.request("DELETE", &format!("/containers/{id}?force=1&v=1"), &Value::Null)?;
    assert_eq!(removed.status, 204, "{body}");
    Ok((started.status, said(&started.body)))
}

#[test]
fn a_setting_that_cannot_be_is_refused_by_name() -> Result<()> {
    let engine = engine()?;
    for (host, words) in [
        (
            json!({"Mounts": [{"Type": "volume", "Source": "vv", "Target": "/x", "BindOptions": {}}]}),
            "BindOptions must not be specified",
        ),
        (
            json!({"Mounts": [{"Type": "volume", "Source": "vv", "Target": "/x",
                               "VolumeOptions": {"Subpath": "../.."}}]}),
            "subpath must be a relative path within the volume",
        ),
        (
            json!({"Mounts": [{"Type": "volume", "Source": "vv", "Target": "/x",
                               "VolumeOptions": {"Subpath": "/etc"}}]}),
            "subpath must be a relative path within the volume",
        ),
        (
            json!({"Mounts": [{"Type": "volume", "Target": "/x", "VolumeOptions": {"Subpath": "part"}}]}),
            "must not set Subpath when using anonymous volumes",
        ),
        (json!({"Binds": ["/tmp:/x:ro,rw"]}), "invalid mode: ro,rw"),
        (
            json!({"Binds": ["/tmp:/x:nocopy"]}),
            "type \\\"bind\\\": field VolumeOptions must not be specified",
        ),
        (json!({"Binds": ["vv:/x:shared"]}), "type \\\"volume\\\": field BindOptions must not be specified"),
        (json!({"VolumesFrom": ["nobody:nocopy"]}), "invalid mode: nocopy"),
        (json!({"VolumesFrom": [""]}), "volumes-from specification cannot be an empty string"),
        (
            json!({"Devices": [{"PathOnHost": "/etc/passwd", "PathInContainer": "/dev/x"}]}),
            "adding custom device \\\"/etc/passwd\\\": not a device node",
        ),
        (
            json!({"Devices": [{"PathOnHost": "/dev/null", "CgroupPermissions": "z"}]}),
            "invalid permissions of a device: z",
        ),
        (json!({"Mounts": [{"Type": "npipe", "Source": "x", "Target": "/x"}]}), "mount type unknown"),
        (json!({"CpusetCpus": "1-0"}), "Invalid value 1-0 for cpuset cpus"),
        (json!({"CpusetMems": "x"}), "Invalid value x for cpuset mems"),
        (json!({"Binds": ["/tmp:/proc"]}), "/proc cannot be mounted because it is not of type proc"),
        (
            json!({"Mounts": [{"Type": "tmpfs", "Target": "/x", "TmpfsOptions": {"SizeBytes": -5}}]}),
            "invalid size: -5",
        ),
        (
            json!({"Binds": ["named:/x"], "VolumeDriver": "nope"}),
            "create named: error looking up volume plugin nope: plugin \\\"nope\\\" not found",
        ),
        (json!({"Binds": ["/etc/passwd:/bin"]}), "not a directory: unknown: Are you trying to mount"),
        (json!({"Tmpfs": {"/proc": ""}}), "/proc cannot be mounted because it is not of type proc"),
    ] {
        let (status, said) = run(&engine, &json!({"Image": "busybox", "Cmd": ["true"], "HostConfig": host}))?;
        assert!(status == 400 && said.contains(words), "{host}: {status} {said}");
    }
    Ok(())
}

/// Clients of the API can ask for what no command line lets through.
#[test]
fn a_variable_without_a_name_is_refused() -> Result<()> {
    let engine = engine()?;
    for odd in ["", "=", "=x"] {
        let (status, said) = run(&engine, &json!({"Image": "busybox", "Env": ["A=b", odd]}))?;
        assert!(status == 400 && said.contains(&format!("invalid environment variable: {odd}\"")), "{said}");
    }
    engine.docker(&["run", "-d", "--name", "up", "busybox", "sleep", "1000"]).ok();
    let mut connection = engine.connect()?;
    for (odd, wanted) in [("=x", 400), ("=", 400), ("", 201), ("A", 201), ("A=", 201)] {
        let body = json!({"Cmd": ["true"], "Env": [odd]});
        let answer = connection.request("POST", "/containers/up/exec", &body)?;
        assert_eq!(answer.status, wanted, "{odd}: {}", String::from_utf8_lossy(&answer.body));
    }
    Ok(())
}

/// What would be seen in a container is what the mount passes on that its source is on.
#[test]
fn a_mount_that_is_passed_on_to_nobody_is_not_shared() -> Result<()> {
    let engine = engine()?;
    let directory = engine.scratch().join("source");
    std::fs::create_dir(&directory)?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    if mounts.lines().any(|line| line.contains(" shared:") || line.contains(" master:")) {
        eprintln!("not tried: this host's mounts are passed on");
        return Ok(());
    }
    for (propagation, words) in
        [("rshared", "but it is not a shared mount"), ("slave", "but it is not a shared or slave mount")]
    {
        let bind = format!("{}:/x:{propagation}", directory.display());
        let refused = engine.docker(&["run", "--rm", "-v", &bind, "busybox", "true"]);
        let path = format!("path {} is mounted on /", directory.display());
        let told = refused.stderr.contains(&path) && refused.stderr.contains(words);
        assert!(refused.status == 125 && told, "{refused:?}");
    }
    let bind = format!("{}:/x:rprivate", directory.display());
    engine.docker(&["run", "--rm", "-v", &bind, "busybox", "true"]).ok();
    Ok(())
}

#[test]
fn a_part_of_a_volume_that_is_not_there_is_named() -> Result<()> {
    let engine = engine()?;
    let mount = "type=volume,src=data,dst=/x,volume-subpath=nope";
    let refused = engine.docker(&["run", "--rm", "--mount", mount, "busybox", "true"]);
    let told =
        refused.stderr.contains("cannot access path") && refused.stderr.contains("/nope: no such file");
    assert!(refused.status == 127 && told, "{refused:?}");
    Ok(())
}

/// Whoever writes in a volume makes the links in it: they lead nowhere outside.
#[test]
fn keys_that_are_none_are_refused_before_anything_runs() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["run", "-d", "--name", "up", "--network", "none", "busybox", "sleep", "1000"]).ok();
    let body = json!({"Cmd": ["true"], "DetachKeys": "ctrl-nope"});
    let answer = engine.connect()?.request("POST", "/containers/up/exec", &body)?;
    let said = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(answer.status == 400 && said.contains("Invalid escape keys (ctrl-nope) provided"), "{said}");
    Ok(())
}

#[test]
fn a_part_of_a_volume_is_found_inside_of_it() -> Result<()> {
    let engine = engine()?;
    let script =
        "mkdir -p /v/part; echo inside > /v/part/file; ln -s /etc /v/out; ln -s ../../../../etc /v/up";
    engine.docker(&["run", "--rm", "-v", "parts:/v", "busybox", "sh", "-c", script]).ok();
    let mount = |below: &str| format!("type=volume,source=parts,target=/x,volume-subpath={below}");
    let shown = engine.docker(&["run", "--rm", "--mount", &mount("part"), "busybox", "cat", "/x/file"]);
    assert_eq!(shown.ok(), "inside");
    for outside in ["out", "up", "nothing"] {
        let shown = engine.docker(&["run", "--rm", "--mount", &mount(outside), "busybox", "ls", "/x"]);
        assert_ne!(shown.status, 0, "{}", shown.stdout);
    }
    Ok(())
}

#[test]
fn an_image_is_not_called_like_a_digest() -> Result<()> {
    let engine = engine()?;
    let tagged = engine.docker(&["tag", "busybox", "sha256:abc"]);
    assert_ne!(tagged.status, 0);
    assert!(tagged.stderr.contains("ambiguous tag"), "{}", tagged.stderr);
    Ok(())
}

#[test]
fn an_engine_whose_directories_are_relative_runs_containers() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let script = directory.path().join("relative");
    let text = format!(
        "#!/bin/sh\ncd {0}\nexec {1} \"$@\" --config-file {0}/none.json\n",
        directory.path().display(),
        dhow_testkit::engine::binary()?.display()
    );
    std::fs::write(directory.path().join("none.json"), "{}")?;
    std::fs::write(
        &script,
        text.replace("\"$@\"", "$(echo \"$@\" | sed 's,--data-root [^ ]*,--data-root data,')"),
    )?;
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let engine = Engine::start_binary(&script, &[])?;
    engine.import_busybox()?;
    engine.docker(&["run", "--name", "one", "busybox", "echo", "hi"]).ok();
    assert_eq!(engine.docker(&["logs", "one"]).ok(), "hi");
    assert!(directory.path().join("data/containers").is_dir());
    Ok(())
}

/// What is undone is what was made for it: not the data of another.
#[test]
fn a_container_that_cannot_be_created_takes_no_volume_of_another_with_it() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["create", "--name", "owner", "-v", "/data", "busybox"]).ok();
    let volumes = |engine: &Engine| engine.docker(&["volume", "ls", "-q"]).stdout;
    let before = volumes(&engine);
    let body = json!({
        "Image": "busybox",
        "HostConfig": {"VolumesFrom": ["owner"], "Mounts": [
            {"Type": "volume", "Target": "/new"},
            {"Type": "bind", "Source": "/no/such/place", "Target": "/z"}
        ]}
    });
    let (status, said) = run(&engine, &body)?;
    assert!(status == 400 && said.contains("does not exist"), "{status} {said}");
    assert_eq!(volumes(&engine), before);
    Ok(())
}

#[test]
fn a_platform_that_is_none_is_refused_in_dockers_words() -> Result<()> {
    let engine = engine()?;
    for (platform, status, words) in [
        ("foo", 400, "\\\"foo\\\": unknown operating system or architecture: invalid argument"),
        ("linux%2F", 400, "platform specifier component must match"),
        ("a%2Fb%2Fc%2Fd", 400, "cannot parse platform specifier"),
        ("windows%2Famd64", 404, "does not provide the specified platform (windows/amd64)"),
    ] {
        let path = format!("/containers/create?platform={platform}");
        let answer = engine.connect()?.request("POST", &path, &json!({"Image": "busybox"}))?;
        let said = String::from_utf8_lossy(&answer.body);
        assert!(answer.status == status && said.contains(words), "{platform}: {} {said}", answer.status);
    }
    Ok(())
}

#[test]
fn an_older_client_creates_in_one_network_alone() -> Result<()> {
    let engine = engine()?;
    let networks = json!({"EndpointsConfig": {"bridge": {}, "other": {}}});
    let body = json!({"Image": "busybox", "NetworkingConfig": networks});
    let answer = engine.connect()?.request("POST", "/v1.43/containers/create", &body)?;
    let said = String::from_utf8_lossy(&answer.body);
    let words = "Container cannot be created with multiple network endpoints: bridge, other";
    assert!(answer.status == 400 && said.contains(words), "{said}");
    Ok(())
}

/// What the machine cannot give is told, and what there is is given.
#[test]
fn a_limit_that_cannot_be_had_is_told_and_lowered() -> Result<()> {
    let engine = engine()?;
    let run = engine.docker(&[
        "run",
        "--rm",
        "--network",
        "none",
        "--ulimit",
        "nofile=9000000000",
        "busybox",
        "sh",
        "-c",
        "ulimit -Hn",
    ]);
    let most: u64 = run.ok().trim().parse()?;
    let told = format!("Ulimit nofile of 9000000000 cannot be had here. It is {most}.");
    assert!(run.stderr.contains(&told), "{}", run.stderr);
    let body = json!({"Image": "busybox", "HostConfig": {"KernelMemory": 1, "CpuPercent": 5}});
    let created = engine.connect()?.request("POST", "/v1.41/containers/create", &body)?.json()?;
    assert_eq!(created["Warnings"].as_array().map(Vec::len), Some(2), "{created}");
    Ok(())
}

/// Docker makes the working directory when the container is created.
#[test]
fn a_working_directory_is_made_at_once_and_is_no_file() -> Result<()> {
    let engine = engine()?;
    for (directory, words) in [
        ("/etc/passwd", "Cannot mkdir: /etc/passwd is not a directory"),
        ("/etc/passwd/below", "Cannot mkdir: /etc/passwd/below is not a directory"),
    ] {
        for _ in 0..2 {
            let body = json!({"Image": "busybox", "WorkingDir": directory});
            let answer = engine.connect()?.request("POST", "/containers/create", &body)?;
            assert_eq!((answer.status, answer.json()?), (500, json!({"message": words})));
        }
    }
    assert_eq!(engine.docker(&["ps", "-aq"]).ok(), "");
    engine.docker(&["create", "--name", "new", "-w", "/srv/./new/../app", "busybox", "pwd"]).ok();
    assert_eq!(engine.docker(&["diff", "new"]).ok(), "A /srv\nA /srv/app");
    assert_eq!(engine.docker(&["start", "-a", "new"]).ok(), "/srv/app");
    for name in ["one", "two"] {
        engine.docker(&["create", "--name", name, "-w", "/etc", "busybox", "pwd"]).ok();
        assert_eq!(engine.docker(&["diff", name]).ok(), "");
    }
    Ok(())
}

/// Where a body goes, what it is, and what is said of it.
const WRONG_BODIES: [(&str, &str, &str); 11] = [
    (
        "/containers/create",
        r#"{"Image": "busybox", "HostConfig": {"Memory": "5"}}"#,
        "invalid JSON: json: cannot unmarshal string into Go struct field HostConfig.HostConfig.Memory of type int64",
    ),
    (
        "/containers/create",
        r#"{"Image": "busybox", "Tty": 1}"#,
        "invalid JSON: json: cannot unmarshal number into Go struct field CreateRequest.Tty of type bool",
    ),
    (
        "/containers/create",
        r#"{"Image": "busybox", "NetworkingConfig": {"EndpointsConfig": {"a": {"Links": 5}}}}"#,
        "invalid JSON: json: cannot unmarshal number into Go struct field \
                 EndpointSettings.NetworkingConfig.EndpointsConfig.Links of type []string",
    ),
    (
        "/containers/create",
        "[]",
        "invalid JSON: json: cannot unmarshal array into Go value of type container.CreateRequest",
    ),
    ("/containers/create", "{", "invalid JSON: unexpected EOF"),
    ("/containers/create", "{} {}", "unexpected content after JSON"),
    (
        "/containers/create",
        "{'a'}",
        "invalid JSON: invalid character '\\'' looking for beginning of object key string",
    ),
    (
        "/containers/there/update",
        r#"{"PidsLimit": true}"#,
        "invalid JSON: json: cannot unmarshal bool into Go struct field UpdateConfig.PidsLimit of type int64",
    ),
    (
        "/containers/there/exec",
        r#"{"Privileged": "yes"}"#,
        "invalid JSON: json: cannot unmarshal string into Go struct field ExecCreateRequest.Privileged of type bool",
    ),
    (
        "/networks/create",
        r#"{"Name": "a", "IPAM": {"Config": {}}}"#,
        "invalid JSON: json: cannot unmarshal object into Go struct field IPAM.IPAM.Config of type []network.IPAMConfig",
    ),
    (
        "/volumes/create",
        r#"{"labels": ["a"]}"#,
        "invalid JSON: json: cannot unmarshal array into Go struct field CreateRequest.Labels of type map[string]string",
    ),
];

/// What is no JSON, or of another type than Docker's, is told in the words of Go's decoder.
#[test]
fn a_body_that_cannot_be_read_is_told_in_gos_words() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["create", "--name", "there", "busybox"]).ok();
    for (path, body, words) in WRONG_BODIES {
        let answer = engine.connect()?.request_bytes("POST", path, "application/json", body.as_bytes())?;
        assert_eq!((answer.status, answer.json()?), (400, json!({"message": words})), "{path} {body}");
    }
    Ok(())
}

/// What is no tar is found out while it is unpacked, which Docker takes for a failure of its own.
#[test]
fn what_is_no_tar_is_told_as_docker_tells_it() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["create", "--name", "there", "busybox"]).ok();
    let mut cut = vec![0_u8; 300];
    cut[0] = b'a';
    let garbage = b"garbage".repeat(200);
    for (body, words) in [(&garbage, "archive/tar: invalid tar header"), (&cut, "unexpected EOF")] {
        for (method, path) in
            [("POST", "/images/create?fromSrc=-&repo=none"), ("PUT", "/containers/there/archive?path=/tmp")]
        {
            let answer = engine.connect()?.request_bytes(method, path, "application/x-tar", body)?;
            let told = answer.json()?["message"].as_str().unwrap_or_default().to_owned();
            assert!(answer.status == 500 && told.starts_with(words), "{path}: {} {told}", answer.status);
        }
        let path = "/images/load?quiet=1";
        let answer = engine.connect()?.request_bytes("POST", path, "application/x-tar", body)?;
        let told = answer.json()?["error"].as_str().unwrap_or_default().to_owned();
        assert!(answer.status == 200 && told.contains(words), "{} {told}", answer.status);
    }
    let below = "/containers/there/archive?path=/etc/passwd/x";
    for method in ["GET", "PUT"] {
        let answer = engine.connect()?.request_bytes(method, below, "application/x-tar", &[0; 1024])?;
        let told = json!({"message": "lstat /etc/passwd/x: not a directory"});
        assert_eq!((answer.status, answer.json()?), (500, told), "{method}");
    }
    assert_eq!(engine.docker(&["images", "-q", "none"]).ok(), "");
    Ok(())
}

#[test]
fn modes_and_settings_are_refused_in_dockers_words() -> Result<()> {
    let engine = engine()?;
    let long = "x".repeat(65);
    for (body, words) in [
        (json!({"HostConfig": {"IpcMode": "x"}}), "invalid IPC mode: x".to_owned()),
        (json!({"HostConfig": {"PidMode": "private"}}), "invalid PID mode: private".to_owned()),
        (json!({"HostConfig": {"UTSMode": "x"}}), "invalid UTS mode: x".to_owned()),
        (json!({"HostConfig": {"CgroupnsMode": "x"}}), "invalid cgroup namespace mode: x".to_owned()),
        (json!({"HostConfig": {"UsernsMode": "auto"}}), "invalid userns mode: auto".to_owned()),
        (json!({"HostConfig": {"SecurityOpt": ["x"]}}), "invalid --security-opt 1: \"x\"".to_owned()),
        (json!({"HostConfig": {"SecurityOpt": ["x=y"]}}), "invalid --security-opt 2: \"x=y\"".to_owned()),
        (json!({"HostConfig": {"ExtraHosts": ["x:y"]}}), "invalid IP address in add-host: \"y\"".to_owned()),
        (json!({"HostConfig": {"ExtraHosts": [":1"]}}), "bad format for add-host: \":1\"".to_owned()),
        (
            json!({"HostConfig": {"CpusetCpus": "x"}}),
            "Invalid value x for cpuset cpus: invalid format: x".to_owned(),
        ),
        (json!({"Hostname": long}), format!("hostname \"{long}\" is too long (maximum 64 bytes)")),
    ] {
        let mut body = body;
        body["Image"] = json!("busybox");
        let answer = engine.connect()?.request("POST", "/containers/create", &body)?;
        assert_eq!((answer.status, answer.json()?), (400, json!({"message": words})));
    }
    for served in
        [json!({"Image": "busybox", "HostConfig": {"UsernsMode": "private"}}), json!({"Cmd": ["true"]})]
    {
        let answer = engine.connect()?.request("POST", "/containers/create", &served)?;
        assert_eq!(answer.status, 201, "{served}");
    }
    Ok(())
}
