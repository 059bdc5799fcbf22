//! Volumes: what they stand for, who uses them, and what is done with them as a whole.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use dhow_journeys::engine;
use dhow_testkit::{Engine, until};

/// Where the host sees a volume's files.
fn place(engine: &Engine, name: &str) -> PathBuf {
    PathBuf::from(engine.docker(&["volume", "inspect", "-f", "{{.Mountpoint}}", name]).ok())
}

/// Whether a file system is mounted there.
fn is_mounted(engine: &Engine, name: &str) -> Result<bool> {
    let place = place(engine, name);
    let parent = place.parent().unwrap_or(&place);
    Ok(std::fs::metadata(&place)?.dev() != std::fs::metadata(parent)?.dev())
}

#[test]
fn a_volume_in_memory_is_shared_and_goes_with_its_last_container() -> Result<()> {
    let mut engine = engine()?;
    let options = ["-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m,mode=700"];
    engine.docker(&[&["volume", "create"], &options[..], &["memory"]].concat()).ok();
    assert!(!is_mounted(&engine, "memory")?);
    for name in ["one", "two"] {
        engine.docker(&["run", "-d", "--name", name, "-v", "memory:/m", "busybox", "sleep", "1000"]).ok();
    }
    assert!(is_mounted(&engine, "memory")?);
    engine.docker(&["exec", "one", "sh", "-c", "echo shared > /m/file"]).ok();
    assert_eq!(engine.docker(&["exec", "two", "cat", "/m/file"]).ok(), "shared");
    let full = engine.docker(&["exec", "one", "dd", "if=/dev/zero", "of=/m/large", "bs=1M", "count=2"]);
    assert!(full.stderr.contains("No space left on device"), "{}", full.stderr);
    engine.docker(&["rm", "-f", "one"]).ok();
    // An engine that takes over finds it as it is.
    engine.kill()?;
    engine.launch()?;
    assert_eq!(engine.docker(&["exec", "two", "cat", "/m/file"]).ok(), "shared");
    let refused = engine.docker(&["volume", "rm", "memory"]);
    assert!(refused.stderr.contains("volume is in use"), "{}", refused.stderr);
    engine.docker(&["kill", "two"]).ok();
    engine.docker(&["wait", "two"]).ok();
    // A moment after the end is on record.
    until("it is unmounted", || is_mounted(&engine, "memory").is_ok_and(|mounted| !mounted))?;
    engine.docker(&["start", "two"]).ok();
    assert_eq!(engine.docker(&["exec", "two", "ls", "/m"]).ok(), "");
    engine.docker(&["rm", "-f", "two"]).ok();
    engine.docker(&["volume", "rm", "memory"]).ok();
    Ok(())
}

