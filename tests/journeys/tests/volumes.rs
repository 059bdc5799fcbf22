//! Volumes: what they stand for, who uses them, and what is done with them as a whole.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use anyhow::Result;
use dhow_testkit::Engine;

fn engine() -> Result<Engine> {
    let engine = Engine::start()?;
    engine.import_busybox()?;
    Ok(engine)
}

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
    assert!(!is_mounted(&engine, "memory")?);
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
    let process = format!("/proc/{}", engine.docker(&["inspect", "-f", "{{.State.Pid}}", "one"]).ok());
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
