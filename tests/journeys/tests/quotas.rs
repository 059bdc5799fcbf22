//! Limits of size, as users meet them: on a file system that has project quotas, in a mount namespace of the test's own. A
//! kernel without them says so; `cargo xtask quotas` runs these on one that has.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use dhow_testkit::http::Connection;
use dhow_testkit::{Engine, until};

const CHILD: &str = "DHOW_JOURNEY_QUOTAS";
/// How each file system is made and mounted.
const KINDS: [(&str, &str, &str); 2] =
    [("ext4", "-qO project,quota -E quotatype=prjquota", "prjquota"), ("xfs", "-q", "pquota")];
/// The file that a container wants out of its limit.
const ESCAPE: &str = "DHOW_JOURNEY_ESCAPE";
const DOWN: [&str; 3] = ["--network", "none", "busybox"];

/// Runs the test's story in a child, on each kind of file system.
fn on_each(name: &str, story: fn(&Path) -> Result<()>) -> Result<()> {
    if let Some(place) = std::env::var_os(CHILD) {
        return story(Path::new(&place));
    }
    for (kind, how, option) in KINDS {
        let directory = tempfile::tempdir()?;
        let script = format!(
            "truncate -s 335544320 \"$0/disk\" && mkfs.{kind} {how} \"$0/disk\" && mkdir \"$0/place\" && \
             mount -t {kind} -o loop,{option} \"$0/disk\" \"$0/place\" 2>/dev/null || exit 77; exec \"$@\""
        );
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", &script]).arg(directory.path()).arg(std::env::current_exe()?);
        command.args(["--exact", name, "--nocapture"]).env(CHILD, directory.path().join("place"));
        let status = command.status()?;
        if status.code() == Some(77) {
            assert!(std::env::var_os("DHOW_MUST_HAVE_QUOTAS").is_none(), "{kind} cannot be mounted");
            eprintln!("not run on {kind}: this kernel does not mount it with project quotas");
            continue;
        }
        assert!(status.success(), "{kind}: {status}");
    }
    Ok(())
}

fn engine(place: &Path, extra: &[&str]) -> Result<Engine> {
    let engine = Engine::start_in(place, extra)?;
    engine.import_busybox()?;
    Ok(engine)
}

/// `run` of a shell line; answers what it said, good and bad.
fn run(engine: &Engine, flags: &[&str], line: &str) -> String {
    let command = [&["run", "--rm"], flags, &DOWN, &["sh", "-c", line]].concat();
    let answer = engine.dhow(&command);
    answer.stdout + &answer.stderr
}

fn is_full(words: &str) -> bool {
    words.contains("Disk quota exceeded") || words.contains("No space left on device")
}

/// What a container does that wants to be rid of a limit; run in one, by [`refuses_to_let_go`].
#[test]
fn take_out_of_the_limit() -> Result<()> {
    let Some(path) = std::env::var_os(ESCAPE) else { return Ok(()) };
    let file = std::fs::File::open(path)?;
    println!("project before: {:?}", dhow_sys::quota::project(&file)?);
    let done = dhow_sys::quota::set_project(&file, dhow_sys::quota::Project::default());
    println!("taken out: {done:?}");
    Ok(())
}

/// A container runs this very program, which asks for another project of a file.
fn refuses_to_let_go(engine: &Engine, flags: &[&str], file: &str) -> Result<()> {
    let program = format!("{}:/program:ro", std::env::current_exe()?.display());
    let variable = format!("{ESCAPE}={file}");
    let flags = [flags, &["-v", &program, "-e", &variable]].concat();
    let said = run(engine, &flags, "/program --exact take_out_of_the_limit --nocapture");
    assert!(said.contains("taken out: Err(Os { code: 1,"), "{said}");
    let open = [&flags[..], &["--security-opt", "seccomp=unconfined"]].concat();
    let said = run(engine, &open, "/program --exact take_out_of_the_limit --nocapture");
    // Otherwise nothing was shown.
    assert!(said.contains("taken out: Ok(())"), "{said}");
    Ok(())
}

