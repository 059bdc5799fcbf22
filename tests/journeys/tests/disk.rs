//! `system df` says what the file system says, to the byte, whatever was done before.
//!
//! What is counted is the length of regular files, each once however many names it has.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use dhow_testkit::{Engine, process, rootfs};
use serde_json::Value;

/// What beside layers, writable layers and volumes is in a data directory: the database and the room that it
/// keeps for itself, configurations, files made for containers.
const BOOKKEEPING: u64 = 3 << 20;

/// Bytes of the files below a directory, as find(1) sees them.
fn bytes_below(directory: &Path) -> Result<u64> {
    let script =
        "find \"$0\" -type f -printf '%i %s\\n' | sort -u | awk '{ sum += $2 } END { print sum + 0 }'";
    let told = process::must(Command::new("sh").args(["-c", script]).arg(directory))?;
    told.trim().parse().context("a number of bytes")
}

fn df(engine: &Engine) -> Result<Value> {
    engine.connect()?.request("GET", "/v1.44/system/df", &Value::Null)?.json()
}

fn size(value: &Value) -> Result<u64> {
    value.as_u64().with_context(|| format!("{value} is no size"))
}

/// Compares everything that is told with what is there.
fn is_exact(engine: &Engine, when: &str) -> Result<()> {
    let (told, data) = (df(engine)?, engine.data());
    let list = |key: &str| told[key].as_array().cloned().unwrap_or_default();
    let mut sum = size(&told["LayersSize"])?;
    let layers = bytes_below(&data.join("layers"))? + bytes_below(&data.join("damaged"))?;
    assert_eq!(sum, layers, "layers {when}");
    for container in list("Containers") {
        let id = container["Id"].as_str().context("an id")?;
        let writable = bytes_below(&data.join("containers").join(id).join("rw"))?;
        // What is zero is left out.
        assert_eq!(container["SizeRw"].as_u64().unwrap_or(0), writable, "container {id} {when}");
        sum += writable;
    }
    for volume in list("Volumes") {
        let place = Path::new(volume["Mountpoint"].as_str().context("a place")?);
        let bytes = bytes_below(place)?;
        assert_eq!(size(&volume["UsageData"]["Size"])?, bytes, "{} {when}", place.display());
        sum += bytes;
    }
    let all = bytes_below(&data)?;
    assert!(all >= sum && all - sum < BOOKKEEPING, "{when}: {all} bytes are there, {sum} are told");
    Ok(())
}

#[test]
fn df_says_what_the_file_system_says() -> Result<()> {
    for format in ["tar", "directory"] {
        let engine = match Engine::start_with(&["--layer-format", format]) {
            Ok(engine) => engine,
            Err(error) if format == "tar" => {
                println!("not run with tars: {error:#}");
                continue;
            }
            Err(error) => return Err(error),
        };
        is_exact(&engine, "at the beginning")?;
        engine.import_busybox()?;
        is_exact(&engine, "after an import")?;
        for (arguments, when) in STEPS {
            let place = engine.scratch().display().to_string();
            let line = format!("docker {}", arguments.replace('@', &place));
            engine.client(Path::new("sh"), &["-c", &line], b"").ok();
            is_exact(&engine, when)?;
        }
    }
    Ok(())
}

const STEPS: [(&str, &str); 16] = [
    (
        "run --name work -v data:/data busybox sh -c 'head -c 1000003 /dev/zero >/zeros; mkdir /d; echo x >/d/file; \
         ln /d/file /d/again; ln -s file /d/link; rm -r /home; truncate -s 5m /sparse; cp /zeros /data/zeros; \
         ln /data/zeros /data/again; mkfifo /pipe'",
        "after a run",
    ),
    ("commit work cargo:1", "after a commit"),
    ("tag cargo:1 other:2", "after a tag"),
    ("run --rm cargo:1 sh -c 'rm /zeros; echo y >/new'", "after a run that is removed"),
    ("create --name idle cargo:1", "after a create"),
    ("cp work:/zeros @/zeros", "after a copy out"),
    ("cp @/zeros idle:/copied", "after a copy in"),
    ("save -o @/cargo.tar cargo:1", "after a save"),
    ("rm work", "after a removal"),
    ("rmi cargo:1", "after an untag"),
    ("rm idle", "after another removal"),
    ("rmi other:2", "after the removal of an image"),
    ("load -i @/cargo.tar", "after a load"),
    ("load -i @/cargo.tar", "after the same load"),
    ("volume prune -af", "after a prune of volumes"),
    ("system prune -af", "after a prune of all"),
];

