//! `docker cp` in both directions, of running and of stopped containers: what is kept, which names mean
//! what, what is refused, and what a container that moves its files about cannot make of it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context as _, Result, ensure};
use dhow_journeys::engine;
use dhow_testkit::Engine;
use dhow_testkit::process::{self, Answer};

/// What the containers of these stories have beside what busybox has.
const LINKS: &str = "mkdir -p /dir && ln -s /dir /dirlink && ln -s /etc/passwd /filelink && \
                     ln -s /nowhere /dangling && ln -s .. /dir/up && touch /ready && sleep 1000";

/// A container that runs, one that has run, and one with a read-only root; they share a volume.
fn containers(engine: &Engine) -> Result<()> {
    let shared = ["-v", "shared:/vol", "-v", "shared:/rovol:ro", "--tmpfs", "/tmp"];
    let begin = |name: &'static str| ["run", "-d", "--name", name];
    engine.docker(&[&begin("runs")[..], &shared, &["busybox", "sh", "-c", LINKS]].concat()).ok();
    engine
        .docker(&[&begin("sealed")[..], &["--read-only"], &shared, &["busybox", "sleep", "1000"]].concat())
        .ok();
    let ended = LINKS.replace("sleep 1000", "true");
    let run = [&["run", "--name", "ended"][..], &shared, &["busybox", "sh", "-c", &ended]].concat();
    engine.docker(&run).ok();
    ready(engine, "runs");
    Ok(())
}

/// Waits until a container has made what it is to have.
fn ready(engine: &Engine, container: &str) {
    let wait = "until [ -e /ready ]; do sleep 0.01; done";
    engine.docker(&["exec", container, "sh", "-c", wait]).ok();
}

/// A tree with everything that a copy has to keep.
fn tree(at: &Path) -> Result<()> {
    fs::create_dir_all(at.join("sub/empty"))?;
    fs::write(at.join("file"), "contents")?;
    chown(at.join("file"), Some(5), Some(6))?;
    fs::set_permissions(at.join("file"), fs::Permissions::from_mode(0o4751))?;
    fs::hard_link(at.join("file"), at.join("sub/hard"))?;
    symlink("/etc/passwd", at.join("link"))?;
    process::must(Command::new("touch").args(["-d", "2001-02-03 04:05:06 UTC"]).arg(at.join("file")))?;
    process::must(Command::new("mkfifo").arg(at.join("pipe")))?;
    fs::write(at.join("sub/capable"), "x")?;
    process::must(Command::new("setcap").arg("cap_net_raw+ep").arg(at.join("sub/capable")))?;
    Ok(())
}

/// Every path of a tree with what it is; as docker's command line keeps it, which gives everything to who
/// calls it, and times in seconds.
fn listed(at: &Path) -> Result<String> {
    let script = "cd \"$0\" && find . -mindepth 1 ! -type d -printf '%P %y %m %s %TY-%Tm-%Td %TH:%TM %l\\n' | sort && \
                  find . -mindepth 1 -type d -printf '%P %y %m\\n' | sort && getcap -r . && \
                  stat -c %h file";
    process::must(Command::new("sh").arg("-c").arg(script).arg(at))
}

#[test]
fn what_is_copied_in_and_out_again_is_what_it_was() -> Result<()> {
    let engine = engine()?;
    containers(&engine)?;
    let source = engine.scratch().join("source");
    tree(&source)?;
    let expected = listed(&source)?;
    for container in ["runs", "ended"] {
        for place in ["/kept", &format!("/vol/kept-{container}")] {
            let there = format!("{container}:{place}");
            let back = engine.scratch().join(format!("{container}{}", place.replace('/', "-")));
            engine.docker(&["cp", "-q", "-a", &source.display().to_string(), &there]).ok();
            engine.docker(&["cp", "-q", "-a", &there, &back.display().to_string()]).ok();
            assert_eq!(listed(&back)?, expected, "{there}");
            engine.dhow(&["cp", "-q", &there, &back.join("again").display().to_string()]).ok();
            assert_eq!(listed(&back.join("again"))?, expected, "{there} by our own command line");
        }
    }
    let seen = "stat -c '%a %u %g %Y %s %h' /kept/file; readlink /kept/link; ls -l /kept/pipe | cut -c1";
    let seen = engine.docker(&["exec", "runs", "sh", "-c", seen]);
    assert_eq!(seen.ok(), "4751 5 6 981173106 8 2\n/etc/passwd\np");
    Ok(())
}