#[test]
fn what_a_dead_engine_left_mounted_and_nobody_uses_is_unmounted() -> Result<()> {
    let mut engine = engine()?;
    let options = ["-o", "type=tmpfs", "-o", "device=tmpfs"];
    engine.docker(&[&["volume", "create"], &options[..], &["memory"]].concat()).ok();
    engine.docker(&["run", "-d", "--name", "one", "-v", "memory:/m", "busybox", "sleep", "2"]).ok();
    let process = format!("/proc/{}", engine.inspect("one", "{{.State.Pid}}"));
    engine.kill()?;
    while std::fs::exists(&process)? {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    engine.launch()?;
    engine.docker(&["wait", "one"]).ok();
    assert!(!is_mounted(&engine, "memory")?);
    Ok(())
}

#[test]
fn a_volume_that_is_a_directory_of_the_host_is_that_and_is_not_deleted() -> Result<()> {
    let engine = engine()?;
    let source = engine.scratch().join("source");
    std::fs::create_dir(&source)?;
    std::fs::write(source.join("file"), "kept")?;
    let device = format!("device={}", source.display());
    let create = |name: &str, how: &str| {
        engine.docker(&["volume", "create", "-o", "type=none", "-o", how, "-o", &device, name]).ok();
    };
    create("bound", "o=bind");
    create("sealed", "o=bind,ro");
    let run = |arguments: &[&str]| engine.docker(&[&["run", "--rm"], arguments].concat());
    assert_eq!(run(&["-v", "bound:/b", "busybox", "cat", "/b/file"]).ok(), "kept");
    run(&["-v", "bound:/b", "busybox", "touch", "/b/new"]).ok();
    assert!(source.join("new").exists());
    let refused = run(&["-v", "sealed:/b", "busybox", "touch", "/b/other"]);
    assert!(refused.stderr.contains("Read-only file system"), "{}", refused.stderr);
    // Files are copied to where they will be, also of a container that does not run.
    engine.docker(&["create", "--name", "still", "-v", "bound:/b", "busybox"]).ok();
    let copied = engine.scratch().join("copied");
    std::fs::write(&copied, "by copy")?;
    engine.docker(&["cp", &copied.display().to_string(), "still:/b/copied"]).ok();
    assert_eq!(std::fs::read_to_string(source.join("copied"))?, "by copy");
    assert!(!is_mounted(&engine, "bound")?);
    engine.docker(&["rm", "still"]).ok();
    engine.docker(&["volume", "prune", "-af"]).ok();
    assert_eq!(std::fs::read_to_string(source.join("file"))?, "kept");
    Ok(())
}

#[test]
fn a_mounted_volume_that_is_empty_begins_with_what_the_image_has() -> Result<()> {
    let engine = engine()?;
    let volume = "type=volume,source=begins,target=/etc,volume-driver=local,volume-opt=type=tmpfs,\
        volume-opt=device=tmpfs";
    let shown = engine.docker(&["run", "--rm", "--mount", volume, "busybox", "cat", "/etc/group"]);
    assert!(shown.ok().starts_with("root:x:0:"), "{}", shown.stdout);
    Ok(())
}

#[test]
fn what_cannot_be_mounted_is_told() -> Result<()> {
    let engine = engine()?;
    let create = |options: &[&str]| {
        let options: Vec<&str> = options.iter().flat_map(|option| ["-o", option]).collect();
        engine.docker(&[&["volume", "create"], &options[..], &["wrong"]].concat())
    };
    for (options, words) in [
        (&["bogus=1"][..], "create wrong: invalid option: \"bogus\""),
        (&["type=nfs"], "create wrong: missing required option: \"device\""),
        (&["device=/x"], "create wrong: missing required option: \"type\""),
        (&["size=10m"], "create wrong: quota size requested but no quota support"),
        (&["size=ten"], "create wrong: invalid size: 'ten'"),
    ] {
        let refused = create(options);
        assert!(refused.status != 0 && refused.stderr.contains(words), "{options:?}: {}", refused.stderr);
    }
    for (options, words) in [
        (["type=none", "o=bind", "device=/no/such/place"], "no such file or directory"),
        (["type=nosuchfs", "o=password=secret,x=1", "device=//192.0.2.1/x"], "no such device"),
        (["type=tmpfs", "o=bogus=1", "device=tmpfs"], "data: bogus=1: invalid argument"),
        (
            ["type=nfs", "o=addr=no.such.host.invalid", "device=:/srv"],
            "error resolving passed in network volume address: lookup no.such.host.invalid: ",
        ),
    ] {
        create(&options).ok();
        let refused = engine.docker(&["run", "--name", "user", "-v", "wrong:/w", "busybox", "true"]);
        let begin = "error while mounting volume '";
        assert!(refused.stderr.contains(begin) && refused.stderr.contains(words), "{}", refused.stderr);
        assert!(!refused.stderr.contains("secret"), "{}", refused.stderr);
        engine.docker(&["rm", "user"]).ok();
        engine.docker(&["volume", "rm", "wrong"]).ok();
    }
    Ok(())
}

/// Writes files of many kinds into a volume.
fn fill(engine: &Engine, volume: &str) {
    let script = "cd /v; echo one > file; chmod 640 file; chown 7:8 file; ln file hard; ln -s /etc/passwd soft; \
        mkdir -m 1777 dir; mkfifo dir/pipe; touch -d @1000000000 dir/old; chown 5:6 /v; chmod 750 /v";
    engine.docker(&["run", "--rm", "-v", &format!("{volume}:/v"), "busybox", "sh", "-c", script]).ok();
}

/// What is in a volume, as `ls` shows it.
fn listing(engine: &Engine, volume: &str) -> String {
    let script = "cd /v; stat -c '%n %F %a %u %g %h' . file hard soft dir dir/pipe dir/old; cat file; \
        readlink soft; stat -c %Y dir/old";
    let mount = format!("{volume}:/v");
    engine.docker(&["run", "--rm", "-v", &mount, "busybox", "sh", "-c", script]).ok().to_owned()
}

#[test]
fn a_volume_is_cloned_kept_and_carried_elsewhere_with_all_that_it_has() -> Result<()> {
    let engine = engine()?;
    fill(&engine, "first");
    let wanted = listing(&engine, "first");
    assert!(wanted.starts_with(". directory 750 5 6 3\nfile regular file 640 7 8 2\n"), "{wanted}");
    assert_eq!(engine.dhow(&["volume", "clone", "first", "second"]).ok(), "second");
    assert_eq!(listing(&engine, "second"), wanted);
    let kept = engine.dhow(&["volume", "snapshot", "first"]).ok().to_owned();
    assert!(kept.starts_with("first-2"), "{kept}");
    engine.docker(&["run", "--rm", "-v", "first:/v", "busybox", "sh", "-c", "echo two > /v/file"]).ok();
    assert_eq!(listing(&engine, &kept), wanted);
    let archive = engine.scratch().join("first.tar").display().to_string();
    engine.dhow(&["volume", "export", "-o", &archive, &kept]).ok();
    assert_eq!(engine.dhow(&["volume", "import", "third", &archive]).ok(), "third");
    assert_eq!(listing(&engine, "third"), wanted);
    // Over what is there.
    engine.dhow(&["volume", "import", "first", &archive]).ok();
    assert_eq!(listing(&engine, "first"), wanted);
    let status = engine.docker(&["volume", "inspect", "-f", "{{json .Status}}", &kept]).ok().to_owned();
    assert_eq!(status, r#"{"Origin":"first","ReadOnly":true}"#);
    engine.docker(&["create", "-v", "first:/v", "busybox"]).ok();
    let format = "{{.UsageData.RefCount}} {{gt .UsageData.Size 0}}";
    assert_eq!(engine.dhow(&["volume", "inspect", "-s", "-f", format, "first"]).ok(), "1 true");
    Ok(())
}

#[test]
fn nobody_writes_in_a_snapshot() -> Result<()> {
    let mut engine = engine()?;
    fill(&engine, "first");
    engine.dhow(&["volume", "snapshot", "first", "kept"]).ok();
    engine.kill()?;
    engine.launch()?;
    let refused = engine.docker(&["run", "--rm", "-v", "kept:/v:rw", "busybox", "touch", "/v/new"]);
    assert!(refused.stderr.contains("Read-only file system"), "{}", refused.stderr);
    engine.docker(&["create", "--name", "has", "-v", "kept:/v", "busybox"]).ok();
    assert_eq!(engine.inspect("has", "{{(index .Mounts 0).RW}}"), "false");
    let refused = engine.docker(&["cp", "/etc/hostname", "has:/v/new"]);
    assert!(refused.stderr.contains("marked read-only"), "{}", refused.stderr);
    let archive = engine.scratch().join("kept.tar").display().to_string();
    engine.dhow(&["volume", "export", "-o", &archive, "kept"]).ok();
    let refused = engine.dhow(&["volume", "import", "kept", &archive]);
    assert!(refused.stderr.contains("volume is a snapshot"), "{}", refused.stderr);
    engine.dhow(&["volume", "clone", "kept", "again"]).ok();
    engine.docker(&["run", "--rm", "-v", "again:/v", "busybox", "touch", "/v/new"]).ok();
    Ok(())
}

#[test]
fn a_volume_gets_another_name_when_nobody_has_it() -> Result<()> {
    let mut engine = engine()?;
    fill(&engine, "old");
    let wanted = listing(&engine, "old");
    engine.docker(&["create", "--name", "has", "-v", "old:/v", "busybox"]).ok();
    let refused = engine.dhow(&["volume", "rename", "old", "new"]);
    assert!(refused.stderr.contains("rename old: volume is in use - ["), "{}", refused.stderr);
    engine.docker(&["rm", "has"]).ok();
    engine.docker(&["volume", "create", "other"]).ok();
    for (from, to, words) in [
        ("old", "other", "volume other already exists"),
        ("none", "new", "get none: no such volume"),
        ("old", "a/b", "includes invalid characters for a local volume name"),
    ] {
        let refused = engine.dhow(&["volume", "rename", from, to]);
        assert!(refused.status != 0 && refused.stderr.contains(words), "{}", refused.stderr);
    }
    engine.dhow(&["volume", "rename", "old", "new"]).ok();
    engine.kill()?;
    engine.launch()?;
    assert_eq!(engine.docker(&["volume", "ls", "-q"]).ok(), "new\nother");
    assert_eq!(listing(&engine, "new"), wanted);
    engine.dhow(&["system", "check"]).ok();
    Ok(())
}

#[test]
fn an_archive_that_lies_leads_nowhere_and_leaves_no_new_volume() -> Result<()> {
    let engine = engine()?;
    let scratch = engine.scratch().to_owned();
    let outside = scratch.join("outside");
    std::fs::create_dir(&outside)?;
    let archive = scratch.join("lies.tar");
    let mut tar = tar_of(&[("link", Some(outside.to_str().unwrap_or_default())), ("link/file", None)])?;
    std::fs::write(&archive, &tar)?;
    let archive = archive.display().to_string();
    let refused = engine.dhow(&["volume", "import", "lies", &archive]);
    assert!(!outside.join("file").exists());
    println!("{} {}", refused.status, refused.stderr);
    tar.truncate(700);
    std::fs::write(&archive, &tar)?;
    assert_ne!(engine.dhow(&["volume", "import", "cut", &archive]).status, 0);
    assert!(!engine.docker(&["volume", "ls", "-q"]).ok().contains("cut"));
    Ok(())
}

#[test]
fn an_import_over_what_is_there_is_whole_or_nothing() -> Result<()> {
    const FILES: usize = 20_000;
    let mut engine = engine()?;
    fill(&engine, "first");
    let before = listing(&engine, "first");
    let names: Vec<String> = (0..FILES).map(|number| format!("new{number}")).collect();
    let entries: Vec<(&str, Option<&str>)> = names.iter().map(|name| (name.as_str(), None)).collect();
    let tar = tar_of(&entries)?;
    let archive = engine.scratch().join("many.tar").display().to_string();
    std::fs::write(&archive, &tar[..tar.len() / 2])?;
    assert_ne!(engine.dhow(&["volume", "import", "first", &archive]).status, 0);
    assert_eq!(listing(&engine, "first"), before, "of an archive that is cut off");

    std::fs::write(&archive, &tar)?;
    let (staging, data) = (engine.data().join("staging"), engine.data().join("volumes/first/data"));
    let has_begun = || {
        let stages = std::fs::read_dir(&staging).into_iter().flatten().flatten();
        stages.into_iter().any(|stage| stage.path().join("volume/data/new0").exists())
    };
    let pid = engine.pid().context("no engine")?.to_string();
    std::thread::scope(|scope| -> Result<()> {
        scope.spawn(|| engine.dhow(&["volume", "import", "first", &archive]));
        until("it has begun", has_begun)?;
        dhow_testkit::process::must(std::process::Command::new("kill").args(["-9", &pid])).map(drop)
    })?;
    assert!(!data.join("new0").exists() && data.join("file").exists(), "a killed engine left a part");
    engine.kill()?;
    engine.launch()?;
    assert_eq!(listing(&engine, "first"), before);
    engine.dhow(&["volume", "import", "first", &archive]).ok();
    assert!(names.iter().all(|name| data.join(name).exists()) && data.join("file").exists());
    engine.dhow(&["system", "check"]).ok();
    Ok(())
}

/// Who uses a volume sees what is imported: its data are not exchanged beneath it.
#[test]
fn who_uses_a_volume_sees_what_is_imported() -> Result<()> {
    let engine = engine()?;
    engine
        .docker(&["run", "-d", "--init", "--name", "user", "-v", "first:/v", "busybox", "sleep", "1000"])
        .ok();
    let archive = engine.scratch().join("one.tar");
    std::fs::write(&archive, tar_of(&[("new", None)])?)?;
    let import = ["volume", "import", "first", &archive.display().to_string()];
    engine.dhow(&import).ok();
    engine.docker(&["exec", "user", "test", "-e", "/v/new"]).ok();
    engine.docker(&["stop", "-t", "0", "user"]).ok();
    engine.dhow(&import).ok();
    engine.docker(&["start", "user"]).ok();
    engine.docker(&["exec", "user", "test", "-e", "/v/new"]).ok();
    Ok(())
}

/// Links, where there is something to link to, and files.
fn tar_of(entries: &[(&str, Option<&str>)]) -> Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, target) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(if target.is_some() { 0 } else { 600 });
        match target {
            Some(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                builder.append_link(&mut header, name, target)?;
            }
            None => builder.append_data(&mut header, name, &[7_u8; 600][..])?,
        }
    }
    Ok(builder.into_inner()?)
}