/// Numbers of the file system that have a limit.
fn limited(place: &Path) -> Result<Vec<u32>> {
    let directory = std::fs::File::open(place)?;
    let mut found = Vec::new();
    let mut id = 1;
    while let Some(usage) = dhow_sys::quota::next(&directory, place, id)? {
        found.extend((usage.limit != 0).then_some(usage.id));
        id = usage.id + 1;
    }
    Ok(found)
}

#[test]
fn a_volume_of_a_size_is_full_when_it_is() -> Result<()> {
    on_each("a_volume_of_a_size_is_full_when_it_is", |place| {
        let mut engine = engine(place, &[])?;
        engine.dhow(&["volume", "create", "-o", "size=2m", "small"]).ok();
        let fill = "dd if=/dev/zero of=/v/file bs=64k count=64";
        assert!(is_full(&run(&engine, &["-v", "small:/v"], fill)));
        assert!(!is_full(&run(&engine, &["-v", "other:/v"], fill)));
        assert!(run(&engine, &["-v", "small:/v"], "df -k /v").contains(" 2048 "));
        let status =
            engine.dhow(&["volume", "inspect", "-f", "{{.Options.size}} {{.Status.Limit}}", "small"]);
        assert_eq!(status.ok(), "2m 2097152");
        let table = engine.dhow(&["system", "df", "-v"]);
        assert!(table.ok().contains("(limit 2m)"), "{}", table.stdout);
        // Nothing that a container may do takes a file out of it.
        for file in ["/v", "/v/file"] {
            refuses_to_let_go(&engine, &["-v", "small:/v"], file)?;
        }
        engine.kill()?;
        engine.launch()?;
        assert!(is_full(&run(&engine, &["-v", "small:/v"], "dd if=/dev/zero of=/v/more bs=64k count=64")));
        for name in ["small", "other"] {
            engine.dhow(&["volume", "rm", name]).ok();
        }
        // What is removed is deleted a moment later.
        until("the limit stays", || limited(place).is_ok_and(|found| found.is_empty()))
    })
}

#[test]
fn an_import_keeps_the_limit_of_its_volume() -> Result<()> {
    on_each("an_import_keeps_the_limit_of_its_volume", |place| {
        let engine = engine(place, &[])?;
        engine.dhow(&["volume", "create", "-o", "size=2m", "small"]).ok();
        let fill = "dd if=/dev/urandom of=/v/file bs=64k count=20 2>/dev/null && cksum /v/file";
        let before = run(&engine, &["-v", "small:/v"], fill);
        run(&engine, &["-v", "large:/v"], "dd if=/dev/urandom of=/v/more bs=64k count=20");
        run(&engine, &["-v", "fits:/v"], "dd if=/dev/urandom of=/v/fits bs=64k count=4");
        let archive = |name: &str| engine.scratch().join(name).display().to_string();
        for name in ["large", "fits"] {
            engine.dhow(&["volume", "export", "-o", &archive(name), name]).ok();
        }
        let refused = engine.dhow(&["volume", "import", "small", &archive("large")]);
        assert!(refused.status != 0 && is_full(&refused.stderr), "{refused:?}");
        assert_eq!(run(&engine, &["-v", "small:/v"], "ls /v; cksum /v/file"), format!("file\n{before}"));
        engine.dhow(&["volume", "import", "small", &archive("fits")]).ok();
        assert_eq!(
            run(&engine, &["-v", "small:/v"], "ls /v; cksum /v/file"),
            format!("file\nfits\n{before}")
        );
        assert!(is_full(&run(&engine, &["-v", "small:/v"], "dd if=/dev/zero of=/v/x bs=64k count=64")));
        // The limit of what was there before goes with it.
        until("two limits", || limited(place).is_ok_and(|found| found.len() == 1))
    })
}