/// Our own command line keeps what the engine sends: the user's attributes, and times to the nanosecond.
#[test]
fn what_is_copied_out_keeps_its_attributes_and_times() -> Result<()> {
    let engine = engine()?;
    containers(&engine)?;
    let mountpoint = engine.docker(&["volume", "inspect", "-f", "{{.Mountpoint}}", "shared"]).ok().to_owned();
    let folder = Path::new(&mountpoint).join("noted");
    fs::create_dir(&folder)?;
    fs::write(folder.join("file"), "x")?;
    for path in [folder.join("file"), folder.clone()] {
        process::must(Command::new("setfattr").args(["-n", "user.note", "-v", "kept"]).arg(&path))?;
        process::must(Command::new("touch").args(["-d", "2001-02-03 04:05:06.123456789 UTC"]).arg(&path))?;
    }
    let back = engine.scratch().join("noted");
    engine.dhow(&["cp", "-q", "runs:/vol/noted", &back.display().to_string()]).ok();
    for path in [back.join("file"), back] {
        assert_eq!(fs::metadata(&path)?.mtime_nsec(), 123_456_789, "{}", path.display());
        let mut read = Command::new("getfattr");
        let value = process::must(read.args(["--only-values", "-n", "user.note"]).arg(&path))?;
        assert_eq!(value, "kept", "{}", path.display());
    }
    Ok(())
}

/// In each line: what is copied, whether that succeeds, and a part of what is said.
#[test]
fn names_mean_what_they_mean_to_docker() -> Result<()> {
    let engine = engine()?;
    containers(&engine)?;
    let host = engine.scratch().join("host");
    fs::create_dir_all(host.join("d/sub"))?;
    fs::write(host.join("f"), "f")?;
    fs::write(host.join("d/g"), "g")?;
    symlink("f", host.join("l"))?;
    for container in ["runs", "ended"] {
        for (from, to, words) in [
            ("f", "C:/new", ""),
            ("f", "C:/no/new", "Could not find the file /no in container"),
            ("f", "C:/no/", "no such directory"),
            ("f", "C:/dir", ""),
            ("f", "C:/etc/passwd/x", "not a directory"),
            ("d", "C:/made", ""),
            ("d", "C:/made", ""),
            ("d/.", "C:/other", ""),
            ("d", "C:/new", "cannot copy directory"),
            ("f", "C:/dirlink/through", ""),
            ("f", "C:/dangling", ""),
            ("l", "C:/link", ""),
            ("nothing", "C:/", "no such file or directory"),
            ("f", "C:/vol/f", ""),
            ("f", "C:/rovol/f", "mounted volume is marked read-only"),
            ("C:/gone", "out", "Could not find the file /gone in container"),
            ("C:/etc/passwd/", "out", "not a directory"),
            ("C:/dir/up/etc/group", "out", ""),
            ("gone:/x", "out", "No such container: gone"),
        ] {
            let name = |text: &str| match text.split_once(':') {
                Some(("C", path)) => format!("{container}:{path}"),
                Some(_) => text.to_owned(),
                None => host.join(text).display().to_string(),
            };
            let answer = engine.docker(&["cp", &name(from), &name(to)]);
            let said = answer.stderr.replace("Successfully", "");
            let fits = if words.is_empty() { answer.status == 0 } else { said.contains(words) };
            ensure!(fits && (answer.status == 0) == words.is_empty(), "{from} {to}: {answer:?}");
        }
        for (path, contents) in
            [("/dir/f", "f"), ("/made/d/g", "g"), ("/other/g", "g"), ("/dir/through", "f"), ("/nowhere", "f")]
        {
            assert_eq!(contents_of(&engine, container, path)?, contents, "{container}:{path}");
        }
        links_are_followed_when_asked(&engine, container)?;
    }
    Ok(())
}