/// A program that always has two files of the same contents is not caught between them.
#[test]
fn a_snapshot_shows_one_moment() -> Result<()> {
    let engine = engine()?;
    let script = "n=0; while :; do n=$((n+1)); echo $n > /v/a; cp /v/a /v/b; done";
    engine.docker(&["run", "-d", "--name", "writes", "-v", "busy:/v", "busybox", "sh", "-c", script]).ok();
    for number in 0..3 {
        let name = format!("kept{number}");
        engine.dhow(&["volume", "snapshot", "busy", &name]).ok();
        assert_eq!(engine.inspect("writes", "{{.State.Status}}"), "running");
    }
    let refused = engine.docker(&["volume", "rm", "busy"]);
    assert!(refused.stderr.contains("volume is in use"), "{}", refused.stderr);
    engine.docker(&["rm", "-f", "writes"]).ok();
    engine.docker(&["volume", "prune", "-af"]).ok();
    assert_eq!(engine.docker(&["volume", "ls", "-q"]).ok(), "");
    Ok(())
}

/// Files of a user of the host are the container's user's, and what that one makes is the host's user's again.
#[test]
fn owners_of_a_bind_are_seen_as_the_containers_user_and_back() -> Result<()> {
    let engine = engine()?;
    let source = engine.scratch().join("home");
    std::fs::create_dir(&source)?;
    let own = |name: &str, user: u32, group: u32| -> Result<()> {
        let path = source.join(name);
        if name != "." {
            std::fs::write(&path, name)?;
        }
        Ok(std::os::unix::fs::chown(path, Some(user), Some(group))?)
    };
    own(".", 1000, 100)?;
    own("mine", 1000, 100)?;
    own("roots", 0, 0)?;
    own("others", 33, 33)?;
    let script = "cd /h; stat -c '%u.%g' . mine roots others; touch new-$1";
    let run = |user: &str, option: &str, name: &str| {
        let mount = format!("{}:/h:{option}", source.display());
        let arguments = ["run", "--rm", "-u", user, "-v", &mount, "busybox", "sh", "-c", script, "sh", name];
        engine.docker(&arguments).ok().replace('\n', " ")
    };
    assert_eq!(run("0", "idmap", "a"), "0.0 0.0 65534.65534 33.33");
    assert_eq!(run("7:8", "idmap", "b"), "7.8 7.8 0.0 33.33");
    assert_eq!(run("999:999", "idmap=999", "c"), "999.999 999.999 0.0 33.33");
    assert_eq!(run("5:6", "idmap=uids=1000-5-1;gids=100-6-1", "d"), "5.6 5.6 65534.65534 65534.65534");
    for name in ["a", "b", "c", "d"] {
        let made = std::fs::metadata(source.join(format!("new-{name}")))?;
        assert_eq!((made.uid(), made.gid()), (1000, 100), "{name}");
    }
    let mount = format!("type=bind,src={},dst=/h,bind-idmap", source.display());
    let seen = engine.dhow(&["run", "--rm", "--mount", &mount, "busybox", "stat", "-c", "%u", "/h/mine"]);
    assert_eq!(seen.ok(), "0");
    for (option, words) in [("idmap=x", "invalid idmap"), ("idmap=uids=0-0-1", "invalid idmap")] {
        let mount = format!("{}:/h:{option}", source.display());
        let refused = engine.docker(&["create", "-v", &mount, "busybox"]);
        assert!(refused.status != 0 && refused.stderr.contains(words), "{}", refused.stderr);
    }
    let refused = engine.docker(&["create", "-v", "named:/h:idmap", "busybox"]);
    assert!(refused.stderr.contains("invalid mode: idmap"), "{}", refused.stderr);
    Ok(())
}

