//! The engine is killed at any moment: what a client was told is there, and nothing half.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use dhow_model::ContainerId;
use dhow_model::ports::{
    CommitRequest, Durability, Images as _, ImportRequest, Records as _, SaveFormat, SaveItem, Snapshots as _,
};
use dhow_oci::ImageConfig;
use dhow_store::LayerFormat;
use support::{docker_archive, module_of, names, open, record, reference, tar};

const CHILD: &str = "DHOW_STORE_CHILD";
const STORY: &str = "killed_at_any_moment_it_has_what_it_told_and_nothing_half";

in_both_formats! {
    killed_at_any_moment_it_has_what_it_told_and_nothing_half,
}

/// How often it is killed.
const KILLS: u32 = 40;

/// Imports, commits, tags, removes, without end; tells each image that is there for good.
fn child(root: &Path, format: LayerFormat) -> ! {
    let store = open(root, format);
    println!("ready");
    for round in 0_u32.. {
        let seed = format!("{}-{round}", std::process::id());
        let files: Vec<(String, String)> = (0..40)
            .map(|n| (format!("dir{}/file{n}", n % 5), format!("{seed} {n}").repeat(n * 7 + 1)))
            .collect();
        let files: Vec<(&str, &str)> =
            files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        let config = ImageConfig { os: "linux".into(), author: seed.clone(), ..ImageConfig::default() };
        let name = reference(&format!("image:{}", round % 3));
        let request = ImportRequest { config: config.clone(), message: seed.clone(), reference: Some(name) };
        let id = store.images.import(request, &mut &tar(&files)[..]).unwrap();
        println!("image {id}");

        let mut random = [0; 32];
        random[..4].copy_from_slice(&round.to_le_bytes());
        random[4..8].copy_from_slice(&std::process::id().to_le_bytes());
        let container = ContainerId::from_random(random);
        store.snapshots.prepare(&container, Some(&id), Durability::Committed, 0).unwrap();
        store.records.put_container(&record(&container, "web", Some(id)), Durability::Committed).unwrap();
        println!("container {container}");
        let upper = root.join("containers").join(container.as_str()).join("rw");
        std::fs::write(upper.join("changed"), &seed).unwrap();
        let request = CommitRequest {
            container: container.clone(),
            parent: Some(id),
            config: config.clone(),
            created_by: seed,
            reference: Some(reference("committed")),
        };
        let committed = store.images.commit(request).unwrap();
        println!("image {committed}");
        let archive = docker_archive(&tar(&[("loaded", &config.author)]), None);
        let loaded = store.images.load(&mut &archive[..], None, &mut |_| {}).unwrap();
        println!("image {}", loaded[0].id);
        if round % 2 == 0 {
            println!("gone {container}");
            store.records.delete_container(&container, Durability::Committed).unwrap();
            store.snapshots.remove(&container).unwrap();
            println!("removed {committed}");
            store.images.untag(&reference("committed")).unwrap();
            store.images.remove(&committed, false).unwrap();
        }
    }
    unreachable!("the rounds have no end")
}

fn killed_at_any_moment_it_has_what_it_told_and_nothing_half(format: LayerFormat) {
    if let Some(root) = std::env::var_os(CHILD) {
        child(Path::new(&root), format);
    }
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("store");
    let mut told = BTreeSet::new();
    for kill in 0..KILLS {
        let lines = run_and_kill(&root, format, Duration::from_micros(u64::from(kill * 7919 % 97) * 2000));
        for line in &lines {
            match line.split_once(' ') {
                Some(("removed" | "gone", id)) => drop(told.remove(id)),
                Some((_, id)) => drop(told.insert(id.to_owned())),
                None => {}
            }
        }
        verify(&root, format, &told);
    }
    println!("{} images and containers outlived {KILLS} kills", told.len());
    assert!(!told.is_empty(), "nothing happened between the kills");
}

fn run_and_kill(root: &Path, format: LayerFormat, after: Duration) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{}::{STORY}", module_of(format)), "--nocapture"])
        .env(CHILD, root)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    while output.next().unwrap().unwrap() != "ready" {}
    // The moment is what is tested: any will do.
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    // A line that was cut off was not told.
    output
        .map_while(Result::ok)
        .filter(|line| line.rsplit(' ').next().is_some_and(|id| id.len() >= 64))
        .collect()
}

fn verify(root: &Path, format: LayerFormat, told: &BTreeSet<String>) {
    let store = open(root, format);
    let images = store.images.list().unwrap();
    let containers = store.records.containers().unwrap();
    let known: BTreeSet<String> = images
        .iter()
        .map(|image| image.id.to_string())
        .chain(containers.iter().map(|container| container.id.to_string()))
        .collect();
    let missing: Vec<_> = told.difference(&known).collect();
    assert!(missing.is_empty(), "told, and not there: {missing:?}");
    let snapshots = store.snapshots.list().unwrap();
    for container in &containers {
        assert!(snapshots.contains(&container.id), "{} has no file system", container.id);
    }
    assert_eq!(snapshots.len(), containers.len());
    let mut layers = BTreeSet::new();
    let mut blobs = BTreeSet::new();
    for image in &images {
        // Every layer is read and hashed.
        let item = SaveItem { id: image.id, references: image.references.clone() };
        store.images.save(&[item], SaveFormat::Both, &mut std::io::sink()).unwrap();
        layers.extend(image.config.rootfs.diff_ids.iter().map(dhow_oci::Digest::hex));
        blobs.insert(image.id.hex());
    }
    drop(store);
    assert_eq!(names(&root.join("layers")), layers.into_iter().collect::<Vec<_>>());
    assert_eq!(names(&root.join("blobs/sha256")), blobs.into_iter().collect::<Vec<_>>());
    assert!(names(&root.join("staging")).is_empty() && names(&root.join("trash")).is_empty());
}