fn links_are_followed_when_asked(engine: &Engine, container: &str) -> Result<()> {
    let host = engine.scratch().join("host");
    let there = format!("{container}:/filelink");
    let (link, file) = (host.join("filelink"), host.join("filefile"));
    engine.docker(&["cp", &there, &link.display().to_string()]).ok();
    ensure!(fs::symlink_metadata(&link)?.is_symlink(), "{container}: the link itself is copied");
    engine.docker(&["cp", "-L", &there, &file.display().to_string()]).ok();
    ensure!(fs::read_to_string(&file)?.starts_with("root:"), "{container}: what it leads to is copied");
    fs::remove_file(&link)?;
    fs::remove_file(&file)?;
    engine
        .docker(&["cp", "-L", &host.join("l").display().to_string(), &format!("{container}:/followed")])
        .ok();
    assert_eq!(contents_of(engine, container, "/followed")?, "f");
    Ok(())
}

/// By way of a tar on standard output.
fn contents_of(engine: &Engine, container: &str, path: &str) -> Result<String> {
    let file = engine.scratch().join("tar");
    let answer = tar_of(engine, &format!("{container}:{path}"), &file)?;
    answer.check()?;
    process::must(Command::new("tar").arg("-xOf").arg(&file))
}

fn tar_of(engine: &Engine, there: &str, file: &Path) -> Result<Answer> {
    let script = format!("docker cp '{there}' - > '{}'", file.display());
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).env("DOCKER_HOST", engine.host()).env("DOCKER_CONFIG", engine.scratch());
    process::answer(&mut command, b"")
}

#[test]
fn archives_come_on_standard_input() -> Result<()> {
    let engine = engine()?;
    containers(&engine)?;
    let source = engine.scratch().join("source");
    fs::create_dir(&source)?;
    fs::write(source.join("f"), "from a tar")?;
    for (flag, container) in [("-cf", "runs"), ("-czf", "ended"), ("-cJf", "runs")] {
        let file = engine.scratch().join("in.tar");
        process::must(Command::new("tar").arg("-C").arg(&source).arg(flag).arg(&file).arg("f"))?;
        let there = format!("{container}:/dir");
        engine.client(Path::new("docker"), &["cp", "-", &there], &fs::read(&file)?).ok();
        assert_eq!(contents_of(&engine, container, "/dir/f")?, "from a tar");
        let to_file = format!("{container}:/etc/passwd");
        let answer = engine.client(Path::new("docker"), &["cp", "-", &to_file], &fs::read(&file)?);
        ensure!(
            answer.stderr.contains("destination \"") || answer.stderr.contains("directory"),
            "{answer:?}"
        );
    }
    Ok(())
}

fn put(engine: &Engine, query: &str, tar: &[u8]) -> Result<(u16, String)> {
    let path = format!("/containers/{query}");
    let answer = engine.connect()?.request_bytes("PUT", &path, "application/x-tar", tar)?;
    Ok((answer.status, String::from_utf8_lossy(&answer.body).into_owned()))
}

fn tar(directory: &Path, names: &[&str]) -> Result<Vec<u8>> {
    let mut command = Command::new("tar");
    command.arg("-C").arg(directory).arg("-c").args(names);
    Ok(command.output()?.stdout)
}

#[test]
fn what_is_read_only_stays_so_whatever_it_is_called() -> Result<()> {
    let engine = engine()?;
    containers(&engine)?;
    engine.docker(&["exec", "runs", "ln", "-s", "/rovol", "/torovol"]).ok();
    engine.docker(&["create", "--name", "still", "--read-only", "--tmpfs", "/tmp", "busybox", "true"]).ok();
    let source = engine.scratch().join("source");
    fs::create_dir_all(source.join("d"))?;
    fs::write(source.join("f"), "f")?;
    let file = tar(&source, &["f"])?;
    let (root, volume) = ("container rootfs is marked read-only", "mounted volume is marked read-only");
    for (query, status, words) in [
        ("sealed/archive?path=/etc", 403, root),
        ("sealed/archive?path=/rovol", 403, volume),
        ("sealed/archive?path=/vol", 200, ""),
        // What would be written is the root below the tmpfs.
        ("sealed/archive?path=/tmp", 403, root),
        ("still/archive?path=/tmp", 403, root),
        ("runs/archive?path=/rovol", 403, volume),
        ("runs/archive?path=/torovol", 403, volume),
        ("runs/archive?path=/torovol/../vol", 200, ""),
        ("ended/archive?path=/rovol", 403, volume),
        ("runs/archive?path=/etc/passwd", 400, "extraction point is not a directory"),
        ("runs/archive?path=/none", 404, "Could not find the file /none in container runs"),
        ("runs/archive?path=", 400, "path cannot be empty"),
        ("none/archive?path=/", 404, "No such container: none"),
    ] {
        let (got, said) = put(&engine, query, &file)?;
        ensure!(got == status && said.contains(words), "{query}: {got} {said}");
    }
    ensure!(put(&engine, "runs/archive?path=/tmp", &tar(&source, &["d"])?)?.0 == 200);
    fs::remove_dir(source.join("d"))?;
    fs::write(source.join("d"), "now a file")?;
    let strict = "runs/archive?path=/tmp&noOverwriteDirNonDir=1";
    let (status, said) = put(&engine, strict, &tar(&source, &["d"])?)?;
    ensure!(status == 500 && said.contains("cannot overwrite directory"), "{status} {said}");
    Ok(())
}