/// Wherever a copy or a new name is cut off, there is the old volume or the new one, and it is whole.
#[test]
fn an_engine_that_is_killed_leaves_whole_volumes() -> Result<()> {
    let mut engine = engine()?;
    engine.docker(&["volume", "create", "big"]).ok();
    let source = place(&engine, "big");
    for number in 0..2000 {
        std::fs::write(source.join(format!("file{number}")), vec![7; 10_000])?;
    }
    let files = |engine: &Engine, name: &str| -> Result<usize> {
        Ok(std::fs::read_dir(place(engine, name))?.count())
    };
    for (round, verb) in ["clone", "rename", "snapshot", "rename", "clone", "rename"].iter().enumerate() {
        let name = engine.docker(&["volume", "ls", "-q"]).ok().lines().next().unwrap_or_default().to_owned();
        let path = format!("/dhow/volumes/{name}/{verb}?name=next{round}");
        let mut connection = engine.connect()?;
        let asked = std::thread::spawn(move || connection.request("POST", &path, &serde_json::Value::Null));
        std::thread::sleep(std::time::Duration::from_millis(13 * u64::try_from(round)?));
        engine.kill()?;
        drop(asked.join());
        engine.launch()?;
        let names = engine.docker(&["volume", "ls", "-q"]).ok().to_owned();
        assert!(!names.is_empty(), "{verb}: the volume is gone");
        for name in names.lines() {
            assert_eq!(files(&engine, name)?, 2000, "{verb}: {name}");
        }
        engine.dhow(&["system", "check"]).ok();
    }
    Ok(())
}