/// Every layer is there once, and its index is a percent of it.
#[test]
fn an_image_costs_its_layers_and_a_percent() -> Result<()> {
    let Ok(engine) = Engine::start_with(&["--layer-format", "tar"]) else {
        println!("not run: this kernel does not mount the index of a tar");
        return Ok(());
    };
    let tar = engine.scratch().join("rootfs.tar");
    let tree = engine.scratch().join("tree");
    std::fs::create_dir(&tree)?;
    rootfs::busybox_tree(&tree)?;
    for directory in 0..50 {
        let place = tree.join(format!("usr/share/{directory}"));
        std::fs::create_dir_all(&place)?;
        for file in 0..100 {
            std::fs::write(place.join(format!("file-{file}")), vec![b'x'; 15_000])?;
        }
    }
    process::must(Command::new("tar").arg("-cf").arg(&tar).arg("-C").arg(&tree).arg("."))?;
    let length = std::fs::metadata(&tar)?.len();
    for name in ["one", "two"] {
        engine.docker(&["import", &tar.display().to_string(), name]).ok();
    }
    let told = size(&df(&engine)?["LayersSize"])?;
    println!("a tar of {length} bytes takes {told}");
    assert!(told > length && told - length < length / 50, "a tar of {length} bytes takes {told}");
    is_exact(&engine, "with two images of one layer")
}

/// What a check sets aside is nobody's any more: it is counted, told by its own name, and deleted by a prune,
/// but not from under a container.
#[test]
fn damaged_layers_are_counted_until_a_prune() -> Result<()> {
    for format in ["tar", "directory"] {
        let Ok(engine) = Engine::start_with(&["--layer-format", format]) else {
            println!("not run with the format {format}");
            continue;
        };
        engine.import_busybox()?;
        let tar = engine.scratch().join("busybox.tar").display().to_string();
        engine.docker(&["save", "-o", &tar, "busybox"]).ok();
        engine.docker(&["run", "-d", "--name", "user", "busybox", "sleep", "1000"]).ok();
        let layer = std::fs::read_dir(engine.data().join("layers"))?.next().context("a layer")??.path();
        let files = [layer.join("layer.tar"), layer.join("fs/etc/passwd")];
        let file = files.iter().find(|file| file.exists()).context("bytes to damage")?;
        let mut bytes = std::fs::read(file)?;
        // Longer than it was, too.
        bytes.splice(20..20, [b'x'; 1000]);
        std::fs::write(file, bytes)?;

        assert_eq!(engine.dhow(&["system", "check"]).status, 1);
        is_exact(&engine, "with a damaged layer")?;
        assert_eq!(engine.dhow(&["system", "check", "--repair"]).status, 1);
        is_exact(&engine, "with a layer set aside")?;
        let set_aside = bytes_below(&engine.data().join("damaged"))?;
        let told = engine.dhow(&["system", "df", "-v"]).ok().to_owned();
        assert!(set_aside > 0 && told.contains("Damaged layers usage: "), "{set_aside} {told}");
        engine.docker(&["load", "-i", &tar]).ok();
        is_exact(&engine, "with the layer loaded again")?;

        engine.docker(&["image", "prune", "-f"]).ok();
        let kept = bytes_below(&engine.data().join("damaged"))?;
        assert_eq!(kept, if format == "tar" { 0 } else { set_aside }, "with a container of it, {format}");
        is_exact(&engine, "after a prune beside a container")?;
        engine.docker(&["rm", "-f", "user"]).ok();
        let pruned: Value = engine.connect()?.request("POST", "/v1.44/images/prune", &Value::Null)?.json()?;
        assert_eq!(size(&pruned["SpaceReclaimed"])?, kept, "{pruned}");
        assert_eq!(bytes_below(&engine.data().join("damaged"))?, 0);
        is_exact(&engine, "after a prune of what was damaged")?;
    }
    Ok(())
}

/// A load goes through bounded buffers: what the engine takes at its highest does not grow with the image.
#[test]
fn a_load_takes_no_more_memory_for_a_large_image() -> Result<()> {
    let engine = Engine::start()?;
    let pid = engine.pid().context("the engine runs")?;
    let highest = || -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).context("the peak")?;
        line.split_whitespace().nth(1).context("a number")?.parse().context("a number of kB")
    };
    let place = engine.scratch().display().to_string();
    let mut peaks = Vec::new();
    for (name, megabytes) in [("small", 8), ("large", 160)] {
        let script = format!(
            "cd {place} && mkdir {name} && for n in 1 2 3; do mkdir -p t/d && head -c {megabytes}M /dev/urandom >t/d/$n && \
             tar -cf {name}/$n.tar -C t d && rm -r t; done && cd {name} && printf '{{\"architecture\":\"amd64\",\"os\":\"linux\",\
             \"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[\"sha256:%s\",\"sha256:%s\",\"sha256:%s\"]}}}}' \
             $(sha256sum 1.tar 2.tar 3.tar | cut -d' ' -f1) >c.json && printf '[{{\"Config\":\"c.json\",\"RepoTags\":[\"{name}:1\"],\
             \"Layers\":[\"1.tar\",\"2.tar\",\"3.tar\"]}}]' >manifest.json && tar -cf ../{name}.tar * && rm -r ../{name}"
        );
        process::must(Command::new("sh").args(["-c", &script]))?;
        std::fs::write(format!("/proc/{pid}/clear_refs"), "5")?;
        engine.docker(&["load", "-i", &format!("{place}/{name}.tar")]).ok();
        peaks.push(highest()?);
        std::fs::remove_file(format!("{place}/{name}.tar"))?;
    }
    let more = peaks[1].saturating_sub(peaks[0]);
    assert!(more < 32 << 10, "peaks of {peaks:?} kB");
    Ok(())
}