/// Debian has `/var/run -> /run`: what is copied to `/var` with `run` on the way is for `/run`.
#[test]
fn links_of_the_container_on_the_way_lead_through_all_of_it() -> Result<()> {
    let engine = engine()?;
    let links = "mkdir -p /run /var /home && ln -s /run /var/run && ln -s ../home /var/up && ln -s /vol /var/volume && \
                 ln -s / /vol/root && touch /ready";
    let volume = ["-v", "/vol", "--tmpfs", "/tmp"];
    for (name, end) in [("runs", "sleep 1000"), ("ended", "true")] {
        let program = format!("{links} && {end}");
        let detached = if name == "runs" { &["-d"][..] } else { &[] };
        let command = ["--name", name, "busybox", "sh", "-c", &program];
        engine.docker(&[&["run"][..], detached, &volume, &command].concat()).ok();
    }
    ready(&engine, "runs");
    let source = engine.scratch().join("source");
    for directory in ["run", "up", "volume"] {
        fs::create_dir_all(source.join(directory))?;
        fs::write(source.join(directory).join("x"), directory)?;
    }
    let file = tar(&source, &["run/x", "up/x", "volume/x"])?;
    for container in ["runs", "ended"] {
        let (status, said) = put(&engine, &format!("{container}/archive?path=/var"), &file)?;
        ensure!(status == 200, "{container}: {status} {said}");
        for (path, contents) in [("/run/x", "run"), ("/home/x", "up"), ("/vol/x", "volume")] {
            ensure!(contents_of(&engine, container, path)? == contents, "{container}: {path}");
        }
        for path in ["/var/home/x", "/var/run/run/x"] {
            ensure!(contents_of(&engine, container, path).is_err(), "{container}: {path}");
        }
    }
    Ok(())
}

/// A volume can be written, and a link in it leads to a root that cannot.
#[test]
fn a_link_of_a_volume_leads_past_no_read_only_root() -> Result<()> {
    let engine = engine()?;
    let volume = ["-v", "shared:/vol"];
    engine
        .docker(&[&["run", "--rm"][..], &volume, &["busybox", "ln", "-s", "/etc", "/vol/out"]].concat())
        .ok();
    let sealed = [&["--read-only"][..], &volume, &["busybox", "sleep", "1000"]].concat();
    engine.docker(&[&["run", "-d", "--name", "runs"], &sealed[..]].concat()).ok();
    engine.docker(&[&["create", "--name", "still"], &sealed[..]].concat()).ok();
    let source = engine.scratch().join("source");
    fs::create_dir_all(source.join("out"))?;
    fs::write(source.join("out/x"), "x")?;
    let file = tar(&source, &["out/x"])?;
    for container in ["runs", "still"] {
        let (status, said) = put(&engine, &format!("{container}/archive?path=/vol"), &file)?;
        ensure!(status != 200 && said.contains("Read-only file system"), "{container}: {status} {said}");
        ensure!(contents_of(&engine, container, "/etc/x").is_err(), "{container}");
    }
    Ok(())
}