#[test]
fn a_container_of_a_size_is_full_when_it_is() -> Result<()> {
    on_each("a_container_of_a_size_is_full_when_it_is", |place| {
        let mut engine = engine(place, &["--storage-opt", "overlay2.size=8m"])?;
        let fill = "dd if=/dev/zero of=/file bs=64k count=200";
        assert!(is_full(&run(&engine, &[], fill)), "the default size");
        assert!(!is_full(&run(&engine, &["--storage-opt", "size=64m"], fill)));
        assert!(run(&engine, &["--storage-opt", "size=3m"], "df -k /").contains(" 3072 "));
        let create = ["run", "-d", "--name", "small", "--storage-opt", "size=2m"];
        engine.dhow(&[&create[..], &DOWN, &["sleep", "1000"]].concat()).ok();
        let change =
            "rm /etc/group && mv /etc/passwd /etc/other && mkdir /new && mv /new /newer && ln /etc/other /l";
        engine.dhow(&["exec", "small", "sh", "-c", change]).ok();
        refuses_to_let_go(&engine, &["--storage-opt", "size=8m"], "/etc")?;
        let large = engine.scratch().join("large");
        std::fs::write(&large, vec![7; 4 << 20])?;
        for state in ["running", "stopped"] {
            let refused = engine.dhow(&["cp", &large.display().to_string(), "small:/large"]);
            assert!(refused.status != 0, "{state}");
            let said = refused.stderr.to_lowercase();
            assert!(said.contains("quota exceeded") || said.contains("no space left"), "{state}: {said}");
            drop(engine.dhow(&["kill", "small"]));
            until("it does not end", || {
                engine.dhow(&["inspect", "-f", "{{.State.Running}}", "small"]).ok() == "false"
            })?;
        }
        // A limit that somebody took away is set again at the next start.
        let directory = std::fs::File::open(place)?;
        for id in limited(place)? {
            dhow_sys::quota::set_limit(&directory, place, id, 0)?;
        }
        engine.kill()?;
        engine.launch()?;
        engine.dhow(&["start", "small"]).ok();
        assert!(is_full(&engine.dhow(&["exec", "small", "sh", "-c", fill]).stderr));
        engine.dhow(&["rm", "-f", "small"]).ok();
        until("the limit stays", || limited(place).is_ok_and(|found| found.is_empty()))
    })
}

fn make(socket: &Path, round: u64, number: u64) -> Result<()> {
    let body = serde_json::json!({"Name": format!("v{round}-{number}"), "DriverOpts": {"size": "1m"}});
    Connection::open(socket)?.request("POST", "/volumes/create", &body).map(drop)
}

/// Wherever the engine is killed, a volume that is there has its limit, and a limit that is there a volume.
#[test]
fn an_engine_that_is_killed_loses_no_limit_and_leaves_none() -> Result<()> {
    on_each("an_engine_that_is_killed_loses_no_limit_and_leaves_none", |place| {
        let mut engine = engine(place, &[])?;
        for round in 0..8_u64 {
            let socket = engine.socket();
            let asking =
                std::thread::spawn(move || (0..).find(|number| make(&socket, round, *number).is_err()));
            std::thread::sleep(std::time::Duration::from_millis(40 + 17 * round));
            engine.kill()?;
            drop(asking.join());
            engine.launch()?;
            let names = engine.dhow(&["volume", "ls", "-q"]).ok().to_owned();
            for name in names.lines() {
                let limit = engine.dhow(&["volume", "inspect", "-f", "{{.Status.Limit}}", name]);
                assert_eq!(limit.ok(), "1048576", "{name}");
            }
            // What was half made is deleted a moment after the start; its limit goes at the next one at the latest.
            engine.stop()?;
            engine.launch()?;
            let wanted = names.lines().count();
            until("a limit without a volume", || limited(place).is_ok_and(|found| found.len() == wanted))?;
            for name in names.lines() {
                engine.dhow(&["volume", "rm", name]).ok();
            }
        }
        Ok(())
    })
}

#[test]
fn a_default_size_that_cannot_be_kept_is_told_at_the_start() -> Result<()> {
    let Err(refused) = Engine::start_with(&["--storage-opt", "overlay2.size=8m"]) else {
        eprintln!("not run: the usual directory's file system has quotas");
        return Ok(());
    };
    let words = "Storage option overlay2.size not supported. Filesystem does not support Project Quota: ";
    let said = format!("{refused:#}");
    said.contains(words).then_some(()).context(said)
}