/// CVE-2018-15664, CVE-2026-41568: links lead to what the host has at their path, which the container does
/// not have at all.
#[test]
fn a_container_that_swaps_directories_for_links_leads_nowhere() -> Result<()> {
    let engine = engine()?;
    containers(&engine)?;
    let outside = engine.scratch().join("outside");
    fs::create_dir_all(outside.join("sub"))?;
    fs::write(outside.join("sub/f"), "the host's secret")?;
    let pid = engine.inspect("runs", "{{.State.Pid}}");
    for place in ["/", "/vol"] {
        let inside = PathBuf::from(format!("/proc/{pid}/root{place}"));
        fs::create_dir_all(inside.join("swap/sub"))?;
        fs::write(inside.join("swap/sub/f"), "the container's own")?;
        symlink(&outside, inside.join("link"))?;
        let source = engine.scratch().join(format!("in{}", place.replace('/', "-")));
        fs::create_dir_all(source.join("swap/sub"))?;
        fs::write(source.join("swap/sub/f"), "written by the copy")?;
        fs::write(source.join("f"), "written by the copy")?;
        let (whole, one) = (tar(&source, &["swap"])?, tar(&source, &["f"])?);
        while_swapping(&inside, || {
            let mut connection = engine.connect()?;
            for (path, tar) in [(place.to_owned(), &whole), (format!("{place}/swap/sub"), &one)] {
                let query = format!("/containers/runs/archive?path={path}");
                connection.request_bytes("PUT", &query, "application/x-tar", tar)?;
            }
            for below in ["swap", "swap/sub", "swap/sub/f"] {
                let query = format!("/containers/runs/archive?path={place}/{below}");
                let answer = connection.request("GET", &query, &serde_json::Value::Null)?;
                let leaked = answer.body.windows(17).any(|window| window == b"the host's secret");
                ensure!(!leaked, "{query} read the host");
            }
            Ok(())
        })?;
        assert_eq!(fs::read_to_string(outside.join("sub/f"))?, "the host's secret");
        ensure!(fs::read_dir(&outside)?.count() == 1 && fs::read_dir(outside.join("sub"))?.count() == 1);
    }
    Ok(())
}

/// As a program of the container would do it: by its names, in its mount namespace.
fn while_swapping(directory: &Path, mut work: impl FnMut() -> Result<()>) -> Result<()> {
    let (stop, swaps) = (AtomicBool::new(false), AtomicU64::new(0));
    let name = |name: &str| directory.join(name);
    let worked = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for (from, to) in [("swap", "aside"), ("link", "swap"), ("swap", "link"), ("aside", "swap")] {
                    // The copy may have made something of that name meanwhile.
                    drop(fs::rename(name(from), name(to)));
                }
                swaps.fetch_add(1, Ordering::Relaxed);
            }
        });
        let worked = (0..200).try_for_each(|_| work());
        stop.store(true, Ordering::Relaxed);
        worked
    });
    ensure!(swaps.load(Ordering::Relaxed) > 100, "nothing was swapped");
    worked
}

/// CVE-2026-41567, CVE-2019-14271: archives were unpacked by programs, and users looked up by libraries, that
/// were found in the container.
#[test]
fn no_program_and_no_library_of_the_container_is_used() -> Result<()> {
    let engine = engine()?;
    let plant = "for name in xz unxz gzip gunzip unpigz zstd bzip2 tar getent; do rm -f /bin/$name; \
                 printf '#!/bin/sh\\ntouch /ran\\n' > /bin/$name; chmod +x /bin/$name; done; \
                 mkdir -p /lib; echo x > /lib/libnss_files.so.2; touch /ready; sleep 1000";
    engine.docker(&["run", "-d", "--name", "box", "-u", "root", "busybox", "sh", "-c", plant]).ok();
    ready(&engine, "box");
    let source = engine.scratch().join("source");
    fs::create_dir(&source)?;
    fs::write(source.join("f"), "f")?;
    for flag in ["-c", "-cz", "-cJ", "-cj", "-c --zstd"] {
        let flags: Vec<&str> = flag.split(' ').collect();
        let packed = Command::new("tar").arg("-C").arg(&source).args(&flags).arg("f").output()?;
        ensure!(packed.status.success(), "{flag}: {}", String::from_utf8_lossy(&packed.stderr));
        let (status, said) = put(&engine, "box/archive?path=/tmp&copyUIDGID=1", &packed.stdout)?;
        ensure!(status == 200, "{flag}: {said}");
    }
    let own =
        engine.connect()?.request("GET", "/containers/box/archive?path=/tmp", &serde_json::Value::Null)?;
    ensure!(own.status == 200);
    ensure!(engine.docker(&["exec", "box", "ls", "/ran"]).status != 0, "a program of the container ran");
    Ok(())
}

/// A file of the host's is not made readable by a copy that runs into a link (CVE-2021-41089), and what a
/// tar says of paths outside is taken as inside.
#[test]
fn modes_and_names_of_an_archive_stay_in_the_container() -> Result<()> {
    let engine = engine()?;
    containers(&engine)?;
    let canary = engine.scratch().join("canary");
    fs::write(&canary, "alive")?;
    fs::set_permissions(&canary, fs::Permissions::from_mode(0o600))?;
    let source = engine.scratch().join("source");
    fs::create_dir_all(source.join("d"))?;
    fs::write(source.join("d/x"), "owned")?;
    let depth = "../".repeat(20);
    let name = canary.strip_prefix("/").context("no absolute path")?.display().to_string();
    for renamed in [format!("{depth}{name}"), format!("/{name}")] {
        let mut command = Command::new("tar");
        command.arg("-C").arg(source.join("d")).args(["-P", "-c", "--mode=0777", "x"]);
        let packed = command.arg(format!("--transform=s,^x,{renamed},")).output()?.stdout;
        put(&engine, "runs/archive?path=/tmp", &packed)?;
        put(&engine, "ended/archive?path=/dir", &packed)?;
        let now = fs::metadata(&canary)?;
        ensure!(now.mode() & 0o777 == 0o600 && fs::read_to_string(&canary)? == "alive", "{renamed}");
    }
    Ok(())
}

/// A second overlay on the writable layer of one that is in use is undefined behaviour, as the kernel's
/// documentation of overlayfs says; the engine looks through the container's own mount.
#[test]
fn an_export_of_what_runs_goes_through_its_own_mount() -> Result<()> {
    let engine = engine()?;
    let script =
        "mkdir /big && head -c 30000000 /dev/zero >/big/zeros && mkdir /vol/x && touch /ready && sleep 1000";
    engine.docker(&["run", "-d", "--name", "runs", "-v", "shared:/vol", "busybox", "sh", "-c", script]).ok();
    ready(&engine, "runs");
    let pid = engine.inspect("runs", "{{.State.Pid}}");
    let own = fs::metadata(format!("/proc/{pid}/root"))?.dev();
    let mut stream = UnixStream::connect(engine.socket())?;
    stream.write_all(b"GET /containers/runs/export HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    // Once the big file has begun, the engine can go no further than buffers are large.
    let mut begun = vec![0; 4 << 20];
    stream.read_exact(&mut begun)?;
    let overlays = overlays_held(engine.pid().context("no engine")?)?;
    ensure!(!overlays.is_empty() && overlays.iter().all(|device| *device == own), "{own}: {overlays:?}");
    stream.read_to_end(&mut begun)?;
    // What is mounted over it is not of the container's layers.
    let tar = engine.scratch().join("runs.tar");
    engine.docker(&["export", "-o", &tar.display().to_string(), "runs"]).ok();
    let listed = process::must(Command::new("tar").arg("-tf").arg(&tar))?;
    let named = |name: &str| listed.lines().any(|line| line.trim_end_matches('/') == name);
    assert!(named("big/zeros") && named("vol") && named("proc"), "{listed}");
    assert!(!named("vol/x") && !named("proc/self") && !named("dev/null"), "{listed}");
    Ok(())
}

/// The devices of the overlays in which a process has directories open.
fn overlays_held(pid: u32) -> Result<Vec<u64>> {
    const OVERLAYFS: &str = "overlayfs";
    let mut devices = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let path = entry?.path();
        let mut stat = Command::new("stat");
        let kind = process::answer(stat.args(["-L", "-f", "-c", "%T"]).arg(&path), b"")?;
        // Files have device numbers of their own there.
        if kind.stdout.trim() == OVERLAYFS && path.is_dir() {
            devices.push(fs::metadata(&path)?.dev());
        }
    }
    Ok(devices)
}
